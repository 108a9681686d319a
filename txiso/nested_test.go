package txiso_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/txiso/txiso-go/txiso"
)

// playNested plays a subtest of parent that is nested in it.
func playNested(t *testing.T, iso *txiso.Iso, parent *fakeTB, name string, f func(tb *fakeTB)) *fakeTB {
	t.Helper()
	return playNamed(t, parent.name+"/"+name, func(tb *fakeTB) {
		iso.Nested(tb, parent)
		f(tb)
	})
}

func playNamed(t *testing.T, name string, f func(tb *fakeTB)) *fakeTB {
	t.Helper()
	return playTest(t, func(tb *fakeTB) {
		tb.name = name
		f(tb)
	})
}

// The whole of it with real tests, as a user would write them.
func TestSubtestsStartFromWhatTheirParentDid(t *testing.T) {
	parent := t
	db := iso.DB(t)
	insertCustomer(t, db, "ann@example.com")
	for i := range 3 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			iso.Nested(t, parent)
			if n := customers(t, iso.DB(t)); n != 1 {
				t.Errorf("the subtest starts with %d customers, want its parent's", n)
			}
			insertCustomer(t, iso.DB(t), "bob@example.com")
			insertByPool(t, iso.Pool(t), "eve@example.com")
			if n := customers(t, iso.DB(t)); n != 3 {
				t.Errorf("the subtest sees %d customers, want 3", n)
			}
		})
		if n := customers(t, db); n != 1 {
			t.Errorf("the parent sees %d customers when the subtest has ended, want its own", n)
		}
	}
}

func TestNestingGoesToAnyDepth(t *testing.T) {
	t.Parallel()
	deepest := 0
	var dig func(t *testing.T, parent *testing.T, depth int)
	dig = func(t *testing.T, parent *testing.T, depth int) {
		if parent != nil {
			iso.Nested(t, parent)
		}
		db := iso.DB(t)
		for range 2 { // the second is a sibling of the first
			if n := customers(t, db); n != depth {
				t.Errorf("%d customers at depth %d", n, depth)
			}
			if deepest = max(deepest, depth); depth == 5 {
				return
			}
			if n := customers(t, db); n == depth {
				insertCustomer(t, db, fmt.Sprint(depth, "@example.com"))
			}
			t.Run("deeper", func(below *testing.T) { dig(below, t, depth+1) })
			execute(t, db, "DELETE FROM customers WHERE email = $1", fmt.Sprint(depth, "@example.com"))
		}
	}
	dig(t, nil, 0)
	if deepest != 5 {
		t.Errorf("the deepest was %d", deepest)
	}
}

// What else a transaction can undo is undone, too.
func TestEverythingThatASavepointCanUndoIsUndone(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t)})
	playTest(t, func(tb *fakeTB) {
		db := private.DB(tb)
		execute(t, db, "SET application_name = 'parent'")
		execute(t, db, "CREATE TEMPORARY TABLE ours (n int)")
		execute(t, db, "PREPARE ours AS SELECT 1")
		for range 2 {
			playNested(t, private, tb, "child", func(child *fakeTB) {
				db := private.DB(child)
				if name := query[string](t, db, "SHOW application_name"); name == "parent" { // settings are a connection's own
					t.Errorf("application_name is %q in the child", name)
				}
				execute(t, db, "SET application_name = 'child'")
				execute(t, db, "SET search_path = pg_catalog")
				execute(t, db, "CREATE TEMPORARY TABLE mine (n int)")
				execute(t, db, "INSERT INTO ours VALUES (1)")
				execute(t, db, "CREATE TABLE public.made (n int)")
				execute(t, db, "ALTER TABLE public.t ADD COLUMN added int")
				execute(t, db, "PREPARE mine AS SELECT 2")
				execute(t, db, "EXECUTE ours")
				execute(t, db, "SET TIME ZONE 'Asia/Tokyo'")
				execute(t, db, "RESET ALL")
			}).expectPass(t)
			for text, want := range map[string]string{
				"SHOW application_name":                                                                 "parent",
				"SELECT current_schema()":                                                               "public",
				"SELECT coalesce(to_regclass('mine')::text, 'none')":                                    "none",
				"SELECT coalesce(to_regclass('made')::text, 'none')":                                    "none",
				"SELECT count(*)::text FROM ours":                                                       "0",
				"SELECT string_agg(name, ',') FROM pg_prepared_statements WHERE from_sql":               "ours",
				"SELECT count(*)::text FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0": "1",
			} {
				if got := query[string](t, db, text); got != want {
					t.Errorf("%s: %s, want %s", text, got, want)
				}
			}
			execute(t, db, "EXECUTE ours")
		}
	}).expectPass(t)
}

