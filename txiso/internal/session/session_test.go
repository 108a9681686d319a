package session_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/txiso/txiso-go/txiso/internal/session"
)

const countItems = "SELECT count(*) FROM items"

func code(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	if err == nil {
		return "no error"
	}
	return err.Error()
}

func TestALeaseLeavesNothing(t *testing.T) {
	s := open(t, session.Options{})
	var pid string
	for i := range 5 {
		clean(t, s, func(db *sql.DB) {
			if i > 0 {
				expect(t, "backend", value(t, db, "SELECT pg_backend_pid()"), pid)
			}
			pid = value(t, db, "SELECT pg_backend_pid()")
			expect(t, "items", value(t, db, countItems), "0")
			exec(t, db, "INSERT INTO items VALUES ($1, $2)", 1, "one")
			exec(t, db, "INSERT INTO items VALUES (2, 'two')")
			exec(t, db, "CREATE TABLE mine (id int)")
			exec(t, db, "SELECT nextval('numbers')")
			exec(t, db, "SELECT pg_advisory_lock(42)")
			exec(t, db, "SET application_name = 'changed'")
			exec(t, db, "PREPARE mine AS SELECT 1")
			expect(t, "items", value(t, db, countItems), "2")
			expect(t, "prepared statements of this test", value(t, db, "SELECT count(*) FROM pg_prepared_statements WHERE name = 'mine'"), "1")
		})
		clean(t, s, func(db *sql.DB) {
			expect(t, "tables", value(t, db, "SELECT count(*) FROM pg_class WHERE relname = 'mine'"), "0")
			expect(t, "locks", value(t, db, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"), "0")
			expect(t, "prepared statements", value(t, db, "SELECT count(*) FROM pg_prepared_statements WHERE name = 'mine'"), "0")
			if name := value(t, db, "SHOW application_name"); name == "changed" {
				t.Errorf("application_name is still %s", name)
			}
			_, err := db.Exec("SELECT lastval()")
			expect(t, "lastval", code(err), "55000")
		})
	}
}

func TestAFailedStatementUndoesItselfAlone(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "INSERT INTO items VALUES ($1, 'one')", 1)
		for range 3 {
			_, err := db.Exec("INSERT INTO items VALUES (3, 'three'); INSERT INTO items VALUES (1, 'again')")
			expect(t, "error", code(err), "23505")
			_, err = db.Exec("INSERT INTO items VALUES ($1, 'again')", 1)
			expect(t, "error", code(err), "23505")
		}
		exec(t, db, "UPDATE items SET name = 'uno' WHERE id = $1", 1)
		expect(t, "items", value(t, db, countItems), "1")
	})
}

func TestAFailedTransactionFailsAlone(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "INSERT INTO items VALUES (1, 'one')")
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		exec(t, tx, "INSERT INTO items VALUES (2, 'two')")
		_, err = tx.Exec("SELECT 1/0")
		expect(t, "error", code(err), "22012")
		_, err = tx.Exec("SELECT 1")
		expect(t, "error", code(err), "25P02")
		expect(t, "items seen by another connection", value(t, db, countItems), "1")
		_, err = tx.Exec("SELECT 1")
		expect(t, "error after that", code(err), "25P02")
		if err := tx.Commit(); !errors.Is(err, pgx.ErrTxCommitRollback) {
			t.Errorf("commit: %v", err)
		}
		expect(t, "items", value(t, db, countItems), "1")
	})
}

// pgx reads on a goroutine of its own when a write takes more than 15 ms, which can be before the session has even seen the
// write. That reader used to sleep through the answer, and the test hung on a busy machine.
func TestAReaderThatBeganBeforeTheWriteIsWoken(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		c := dial(t, s)
		answer := make(chan byte)
		go func() { answer <- c.receive() }()
		time.Sleep(20 * time.Millisecond) // so that it waits; if it does not yet, the test proves less
		c.send(&queryMessage{"INSERT INTO items VALUES (1, 'one')"})
		select {
		case kind := <-answer:
			expect(t, "answer", string(kind), "C")
		case <-time.After(20 * time.Second):
			t.Fatal("the reader sleeps")
		}
	})
}

