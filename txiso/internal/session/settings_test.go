package session_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/txiso/txiso-go/txiso/internal/pgserver/pgtest"
	"github.com/txiso/txiso-go/txiso/internal/session"
)

// connectWith opens a virtual connection with startup parameters.
func connectWith(t *testing.T, s *session.Session, parameters ...string) (*pgx.Conn, error) {
	t.Helper()
	cfg := s.Config().Copy()
	for _, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		switch name {
		case "user":
			cfg.User = value
		case "database":
			cfg.Database = value
		default:
			cfg.RuntimeParams[name] = value
		}
	}
	return pgx.ConnectConfig(context.Background(), cfg)
}

func show(t *testing.T, c *pgx.Conn, setting string) (value string) {
	t.Helper()
	if err := c.QueryRow(context.Background(), "SELECT current_setting($1)", setting).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// A pool of an application sets search_path and the like in its configuration, beside connections of the test without them.
func TestStartupParametersAreTheirConnectionsOwnAndGoWithTheTest(t *testing.T) {
	s := open(t, session.Options{})
	var before string
	clean(t, s, func(db *sql.DB) {
		before = value(t, db, "SELECT current_setting('application_name') || current_setting('work_mem')")
	})
	for range 2 {
		clean(t, s, func(db *sql.DB) {
			for _, name := range []string{"one", "two", "one"} {
				c, err := connectWith(t, s, "application_name="+name, "work_mem=1MB")
				if err != nil {
					t.Fatal(err)
				}
				expect(t, "reported", c.PgConn().ParameterStatus("application_name"), name)
				expect(t, "application_name", show(t, c, "application_name"), name)
				expect(t, "the others'", value(t, db, "SELECT current_setting('application_name') || current_setting('work_mem')"), before)
				expect(t, "work_mem", show(t, c, "work_mem"), "1MB")
			}
		})
		clean(t, s, func(db *sql.DB) {
			expect(t, "the next test's", value(t, db, "SELECT current_setting('application_name') || current_setting('work_mem')"), before)
		})
	}
}

// A connection may come at any time: here while another one's transaction is open, and that one rolls back.
func TestStartupParametersOutliveAnotherConnectionsTransaction(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		exec(t, tx, "SET work_mem = '2MB'")
		c, err := connectWith(t, s, "work_mem=1MB")
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "in the transaction", value(t, tx, "SHOW work_mem"), "2MB")
		expect(t, "beside it", show(t, c, "work_mem"), "1MB")
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		expect(t, "behind it", show(t, c, "work_mem"), "1MB")
		expect(t, "where it was", value(t, db, "SHOW work_mem"), "4MB")
	})
}

func TestStartupParametersThatCannotBeHadAreRefusedByName(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "INSERT INTO items VALUES (1, 'one')")
		for parameter, want := range map[string][]string{
			"work_mem=much":            {"FATAL", "22023", `invalid value for parameter "work_mem": "much"`},
			"ignore_system_indexes=on": {"FATAL", "55P02", `"ignore_system_indexes" cannot be set after connection start`, "Config.DSN"},
			"client_encoding=SJIS":     {"FATAL", "0A000", `"client_encoding=SJIS"`, "Config.DSN"},
			"user=nobody":              {"FATAL", "0A000", `"user=nobody"`, "the role parameter", "Config.DSN"},
			"database=nothing":         {"FATAL", "0A000", `"database=nothing"`, "Config.DSN"},
			"replication=database":     {"FATAL", "0A000", `"replication=database"`, "Config.DSN"},
			"options=-f -s":            {"FATAL", "0A000", `"options=-f"`, "Config.DSN"},
		} {
			_, err := connectWith(t, s, parameter)
			var pe *pgconn.PgError
			if !errors.As(err, &pe) {
				t.Errorf("%s: %v", parameter, err)
				continue
			}
			text := strings.Join([]string{pe.Severity, pe.Code, pe.Message, pe.Hint}, " ")
			for _, part := range want {
				if !strings.Contains(text, part) {
					t.Errorf("%s: %s, want %s", parameter, text, part)
				}
			}
		}
		expect(t, "items", value(t, db, countItems), "1")
	})
}