// Sequences and session advisory locks are not the transaction's. This pins what the documentation says.
func TestSequencesAndAdvisoryLocksOutliveANestedTestUntilItsParentEnds(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t)})
	playTest(t, func(tb *fakeTB) {
		db := private.DB(tb)
		execute(t, db, "CREATE SEQUENCE numbers")
		playNested(t, private, tb, "child", func(child *fakeTB) {
			query[int](t, private.DB(child), "SELECT nextval('numbers')")
			execute(t, private.DB(child), "SELECT pg_advisory_lock(1)")
		}).expectPass(t)
		if n := query[int](t, db, "SELECT nextval('numbers')"); n != 2 {
			t.Errorf("nextval is %d", n)
		}
		if !query[bool](t, db, "SELECT pg_advisory_unlock(1)") {
			t.Error("the lock was released")
		}
	}).expectPass(t)
}

// A statement that was prepared while a child had changed the schema used to be a candidate for everybody.
func TestStatementsPreparedInAChildMeanTheParentsSchemaAfterIt(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t)})
	playTest(t, func(tb *fakeTB) {
		db := private.DB(tb)
		execute(t, db, "INSERT INTO t VALUES ($1)", 1)
		columns := func(db *sql.DB, want int) {
			t.Helper()
			rows, err := db.Query("SELECT * FROM t WHERE n = $1", 1)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			names, err := rows.Columns()
			if err != nil || len(names) != want {
				t.Errorf("columns %v, want %d: %v", names, want, err)
			}
			if !rows.Next() {
				t.Errorf("no row: %v", rows.Err())
			}
		}
		columns(db, 1)
		for range 2 {
			playNested(t, private, tb, "child", func(child *fakeTB) {
				db := private.DB(child)
				columns(db, 1)
				execute(t, db, "ALTER TABLE t ADD COLUMN added int")
				columns(private.DB(child), 2)
			}).expectPass(t)
			columns(db, 1)
			columns(private.DB(tb), 1)
		}
	}).expectPass(t)
}

// deferred is a schema whose foreign key is checked at commit.
func deferred(t testing.TB) txiso.Config {
	schema := table(t)
	schema["00002_child.sql"] = schema["00001_t.sql"]
	file := *schema["00001_t.sql"]
	file.Data = []byte("-- +goose Up\nCREATE TABLE child (n int REFERENCES t DEFERRABLE INITIALLY DEFERRED);\n")
	schema["00002_child.sql"] = &file
	return txiso.Config{Migrations: schema}
}

func TestDeferredConstraintsAreCheckedInNestedTests(t *testing.T) {
	t.Parallel()
	private := fresh(t, deferred(t))
	playTest(t, func(tb *fakeTB) {
		execute(t, private.DB(tb), "INSERT INTO t VALUES (1)")
		for range 2 {
			playNested(t, private, tb, "child", func(child *fakeTB) {
				db := private.DB(child)
				execute(t, db, "INSERT INTO child VALUES (1)")
				_, err := db.Exec("INSERT INTO child VALUES (2)")
				expectState(t, err, "23503")
				tx, err := db.Begin()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := tx.Exec("INSERT INTO child VALUES (2)"); err != nil {
					t.Error(err)
				}
				expectState(t, tx.Commit(), "23503")
				if tx, err = db.BeginTx(child.Context(), nil); err != nil {
					t.Fatal(err)
				}
				if _, err := tx.Exec("INSERT INTO child VALUES (3)"); err != nil { // left open, unchecked
					t.Error(err)
				}
			}).expectPass(t)
			if n := query[int](t, private.DB(tb), "SELECT count(*) FROM child"); n != 0 {
				t.Errorf("%d rows of the nested test are left", n)
			}
			_, err := private.DB(tb).Exec("INSERT INTO child VALUES (3)")
			expectState(t, err, "23503")
		}
	}).expectPass(t)
}

func expectState(t *testing.T, err error, code string) {
	t.Helper()
	_ = withState(t, err, code)
}

// withState is the server's error, which must have that code.
func withState(t *testing.T, err error, code string) *pgconn.PgError {
	t.Helper()
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != code {
		t.Fatalf("the error is %v, want SQLSTATE %s", err, code)
	}
	return pg
}

