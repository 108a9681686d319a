package session

import "encoding/binary"

// RecordForTest returns a function that records one prepared statement and its answer.
func (s *Session) RecordForTest() func() {
	c := &conn{s: s, statements: map[string]*statement{"q": {backend: &backendStatement{key: "INSERT INTO items VALUES ($1, $2)\x00\x00\x00"}}}}
	bind := binary.BigEndian.AppendUint32([]byte{'B'}, 4+3+100)
	bind = append(append(bind, 0, 'q', 0), make([]byte, 100)...)
	execute, complete := message{'E', 0, 0, 0, 9, 0, 0, 0, 0, 0}, message(appendComplete(nil, "INSERT 0 1"))
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.record(c, bind)
		s.record(c, execute)
		s.recordAnswer(complete)
		s.journal.finish()
	}
}