// A name that hides now() is what one tries first to make it move.
func TestAFunctionNamedNowDoesNotReachCurrentTimestamp(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		db.SetMaxOpenConns(1)
		exec(t, db, "CREATE TABLE events (id int, at timestamptz DEFAULT now())")
		exec(t, db, "CREATE FUNCTION now() RETURNS timestamptz LANGUAGE sql AS 'SELECT clock_timestamp()'")
		exec(t, db, "SET search_path = public, pg_catalog")
		exec(t, db, "INSERT INTO events VALUES (1)")
		expect(t, "now() moves", value(t, db, "SELECT now() > transaction_timestamp()"), "true")
		expect(t, "CURRENT_TIMESTAMP moves", value(t, db, "SELECT CURRENT_TIMESTAMP > transaction_timestamp()"), "false")
		expect(t, "the default moves", value(t, db, "SELECT at > transaction_timestamp() FROM events"), "false")
		exec(t, db, "ALTER TABLE events ALTER at SET DEFAULT clock_timestamp()")
		exec(t, db, "INSERT INTO events VALUES (2)")
		expect(t, "the remedy moves", value(t, db, "SELECT at > transaction_timestamp() FROM events WHERE id = 2"), "true")
	})
}

// The session sees the call of the function, not what it does; the remedy is a call in the statement itself.
func TestASettingMadeByAFunctionOutlivesItsTransaction(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "CREATE FUNCTION tenant(name text) RETURNS text LANGUAGE sql AS $$ SELECT set_config('app.tenant', name, true) $$")
		for statement, after := range map[string]string{"SELECT set_config('app.tenant', 'one', true)": "", "SELECT tenant('two')": "two"} {
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			exec(t, tx, statement)
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			expect(t, "behind "+statement, value(t, db, "SELECT coalesce(current_setting('app.tenant', true), '')"), after)
			exec(t, db, "SET app.tenant = ''")
		}
	})
	clean(t, s, func(db *sql.DB) {
		expect(t, "in the next test", value(t, db, "SELECT coalesce(current_setting('app.tenant', true), '')"), "")
	})
}

// The session deallocates what a statement of the test has prepared, or a DO block. It does not see into functions of the schema.
func TestWhatAFunctionHasPreparedOutlivesItsTest(t *testing.T) {
	cfg := database(t)
	run(t, cfg, "CREATE FUNCTION prepares() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'PREPARE taken AS SELECT 1'; END $$")
	s := openOn(t, cfg, session.Options{})
	for _, test := range []struct{ statement, next string }{
		{"PREPARE taken AS SELECT 1", "no error"},
		{"DO $$ BEGIN EXECUTE 'PREPARE taken AS SELECT 1'; END $$", "no error"},
		{"SELECT prepares()", "42P05"},
		{"CREATE TABLE changes_the_schema ()", "no error"},
	} {
		clean(t, s, func(db *sql.DB) { exec(t, db, test.statement) })
		clean(t, s, func(db *sql.DB) {
			_, err := db.Exec("PREPARE taken AS SELECT 1")
			expect(t, "the test behind "+test.statement, code(err), test.next)
		})
	}
}

// DROP ROLE asks nobody who is in it. Who was could not be given the role back when he spoke again, and the session was lost. He goes
// on without it, which the test is told.
func TestARoleThatAnotherConnectionHasDropped(t *testing.T) {
	s := open(t, session.Options{})
	findings := lease(t, s, func(*sql.DB) {
		a, b := two(t, s)
		do(t, a, "CREATE ROLE txiso_test_passing")
		do(t, b, "SET ROLE txiso_test_passing", "SELECT 1")
		do(t, a, "DROP ROLE txiso_test_passing")
		do(t, b, "SELECT 1", "RESET ROLE")
		expect(t, "role", show(t, b, "role"), "none")
		do(t, a, "CREATE ROLE txiso_test_passing")
		do(t, b, "SET SESSION AUTHORIZATION txiso_test_passing", "SELECT 1")
		do(t, a, "DROP ROLE txiso_test_passing")
		do(t, b, "RESET SESSION AUTHORIZATION", "SELECT 1")
		_, err := connectWith(t, s, "role=txiso_test_passing")
		expect(t, "a connection that asks for it", code(err), "22023")
	})
	if len(findings) != 1 || !strings.Contains(findings[0], "dropped or renamed a role") {
		t.Errorf("findings: %q", findings)
	}
}

