package main

import (
	"context"
	"database/sql"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/txiso/txiso-go/benchmarks/faketest"
	"github.com/txiso/txiso-go/benchmarks/strategy"
	"github.com/txiso/txiso-go/txiso"
)

// BenchmarkConnections counts, on the server, the connections that 1,000 tests open one after the other. It has an embedded
// server of its own, so that nobody else's are counted; on an external one nobody else should work meanwhile.
func BenchmarkConnections(b *testing.B) {
	b.Setenv("TXISO_HOME", homeDir(b))
	b.Setenv("TXISO_IDLE_TIMEOUT", "1s")
	const tests = 1000
	observed := subjects()[1]
	env := strategy.ConfigEnv(b.Context(), txiso.Config{}, 1, b.Logf)
	defer env.Close()
	cfg, err := env.Private()
	if err != nil {
		b.Fatal(err)
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	prepare(b, observed.config) // the template exists, as it does in all runs but the first
	var opened int
	for b.Loop() {
		before := sessions(b, db)
		iso := txiso.New(observed.config)
		for range tests {
			t := faketest.New(b.Context(), "test")
			if _, err := iso.DB(t).Exec(observed.Insert, "ann@example.com"); err != nil {
				b.Fatal(err)
			}
			if err := t.End(); err != nil {
				b.Fatal(err)
			}
		}
		if err := iso.Close(); err != nil { // a server counts a connection for certain when it ends
			b.Fatal(err)
		}
		opened = max(opened, sessions(b, db)-before)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(opened), "connections/1000-tests")
}

// homeDir is like b.TempDir, but the user that PostgreSQL runs as can reach it, and its path is short enough for sockets.
func homeDir(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp("/tmp", "txisobench")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	return dir
}

func prepare(b *testing.B, cfg txiso.Config) {
	b.Helper()
	iso := txiso.New(cfg)
	defer iso.Close()
	t := faketest.New(b.Context(), "prepare")
	iso.DB(t)
	if err := t.End(); err != nil {
		b.Fatal(err)
	}
}

// sessions returns how many connections the server has accepted, once the number stands still: statistics come late. Its
// parallel workers and the like are not counted (manual 28.2, pg_stat_database).
func sessions(b *testing.B, db *sql.DB) (n int) {
	b.Helper()
	for still := 0; still < 5; time.Sleep(100 * time.Millisecond) {
		var now int
		err := db.QueryRowContext(context.Background(), `SELECT sum(sessions) FROM pg_stat_database`).Scan(&now)
		if err != nil {
			b.Fatal(err)
		}
		if now == n {
			still++
		} else {
			n, still = now, 0
		}
	}
	return n
}
