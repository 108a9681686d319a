package session

import (
	"encoding/binary"
	"fmt"
)

// The server's limits for the length of a message (PQ_LARGE_MESSAGE_LIMIT and PQ_SMALL_MESSAGE_LIMIT in its sources):
// what may carry data may be nearly 1 GB, anything else is short.
const (
	maxLargeMessage = 1<<30 - 2
	maxSmallMessage = 10000
)

// outgoing holds what a client has sent and the session has not sent on yet, cut into batches. A batch ends with a message
// that makes the server answer (Query, FunctionCall, Sync, Flush), or is a single message of a COPY.
type outgoing struct {
	buf     []byte
	taken   int     // buf[:taken] is done with
	scanned int     // buf[:scanned] has been cut
	batches []batch // in order
}

type batch struct {
	end    int // in buf
	first  byte
	begins bool // it opens an app transaction
}

func (o *outgoing) ready() bool { return len(o.batches) > 0 }

// batch is what the first batch consists of.
func (o *outgoing) batch() []byte { return o.buf[o.taken:o.batches[0].end] }

// pending is what the batches consist of.
func (o *outgoing) pending() []byte {
	if !o.ready() {
		return nil
	}
	return o.buf[o.taken:o.batches[len(o.batches)-1].end]
}

// rest is all that was not taken.
func (o *outgoing) rest() []byte { return o.buf[o.taken:] }

// take forgets the next n bytes. What follows is moved to the front only when that is the smaller part: a COPY that has waited
// for its turn leaves here in many batches.
func (o *outgoing) take(n int) {
	o.taken += n
	o.scanned = max(o.scanned, o.taken)
	switch rest := len(o.buf) - o.taken; {
	case rest == 0:
		o.buf = recycle(o.buf)
	case rest < o.taken:
		o.buf = append(o.buf[:0], o.rest()...)
	default:
		return
	}
	for i := range o.batches {
		o.batches[i].end -= o.taken
	}
	o.taken, o.scanned = 0, o.scanned-o.taken
}

// dropBatch forgets the first batch.
func (o *outgoing) dropBatch() {
	n := len(o.batch())
	o.batches = append(o.batches[:0], o.batches[1:]...)
	o.take(n)
}

func (o *outgoing) clear() { *o = outgoing{buf: o.buf[:0]} }

// scan cuts what c has sent into batches. Caller must hold mu.
func (s *Session) scan(c *conn) {
	o := &c.out
	start := o.taken
	if n := len(o.batches); n > 0 {
		start = o.batches[n-1].end
	}
	for len(o.buf)-o.scanned >= 5 && !c.eof {
		m := message(o.buf[o.scanned:])
		if why := m.malformed(); why != "" {
			s.refuse(c, why)
			return
		}
		if len(o.buf)-o.scanned < m.size() {
			return
		}
		end := o.scanned + m.size()
		o.scanned = end
		switch m.kind() {
		case 'X':
			c.eof = true
			s.terminated(c)
			s.leave(c)
			s.interrupt(c)
		case 'Q', 'F', 'S', 'H', 'd', 'c', 'f':
			whole := o.buf[start:end]
			o.batches = append(o.batches, batch{end: end, first: whole[0], begins: s.begins(c, whole)})
			s.notePlace(c, whole)
			start = end
		}
	}
}

// message is one frontend message and possibly what follows it: a type byte, the length of the rest including itself,
// the body.
type message []byte

func (m message) kind() byte   { return m[0] }
func (m message) size() int    { return 1 + int(binary.BigEndian.Uint32(m[1:5])) }
func (m message) body() []byte { return m[5:m.size()] }

// lastKind is the kind of the last message of a batch.
func lastKind(batch []byte) (last byte) {
	each(batch, func(m message) bool {
		last = m.kind()
		return true
	})
	return last
}

// malformed tells in the server's words what is wrong with the head of a message, or nothing.
func (m message) malformed() string {
	limit := maxSmallMessage
	switch m.kind() {
	case 'Q', 'P', 'B', 'F', 'd', 'p':
		limit = maxLargeMessage
	case 'C', 'D', 'E', 'H', 'S', 'X', 'c', 'f':
	default:
		return fmt.Sprintf("invalid frontend message type %d", m.kind())
	}
	if size := binary.BigEndian.Uint32(m[1:5]); size < 4 || size > uint32(limit) {
		return "invalid message length"
	}
	return ""
}

// each calls f for every message of a batch until f returns false, and returns what f has not seen.
func each(msgs []byte, f func(message) bool) (rest []byte) {
	for len(msgs) > 0 {
		m := message(msgs)
		m, msgs = m[:m.size()], msgs[m.size():]
		if !f(m) {
			return msgs
		}
	}
	return nil
}
