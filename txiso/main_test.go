package txiso_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/txiso/txiso-go/migrations"
	"github.com/txiso/txiso-go/txiso"
	"github.com/txiso/txiso-go/txiso/internal/pgserver/pgtest"
)

// iso is what a user's package has.
var iso = txiso.New(txiso.Config{Migrations: migrations.FS})

// These are registered as a user would: once, before any test.
func init() {
	txiso.Register("txiso", txiso.Config{Migrations: migrations.FS})
	txiso.Register("txiso-unusable", txiso.Config{Migrations: migrations.FS, Migrator: numbers("both")})
}

func TestMain(m *testing.M) {
	if os.Getenv(childMark) != "" {
		os.Exit(m.Run()) // without Close, as most users' processes end
	}
	goleak.VerifyTestMain(closing{m})
}

// childMark is the variable that makes this binary a process of its own tests, see process_test.go. It names what to do.
const childMark = "TXISO_TEST_CHILD"

// closing gives everything back before goroutines are counted.
type closing struct{ *testing.M }

func (m closing) Run() int {
	code := m.M.Run()
	if err := errors.Join(iso.Close(), closeDriver("txiso")); err != nil {
		fmt.Println("closing:", err)
		return 1
	}
	return code
}

// closeDriver ends what a registered driver keeps for tests to come.
func closeDriver(name string) error {
	db, err := sql.Open(name, "")
	if err != nil {
		return err
	}
	return errors.Join(db.Driver().(io.Closer).Close(), db.Close())
}

func closeIso(t testing.TB, iso *txiso.Iso) {
	t.Helper()
	if err := iso.Close(); err != nil {
		t.Error(err)
	}
}

// fresh returns an Iso whose template nobody else uses; it is dropped when t ends.
func fresh(t testing.TB, cfg txiso.Config) *txiso.Iso {
	t.Helper()
	iso := txiso.New(cfg)
	t.Cleanup(func() {
		closeIso(t, iso)
		dropTemplate(t, cfg)
	})
	return iso
}

// dropTemplate drops what txiso has made for cfg, if the template can be had at all.
func dropTemplate(t testing.TB, cfg txiso.Config) {
	t.Helper()
	var name string
	again := txiso.New(cfg)
	played := &fakeTB{name: t.Name()}
	played.ctx, played.cancel = context.WithCancel(context.Background())
	apart(func() { name = databaseName(t, again.DB(played)) })
	played.cancel()
	for clean := played.pop(); clean != nil; clean = played.pop() {
		apart(clean)
	}
	closeIso(t, again)
	if name != "" {
		dropDatabases(t, cfg.DSN, templateOf(name))
	}
}

// templateOf cuts the number off a worker database's name.
func templateOf(name string) string { return name[:strings.LastIndex(name, "_")] }

// dropDatabases leaves to a collector what that drops at the same time.
func dropDatabases(t testing.TB, dsn, template string) {
	t.Helper()
	conn := connect(t, dsn)
	for _, name := range databases(t, conn, template) {
		if _, err := conn.Exec(context.Background(), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	}
}

// connect opens a plain connection to a server: "" is the one that tests use by default.
func expectWorks(t *testing.T, iso *txiso.Iso) {
	t.Helper()
	for range 2 {
		playTest(t, func(tb *fakeTB) { execute(t, iso.DB(tb), "INSERT INTO t VALUES (1), (2)") }).expectPass(t)
	}
	playTest(t, func(tb *fakeTB) { execute(t, iso.Clone(tb).DB, "INSERT INTO t VALUES (1), (2)") }).expectPass(t)
}

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	if dsn == "" {
		dsn = pgtest.DSN(t)
	}
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = conn.Close(ctx)
	})
	return conn
}

func run(t *testing.T, conn *pgx.Conn, text string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// databases lists the template and all that was cloned from it.
func databases(t testing.TB, conn *pgx.Conn, template string) []string {
	t.Helper()
	rows, err := conn.Query(context.Background(), "SELECT datname FROM pg_database WHERE starts_with(datname, $1) ORDER BY 1", template)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// table is a schema with one table, t, that no other test has: its fingerprint is the test's own.
func table(t testing.TB) fstest.MapFS {
	return fstest.MapFS{"00001_t.sql": {Data: []byte("-- +goose Up\n-- for " + unique(t) + "\nCREATE TABLE t (n int PRIMARY KEY);\n")}}
}

// unique is a name that no other run has.
func unique(t testing.TB) string { return fmt.Sprintf("%s in process %d", t.Name(), os.Getpid()) }

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// query returns the one value of a query.
func query[T any](t testing.TB, db querier, text string, args ...any) (v T) {
	t.Helper()
	if err := db.QueryRowContext(context.Background(), text, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func execute(t testing.TB, db *sql.DB, text string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(context.Background(), text, args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func databaseName(t testing.TB, db querier) string {
	t.Helper()
	return query[string](t, db, "SELECT current_database()")
}

func backend(t testing.TB, db querier) int {
	t.Helper()
	return query[int](t, db, "SELECT pg_backend_pid()")
}

func insertCustomer(t testing.TB, db *sql.DB, email string) {
	t.Helper()
	execute(t, db, "INSERT INTO customers (email, name) VALUES ($1, 'Ann')", email)
}

func customers(t testing.TB, db querier) int {
	t.Helper()
	return query[int](t, db, "SELECT count(*) FROM customers")
}

// long skips tests that take more than a few seconds, unless TXISO_LONG is set as .ci/run does.
func long(t testing.TB) {
	t.Helper()
	if !isLong() {
		t.Skip("takes long: set TXISO_LONG=1 to run it")
	}
}

// isLong tells tests that can do the same more often whether to.
func isLong() bool { return os.Getenv("TXISO_LONG") != "" }
