// Package lease hands a test what it runs on: a worker database of its own with a warm session on it.
//
// A [Pool] belongs to a process. It opens the server and the provisioner when the first test asks, keeps the sessions of
// tests that have ended for those that come, and makes a new one whenever all are taken: a test never waits for another.
package lease

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/txiso/txiso-go/txiso/internal/pgserver"
	"github.com/txiso/txiso-go/txiso/internal/provision"
	"github.com/txiso/txiso-go/txiso/internal/session"
)

// Config says what the databases of a pool are made of.
type Config struct {
	Provision provision.Config // its DSN may be empty: then the embedded server's is used
	Server    pgserver.Config  // of the embedded server
	Session   session.Options

	// Shared puts all sessions of the pool into one worker database. Waits for locks are then bounded by
	// Session.BeginTimeout, which must be set.
	Shared bool

	// ColdAfter is how long sessions beyond the first wait for another test, ten seconds if it is 0: the server's connections
	// may be what others wait for.
	ColdAfter time.Duration
}

const (
	// freshFor is how long a session that was in use needs no look at whether its database is still ours.
	freshFor = time.Second
	// hotFor is how long it needs no look at whether its connection is still there: the look costs two system calls, and
	// a connection that ends this soon would have ended under the next test as well.
	hotFor = time.Millisecond
)

// spoilTimeout bounds the wait of a test that has really committed something for that to be written down.
const spoilTimeout = 10 * time.Second

// dropTimeout bounds the wait of a test whose database must go, whether or not its own time is over.
const dropTimeout = 30 * time.Second

const coldAfter = 10 * time.Second

// weighEvery is after how many tests a worker database is weighed again. The first time is after its first test in this
// process. It takes about as long as ten tests if there are hundreds of tables.
const weighEvery = 1000

// ErrClosed is returned by Get after Close.
var ErrClosed = errors.New("txiso: Close was called; no database can be had after it")

// Pool is safe for concurrent use. Its zero value is not usable: call [New].
type Pool struct {
	cfg Config

	opening sync.Mutex // held while prov is opened

	mu       sync.Mutex             // guards what follows
	prov     *provision.Provisioner // nil until it is needed
	former   []*provision.Provisioner
	idle     []*Lease       // the one used last is at the end: it is the warmest
	cooling  *time.Timer    // set while idle has more than one, and until it has fired
	leaving  sync.WaitGroup // of those that are given up because of it
	leased   int
	returns  int // of leases, ever
	failure  error
	failedAt time.Time
	closed   bool

	returned chan struct{} // wakes one who waits for a connection

	joining chan struct{} // a mutex whose waiters can give up; guards common
	common  *common       // with Config.Shared: what the next session joins
}

// New returns a pool that does nothing until it is asked for a lease.
func New(cfg Config) *Pool {
	cfg.ColdAfter = cmp.Or(cfg.ColdAfter, coldAfter)
	return &Pool{cfg: cfg, returned: make(chan struct{}, 1), joining: make(chan struct{}, 1)}
}

// Lease is a worker database and a session on it, held by one test.
type Lease struct {
	*session.Session
	pool     *Pool
	db       claim
	common   *common // db's with Config.Shared, else nil
	returned time.Time
	tests    int // that have ended
}

// Get returns a lease whose session has been started. logf gets the one line that creating an embedded server prints. The
// errors are those of pgserver.Start, provision.Open and Provisioner.Lease.
func (p *Pool) Get(ctx context.Context, logf func(string, ...any)) (*Lease, error) {
	if l := p.startIdle(ctx); l != nil {
		return l, nil
	}
	return onServer(ctx, p, logf, p.startAny)
}

// startIdle starts a session that has been used before, nil if there is none.
func (p *Pool) startIdle(ctx context.Context) *Lease {
	for {
		l := p.takeIdle()
		if l == nil || l.usable(ctx) && l.Start() == nil {
			return l
		}
		_ = l.discard(ctx) // a database that cannot be dropped keeps its lock: nobody gets it
	}
}

func (p *Pool) takeIdle() *Lease {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	l := p.idle[n-1]
	p.idle = p.idle[:n-1]
	p.leased++
	return l
}

// takeColdest is takeIdle for the session that has waited longest, if it did already at a given time.
func (p *Pool) takeColdest(then time.Time) *Lease {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 || !p.idle[0].returned.Before(then) {
		return nil
	}
	l := p.idle[0]
	p.idle = p.idle[1:]
	p.leased++
	return l
}

