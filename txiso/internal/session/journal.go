package session

import (
	"bytes"
	"time"
)

// journal remembers the statements of a lease, so that a test which fails can tell them. A test that passes pays for it with
// a few stores a statement: the entries, and the buffers in them, are used again and again, and nothing is formatted before
// somebody asks (telling.go). It is guarded by Session.mu.
type journal struct {
	epoch   time.Time // what entries' times count from
	keep    int       // how many entries there are to be
	entries []entry   // statement n is entries[(n-1)%keep]
	n       int       // statements of the lease
	open    []int     // those of the exchange under way, by number
	next    int       // open[next:] has not been answered
}

const (
	// keptStatements is how many are kept of a test whose failure tells the last of them.
	keptStatements = 64
	// keptAll is how many are kept where all of them are wanted. A test that runs on has to forget some.
	keptAll = 20_000
	// What is copied of a Query, a Bind and an error.
	maxKeptText, maxKeptBind, maxKeptError = 4 << 10, 1 << 10, 1 << 10
)

// entry is one statement.
type entry struct {
	number   int
	conn     uint32
	kind     byte          // the message that it came with: Q, P, B or F
	sent     time.Duration // since epoch
	took     time.Duration
	sql      string // of a B: the prepared statement, up to a zero byte
	types    []byte // of a B: the body of its ParameterDescription, if that is known
	copied   []byte // of a Q or P: its text; of a B: what follows the statement's name
	cut      bool   // there was more
	executed bool   // the client wants it executed
	answered bool
	failed   bool
	hidden   bool   // a Parse or a Bind alone is worth telling when it fails
	gone     bool   // the client had gone before the answer
	answer   []byte // the command tag, or the body of the ErrorResponse
}

// start begins another lease.
func (j *journal) start() {
	if j.epoch.IsZero() {
		j.epoch = time.Now()
	}
	if j.keep != keptStatements {
		j.keep, j.entries = keptStatements, nil
	}
	j.n = 0
	j.finish()
}

// KeepAll makes the lease keep all its statements, not only the last. Call it behind Start.
func (s *Session) KeepAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal.keep = keptAll
}

// at returns the statement of that number, or nil if it has been forgotten.
func (j *journal) at(number int) *entry {
	if e := &j.entries[(number-1)%j.keep]; e.number == number {
		return e
	}
	return nil
}

// add makes an entry the newest of the exchange under way.
func (j *journal) add(c *conn, kind byte) *entry {
	i := j.n % j.keep
	if i == len(j.entries) {
		j.entries = append(j.entries, entry{})
	}
	j.n++
	e := &j.entries[i]
	*e = entry{
		number: j.n, conn: c.id, kind: kind, sent: time.Since(j.epoch), executed: kind == 'Q' || kind == 'F',
		copied: e.copied[:0], answer: e.answer[:0],
	}
	j.open = append(j.open, j.n)
	return e
}

func (e *entry) copyText(b []byte, limit int) {
	if e.cut = len(b) > limit; e.cut {
		b = b[:limit]
	}
	e.copied = append(e.copied, b...)
}

// record notes a message of c that is about to be handled.
func (s *Session) record(c *conn, m message) {
	j := &s.journal
	switch m.kind() {
	case 'Q':
		j.add(c, 'Q').copyText(bytes.TrimSuffix(m.body(), []byte{0}), maxKeptText)
	case 'P':
		_, rest, _ := bytes.Cut(m.body(), []byte{0})
		query, _, _ := bytes.Cut(rest, []byte{0})
		j.add(c, 'P').copyText(query, maxKeptText)
	case 'B':
		_, rest, _ := bytes.Cut(m.body(), []byte{0})
		name, rest, _ := bytes.Cut(rest, []byte{0})
		e := j.add(c, 'B')
		e.sql, e.types = c.lookup(name).told()
		e.copyText(rest, maxKeptBind)
	case 'E':
		j.execute(c)
	case 'F':
		j.add(c, 'F')
	}
}

// told returns a statement's text, up to a zero byte, and the types of its parameters if they are known. Neither is copied,
// neither ever changes.
func (st *statement) told() (sql string, types []byte) {
	if st == nil {
		return "", nil
	}
	if d := message(st.backend.describe); len(d) > 5 && d.kind() == 't' {
		types = d.body()
	}
	return st.backend.key, types
}

// execute notes that the statement that was bound last is executed, or executed again.
func (j *journal) execute(c *conn) {
	last := j.newest()
	switch {
	case last == nil || last.kind != 'B':
	case last.executed:
		e := j.add(c, 'B')
		last = j.at(e.number - 1) // it may have moved
		if last == nil {
			return
		}
		e.sql, e.types, e.copied, e.cut, e.executed = last.sql, last.types, append(e.copied, last.copied...), last.cut, true
	default:
		last.executed = true
	}
}

// newest returns the newest entry of the exchange under way.
func (j *journal) newest() *entry {
	if len(j.open) == 0 {
		return nil
	}
	return j.at(j.open[len(j.open)-1])
}

// oldest returns the oldest entry that has no answer.
func (j *journal) oldest() *entry {
	for ; j.next < len(j.open); j.next++ {
		if e := j.at(j.open[j.next]); e != nil && !e.answered {
			return e
		}
	}
	return nil
}

// recordAnswer notes what the server says to the owner of the exchange.
func (s *Session) recordAnswer(m message) { s.journal.note(s.journal.oldest(), m, s.owner) }

// recordOwn notes what the session says to it in the server's place: that is always about what was sent last.
func (s *Session) recordOwn(m message) { s.journal.note(s.journal.newest(), m, s.owner) }

func (j *journal) note(e *entry, m message, c *conn) {
	if e == nil {
		return
	}
	switch m.kind() {
	case '1':
		if e.kind == 'P' {
			e.answered, e.hidden = true, true
		}
		return
	case 'C', 'I', 's':
		e.hidden = m.kind() == 'I'
		e.answer = append(e.answer[:0], bytes.TrimSuffix(m.body(), []byte{0})...)
	case 'E':
		e.failed = true
		e.answer = append(e.answer[:0], m.body()[:min(len(m.body()), maxKeptError)]...)
	default:
		return
	}
	e.took = time.Since(j.epoch) - e.sent
	e.answered = e.kind != 'Q' // there may be more
	e.gone = c != nil && c.closed != nil
}

// recordLate notes an error that comes when all statements have been answered: of the commit at the end of the exchange.
func (s *Session) recordLate(m message) {
	e := s.journal.oldest()
	if e == nil {
		e = s.journal.newest()
	}
	s.journal.note(e, m, s.owner)
}

// recordUnsent notes messages of c that are answered although their turn has not come: the exchange under way is another's.
func (s *Session) recordUnsent(c *conn, msgs []byte, answer message) {
	j := &s.journal
	underWay, next := j.open, j.next
	j.open, j.next = nil, 0
	each(msgs, func(m message) bool {
		s.record(c, m)
		return true
	})
	j.note(j.newest(), answer, c)
	j.finish()
	j.open, j.next = underWay, next
}

// finish ends the exchange.
func (j *journal) finish() {
	unread := false // the server could not read the statement
	for _, number := range j.open {
		e := j.at(number)
		if e == nil || e.answered {
			unread = unread || e != nil && e.kind == 'P' && e.failed
			continue
		}
		e.answered = true
		e.hidden = e.hidden || unread || !e.failed && !e.executed
	}
	j.open, j.next = j.open[:0], 0
}
