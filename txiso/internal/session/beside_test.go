package session_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/txiso/txiso-go/txiso/internal/session"
)

// two opens two virtual connections.
func two(t *testing.T, s *session.Session) (a, b *pgx.Conn) {
	t.Helper()
	for _, c := range []**pgx.Conn{&a, &b} {
		conn, err := pgx.ConnectConfig(t.Context(), s.Config())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
		*c = conn
	}
	return a, b
}

// do executes statements that must succeed.
func do(t *testing.T, c *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// fail executes a statement that must fail with a code.
func fail(t *testing.T, c *pgx.Conn, want, sql string) {
	t.Helper()
	_, err := c.Exec(t.Context(), sql)
	expect(t, sql, code(err), want)
}

// The commit of a transaction that had used SET LOCAL read the settings of who had spoken meanwhile, and did not wait for the answer.
func TestSettingsOutliveTheCommitOfAnother(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		a, b := two(t, s)
		do(t, b, "SET statement_timeout = '5s'")
		do(t, a, "BEGIN", "SET LOCAL lock_timeout = '1s'")
		do(t, b, "SELECT 1")
		do(t, a, "COMMIT")
		expect(t, "statement_timeout", show(t, b, "statement_timeout"), "5s")
		expect(t, "that of the other", show(t, a, "statement_timeout"), "0")
		do(t, a, "BEGIN", "SELECT 1")
		do(t, b, "SET statement_timeout = '6s'")
		fail(t, a, "25001", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
		expect(t, "statement_timeout beside a failure", show(t, b, "statement_timeout"), "6s")
		do(t, a, "ROLLBACK")
		expect(t, "statement_timeout behind it", show(t, b, "statement_timeout"), "6s")
	})
}

// A transaction took over the guard behind which another connection had only read. Its rollback was taken to give back what that
// one had set.
func TestSettingsOutliveTheRollbackOfAnother(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		a, b := two(t, s)
		do(t, b, "SELECT 1")
		do(t, a, "BEGIN", "INSERT INTO items VALUES (1, 'one')")
		do(t, b, "SET work_mem = '7MB'")
		do(t, a, "ROLLBACK")
		expect(t, "work_mem", show(t, b, "work_mem"), "7MB")
		expect(t, "that of the other", show(t, a, "work_mem"), "4MB")
	})
}

// A statement that was prepared under other settings was executed as it had been understood then.
func TestStartupParametersChangeWhatStatementsMean(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		const sql = "SELECT extract(hour FROM '2024-01-01'::timestamptz AT TIME ZONE 'UTC')::int"
		expect(t, "midnight", value(t, db, sql), "0")
		conn, err := connectWith(t, s, "TimeZone=Asia/Tokyo")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		var hour int
		if err := conn.QueryRow(t.Context(), sql).Scan(&hour); err != nil || hour != 15 {
			t.Errorf("midnight in Tokyo is at %d, %v; want 15", hour, err)
		}
		expect(t, "midnight", value(t, db, sql), "0")
	})
}

// What a function does to the schema is not in the tag of the statement that calls it, nor that of one that fires a trigger.
func TestDDLInFunctionsEndsWithItsTest(t *testing.T) {
	cfg := database(t)
	run(t, cfg, `
		CREATE FUNCTION widen() RETURNS void LANGUAGE plpgsql AS 'BEGIN ALTER TABLE items ADD COLUMN IF NOT EXISTS more text; END';
		CREATE FUNCTION calls() RETURNS text LANGUAGE plpgsql AS 'DECLARE i items.id%TYPE; BEGIN PERFORM widen(); RETURN i; END';
		CREATE FUNCTION widens() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM widen(); RETURN NULL; END';
		CREATE TRIGGER widens AFTER INSERT ON parents EXECUTE FUNCTION widens();`)
	s := openOn(t, cfg, session.Options{})
	columns := func(db *sql.DB) int {
		rows, err := db.Query("SELECT * FROM items")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		names, _ := rows.Columns()
		return len(names)
	}
	for _, widen := range []string{"SELECT widen()", "SELECT Calls()", "INSERT INTO parents VALUES (1)"} {
		clean(t, s, func(db *sql.DB) {
			if n := columns(db); n != 2 {
				t.Errorf("%d columns ahead of %s, want 2", n, widen)
			}
		})
		clean(t, s, func(db *sql.DB) {
			exec(t, db, widen)
			if n := columns(db); n != 3 {
				t.Errorf("%d columns behind %s, want 3", n, widen)
			}
		})
	}
	clean(t, s, func(db *sql.DB) { // what may change the schema does not, and functions cannot be changed here
		exec(t, db, "BEGIN READ ONLY")
		exec(t, db, "WITH x AS (SELECT 1) SELECT * FROM x")
		exec(t, db, "SELECT 'widen'::text, pg_catalog.set_config('x.y', '1', true)")
		exec(t, db, "SELECT id INTO TEMP here FROM items")
		exec(t, db, "COMMIT")
		expect(t, "rows", value(t, db, "SELECT count(*) FROM here"), "0")
	})
}

