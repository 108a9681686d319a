package provision

import (
	"context"
	"sync"
)

// background runs what no test waits for, until it is closed.
type background struct {
	mu      sync.Mutex // guards closed, and that nothing begins afterwards
	closed  bool
	running sync.WaitGroup
}

// Go runs f in a goroutine and reports whether it does: not any more after close.
func (b *background) Go(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.running.Go(f)
	return true
}

// close waits for all that runs, until ctx ends.
func (b *background) close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	over := make(chan struct{})
	go func() {
		b.running.Wait()
		close(over)
	}()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return waitError("databases to be created and dropped", context.Cause(ctx))
	}
}
