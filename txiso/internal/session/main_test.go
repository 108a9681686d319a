package session_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/goleak"

	"github.com/txiso/txiso-go/txiso/internal/pgserver/pgtest"
	"github.com/txiso/txiso-go/txiso/internal/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// schema has a plain table, and a deferred constraint.
const schema = `
CREATE TABLE items (id int PRIMARY KEY, name text);
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (id int, parent int CONSTRAINT child_parent REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
CREATE SEQUENCE numbers;`

// database makes a database with the schema, for this test alone.
func database(tb testing.TB) *pgx.ConnConfig {
	tb.Helper()
	cfg, err := pgx.ParseConfig(pgtest.DSN(tb))
	if err != nil {
		tb.Fatal(err)
	}
	name := "session_test_" + strings.ToLower(rand.Text())
	admin := func(sql string) {
		tb.Helper()
		run(tb, cfg, sql)
	}
	admin("CREATE DATABASE " + name)
	tb.Cleanup(func() { admin("DROP DATABASE " + name + " WITH (FORCE)") })
	own := cfg.Copy()
	own.Database = name
	run(tb, own, schema)
	return own
}

func run(tb testing.TB, cfg *pgx.ConnConfig, sql string) {
	tb.Helper()
	conn, err := pgx.ConnectConfig(context.Background(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		tb.Fatal(err)
	}
}

func open(tb testing.TB, opts session.Options) *session.Session {
	tb.Helper()
	return openOn(tb, database(tb), opts)
}

func openOn(tb testing.TB, cfg *pgx.ConnConfig, opts session.Options) *session.Session {
	tb.Helper()
	s, err := session.Open(tb.Context(), cfg, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// lease runs f inside the outer transaction of a lease and returns the findings.
func lease(tb testing.TB, s *session.Session, f func(db *sql.DB)) []string {
	tb.Helper()
	if err := s.Start(); err != nil {
		tb.Fatal(err)
	}
	db := stdlib.OpenDB(*s.Config())
	defer db.Close()
	f(db)
	findings, err := s.End(30 * time.Second)
	if err != nil {
		tb.Fatal(err)
	}
	return findings
}

// clean is lease for a test that must find nothing to complain about.
func clean(tb testing.TB, s *session.Session, f func(db *sql.DB)) {
	tb.Helper()
	if findings := lease(tb, s, f); findings != nil {
		tb.Errorf("findings: %q", findings)
	}
}

type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// value returns what a query yields, as text.
func value(tb testing.TB, q queryer, query string, args ...any) string {
	tb.Helper()
	var v any
	if err := q.QueryRowContext(context.Background(), query, args...).Scan(&v); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	return fmt.Sprint(v)
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func exec(tb testing.TB, e execer, query string, args ...any) {
	tb.Helper()
	if _, err := e.ExecContext(context.Background(), query, args...); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
}

func expect(tb testing.TB, what, got, want string) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s: %s, want %s", what, got, want)
	}
}