// The server reads 'now' and its like when it prepares a statement, and warm statements are not prepared again.
func TestNowInALiteralMovesFromTestToTest(t *testing.T) {
	s := open(t, session.Options{})
	for _, literal := range []string{"' NOW'", "$$now$$", `E'\tnow'`, "/* it's */ 'now'"} {
		seen := map[string]bool{}
		for range 3 {
			clean(t, s, func(db *sql.DB) { seen[value(t, db, "SELECT ("+literal+"::timestamptz)::text")] = true })
			time.Sleep(time.Millisecond)
		}
		if len(seen) != 3 {
			t.Errorf("three tests have seen %d times of %s: %v", len(seen), literal, seen)
		}
	}
}

// Timeouts that are parked were looked for in the transaction that a connection believed to be in, which had failed.
func TestAFailedTransactionMayAskForATimeout(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		a, b := two(t, s)
		do(t, b, "SET idle_in_transaction_session_timeout = '1min'")
		do(t, a, "BEGIN")
		fail(t, a, "22012", "SELECT 1/0")
		do(t, b, "SELECT 1")
		fail(t, a, "25P02", "SHOW idle_in_transaction_session_timeout")
		do(t, a, "ROLLBACK")
		expect(t, "timeout", show(t, b, "idle_in_transaction_session_timeout"), "1min")
	})
}

// A table that a held cursor reads cannot be dropped, whatever its ON COMMIT says.
func TestATemporaryTableThatACursorHolds(t *testing.T) {
	s := open(t, session.Options{})
	for _, on := range []string{"DROP", "DELETE ROWS"} {
		clean(t, s, func(*sql.DB) {
			a, _ := two(t, s)
			do(t, a, "BEGIN", "CREATE TEMP TABLE held (id int) ON COMMIT "+on, "INSERT INTO held VALUES (1), (2)",
				"DECLARE c CURSOR WITH HOLD FOR SELECT id FROM held", "COMMIT", "SELECT 1", "CLOSE c", "SELECT 1")
		})
	}
}

// What a statement outside a transaction had set for itself became its connection's own when a transaction beside it was rolled back.
func TestALocalSettingBesideATransactionEnds(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		a, b := two(t, s)
		do(t, a, "BEGIN", "INSERT INTO items VALUES (1, 'one')")
		do(t, b, "SET work_mem = '7MB'", "SELECT set_config('app.u', '1', true), set_config('work_mem', '8MB', true)")
		expect(t, "work_mem", show(t, b, "work_mem"), "7MB")
		do(t, a, "ROLLBACK")
		expect(t, "app.u", show(t, b, "app.u"), "")
		expect(t, "work_mem", show(t, b, "work_mem"), "7MB")
	})
}

// The end of a connection closed the cursor of another that had the name of one that it had closed itself.
func TestACursorThatWasClosedIsNobodysAnyMore(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		a, b := two(t, s)
		do(t, a, "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "CLOSE c", "DECLARE d CURSOR WITH HOLD FOR SELECT 1", "CLOSE ALL")
		do(t, b, "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "DECLARE d CURSOR WITH HOLD FOR SELECT 1")
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		do(t, b, "FETCH c", "FETCH d")
	})
}

