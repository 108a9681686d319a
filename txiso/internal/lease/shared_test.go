package lease_test

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/txiso/txiso-go/txiso/internal/lease"
)

func shared(t *testing.T) lease.Config {
	t.Helper()
	cfg := config(t)
	cfg.Shared, cfg.Session.BeginTimeout = true, 10*time.Second
	return cfg
}

func openDB(t *testing.T, l *lease.Lease) *sql.DB {
	t.Helper()
	db := stdlib.OpenDB(*l.Config())
	t.Cleanup(func() { db.Close() })
	return db
}

func TestLeasesOfASharedPoolHaveOneDatabase(t *testing.T) {
	t.Parallel()
	cfg := shared(t)
	p := open(t, cfg)
	const atOnce = 6
	var mu sync.Mutex
	found := map[string]int{}
	var all sync.WaitGroup
	for range atOnce { // from the first lease on
		all.Go(func() {
			l, err := p.Get(context.Background(), t.Logf)
			if err != nil {
				t.Error(err)
				return
			}
			db := stdlib.OpenDB(*l.Config())
			defer db.Close()
			if _, err := db.Exec("SELECT count(*) FROM t"); err != nil {
				t.Error(err)
			}
			mu.Lock()
			found[l.Config().Database]++
			mu.Unlock()
			if _, err := l.End(time.Minute); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(found) != 1 {
		t.Errorf("the databases are %v, want one", found)
	}
	other := open(t, cfg)
	for name := range found {
		if another := play(t, other, "SELECT"); another == name {
			t.Errorf("another process has the same database, %s", name)
		}
	}
}

// Those beside it are told, because they may have seen it, and the next ones get another database.
func TestACommitInASharedDatabaseIsToldToAllThatShareIt(t *testing.T) {
	cfg := shared(t)
	dsn := cfg.Provision.DSN
	p := open(t, cfg)
	idle, beside, culprit := get(t, p), get(t, p), get(t, p)
	if _, err := openDB(t, beside).Exec("SELECT count(*) FROM t"); err != nil {
		t.Fatal(err)
	}
	if _, err := idle.End(time.Minute); err != nil {
		t.Fatal(err)
	}
	name := culprit.Config().Database
	before := oid(t, dsn, name)
	if _, err := openDB(t, culprit).Exec("INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	commitOuter(t)
	if _, err := culprit.End(time.Minute); err == nil || !strings.Contains(err.Error(), "the outer transaction was ended") {
		t.Errorf("the culprit's end said %v", err)
	}
	if oid(t, dsn, name) != before {
		t.Error("the database was dropped under a test that runs in it")
	}
	if next := play(t, p, "INSERT INTO t VALUES (1)"); next == name {
		t.Errorf("the next test is in the same database")
	}
	findings, err := beside.End(time.Minute)
	if err != nil || len(findings) != 1 || !strings.Contains(findings[0], "another test of this process has really committed something in the worker database that they share") {
		t.Errorf("the test beside it was told %q, %v", findings, err)
	}
	for range 2 {
		play(t, p, "INSERT INTO t VALUES (1)")
	}
	if oid(t, dsn, name) == before {
		t.Error("the changed database is still there")
	}
}

func TestASharedDatabaseIsGivenBackWithThePool(t *testing.T) {
	t.Parallel()
	cfg := shared(t)
	p := open(t, cfg)
	one, two := get(t, p), get(t, p)
	name := one.Config().Database
	for _, l := range []*lease.Lease{one, two} {
		if _, err := l.End(time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	before := oid(t, cfg.Provision.DSN, name)
	closeNow(t, p)
	awaitGone(t, cfg.Provision.DSN, name)
	if again := play(t, open(t, cfg), "SELECT"); again != name || oid(t, cfg.Provision.DSN, name) != before {
		t.Errorf("the next process leased %s, want %s again", again, name)
	}
}

func TestALeaseOfASharedDatabaseCannotBeKept(t *testing.T) {
	t.Parallel()
	p := open(t, shared(t))
	l := get(t, p)
	if _, err := openDB(t, l).Exec("INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	_, _, _, err := l.Keep(time.Minute, t.Name(), 10)
	if err == nil || !strings.Contains(err.Error(), "with Config.Shared the tests of a process share one database") {
		t.Errorf("keeping it said %v", err)
	}
	play(t, p, "INSERT INTO t VALUES (1)")
}

// Those that joined while the first still connected were told nothing of what it found.
func TestAChangedDatabaseIsNobodysToShare(t *testing.T) {
	t.Parallel()
	for range 5 {
		cfg := shared(t)
		p := open(t, cfg)
		name := play(t, p, "SELECT")
		closeNow(t, p)
		u, err := pgx.ParseConfig(cfg.Provision.DSN)
		if err != nil {
			t.Fatal(err)
		}
		u.Database = name
		conn, err := pgx.ConnectConfig(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "INSERT INTO t VALUES (1)"); err != nil {
			t.Error(err)
		}
		_ = conn.Close(t.Context())
		awaitGone(t, cfg.Provision.DSN, name)
		next := open(t, cfg)
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				l, err := next.Get(context.Background(), t.Logf)
				if err != nil {
					t.Error(err)
					return
				}
				var n int
				db := stdlib.OpenDB(*l.Config())
				defer db.Close()
				if err := db.QueryRow("SELECT count(*) FROM t").Scan(&n); err != nil || n != 0 {
					t.Errorf("%d rows, %v", n, err)
				}
				if _, err := l.End(time.Minute); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
}
