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

// lock is taken by one process at a time and given back by the kernel when that process dies.
type lock struct{ file *os.File }

func openLock(name string) (lock, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) // Go sets close-on-exec: no child inherits the lock
	if err != nil {
		return lock{}, homeError(name, err)
	}
	return lock{f}, nil
}

// try takes the lock if it is free.
func (l lock) try() (bool, error) {
	for {
		err := syscall.Flock(int(l.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("txiso: flock %s: %w: set TXISO_HOME to a directory on a local file system", l.file.Name(), err)
		}
		return true, nil
	}
}

// take waits for the lock until ctx ends, or until done says that it is no longer needed. A blocking flock could not be given up.
func (l lock) take(ctx context.Context, done func() bool) (taken bool, err error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 16*time.Millisecond) {
		if taken, err := l.try(); taken || err != nil {
			return taken, err
		}
		if done() {
			return false, nil
		}
		if err := sleep(ctx, pause); err != nil {
			return false, fmt.Errorf("txiso: waiting for the process that starts the server (lock %s): %w", l.file.Name(), err)
		}
	}
}

// release gives the lock back by closing its file.
func (l lock) release() { _ = l.file.Close() }
