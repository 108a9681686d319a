package txiso_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso"
)

// line is the place of its caller's next line.
func line() string {
	_, file, n, _ := runtime.Caller(1)
	return fmt.Sprintf("%s:%d ", file, n+1)
}

// leaking are tests that leave something open, and what they are told of it. They use the connection before, so that it is
// taken from a pool when it counts.
var leaking = map[string]func(t *testing.T, iso *txiso.Iso, tb *fakeTB) (told []string){
	"transaction": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) []string {
		place := line()
		tx, err := iso.DB(tb).Begin()
		fatal(t, err)
		t.Cleanup(func() { _ = tx.Rollback() }) // for goleak, long after the played test; so are those below
		return []string{"the transaction begun at " + place + "is still open; end it with Commit or Rollback"}
	},
	"transaction that failed": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) []string {
		db, place := iso.DB(tb), line()
		tx, err := db.Begin()
		fatal(t, err)
		t.Cleanup(func() { _ = tx.Rollback() })
		_, _ = tx.Exec("SELECT 1/0")
		execute(t, db, "SELECT 1")
		return []string{"the transaction begun at " + place}
	},
	"transaction of pgx": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) []string {
		place := line()
		tx, err := iso.Pool(tb).Begin(tb.Context())
		fatal(t, err)
		t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
		return []string{"the transaction begun at " + place}
	},
	"transaction begun by text": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) []string {
		db, place := iso.DB(tb), line()
		_, err := db.Exec("BEGIN")
		fatal(t, err)
		return []string{"the transaction begun at " + place}
	},
	"rows": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) []string {
		db := iso.DB(tb)
		execute(t, db, "SELECT 1")
		place := line()
		_, err := db.Query("SELECT n FROM generate_series(1, 2) n")
		fatal(t, err)
		return []string{"the rows of the query at " + place + "are not closed; close them (defer rows.Close())"}
	},
	"many rows": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) []string {
		place := line()
		rows, err := iso.DB(tb).Query("SELECT generate_series(1, 1000000)")
		fatal(t, err)
		rows.Next()
		return []string{"the rows of the query at " + place}
	},
	"rows of RETURNING": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) []string {
		place := line()
		_, err := iso.DB(tb).Query("INSERT INTO t VALUES (1) RETURNING n")
		fatal(t, err)
		return []string{"the rows of the query at " + place}
	},
	"a row that is not scanned": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) []string {
		place := line()
		iso.DB(tb).QueryRow("SELECT 1")
		return []string{"the rows of the query at " + place}
	},
	"rows of a prepared statement": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) []string {
		stmt, err := iso.DB(tb).Prepare("SELECT n FROM t")
		fatal(t, err)
		place := line()
		_, err = stmt.Query()
		fatal(t, err)
		return []string{"the rows of the query at " + place}
	},
	"rows of pgx": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) []string {
		pool := iso.Pool(tb)
		_, err := pool.Exec(tb.Context(), "SELECT 1")
		fatal(t, err)
		place := line()
		rows, err := pool.Query(tb.Context(), "SELECT n FROM t")
		fatal(t, err)
		t.Cleanup(rows.Close)
		return []string{"the rows of the query at " + place}
	},
	"rows of two queries": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) []string {
		db, one := iso.DB(tb), line()
		_, err := db.Query("SELECT 1")
		fatal(t, err)
		two := line()
		_, err = db.Query("SELECT 1")
		fatal(t, err)
		return []string{"the rows of the query at " + one, "the rows of the query at " + two}
	},
	"connection": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) []string {
		db := iso.DB(tb)
		execute(t, db, "SELECT 1")
		conn, err := db.Conn(t.Context())
		fatal(t, err)
		place := line()
		_, err = conn.ExecContext(t.Context(), "SELECT 1")
		fatal(t, err)
		return []string{"a connection was not given back that was used first at " + place + "; Close every *sql.Conn"}
	},
	"connection of pgx": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) []string {
		conn, err := iso.Pool(tb).Acquire(t.Context())
		fatal(t, err)
		t.Cleanup(conn.Release)
		place := line()
		_, err = conn.Exec(t.Context(), "SELECT 1")
		fatal(t, err)
		return []string{"a connection was not given back that was used first at " + place}
	},
	"connection that has written once": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) []string {
		conn, err := iso.DB(tb).Conn(t.Context())
		fatal(t, err)
		_, err = conn.ExecContext(t.Context(), "INSERT INTO t VALUES (1)")
		fatal(t, err)
		return []string{"a connection was not given back, on which the last statement was INSERT INTO t VALUES (1); Close rows and every *sql.Conn"}
	},
	"connection without a use": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) []string {
		_, err := iso.DB(tb).Conn(t.Context())
		fatal(t, err)
		return []string{"a connection was not given back that was not used; Close"}
	},
	"rows of a handle that was closed": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) []string {
		db, place := iso.DB(tb), line()
		_, err := db.Query("SELECT 1")
		fatal(t, err)
		fatal(t, db.Close())
		return []string{"the rows of the query at " + place}
	},
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatATestLeavesOpenFailsItWithThePlace(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t)})
	for name, leave := range leaking {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want []string
			played := playTest(t, func(tb *fakeTB) { want = leave(t, private, tb) })
			if len(played.errors) != len(want) {
				t.Fatalf("the test was told %q, want %q", played.errors, want)
			}
			all := strings.Join(played.errors, "\n")
			for i, text := range want {
				expectError(t, played.errors[i], "txiso: the test has ended, but ", ", or set Config.AllowLeaks")
				if !strings.Contains(strings.ReplaceAll(all, " ;", ";"), strings.ReplaceAll(strings.TrimSpace(text), " ;", ";")) {
					t.Errorf("the test was told\n%s\nwant\n%s", all, text)
				}
			}
		})
	}
}

