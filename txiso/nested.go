package txiso

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso/internal/session"
)

// Nested makes t, a subtest, start from what its parent has done: what DB and Pool then give t sees the parent's data, and
// when t ends everything is rolled back to where the parent stood. So fixtures are built once and shared:
//
//	func TestOrders(t *testing.T) {
//		seedCustomers(t, iso.DB(t))
//		parent := t
//		t.Run("cancel", func(t *testing.T) {
//			iso.Nested(t, parent)
//			db := iso.DB(t) // has the customers
//			…
//		})
//	}
//
// Call it ahead of t's first DB or Pool. The parent must have called DB, Pool or Nested with the very value that is
// passed here. Nesting goes to any depth. It costs a savepoint: no connection, and no waiting for the server.
//
// While t is nested, t alone can use the database: a statement on the handles of the parent fails with SQLSTATE 55000 and
// a message that names both tests. The parent must not have a transaction, COPY or pipeline open (rows that it reads may be); a
// statement of it that runs is waited for, [Config.BeginTimeout] at most. It goes on when t has ended.
// Parallel subtests that are nested in the same parent run one after the other: Nested waits for the one before, a minute
// at most ([Config.NestedTimeout]) without another having had its turn.
//
// What PostgreSQL does not roll back to a savepoint outlives t: session advisory locks are released when the outermost test ends,
// and sequences go on, in later tests, too, unless [Config.ResetSequences] is set.
//
// It ends t (Fatalf) with a message that says what to do when t cannot be nested. It is safe for concurrent use.
func (iso *Iso) Nested(t, parent TB) {
	t.Helper()
	if iso.err != nil {
		t.Fatalf("%v", iso.err)
	}
	if err := iso.held(t).nest(t, parent); err != nil {
		t.Fatalf("%v", err)
	}
}

// defaultNestedTimeout is longer than most tests run, and shorter than the patience of who waits for a deadlock.
const defaultNestedTimeout = time.Minute

// ground is what a test's handles stand on: a lease, or a level in that of its parent.
type ground interface {
	Config() *pgx.ConnConfig
	Connector() driver.Connector
	Nest(ctx context.Context, names session.Names) (*session.Nested, error)
	Taken(conn *pgx.Conn)
	Leaks(patience time.Duration, closeHandles func()) []session.Leak
	Troubled() bool
	Statements() []session.Statement
	End(within time.Duration) (findings []string, err error)
}

// nest gives h a level on top of its parent's ground.
func (h *test) nest(t, parent TB) error {
	h.begun.Lock()
	defer h.begun.Unlock()
	names := session.Names{Outer: nameOf(parent), Inner: nameOf(t)}
	switch {
	case h.over:
		return errOver
	case t == parent:
		return fmt.Errorf("txiso: %s cannot be nested in itself; pass the subtest's t first, then its parent's", who(names.Inner))
	case h.ground != nil:
		return fmt.Errorf("txiso: Nested was called when %s had a database already; call it ahead of DB and Pool, and once", who(names.Inner))
	}
	p := h.iso.parent(parent)
	if p == nil {
		return fmt.Errorf("txiso: %s has no database that %s could be nested in; call DB, Pool or Nested with it first, while it runs", who(names.Outer), who(names.Inner))
	}
	if err := h.takeTurn(t, p, names); err != nil {
		return err
	}
	level, err := p.ground.Nest(t.Context(), names)
	if err != nil {
		h.giveTurn()
		return err
	}
	h.ground = level
	return nil
}

// parent returns a test's entry if it has ground to nest on.
func (iso *Iso) parent(t TB) *test {
	iso.mu.Lock()
	p := iso.tests[t]
	iso.mu.Unlock()
	if p == nil {
		return nil
	}
	p.begun.Lock()
	defer p.begun.Unlock()
	if p.ground == nil {
		return nil
	}
	return p
}

// takeTurn makes h the one test that is nested in p. It waits for the one that is.
func (h *test) takeTurn(t TB, p *test, names session.Names) error {
	patience := time.NewTimer(h.iso.nestedTimeout)
	defer patience.Stop()
	for {
		before := h.becomeChild(p, names.Inner)
		if before == nil {
			return nil
		}
		if isBelow(names.Inner, before.name) {
			return fmt.Errorf("txiso: %s cannot be nested in %s, because %s is, and cannot end before it; nest it in %[3]s", who(names.Inner), who(names.Outer), before.name)
		}
		select {
		case <-before.nestedEnd:
			patience.Reset(h.iso.nestedTimeout)
		case <-patience.C:
			return fmt.Errorf("txiso: %s has waited %v to be nested in %s, while %s was; only one can be at a time: "+
				"let that one end (it may wait for this one, or for its own parallel subtests), do not run them in parallel, or raise Config.NestedTimeout",
				who(names.Inner), h.iso.nestedTimeout, who(names.Outer), who(before.name))
		case <-t.Context().Done():
			return errors.Join(fmt.Errorf("txiso: the test ended while %s waited for %s, which is nested in the same parent", who(names.Inner), who(before.name)), context.Cause(t.Context()))
		}
	}
}

// becomeChild makes h the child of p, unless p has one, which is returned.
func (h *test) becomeChild(p *test, name string) *test {
	h.iso.mu.Lock()
	defer h.iso.mu.Unlock()
	if p.child != nil {
		return p.child
	}
	p.child, h.nestedIn, h.name, h.nestedEnd = h, p, name, make(chan struct{})
	return nil
}

// giveTurn lets the next be nested in h's parent.
func (h *test) giveTurn() {
	h.iso.mu.Lock()
	defer h.iso.mu.Unlock()
	if h.nestedIn != nil {
		h.nestedIn.child, h.nestedIn = nil, nil
		close(h.nestedEnd)
	}
}

// isBelow reports whether a test is a subtest of another, going by their names.
func isBelow(name, other string) bool { return other != "" && strings.HasPrefix(name, other+"/") }

// nameOf returns a test's name if it tells.
func nameOf(t TB) string {
	if named, ok := t.(interface{ Name() string }); ok {
		return named.Name()
	}
	return ""
}

func who(name string) string {
	if name == "" {
		return "the test"
	}
	return name
}
