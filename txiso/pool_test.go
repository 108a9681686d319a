package txiso_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Pgxpool has two hooks for the moment in which a connection is acquired, and asks only one of them.
func TestTheHooksOfAPoolThatIsMadeOfConfigAreCalled(t *testing.T) {
	t.Parallel()
	for what, hook := range map[string]func(cfg *pgxpool.Config, calls *atomic.Int32){
		"BeforeAcquire": func(cfg *pgxpool.Config, calls *atomic.Int32) {
			cfg.BeforeAcquire = func(context.Context, *pgx.Conn) bool { calls.Add(1); return true } //nolint:staticcheck // people use it
		},
		"PrepareConn": func(cfg *pgxpool.Config, calls *atomic.Int32) {
			cfg.PrepareConn = func(context.Context, *pgx.Conn) (bool, error) { calls.Add(1); return true, nil }
		},
		"AfterConnect": func(cfg *pgxpool.Config, calls *atomic.Int32) {
			cfg.AfterConnect = func(context.Context, *pgx.Conn) error { calls.Add(1); return nil }
		},
		"AfterRelease": func(cfg *pgxpool.Config, calls *atomic.Int32) {
			cfg.AfterRelease = func(*pgx.Conn) bool { calls.Add(1); return true }
		},
	} {
		var calls atomic.Int32
		cfg := iso.Pool(t).Config()
		hook(cfg, &calls)
		pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pool.Exec(t.Context(), "SELECT 1"); err != nil {
			t.Error(err)
		}
		pool.Close()
		if calls.Load() == 0 {
			t.Errorf("%s was not called", what)
		}
	}
}

// Who connects by it would be in another database, where everything is committed.
func TestTheConnectionStringOfAPoolLeadsNowhere(t *testing.T) {
	t.Parallel()
	address := iso.Pool(t).Config().ConnString()
	if conn, err := pgx.Connect(t.Context(), address); err == nil {
		conn.Close(t.Context())
		t.Errorf("%q leads to %s", address, conn.Config().Database)
	} else if !strings.Contains(err.Error(), "iso.Clone has one") {
		t.Errorf("the error does not tell what to do: %v", err)
	}
}