func TestTransactionsOfManyGoroutinesRunOneAfterTheOther(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 25 {
					tx, err := db.Begin()
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := tx.Exec("INSERT INTO items VALUES ($1, 'x')", g*100+i); err != nil {
						t.Error(err)
					}
					end := tx.Commit
					if i%5 == 0 {
						end = tx.Rollback
					}
					if err := end(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		expect(t, "items", value(t, db, countItems), "160")
	})
}

func TestABeginThatWaitsForItselfIsToldWhere(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		_, err = db.Begin()
		expect(t, "error", code(err), "55P03")
		if text := err.Error(); strings.Count(text, "session_test.go:") != 2 {
			t.Errorf("the error does not name both places: %s", text)
		}
	})
}

// On a server of one's own, a connection that has been left with a failed transaction is nobody's business but its own.
func TestAFailedTransactionYieldsToOneThatBegins(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		w := dial(t, s)
		w.answers("BEGIN")
		w.send(&queryMessage{"INSERT INTO items VALUES (1, 'one'); SELECT nowhere"})
		w.receive()
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		exec(t, tx, "INSERT INTO items VALUES (2, 'two')")
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
		w.answers("ROLLBACK")
		expect(t, "items", value(t, db, countItems), "1")
	})
}

// pgx closes a connection whose context has ended on a goroutine of its own. On a busy machine that came later than the quarter
// of a second that a BEGIN of the same goroutine waits, as if it waited for itself.
func TestABeginWaitsForATransactionWhoseContextHasEnded(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		w := dial(t, s)
		w.answers("BEGIN")
		if err := w.conn.SetDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(600*time.Millisecond, func() { w.conn.Close() })
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
	})
}

func TestABeginThatWaitsTooLongIsToldWhere(t *testing.T) {
	s := open(t, session.Options{BeginTimeout: 50 * time.Millisecond})
	clean(t, s, func(db *sql.DB) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan error)
		go func() {
			_, err := db.Begin()
			failed <- err
		}()
		expect(t, "error", code(<-failed), "55P03")
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
	})
}

func TestTheWaitForATransactionEndsWithItsContext(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan error)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		go func() {
			_, err := db.BeginTx(ctx, nil)
			failed <- err
		}()
		if err := <-failed; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error: %v", err)
		}
		exec(t, tx, "INSERT INTO items VALUES (1, 'one')")
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
		expect(t, "items", value(t, db, countItems), "1")
	})
}

func TestAStatementLostWithAnothersTransactionIsReported(t *testing.T) {
	s := open(t, session.Options{})
	findings := lease(t, s, func(db *sql.DB) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		exec(t, tx, "INSERT INTO items VALUES (1, 'one')")
		exec(t, db, "INSERT INTO items VALUES ($1, 'two')", 2)
		exec(t, db, "INSERT INTO items VALUES (3, 'three')")
		_, err = db.Exec("SELECT 1/0")
		expect(t, "error", code(err), "22012")
		exec(t, tx, "INSERT INTO items VALUES (4, 'four')")
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		expect(t, "items", value(t, db, countItems), "0")
	})
	if len(findings) != 1 || !strings.Contains(findings[0], "2 statement(s) ran on another connection") || !strings.Contains(findings[0], "session_test.go:") {
		t.Errorf("findings: %q", findings)
	}
}

func TestACancelledStatementIsOverAtOnce(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "INSERT INTO items VALUES (1, 'one')")
		for range 5 {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
			_, err := db.ExecContext(ctx, "SELECT pg_sleep(60)")
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error: %v", err)
			}
			expect(t, "items", value(t, db, countItems), "1")
		}
	})
}

func TestRowsLeftOpenBlockNobody(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		rows, err := db.Query("SELECT generate_series(1, 50000), repeat('x', 100)")
		if err != nil {
			t.Fatal(err)
		}
		rows.Next()
		exec(t, db, "INSERT INTO items VALUES (1, 'one')")
		n := 1
		for rows.Next() {
			n++
		}
		if n != 50000 || rows.Err() != nil {
			t.Errorf("%d rows, %v", n, rows.Err())
		}
		left, err := db.Query("SELECT generate_series(1, 50000)")
		if err != nil {
			t.Fatal(err)
		}
		left.Next() // and never closed
	})
	clean(t, s, func(db *sql.DB) { expect(t, "items", value(t, db, countItems), "0") })
}

