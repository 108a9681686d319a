package provision_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// BenchmarkStrategy copies databases of three kinds in all the ways that the server knows, and drops them. It is what
// the choice of strategy rests on; run it with TXISO_DSN for other servers.
func BenchmarkStrategy(b *testing.B) {
	conn := server(b)
	for _, content := range []struct {
		name   string
		tables int
		rows   int // of 115 bytes, with an index
	}{{"10tables", 10, 0}, {"500tables", 500, 0}, {"100MB", 10, 600_000}} {
		source := "strategy_" + uniqueTable()
		execute(b, conn, "CREATE DATABASE "+source)
		b.Cleanup(func() { execute(b, conn, "DROP DATABASE "+source+" WITH (FORCE)") })
		fill(b, conn.Config().Copy(), source, content.tables, content.rows)
		for _, method := range methods(b, conn) {
			b.Run(fmt.Sprintf("content=%s/strategy=%s", content.name, method), func(b *testing.B) { copyDatabase(b, conn, source, method) })
		}
	}
}

func fill(b *testing.B, cfg *pgx.ConnConfig, database string, tables, rows int) {
	b.Helper()
	cfg.Database = database
	conn := connect(b, cfg)
	for i := range tables {
		execute(b, conn, fmt.Sprintf("CREATE TABLE t%d (id int PRIMARY KEY, v text)", i))
	}
	execute(b, conn, fmt.Sprintf("INSERT INTO t0 SELECT n, repeat('x', 100) || n FROM generate_series(1, %d) n", rows))
	if err := conn.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// methods are the strategies, and the ways of FILE_COPY.
func methods(b *testing.B, conn *pgx.Conn) []string {
	b.Helper()
	var version int
	if err := conn.QueryRow(b.Context(), "SELECT current_setting('server_version_num')::int / 10000").Scan(&version); err != nil {
		b.Fatal(err)
	}
	switch {
	case version < 15:
		return []string{"file_copy"}
	case version < 18:
		return []string{"wal_log", "file_copy"}
	}
	return []string{"wal_log", "file_copy", "file_copy+clone"}
}

func copyDatabase(b *testing.B, conn *pgx.Conn, source, method string) {
	strategy, clone := strings.CutSuffix(method, "+clone")
	if clone {
		execute(b, conn, "SET file_copy_method = clone")
		defer execute(b, conn, "RESET file_copy_method")
	}
	create := "CREATE DATABASE " + source + "_copy TEMPLATE " + source
	if len(methods(b, conn)) > 1 {
		create += " STRATEGY " + strategy
	}
	for b.Loop() {
		execute(b, conn, create)
		execute(b, conn, "DROP DATABASE "+source+"_copy")
	}
}
