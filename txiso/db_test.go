package txiso_test

import (
	"database/sql"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/txiso/txiso-go/txiso"
)

func TestADatabaseIsMigratedAndEmpty(t *testing.T) {
	t.Parallel()
	db := iso.DB(t)
	if n := customers(t, db); n != 0 {
		t.Errorf("%d customers", n)
	}
}

// Each of the two wants to be the first.
func TestWhatATestDoesIsRolledBack(t *testing.T) {
	for range 2 {
		playTest(t, func(tb *fakeTB) {
			db := iso.DB(tb)
			if n := customers(t, db); n != 0 {
				t.Errorf("%d customers of a test before", n)
			}
			insertCustomer(t, db, "ann@example.com")
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec("UPDATE customers SET name = 'Bob'"); err != nil {
				t.Fatal(err)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		}).expectPass(t)
	}
}

func TestATestThatUsesNothingPasses(t *testing.T) {
	t.Parallel()
	playTest(t, func(tb *fakeTB) { iso.DB(tb) }).expectPass(t)
	playTest(t, func(tb *fakeTB) { iso.Pool(tb) }).expectPass(t)
}

func TestDBAndPoolSeeTheSameDataHoweverOftenCalled(t *testing.T) {
	t.Parallel()
	insertCustomer(t, iso.DB(t), "db@example.com")
	insertByPool(t, iso.Pool(t), "pool@example.com")
	if n := customers(t, iso.DB(t)); n != 2 {
		t.Errorf("DB sees %d customers, want 2", n)
	}
	if n := customersByPool(t, iso.Pool(t)); n != 2 {
		t.Errorf("Pool sees %d customers, want 2", n)
	}
}

func TestClosingAHandleUndoesNothing(t *testing.T) {
	t.Parallel()
	db, pool := iso.DB(t), iso.Pool(t)
	insertCustomer(t, db, "db@example.com")
	insertByPool(t, pool, "pool@example.com")
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	pool.Close()
	if n := customers(t, iso.DB(t)); n != 2 {
		t.Errorf("%d customers after Close, want 2", n)
	}
}

func insertByPool(t *testing.T, pool *pgxpool.Pool, email string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), "INSERT INTO customers (email, name) VALUES ($1, 'Ann')", email); err != nil {
		t.Fatal(err)
	}
}

func customersByPool(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM customers").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A helper in a goroutine of the test may ask at the same moment as the test itself: it used to get a database of its own.
func TestGoroutinesOfOneTestShareItsDatabaseFromTheFirstCallOn(t *testing.T) {
	const goroutines = 8
	for range 5 {
		playTest(t, func(tb *fakeTB) {
			var group sync.WaitGroup
			start := make(chan struct{})
			for i := range goroutines {
				group.Go(func() {
					<-start
					insertCustomer(t, iso.DB(tb), string(rune('a'+i))+"@example.com")
				})
			}
			close(start)
			group.Wait()
			if n := customers(t, iso.DB(tb)); n != goroutines {
				t.Errorf("%d customers, want %d", n, goroutines)
			}
		}).expectPass(t)
	}
}

func TestASubtestHasDataOfItsOwnAndItsParentsHandles(t *testing.T) {
	parent := iso.DB(t)
	insertCustomer(t, parent, "ann@example.com")
	for _, name := range []string{"one", "two"} {
		t.Run(name, func(t *testing.T) {
			own := iso.DB(t)
			if n := customers(t, own); n != 0 {
				t.Errorf("the subtest starts with %d customers", n)
			}
			insertCustomer(t, own, "ann@example.com") // the parent's has the same address
			if n := customers(t, parent); n == 0 {
				t.Error("the parent's handle sees nothing in the subtest")
			}
			insertCustomer(t, parent, name+"@example.com")
			if n := customers(t, own); n != 1 {
				t.Errorf("the subtest sees %d customers, want its own", n)
			}
		})
	}
	if n := customers(t, parent); n != 3 {
		t.Errorf("the parent sees %d customers, want its own and those that were made with its handle", n)
	}
}

func TestParallelSubtestsUseTheirParentsHandleAfterItsFunctionHasReturned(t *testing.T) {
	t.Run("parent", func(t *testing.T) {
		parent := iso.DB(t)
		insertCustomer(t, parent, "ann@example.com")
		for _, name := range []string{"one", "two", "three"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				insertCustomer(t, iso.DB(t), "ann@example.com")
				insertCustomer(t, parent, name+"@example.com")
			})
		}
		t.Cleanup(func() {
			if n := customers(t, parent); n != 4 {
				t.Errorf("the parent sees %d customers, want 4", n)
			}
		})
	})
}