func TestTheParentsHandlesSayThatAChildIsNestedInIt(t *testing.T) {
	t.Parallel()
	playNamed(t, "TestA", func(tb *fakeTB) {
		db, pool := iso.DB(tb), iso.Pool(tb)
		insertCustomer(t, db, "ann@example.com")
		conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		prepared, err := db.Prepare("SELECT count(*) FROM customers WHERE name = $1")
		if err != nil {
			t.Fatal(err)
		}
		playNested(t, iso, tb, "b", func(child *fakeTB) {
			for what, use := range parentsUses(conn, db, prepared) {
				pg := withState(t, use(), "55000")
				expectError(t, pg.Message, "the database of TestA cannot be used while TestA/b is nested in it")
				if want := "call DB or Pool with its own t"; !strings.Contains(pg.Hint, want) {
					t.Errorf("%s: the hint is %q, want %q in it", what, pg.Hint, want)
				}
			}
			if _, err := pool.Exec(t.Context(), "SELECT 1"); err == nil {
				t.Error("the parent's pool can be used")
			}
			insertCustomer(t, iso.DB(child), "bob@example.com") // the child's own is none the worse
			playNested(t, iso, child, "c", func(grandchild *fakeTB) {
				_, err := db.Exec("SELECT 1")
				expectError(t, withState(t, err, "55000").Message, "the database of TestA cannot be used while TestA/b is nested in it")
				_, err = iso.DB(child).Exec("SELECT 1")
				expectError(t, withState(t, err, "55000").Message, "the database of TestA/b cannot be used while TestA/b/c is nested in it")
			}).expectPass(t)
		}).expectPass(t)
		for what, use := range parentsUses(conn, db, prepared) {
			if err := use(); err != nil {
				t.Errorf("%s, when the child has ended: %v", what, err)
			}
		}
		if n := customersByPool(t, pool); n != 1 {
			t.Errorf("%d customers", n)
		}
	}).expectPass(t)
}

// parentsUses are ways to use a handle: simple and extended protocol, batches, pipelines, COPY, transactions.
func parentsUses(conn *pgx.Conn, db *sql.DB, prepared *sql.Stmt) map[string]func() error {
	ctx := context.Background()
	return map[string]func() error{
		"exec":     func() error { _, err := db.Exec("SELECT 1"); return err },
		"query":    func() error { return db.QueryRow("SELECT $1::int", 1).Scan(new(int)) },
		"prepared": func() error { return prepared.QueryRow("Ann").Scan(new(int)) },
		"prepare":  func() error { _, err := conn.Prepare(ctx, "", "SELECT 1"); return err },
		"begin": func() error {
			tx, err := db.Begin()
			if err != nil {
				return err
			}
			return tx.Rollback()
		},
		"several": func() error { _, err := conn.Exec(ctx, "SELECT 1; SELECT 2"); return err },
		"copy": func() error {
			_, err := conn.CopyFrom(ctx, pgx.Identifier{"customers"}, []string{"email", "name"}, pgx.CopyFromRows(nil))
			return err
		},
		"batch": func() error {
			batch := &pgx.Batch{}
			batch.Queue("SELECT $1::int", 1)
			batch.Queue("SELECT $1::int", 2)
			return conn.SendBatch(ctx, batch).Close()
		},
		"pipeline": func() error {
			pipeline := conn.PgConn().StartPipeline(ctx)
			pipeline.SendQueryParams("SELECT 1", nil, nil, nil, nil)
			pipeline.SendFlushRequest()
			err := pipeline.Flush()
			if err == nil {
				_, err = pipeline.GetResults()
			}
			return errors.Join(err, pipeline.Sync(), pipeline.Close())
		},
	}
}

