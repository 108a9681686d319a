package txiso

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/txiso/txiso-go/txiso/internal/lease"
	"github.com/txiso/txiso-go/txiso/internal/pgserver"
	"github.com/txiso/txiso-go/txiso/internal/provision"
	"github.com/txiso/txiso-go/txiso/internal/session"
)

// Config says where the databases come from and what is in them. Its zero value works: empty databases on the server that
// TXISO_DSN names, or on the embedded one.
type Config struct {
	// DSN is a connection string of the server, keyword/value or URL, as pgx understands it. Its database is only used
	// for locks; its role must be allowed to create databases. It must lead to the server itself, or through a pooler in
	// session mode, because those locks are a session's. (PgBouncer needs no setting for that; Shared does not work through it.)
	// Without connect_timeout in it, connecting is given up after ten seconds. "" means the TXISO_DSN variable, and without that
	// the embedded server.
	DSN string

	// Migrations holds goose SQL files at its root; nil means empty databases. They run once per fingerprint of their names, their
	// contents and the environment variables that goose puts into them (ENVSUB). Migrations written in Go need a Migrator: goose has
	// them from a registry of the process, which is not used here; a file of theirs is refused, but with //go:embed *.sql none is
	// seen, and what it does is missing. Settings that migrations give their database for all roles (ALTER DATABASE … SET) are those
	// of every database that a test gets.
	Migrations fs.FS

	// Migrator makes the schema with another tool, see examples/migrator. Only one of Migrations and Migrator may be set.
	Migrator Migrator

	// Seed fills the template after the migrations.
	Seed Seed

	// BeginTimeout bounds the wait of a BEGIN for another connection's transaction in the same test, of any statement for
	// another connection's COPY FROM STDIN or for the Sync of its pipeline, and with Shared of any statement for a lock of another
	// test (SQLSTATE 55P03), and of [Iso.Nested] for a statement of the parent's. 0 means ten seconds. A
	// goroutine that waits for its own transaction is told after a quarter of a second, however long this is.
	BeginTimeout time.Duration

	// AllowLeaks lets tests end with something left open. Otherwise a transaction that is still open, rows that are not closed,
	// and a connection that is not given back, or not closed by who has opened it, fail the test, with the file and line that opened
	// them. Of a connection that is the line that first read rows on it or used it a second time; where there is none, the message has
	// its last statement (with Strict, the line that took it). With [Register] db.Close returns them as errors. What is closed because a
	// context has ended does not count, and a test that has failed or was skipped only gets a line in its log.
	AllowLeaks bool

	// Strict fails a test that sends a statement on one connection while a transaction is open on another: as a rule, db was
	// used where tx was meant. The message has both places; each pair of them is told once, when the test ends, and the
	// statement itself does what it does without Strict. Code that means it, such as goroutines at work at the same time, cannot
	// be tested with Strict. It costs some microseconds for every statement, and lets leaks be told more exactly.
	Strict bool

	// ResetSequences makes every test find all sequences, identity and serial columns included, as migrations and seed have
	// left them. Without it ids go on where the test before has left them, because PostgreSQL does not roll sequences back
	// (manual 9.17). [Iso.Clone] needs no option for that.
	//
	// It costs a test that writes about 0.2 ms, however many sequences there are
	// (go test -run '^$' -bench ResetSequences ./benchmarks): the server lists its locks, which tell what has moved.
	ResetSequences bool

	// NestedTimeout bounds the wait of [Iso.Nested] for another subtest that is nested in the same parent, each anew. 0 means
	// a minute.
	NestedTimeout time.Duration

	// Shared lets all tests of a process run in one worker database, as plain concurrent transactions, instead of one for
	// each test that runs at the same time: for seeds so large that a clone of the template is too dear. See the package
	// documentation for what that costs. It excludes ResetSequences and KeepFailed, which are refused beside it; TXISO_KEEP keeps
	// nothing then.
	Shared bool

	// KeepFailed keeps the databases of tests that fail, so that one can look at what they did: the test's transaction is
	// committed, its worker database renamed, and the test's log says how to open it with psql. Another worker database
	// takes its place. Clones of the test are kept, too. The variable TXISO_KEEP=1 does the same for one run. Of nested tests nothing
	// is kept but what their outermost test did, and of one that did nothing, nothing. What is kept stays until `txiso clean`, or until there are too many.
	KeepFailed bool

	// MaxKept is how many databases are kept, those of other processes and other runs included; the oldest ones, unless
	// somebody is connected to them, make place for new ones. 0 means ten.
	MaxKept int
}