func TestLeaksCanBeAllowed(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t), AllowLeaks: true})
	for name, leave := range leaking {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playTest(t, func(tb *fakeTB) { leave(t, private, tb) }).expectPass(t)
		})
	}
}

// A test that has failed in the middle could not close what it had open: its log has one line about it.
func TestATestThatHasFailedIsToldItsLeaksInPassing(t *testing.T) {
	t.Parallel()
	place := ""
	played := playTest(t, func(tb *fakeTB) {
		db := iso.DB(tb)
		place = line()
		tx, err := db.Begin()
		fatal(t, err)
		t.Cleanup(func() { _ = tx.Rollback() })
		_, err = db.Query("SELECT 1")
		fatal(t, err)
		tb.Fatalf("as planned")
	})
	if len(played.errors) != 0 || len(played.logs) != 1 || !strings.Contains(played.logs[0], "txiso: when the test ended, the transaction begun at "+place+"is still open; the rows of the query at ") {
		t.Errorf("the test was told %q, %q", played.errors, played.logs)
	}
}

// orderly are tests that close what they have opened, in ways that take some knowledge to see.
var orderly = map[string]func(t *testing.T, iso *txiso.Iso, tb *fakeTB){
	"closed in Cleanup": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) {
		db := iso.DB(tb)
		tx, err := db.Begin()
		fatal(t, err)
		tb.Cleanup(func() { fatal(t, tx.Rollback()) })
		rows, err := db.Query("SELECT 1")
		fatal(t, err)
		tb.Cleanup(func() { fatal(t, rows.Close()) })
	},
	"ended by the test's context": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) {
		db := iso.DB(tb)
		tx, err := db.BeginTx(tb.Context(), nil)
		fatal(t, err)
		_, err = tx.QueryContext(tb.Context(), "SELECT generate_series(1, 100000)")
		fatal(t, err)
		_, err = iso.DB(tb).QueryContext(tb.Context(), "SELECT generate_series(1, 100000)")
		fatal(t, err)
	},
	"read to the end": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) {
		rows, err := iso.DB(tb).Query("SELECT 1")
		fatal(t, err)
		for rows.Next() {
		}
	},
	"handles closed": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) {
		db, pool := iso.DB(tb), iso.Pool(tb)
		execute(t, db, "SELECT 1")
		_, err := pool.Exec(t.Context(), "SELECT 1")
		fatal(t, err)
		fatal(t, db.Close())
		pool.Close()
	},
	"statements not closed": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) {
		_, err := iso.DB(tb).Prepare("SELECT 1")
		fatal(t, err)
	},
	"closed by a goroutine a moment later": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) {
		db := iso.DB(tb)
		conn, err := db.Conn(t.Context())
		fatal(t, err)
		go func() {
			_ = db.PingContext(t.Context())
			_ = conn.Close()
		}()
	},
	"a batch and nested transactions": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) {
		pool := iso.Pool(tb)
		fatal(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			return pgx.BeginFunc(t.Context(), tx, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), "INSERT INTO t VALUES (1)")
				return err
			})
		}))
		batch := &pgx.Batch{}
		batch.Queue("SELECT 1")
		fatal(t, pool.SendBatch(t.Context(), batch).Close())
	},
	"many goroutines": func(t *testing.T, iso *txiso.Iso, tb *fakeTB) {
		db, done := iso.DB(tb), make(chan error)
		for range 8 {
			go func() {
				tx, err := db.Begin()
				if err == nil {
					err = errors.Join(tx.QueryRow("SELECT 1").Scan(new(int)), tx.Commit())
				}
				done <- err
			}()
		}
		for range 8 {
			fatal(t, <-done)
		}
	},
}

