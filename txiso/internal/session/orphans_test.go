package session_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/txiso/txiso-go/txiso/internal/session"
)

// Code that made a connection, a temporary table on it and closed it could do so once in a test: the table of the connection
// that was gone stood in the way of the next one's.
func TestTemporaryTablesEndWithTheirConnection(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		for range 3 {
			own := stdlib.OpenDB(*s.Config())
			exec(t, own, "CREATE TEMP TABLE batch (id serial PRIMARY KEY, v int UNIQUE DEFERRABLE)")
			exec(t, own, "CREATE TEMP VIEW totals AS SELECT sum(v) FROM batch; CREATE TEMP SEQUENCE steps")
			exec(t, own, "INSERT INTO batch (v) VALUES ($1)", 7)
			expect(t, "its own", value(t, own, "SELECT * FROM totals"), "7")
			own.Close()
		}
		if _, err := db.Exec("SELECT * FROM batch"); err == nil {
			t.Error("the table of a connection that is closed can be read")
		}
		expect(t, "left", value(t, db, "SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()"), "0")
	})
}

// role is one that a test makes, and rolls back.
const role = "txiso_session_orphans"

func TestNamesOfPREPAREEndWithTheirConnection(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, `PREPARE kept AS SELECT 2`)
		for _, simple := range []bool{false, true} {
			own := stdlib.OpenDB(*s.Config())
			sql := `PREPARE "It's" AS SELECT 1`
			if simple {
				sql += "; SELECT 1"
			}
			exec(t, own, sql)
			expect(t, "its own", value(t, own, `EXECUTE "It's"`), "1")
			own.Close()
		}
		if _, err := db.Exec(`EXECUTE "It's"`); err == nil {
			t.Error("the statement of a connection that is closed can be executed")
		}
		expect(t, "another's", value(t, db, "EXECUTE kept"), "2")
	})
}

// What is dropped must be the closed connection's: not another's of the same name, not a table that the temporary one has
// hidden, and it must not come back with a transaction that fails.
func TestTheTemporaryTablesOfOthersStay(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "INSERT INTO items VALUES (1, 'real')")
		own := stdlib.OpenDB(*s.Config())
		exec(t, own, `CREATE TEMP TABLE items AS SELECT 2 AS id, 'temporary' AS name; CREATE TEMP TABLE "It's" (v int)`)
		exec(t, db, "CREATE TEMP TABLE kept AS SELECT 3 AS v")
		exec(t, own, "CREATE TEMP TABLE IF NOT EXISTS kept (v int)")
		own.Close()
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "in a transaction", value(t, tx, "SELECT name FROM items"), "real")
		if _, err := tx.Exec("SELECT 1/0"); err == nil {
			t.Error("no error")
		}
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
		expect(t, "behind it", value(t, db, "SELECT name FROM items"), "real")
		expect(t, "another's", value(t, db, "SELECT v FROM kept"), "3")
	})
}

// A connection that is closed while another's transaction is open must not have its tables dropped inside that.
func TestATemporaryTableGoesBehindTheTransactionThatIsOpen(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		own := stdlib.OpenDB(*s.Config())
		exec(t, own, "CREATE TEMP TABLE batch (v int)")
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		exec(t, tx, "INSERT INTO items VALUES (1, 'a')")
		own.Close()
		exec(t, tx, "INSERT INTO items VALUES (2, 'b')")
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
		exec(t, db, "CREATE TEMP TABLE batch (w text)")
		expect(t, "committed", value(t, db, "SELECT count(*) FROM items"), "2")
	})
}

// Dropping takes its time, and the timeout of the connection that is gone is still in force.
func TestAStatementTimeoutDoesNotEndTheDropOfTemporaryTables(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "INSERT INTO items VALUES (1, 'a')")
		own := stdlib.OpenDB(*s.Config())
		for i := range 200 {
			exec(t, own, fmt.Sprintf("CREATE TEMP TABLE t%d (v serial PRIMARY KEY)", i))
		}
		exec(t, own, "SET statement_timeout = 50")
		own.Close()
		expect(t, "left", value(t, db, "SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()"), "0")
		expect(t, "the row", value(t, db, "SELECT name FROM items"), "a")
		expect(t, "the timeout", value(t, db, "SHOW statement_timeout"), "0")
	})
}