func TestASiblingsHandleIsThatOfATestThatHasEnded(t *testing.T) {
	t.Parallel()
	playTest(t, func(tb *fakeTB) {
		insertCustomer(t, iso.DB(tb), "ann@example.com")
		var conn *sql.Conn
		var cfg *pgx.ConnConfig
		leaving := playNested(t, iso, tb, "one", func(one *fakeTB) {
			var err error
			if conn, err = iso.DB(one).Conn(t.Context()); err != nil {
				t.Fatal(err)
			}
			cfg = iso.Pool(one).Config().ConnConfig
		})
		if len(leaving.errors) != 1 || !strings.Contains(leaving.errors[0], "a connection was not given back") {
			t.Errorf("the sibling was told %q", leaving.errors)
		}
		playNested(t, iso, tb, "two", func(*fakeTB) {
			if _, err := conn.ExecContext(t.Context(), "SELECT 1"); err == nil {
				t.Error("the sibling's connection runs a statement")
			}
			_, err := pgx.ConnectConfig(t.Context(), cfg)
			if want := "txiso: this connection belongs to a test that has ended"; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("a new connection of the sibling's gave %v, want %s", err, want)
			}
		}).expectPass(t)
		_ = conn.Close() // it was closed with its test
	}).expectPass(t)
}

func TestRowsOfTheParentThatAreOpenAreReadAcrossTheChild(t *testing.T) {
	t.Parallel()
	const n = 20000
	playTest(t, func(tb *fakeTB) {
		db := iso.DB(tb)
		rows, err := db.Query("SELECT generate_series(1, $1::int)", n)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		read := 0
		for ; read < 10 && rows.Next(); read++ {
		}
		playNested(t, iso, tb, "child", func(child *fakeTB) {
			insertCustomer(t, iso.DB(child), "ann@example.com")
			for ; read < n/2 && rows.Next(); read++ {
			}
		}).expectPass(t)
		for ; rows.Next(); read++ {
		}
		if err := rows.Err(); err != nil || read != n {
			t.Errorf("%d rows of %d: %v", read, n, err)
		}
	}).expectPass(t)
}

func TestAParentWithAnOpenTransactionIsRefused(t *testing.T) {
	t.Parallel()
	playNamed(t, "TestA", func(tb *fakeTB) {
		db := iso.DB(tb)
		tx, err := db.BeginTx(tb.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("INSERT INTO customers (email, name) VALUES ('ann@example.com', 'Ann')"); err != nil {
			t.Fatal(err)
		}
		playNested(t, iso, tb, "b", func(*fakeTB) { t.Error("the child runs") }).expectFatal(t,
			"TestA/b cannot be nested in TestA while the transaction begun at", "nested_test.go:", "commit it or roll it back first")
		if err := tx.Commit(); err != nil { // which is none the worse
			t.Error(err)
		}
		playNested(t, iso, tb, "b", func(child *fakeTB) {
			if n := customers(t, iso.DB(child)); n != 1 {
				t.Errorf("%d customers", n)
			}
		}).expectPass(t)
	}).expectPass(t)
}

func TestACopyOrPipelineOfTheParentIsRefused(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t), BeginTimeout: 50 * time.Millisecond})
	playNamed(t, "TestA", func(tb *fakeTB) {
		conn, err := pgx.ConnectConfig(t.Context(), private.Pool(tb).Config().ConnConfig)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		pipeline := conn.PgConn().StartPipeline(t.Context())
		pipeline.SendQueryParams("SELECT 1", nil, nil, nil, nil)
		pipeline.SendFlushRequest()
		if err := pipeline.Flush(); err != nil {
			t.Fatal(err)
		}
		playNested(t, private, tb, "b", func(*fakeTB) { t.Error("the child runs") }).expectFatal(t,
			"TestA/b cannot be nested in TestA while a statement, COPY or pipeline of that is under way", "end it first")
		if err := errors.Join(pipeline.Sync(), pipeline.Close()); err != nil {
			t.Error(err)
		}
		playNested(t, private, tb, "b", func(child *fakeTB) { execute(t, private.DB(child), "INSERT INTO t VALUES (1)") }).expectPass(t)
	}).expectPass(t)
}

