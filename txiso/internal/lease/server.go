package lease

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/txiso/txiso-go/txiso/internal/pgserver"
	"github.com/txiso/txiso-go/txiso/internal/provision"
)

const (
	// rememberFailure is for how long a server or a migration that has failed is not tried again, so that hundreds of
	// tests do not each wait for the same time-out.
	rememberFailure = 10 * time.Second
	// crowded bounds the wait for a free connection on a server that has none left.
	crowded = 30 * time.Second
	// comeBack bounds the wait for an external server that has been there before: somebody may be restarting it.
	comeBack     = 10 * time.Second
	comeBackStep = 50 * time.Millisecond
	// leaveStep is what the server is given to notice that a connection has ended.
	leaveStep = 5 * time.Millisecond
	// usageTimeout bounds the question who has all connections.
	usageTimeout = 5 * time.Second
)

// SQLSTATEs, PostgreSQL manual, appendix A.
const (
	tooManyConnections = "53300"
	adminShutdown      = "57P01"
	crashShutdown      = "57P02"
	cannotConnectNow   = "57P03"
)

// onServer calls f with the pool's provisioner. It waits for a server that has no connection to give or that has gone away
// since, starts an embedded one again, and remembers what failed.
func onServer[T any](ctx context.Context, p *Pool, logf func(string, ...any), f func(context.Context, *provision.Provisioner) (T, error)) (result T, err error) {
	began := time.Now()
	for try := 0; ; try++ {
		prov, err := p.provisioner(ctx, logf)
		if err != nil {
			return result, err
		}
		err = p.whenCrowded(ctx, func() error {
			result, err = f(ctx, prov)
			return err
		})
		switch {
		case err == nil:
			return result, nil
		case errors.Is(err, provision.ErrClosed):
			return result, ErrClosed
		case try == 0 && p.dsn() == "" && unreachable(err):
			p.replace(prov)
		case p.dsn() == "" || !gone(err) || provision.Ended(ctx):
			return result, p.remember(ctx, err)
		case time.Since(began) > comeBack:
			return result, p.fail(err)
		default:
			time.Sleep(comeBackStep)
		}
	}
}

// provisioner returns the pool's provisioner, which it opens at the first call: on the configured server, or on the
// embedded one.
func (p *Pool) provisioner(ctx context.Context, logf func(string, ...any)) (*provision.Provisioner, error) {
	p.opening.Lock()
	defer p.opening.Unlock()
	prov, err := p.opened()
	if prov != nil || err != nil {
		return prov, err
	}
	err = p.whenCrowded(ctx, func() error {
		prov, err = p.openProvisioner(ctx, logf)
		return err
	})
	if err != nil {
		return nil, p.remember(ctx, err)
	}
	if !p.keep(prov) {
		return nil, errors.Join(ErrClosed, prov.Close(ctx))
	}
	return prov, nil
}

// opened returns the provisioner if there is one, or why there will be none.
func (p *Pool) opened() (*provision.Provisioner, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return nil, ErrClosed
	case p.failure != nil && time.Since(p.failedAt) < rememberFailure:
		return nil, p.failure
	}
	return p.prov, nil
}

// keep makes prov the pool's, unless Close was called while it was opened.
func (p *Pool) keep(prov *provision.Provisioner) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.prov = prov
	}
	return !p.closed
}

// replace makes the next call open another provisioner, and so start the server, because this one's does not answer.
// Leases of it may still be in use, so it is closed with the pool only.
func (p *Pool) replace(prov *provision.Provisioner) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.prov == prov {
		p.prov, p.former = nil, append(p.former, prov)
	}
}

func (p *Pool) openProvisioner(ctx context.Context, logf func(string, ...any)) (*provision.Provisioner, error) {
	cfg := p.cfg.Provision
	if cfg.DSN = p.dsn(); cfg.DSN == "" {
		server := p.cfg.Server
		server.Logf = logf
		running, conn, err := pgserver.Connect(ctx, server)
		if err != nil {
			return nil, err
		}
		cfg.DSN, cfg.Conn = running.DSN(), conn
	}
	return provision.Open(ctx, cfg)
}

// dsn is empty for the embedded server.
func (p *Pool) dsn() string {
	if p.cfg.Provision.DSN != "" {
		return p.cfg.Provision.DSN
	}
	return os.Getenv("TXISO_DSN")
}

// withRoom calls f, and gives up sessions that wait for tests as long as the server has no connection for what f does. One that was
// given back meanwhile may be what f wants.
func (p *Pool) withRoom(f func() error) error {
	for {
		began := time.Now()
		err := f()
		if sqlState(err) != tooManyConnections {
			return err
		}
		l := p.takeColdest(began)
		if l == nil {
			return err
		}
		l.leave()
		l.giveUp()
		time.Sleep(leaveStep)
	}
}

// whenCrowded repeats f while the server has no connection to give. Its patience begins anew whenever a lease is given back:
// as long as tests end, who waits will have his turn.
func (p *Pool) whenCrowded(ctx context.Context, f func() error) error {
	var full error // what a server without connections said last
	seen := p.returnsSoFar()
	for began, pause := time.Now(), 5*time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		err := p.withRoom(f)
		switch {
		case err == nil:
			return nil
		case sqlState(err) == tooManyConnections:
			full = err
		case full == nil || !provision.Ended(ctx):
			return err
		}
		if n := p.returnsSoFar(); n != seen {
			seen, began = n, time.Now()
		}
		if time.Since(began) > crowded {
			return p.crowdedError(fmt.Sprint("for ", crowded), full)
		}
		select {
		case <-ctx.Done():
			return errors.Join(p.crowdedError("until the test's context ended", full), context.Cause(ctx))
		case <-p.returned:
		case <-time.After(pause):
		}
	}
}

func (p *Pool) returnsSoFar() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.returns
}

func (p *Pool) crowdedError(duration string, err error) error {
	p.mu.Lock()
	leased, idle, prov := p.leased, len(p.idle), p.prov
	p.mu.Unlock()
	raise := "raise max_connections"
	if p.Embedded() {
		raise = "let TXISO_DSN name a server with a larger max_connections"
	}
	parents := ""
	if leased > runtime.GOMAXPROCS(0) {
		parents = "; a test that waits for its parallel subtests keeps its connection, whatever -parallel says: ask for a database in the subtests instead"
	}
	return fmt.Errorf("txiso: the server had no free connection %s; this process holds %d for running tests and %d for those to come%s: "+
		"%s, or run fewer tests at once with -parallel or -p%s: %w", duration, leased, idle, usage(prov), raise, parents, err)
}

// usage tells who has the server's connections, if that can be found out.
func usage(prov *provision.Provisioner) string {
	if prov == nil {
		return ""
	}
	ctx, done := context.WithTimeout(context.Background(), usageTimeout)
	defer done()
	users, err := prov.Users(ctx)
	if err != nil || len(users) == 0 {
		return ""
	}
	return " (" + strings.Join(users, ", ") + ")"
}

// remember keeps a failure that the next test would only wait for again. That of a context is the caller's own, and a
// server that is gone may be back for the next test.
func (p *Pool) remember(ctx context.Context, err error) error {
	if provision.Ended(ctx) || gone(err) {
		return err
	}
	return p.fail(err)
}

// fail makes the tests of the next seconds fail for the same reason at once.
func (p *Pool) fail(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure, p.failedAt = err, time.Now()
	return err
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
