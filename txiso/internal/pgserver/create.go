//go:build unix && !solaris && !aix

package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// initdbArgs are the same on every machine, so that tests are too. The superuser needs no password: only the socket directory's owner gets there.
var initdbArgs = []string{"--username=" + superuser, "--auth=trust", "--encoding=UTF8", "--no-sync", "--no-instructions"}

// locales are tried in this order: C.UTF-8 knows upper and lower case of all letters, but not every system has it.
var locales = []string{"C.UTF-8", "C"}

// create makes the data directory. It is built beside and renamed, so a half-made one is never taken for one.
func (c *cluster) create(ctx context.Context) error {
	c.removeLeftovers()
	if err := c.checkReachable(ctx); err != nil {
		return err
	}
	began := time.Now()
	dir := filepath.Join(c.private(), fmt.Sprintf("new-%d", began.UnixNano()))
	if err := c.initdb(ctx, dir); err != nil {
		_ = os.RemoveAll(dir)
		return err
	}
	if err := os.Rename(dir, c.data()); err != nil {
		return homeError(c.data(), err)
	}
	c.logf("txiso: created a PostgreSQL %s data directory in %s (%d ms, once)", c.bin.version, c.data(), time.Since(began).Milliseconds())
	return nil
}

func (c *cluster) initdb(ctx context.Context, dir string) error {
	for i, locale := range locales {
		args := append(slices.Clone(initdbArgs), "--pgdata="+dir, "--locale="+locale)
		out, err := c.account.command(ctx, filepath.Join(c.bin.dir, "initdb"), args...).CombinedOutput()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("txiso: initdb: %w", context.Cause(ctx))
		case bytes.Contains(out, []byte("invalid locale")) && i+1 < len(locales):
			continue
		case bytes.Contains(out, []byte("could not look up effective user ID")):
			return fmt.Errorf("txiso: uid %d has no entry in /etc/passwd, and initdb does not run without one: add it (such as tests:x:%[1]d:%d::/tmp:/bin/sh), "+
				"or set TXISO_DSN to a server that runs", c.account.uid, c.account.gid)
		case diskFull(string(out)) != nil:
			return homeError(c.private(), fmt.Errorf("initdb: %w", diskFull(string(out))))
		default:
			return fmt.Errorf("txiso: %s: %w\n%s\nset TXISO_POSTGRES_BIN to other binaries, TXISO_HOME to another directory, "+
				"or TXISO_DSN to a server that runs", filepath.Join(c.bin.dir, "initdb"), err, lastLines(out, 8))
		}
	}
	panic("unreachable: the last locale returns")
}

// checkReachable asks the account itself whether it gets to the cluster's directory: only the kernel knows all rules.
func (c *cluster) checkReachable(ctx context.Context) error {
	if !c.account.switched {
		return nil
	}
	cmd := c.account.command(ctx, "/bin/sh", "-c", `cd -- "$1"`, "sh", c.private())
	err := cmd.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("txiso: creating the data directory: %w", context.Cause(ctx))
	}
	if refused := new(exec.ExitError); errors.As(err, &refused) {
		return fmt.Errorf("txiso: the server runs as user %s because PostgreSQL refuses to run as root, and that user cannot enter %s: "+
			"set TXISO_HOME to a directory that it can reach (for instance /var/tmp/txiso), or run the tests as another user", c.account.name, c.private())
	}
	if err != nil {
		return c.account.switchError(err)
	}
	return nil
}