func TestNestedCalledWronglySaysHowToCallIt(t *testing.T) {
	t.Parallel()
	playNamed(t, "TestA", func(tb *fakeTB) {
		playNested(t, iso, tb, "b", func(*fakeTB) { t.Error("the child runs") }).expectFatal(t,
			"TestA has no database that TestA/b could be nested in", "call DB, Pool or Nested with it first")
		iso.DB(tb)
		playNamed(t, "TestA/b", func(child *fakeTB) {
			iso.DB(child)
			iso.Nested(child, tb)
		}).expectFatal(t, "Nested was called when TestA/b had a database already", "call it ahead of DB and Pool")
		playNested(t, iso, tb, "b", func(child *fakeTB) { iso.Nested(child, tb) }).expectFatal(t, "Nested was called when TestA/b had a database already")
		playNamed(t, "TestA/b", func(child *fakeTB) { iso.Nested(child, child) }).expectFatal(t, "TestA/b cannot be nested in itself", "pass the subtest's t first")
		playNested(t, iso, tb, "b", func(child *fakeTB) {
			playNested(t, iso, child, "c", func(*fakeTB) {}).expectPass(t)
			playNamed(t, "TestA/b/c", func(grandchild *fakeTB) { iso.Nested(grandchild, tb) }).expectFatal(t,
				"TestA/b/c cannot be nested in TestA, because TestA/b is, and cannot end before it", "nest it in TestA/b")
		}).expectPass(t)
	}).expectPass(t)
	private := txiso.New(txiso.Config{NestedTimeout: -1})
	defer closeIso(t, private)
	playTest(t, func(tb *fakeTB) { private.Nested(tb, tb) }).expectFatal(t, "Config.NestedTimeout is -1ns", "set a positive duration")
}

func TestHoweverANestedTestEndsItsParentGoesOn(t *testing.T) {
	t.Parallel()
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			private := fresh(t, txiso.Config{Migrations: table(t)})
			playTest(t, func(tb *fakeTB) {
				db := private.DB(tb)
				execute(t, db, "INSERT INTO t VALUES (1)")
				for range 2 {
					ended := playNested(t, private, tb, name, func(child *fakeTB) {
						execute(t, private.DB(child), "INSERT INTO t VALUES (2)")
						leaveEverythingOpenBut(t, private, child)
						end(child)
					})
					if len(ended.errors) > 0 {
						t.Errorf("the end of the nested test said %q", ended.errors)
					}
					if n := query[int](t, db, "SELECT count(*) FROM t"); n != 1 {
						t.Errorf("the parent has %d rows, want its own", n)
					}
				}
				execute(t, db, "INSERT INTO t VALUES (2)")
			}).expectPass(t)
		})
	}
}

// leaveEverythingOpenBut is leaveEverythingOpen with a failed transaction, and without a row of its own.
func leaveEverythingOpenBut(t *testing.T, iso *txiso.Iso, tb *fakeTB) {
	t.Helper()
	db := iso.DB(tb)
	if _, err := db.QueryContext(tb.Context(), "SELECT generate_series(1, 100000)"); err != nil {
		t.Error(err)
	}
	tx, err := db.BeginTx(tb.Context(), nil)
	if err != nil {
		t.Error(err)
		return
	}
	if _, err := tx.Exec("INSERT INTO t VALUES (1)"); err == nil {
		t.Error("the parent's row is not seen")
	}
}

func TestAStatementThatOutlivesANestedTestIsCancelled(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t)})
	playTest(t, func(tb *fakeTB) {
		pid := backend(t, private.DB(tb))
		failed := make(chan error, 1)
		playNested(t, private, tb, "child", func(child *fakeTB) {
			db := private.DB(child)
			go func() {
				_, err := db.ExecContext(context.Background(), "SELECT pg_sleep(3600)")
				failed <- err
			}()
			awaitStatement(t, pid, "SELECT pg_sleep(3600)")
		}).expectPass(t)
		if err := <-failed; err == nil {
			t.Error("an hour has passed")
		}
		if got := backend(t, private.DB(tb)); got != pid {
			t.Error("the connection is another one")
		}
	}).expectPass(t)
}

// What a child must be told is not told to its parent, and the other way round.
func TestFindingsAreToldToTheTestThatMadeThem(t *testing.T) {
	t.Parallel()
	lose := func(tb *fakeTB) {
		db := iso.DB(tb)
		tx, err := db.BeginTx(tb.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("SELECT count(*) FROM customers"); err != nil {
			t.Fatal(err)
		}
		insertCustomer(t, db, "ann@example.com")
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
	parent := playTest(t, func(tb *fakeTB) {
		lose(tb)
		child := playNested(t, iso, tb, "child", lose)
		if len(child.errors) != 1 {
			t.Fatalf("the child was told %q, want one error", child.errors)
		}
		expectError(t, child.errors[0], "1 statement(s) ran on another connection", "nested_test.go:")
		playNested(t, iso, tb, "sibling", func(tb *fakeTB) { iso.DB(tb) }).expectPass(t)
	})
	if len(parent.errors) != 1 {
		t.Errorf("the parent was told %q, want one error", parent.errors)
	}
}

// A test cannot end before its subtests; who passes something else as the parent is told.
func TestAParentThatEndsBeforeItsChildEndsThatAsWell(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t)})
	child := playTest(t, func(child *fakeTB) {
		var db *sql.DB
		playTest(t, func(tb *fakeTB) {
			private.DB(tb)
			private.Nested(child, tb)
			db = private.DB(child)
			execute(t, db, "INSERT INTO t VALUES (1)")
		}).expectPass(t)
		playTest(t, func(other *fakeTB) { // on the same connection
			if n := query[int](t, private.DB(other), "SELECT count(*) FROM t"); n != 0 {
				t.Errorf("%d rows of the test before", n)
			}
			if _, err := db.Exec("INSERT INTO t VALUES (2)"); err == nil {
				t.Error("the child's handle outlives its parent")
			}
		}).expectPass(t)
	})
	if len(child.errors) != 1 || !strings.Contains(child.errors[0], "the test that this one was nested in has ended before it") {
		t.Errorf("the child was told %q", child.errors)
	}
}

