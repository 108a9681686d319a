package session

import (
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// txModes are the modes of a transaction: an app transaction, or that of an exchange outside any. The server cannot know them,
// as to it there is only the outer transaction. The isolation level changes nothing: nobody else uses this database, so every
// level's promises are kept by the lowest. Read only is set on the server, for the savepoint that the transaction is.
type txModes struct {
	sqltext.Mode
	begun    bool         // it has those that it begins with
	chained  sqltext.Mode // those it begins with: by default, or by AND CHAIN
	queried  bool         // it has run a query
	readOnly bool         // the server knows that it is read only
	setup    string
}

// modes are those of c's app transaction, or else of its exchange.
func (s *Session) modes(c *conn) *txModes {
	m := &s.ex.modes
	if s.tx.owner == c {
		m = &s.tx.modes
	}
	if !m.begun {
		m.begun = true
		if s.readOnlyByDefault(c) {
			m.chain(sqltext.Mode{Access: sqltext.ReadOnly})
		}
	}
	return m
}

// change changes modes, behind a savepoint if nested, or tells in the server's words why they cannot be changed any more
// (src/backend/commands/variable.c).
func (m *txModes) change(to sqltext.Mode, nested bool) *pgproto3.ErrorResponse {
	isolation := to.Isolation != sqltext.DefaultIsolation && level(to.Isolation) != level(m.Isolation)
	write := to.Access == sqltext.ReadWrite && m.Access == sqltext.ReadOnly
	deferrable := to.Deferrable != sqltext.DefaultDeferrable
	switch {
	case isolation && m.queried:
		return pgError("25001", "SET TRANSACTION ISOLATION LEVEL must be called before any query")
	case isolation && nested:
		return pgError("25001", "SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction")
	case write && nested:
		return pgError("25001", "cannot set transaction read-write mode inside a read-only transaction")
	case write && m.queried:
		return pgError("25001", "transaction read-write mode must be set before any query")
	case write && m.readOnly:
		e := pgError("0A000", "txiso: a transaction that was read only for a statement cannot be made read write")
		e.Hint = "Say READ WRITE when the transaction begins."
		return e
	case deferrable && nested:
		return pgError("25001", "SET TRANSACTION [NOT] DEFERRABLE cannot be called within a subtransaction")
	case deferrable && m.queried:
		return pgError("25001", "SET TRANSACTION [NOT] DEFERRABLE must be called before any query")
	}
	m.apply(to)
	return nil
}

// noteSnapshot notes that a statement of c is sent, and whether it takes a snapshot. In a failed transaction it is refused before that.
func (s *Session) noteSnapshot(c *conn, takes bool) {
	m := s.modes(c)
	m.queried = m.queried || takes && s.status(c) != 'E'
}

func (m *txModes) apply(to sqltext.Mode) {
	if to.Isolation != sqltext.DefaultIsolation {
		m.Isolation = to.Isolation
	}
	if to.Deferrable != sqltext.DefaultDeferrable {
		m.Deferrable = to.Deferrable
	}
	switch to.Access {
	case sqltext.ReadOnly:
		m.Access, m.setup = to.Access, setReadOnly
	case sqltext.ReadWrite:
		m.Access, m.setup = to.Access, "SET TRANSACTION READ WRITE"
	}
}

// restore gives a transaction the access mode back that it had at a savepoint: whether that is released or returned to, the server has
// forgotten what was set behind it (XactReadOnly in src/backend/access/transam/xact.c).
func (m *txModes) restore(was txModes) {
	m.Access, m.readOnly, m.setup = was.Access, was.readOnly, was.setup
}

// chain makes modes those that the transaction begins with.
func (m *txModes) chain(modes sqltext.Mode) {
	m.begun, m.chained = true, modes
	m.apply(modes)
}

// chainedModes are those of a transaction that AND CHAIN has begun.
func chainedModes(modes sqltext.Mode) (m txModes) {
	m.chain(modes)
	return m
}

// level is the isolation level that counts.
func level(i sqltext.Isolation) sqltext.Isolation {
	if i == sqltext.DefaultIsolation {
		return sqltext.ReadCommitted
	}
	return i
}

// setupTx sends what c's transaction needs ahead of its next statement, if that depends on it: until then it can be changed.
func (s *Session) setupTx(c *conn, t traits) {
	m := s.modes(c)
	if m.setup == "" || !t.moded || s.status(c) == 'E' { // nothing can be set in a failed transaction, and nothing is to
		return
	}
	s.aside(s.takeSetup(m))
}

// takeSetup returns what the server is still to be told of m, which is about to be sent.
func (s *Session) takeSetup(m *txModes) (setup string) {
	s.secure()
	s.ex.writes = true // it is undone by the release of the guard, so that must not be kept for others
	setup, m.setup, m.readOnly = m.setup, "", m.Access == sqltext.ReadOnly
	return setup
}