func TestWhatIsClosedIsNoLeak(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t)})
	for name, do := range orderly {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 5 {
				playTest(t, func(tb *fakeTB) { do(t, private, tb) }).expectPass(t)
			}
		})
	}
}

func TestANestedTestIsToldItsOwnLeaks(t *testing.T) {
	t.Parallel()
	playTest(t, func(parent *fakeTB) {
		rows, err := iso.DB(parent).Query("SELECT 1")
		fatal(t, err)
		place := ""
		nested := playTest(t, func(tb *fakeTB) {
			iso.Nested(tb, parent)
			place = line()
			_, err := iso.DB(tb).Query("SELECT 2")
			fatal(t, err)
		})
		if len(nested.errors) != 1 || !strings.Contains(nested.errors[0], place) {
			t.Errorf("the nested test was told %q, want %s", nested.errors, place)
		}
		fatal(t, rows.Close())
	}).expectPass(t)
}

func TestClosingARegisteredDatabaseReturnsItsLeaks(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("txiso", t.Name())
	fatal(t, err)
	execute(t, db, "SELECT 1")
	place := line()
	_, err = db.Query("SELECT 1")
	fatal(t, err)
	begun := line()
	tx, err := db.Begin()
	fatal(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	err = db.Close()
	if err == nil {
		t.Fatal("Close returns no error")
	}
	expectError(t, err.Error(), "the rows of the query at "+place, "the transaction begun at "+begun, "set Config.AllowLeaks")
}

func TestStrictTellsStatementsBesideTheTransaction(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t), Strict: true})
	var begun string
	played := playTest(t, func(tb *fakeTB) {
		db := private.DB(tb)
		begun = line()
		tx, err := db.Begin()
		fatal(t, err)
		_, err = tx.Exec("INSERT INTO t VALUES (1)")
		fatal(t, err)
		for i := range 3 {
			execute(t, db, "INSERT INTO t VALUES ($1)", i+2)
		}
		fatal(t, db.Ping())
		fatal(t, tx.Commit())
		execute(t, db, "INSERT INTO t VALUES (9)")
		if n := query[int](t, db, "SELECT count(*) FROM t"); n != 5 {
			t.Errorf("%d rows, want 5", n)
		}
	})
	if len(played.errors) != 1 {
		t.Fatalf("the test was told %q, want one error", played.errors)
	}
	expectError(t, played.errors[0], "the statement at ", "main_test.go:", "was sent on another connection while the transaction begun at "+begun, "send it on the transaction", "Config.Strict")
}

func TestStrictTellsEachPairOfPlacesOnce(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t), Strict: true})
	for range 2 { // and the next test again
		played := playTest(t, func(tb *fakeTB) {
			db, pool := private.DB(tb), private.Pool(tb)
			for range 2 {
				tx, err := db.Begin()
				fatal(t, err)
				_, _ = tx.Exec("SELECT 1/0") // a transaction that has failed is open as well
				_, err = db.Exec("SELECT 1")
				fatal(t, err)
				_, err = pool.Exec(context.Background(), "SELECT 1")
				fatal(t, err)
				fatal(t, tx.Rollback())
			}
		})
		if len(played.errors) != 2 || strings.Count(strings.Join(played.errors, ""), "leaks_test.go:") != 4 {
			t.Errorf("the test was told %q, want two errors", played.errors)
		}
	}
}

func TestWithoutStrictStatementsBesideTheTransactionPass(t *testing.T) {
	t.Parallel()
	playTest(t, func(tb *fakeTB) {
		db := iso.DB(tb)
		tx, err := db.Begin()
		fatal(t, err)
		execute(t, db, "SELECT 1")
		fatal(t, tx.Commit())
	}).expectPass(t)
}

// Goroutines that take turns are none of Strict's business, nor are transactions that wait for each other.
func TestStrictLetsOrderlyTestsPass(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t), Strict: true})
	for name, do := range orderly {
		if name == "closed in Cleanup" || name == "ended by the test's context" {
			continue // they do use db beside tx
		}
		playTest(t, func(tb *fakeTB) { do(t, private, tb) }).expectPass(t)
	}
}

// Strict knows where a connection was taken even if nothing was done with it.
func TestStrictTellsWhereAConnectionWasTaken(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t), Strict: true})
	place := ""
	played := playTest(t, func(tb *fakeTB) {
		db := private.DB(tb)
		execute(t, db, "SELECT 1")
		place = line()
		_, err := db.Conn(t.Context())
		fatal(t, err)
	})
	if len(played.errors) != 1 || !strings.Contains(played.errors[0], "a connection was not given back that was taken at "+strings.TrimSpace(place)) {
		t.Errorf("the test was told %q, want %s", played.errors, place)
	}
}