// The server would end the connection of the whole test.
func TestTimeoutsOfIdleSessionsEndNothing(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		exec(t, tx, "SET LOCAL idle_in_transaction_session_timeout = '500ms'")
		exec(t, tx, "INSERT INTO items VALUES (1, 'one')")
		time.Sleep(700 * time.Millisecond)
		expect(t, "shown", value(t, tx, "SHOW idle_in_transaction_session_timeout"), "500ms")
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
		expect(t, "items", value(t, db, countItems), "1")
	})
}

// What is deferred runs at COMMIT, so it must find the settings of the connection that commits, whoever spoke last.
func TestWhatIsDeferredFindsTheSettingsOfWhoCommits(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "+
			"$$ BEGIN UPDATE items SET name = current_setting('application_name'); RETURN NULL; END $$")
		exec(t, db, "CREATE CONSTRAINT TRIGGER note AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note()")
		mine, err := connectWith(t, s, "application_name=mine")
		if err != nil {
			t.Fatal(err)
		}
		other, err := connectWith(t, s, "application_name=other")
		if err != nil {
			t.Fatal(err)
		}
		tx, err := mine.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "INSERT INTO items VALUES (1, 'one')"); err != nil {
			t.Fatal(err)
		}
		expect(t, "setting of the other connection", show(t, other, "application_name"), "other")
		expect(t, "error of COMMIT", code(tx.Commit(t.Context())), "no error")
		expect(t, "setting that the trigger found", value(t, db, "SELECT name FROM items"), "mine")
	})
}

// The server reports at the end of its answer to a ROLLBACK what that has done to settings, and nobody waits for that answer. So
// the first statement behind a test that had switched default_transaction_read_only on was read only, too.
func TestReadOnlyByDefaultEndsWithItsTest(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) { exec(t, db, "SET default_transaction_read_only = on") })
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "INSERT INTO items VALUES (1, 'one')")
		n, err := s.Nest(t.Context(), nil, session.Names{})
		if err != nil {
			t.Fatal(err)
		}
		nested := stdlib.OpenDB(*n.Config())
		defer nested.Close()
		exec(t, nested, "SET default_transaction_read_only = on")
		if _, err := n.End(30 * time.Second); err != nil {
			t.Fatal(err)
		}
		exec(t, db, "INSERT INTO items VALUES (2, 'two')")
	})
}

// The answer to the ROLLBACK of a test is read with that to the first exchange of the next, which does not care.
func TestWhatARollbackDoesToSettingsIsNotReported(t *testing.T) {
	s := open(t, session.Options{})
	for _, prepared := range []bool{true, false} {
		clean(t, s, func(db *sql.DB) {
			exec(t, db, "SET TimeZone = 'Asia/Tokyo'")
			if !prepared { // then the end is one Query
				exec(t, db, "DEALLOCATE ALL")
			}
		})
		clean(t, s, func(*sql.DB) { expect(t, "SELECT", dial(t, s).answers("SELECT 1"), "??CZ") })
	}
}

// Nor does the test around a nested one.
func TestWhatARollbackOfALevelDoesToSettingsIsNotReported(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		w := dial(t, s)
		expect(t, "SET", w.answers("SET TimeZone = 'Asia/Tokyo'"), "CSZ")
		level, err := s.Nest(t.Context(), nil, session.Names{})
		if err != nil {
			t.Fatal(err)
		}
		inner := sql.OpenDB(level.Connector())
		exec(t, inner, "SET TimeZone = 'Asia/Dili'")
		inner.Close()
		if _, err := level.End(time.Second); err != nil {
			t.Fatal(err)
		}
		expect(t, "SELECT", w.answers("SELECT 1"), "??CZ")
	})
}