// Migrator creates a schema in an empty database. It runs once per fingerprint, not once per test.
type Migrator interface {
	// Fingerprint returns a text that changes whenever the result of Migrate may change. It must not need a database. Equal texts
	// mean the same template, in whatever module on the same server: hash the schema's files, do not count versions. It is asked
	// again when Migrate has ended; if it has changed meanwhile there is no template.
	Fingerprint() (string, error)

	// Migrate fills the empty database behind db, with real commits. It must not close db, which is pgx's stdlib. A program that
	// wants an address gets Host, Port, User, Password and Database of conn.Raw(… c.(*stdlib.Conn).Conn().Config()), not its
	// ConnString, which names the maintenance database.
	//
	// ctx is that of the test that came first, so only go test's -timeout bounds it. No other process does the same meanwhile.
	Migrate(ctx context.Context, db *sql.DB) error
}

// Seed is data that every test starts with.
type Seed struct {
	// Version names what Run does: a new version makes a new template. It must not be empty when Run is set. Tests of all packages
	// and modules with the same server, migrations and Version have the same template, so what differs needs another Version.
	Version string
	// Run fills the database behind db, with real commits, once per version. It must not close db. What is said of Migrate's db
	// and ctx holds.
	Run func(ctx context.Context, db *sql.DB) error
}

