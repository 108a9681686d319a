package property_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// world is a place where sequences run.
type world interface {
	// open makes everything as the schema says.
	open(ctx context.Context) error
	config() *pgx.ConnConfig
	db() *sql.DB
	// left waits until the server has noticed that a connection was closed.
	left(ctx context.Context, pid uint32)
	// asleep waits until the backend of a connection sleeps, or any, if pid is 0.
	asleep(ctx context.Context, pid uint32)
	// awake waits until no backend sleeps any more.
	awake(ctx context.Context)
	// end takes everything down and returns complaints.
	end() []string
}

// plain is the truth: a private database, made new for each sequence.
type plain struct {
	cfg     *pgx.ConnConfig
	opened  []*sql.DB
	mu      sync.Mutex // guards monitor
	monitor *pgx.Conn
}

func newPlain(t *testing.T) *plain {
	t.Helper()
	cfg, err := pgx.ParseConfig(iso.Clone(t).DSN)
	if err != nil {
		t.Fatal(err)
	}
	monitor, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { monitor.Close(context.Background()) })
	return &plain{cfg: cfg, monitor: monitor}
}

func (p *plain) open(ctx context.Context) error {
	p.left(ctx, 0)
	_, err := p.monitor.Exec(ctx, "set client_min_messages = error; drop schema public cascade; create schema public; grant usage on schema public to public;"+schema)
	return err
}

func (p *plain) config() *pgx.ConnConfig { return p.cfg.Copy() }

func (p *plain) db() *sql.DB {
	db := stdlib.OpenDB(*p.cfg)
	p.opened = append(p.opened, db)
	return db
}

// left waits for the end of one backend, or of all of them.
func (p *plain) left(ctx context.Context, pid uint32) {
	p.await(ctx, "not exists (select from pg_stat_activity where datname = $1 and pid <> pg_backend_pid() and $2 in (0, pid))", p.cfg.Database, pid)
}

func (p *plain) asleep(ctx context.Context, pid uint32) { p.awaitSleep(ctx, p.cfg.Database, pid) }

func (p *plain) awake(ctx context.Context) { p.awaitWaking(ctx, p.cfg.Database) }

func (p *plain) awaitWaking(ctx context.Context, database string) {
	p.await(ctx, "not exists (select from pg_stat_activity where datname = $1 and $2 = 0 and wait_event = 'PgSleep')", database, 0)
}

func (p *plain) awaitSleep(ctx context.Context, database string, pid uint32) {
	p.await(ctx, "exists (select from pg_stat_activity where datname = $1 and $2 in (0, pid) and wait_event = 'PgSleep')", database, pid)
}

// await waits until something about the backends of a database is true.
func (p *plain) await(ctx context.Context, condition, database string, pid uint32) {
	for reached := false; !reached && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		err := p.monitor.QueryRow(context.WithoutCancel(ctx), "select "+condition, database, int64(pid)).Scan(&reached)
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *plain) end() []string {
	for _, db := range p.opened {
		db.Close()
	}
	p.opened = nil
	return nil
}

// isolated is txiso, with a test of its own for each sequence.
type isolated struct {
	tb      *playedTB
	cfg     *pgx.ConnConfig
	monitor *plain // sees the backends of the whole server
}

func (w *isolated) open(context.Context) (err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("no lease: %v", w.tb.told)
		}
	}()
	w.tb = newPlayedTB()
	w.cfg = iso.Pool(w.tb).Config().ConnConfig
	return nil
}

func (w *isolated) config() *pgx.ConnConfig      { return w.cfg.Copy() }
func (w *isolated) db() *sql.DB                  { return iso.DB(w.tb) }
func (w *isolated) left(context.Context, uint32) {} // the next statement must work at once
func (w *isolated) asleep(ctx context.Context, _ uint32) {
	w.monitor.awaitSleep(ctx, w.cfg.Database, 0)
}
func (w *isolated) awake(ctx context.Context) { w.monitor.awaitWaking(ctx, w.cfg.Database) }
func (w *isolated) end() []string {
	w.tb.end()
	return w.tb.told
}

// playedTB is the test that a sequence on txiso believes to be in.
type playedTB struct {
	ctx      context.Context
	done     context.CancelFunc
	cleanups []func()
	told     []string
}

func newPlayedTB() *playedTB {
	tb := &playedTB{}
	tb.ctx, tb.done = context.WithCancel(context.Background())
	return tb
}

func (tb *playedTB) Helper()                  {}
func (tb *playedTB) Name() string             { return "sequence" }
func (tb *playedTB) Context() context.Context { return tb.ctx }
func (tb *playedTB) Logf(string, ...any)      {}
func (tb *playedTB) Cleanup(f func())         { tb.cleanups = append(tb.cleanups, f) }
func (tb *playedTB) Errorf(format string, args ...any) {
	tb.told = append(tb.told, fmt.Sprintf(format, args...))
}
func (tb *playedTB) Fatalf(format string, args ...any) {
	tb.Errorf(format, args...)
	panic("the played test ends")
}

func (tb *playedTB) end() {
	tb.done()
	for n := len(tb.cleanups); n > 0; n = len(tb.cleanups) {
		f := tb.cleanups[n-1]
		tb.cleanups = tb.cleanups[:n-1]
		f()
	}
}
