package lease

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/txiso/txiso-go/txiso/internal/pgserver"
	"github.com/txiso/txiso-go/txiso/internal/provision"
)

const (
	// comeBack bounds the wait for an external server that starts, or that has been there before: somebody may be restarting it.
	comeBack     = 10 * time.Second
	comeBackStep = 50 * time.Millisecond
)

// onServer calls f with the pool's provisioner. It waits for a server that has no connection to give, that starts, or that has
// gone away since, starts an embedded one again, and remembers what failed.
func onServer[T any](ctx context.Context, p *Pool, logf func(string, ...any), f func(context.Context, *provision.Provisioner) (T, error)) (result T, err error) {
	var away time.Time // when the server was found gone
	for try := 0; ; try++ {
		prov, err := p.provisioner(ctx, logf)
		if err == nil {
			err = p.whenCrowded(ctx, func() error {
				result, err = f(ctx, prov)
				return err
			})
		} else if !p.starts(err) {
			return result, err
		}
		switch {
		case err == nil:
			p.forget()
			return result, nil
		case errors.Is(err, provision.ErrClosed):
			return result, ErrClosed
		case try == 0 && p.Embedded() && unreachable(err):
			p.replace(prov)
			continue
		case p.Embedded() || !gone(err) || provision.Ended(ctx):
			return result, p.remember(ctx, err)
		case away.IsZero():
			away = time.Now()
		case time.Since(away) > comeBack:
			return result, p.fail(err)
		}
		time.Sleep(comeBackStep)
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
	began := time.Now()
	err = p.whenCrowded(ctx, func() error {
		prov, err = p.openProvisioner(ctx, logf)
		return err
	})
	switch {
	case err == nil:
	case provision.Ended(ctx), gone(err) && time.Since(began) < soon: // it may be there for the next test
		return nil, err
	default:
		return nil, p.fail(err)
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
		return nil, remembered{p.failure}
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
