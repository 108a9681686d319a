package session_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso/internal/pgserver/pgtest"
	"github.com/txiso/txiso-go/txiso/internal/session"
)

// dropsDatabases expects that the server can drop a database, for which PostgreSQL waits for every backend since version 15.
func dropsDatabases(t *testing.T) {
	t.Helper()
	ctx, done := context.WithTimeout(context.Background(), 20*time.Second)
	defer done()
	conn, err := pgx.Connect(ctx, pgtest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	name := "session_test_" + strings.ToLower(rand.Text())
	for _, sql := range []string{"CREATE DATABASE " + name, "DROP DATABASE " + name} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// Rows that a test leaves unread kept the backend in the middle of a write, where it took no part in what DROP DATABASE waits
// for. A test that dropped its clone waited for another one that was still at its rows.
func TestRowsThatNobodyReadsKeepNoDatabaseFromBeingDropped(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		rows, err := db.Query("SELECT i, repeat('x', 100) FROM generate_series(1, 200000) i")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		if !rows.Next() {
			t.Fatal(rows.Err())
		}
		dropsDatabases(t)
		n := 1
		for rows.Next() {
			n++
		}
		if n != 200000 || rows.Err() != nil {
			t.Errorf("%d rows, %v", n, rows.Err())
		}
	})
}

// The same with an answer of which nothing at all has been read.
func TestABatchThatNobodyReadsKeepsNoDatabaseFromBeingDropped(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		ctx := t.Context()
		conn, err := pgx.ConnectConfig(ctx, s.Config())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		results := conn.PgConn().Exec(ctx, "SELECT repeat('x', 100) FROM generate_series(1, 200000); SELECT 1")
		dropsDatabases(t)
		all, err := results.ReadAll()
		if err != nil || len(all) != 2 || len(all[0].Rows) != 200000 {
			t.Errorf("%d results, %v", len(all), err)
		}
	})
}

// A connection that its client has left in the middle of its rows has nobody who reads them.
func TestRowsOfAConnectionThatIsGoneKeepNoDatabaseFromBeingDropped(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		w := dial(t, s)
		w.send(&queryMessage{"SELECT repeat('x', 100) FROM generate_series(1, 200000)"})
		w.receive()
		w.conn.Close()
		dropsDatabases(t)
	})
}
