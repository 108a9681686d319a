package session

import (
	"errors"
	"fmt"
	"time"
)

// ErrUntouched is returned by Keep when nothing was done in the lease.
var ErrUntouched = errors.New("txiso: the test has done nothing in its database")

// Touched reports whether anything has been done in this lease.
func (s *Session) Touched() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun
}

// Keep ends the lease as End does, but commits what was done in it, an app transaction that is still open included, as far
// as that is possible: remark tells of one. It ends the session, too, whatever comes of it: call Close. It takes no
// longer than within.
func (s *Session) Keep(within time.Duration) (remark string, findings []string, err error) {
	s.life.Lock()
	defer s.life.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	deadline := time.Now().Add(within)
	remark, err = s.settleOpen(within, deadline)
	if err == nil && !s.begun {
		err = ErrUntouched
	}
	if err == nil {
		err = s.commitOuter(deadline)
	}
	findings = append(s.uncover(nil), s.lost...)
	s.fail(errClosed)
	return remark, findings, err
}

// settleOpen ends what runs, and undoes an app transaction that is open unless it can be committed. Caller must hold mu.
func (s *Session) settleOpen(within time.Duration, deadline time.Time) (remark string, err error) {
	open, began := s.tx.owner, s.tx.began
	if open == nil {
		s.closeAllBut(nil)
		return "", s.drain(within)
	}
	if s.tx.failed || s.owner == open || s.guard != guardRunning {
		s.closeAllBut(nil)
		return fmt.Sprintf("without the transaction begun at %v, which had failed or was busy, and was rolled back", began), s.drain(within)
	}
	s.closeAllBut(open)
	if err := s.drain(within); err != nil {
		return "", err
	}
	problem, err := s.request("SET CONSTRAINTS ALL IMMEDIATE", deadline) // as COMMIT would
	if problem == "" {
		return fmt.Sprintf("with what the transaction begun at %v had done, which was still open", began), err
	}
	s.rollback()
	return fmt.Sprintf("without the transaction begun at %v, which was rolled back because a commit would have failed: %s", began, problem), err
}

// closeAllBut closes the virtual connections of all levels but one.
func (s *Session) closeAllBut(open *conn) {
	for _, c := range s.conns {
		if c != open {
			c.close(errClosed)
		}
	}
}

// commitOuter commits the outer transaction with all that is in it. Caller must hold mu.
func (s *Session) commitOuter(deadline time.Time) error {
	s.closeGuard()
	s.begun = false
	problem, err := s.request("COMMIT", deadline)
	if problem != "" {
		err = fmt.Errorf("txiso: the test's transaction could not be committed: %s", problem)
	}
	return err
}

// request sends a statement of the session's own and waits for its answer: what the server has to object, if it does. Caller
// must hold mu, which is given up meanwhile, and no exchange may be under way.
func (s *Session) request(sql string, deadline time.Time) (problem string, err error) {
	c := s.control.conn
	c.readDeadline = deadline
	defer func() { c.readDeadline = time.Time{} }()
	s.owner, s.ex = c, exchange{}
	s.wbuf = appendQuery(s.wbuf, sql)
	s.push(step{kind: 'Q', end: true})
	for s.err == nil && s.owner == c {
		if past(deadline) {
			s.fail(fmt.Errorf("txiso: the server did not answer %s in time", sql))
		}
		s.await(c)
	}
	if s.err != nil {
		return "", s.err
	}
	each(c.in[c.inStart:], func(m message) bool {
		switch tag, _, _ := cstring(m.body()); {
		case m.kind() == 'E':
			problem = errorText(m)
		case m.kind() == 'C' && tag == "ROLLBACK": // of a COMMIT
			problem = "it had failed"
		}
		return true
	})
	c.in, c.inStart = nil, 0
	return problem, nil
}