// A statement that was known already was taken to be prepared although the server would have skipped its Parse behind an error.
func TestAParseBehindAnErrorIsSkipped(t *testing.T) {
	s := open(t, session.Options{})
	parse := &pgproto3.Parse{Name: "stmtcache_1", Query: "SELECT count(*) FROM items"}
	for range 2 { // the second knows it
		clean(t, s, func(*sql.DB) {
			w := dial(t, s)
			defer w.conn.Close()
			for i, messages := range [][]pgproto3.FrontendMessage{{&pgproto3.Parse{Query: "selec"}, parse}, {parse}, {parse}} {
				for _, m := range messages {
					w.frontend.Send(m)
				}
				w.frontend.SendSync(&pgproto3.Sync{})
				if err := w.frontend.Flush(); err != nil {
					t.Fatal(err)
				}
				var failed string
				for {
					msg, err := w.frontend.Receive()
					if err != nil {
						t.Fatal(err)
					}
					if e, ok := msg.(*pgproto3.ErrorResponse); ok {
						failed = e.Code
					}
					if _, ok := msg.(*pgproto3.ReadyForQuery); ok {
						break
					}
				}
				expect(t, "error", failed, []string{"42601", "", "42P05"}[i])
			}
		})
	}
}

// A connection that had to prepare its statement again took the name of another's on the server, which then executed that.
func TestStatementsOfOneNameOutliveDeallocateAll(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		a, b := two(t, s)
		query := func(c *pgx.Conn, want int) {
			t.Helper()
			var n int
			if err := c.QueryRow(t.Context(), "own").Scan(&n); err != nil || n != want {
				t.Errorf("%d, %v; want %d", n, err, want)
			}
		}
		if _, err := a.Prepare(t.Context(), "own", "SELECT 1"); err != nil {
			t.Fatal(err)
		}
		exec(t, db, "DEALLOCATE ALL")
		if _, err := b.Prepare(t.Context(), "own", "SELECT 2"); err != nil {
			t.Fatal(err)
		}
		query(a, 1)
		query(b, 2)
		query(a, 1)
	})
}

// The guard's savepoint was set inside that of a statement on another connection, and gone with it.
func TestAGuardIsNotSecuredInsideAnother(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		a, b := two(t, s)
		if _, err := a.PgConn().Exec(t.Context(), "SELECT 1; BEGIN").ReadAll(); err != nil {
			t.Fatal(err)
		}
		do(t, b, "SET x.y = 1")
		do(t, a, "COMMIT", "INSERT INTO items VALUES (1, 'one')", "INSERT INTO items VALUES (2, 'two')")
		expect(t, "x.y", show(t, b, "x.y"), "1")
	})
}

// An error of the session's own was told with the Sync that follows, which does not come from who waits for the error.
func TestAFlushIsAnsweredBehindAnError(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		w := dial(t, s)
		defer w.conn.Close()
		if err := w.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		w.frontend.SendParse(&pgproto3.Parse{Query: "LOCK TABLE items"})
		w.frontend.SendBind(&pgproto3.Bind{})
		w.frontend.SendExecute(&pgproto3.Execute{})
		w.frontend.Send(&pgproto3.Flush{})
		if err := w.frontend.Flush(); err != nil {
			t.Fatal(err)
		}
		for {
			msg, err := w.frontend.Receive()
			if err != nil {
				t.Fatal(err)
			}
			if e, ok := msg.(*pgproto3.ErrorResponse); ok {
				expect(t, "error", e.Code, "25P01")
				break
			}
		}
		w.frontend.SendSync(&pgproto3.Sync{})
		if err := w.frontend.Flush(); err != nil {
			t.Fatal(err)
		}
		if kind := w.receive(); kind != 'Z' {
			t.Errorf("%c behind the Sync, want Z", kind)
		}
	})
}