// They take turns; each starts from what the parent did.
func TestParallelSubtestsOfOneParentRunOneAfterTheOther(t *testing.T) {
	parent := t
	insertCustomer(t, iso.DB(t), "ann@example.com")
	var inside, ran atomic.Int32
	t.Cleanup(func() {
		if n := ran.Load(); n != 8 {
			t.Errorf("%d subtests ran", n)
		}
	})
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			iso.Nested(t, parent)
			if n := inside.Add(1); n != 1 {
				t.Errorf("%d are nested at once", n)
			}
			t.Cleanup(func() { inside.Add(-1) }) // ahead of Nested's own
			db := iso.DB(t)
			if n := customers(t, db); n != 1 {
				t.Errorf("%d customers, want the parent's", n)
			}
			for range 3 {
				runtime.Gosched()
				insertCustomer(t, db, fmt.Sprint(ran.Add(1)+100, "@example.com"))
				ran.Add(-1)
				execute(t, db, "DELETE FROM customers WHERE email <> 'ann@example.com'")
			}
			ran.Add(1)
		})
	}
}

// Two subtests that wait for each other would wait for ever.
func TestTheWaitForASiblingIsBounded(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t), NestedTimeout: 50 * time.Millisecond})
	playNamed(t, "TestA", func(tb *fakeTB) {
		private.DB(tb)
		playNested(t, private, tb, "b", func(*fakeTB) {
			playNested(t, private, tb, "c", func(*fakeTB) { t.Error("both run") }).expectFatal(t,
				"TestA/c has waited 50ms to be nested in TestA, while TestA/b was", "only one can be at a time", "do not run them in parallel", "Config.NestedTimeout")
		}).expectPass(t)
		playNested(t, private, tb, "c", func(*fakeTB) {}).expectPass(t)
	}).expectPass(t)
}

func TestTheWaitForASiblingEndsWithItsTest(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t)})
	playNamed(t, "TestA", func(tb *fakeTB) {
		private.DB(tb)
		playNested(t, private, tb, "b", func(*fakeTB) {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			defer cancel()
			playTestWith(t, ctx, func(c *fakeTB) { private.Nested(c, tb) }).expectFatal(t, "waited for TestA/b, which is nested in the same parent", "context deadline exceeded")
		}).expectPass(t)
	}).expectPass(t)
}

// Many levels, subtests and goroutines: for the race detector, and for what piles up.
func TestManyNestedTestsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t)})
	playTest(t, func(tb *fakeTB) {
		db := private.DB(tb)
		execute(t, db, "INSERT INTO t VALUES (0)")
		for i := range 100 {
			playNested(t, private, tb, fmt.Sprint(i), func(child *fakeTB) {
				var group sync.WaitGroup
				for g := range 4 {
					group.Go(func() { execute(t, private.DB(child), "INSERT INTO t VALUES ($1)", 10+g) })
				}
				group.Wait()
				playNested(t, private, child, "deeper", func(deeper *fakeTB) {
					execute(t, private.DB(deeper), "DELETE FROM t")
				}).expectPass(t)
				if n := query[int](t, private.DB(child), "SELECT count(*) FROM t"); n != 5 {
					t.Errorf("%d rows, want 5", n)
				}
			}).expectPass(t)
		}
		if n := query[int](t, db, "SELECT count(*) FROM t"); n != 1 {
			t.Errorf("%d rows, want 1", n)
		}
	}).expectPass(t)
}
