package session

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Sequence is what a sequence is to be set to, known by its OID.
type Sequence struct {
	OID    uint32
	Last   int64
	Called bool // the next value is the one behind Last
}

// A ROLLBACK leaves sequences where they are. To put them back, the session must know which have moved, and do so when the
// ROLLBACK is over: before it, a sequence that the test has altered is another file. Who calls nextval or setval locks the
// sequence until the end of the transaction, even if a savepoint is returned to, so the locks tell which have moved. They
// are asked for with the ROLLBACK, which nobody waits for; the next lease does, and sets them ahead of its BEGIN.
type sequences struct {
	set   map[string]string // by OID: the call that sets it to what it is in the template
	moved []string          // OIDs
}

// listMoved lists the OIDs of the sequences that this transaction has moved, and of what it has dropped.
const listMoved = "SELECT l.relation FROM pg_catalog.pg_lock_status() l " +
	"WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.pid = pg_catalog.pg_backend_pid() " +
	"AND coalesce((SELECT c.relkind FROM pg_catalog.pg_class c WHERE c.oid = l.relation), 'S') = 'S'"

// resetAll is what a new session begins with, because nobody knows how the one before it has ended. It returns OIDs and the
// calls that set them.
func resetAll(moved []Sequence) string {
	values := []string{"(0::oid,0::bigint,false)"} // nothing has this OID
	for _, q := range moved {
		values = append(values, fmt.Sprintf("(%d::oid,%d::bigint,%t)", q.OID, q.Last, q.Called))
	}
	return "SELECT s.seqrelid, format('pg_catalog.setval(%s,%s,%s)', s.seqrelid::oid, coalesce(v.last, s.seqstart), coalesce(v.called, false)::text), " +
		"pg_catalog.setval(s.seqrelid::pg_catalog.regclass, coalesce(v.last, s.seqstart), coalesce(v.called, false)) " +
		"FROM pg_catalog.pg_sequence s LEFT JOIN (VALUES " + strings.Join(values, ",") + ") v (oid, last, called) ON v.oid = s.seqrelid"
}

// newSequences reads the answer to resetAll.
func newSequences(answer *pgconn.Result) *sequences {
	q := &sequences{set: make(map[string]string, len(answer.Rows))}
	for _, row := range answer.Rows {
		q.set[string(row[0])] = string(row[1])
	}
	return q
}

func (q *sequences) note(oid []byte) { q.moved = append(q.moved, string(oid)) }

// reset returns the statement that puts back what has moved, or nothing.
func (q *sequences) reset() string {
	var calls []string
	for _, oid := range q.moved {
		if call, ok := q.set[oid]; ok { // others are tests' own, and gone
			calls = append(calls, call)
		}
	}
	q.moved = q.moved[:0]
	if len(calls) == 0 {
		return ""
	}
	return "SELECT " + strings.Join(calls, ",")
}

// resets reports that sequences may have moved in this lease and are to be put back.
func (s *Session) resets() bool { return s.phys.sequences != nil && s.touched }

// awaitMoved waits until the server has told which sequences the lease before has moved.
func (s *Session) awaitMoved() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && s.steps.len() > 0 && s.reader == nil {
		s.flush(s.control.conn)
		s.pump(s.control.conn)
	}
}

// resetMoved goes ahead of the outer transaction.
func (s *Session) resetMoved() {
	if sql := s.phys.sequences.reset(); sql != "" {
		s.wbuf = appendQuery(s.wbuf, sql)
		s.push(step{kind: 'Q', drop: true, reset: true})
	}
}
