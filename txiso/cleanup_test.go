package txiso_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/txiso/txiso-go/txiso"
)

// endings are the ways in which the function of a test ends. Each is played with what a test in full flight holds.
var endings = map[string]func(tb *fakeTB){
	"returned": func(*fakeTB) {},
	"failed":   func(tb *fakeTB) { tb.Fatalf("as planned") },
	"panicked": func(*fakeTB) { panic("as planned") },
	"exited":   func(*fakeTB) { runtime.Goexit() },
}

// The next test runs on the same connection, which must be as good as new.
func TestHoweverATestEndsTheNextOneStartsClean(t *testing.T) {
	t.Parallel()
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			private := fresh(t, txiso.Config{Migrations: table(t), AllowLeaks: true})
			var before int
			ended := playTest(t, func(tb *fakeTB) {
				before = leaveEverythingOpen(t, private, tb)
				end(tb)
			})
			for _, said := range ended.errors {
				t.Errorf("the end of the test said %q", said)
			}
			playTest(t, func(tb *fakeTB) {
				db := private.DB(tb)
				execute(t, db, "INSERT INTO t VALUES (1)")
				if n := query[int](t, db, "SELECT count(*) FROM t"); n != 1 {
					t.Errorf("%d rows, want 1", n)
				}
				if got := backend(t, db); got != before {
					t.Errorf("the connection of the test before was not used again")
				}
			}).expectPass(t)
		})
	}
}

// leaveEverythingOpen holds a transaction, rows, a prepared statement, connections of both kinds of pool and an advisory
// lock, and returns the backend.
func leaveEverythingOpen(t *testing.T, iso *txiso.Iso, tb *fakeTB) (pid int) {
	t.Helper()
	db, pool := iso.DB(tb), iso.Pool(tb)
	pid = backend(t, db)
	if _, err := db.PrepareContext(tb.Context(), "SELECT n FROM t WHERE n = $1"); err != nil {
		t.Error(err)
	}
	execute(t, db, "SELECT pg_advisory_lock(1)")
	if _, err := db.QueryContext(tb.Context(), "SELECT generate_series(1, 100000)"); err != nil {
		t.Error(err)
	}
	if conn, err := pool.Acquire(tb.Context()); err != nil {
		t.Error(err)
	} else {
		t.Cleanup(conn.Release) // long after the played test; until then a goroutine waits for it, as Pool's Close would
	}
	tx, err := db.BeginTx(tb.Context(), nil)
	if err != nil {
		t.Error(err)
		return pid
	}
	if _, err := tx.Exec("INSERT INTO t VALUES (1)"); err != nil {
		t.Error(err)
	}
	return pid
}

// A statement that runs when the test has ended is cancelled; its goroutine is told.
func TestAStatementThatOutlivesItsTestIsCancelled(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t)})
	failed := make(chan error, 1)
	var pid int
	playTest(t, func(tb *fakeTB) {
		db := private.DB(tb)
		pid = backend(t, db)
		go func() {
			_, err := db.ExecContext(context.Background(), "SELECT pg_sleep(3600)")
			failed <- err
		}()
		awaitStatement(t, pid, "SELECT pg_sleep(3600)")
	}).expectPass(t)
	if err := <-failed; err == nil {
		t.Error("an hour has passed")
	}
	playTest(t, func(tb *fakeTB) {
		if got := backend(t, private.DB(tb)); got != pid {
			t.Error("the connection was not used again")
		}
	}).expectPass(t)
}

// awaitStatement waits until a backend runs a statement.
func awaitStatement(t *testing.T, pid int, text string) {
	t.Helper()
	observer := connect(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for runs := false; !runs; {
		err := observer.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND strpos(query, $2) > 0)", pid, text).Scan(&runs)
		if err != nil {
			t.Fatalf("backend %d does not run %s: %v", pid, text, err)
		}
	}
}

func TestTheConnectionOfAPoolThatIsNotReleasedIsClosedWithItsTest(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t), AllowLeaks: true})
	played := playTest(t, func(tb *fakeTB) {
		conn, err := private.Pool(tb).Acquire(tb.Context())
		if err != nil {
			t.Fatal(err)
		}
		tb.Cleanup(func() { // runs before the pool is closed
			_, err := conn.Exec(context.Background(), "SELECT 1")
			if err != nil {
				t.Errorf("in Cleanup: %v", err)
			}
		})
		t.Cleanup(func() {
			if _, err := conn.Exec(context.Background(), "SELECT 1"); err == nil {
				t.Error("the connection outlives its test")
			}
			conn.Release()
		})
	})
	played.expectPass(t)
}

func TestStatementsUndoneByAnotherConnectionsRollbackFailTheTest(t *testing.T) {
	t.Parallel()
	played := playTest(t, func(tb *fakeTB) {
		db := iso.DB(tb)
		tx, err := db.BeginTx(tb.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("SELECT count(*) FROM customers"); err != nil {
			t.Fatal(err)
		}
		execute(t, db, "INSERT INTO customers (email, name) VALUES ('ann@example.com', 'Ann')")
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	})
	if len(played.errors) != 1 {
		t.Fatalf("the test was told %q, want one error", played.errors)
	}
	expectError(t, played.errors[0], "1 statement(s) ran on another connection", "cleanup_test.go:", "Run them on the transaction", "Clone")
}
