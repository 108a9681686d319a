// Package pgtest gives tests of the layers above a PostgreSQL server.
package pgtest

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/txiso/txiso-go/txiso/internal/pgserver"
)

// DSN returns the TXISO_DSN variable, or else the DSN of the embedded server that all test processes of the user share. Nothing is to be
// closed; the server stays for its idle timeout after the last connection to it.
func DSN(tb testing.TB) string {
	tb.Helper()
	if dsn := os.Getenv("TXISO_DSN"); dsn != "" {
		return dsn
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	server, err := pgserver.Start(ctx, pgserver.Config{Logf: tb.Logf})
	if err != nil {
		tb.Fatal(err)
	}
	return server.DSN()
}
