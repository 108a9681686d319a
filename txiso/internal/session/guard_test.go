package session_test

import (
	"bytes"
	"context"
	"database/sql"
	"net"
	"sync/atomic"
	"testing"

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
	s, err := session.Open(t.Context(), cfg, session.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	for range 2 {
		clean(t, s, func(db *sql.DB) {
			before := savepoints.Load()
			for range 5 {
				value(t, db, countItems)
			}
			if n := savepoints.Load() - before; n != 1 {
				t.Errorf("%d savepoints for five reads, want 1", n)
			}
			exec(t, db, "INSERT INTO items VALUES (1, 'one')")
			exec(t, db, "CREATE TABLE more (id int)") // the next test begins as this one, whatever this one did to the schema
			if n := savepoints.Load() - before; n < 2 {
				t.Errorf("%d savepoints with a write, want 2 at least", n)
			}
		})
	}
}