// A pipeline whose connection is closed ahead of its Sync was committed.
func TestAPipelineWithoutItsSyncIsUndone(t *testing.T) {
	s := open(t, session.Options{})
	for _, flush := range []bool{true, false} {
		clean(t, s, func(db *sql.DB) {
			a, _ := two(t, s)
			pipeline := a.PgConn().StartPipeline(t.Context())
			pipeline.SendQueryParams("INSERT INTO items VALUES (1, 'one')", nil, nil, nil, nil)
			if flush {
				pipeline.SendFlushRequest()
			}
			if err := pipeline.Flush(); err != nil {
				t.Fatal(err)
			}
			if flush {
				if _, err := pipeline.GetResults(); err != nil {
					t.Fatal(err)
				}
			}
			_ = pipeline.Close()
			_ = a.Close(t.Context())
			expect(t, "items", value(t, db, countItems), "0")
		})
	}
}

// Clients that set a write deadline for each write do not take it back. A statement that had waited for its turn longer than that was
// never sent.
func TestAWriteDeadlineIsThatOfTheWrite(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		a, _ := two(t, s)
		do(t, a, "BEGIN", "SELECT 1")
		w := dial(t, s)
		defer w.conn.Close()
		if err := w.conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		answered := make(chan string)
		go func() { answered <- w.answers("BEGIN; SELECT 1") }()
		time.Sleep(300 * time.Millisecond)
		do(t, a, "COMMIT")
		select {
		case kinds := <-answered:
			expect(t, "first and last", kinds[:1]+kinds[len(kinds)-1:], "CZ")
		case <-time.After(20 * time.Second):
			t.Error("it was never answered")
			w.conn.Close()
			<-answered
		}
	})
}

// After a DEALLOCATE the session takes nothing for prepared, but the server knows the other names as before.
func TestDeallocateLeavesTheOtherNames(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		a, b := two(t, s)
		known := func(c *pgx.Conn) (name string) {
			t.Helper()
			if err := c.QueryRow(t.Context(), "SELECT 'item ' || $1::text", "1").Scan(&name); err != nil {
				t.Error(err)
			}
			return name
		}
		known(a)
		do(t, a, "PREPARE p AS SELECT 1", "DEALLOCATE p")
		expect(t, "the other's", known(b), "item 1")
		expect(t, "its own", known(a), "item 1")
	})
}

// The names that a test had left stayed on the server if it had deallocated those of the session's own.
func TestNamesEndWithTheirTest(t *testing.T) {
	s := open(t, session.Options{})
	for _, deallocate := range []string{"DEALLOCATE other", "DEALLOCATE ALL"} {
		for range 2 {
			clean(t, s, func(*sql.DB) {
				a, _ := two(t, s)
				for _, n := range []string{"other", "kept"} {
					if _, err := a.PgConn().Prepare(t.Context(), n, "SELECT 1", nil); err != nil {
						t.Errorf("Parse %s ahead of %s: %v", n, deallocate, err)
					}
				}
				do(t, a, "BEGIN")
				if r := a.PgConn().ExecParams(t.Context(), deallocate, nil, nil, nil, nil).Read(); r.Err != nil {
					t.Errorf("%s: %v", deallocate, r.Err)
				}
				if _, err := a.PgConn().Prepare(t.Context(), "left", "SELECT 1", nil); err != nil {
					t.Errorf("Parse behind %s: %v", deallocate, err)
				}
			})
		}
	}
}

// A name that a closed connection had left was free by the time when the server was to refuse it.
func TestATakenNameStaysTaken(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		a, b := two(t, s)
		for _, c := range []*pgx.Conn{a, b} {
			if _, err := c.PgConn().Prepare(t.Context(), "name", "SELECT 1", nil); err != nil {
				t.Error(err)
			}
		}
		a.Close(t.Context())
		_, err := b.PgConn().Prepare(t.Context(), "name", "SELECT 2", nil)
		expect(t, "a second Parse", code(err), "42P05")
		do(t, b, "BEGIN")
		fail(t, b, "22012", "SELECT 1/0")
		for query, want := range map[string]string{"ROLLBACK": "42P05", "SELECT 2": "25P02", "SELEC": "42601"} {
			_, err := b.PgConn().Prepare(t.Context(), "name", query, nil)
			expect(t, query+" in a failed transaction", code(err), want)
			if err != nil && strings.Contains(err.Error(), "txiso") {
				t.Error(err)
			}
		}
		do(t, b, "ROLLBACK")
	})
}

