package session_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso/internal/session"
)

// counted counts the savepoints that are set through it.
type counted struct {
	net.Conn
	savepoints *atomic.Int64
}

func (c counted) Write(p []byte) (int, error) {
	c.savepoints.Add(int64(bytes.Count(p, []byte("_set\x00\x00\x00"))))
	return c.Conn.Write(p)
}

// In a session that nothing had been written in yet, what is deferrable was unknown, so every SELECT got a guard of its own.
func TestReadsShareAGuard(t *testing.T) {
	cfg := database(t)
	dial := cfg.DialFunc
	var savepoints atomic.Int64
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return counted{conn, &savepoints}, err
	}
	s := openOn(t, cfg, session.Options{})
	for range 2 {
		clean(t, s, func(db *sql.DB) {
			before := savepoints.Load()
			for range 5 {
				value(t, db, countItems)
			}
			exec(t, db, "INSERT INTO items VALUES (1, 'one')")
			if n := savepoints.Load() - before; n != 0 {
				t.Errorf("%d savepoints for five reads and a write, want none", n)
			}
			for range 5 {
				value(t, db, countItems)
			}
			if n := savepoints.Load() - before; n != 1 {
				t.Errorf("%d savepoints for five reads behind a write, want 1", n)
			}
			exec(t, db, "CREATE TABLE more (id int)") // the next test begins as this one, whatever this one did to the schema
		})
	}
}

// The first guard has no savepoint: to return to it is to begin the outer transaction anew. What a server forgets when a transaction
// ends would have lasted for the rest of the test, had it not got one in time.
func TestTheFirstGuardIsAsGoodAsTheOthers(t *testing.T) {
	const insert = "INSERT INTO items VALUES (1, 'one')"
	const again = "INSERT INTO items VALUES (2, 'two')"
	cfg := database(t)
	run(t, cfg, `CREATE FUNCTION forbid() RETURNS text LANGUAGE sql AS $$ SELECT set_config('transaction_read_only', 'on', true) $$`)
	s := openOn(t, cfg, session.Options{})
	plain, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close(t.Context())
	for _, script := range [][]string{
		{"INSERT INTO items VALUES (1, 'one'), (1, 'again')", insert},
		{"INSERT INTO children VALUES (1, 99)", insert},
		{"selec", insert},
		{"BEGIN", "SELECT 1/0", "ROLLBACK", insert},
		{"BEGIN", insert, "SAVEPOINT a", "SELECT 1/0", "ROLLBACK TO a", "COMMIT", again, "ROLLBACK TO a"},
		{"BEGIN", insert, "SET TRANSACTION READ ONLY", "SELECT 1", "ROLLBACK", insert},
		{"BEGIN", insert, "SET TRANSACTION READ ONLY", "SELECT 1", "COMMIT", again},
		{"BEGIN READ ONLY", "SELECT 1", "COMMIT", insert},
		{"SELECT set_config('transaction_read_only', 'on', false)", insert},
		{"SELECT forbid()", insert},
		{"SELECT 1", "SELECT forbid()", insert},
		{"UPDATE pg_settings SET setting = 'on' WHERE name = 'transaction_read_only'", insert},
		{"BEGIN", "SET TimeZone = 'Asia/Tokyo'", "ROLLBACK", "SHOW TimeZone", insert},
		{"BEGIN", "SET TimeZone = 'Asia/Tokyo'", "SELECT 1/0", "ROLLBACK", "SHOW TimeZone", insert},
		{"BEGIN", "SET TimeZone = 'Asia/Tokyo'", "COMMIT", "SHOW TimeZone", "RESET TimeZone"},
		{"DO $$ BEGIN SET TRANSACTION READ ONLY; END $$", insert},
		{"SET transaction_read_only = on", insert},
		{"SET default_transaction_read_only = on", insert, "SET default_transaction_read_only = off", insert},
		{"SET TimeZone = 'Asia/Tokyo'", "SELECT 1/0", "SHOW TimeZone"},
		{insert + "; BEGIN; SET TRANSACTION READ ONLY; SELECT 1", "COMMIT", again},
		{insert + "; BEGIN; SET TRANSACTION READ ONLY; SELECT 1", "ROLLBACK", insert},
		{insert + "; BEGIN; SAVEPOINT a; SELECT 1/0", "ROLLBACK TO a", again, "COMMIT", again},
		{insert + "; ROLLBACK; " + again, insert},
		{insert + "; COMMIT; " + insert, again},
		{"DECLARE c CURSOR WITH HOLD FOR SELECT 1", "SELECT 1/0", "FETCH c", "CLOSE c"},
		{"DEALLOCATE ALL", "SELECT 1/0", insert},
		{"PREPARE p AS SELECT 1", "SELECT 1/0", "EXECUTE p", "DEALLOCATE p"},
	} {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec} {
			play := func(conn *pgx.Conn) (outcomes []string) {
				for _, sql := range append(script, countItems) {
					mode := mode
					if strings.Contains(sql, ";") {
						mode = pgx.QueryExecModeSimpleProtocol
					}
					outcomes = append(outcomes, outcome(t, conn, sql, mode))
				}
				return outcomes
			}
			want := play(plain)
			if _, err := plain.Exec(t.Context(), "RESET ALL; SET default_transaction_read_only = off; TRUNCATE items, children"); err != nil {
				t.Fatal(err)
			}
			clean(t, s, func(*sql.DB) {
				conn, err := pgx.ConnectConfig(t.Context(), s.Config())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close(t.Context())
				if got := play(conn); !slices.Equal(got, want) {
					t.Errorf("%q in mode %v:\nplain %q\ntxiso %q", script, mode, want, got)
				}
			})
		}
	}
}

// The ROLLBACK of a test was skipped with what was sent ahead of it into a transaction that had failed without the server's having said so
// yet.
func TestATestMayEndBehindAFailure(t *testing.T) {
	s := open(t, session.Options{})
	for _, script := range [][]string{
		{"BEGIN", "SELECT 1", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "ROLLBACK"},
		{"BEGIN", "SELECT 1", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"},
		{"BEGIN", "SELECT 1", "PREPARE TRANSACTION 'x'", "ROLLBACK"},
		{"BEGIN", "SELECT 1/0"},
		{"SELECT 1/0"},
		{"SELECT pg_advisory_lock(1)", "SET statement_timeout = '1ms'"},
	} {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec} {
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			conn, err := pgx.ConnectConfig(t.Context(), s.Config())
			if err != nil {
				t.Fatal(err)
			}
			for _, sql := range script {
				_, _ = conn.Exec(t.Context(), sql, mode)
			}
			if err := conn.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := s.End(30 * time.Second); err != nil {
				t.Errorf("%q in mode %v: %v", script, mode, err)
			}
			clean(t, s, func(db *sql.DB) {
				expect(t, "items", value(t, db, countItems), "0")
				expect(t, "advisory locks", value(t, db, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"), "0")
				expect(t, "statement_timeout", value(t, db, "SHOW statement_timeout"), "0")
			})
		}
	}
}

// outcome is what a statement returns: its rows, its tag and the code of its error.
func outcome(t *testing.T, conn *pgx.Conn, sql string, mode pgx.QueryExecMode) string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, mode)
	var got [][]any
	for err == nil && rows.Next() {
		values, _ := rows.Values()
		got = append(got, values)
	}
	rows.Close()
	return fmt.Sprint(got, rows.CommandTag(), code(rows.Err()))
}