// Options of the DSN, or of PGOPTIONS, are what the physical connection was opened with.
func TestOptionsOfTheDSNAreGrantedToEveryConnection(t *testing.T) {
	cfg := database(t)
	cfg.RuntimeParams["options"] = "-c work_mem=8MB --client-min-messages=warning -c statement_timeout=50000"
	cfg.RuntimeParams["lock_timeout"] = "40s"
	s := openOn(t, cfg, session.Options{})
	const all = "SELECT concat_ws(' ', current_setting('work_mem'), current_setting('client_min_messages'), current_setting('statement_timeout'), " +
		"current_setting('lock_timeout'))"
	for range 2 {
		clean(t, s, func(db *sql.DB) {
			expect(t, "settings", value(t, db, all), "8MB warning 50s 40s")
			c, err := connectWith(t, s, "options=-c work_mem=9MB")
			if err != nil {
				t.Fatal(err)
			}
			expect(t, "work_mem", show(t, c, "work_mem"), "9MB")
			exec(t, db, "SET work_mem = '7MB'; RESET work_mem")
			expect(t, "settings", value(t, db, all), "8MB warning 50s 40s")
		})
	}
}

// The server reads the options first, so the parameter holds.
func TestAParameterHoldsAgainstAnOption(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		c, err := connectWith(t, s, "options=-c client_encoding=SQL_ASCII -c work_mem=5MB", "client_encoding=utf-8", "work_mem=6MB")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		expect(t, "client_encoding", show(t, c, "client_encoding"), "UTF8")
		expect(t, "work_mem", show(t, c, "work_mem"), "6MB")
	})
}

// What a startup message asks for was undone with the first statement of the connection that failed, because nothing had been written
// yet when it was granted.
func TestStartupParametersOutliveAFailure(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		for range 2 { // the second is granted what is known already
			conn, err := connectWith(t, s, "TimeZone=Asia/Tokyo", "search_path=pg_catalog")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			for range 2 {
				fail(t, conn, "22012", "SELECT 1/0")
				expect(t, "TimeZone", show(t, conn, "TimeZone"), "Asia/Tokyo")
				expect(t, "search_path", show(t, conn, "search_path"), "pg_catalog")
				expect(t, "TimeZone of another connection", value(t, db, "SHOW TimeZone"), "UTC")
			}
		}
	})
}