// What DISCARD ALL did beside another connection's cursor on a temporary table failed, and the session was lost.
func TestDiscardAllLeavesTheOthersTheirOwn(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		a, b := two(t, s)
		do(t, a, "CREATE TEMP TABLE kept AS SELECT 1 i", "DECLARE h CURSOR WITH HOLD FOR SELECT * FROM kept")
		do(t, b, "CREATE TEMP TABLE gone (id int PRIMARY KEY)", "CREATE TEMP TABLE gone_too (id int REFERENCES gone DEFERRABLE INITIALLY DEFERRED)", "DISCARD ALL")
		fail(t, b, "42P01", "SELECT * FROM gone")
		do(t, b, "CREATE TEMP TABLE gone (id int)", "INSERT INTO items VALUES (1, 'one')")
		do(t, a, "FETCH h", "CLOSE h", "SELECT * FROM kept")
		do(t, b, "CREATE TEMP TABLE also (id int PRIMARY KEY)", "CREATE TEMP TABLE too (id int REFERENCES also DEFERRABLE INITIALLY DEFERRED)", "DISCARD TEMP", "INSERT INTO items VALUES (2, 'two')")
	})
}

// A name that DEALLOCATE had freed stayed taken on the server, and one that only looked like pgx's was there for the next test.
func TestNamesThatAreDeallocatedAreFree(t *testing.T) {
	s := open(t, session.Options{})
	for range 2 {
		clean(t, s, func(*sql.DB) {
			a, _ := two(t, s)
			for _, name := range []string{"own", "stmt_x"} {
				if _, err := a.PgConn().Prepare(t.Context(), name, "SELECT 1", nil); err != nil {
					t.Error(err)
				}
			}
			do(t, a, "DEALLOCATE own", "PREPARE own AS SELECT 2", "EXECUTE own")
			fail(t, a, "42P05", "PREPARE stmt_x AS SELECT 1")
		})
	}
}

// What a commit does to temporary tables failed under another session authorization, or when one had gone with another.
func TestTemporaryTablesGoWhoeverCommits(t *testing.T) {
	s := open(t, session.Options{})
	for _, script := range [][]string{
		{"CREATE TEMP TABLE a (id int) ON COMMIT DELETE ROWS", "SET SESSION AUTHORIZATION pg_monitor", "SELECT 1", "INSERT INTO pg_temp.a VALUES (1)", "RESET SESSION AUTHORIZATION"},
		{"BEGIN", "CREATE TEMP TABLE p (id int) ON COMMIT DROP", "CREATE TEMP TABLE c () INHERITS (p) ON COMMIT DELETE ROWS", "COMMIT", "SELECT 1"},
		{"CREATE TEMP TABLE a (id int PRIMARY KEY) ON COMMIT DELETE ROWS", "CREATE TEMP TABLE b (id int REFERENCES a)", "SELECT 1"},
	} {
		clean(t, s, func(db *sql.DB) {
			a, _ := two(t, s)
			for _, sql := range script {
				_, _ = a.Exec(t.Context(), sql)
			}
			exec(t, db, "INSERT INTO items VALUES (1, 'one')")
			expect(t, script[0], value(t, db, countItems), "1")
		})
	}
}

// A commit is no statement, so no statement_timeout ends it.
func TestACommitIsNotTimed(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		a, _ := two(t, s)
		do(t, a, "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END $$",
			"CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()",
			"SET statement_timeout = '100ms'", "INSERT INTO items VALUES (1, 'one')",
			"BEGIN", "INSERT INTO items VALUES (2, 'two')", "COMMIT")
		expect(t, "statement_timeout", show(t, a, "statement_timeout"), "100ms")
		fail(t, a, "57014", "SELECT pg_sleep(10)")
		do(t, a, "RESET statement_timeout")
		expect(t, "items", value(t, db, countItems), "2")
	})
}

