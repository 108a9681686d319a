package lease

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

// claim is what a lease has on its database: all of it, or with Config.Shared a part.
type claim interface {
	Name() string
	Config() *pgx.ConnConfig
	Pristine(ctx context.Context, conn *pgconn.PgConn) error
	Check(ctx context.Context) error
	Outgrown(ctx context.Context) (bool, error)
	Sequences() []provision.Sequence
	Spoil(ctx context.Context) error
	Keep(ctx context.Context, test string, most int) (*provision.Kept, error)
	Release()
	Discard(ctx context.Context) error
}

var (
	_ claim = (*provision.WorkerDB)(nil)
	_ claim = (*member)(nil)
)

// common is the worker database that the leases of a pool share.
type common struct {
	*provision.WorkerDB

	mu      sync.Mutex
	members int  // leases that have a part in it
	retired bool // nobody may join it any more; it is dropped when the last member leaves
	changed bool // something was really committed in it

	checking sync.Mutex // held while a member finds out whether it is pristine; guards checked
	checked  bool       // it was, before any test ran in it
}

// member is the part of one lease.
type member struct {
	*common
	done bool // guarded by common.mu
}

var (
	errRetired = errors.New("txiso: the worker database is about to be replaced")
	errShared  = errors.New("txiso: with Config.Shared the tests of a process share one database, which cannot be kept for one of them; run this test without Shared")
)

// sharedChange is told to tests that may have seen what another one has committed.
const sharedChange = "txiso: another test of this process has really committed something in the worker database that they share (Config.Shared), " +
	"and this one may have seen it; mend that test, or give it a database of its own with Clone"

// claim leases a worker database, or joins the one that is shared.
func (p *Pool) claim(ctx context.Context, prov *provision.Provisioner) (claim, *common, error) {
	if !p.cfg.Shared {
		w, err := prov.Lease(ctx)
		return w, nil, err
	}
	select {
	case p.joining <- struct{}{}:
		defer func() { <-p.joining }()
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	if c := p.common; c != nil && c.join() {
		m := &member{common: c}
		if m.Check(ctx) == nil {
			return m, c, nil
		}
		m.Release()
	}
	w, err := prov.Lease(ctx)
	if err != nil {
		return nil, nil, err
	}
	p.common = &common{WorkerDB: w, members: 1}
	return &member{common: p.common}, p.common, nil
}

func (c *common) join() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retired || c.members == 0 {
		return false
	}
	c.members++
	return true
}

// isRetired reports whether the leases of c must end; nil never is.
func (c *common) isRetired() bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.retired
}

// isChanged reports whether something was committed in c.
func (c *common) isChanged() bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Pristine is found out once for all members, ahead of the first test: those that come when tests are running could not tell.
func (m *member) Pristine(ctx context.Context, conn *pgconn.PgConn) error {
	m.checking.Lock()
	defer m.checking.Unlock()
	switch {
	case m.checked:
		return nil
	case m.isRetired():
		return provision.ErrChanged
	}
	err := m.WorkerDB.Pristine(ctx, conn)
	if errors.Is(err, provision.ErrChanged) {
		m.retire()
	}
	m.checked = err == nil
	return err
}

func (m *member) Check(ctx context.Context) error {
	if m.isRetired() {
		return errRetired
	}
	return m.WorkerDB.Check(ctx)
}

func (m *member) Spoil(ctx context.Context) error {
	m.mu.Lock()
	m.retired, m.changed = true, true
	m.mu.Unlock()
	return m.WorkerDB.Spoil(ctx)
}

func (m *member) Keep(context.Context, string, int) (*provision.Kept, error) { return nil, errShared }

func (m *member) Release() {
	ctx, done := context.WithTimeout(context.Background(), dropTimeout)
	defer done()
	_ = m.leave(ctx)
}

// Discard lets nobody join any more.
func (m *member) Discard(ctx context.Context) error {
	m.retire()
	return m.leave(ctx)
}

func (c *common) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired = true
}

// leave gives the part back, and the database with the last one.
func (m *member) leave(ctx context.Context) error {
	m.mu.Lock()
	if !m.done {
		m.done = true
		m.members--
	}
	last, retired := m.members == 0, m.retired // what could not be dropped may be tried again
	m.mu.Unlock()
	switch {
	case !last:
		return nil
	case retired:
		return m.WorkerDB.Discard(ctx)
	}
	m.WorkerDB.Release()
	return nil
}

const lockTimeout = "lock_timeout"

// sharedHints say what a wait for another test's lock comes from (SQLSTATEs: PostgreSQL manual, appendix A).
func sharedHints(wait time.Duration) map[string]string {
	const remedy = "With Config.Shared the tests of a process share one database, and what a test has locked stays locked until it ends. " +
		"Let tests use rows, keys and tables of their own, run these one after the other, do without Shared, or give one a database of its own: Clone."
	return map[string]string{
		"55P03": "Another test has held the lock for too long (" + wait.String() + " is Config.BeginTimeout's bound). " + remedy,
		"40P01": "Another test waits for this one. " + remedy,
	}
}

// boundLockWaits makes a lock that another test holds an error after some time, unless the DSN says something else.
func boundLockWaits(cfg *pgx.ConnConfig, wait time.Duration) {
	if _, set := cfg.RuntimeParams[lockTimeout]; !set {
		cfg.RuntimeParams[lockTimeout] = strconv.FormatInt(max(1, wait.Milliseconds()), 10)
	}
}