// TB is the part of [testing.TB] that is needed. Failed, Skipped, Name and ArtifactDir are used if a TB has them, as those of
// package testing do. Context must end ahead of the cleanups, which run last in, first out, as in package testing.
//
// A test is recognised by its TB value, which must be comparable: another wrapper around the same *testing.T is another test
// with another database. So wrap once, or pass the *testing.T itself.
type TB interface {
	Helper()
	Context() context.Context
	Cleanup(func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// endTimeout bounds what is left to do when a test has ended.
const endTimeout = 30 * time.Second

// Iso gives tests their databases. It is safe for concurrent use; one per package is enough. Its zero value is not usable:
// call [New].
type Iso struct {
	pool *lease.Pool
	err  error // what is wrong with the Config

	// poolDefaults returns what pgxpool makes of no settings at all: it looks at variables and files for that, once is enough.
	poolDefaults func() (*pgxpool.Config, error)

	nestedTimeout time.Duration
	keeps         keeps
	allowLeaks    bool

	mu    sync.Mutex
	tests map[TB]*test
	named map[string]*shared
}

// New returns an Iso for cfg. It does no I/O and cannot fail, so it fits a package variable: errors in cfg, or of the server, fail
// the first test that asks for a database.
func New(cfg Config) *Iso {
	prov, err := cfg.provision()
	return &Iso{
		pool: lease.New(lease.Config{
			Provision: prov,
			Server:    pgserver.Config{},
			Session: session.Options{
				ResetSequences: cfg.ResetSequences,
				BeginTimeout:   cmp.Or(cfg.BeginTimeout, session.DefaultBeginTimeout),
				Strict:         cfg.Strict,
				IgnoreLeaks:    cfg.AllowLeaks,
			},
			Shared: cfg.Shared,
		}),
		err:           err,
		nestedTimeout: cmp.Or(cfg.NestedTimeout, defaultNestedTimeout),
		allowLeaks:    cfg.AllowLeaks,
		keeps:         keeps{always: cfg.KeepFailed, most: cmp.Or(cfg.MaxKept, defaultMaxKept)},
		poolDefaults:  sync.OnceValues(func() (*pgxpool.Config, error) { return pgxpool.ParseConfig("") }),
		tests:         make(map[TB]*test),
		named:         make(map[string]*shared),
	}
}

func (cfg Config) provision() (provision.Config, error) {
	p := provision.Config{DSN: cfg.DSN, Seed: cfg.Seed.Run, SeedVersion: cfg.Seed.Version}
	switch {
	case cfg.Migrations != nil && cfg.Migrator != nil:
		return p, errors.New("txiso: Config has both Migrations and Migrator; set one of them")
	case cfg.Seed.Run != nil && cfg.Seed.Version == "":
		return p, errors.New("txiso: Config.Seed has no Version, so a changed seed would go unnoticed; set Version, and change it whenever Run does")
	case cfg.Seed.Run == nil && cfg.Seed.Version != "":
		return p, errors.New("txiso: Config.Seed has a Version but nothing to run; set Run, or remove Version")
	case cfg.Shared && cfg.ResetSequences:
		return p, errors.New("txiso: Config has both Shared and ResetSequences, but tests that share a database share its sequences; set one of them")
	case cfg.BeginTimeout < 0:
		return p, fmt.Errorf("txiso: Config.BeginTimeout is %v; set a positive duration, or none for ten seconds", cfg.BeginTimeout)
	case cfg.KeepFailed && cfg.Shared:
		return p, errors.New("txiso: Config has both KeepFailed and Shared, but a database that tests share cannot be kept for one of them; set one of them")
	case cfg.MaxKept < 0:
		return p, fmt.Errorf("txiso: Config.MaxKept is %d; set how many databases of failed tests to keep, or nothing for ten", cfg.MaxKept)
	case cfg.NestedTimeout < 0:
		return p, fmt.Errorf("txiso: Config.NestedTimeout is %v; set a positive duration, or none for a minute", cfg.NestedTimeout)
	case cfg.Migrator != nil:
		p.Migrator = cfg.Migrator
	case cfg.Migrations != nil:
		p.Migrator = provision.Goose(cfg.Migrations)
	default:
		p.Migrator = nothing{}
	}
	return p, nil
}

// nothing is the Migrator of a Config without migrations.
type nothing struct{}

func (nothing) Fingerprint() (string, error)           { return "nothing", nil }
func (nothing) Migrate(context.Context, *sql.DB) error { return nil }

// test is what one test holds.
type test struct {
	iso    *Iso
	begun  sync.Mutex // held while leasing; guards ground and over
	ground ground     // nil if there was none to be had
	over   bool       // the test has ended
	close  []func()   // of what t was given; guarded by Iso.mu
	closed bool       // all of it was; guarded by Iso.mu

	// Of nested tests, see nested.go; guarded by Iso.mu.
	name      string
	nestedIn  *test
	nestedEnd chan struct{} // closed when it is nested no more
	child     *test         // the one that is nested in it
}

// DB returns a database of t's own: an ordinary *sql.DB of pgx's stdlib, ready for parallel use. Whatever is done with it
// is rolled back when t and its subtests have ended (a statement that still runs is cancelled, and waited for half a minute at
// most); closing it earlier is allowed and undoes nothing. Within one test all
// calls of DB and [Iso.Pool] see the same data; a subtest that calls it with its own t gets a database of its own.
//
// It ends in a Cleanup that the first call for t has registered. So call it first; start servers and goroutines that use it then, and
// stop them in a Cleanup, which runs before: what goes on afterwards gets "sql: database is closed", and a transaction that it holds
// fails the test. For a tracer, AfterConnect or parameters use stdlib.OpenDB(*iso.Pool(t).Config().ConnConfig, …). Do not use it in a
// bubble of testing/synctest: a database is real input and output.
//
// It ends the test (Fatalf) when there is no database to be had, with a message that says what to do.
func (iso *Iso) DB(t TB) *sql.DB {
	t.Helper()
	held := iso.test(t)
	db := sql.OpenDB(held.ground.Connector())
	held.atEnd(func() { db.Close() })
	return db
}

// Pool returns a pool for code that uses pgx itself. It sees what [Iso.DB] gives t, is closed when t ends, and can be used from many
// goroutines. Its pool settings are pgxpool's defaults, whatever the DSN says; its query mode is the DSN's.
//
// For AfterConnect, MaxConns, a tracer or parameters, change what Config returns and open a pool of your own:
//
//	cfg := iso.Pool(t).Config()
//	cfg.MaxConns = 20
//	cfg.ConnConfig.RuntimeParams["role"] = "app" // the embedded server's is a superuser, who may do and see everything
//	pool, err := pgxpool.NewWithConfig(ctx, cfg)
//	…
//	t.Cleanup(pool.Close)
//
// User and Database in it cannot be changed: they are those of the one connection to the server. Config().ConnString() leads
// nowhere: a connection to the server would see nothing of the test, and commit what it does. Code that takes an address gets
// that of a [Iso.Clone].
//
// It ends the test (Fatalf) as DB does.
func (iso *Iso) Pool(t TB) *pgxpool.Pool {
	t.Helper()
	held := iso.test(t)
	base, err := iso.poolDefaults()
	if err != nil {
		t.Fatalf("txiso: cannot make a pool configuration; look for a wrong PG… variable in the environment: %v", err)
	}
	cfg := *base
	cfg.ConnConfig = held.ground.Config() // pgxpool hands out copies only
	// Not its successor PrepareConn: while that is set, pgxpool ignores a BeforeAcquire that somebody gives a copy of the configuration.
	cfg.BeforeAcquire = func(_ context.Context, conn *pgx.Conn) bool { held.ground.Taken(conn); return true } //nolint:staticcheck // see above
	pool, err := pgxpool.NewWithConfig(t.Context(), &cfg)
	if err != nil {
		t.Fatalf("txiso: cannot make a pool: %v", err)
	}
	held.atEnd(func() { closePool(pool) })
	return pool
}

// closePool closes a pool without waiting for connections that the test has not released: Close waits for them, and a
// test that failed before its Release would hang. They are closed when the test's session ends, a moment later.
func closePool(pool *pgxpool.Pool) {
	if pool.Stat().AcquiredConns() == 0 {
		pool.Close()
		return
	}
	go pool.Close()
}

// Private is a database with real commits, for t alone.
type Private struct {
	DB  *sql.DB // closed when t ends
	DSN string  // for any other client, in any process that reaches the server, until t ends; contains the password if there is one
}

// Clone returns a private database, cloned from the template: for tests that need what a transaction that is rolled back
// cannot give. Each call gives another one. It sees nothing of what DB and Pool do. For pgx: pgxpool.New(ctx, clone.DSN).
// When t and its subtests have ended it is dropped, in the background, unless t has failed and [Config.KeepFailed] keeps it. If it
// cannot be dropped, the log of the next test that asks for a clone says why, or the error of [Iso.Close]; t itself fails if it had to
// wait for the drop, or if the server has gone away.
//
// It costs a few milliseconds, and some tens more for the first connection to it, if a worker database that nobody has used
// yet is there to become the clone. Whenever one has, the next is made while tests run, and any later test or process may
// take it, so that only the first clone of a schema, and one that follows another too soon, waits for a CREATE DATABASE: from tens of
// milliseconds to a second, by the disk and the number of tables. A test waits for a DROP DATABASE only when three wait to be
// dropped. A later run drops those of a process that has ended without Close.
//
// It ends the test (Fatalf) when there is no database to be had.
func (iso *Iso) Clone(t TB) *Private {
	t.Helper()
	if iso.err != nil {
		t.Fatalf("%v", iso.err)
	}
	if err := inTime(t, "call Clone in the test"); err != nil {
		t.Fatalf("%v", err)
	}
	clone, err := iso.pool.Clone(t.Context(), t.Logf)
	if err != nil {
		t.Fatalf("%v", err)
	}
	db := stdlib.OpenDB(*clone.Config())
	t.Cleanup(func() {
		db.Close()
		ctx, done := context.WithTimeout(context.Background(), endTimeout)
		defer done()
		if iso.keeps.wanted(t) {
			kept, err := clone.Keep(ctx, nameOf(t), iso.keeps.most)
			iso.sayKept(t, kept, "", err)
			return
		}
		if err := clone.Drop(ctx); err != nil {
			t.Errorf("%v", err)
		}
	})
	return &Private{DB: db, DSN: clone.DSN()}
}

// Close gives back what the process has on the server: connections, worker databases, locks. It is optional, because the
// end of the process does the same; leak checkers and TestMain may want it. Call it when no test uses iso any more:
// afterwards DB, Pool and Clone end their test (Fatalf).
//
// It takes half a minute at most. Its error tells which clones could not be dropped; a later run drops them.
func (iso *Iso) Close() error {
	ctx, done := context.WithTimeout(context.Background(), endTimeout)
	defer done()
	return iso.pool.Close(ctx)
}

// test returns what t holds, which it leases at the first call.
func (iso *Iso) test(t TB) *test {
	t.Helper()
	if iso.err != nil {
		t.Fatalf("%v", iso.err)
	}
	held := iso.held(t)
	if err := held.begin(t); err != nil {
		t.Fatalf("%v", err)
	}
	return held
}

// held returns t's entry, which is there until t ends.
func (iso *Iso) held(t TB) *test {
	iso.mu.Lock()
	defer iso.mu.Unlock()
	held := iso.tests[t]
	if held == nil {
		held = &test{iso: iso}
		iso.tests[t] = held
		t.Cleanup(func() { held.end(t) })
	}
	return held
}

// begin leases what t runs on, unless another goroutine of t has done so.
func (h *test) begin(t TB) error {
	h.begun.Lock()
	defer h.begun.Unlock()
	if h.ground != nil {
		return nil
	}
	if h.over {
		return errOver
	}
	if err := inTime(t, "call DB or Pool in the test first"); err != nil {
		return err
	}
	l, err := h.iso.pool.Get(t.Context(), t.Logf)
	if err != nil {
		return err
	}
	if keepsArtifacts(t) != nil {
		l.KeepAll()
	}
	h.ground = l
	return nil
}

// errOver is told to a goroutine that has outlived its test.
var errOver = errors.New("txiso: a database was asked for when the test had ended; let the test wait for its goroutines")

// inTime refuses what comes when the test has ended, and says what would not.
func inTime(t TB, advice string) error {
	if err := context.Cause(t.Context()); err != nil {
		return fmt.Errorf("txiso: a database was asked for when the test's context had ended: %w; %s, not in its Cleanup", err, advice)
	}
	return nil
}

// atEnd calls f when the test ends, at once if it has.
func (h *test) atEnd(f func()) {
	h.iso.mu.Lock()
	late := h.closed
	if !late {
		h.close = append(h.close, f)
	}
	h.iso.mu.Unlock()
	if late {
		f()
	}
}

// end rolls back what the test did. t.Context() is over by now.
func (h *test) end(t TB) {
	t.Helper()
	h.iso.mu.Lock()
	delete(h.iso.tests, t)
	h.iso.mu.Unlock()
	h.begun.Lock() // a goroutine of the test's may be about to lease
	h.over = true
	h.begun.Unlock()
	if h.ground == nil {
		return
	}
	defer h.giveTurn()
	hasFailed := failed(t)
	leaks := h.tellLeaks(t, hasFailed)
	var statements []session.Statement
	if leaks || hasFailed || h.ground.Troubled() {
		statements = h.ground.Statements()
	}
	findings, err := h.finish(t)
	for _, f := range findings {
		t.Errorf("%s", f)
	}
	if err != nil {
		t.Errorf("txiso: the test's transaction could not be rolled back in an orderly way: %v", err)
	}
	tellStatements(t, statements)
}