func TestDeferredConstraintsAreCheckedWhereACommitWould(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		_, err := db.Exec("INSERT INTO children VALUES (1, 99)")
		expect(t, "query", code(err), "23503")
		_, err = db.Exec("INSERT INTO children VALUES ($1, $2)", 1, 99)
		expect(t, "statement", code(err), "23503")
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		exec(t, tx, "INSERT INTO children VALUES ($1, $2)", 1, 99)
		expect(t, "commit", code(tx.Commit()), "23503")
		tx, err = db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		exec(t, tx, "INSERT INTO children VALUES ($1, $2)", 1, 7)
		exec(t, tx, "INSERT INTO parents VALUES (7)")
		expect(t, "commit", code(tx.Commit()), "no error")
		exec(t, db, "ALTER TABLE children ADD note text") // 55006 if a check were still due
		result, err := db.Exec("INSERT INTO children VALUES (2, 7), (3, 7)")
		if n, _ := result.RowsAffected(); err != nil || n != 2 {
			t.Errorf("%d rows, %v", n, err)
		}
	})
}

// A statement of another connection runs behind a savepoint inside the transaction. When it failed, the check at COMMIT was
// sent ahead of the return to that savepoint, and COMMIT answered 25P02.
func TestACommitBehindAnothersFailedStatementSucceeds(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		exec(t, tx, "INSERT INTO items VALUES (1, 'one')")
		_, err = db.Exec("SELECT 1/0")
		expect(t, "error of the other connection", code(err), "22012")
		expect(t, "error of COMMIT", code(tx.Commit()), "no error")
		expect(t, "items", value(t, db, countItems), "1")
	})
}

func TestAStringOfStatementsIsReadWholeBeforeAnyOfItRuns(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		_, err := db.Exec("BEGIN; INSERT INTO items VALUES (1, 'one'); COMMIT; INSRT")
		expect(t, "error", code(err), "42601")
		var pe *pgconn.PgError
		if errors.As(err, &pe) && pe.Position != 53 {
			t.Errorf("position %d", pe.Position)
		}
		expect(t, "items", value(t, db, countItems), "0")
		exec(t, db, "BEGIN; INSERT INTO items VALUES (1, 'one'); COMMIT; INSERT INTO items VALUES (2, 'two')")
		_, err = db.Exec("BEGIN; INSERT INTO items VALUES (3, 'three'); COMMIT; INSERT INTO items VALUES (4, 'four'); SELECT 1/0")
		expect(t, "error", code(err), "22012")
		expect(t, "items", value(t, db, countItems), "3")
	})
}

func TestTheOuterTransactionCannotBeEnded(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "INSERT INTO items VALUES (1, 'one')")
		for _, text := range []string{
			"COMMIT", "commit work", "END;", "/* x */ COMMIT -- y", "ROLLBACK", "abort", ";;COMMIT;;", "COMMIT; COMMIT",
		} {
			exec(t, db, text)
		}
		stmt, err := db.Prepare("COMMIT")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stmt.Exec(); err != nil {
			t.Error(err)
		}
		stmt.Close()
		_, err = db.Exec("PREPARE TRANSACTION 'x'")
		expect(t, "PREPARE TRANSACTION", code(err), "0A000")
		_, err = db.Exec("DO $$ BEGIN COMMIT; END $$")
		expect(t, "COMMIT in DO", code(err), "2D000")
		expect(t, "items", value(t, db, countItems), "1")
	})
	clean(t, s, func(db *sql.DB) { expect(t, "items", value(t, db, countItems), "0") })
}

func TestDeallocateAllTakesNothingFromTheSession(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "INSERT INTO items VALUES ($1, 'one')", 1)
		exec(t, db, "DEALLOCATE ALL")
		_, err := db.Exec("DEALLOCATE ALL; SELECT 1/0")
		expect(t, "error", code(err), "22012")
		other, err := pgx.ConnectConfig(t.Context(), s.Config())
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close(t.Context())
		if _, err := other.Exec(t.Context(), "INSERT INTO items VALUES ($1, 'one')", 2); err != nil {
			t.Error(err)
		}
		expect(t, "items", value(t, db, countItems), "2")
		exec(t, db, "DEALLOCATE ALL")
	})
	clean(t, s, func(db *sql.DB) { expect(t, "items", value(t, db, countItems), "0") })
}