// What the server says while it is asked whether it can read a string, it says again when that is executed.
func TestNoticesComeOnce(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		var notices []string
		cfg := s.Config().Copy()
		cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { notices = append(notices, n.Code) }
		c, err := pgx.ConnectConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		do(t, c, "BEGIN; CREATE TABLE "+strings.Repeat("long", 20)+" (); COMMIT")
		expect(t, "notices", strings.Join(notices, " "), "42622")
	})
}

// A statement was kept for the next test with a literal as it had been read under a setting of this one's, made by a function.
func TestAFunctionsSettingsMeanNothingToTheNextTest(t *testing.T) {
	cfg := database(t)
	run(t, cfg, "CREATE FUNCTION move(zone text) RETURNS text LANGUAGE sql AS $$ SELECT set_config('time' || 'zone', zone, false) $$")
	s := openOn(t, cfg, session.Options{})
	for _, zone := range []string{"Asia/Tokyo", "UTC"} {
		clean(t, s, func(*sql.DB) {
			a, _ := two(t, s)
			var was string
			if err := a.QueryRow(t.Context(), "SELECT move($1)", zone).Scan(&was); err != nil {
				t.Error(err)
			}
			var hour int
			if err := a.QueryRow(t.Context(), "SELECT extract(hour FROM '2020-01-01'::timestamptz AT TIME ZONE 'UTC')::int + $1", 0).Scan(&hour); err != nil {
				t.Error(err)
			}
			expect(t, "midnight in "+zone, fmt.Sprint(hour), map[string]string{"UTC": "0", "Asia/Tokyo": "15"}[zone])
		})
	}
}

// The modes of constraints were restored by name, for which the role needed rights, and the name must not be that of one that is not deferrable.
func TestConstraintsOfBothKindsUnderARole(t *testing.T) {
	cfg := database(t)
	run(t, cfg, `CREATE SCHEMA hidden; CREATE TABLE hidden.a (id int PRIMARY KEY, other int,
		CONSTRAINT same FOREIGN KEY (other) REFERENCES hidden.a DEFERRABLE INITIALLY DEFERRED, CONSTRAINT at_once UNIQUE (other) DEFERRABLE)`)
	run(t, cfg, "CREATE TABLE hidden.b (other int, CONSTRAINT same FOREIGN KEY (other) REFERENCES hidden.a)")
	run(t, cfg, "GRANT ALL ON items TO pg_monitor")
	s := openOn(t, cfg, session.Options{})
	clean(t, s, func(db *sql.DB) {
		a, _ := two(t, s)
		do(t, a, "INSERT INTO items VALUES (1, 'one')", "BEGIN", "SET LOCAL ROLE pg_monitor", "INSERT INTO items VALUES (2, 'two')", "COMMIT",
			"SET ROLE pg_monitor", "INSERT INTO items VALUES (3, 'three')", "SELECT 1")
		expect(t, "role", show(t, a, "role"), "pg_monitor")
		do(t, a, "RESET ROLE", "SET SESSION AUTHORIZATION pg_monitor", "INSERT INTO items VALUES (4, 'four')", "BEGIN", "INSERT INTO items VALUES (5, 'five')", "COMMIT")
		expect(t, "session_authorization", show(t, a, "session_authorization"), "pg_monitor")
		do(t, a, "RESET SESSION AUTHORIZATION", "INSERT INTO hidden.a VALUES (1, 1)")
		fail(t, a, "23503", "INSERT INTO hidden.a VALUES (2, 99)")
		do(t, a, "BEGIN", "INSERT INTO hidden.a VALUES (2, 3)")
		fail(t, a, "23505", "INSERT INTO hidden.a VALUES (4, 3)")
		do(t, a, "ROLLBACK", "BEGIN", "SET CONSTRAINTS ALL DEFERRED", "INSERT INTO hidden.a VALUES (2, 3), (3, 3)", "UPDATE hidden.a SET other = 2 WHERE id = 3", "COMMIT",
			"BEGIN", "INSERT INTO hidden.a VALUES (5, 6)", "INSERT INTO hidden.a VALUES (6, 5)", "COMMIT")
		expect(t, "items", value(t, db, countItems), "5")
		expect(t, "hidden", value(t, db, "SELECT count(*) FROM hidden.a"), "5")
	})
}

