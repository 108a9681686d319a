//go:build unix && !solaris && !aix

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Stop ends every server of cfg's Home, whatever its version, and returns when none of their processes is left. Their clients lose their
// connections; their data directories stay, so that the next Start is quick. That nothing runs is not an error.
func Stop(ctx context.Context, cfg Config) error {
	all, _, err := clusters(cfg)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range all {
		errs = append(errs, c.holding(ctx, c.end))
	}
	return errors.Join(errs...)
}

func isFile(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular()
}

// awaitEnd waits until no process of the server is left, and kills those that stay longer than patience.
func (c *cluster) awaitEnd(ctx context.Context, patience time.Duration) error {
	for began := time.Now(); ; {
		left, err := c.processes()
		if len(left) == 0 {
			return err
		}
		if time.Since(began) > patience {
			c.signal(syscall.SIGKILL, left...)
		}
		if err := sleep(ctx, 2*time.Millisecond); err != nil {
			return fmt.Errorf("txiso: waiting for the end of the embedded server in %s: %w", c.dir, err)
		}
	}
}

// Inspect tells about the server that Start would give, without starting or keeping it. Like Start it looks for the binaries.
func Inspect(ctx context.Context, cfg Config) (Status, error) {
	c, err := resolve(ctx, cfg, usualPlaces())
	if err != nil {
		return Status{}, err
	}
	return c.status()
}
