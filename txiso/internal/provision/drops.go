package provision

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// maxDropping is how many clones may wait to be dropped, the one that is being dropped included. A process that ends
	// leaves them to others, so they must be few.
	maxDropping = 3
	// crowdedStep is the pause before a server that had no connection for dropping a clone is asked again.
	crowdedStep = 50 * time.Millisecond
)

// drops drops clones in the background, one at a time, because that takes longer than most tests.
type drops struct {
	p       *Provisioner
	waiting chan struct{}
	one     sync.Mutex // held while a clone is dropped: that takes a connection

	mu       sync.Mutex // guards what follows
	failures []error    // not yet told
}

// drop drops a clone: in the background, unless too many are waiting there.
func (d *drops) drop(ctx context.Context, c *CloneDB) error {
	select {
	case d.waiting <- struct{}{}:
		if d.p.background.Go(func() { d.inBackground(c) }) {
			return nil
		}
		<-d.waiting
	default:
	}
	return d.now(ctx, c)
}

// inBackground drops a clone and notes why it could not. A lost connection is no such reason: the server
// went away, whoever used it was told, and a later run drops what is left.
func (d *drops) inBackground(c *CloneDB) {
	defer func() { <-d.waiting }()
	d.one.Lock()
	defer d.one.Unlock()
	ctx, done := context.WithTimeout(context.Background(), backgroundTimeout)
	defer done()
	if err := d.now(ctx, c); err != nil && !errors.Is(err, ErrLost) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.failures = append(d.failures, fmt.Errorf("txiso: %s, which an earlier test had given back, could not be dropped: %w; a later run tries again", c.name, err))
	}
}

// now drops a clone as soon as there is a connection for it.
func (d *drops) now(ctx context.Context, c *CloneDB) error {
	err := d.p.dispose(ctx, c.keeper, c.name)
	for sqlState(err) == tooManyConnections && sleep(ctx, crowdedStep) == nil {
		err = d.p.dispose(ctx, c.keeper, c.name)
	}
	return err
}

// failed returns the failures that nobody was told of.
func (d *drops) failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := errors.Join(d.failures...)
	d.failures = nil
	return err
}