// RESET gave the value of the server's own connection up to the end of the exchange, and took that of the startup for what was set behind it.
func TestResetGivesTheValueOfTheStartupAtOnce(t *testing.T) {
	s := open(t, session.Options{})
	plain, err := pgx.ParseConfig(pgtest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	admin, err := pgx.ConnectConfig(t.Context(), plain)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	role := "txiso_test_" + strings.ToLower(rand.Text())
	do(t, admin, "CREATE ROLE "+role, "CREATE ROLE "+role+"_other")
	defer do(t, admin, "DROP ROLE "+role, "DROP ROLE "+role+"_other")
	parameters := map[string]string{
		"role": role, "search_path": "app", "TimeZone": "Asia/Tokyo", "my.own": "first", "idle_in_transaction_session_timeout": "7s", "log_min_messages": "error",
	}
	plain.RuntimeParams = parameters
	const look = "SELECT current_user::text, current_setting('role'), current_setting('search_path'), current_setting('TimeZone'), current_setting('statement_timeout'), " +
		"current_setting('my.own', true), current_setting('idle_in_transaction_session_timeout'), current_setting('log_min_messages'), current_setting('default_transaction_read_only')"
	for _, script := range [][]string{
		{"RESET ROLE; " + look},
		{"SET ROLE none", "RESET ROLE; " + look},
		{"SET ROLE " + role + "_other", "RESET ALL; " + look, "RESET ROLE"},
		{"SET search_path = other", "RESET search_path; " + look},
		{"RESET ROLE; SET search_path = tenant1", "RESET search_path"},
		{"RESET ALL; SET statement_timeout = '5s'", "RESET ALL; SET search_path = x; " + look},
		{"SET my.own = 'second'", "RESET my.own", "SET my.own TO DEFAULT; " + look},
		{"SET idle_in_transaction_session_timeout = '9s'", "RESET idle_in_transaction_session_timeout", "RESET ALL"},
		{"SET TIME ZONE 'UTC'", "SET TIME ZONE LOCAL", "SET TIME ZONE 'UTC'; SET TIME ZONE DEFAULT; " + look},
		{"BEGIN", "SET LOCAL search_path = a", "SET LOCAL search_path TO DEFAULT; " + look, "COMMIT"},
		{"SET search_path = b", "BEGIN", "SET LOCAL search_path TO DEFAULT", "COMMIT"},
		{"SET search_path = b", "BEGIN", "RESET search_path", "ROLLBACK"},
		{"SET search_path = b", "BEGIN", "SAVEPOINT a", "RESET ALL", "ROLLBACK TO a", "COMMIT"},
		{"SET search_path = b", "RESET ALL; SELECT 1/0"},
		{"RESET nothing_of_that_name"},
		{"SET search_path = b", "DISCARD ALL"},
		{"SET ROLE " + role + "_other", "DISCARD ALL"},
		{"SET ROLE none", "DISCARD ALL"},
		{"BEGIN", "SET LOCAL SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "COMMIT"},
	} {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec} {
			play := func(conn *pgx.Conn) (outcomes []string) {
				defer conn.Close(context.Background())
				for _, sql := range append(script, look) {
					mode := mode
					if strings.Contains(sql, ";") || strings.HasPrefix(sql, "DISCARD") {
						mode = pgx.QueryExecModeSimpleProtocol
					}
					outcomes = append(outcomes, fmt.Sprint(outcome(t, conn, sql, mode), conn.PgConn().ParameterStatus("TimeZone")))
				}
				return outcomes
			}
			conn, err := pgx.ConnectConfig(t.Context(), plain)
			if err != nil {
				t.Fatal(err)
			}
			want := play(conn)
			clean(t, s, func(db *sql.DB) {
				exec(t, db, "SET search_path = others")
				cfg := s.Config().Copy()
				cfg.RuntimeParams = parameters
				conn, err := pgx.ConnectConfig(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				if got := play(conn); !slices.Equal(got, want) {
					t.Errorf("%q in mode %v:\nplain %q\ntxiso %q", script, mode, want, got)
				}
				expect(t, "the others'", value(t, db, "SHOW search_path"), "others")
			})
		}
	}
}

// A setting of a part that had succeeded was everybody's when the rest of its string had failed.
func TestASettingAheadOfAFailureIsItsConnectionsOwn(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		a, b := two(t, s)
		do(t, a, "BEGIN")
		fail(t, a, "22012", "SET work_mem = '5MB'; SAVEPOINT a; SELECT 1/0")
		do(t, a, "ROLLBACK TO a", "COMMIT")
		expect(t, "of the other", show(t, b, "work_mem"), "4MB")
		expect(t, "its own", show(t, a, "work_mem"), "5MB")
	})
}

// A guard that was returned to was taken for that of the connection that had failed ahead of it.
func TestSettingsOutliveTheRollbackOfAnotherBehindAFailure(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		a, b := two(t, s)
		fail(t, b, "22012", "SELECT 1/0")
		do(t, a, "BEGIN", "SELECT 1")
		do(t, b, "SET work_mem = '5MB'")
		do(t, a, "ROLLBACK")
		expect(t, "work_mem", show(t, b, "work_mem"), "5MB")
		expect(t, "that of the other", show(t, a, "work_mem"), "4MB")
	})
}

// A transaction whose first statement was cancelled ahead of its turn was taken for one that has failed on the server, where nothing can
// be set: its connection went on with another's settings.
func TestSettingsOutliveATransactionThatTheServerHasNotSeen(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		a, b := two(t, s)
		do(t, b, "SET app.whose = 'b'")
		do(t, a, "SET app.whose = 'a'")
		do(t, b, "BEGIN")
		var others sync.WaitGroup
		others.Go(func() { do(t, a, "SELECT pg_sleep(0.5)") })
		others.Go(func() {
			time.Sleep(100 * time.Millisecond)
			if err := b.PgConn().CancelRequest(t.Context()); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(50 * time.Millisecond)
		fail(t, b, "57014", "SELECT 1")
		others.Wait()
		fail(t, b, "25P02", "SELECT 1")
		do(t, b, "ROLLBACK")
		expect(t, "the setting of b", show(t, b, "app.whose"), "b")
		expect(t, "the setting of a", show(t, a, "app.whose"), "a")
	})
}
