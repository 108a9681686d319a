package lease_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/txiso/txiso-go/txiso/internal/lease"
)

// failing is a Migrator that counts how often it fails.
type failing struct {
	table
	runs *atomic.Int32
	how  func(context.Context) error
}

func (m failing) Migrate(ctx context.Context, _ *sql.DB) error {
	m.runs.Add(1)
	return m.how(ctx)
}

// elsewhere needs another server, which is not there.
func elsewhere(ctx context.Context) error {
	_, err := pgconn.Connect(ctx, "host=127.0.0.1 port=1 user=nobody dbname=nothing")
	return err
}

var errSlow = errors.New("no such column")

// slowly fails after the others who want the result have asked for it.
func slowly(context.Context) error {
	time.Sleep(300 * time.Millisecond)
	return errSlow
}

// Migrations that found another server dead were taken for a sign that ours was, and run again and again.
func TestMigrationsThatFailOnAnotherServerAreRunOnce(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	var runs atomic.Int32
	cfg.Provision.Migrator = failing{table(rand.Text()), &runs, elsewhere}
	p := open(t, cfg)
	for range 3 {
		if _, err := p.Get(bounded(t), t.Logf); err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%v, want the error of the migrations", err)
		}
	}
	if n := runs.Load(); n != 1 {
		t.Errorf("they ran %d times", n)
	}
}

// Parallel tests that all waited for the same migrations ran them one after the other when they failed.
func TestMigrationsThatFailAreRunOnceForAllWhoWait(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	var runs atomic.Int32
	cfg.Provision.Migrator = failing{table(rand.Text()), &runs, slowly}
	p := open(t, cfg)
	var tests sync.WaitGroup
	for range 8 {
		tests.Go(func() {
			if _, err := p.Get(bounded(t), t.Logf); !errors.Is(err, errSlow) {
				t.Errorf("%v, want the error of the migrations", err)
			}
		})
	}
	tests.Wait()
	if n := runs.Load(); n != 1 {
		t.Errorf("they ran %d times", n)
	}
}

// What kept one test from a database of its own was told to all that came within ten seconds, while others ran and the reason had gone.
func TestAFailureIsNotRememberedWhileTestsRun(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	dsn := cfg.Provision.DSN
	limited(t, &cfg, 5)
	role := roleOf(t, cfg)
	p := open(t, cfg)
	runs := get(t, p)
	name := runs.Config().Database
	t.Cleanup(func() { closeNow(t, p); drop(t, dsn, name[:strings.LastIndex(name, "_")]) })
	admin := connect(t, dsn)
	alter := func(how string) {
		if _, err := admin.Exec(context.Background(), "ALTER ROLE "+role+" "+how); err != nil {
			t.Fatal(err)
		}
	}
	alter("NOCREATEDB")
	if _, err := p.Get(bounded(t), t.Logf); err == nil || !strings.Contains(err.Error(), "may not create databases") {
		t.Errorf("%v, want that no database may be created", err)
	}
	alter("CREATEDB")
	play(t, p, "SELECT")
	if _, err := runs.End(time.Minute); err != nil {
		t.Error(err)
	}
}

func roleOf(t *testing.T, cfg lease.Config) string {
	t.Helper()
	parsed, err := pgconn.ParseConfig(cfg.Provision.DSN)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.User
}
