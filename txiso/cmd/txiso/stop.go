package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/txiso/txiso-go/txiso/internal/pgserver"
)

const stopHelp = `txiso stop [-force]

Stops the embedded servers of TXISO_HOME in an orderly way and says which. Their databases stay; the next test starts a
server again in some tens of milliseconds. A server stops by itself when nobody has used it for a minute
(TXISO_IDLE_TIMEOUT), so this is for those who cannot wait. A server in use goes on, and the exit status is 1.

    -force   stop it nevertheless: tests that run fail, and the tests after them start it again

A server that a DSN names is never stopped.

Examples:

    txiso stop
    txiso stop -force
    TXISO_HOME=/tmp/other txiso stop
`

func stop(c *call) func(context.Context) error {
	force := c.flags.Bool("force", false, "")
	return func(ctx context.Context) error {
		if err := c.noArguments(); err != nil {
			return err
		}
		if c.dsn != "" {
			return errExternal
		}
		return c.stop(ctx, *force)
	}
}

func (c *call) stop(ctx context.Context, force bool) error {
	before, err := pgserver.Find(ctx, pgserver.Config{})
	if err != nil {
		return err
	}
	end := pgserver.StopUnused
	if force {
		end = pgserver.Stop
	}
	refused := end(ctx, pgserver.Config{})
	after, err := pgserver.Find(ctx, pgserver.Config{})
	if err := c.sayStopped(before, after); err != nil {
		return err
	}
	return errors.Join(withForce(refused), err)
}

// sayStopped prints what has changed.
func (c *call) sayStopped(before, after []pgserver.Status) error {
	left := make(map[int]bool)
	for _, s := range after {
		left[s.PID] = true
	}
	running := 0
	for _, s := range before {
		if !s.Running {
			continue
		}
		running++
		if !left[s.PID] {
			fmt.Fprintf(c.out, "stopped %s, which ran for %s\n", embedded(s).title(), age(time.Since(s.Started)))
		}
	}
	if running > 0 {
		return nil
	}
	home, err := pgserver.Home(pgserver.Config{})
	fmt.Fprintf(c.out, "no embedded server runs in %s\n", home)
	return err
}

// withForce adds what this command can do about a server in use.
func withForce(err error) error {
	var inUse *pgserver.InUseError
	if !errors.As(err, &inUse) {
		return err
	}
	return fmt.Errorf("%w, or end them with txiso stop -force", err)
}