// A name was closed that another connection had prepared since, or one that nobody remembered was there in the next test.
func TestANameIsClosedForWhoHasIt(t *testing.T) {
	s := open(t, session.Options{})
	prepare := func(c *pgx.Conn, name, query string) error {
		_, err := c.PgConn().Prepare(t.Context(), name, query, nil)
		return err
	}
	run := func(c *pgx.Conn, name string) error {
		return c.PgConn().ExecPrepared(t.Context(), name, nil, nil, nil).Read().Err
	}
	for range 2 {
		clean(t, s, func(*sql.DB) {
			a, b := two(t, s)
			if err := prepare(b, "foo", "SELECT 1"); err != nil {
				t.Error(err)
			}
			do(t, a, "DEALLOCATE ALL")
			if err := prepare(a, "foo", "SELECT 2"); err != nil {
				t.Error(err)
			}
			do(t, b, "DEALLOCATE foo")
			if err := run(a, "foo"); err != nil {
				t.Error(err)
			}
			w := dial(t, s)
			w.frontend.Send(&pgproto3.Parse{Name: "bar", Query: "SELECT nothing"})
			w.sendKind("Sync")
			w.conn.Close()
			if err := prepare(b, "bar", "SELECT 1"); err != nil {
				t.Error(err)
			}
			if err := run(b, "bar"); err != nil {
				t.Error(err)
			}
		})
	}
}

// The server knew a name of which the session had been told that all were gone.
func TestUnnamedStatementsBehindDeallocateAll(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		a, _ := two(t, s)
		for range 3 {
			batch := &pgx.Batch{}
			batch.Queue("DEALLOCATE ALL")
			batch.Queue("SELECT 1")
			cfg := s.Config().Copy()
			cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
			c, err := pgx.ConnectConfig(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := c.SendBatch(t.Context(), batch).Close(); err != nil {
					t.Error(err)
				}
			}
			if _, err := c.Exec(t.Context(), "SELECT $1::int", 1); err != nil {
				t.Error(err)
			}
			c.Close(context.Background())
		}
		do(t, a, "SELECT 1")
	})
}

// What ends an idle session was in force again behind DISCARD ALL, and behind a string that had failed.
func TestTimeoutsArePausedWhateverHasSetThem(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		c, err := connectWith(t, s, "idle_in_transaction_session_timeout=100ms")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		do(t, c, "DISCARD ALL")
		time.Sleep(300 * time.Millisecond)
		exec(t, db, "SELECT 1")
		a, _ := two(t, s)
		do(t, a, "BEGIN")
		fail(t, a, "22012", "SET idle_session_timeout = '100ms'; SAVEPOINT a; SELECT 1/0")
		do(t, a, "ROLLBACK TO a")
		time.Sleep(300 * time.Millisecond)
		do(t, a, "COMMIT")
		expect(t, "timeout", show(t, a, "idle_session_timeout"), "100ms")
	})
}

// RESET asks for no rights, the session's own set_config did, as somebody else.
func TestResetUnderAnotherSessionAuthorization(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		c, err := connectWith(t, s, "log_min_messages=error", "role=pg_monitor")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		do(t, c, "SET SESSION AUTHORIZATION pg_read_all_stats", "RESET ALL")
		expect(t, "authorization", show(t, c, "session_authorization"), "pg_read_all_stats")
		_, _ = c.Exec(t.Context(), "RESET ROLE")
		exec(t, db, "INSERT INTO items VALUES (1, 'one')")
		expect(t, "items", value(t, db, countItems), "1")
	})
}

// A pipeline is carried out when its client has gone, with the statements that it has prepared.
func TestAPipelineHasItsStatementsToItsEnd(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		for n := range 10 {
			w := dial(t, s)
			w.frontend.Send(&pgproto3.Parse{Name: "add", Query: "INSERT INTO items SELECT coalesce(max(id), 0) + 1, 'x' FROM items"})
			w.frontend.Send(&pgproto3.Parse{Name: "commit", Query: "COMMIT"})
			for _, name := range []string{"add", "commit", "add"} {
				w.frontend.Send(&pgproto3.Bind{PreparedStatement: name})
				w.frontend.Send(&pgproto3.Execute{})
			}
			w.sendKind("Sync")
			w.conn.Close()
			expect(t, "items", value(t, db, countItems), fmt.Sprint(2*n+2))
		}
	})
}

