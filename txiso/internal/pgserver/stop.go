//go:build unix

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
	a, err := serverAccount()
	if err != nil {
		return err
	}
	home, err := homeDir(cfg, a)
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range entries(home, "pg") {
		if c := openCluster(dir, a); isFile(c.lockFile()) {
			errs = append(errs, c.stop(ctx))
		}
	}
	return errors.Join(errs...)
}

func isFile(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular()
}

func (c *cluster) stop(ctx context.Context) error {
	l, err := openLock(c.lockFile())
	if err != nil {
		return err
	}
	defer l.release()
	if _, err := l.take(ctx, func() bool { return false }); err != nil {
		return err
	}
	// A fast shutdown. What outlives its patience, or has lost its postmaster, is killed: the data is worth nothing.
	patience := absent.patience()
	if p := c.postmaster(); c.alive(p.pid) {
		c.signal(syscall.SIGINT, p.pid)
		patience = stopping.patience()
	}
	return c.awaitEnd(ctx, patience)
}

// awaitEnd waits until no process of the server is left, and kills those that stay longer than patience.
func (c *cluster) awaitEnd(ctx context.Context, patience time.Duration) error {
	for began := time.Now(); ; {
		left := c.processes()
		if len(left) == 0 {
			return nil
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
	s := Status{Version: c.bin.version, BinDir: c.bin.dir, DataDir: c.data(), LogFile: c.logFile()}
	if p := c.postmaster(); p.status == "ready" && c.alive(p.pid) {
		s.Running, s.PID, s.DSN = true, p.pid, socketDSN(p.socketDir)
	}
	return s, nil
}
