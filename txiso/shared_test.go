package txiso_test

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/txiso/txiso-go/txiso"
	"github.com/txiso/txiso-go/txiso/internal/pgserver/pgtest"
)

// sharing returns an Iso whose tests share a database, and wait this long for each other.
func sharing(t *testing.T, wait time.Duration) *txiso.Iso {
	t.Helper()
	return fresh(t, txiso.Config{Migrations: table(t), Shared: true, BeginTimeout: wait})
}

func TestTestsThatShareADatabaseSeeNothingOfEachOther(t *testing.T) {
	t.Parallel()
	private := sharing(t, 0)
	const tests = 8
	var group, there sync.WaitGroup
	there.Add(tests)
	names, backends := make([]string, tests), make([]int, tests)
	for i := range tests {
		group.Go(func() {
			playTest(t, func(tb *fakeTB) {
				db := private.DB(tb)
				names[i], backends[i] = databaseName(t, db), backend(t, db)
				execute(t, db, "INSERT INTO t VALUES ($1)", i)
				tx, err := db.BeginTx(t.Context(), nil)
				if err != nil {
					t.Error(err)
				} else if err := tx.Commit(); err != nil {
					t.Error(err)
				}
				there.Done()
				there.Wait()
				if n := query[int](t, db, "SELECT count(*) FROM t"); n != 1 {
					t.Errorf("a test sees %d rows, want its own", n)
				}
			}).expectPass(t)
		})
	}
	group.Wait()
	for i := range tests {
		for j := range i {
			if names[i] != names[j] || backends[i] == backends[j] {
				t.Errorf("two tests are in %s and %s, on %d and %d", names[i], names[j], backends[i], backends[j])
			}
		}
	}
	playTest(t, func(tb *fakeTB) {
		if n := query[int](t, private.DB(tb), "SELECT count(*) FROM t"); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	}).expectPass(t)
}

// What each of the statements waits for is what the other test has done.
func TestAWaitForAnotherTestsLockEndsWithAnErrorThatNamesTheCause(t *testing.T) {
	t.Parallel()
	private := sharing(t, 100*time.Millisecond)
	for first, second := range map[string]string{
		"INSERT INTO t VALUES (1)":         "INSERT INTO t VALUES (1)",
		"CREATE TABLE made (n int)":        "CREATE TABLE made (n int)",
		"ALTER TABLE t ADD COLUMN m int":   "SELECT count(*) FROM t",
		"LOCK TABLE t IN EXCLUSIVE MODE":   "INSERT INTO t VALUES (2)",
		"SELECT pg_advisory_lock(1)":       "SELECT pg_advisory_lock(1)",
		"SELECT pg_advisory_xact_lock(2)":  "SELECT pg_advisory_lock(2)",
		"TRUNCATE t":                       "INSERT INTO t VALUES (3)",
		"CREATE INDEX ON t (n)":            "INSERT INTO t VALUES (4)",
		"CREATE SCHEMA mine":               "CREATE SCHEMA mine",
		"CREATE TYPE mood AS ENUM ('sad')": "CREATE TYPE mood AS ENUM ('sad')",
	} {
		playTest(t, func(one *fakeTB) {
			tx, err := private.DB(one).BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(first); err != nil {
				t.Fatalf("%s: %v", first, err)
			}
			if err := tx.Commit(); err != nil { // which gives no lock back
				t.Fatal(err)
			}
			playTest(t, func(two *fakeTB) {
				db := private.DB(two)
				execute(t, db, "CREATE TEMPORARY TABLE mine (n int)")
				_, err := db.Exec(second)
				expectLockedOut(t, second, err, "55P03", "Another test has held the lock for too long (100ms is Config.BeginTimeout's bound)")
				execute(t, db, "INSERT INTO mine VALUES (1)") // it goes on
			}).expectPass(t)
		}).expectPass(t)
	}
}

func expectLockedOut(t *testing.T, what string, err error, code, hint string) {
	t.Helper()
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != code {
		t.Errorf("%s gave %v, want SQLSTATE %s", what, err, code)
		return
	}
	for _, text := range []string{hint, "With Config.Shared the tests of a process share one database", "locked until it ends", "Clone"} {
		if !strings.Contains(pg.Hint, text) {
			t.Errorf("%s: the hint lacks %q: %q", what, text, pg.Hint)
		}
	}
}