// A name that another connection has used before, or has failed to use, kept the table of that name from being dropped. So did a
// role that may not.
func TestATemporaryTableIsDroppedWhoeverHasUsedItsName(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		other := stdlib.OpenDB(*s.Config())
		defer other.Close()
		exec(t, other, "CREATE TEMP TABLE batch (v int)")
		exec(t, other, "DROP TABLE batch")
		exec(t, other, "PREPARE p AS SELECT 1")
		exec(t, other, "DEALLOCATE p")
		tx, err := other.Begin()
		if err != nil {
			t.Fatal(err)
		}
		exec(t, tx, "CREATE TEMP TABLE batch (v int)")
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		exec(t, db, "CREATE ROLE "+role)
		own := stdlib.OpenDB(*s.Config())
		exec(t, own, "CREATE TEMP TABLE batch (v int)")
		exec(t, own, "PREPARE p AS SELECT 1")
		if _, err := other.Exec("CREATE TEMP TABLE batch (v int)"); err == nil {
			t.Error("two tables of one name")
		}
		exec(t, own, "SET ROLE "+role)
		own.Close()
		exec(t, db, "CREATE TEMP TABLE batch (w text)")
		exec(t, db, "PREPARE p AS SELECT 2")
		expect(t, "role", value(t, db, "SELECT current_setting('role')"), "none")
	})
}

// Nor is a table dropped that another connection's function has made under a name that was given up.
func TestATableOfAFunctionIsNotTheClosedConnections(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		own := stdlib.OpenDB(*s.Config())
		exec(t, own, "CREATE TEMP TABLE batch AS SELECT 1 AS v")
		own.Close()
		exec(t, db, "DO 'BEGIN CREATE TEMP TABLE batch AS SELECT 2 AS v; END'")
		later := stdlib.OpenDB(*s.Config())
		exec(t, later, "CREATE TEMP TABLE IF NOT EXISTS batch (v int)")
		later.Close()
		expect(t, "the function's", value(t, db, "SELECT v FROM batch"), "2")
	})
}

// A nested test starts from what its parent's connections have left, and its own temporary tables are undone with it.
func TestTemporaryTablesOfANestedTestLeaveThoseOfItsParent(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		gone, open := stdlib.OpenDB(*s.Config()), stdlib.OpenDB(*s.Config())
		exec(t, gone, "CREATE TEMP TABLE batch (v int)")
		exec(t, open, "CREATE TEMP TABLE closed_inside AS SELECT 2 AS v")
		exec(t, db, "CREATE TEMP TABLE made AS SELECT 1 AS v")
		gone.Close()
		n, err := s.Nest(context.Background(), nil, session.Names{})
		if err != nil {
			t.Fatal(err)
		}
		inner := stdlib.OpenDB(*n.Config())
		exec(t, inner, "CREATE TEMP TABLE batch (v int); DROP TABLE made; CREATE TEMP TABLE made (w int)")
		open.Close()
		expect(t, "of the parent's connection that has closed", value(t, inner, "SELECT v FROM closed_inside"), "2")
		inner.Close()
		if _, err := n.End(30 * time.Second); err != nil {
			t.Fatal(err)
		}
		expect(t, "the parent's", value(t, db, "SELECT v FROM made"), "1")
		exec(t, db, "CREATE TEMP TABLE batch (w int); CREATE TEMP TABLE closed_inside (w int)")
	})
}

// A connection that was closed in the middle of giving up a name has not given it up.
func TestANameThatWasNotGivenUpGoesWithItsConnection(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		own := connectTo(t, s)
		for _, sql := range []string{"PREPARE p AS SELECT 1", "DECLARE c CURSOR WITH HOLD FOR SELECT 1"} {
			if _, err := own.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		ran := make(chan error)
		go func() {
			_, err := own.PgConn().Exec(t.Context(), "SELECT pg_sleep(0.2), 1 / (random() > 2)::int; DEALLOCATE p; CLOSE c").ReadAll()
			ran <- err
		}()
		time.Sleep(30 * time.Millisecond)
		own.PgConn().Conn().Close()
		if err := <-ran; err == nil {
			t.Error("no error")
		}
		exec(t, db, "PREPARE p AS SELECT 2")
		exec(t, db, "DECLARE c CURSOR WITH HOLD FOR SELECT 2")
	})
}