// giveUpCold gives up the sessions that have waited for too long, but for the warmest.
func (p *Pool) giveUpCold() {
	p.mu.Lock()
	n := 0
	for n < len(p.idle)-1 && time.Since(p.idle[n].returned) >= p.cfg.ColdAfter {
		n++
	}
	cold := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	p.cooling = nil
	p.cool()
	p.leaving.Add(1)
	defer p.leaving.Done()
	p.mu.Unlock()
	for _, l := range cold {
		l.giveUp()
	}
}

// cool sees to it that sessions that wait are given up in time. Caller must hold mu.
func (p *Pool) cool() {
	if p.cooling == nil && len(p.idle) > 1 {
		p.cooling = time.AfterFunc(p.cfg.ColdAfter, p.giveUpCold)
	}
}

// usable reports whether the session's connection and the claim on its database have survived.
func (l *Lease) usable(ctx context.Context) bool {
	if l.common.isRetired() {
		return false
	}
	idle := time.Since(l.returned)
	if idle < hotFor && l.Err() == nil {
		return true
	}
	return l.Alive() && (idle < freshFor || l.db.Check(ctx) == nil)
}

// startAny starts a session on another worker database, or one that was given back while this test waited for a connection.
func (p *Pool) startAny(ctx context.Context, prov *provision.Provisioner) (*Lease, error) {
	if l := p.startIdle(ctx); l != nil {
		return l, nil
	}
	l, err := p.open(ctx, prov)
	if err != nil {
		return nil, err
	}
	if err := l.Start(); err != nil {
		return nil, errors.Join(err, l.discard(ctx))
	}
	return l, nil
}

// open leases another worker database and opens a session on it.
func (p *Pool) open(ctx context.Context, prov *provision.Provisioner) (*Lease, error) {
	for {
		db, common, err := p.claim(ctx, prov)
		if err != nil {
			return nil, err
		}
		s, err := p.connect(ctx, db)
		switch {
		case err == nil:
			p.mu.Lock()
			p.leased++
			p.mu.Unlock()
			return &Lease{Session: s, pool: p, db: db, common: common}, nil
		case !errors.Is(err, provision.ErrChanged):
			db.Release()
			advice := provision.Advice(ctx, db.Config(), err)
			if p.cfg.Shared && strings.Contains(err.Error(), "unsupported startup parameter: "+lockTimeout) { // PgBouncer's words
				advice = "; Config.Shared does not work through a pooler: let the DSN (Config.DSN or TXISO_DSN) lead to the server itself"
			}
			return nil, fmt.Errorf("txiso: cannot connect to worker database %s: %w%s", db.Name(), err, advice)
		}
		// One that cannot be dropped keeps its lock, so the next is another.
		if err := p.drop(ctx, db); errors.Is(err, provision.ErrLost) || provision.Ended(ctx) {
			return nil, err
		}
	}
}

// connect opens a session on a database that is as it was cloned.
func (p *Pool) connect(ctx context.Context, db claim) (*session.Session, error) {
	cfg, opts := db.Config(), p.cfg.Session
	if p.cfg.Shared {
		opts.Shared = true
		boundLockWaits(cfg, opts.BeginTimeout)
		opts.Hints = sharedHints(opts.BeginTimeout)
	}
	cfg.AfterConnect = db.Pristine
	if opts.ResetSequences {
		for _, q := range db.Sequences() {
			opts.Sequences = append(opts.Sequences, session.Sequence(q))
		}
	}
	opts.Committed = func() {
		ctx, done := context.WithTimeout(context.Background(), spoilTimeout)
		defer done()
		_ = db.Spoil(ctx) // fails only when the lease is lost; then Pristine tells the next holder
	}
	return session.Open(ctx, cfg, opts)
}

// Clone returns a private database, see [provision.Provisioner.Clone]. Those that were given back and could not be dropped it
// tells to logf: no test has failed because of them, but somebody should know that the server fills up.
func (p *Pool) Clone(ctx context.Context, logf func(string, ...any)) (*provision.CloneDB, error) {
	return onServer(ctx, p, logf, func(ctx context.Context, prov *provision.Provisioner) (*provision.CloneDB, error) {
		if err := prov.Leftovers(); err != nil {
			logf("%v", err)
		}
		return prov.Clone(ctx)
	})
}

// Nest opens a level on the lease's session, see [session.Session.Nest].
func (l *Lease) Nest(ctx context.Context, names session.Names) (*session.Nested, error) {
	return l.Session.Nest(ctx, nil, names)
}

