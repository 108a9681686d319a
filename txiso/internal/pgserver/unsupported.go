//go:build !unix || solaris || aix

package pgserver

import (
	"context"
	"errors"
	"runtime"

	"github.com/jackc/pgx/v5/pgconn"
)

var errUnsupported = errors.New("txiso: the embedded server is not supported on " + runtime.GOOS + ": set TXISO_DSN to a PostgreSQL server that runs")

// Start returns an error on this system.
func Start(context.Context, Config) (*Server, error) { return nil, errUnsupported }

// Stop returns an error on this system.
func Stop(context.Context, Config) error { return errUnsupported }

// Inspect returns an error on this system.
func Inspect(context.Context, Config) (Status, error) { return Status{}, errUnsupported }

// Home returns an error on this system.
func Home(Config) (string, error) { return "", errUnsupported }

// Find returns an error on this system.
func Find(context.Context, Config) ([]Status, error) { return nil, errUnsupported }

// StopUnused returns an error on this system.
func StopUnused(context.Context, Config) error { return errUnsupported }

// Connect is not supported here.
func Connect(context.Context, Config) (*Server, *pgconn.PgConn, error) {
	return nil, nil, errUnsupported
}