func TestASchemaChangedInATestLeavesNoStalePlan(t *testing.T) {
	s := open(t, session.Options{})
	for range 3 {
		clean(t, s, func(db *sql.DB) {
			for range 7 { // beyond the custom plans
				rows, err := db.Query("SELECT * FROM items")
				if err != nil {
					t.Fatal(err)
				}
				columns, _ := rows.Columns()
				rows.Close()
				expect(t, "columns", strings.Join(columns, ","), "id,name")
			}
		})
		clean(t, s, func(db *sql.DB) {
			exec(t, db, "ALTER TABLE items DROP name, ADD other int")
			rows, err := db.Query("SELECT * FROM items")
			if err != nil {
				t.Fatal(err)
			}
			columns, _ := rows.Columns()
			rows.Close()
			expect(t, "columns", strings.Join(columns, ","), "id,other")
		})
	}
}

func TestALostServerIsNamed(t *testing.T) {
	cfg := database(t)
	s := openOn(t, cfg, session.Options{})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(t.Context(), s.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "SELECT pg_terminate_backend(pg_backend_pid())")
	expect(t, "the statement", code(err), "57P01")
	_, err = pgx.ConnectConfig(t.Context(), s.Config())
	if err == nil || !strings.Contains(err.Error(), "txiso: the server went away: FATAL: terminating connection due to administrator command (SQLSTATE 57P01)") {
		t.Errorf("connecting afterwards: %v", err)
	}
	if s.Alive() || s.Err() == nil {
		t.Error("the session does not know")
	}
	if _, err := s.End(time.Second); err == nil {
		t.Error("End has no error")
	}
}

func TestAConnectionOfATestThatHasEndedIsRefused(t *testing.T) {
	s := open(t, session.Options{})
	ctx := context.Background()
	var conn *pgx.Conn
	var cfg *pgx.ConnConfig
	var connector driver.Connector
	clean(t, s, func(*sql.DB) {
		cfg, connector = s.Config(), s.Connector()
		var err error
		if conn, err = pgx.ConnectConfig(ctx, cfg); err != nil {
			t.Fatal(err)
		}
	})
	refused := func(when string) {
		t.Helper()
		if _, err := conn.Exec(ctx, "INSERT INTO items VALUES (1, 'one')"); err == nil || !strings.Contains(err.Error(), "a test that has ended") && !conn.IsClosed() {
			t.Errorf("%s: %v", when, err)
		}
		const want = "txiso: this connection belongs to a test that has ended"
		if _, err := pgx.ConnectConfig(ctx, cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("connecting %s: %v, want %s", when, err, want)
		}
		if _, err := connector.Connect(ctx); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("connecting by database/sql %s: %v, want %s", when, err, want)
		}
	}
	refused("between tests")
	if _, err := pgx.ConnectConfig(ctx, s.Config()); err == nil {
		t.Error("a connection was opened between tests")
	}
	clean(t, s, func(db *sql.DB) {
		refused("ahead of the next test's first statement")
		exec(t, db, "INSERT INTO items VALUES (2, 'two')")
		refused("during the next test")
		expect(t, "items", value(t, db, countItems), "1")
	})
}

// The statement that restores the modes of constraints is prepared where it is needed first. When that was behind a
// statement that failed, the server had never seen it, and every later check failed.
func TestTheFirstWriteMayFail(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "CREATE TABLE others (id int)") // so that the constraints are listed anew
		for range 3 {
			_, err := db.Exec("INSERT INTO items VALUES ($1 / 0, 'one')", 1)
			expect(t, "error", code(err), "22012")
		}
		exec(t, db, "INSERT INTO items VALUES ($1, 'one')", 1)
		_, err := db.Exec("INSERT INTO children VALUES ($1, 99)", 1)
		expect(t, "error", code(err), "23503")
	})
}