// What was parked, and what a failed exchange had set, were taken for one another: in a transaction that had failed, or that had been undone.
func TestPausedTimeoutsOutliveFailures(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		a, b := two(t, s)
		do(t, a, "SET idle_session_timeout = '1min'")
		fail(t, a, "42P01", "SELECT * FROM no_settings")
		do(t, a, "SELECT 1")
		do(t, b, "SELECT 1")
		expect(t, "timeout", show(t, a, "idle_session_timeout"), "1min")
		expect(t, "the other's", show(t, b, "idle_session_timeout"), "0")
		if _, err := a.PgConn().Prepare(t.Context(), "own", "SELECT 1", nil); err != nil {
			t.Error(err)
		}
		do(t, a, "BEGIN")
		fail(t, a, "42P01", "SELECT * FROM no_settings")
		if err := a.PgConn().Deallocate(t.Context(), "own"); err != nil {
			t.Error(err)
		}
		do(t, a, "ROLLBACK")
		expect(t, "timeout behind a failed transaction", show(t, a, "idle_session_timeout"), "1min")
		do(t, a, "RESET ALL")
		expect(t, "timeout behind RESET ALL", show(t, a, "idle_session_timeout"), "0")
	})
}

// What a failed pipeline had set ahead of a savepoint was everybody's.
func TestASettingOfAFailedPipelineIsItsConnectionsOwn(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		a, b := two(t, s)
		do(t, a, "BEGIN")
		batch := &pgx.Batch{}
		for _, sql := range []string{"SET work_mem = '5MB'", "SAVEPOINT a", "SELECT 1/0"} {
			batch.Queue(sql)
		}
		expect(t, "the pipeline", code(a.SendBatch(t.Context(), batch).Close()), "22012")
		do(t, a, "ROLLBACK TO a")
		fail(t, a, "42704", "SET no_such_setting = 1")
		do(t, a, "ROLLBACK TO a", "COMMIT")
		expect(t, "of the other", show(t, b, "work_mem"), "4MB")
		expect(t, "its own", show(t, a, "work_mem"), "5MB")
		exec(t, db, "SELECT 1")
	})
}

// What was prepared behind a DEALLOCATE ALL in the same pipeline was forgotten, and there in the next test.
func TestStatementsBehindDeallocateAllInAPipeline(t *testing.T) {
	s := open(t, session.Options{})
	for range 2 {
		clean(t, s, func(*sql.DB) {
			w := dial(t, s)
			w.frontend.Send(&pgproto3.Parse{Query: "DEALLOCATE ALL"})
			w.frontend.Send(&pgproto3.Bind{})
			w.frontend.Send(&pgproto3.Execute{})
			w.frontend.Send(&pgproto3.Parse{Name: "behind", Query: "SELECT 1"})
			w.sendKind("Sync")
			w.until('C')
			w.until('1')
			w.until('Z')
			w.frontend.Send(&pgproto3.Bind{PreparedStatement: "behind"})
			w.frontend.Send(&pgproto3.Execute{})
			w.sendKind("Sync")
			w.until('C')
			w.until('Z')
		})
	}
}

// A commit restored a setting with the rights of whoever the test had become.
func TestALocalSettingEndsUnderAnotherSessionAuthorization(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		a, b := two(t, s)
		do(t, a, "BEGIN", "SET LOCAL log_min_messages = 'error'", "SET SESSION AUTHORIZATION pg_monitor", "COMMIT", "SELECT 1")
		expect(t, "authorization", show(t, a, "session_authorization"), "pg_monitor")
		do(t, a, "RESET SESSION AUTHORIZATION")
		expect(t, "log_min_messages", show(t, a, "log_min_messages"), show(t, b, "log_min_messages"))
		exec(t, db, "SELECT 1")
	})
}