// End rolls back what the test did and gives the lease back. It returns what the test must be told, see session.End.
func (l *Lease) End(within time.Duration) ([]string, error) {
	findings, err := l.Session.End(within)
	if err != nil {
		return findings, errors.Join(err, l.discard(context.Background()))
	}
	if l.common.isChanged() {
		findings = append(findings, sharedChange)
	}
	l.tests++
	switch {
	case l.common.isRetired(), l.tests%weighEvery == 1 && l.outgrown(within):
		l.replace(within)
	default:
		l.pool.put(l)
	}
	return findings, nil
}

// Keep ends the lease of a test that has failed: what the test did is committed, and its database kept for somebody to look
// into, under another name; see [session.Session.Keep] and [provision.WorkerDB.Keep]. remark tells what became of an app
// transaction that was open. If nothing could be kept err says why, and the lease has ended all the same.
func (l *Lease) Keep(within time.Duration, test string, most int) (kept *provision.Kept, remark string, findings []string, err error) {
	ctx, done := context.WithTimeout(context.Background(), within)
	defer done()
	switch {
	case l.common != nil:
		err = errShared
	case !l.Touched():
		err = session.ErrUntouched
	default:
		err = l.db.Spoil(ctx) // ahead of the commit: should this process be killed in between, nobody else gets the database
	}
	if err != nil {
		findings, endErr := l.End(within)
		return nil, "", findings, errors.Join(err, endErr)
	}
	remark, findings, err = l.Session.Keep(within)
	l.leave()
	l.Session.Close()
	if err != nil {
		return nil, "", findings, errors.Join(err, l.pool.drop(ctx, l.db))
	}
	kept, err = l.db.Keep(ctx, test, most)
	return kept, remark, findings, err
}

// leave counts a lease as one that no test holds any more.
func (l *Lease) leave() {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	l.pool.leased--
	l.pool.noteReturn()
}

// Embedded reports whether the server is the embedded one.
func (p *Pool) Embedded() bool { return p.dsn() == "" }

// outgrown reports whether the database of a lease that has ended in order has become so large that a new clone is better.
func (l *Lease) outgrown(within time.Duration) bool {
	ctx, done := context.WithTimeout(context.Background(), within)
	defer done()
	outgrown, err := l.db.Outgrown(ctx)
	return err == nil && outgrown // who cannot look has lost the lease, which the next Get finds out
}

// replace drops the database of a lease that has ended in order: the next Get makes a new one.
func (l *Lease) replace(within time.Duration) {
	ctx, done := context.WithTimeout(context.Background(), within)
	defer done()
	l.leave()
	l.Session.Close()
	_ = l.pool.drop(ctx, l.db) // who leases it next drops it
}

func (p *Pool) put(l *Lease) {
	l.returned = time.Now()
	p.mu.Lock()
	p.leased--
	if !p.closed {
		p.idle = append(p.idle, l)
		p.cool()
		l = nil
	}
	p.noteReturn()
	p.mu.Unlock()
	if l != nil {
		l.giveUp()
	}
}

// noteReturn wakes who waits for a connection. Caller must hold mu.
func (p *Pool) noteReturn() {
	p.returns++
	p.failure = nil
	select {
	case p.returned <- struct{}{}:
	default: // nobody waits, or will know by the one before
	}
}

// drop drops a database that must not be used again.
func (p *Pool) drop(ctx context.Context, db claim) error {
	return p.withRoom(func() error { return db.Discard(ctx) })
}

// giveUp ends the session of a lease whose database is as it was.
func (l *Lease) giveUp() {
	l.Session.Close()
	l.db.Release()
}

// discard ends a lease that must not be used again. Its database goes unless it is certainly as it was.
func (l *Lease) discard(ctx context.Context) error {
	l.leave()
	dirty := l.Dirty()
	l.Session.Close()
	if !dirty {
		l.db.Release()
		return nil
	}
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer done()
	return l.pool.drop(ctx, l.db)
}

// Close ends the sessions that no test holds and gives back everything the process has on the server. A test that still
// runs loses its database's protection, so Close belongs behind the last one.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	idle, open := p.idle, p.former
	if p.prov != nil {
		open = append(open, p.prov)
	}
	p.idle, p.prov, p.former, p.closed = nil, nil, nil, true
	if p.cooling != nil {
		p.cooling.Stop()
	}
	p.mu.Unlock()
	p.leaving.Wait()
	for _, l := range idle {
		l.giveUp()
	}
	var errs []error
	for _, prov := range open {
		errs = append(errs, prov.Close(ctx))
	}
	return errors.Join(errs...)
}
