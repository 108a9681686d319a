package conformance_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/DATA-DOG/go-txdb"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/txiso/txiso-go/txiso"
)

// column is one of the ways in which a behaviour is run.
type column string

const (
	plain    column = "plain" // the truth: a database of its own, real connections, real commits
	onTxdb   column = "txdb"
	onIso    column = "txiso"
	onNested column = "txiso, in a nested test"
)

// open gives a body its database. It is dropped or rolled back at the end of tb.
func (c column) open(tb *bodyTB) backend {
	switch c {
	case plain:
		return openPlain(tb)
	case onTxdb:
		return openTxdb(tb)
	case onNested:
		return openNested(tb)
	default:
		return openIso(tb)
	}
}

// closers are called last in, first out.
type closers struct{ tb *bodyTB }

func (c closers) AtEnd(f func()) { c.tb.Cleanup(f) }

// dropping are the clones that are being dropped.
var dropping sync.WaitGroup

type plainBackend struct {
	closers
	cfg *pgx.ConnConfig
}

func openPlain(tb *bodyTB) backend {
	return &plainBackend{closers{tb}, clone(tb)}
}

// clone makes a private database. A DROP DATABASE just behind the last disconnection sleeps on the server, so nobody waits
// for it but the end of the process.
func clone(tb *bodyTB) *pgx.ConnConfig {
	owner := newBodyTB(context.Background(), tb.name)
	private := iso.Clone(owner)
	tb.Cleanup(func() { dropping.Go(owner.end) })
	cfg, err := pgx.ParseConfig(private.DSN)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	tb.database = cfg.Database
	return cfg
}

func (b *plainBackend) Config() *pgx.ConnConfig { return b.cfg.Copy() }

func (b *plainBackend) DB() *sql.DB {
	db := stdlib.OpenDB(*b.cfg)
	b.AtEnd(func() { db.Close() })
	return db
}

type txdbBackend struct {
	closers
	name string
	cfg  *pgx.ConnConfig
}

var txdbNames atomic.Uint64 // database/sql's registry wants a new one each time

// openTxdb does what the README of go-txdb does.
func openTxdb(tb *bodyTB) backend {
	cfg := clone(tb)
	name := fmt.Sprint("txdb", txdbNames.Add(1))
	txdb.Register(name, "pgx", cfg.ConnString())
	return &txdbBackend{closers{tb}, name, cfg}
}

func (b *txdbBackend) Config() *pgx.ConnConfig { panic("go-txdb has no pgx interface") }

func (b *txdbBackend) DB() *sql.DB {
	db, err := sql.Open(b.name, "behaviour")
	if err != nil {
		b.tb.Fatalf("%v", err)
	}
	b.AtEnd(func() { db.Close() })
	return db
}

type isoBackend struct {
	closers
	cfg *pgx.ConnConfig
	db  func(txiso.TB) *sql.DB
}

func openIso(tb *bodyTB) backend {
	pool := iso.Pool(tb) // the public way to a configuration
	tb.database = pool.Config().ConnConfig.Database
	return &isoBackend{closers{tb}, pool.Config().ConnConfig, iso.DB}
}

func (b *isoBackend) Config() *pgx.ConnConfig { return b.cfg.Copy() }
func (b *isoBackend) DB() *sql.DB             { return b.db(b.tb) }

// bodyTB is the test that a body's database belongs to. Unlike a *testing.T it keeps what it is told, so that a behaviour
// can be about that, and its clean-up can be waited for with a bound.
type bodyTB struct {
	name string
	ctx  context.Context
	done context.CancelFunc

	mu       sync.Mutex
	cleanups []func()
	told     []string // Errorf
	database string
}

var _ txiso.TB = (*bodyTB)(nil)

func newBodyTB(ctx context.Context, name string) *bodyTB {
	tb := &bodyTB{name: name}
	tb.ctx, tb.done = context.WithCancel(ctx)
	return tb
}

func (tb *bodyTB) Helper()                  {}
func (tb *bodyTB) Name() string             { return tb.name }
func (tb *bodyTB) Context() context.Context { return tb.ctx }
func (tb *bodyTB) Logf(string, ...any)      {}

func (tb *bodyTB) Cleanup(f func()) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.cleanups = append(tb.cleanups, f)
}

func (tb *bodyTB) Errorf(format string, args ...any) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.told = append(tb.told, fmt.Sprintf(format, args...))
}

func (tb *bodyTB) Fatalf(format string, args ...any) {
	tb.Errorf(format, args...)
	panic(stopped{})
}

func (tb *bodyTB) said() []string {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return slices.Clone(tb.told)
}

// end runs the clean-up as testing does: after the test's context has ended, last in, first out.
func (tb *bodyTB) end() {
	tb.done()
	for {
		tb.mu.Lock()
		n := len(tb.cleanups)
		if n == 0 {
			tb.mu.Unlock()
			return
		}
		f := tb.cleanups[n-1]
		tb.cleanups = tb.cleanups[:n-1]
		tb.mu.Unlock()
		f()
	}
}

// newBodyTBFor is a test inside a body.
func newBodyTBFor(e *Env) *bodyTB {
	tb := newBodyTB(background(), "inner")
	e.on.AtEnd(func() { dropping.Go(tb.end) })
	return tb
}
