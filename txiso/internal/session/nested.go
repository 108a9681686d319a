package session

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Nested is a level of a session: what is done on its virtual connections starts from what was done before, and is undone
// when it ends. On the server it is a savepoint of go-txdb's. Levels nest to any depth; only the connections of the
// innermost one can be used.
type Nested struct {
	s          *Session
	outer      *Nested // nil if that is the session itself
	names      Names
	tx         driver.Tx // go-txdb's
	over       bool      // guarded by Session.mu
	lost       []string  // Session.lost of the level below
	prepares   int       // Session.prepares when it began
	statements int       // of the lease when it began
}

// Names are what tests are called in errors: the one whose connections have to wait, and the one that is nested in it.
type Names struct{ Outer, Inner string }

func (n Names) outer() string { return cmp.Or(n.Outer, "the outer test") }
func (n Names) inner() string { return cmp.Or(n.Inner, "the nested test") }

var errOuterLevelEnded = errors.New("txiso: the test that this one was nested in has ended before it; let subtests end first")

// Nest opens a level on top of outer, which must be the innermost one; nil is the session itself. It waits for a statement
// that runs, as long as a BEGIN waits for a transaction. It is refused while an app transaction is open: that would go on
// inside the level, and half of it would be undone. Then nothing has changed.
func (s *Session) Nest(ctx context.Context, outer *Nested, names Names) (*Nested, error) {
	s.life.Lock()
	defer s.life.Unlock()
	n, err := s.cover(ctx, outer, names)
	if err != nil {
		return nil, err
	}
	if n.tx, err = s.control.savepoint(n.prepares > 0); err != nil {
		return nil, s.failNested(err)
	}
	return n, nil
}

// Nest opens a level inside n, see [Session.Nest].
func (n *Nested) Nest(ctx context.Context, names Names) (*Nested, error) {
	return n.s.Nest(ctx, n, names)
}

// Config is [Session.Config] for connections of the level.
func (n *Nested) Config() *pgx.ConnConfig { return n.s.config(n.dial) }

// Connector is Config for database/sql.
func (n *Nested) Connector() driver.Connector { return n.s.connector(n.dial) }

// End closes the level's connections, and those of levels inside it, and undoes what was done on them. Like [Session.End]
// it returns what the test must be told, and does not wait for the server's answer.
func (n *Nested) End(within time.Duration) (findings []string, err error) {
	s := n.s
	s.life.Lock()
	defer s.life.Unlock()
	if n.ended() {
		return nil, errOuterLevelEnded
	}
	if err = s.hangUp(within, n); err == nil {
		if err = s.control.returnTo(n); err != nil {
			err = s.failNested(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	findings = s.uncover(n.outer)
	s.forgetSchema()
	return findings, err
}

func (n *Nested) ended() bool {
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	return n.over
}

// cover makes a new level the innermost: from then on the connections of those below cannot be used.
func (s *Session) cover(ctx context.Context, outer *Nested, names Names) (*Nested, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch err := s.settled(ctx, names); {
	case err != nil:
		return nil, err
	case outer != nil && outer.over:
		return nil, errOuterLevelEnded
	case s.level != outer:
		return nil, fmt.Errorf("txiso: %s cannot be nested in %s while another test is; nest it in that one, or let that one end first", names.inner(), names.outer())
	case s.tx.owner != nil:
		return nil, fmt.Errorf("txiso: %s cannot be nested in %s while the transaction begun at %v is open; commit it or roll it back first", names.inner(), names.outer(), s.tx.began)
	}
	s.dropOrphans() // which the end of the level would bring back
	n := &Nested{s: s, outer: outer, names: names, lost: s.lost, prepares: s.prepares, statements: s.journal.n}
	s.level, s.lost = n, nil
	s.wakeAll()
	return n, nil
}

// settled waits until no exchange is under way. Caller must hold mu.
func (s *Session) settled(ctx context.Context, names Names) error {
	c := s.control.conn
	c.readDeadline = time.Now().Add(s.opts.BeginTimeout)
	if limit, ok := ctx.Deadline(); ok && limit.Before(c.readDeadline) {
		c.readDeadline = limit
	}
	defer func() { c.readDeadline = time.Time{} }()
	for s.err == nil && s.busy() {
		if past(c.readDeadline) {
			return fmt.Errorf("txiso: %s cannot be nested in %s while a statement, COPY or pipeline of that is under way; end it first", names.inner(), names.outer())
		}
		s.await(c)
	}
	return s.err
}

// uncover ends all levels that are on top of outer and returns what they found. Caller must hold mu.
func (s *Session) uncover(outer *Nested) (findings []string) {
	for s.level != outer {
		findings = append(findings, s.lost...)
		s.level.over, s.lost = true, s.level.lost
		s.level = s.level.outer
	}
	return findings
}

func (s *Session) failNested(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail(fmt.Errorf("txiso: nested tests cannot be kept apart any more: %w", err))
	return s.err
}

// dial is the pgconn.DialFunc of the level's connections.
func (n *Nested) dial(context.Context, string, string) (net.Conn, error) {
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	switch {
	case n.s.err != nil:
		return nil, n.s.err
	case n.over:
		return nil, errClosed
	}
	return n.s.newConn(n), nil
}

// has reports whether a connection belongs to n or to a level inside it. All belong to nil.
func (n *Nested) has(c *conn) bool { return n == nil || c.level.inside(n) }

// inside reports whether n is a level that is outer or inside that. All are inside nil, which is no level itself.
func (n *Nested) inside(outer *Nested) bool {
	for ; n != nil; n = n.outer {
		if n == outer || outer == nil {
			return true
		}
	}
	return false
}

// covered reports that c belongs to a level which has another one on top of it.
func (s *Session) covered(c *conn) bool { return c.level != s.level }

// turnAway answers a covered connection's next batch. It does so at once, whoever owns the exchange under way.
func (s *Session) turnAway(c *conn) {
	last := lastKind(c.out.batch())
	c.out.dropBatch()
	if isCopy(last) {
		return // its COPY was turned away
	}
	if c.turnedAway { // everything up to Sync is to be ignored
		c.turnedAway = last != 'S'
	} else {
		c.in = encode(c.in, s.notNow(c))
		c.turnedAway = last == 'H'
	}
	if !c.turnedAway {
		c.in = appendReady(c.in, s.status(c))
	}
}

func (s *Session) notNow(c *conn) *pgproto3.ErrorResponse {
	above := s.level
	for above.outer != c.level {
		above = above.outer
	}
	return &pgproto3.ErrorResponse{
		Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "55000",
		Message: fmt.Sprintf("txiso: the database of %s cannot be used while %s is nested in it", above.names.outer(), above.names.inner()),
		Hint:    "Use the database of the nested test until that ends: call DB or Pool with its own t.",
	}
}