func TestTwoTestsInsertTheSameKeysAtOnce(t *testing.T) {
	playTest(t, func(one *fakeTB) {
		insertCustomer(t, iso.DB(one), "ann@example.com")
		playTest(t, func(two *fakeTB) { insertCustomer(t, iso.DB(two), "ann@example.com") }).expectPass(t)
	}).expectPass(t)
}

// The second test would be slow with a connection of its own, and wrong with what the first has left on this one.
func TestTheNextTestRunsOnTheSameConnectionWithoutItsSettings(t *testing.T) {
	private := fresh(t, txiso.Config{Migrations: table(t)})
	var before int
	playTest(t, func(tb *fakeTB) {
		db := private.DB(tb)
		before = backend(t, db)
		execute(t, db, "SET search_path = pg_catalog")
		execute(t, db, "CREATE TEMPORARY TABLE mine (n int)")
	}).expectPass(t)
	playTest(t, func(tb *fakeTB) {
		db := private.DB(tb)
		if got := backend(t, db); got != before {
			t.Errorf("the backend is %d, want %d again", got, before)
		}
		if path := query[string](t, db, "SHOW search_path"); !strings.Contains(path, "public") {
			t.Errorf("search_path is %s", path)
		}
		if query[bool](t, db, "SELECT to_regclass('mine') IS NOT NULL") {
			t.Error("the temporary table is still there")
		}
	}).expectPass(t)
}

func TestAHandleOfATestThatHasEndedSaysSo(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t), AllowLeaks: true})
	var conn *sql.Conn
	var pool *pgxpool.Pool
	playTest(t, func(tb *fakeTB) {
		var err error
		if conn, err = private.DB(tb).Conn(t.Context()); err != nil {
			t.Fatal(err)
		}
		pool = private.Pool(tb)
	}).expectPass(t)
	if _, err := conn.ExecContext(t.Context(), "SELECT 1"); err == nil {
		t.Error("the connection of a test that has ended runs a statement")
	}
	if err := conn.Close(); err != nil {
		t.Log(err) // it was closed with its session
	}
	if _, err := pool.Exec(t.Context(), "SELECT 1"); err == nil || !strings.Contains(err.Error(), "closed pool") {
		t.Errorf("the pool of a test that has ended gave %v, want closed pool", err)
	}
}

func TestADatabaseAskedForWhenTheTestHasEndedIsRefused(t *testing.T) {
	t.Parallel()
	playTest(t, func(tb *fakeTB) {
		tb.Cleanup(func() { iso.DB(tb) })
	}).expectFatal(t, "the test's context had ended", "context canceled", "call DB or Pool in the test first")
}

func TestTheDatabaseStillWorksInCleanup(t *testing.T) {
	t.Parallel()
	playTest(t, func(tb *fakeTB) {
		db := iso.DB(tb)
		insertCustomer(t, db, "ann@example.com")
		tb.Cleanup(func() {
			if n := customers(t, db) + customers(t, iso.DB(tb)); n != 2 {
				t.Errorf("Cleanup sees %d customers, want 2", n)
			}
		})
	}).expectPass(t)
}

// A goroutine that had outlived its test leased a database that nothing gave back.
func TestAGoroutineThatOutlivesItsTestGetsNothing(t *testing.T) {
	t.Parallel()
	iso := txiso.New(txiso.Config{Migrations: table(t)})
	playTest(t, func(tb *fakeTB) { iso.DB(tb) }).expectPass(t)
	for range 50 {
		var late sync.WaitGroup
		playTest(t, func(tb *fakeTB) {
			late.Go(func() { apart(func() { iso.DB(tb) }) })
		})
		late.Wait()
	}
	playTest(t, func(tb *fakeTB) {
		if n := connections(t, iso.DB(tb)); n != 1 {
			t.Errorf("%d sessions are there, want one", n)
		}
	}).expectPass(t)
	closeIso(t, iso)
}

// connections counts the sessions on worker databases of the template that db's database is of.
func connections(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	err := db.QueryRow(`SELECT count(*) FROM pg_stat_activity WHERE datname LIKE regexp_replace(current_database(), '_[0-9]+$', '') || '%'`).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
