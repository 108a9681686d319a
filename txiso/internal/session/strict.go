package session

import (
	"runtime"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// noteStray is called with each batch of c whose turn has come, on c's goroutine. It makes a finding of a statement that is
// sent on another connection than the one with the open transaction: as a rule, somebody has used db where tx was meant.
func (s *Session) noteStray(c *conn, msgs []byte) {
	holder := s.holder()
	if holder == nil || holder == c || s.inTransaction(c) || !c.sendsStatement(msgs) {
		return
	}
	var stray place
	stray.n = runtime.Callers(2, stray.pcs[:])
	pair := [2]string{holder.site.String(), stray.String()}
	if s.strays[pair] {
		return
	}
	if s.strays == nil {
		s.strays = make(map[[2]string]bool)
	}
	s.strays[pair] = true
	s.lose("txiso: the statement at %s was sent on another connection while the transaction begun at %s was open; send it on the transaction, "+
		"or end that first (Config.Strict reports this)", pair[1], pair[0])
}

// holder returns the connection whose client is in an app transaction, or nil.
func (s *Session) holder() *conn {
	if s.tx.owner != nil {
		return s.tx.owner
	}
	for _, c := range s.conns {
		if c.zombie {
			return c
		}
	}
	return nil
}

// sendsStatement reports whether a batch executes a statement. A ping is none.
func (c *conn) sendsStatement(msgs []byte) bool {
	if m := message(msgs); m.kind() == 'Q' {
		kind, _ := sqltext.Simple(text(m.body()))
		return kind != sqltext.None
	}
	_, executes := c.examine(msgs)
	return executes
}
