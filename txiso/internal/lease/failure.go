package lease

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/txiso/txiso-go/txiso/internal/provision"
)

// rememberFailure is for how long a server or a migration that has failed is not tried again, so that hundreds of
// tests do not each wait for the same time-out.
const rememberFailure = 10 * time.Second

// soon is how long it may take to find out that there is no server for everybody to do so.
const soon = time.Second

// remembered is a failure of a test before. It says nothing about the server of this moment.
type remembered struct{ error }

func (r remembered) Unwrap() error { return r.error }

// SQLSTATEs, PostgreSQL manual, appendix A.
const (
	tooManyConnections = "53300"
	adminShutdown      = "57P01"
	crashShutdown      = "57P02"
	cannotConnectNow   = "57P03"
)

// remember keeps a failure that the next test would only wait for again. That of a context is the caller's own, and a
// server that is gone may be back for the next test. As long as tests have what this one did not get, the next may get it.
func (p *Pool) remember(ctx context.Context, err error) error {
	if provision.Ended(ctx) || gone(err) || p.works() && !ofMigrations(err) {
		return err
	}
	return p.fail(err)
}

// fail makes the tests of the next seconds fail for the same reason at once, until one gets or gives back a lease.
func (p *Pool) fail(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure, p.failedAt = err, time.Now()
	return err
}

func (p *Pool) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure = nil
}

// works reports whether there are tests that run on leases.
func (p *Pool) works() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.leased > 0
}

// starts tells that an external server is on its way up. An embedded one has been waited for.
func (p *Pool) starts(err error) bool {
	var old remembered
	return !p.Embedded() && sqlState(err) == cannotConnectNow && !errors.As(err, &old)
}

// gone tells that the server is not there, or was not for a moment.
func gone(err error) bool { return errors.Is(err, provision.ErrLost) || unreachable(err) }

// unreachable tells that nobody answers at a server's address, or no longer, or that the server starts or stops. A time-out
// is none: to wait for it once is enough.
func unreachable(err error) bool {
	if ofMigrations(err) {
		return false
	}
	switch sqlState(err) {
	case adminShutdown, crashShutdown, cannotConnectNow:
		return true
	case "":
		var failed *pgconn.ConnectError
		return errors.As(err, &failed) && !pgconn.Timeout(err) || provision.Broken(err)
	}
	return false
}

// ofMigrations tells that migrations or seed have failed. What they talk to may be another server than ours.
func ofMigrations(err error) bool {
	var failed *provision.BuildError
	return errors.As(err, &failed)
}

func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && !ofMigrations(err) {
		return pg.Code
	}
	return ""
}
