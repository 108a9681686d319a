//go:build unix && !solaris && !aix

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Start gives the user's embedded server with these binaries and settings: the one that runs, or a new one. It may be called by many
// processes and goroutines at once. A caller that opens a connection within the idle timeout and keeps it keeps the server.
//
// An error says what is wrong with the machine or the configuration and what to do about it. When ctx ends, Start returns its error and
// leaves nothing half-made.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	c, err := resolve(ctx, cfg, usualPlaces())
	if err != nil {
		return nil, err
	}
	return c.start(ctx)
}

// Connect is Start for a caller who will open a connection next. If the server ran already he gets the one with which that was found out,
// to the maintenance database, so that the server does not have to make two; it is his to close. Else it is nil.
func Connect(ctx context.Context, cfg Config) (*Server, *pgconn.PgConn, error) {
	c, err := resolve(ctx, cfg, usualPlaces())
	if err != nil {
		return nil, nil, err
	}
	c.keep = true
	s, err := c.start(ctx)
	if err != nil && c.kept != nil {
		closeSoon(c.kept)
		c.kept = nil
	}
	return s, c.kept, err
}

// resolve decides which server cfg means.
func resolve(ctx context.Context, cfg Config, where places) (*cluster, error) {
	idle, err := cfg.idleTimeout()
	if err != nil {
		return nil, err
	}
	a, err := serverAccount()
	if err != nil {
		return nil, err
	}
	home, err := homeDir(cfg, a)
	if err != nil {
		return nil, err
	}
	if err := makeHome(home, a); err != nil {
		return nil, err
	}
	home = realHome(home)
	known := loadProbes(home, a)
	defer known.save()
	bin, err := findBinaries(ctx, cfg, home, where, known)
	if err != nil {
		return nil, err
	}
	c := newCluster(home, bin, a)
	c.idle, c.logf = idle, cfg.logf
	return c, nil
}

func (c *cluster) start(ctx context.Context) (*Server, error) {
	if err := checkEnvironment(); err != nil {
		return nil, err
	}
	if s, err := c.adopt(ctx); err != nil || s == up {
		return c.server(err)
	}
	if err := c.makeDir(); err != nil {
		return nil, err
	}
	l, err := openLock(c.lockFile())
	if err != nil {
		return nil, err
	}
	defer l.release()
	var adopted error
	taken, err := l.take(ctx, func() bool {
		s, err := c.adopt(ctx)
		adopted = err
		return err != nil || s == up
	})
	if err != nil || !taken {
		return c.server(errors.Join(err, adopted))
	}
	return c.server(c.bringUp(ctx))
}

// checkEnvironment looks for what lets no DSN be read, because pgconn reads PG… variables with each. Found out later, it would look like a
// server that does not answer, which is killed, and a data directory that is to blame, which is made anew.
func checkEnvironment() error {
	if _, err := pgconn.ParseConfig(socketDSN("/")); err != nil {
		return fmt.Errorf("txiso: a PG… variable keeps us from the embedded server: %w: correct or unset it", err)
	}
	return nil
}

func (c *cluster) server(err error) (*Server, error) {
	if err != nil {
		return nil, err
	}
	return &Server{dsn: socketDSN(c.socket)}, nil
}

// bringUp makes the server run. The caller holds the lock.
func (c *cluster) bringUp(ctx context.Context) error {
	if err := c.nameNew(); err != nil {
		return err
	}
	switch s, err := c.settle(ctx); {
	case err != nil:
		return err
	case s == up:
		return nil
	case s == unguarded:
		return c.guard(ctx)
	}
	alive, err := c.claim(ctx)
	if err != nil {
		return err
	}
	defer alive.release()
	c.alive = alive
	if err := c.makePrivate(); err != nil {
		return err
	}
	existed, err := c.usableData()
	if err != nil {
		return err
	}
	if existed {
		err := c.runAgain(ctx, c.run(ctx))
		if !c.isBroken(ctx, err) {
			return err
		}
		if err := c.discard(); err != nil {
			return err
		}
	}
	if err := c.create(ctx); err != nil {
		return err
	}
	return c.run(ctx)
}

// runAgain starts a server once more that has not started for a reason that may have passed, such as a signal.
func (c *cluster) runAgain(ctx context.Context, err error) error {
	if !didNotStart(err) || ctx.Err() != nil {
		return err
	}
	return c.run(ctx)
}

// usableData tells if there is a data directory to start with. Without fsync, one that was in use when the machine went down is not.
func (c *cluster) usableData() (bool, error) {
	exists, err := c.hasData()
	if !exists || err != nil {
		return false, err
	}
	crashed, err := c.crashedWithMachine()
	if crashed {
		err = c.discard()
	}
	return !crashed && err == nil, err
}

// run starts the server with its watchdog.
func (c *cluster) run(ctx context.Context) error {
	l, err := c.launch(ctx)
	if err != nil {
		return err
	}
	if err := c.guard(ctx); err != nil {
		if stays := l.abandon(); stays != nil {
			return stays
		}
		return &unguardedStart{c, err}
	}
	return l.keep()
}

// patience is how long a server may be in a state before its processes are killed. Recovery is the long one.
func (s state) patience() time.Duration {
	switch s {
	case starting:
		return time.Minute
	case stopping:
		return 20 * time.Second
	case silent:
		return 10 * time.Second
	default:
		return 2 * time.Second
	}
}

// settle waits until the server answers, or none of its processes is left. The caller holds the lock, so no new one starts meanwhile.
func (c *cluster) settle(ctx context.Context) (state, error) {
	last, since := state(-1), time.Now()
	for {
		s, err := c.adopt(ctx)
		if err != nil || s == up {
			return s, err
		}
		if s == unguarded {
			if supervised, err := c.supervised(); !supervised || err != nil {
				return s, err
			}
		}
		left, err := c.processes()
		if len(left) == 0 {
			return absent, err
		}
		if s != last {
			last, since = s, time.Now()
		}
		if time.Since(since) > s.patience() {
			if s == absent || s == silent {
				err = c.outOfReach(s)
			}
			if err != nil {
				return s, err
			}
			c.signal(syscall.SIGKILL, left...)
		}
		if err := sleep(ctx, 2*time.Millisecond); err != nil {
			return s, fmt.Errorf("txiso: waiting for the end of an old embedded server: %w", err)
		}
	}
}

// outOfReach is the error for a server that is up by its own account, while there is no socket (we may be in a container that has another /tmp,
// or the socket was removed), or while it lets nobody in. Somebody else may use it, so it is not ours to kill. nil if its postmaster is
// dead, whatever the file says.
func (c *cluster) outOfReach(s state) error {
	p, alive, err := c.running()
	if err != nil || !alive || p.status != "ready" {
		return err
	}
	if s == silent {
		return fmt.Errorf("txiso: the embedded server runs (pid %d), but hangs up on who connects, as servers do that cannot make another process "+
			"(log in %s): run fewer tests at once, raise the limits of processes or memory, or stop it with kill -INT %d", p.pid, c.logFile(), p.pid)
	}
	return fmt.Errorf("txiso: the embedded server runs (pid %d), but its socket in %s cannot be reached from here: stop it with kill -INT %d, "+
		"or set TXISO_HOME to another directory, for instance one for each container", p.pid, p.socketDir, p.pid)
}
