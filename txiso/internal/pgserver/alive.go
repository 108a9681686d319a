//go:build unix && !solaris && !aix

package pgserver

import (
	"context"
	"fmt"
	"time"
)

// claim takes the lock of the server's life, which every process of a server inherits and so holds for as long as one of them lives. The caller
// has made sure that no process is left that we see and know. There may be others: of a server whose name was lost, or on another machine or
// in another container that shares the home. Their server keeps what it has: a second one would ruin its data.
func (c *cluster) claim(ctx context.Context) (lock, error) {
	if err := c.refuseStranger(); err != nil {
		return lock{}, err
	}
	p, err := c.postmaster()
	if err != nil {
		return lock{}, err
	}
	patience := absent.patience() // one that has just ended may not have closed its files
	if p.status == "stopping" {
		patience = stopping.patience()
	}
	l, err := openLock(c.aliveFile())
	if err != nil {
		return lock{}, err
	}
	began := time.Now()
	taken, err := l.take(ctx, func() bool { return time.Since(began) > patience })
	if !taken && err == nil {
		err = fmt.Errorf("txiso: no process of the embedded server in %s is to be seen, but one holds %s (fuser names it if it is on this machine): "+
			"the server runs on another machine or in another container, or something that it has started is still there; "+
			"set TXISO_HOME to a directory of its own for each of them, or end it", c.dir, c.aliveFile())
	}
	if err != nil {
		l.release()
	}
	return l, err
}

func (c *cluster) refuseStranger() error {
	pid, name, err := c.startedHere()
	if name != "" && err == nil {
		err = fmt.Errorf("txiso: a server that is not known by its name (%s) runs on %s: stop it with kill -INT %d, or set TXISO_HOME to another directory",
			name, c.data(), pid)
	}
	return err
}