func TestAStringOfStatementsIsATransactionForItsSettings(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		before := value(t, db, "SHOW work_mem")
		exec(t, db, "SET LOCAL work_mem = '7MB'; INSERT INTO items SELECT 1, current_setting('work_mem')")
		expect(t, "work_mem inside", value(t, db, "SELECT name FROM items"), "7MB")
		expect(t, "work_mem behind", value(t, db, "SHOW work_mem"), before)
		_, err := db.Exec("SET TRANSACTION READ ONLY; INSERT INTO items VALUES (2, 'two')")
		expect(t, "error", code(err), "25006")
		exec(t, db, "INSERT INTO items VALUES (2, 'two')")
		exec(t, db, "SET LOCAL work_mem = '7MB'")
		expect(t, "work_mem alone", value(t, db, "SHOW work_mem"), before)
	})
}

func TestOnlyWhatWritesCanBeLost(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "items", value(t, tx, countItems), "0")
		exec(t, db, "SELECT 1")
		expect(t, "one", value(t, db, "SELECT $1::int", 1), "1")
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAStrayCommitAheadOfAStatementChangesNothingForIt(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "INSERT INTO items VALUES (1, 'one')")
		_, err := db.Exec("COMMIT; INSERT INTO children VALUES (3, 5)")
		expect(t, "error", code(err), "23503")
		expect(t, "children", value(t, db, "SELECT count(*) FROM children"), "0")
	})
}

// A name that a client has made up is free again in the next test, as it is on the next connection to a server.
func TestNamesOfStatementsEndWithTheirTest(t *testing.T) {
	s := open(t, session.Options{})
	for range 2 {
		clean(t, s, func(db *sql.DB) {
			conn, err := pgx.ConnectConfig(t.Context(), s.Config())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			if _, err := conn.PgConn().Prepare(t.Context(), "p", "SELECT 1", nil); err != nil {
				t.Error(err)
			}
		})
		clean(t, s, func(db *sql.DB) { exec(t, db, "PREPARE p AS SELECT 2") })
	}
}

// What DEALLOCATE ALL has taken away comes back with the next statement that needs it, not behind one that fails: nothing can
// be prepared in a failed transaction.
func TestAFailureBehindDeallocateAllIsTheStatementsOwn(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "INSERT INTO items VALUES (1, 'one')")
		w := dial(t, s)
		for range 3 {
			expect(t, "answers", w.answers("BEGIN; DEALLOCATE ALL; ROLLBACK"), "CCCZ")
			expect(t, "answers", w.answers("INSERT INTO items VALUES (1, 'again')"), "EZ")
		}
		expect(t, "items", value(t, db, countItems), "1")
	})
}

// A statement that another connection's DEALLOCATE ALL has taken away is prepared again when it is used. That it has become
// wrong meanwhile is the client's to know.
func TestAStatementThatCannotBePreparedAgainSaysWhy(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		ctx := t.Context()
		exec(t, db, "CREATE TABLE passing (id int)")
		stmt, err := db.PrepareContext(ctx, "INSERT INTO passing VALUES ($1)")
		if err != nil {
			t.Fatal(err)
		}
		defer stmt.Close()
		w := dial(t, s)
		expect(t, "answers", w.answers("DROP TABLE passing; DEALLOCATE ALL"), "CCZ")
		_, err = stmt.ExecContext(ctx, 1)
		expect(t, "error", code(err), "42P01")
		exec(t, db, "CREATE TABLE passing (id int)")
		if _, err := stmt.ExecContext(ctx, 1); err != nil {
			t.Error(err)
		}
	})
}

// The ids of virtual connections began at 1, as those of processes do: on a server in a container
// pg_terminate_backend(conn.PgConn().PID()) could end the connection of another test.
func TestNobodyElsesBackendHasTheIDOfAVirtualConnection(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		conn, err := pgx.ConnectConfig(t.Context(), s.Config())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		const lastOfLinux = 1 << 22
		if pid := conn.PgConn().PID(); pid <= lastOfLinux {
			t.Errorf("the process id is %d, which another process may have", pid)
		}
		expect(t, "terminated", value(t, db, "SELECT pg_terminate_backend($1)", int64(conn.PgConn().PID())), "false")
		expect(t, "it lives", value(t, db, "SELECT 1"), "1")
	})
}