func TestATestThatWaitsForAnotherTestsKeyGetsItWhenThatEnds(t *testing.T) {
	t.Parallel()
	private := sharing(t, time.Minute)
	var second sync.WaitGroup
	playTest(t, func(one *fakeTB) {
		execute(t, private.DB(one), "INSERT INTO t VALUES (1)")
		pids := make(chan int)
		second.Go(func() {
			playTest(t, func(two *fakeTB) {
				pids <- backend(t, private.DB(two))
				execute(t, private.DB(two), "INSERT INTO t VALUES (1)")
			}).expectPass(t)
		})
		awaitStatement(t, <-pids, "INSERT INTO t VALUES (1)")
	}).expectPass(t)
	second.Wait()
}

func TestTestsThatWaitForEachOtherAreToldSo(t *testing.T) {
	t.Parallel()
	private := sharing(t, time.Minute)
	playTest(t, func(one *fakeTB) {
		playTest(t, func(two *fakeTB) {
			execute(t, private.DB(one), "INSERT INTO t VALUES (1)")
			execute(t, private.DB(two), "INSERT INTO t VALUES (2)")
			failed := make(chan error, 2)
			for db, n := range map[*sql.DB]int{private.DB(one): 2, private.DB(two): 1} {
				go func() {
					_, err := db.Exec(fmt.Sprintf("INSERT INTO t VALUES (%d)", n))
					failed <- err
				}()
			}
			expectLockedOut(t, "a deadlock", <-failed, "40P01", "Another test waits for this one")
		}).expectPass(t) // its end lets the other one go on
	}).expectPass(t)
}

func TestTheDSNsLockTimeoutCounts(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{"": "10s", " lock_timeout=1234": "1234ms"} {
		private := txiso.New(txiso.Config{DSN: pgtest.DSN(t) + dsn, Migrations: table(t), Shared: true})
		playTest(t, func(tb *fakeTB) {
			if got := query[string](t, private.DB(tb), "SHOW lock_timeout"); got != want {
				t.Errorf("lock_timeout is %s, want %s", got, want)
			}
			execute(t, private.DB(tb), "SET lock_timeout = 1")
			execute(t, private.DB(tb), "RESET lock_timeout")
			if got := query[string](t, private.DB(tb), "SHOW lock_timeout"); got != want {
				t.Errorf("lock_timeout is %s after RESET, want %s", got, want)
			}
		}).expectPass(t)
		closeIso(t, private)
		dropTemplate(t, txiso.Config{DSN: pgtest.DSN(t) + dsn, Migrations: table(t)})
	}
}

func TestWithoutSharingNoStatementWaitsForALock(t *testing.T) {
	t.Parallel()
	playTest(t, func(tb *fakeTB) {
		if got := query[string](t, iso.DB(tb), "SHOW lock_timeout"); got != "0" {
			t.Errorf("lock_timeout is %s", got)
		}
	}).expectPass(t)
}

func TestNestedTestsWorkInASharedDatabase(t *testing.T) {
	t.Parallel()
	private := sharing(t, 0)
	playTest(t, func(tb *fakeTB) {
		execute(t, private.DB(tb), "INSERT INTO t VALUES (1)")
		for range 2 {
			playNested(t, private, tb, "child", func(child *fakeTB) {
				execute(t, private.DB(child), "INSERT INTO t VALUES (2)")
				playTest(t, func(other *fakeTB) { execute(t, private.DB(other), "INSERT INTO t VALUES (3)") }).expectPass(t)
			}).expectPass(t)
		}
	}).expectPass(t)
}

func TestWhatIsSharedCannotBeKept(t *testing.T) {
	failure(t, txiso.Config{KeepFailed: true, Shared: true}).expectFatal(t, "both KeepFailed and Shared", "set one of them")
	private := sharing(t, 0)
	t.Setenv("TXISO_KEEP", "1")
	played := playTest(t, func(tb *fakeTB) {
		execute(t, private.DB(tb), "INSERT INTO t VALUES (1)")
		tb.Errorf("as planned")
	})
	if len(played.logs) != 1 || len(played.errors) != 1 {
		t.Fatalf("the test says %q, %q", played.logs, played.errors)
	}
	expectError(t, played.logs[0], "could not be kept", "with Config.Shared the tests of a process share one database", "run this test without Shared")
	playTest(t, func(tb *fakeTB) { execute(t, private.DB(tb), "INSERT INTO t VALUES (1)") }).expectPass(t)
}
