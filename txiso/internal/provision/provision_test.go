package provision_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso/internal/pgserver/pgtest"
	"github.com/txiso/txiso-go/txiso/internal/provision"
)

// uniqueTable returns a table name that makes a test's fingerprint its own.
func uniqueTable() string { return "t_" + strings.ToLower(rand.Text()) }

// oneTable are migrations that create one table.
func oneTable(table string) fstest.MapFS {
	return migrations("00001_create.sql", fmt.Sprintf("-- +goose Up\nCREATE TABLE %s (id int PRIMARY KEY);\n", table))
}

func migrations(namesAndContents ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for i := 0; i < len(namesAndContents); i += 2 {
		files[namesAndContents[i]] = &fstest.MapFile{Data: []byte(namesAndContents[i+1])}
	}
	return files
}

// config is a configuration whose template no other test has.
func config(tb testing.TB) provision.Config {
	return provision.Config{DSN: pgtest.DSN(tb), Migrator: provision.Goose(oneTable(uniqueTable()))}
}

// open opens a provisioner that is closed, and whose databases are dropped, when the test ends.
func open(tb testing.TB, cfg provision.Config) *provision.Provisioner {
	tb.Helper()
	p, err := provision.Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { dropTemplate(tb, p.Template()) })
	tb.Cleanup(func() { closeNow(tb, p) })
	return p
}

func closeNow(tb testing.TB, p *provision.Provisioner) {
	tb.Helper()
	if err := p.Close(cleanup(tb)); err != nil {
		tb.Error(err)
	}
}

// cleanup is a context that outlives tb.Context.
func cleanup(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	tb.Cleanup(cancel)
	return ctx
}

func lease(tb testing.TB, p *provision.Provisioner) *provision.WorkerDB {
	tb.Helper()
	w, err := p.Lease(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

func clone(tb testing.TB, p *provision.Provisioner) *provision.CloneDB {
	tb.Helper()
	c, err := p.Clone(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// connect opens a connection that is closed when the test ends.
func connect(tb testing.TB, cfg *pgx.ConnConfig) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.ConnectConfig(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// server is a connection to the maintenance database.
func server(tb testing.TB) *pgx.Conn {
	tb.Helper()
	cfg, err := pgx.ParseConfig(pgtest.DSN(tb))
	if err != nil {
		tb.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(cleanup(tb), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// databases lists the databases of a template, the template included.
func databases(tb testing.TB, template string) []string {
	tb.Helper()
	fp := strings.TrimPrefix(template, "txiso_")
	conn := server(tb)
	defer conn.Close(cleanup(tb)) // not only with the test: some ask until they like the answer
	rows, _ := conn.Query(cleanup(tb), "SELECT datname FROM pg_database WHERE datname LIKE '%' || $1 || '%' ORDER BY 1", fp)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		tb.Fatal(err)
	}
	return names
}

func dropTemplate(tb testing.TB, template string) {
	for _, name := range databases(tb, template) {
		execute(tb, server(tb), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	}
}

func execute(tb testing.TB, conn *pgx.Conn, sql string) {
	tb.Helper()
	if _, err := conn.Exec(cleanup(tb), sql); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

// mustContain asserts the text of an error, piece by piece.
func mustContain(tb testing.TB, err error, pieces ...string) {
	tb.Helper()
	if err == nil {
		tb.Fatalf("no error, want one with %q", pieces)
	}
	for _, piece := range pieces {
		if !strings.Contains(err.Error(), piece) {
			tb.Errorf("error %q does not contain %q", err, piece)
		}
	}
	if !strings.HasPrefix(err.Error(), "txiso: ") {
		tb.Errorf("error %q does not start with txiso:", err)
	}
}

// together calls f from n goroutines at once and returns all their errors.
func together(n int, f func(i int) error) error {
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { errs[i] = f(i) })
	}
	group.Wait()
	return errors.Join(errs...)
}
