package session

import (
	"fmt"
	"strings"
	"time"
)

// Leak is something that a test has opened and not closed.
type Leak struct {
	What   string // it is, and where it was opened
	Remedy string
}

// Leaks returns what the code under test has open at the end of a test: app transactions, and the connections that are
// still there when closeHandles has closed the pools. What is being ended in this moment, say by a goroutine of database/sql
// because a context has ended, is given patience to be so. Somebody who waits for the answer to a statement is none of
// its business: End cancels that.
func (s *Session) Leaks(patience time.Duration, closeHandles func()) []Leak {
	return s.leaks(nil, patience, closeHandles)
}

// Leaks is [Session.Leaks] for a level.
func (n *Nested) Leaks(patience time.Duration, closeHandles func()) []Leak {
	return n.s.leaks(n, patience, closeHandles)
}

func (s *Session) leaks(n *Nested, patience time.Duration, closeHandles func()) (leaks []Leak) {
	for _, c := range s.remaining(patience, func(c *conn) bool { return c.level == n && s.inTransaction(c) }) {
		leaks = append(leaks, s.openTransaction(c))
	}
	closeHandles()
	for _, c := range s.remaining(patience, func(c *conn) bool { return c.level == n && c.inside == 0 && !s.inTransaction(c) }) {
		leaks = append(leaks, s.openConnection(c))
	}
	return leaks
}

// remaining returns the virtual connections of which open is true, as soon as there are none or patience has come to its end.
func (s *Session) remaining(patience time.Duration, open func(c *conn) bool) []*conn {
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, 20*time.Millisecond) {
		found := s.connections(open)
		if len(found) == 0 || patience <= 0 {
			return found
		}
		time.Sleep(pause)
		patience -= pause
	}
}

func (s *Session) connections(which func(c *conn) bool) (found []*conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil // nobody could end anything any more
	}
	for _, c := range s.conns {
		if c.started && which(c) {
			found = append(found, c)
		}
	}
	return found
}

// inTransaction reports whether c's client is in an app transaction.
func (s *Session) inTransaction(c *conn) bool { return c.zombie || s.tx.owner == c }

func (s *Session) openTransaction(c *conn) Leak {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Leak{
		What:   fmt.Sprintf("the transaction begun at %v is still open", c.site),
		Remedy: "end it with Commit or Rollback (defer tx.Rollback() right behind Begin does no harm after a Commit)",
	}
}

func (s *Session) openConnection(c *conn) Leak {
	s.mu.Lock()
	defer s.mu.Unlock()
	call := c.taken.call()
	switch {
	case call == "":
		return Leak{
			What:   fmt.Sprintf("a connection was not given back%s", s.lastOf(c)),
			Remedy: "Close rows and every *sql.Conn, Release every *pgxpool.Conn; with Config.Strict the line is told",
		}
	case strings.HasSuffix(call, "sql.(*DB).Conn"), strings.HasSuffix(call, "pgxpool.(*Pool).Acquire"):
		return Leak{
			What:   fmt.Sprintf("a connection was not given back that was taken at %v", &c.taken),
			Remedy: "Close every *sql.Conn, Release every *pgxpool.Conn",
		}
	case strings.Contains(call, "(*Conn)"):
		return Leak{
			What:   fmt.Sprintf("a connection was not given back that was used first at %v", &c.taken),
			Remedy: "Close every *sql.Conn, Release every *pgxpool.Conn",
		}
	}
	return Leak{
		What:   fmt.Sprintf("the rows of the query at %v are not closed", &c.taken),
		Remedy: "close them (defer rows.Close()), or Scan the row of QueryRow",
	}
}

// lastOf says what was sent last on c.
func (s *Session) lastOf(c *conn) string {
	j, t := &s.journal, newTeller(s)
	for number := j.n; number > max(0, j.n-j.keep); number-- {
		if e := j.at(number); e != nil && e.conn == c.id && e.kind != 'P' {
			return fmt.Sprintf(", on which the last statement was %.200s", printable(t.tell(e).SQL))
		}
	}
	return " that was not used"
}
