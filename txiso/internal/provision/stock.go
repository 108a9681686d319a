package provision

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// maxAhead is how many clones are prepared before anybody asks for them.
	maxAhead = 2
	// defaultAheadFrom is which Clone of a process is the first that makes it prepare others: a process that ends leaves
	// what it has prepared to later runs, so it must be one that lives long enough to collect as much.
	defaultAheadFrom = 8
	// defaultAheadFor is for how long after the last Clone prepared ones are kept.
	defaultAheadFor = 10 * time.Second
	// backgroundTimeout bounds the making or dropping of one clone that nobody waits for.
	backgroundTimeout = time.Minute
	// crowdedStep is the pause before a server that had no connection for dropping a clone is asked again.
	crowdedStep = 50 * time.Millisecond
)

// stock prepares clones while tests run, because CREATE DATABASE takes far longer than anything else that a
// test waits for. It begins with the Clone that Config.AheadFrom says, and gives up what it has when none is
// asked for any more. Clones that tests give back are dropped at once: a process that ends would
// leave those that wait to be dropped, and short ones leave more than they collect.
//
// A prepared clone has its lock, as if a test had it: no other process drops it while this one
// lives, and any later one does afterwards.
type stock struct {
	p     *Provisioner
	ready chan *CloneDB // what was promised and is made; nil for what could not be made

	mu       sync.Mutex // guards what follows
	promised int        // clones that are in ready, or will be, and are nobody's yet
	taken    int        // by all Clones so far
	held     int        // by tests
	idle     *time.Timer
	failures []error // of drops, not yet told
	closed   bool

	work sync.WaitGroup // everything under way in the background
	one  sync.Mutex     // held while a prepared clone is dropped: that takes a connection
}

func newStock(p *Provisioner) *stock {
	return &stock{p: p, ready: make(chan *CloneDB, 64)}
}

// take returns a prepared clone, if need be when it is ready, or nil if none is promised.
func (s *stock) take(ctx context.Context, k *keeper) (*CloneDB, error) {
	defer s.prepare(k)
	for s.claim() {
		select {
		case c := <-s.ready:
			if c != nil && c.keeper == k { // else it could not be made, or its lock was lost with its keeper
				return c, nil
			}
		case <-ctx.Done():
			s.mu.Lock()
			s.promised++
			s.mu.Unlock()
			return nil, waitError("a clone of the template", context.Cause(ctx))
		}
	}
	return nil, nil
}

// claim makes one of the promised clones the caller's to receive.
func (s *stock) claim() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.promised == 0 {
		return false
	}
	s.promised--
	return true
}

// prepare promises as many clones as are likely to be asked for soon, and begins to make them.
func (s *stock) prepare(k *keeper) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken, s.held = s.taken+1, s.held+1
	if s.closed || s.taken < s.p.cfg.AheadFrom {
		return
	}
	for ; s.promised < min(s.held, maxAhead); s.promised++ {
		s.work.Go(func() { s.deliver(s.make(k)) })
	}
	s.stopTimer()
	s.idle = time.AfterFunc(s.p.cfg.AheadFor, s.giveUp)
}

// notTaken says that a test has no clone after all, or no longer.
func (s *stock) notTaken() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held--
}

// make makes a clone that nobody waits for. If that fails, the next Clone finds out why.
func (s *stock) make(k *keeper) *CloneDB {
	ctx, done := context.WithTimeout(context.Background(), backgroundTimeout)
	defer done()
	c, err := s.p.makeClone(ctx, k)
	if err != nil {
		return nil
	}
	return c
}

func (s *stock) deliver(c *CloneDB) {
	select {
	case s.ready <- c:
	default: // full, so nobody waits for it
		s.drop(c)
	}
}

// giveUp drops what is prepared. Clones that are asked for later are prepared again.
func (s *stock) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed { // else Close does it
		s.work.Go(s.empty)
	}
}

func (s *stock) empty() {
	for s.claim() {
		s.drop(<-s.ready)
	}
}

// drop drops a clone and notes why it could not. A lost connection is no such reason: the server
// went away, whoever used it was told, and a later run drops what is left.
func (s *stock) drop(c *CloneDB) {
	if c == nil {
		return
	}
	s.one.Lock()
	defer s.one.Unlock()
	ctx, done := context.WithTimeout(context.Background(), backgroundTimeout)
	defer done()
	err := s.p.dispose(ctx, c.keeper, c.name)
	for sqlState(err) == tooManyConnections && sleep(ctx, crowdedStep) == nil {
		err = s.p.dispose(ctx, c.keeper, c.name)
	}
	if err != nil && !errors.Is(err, ErrLost) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.failures = append(s.failures, fmt.Errorf("txiso: %s, which was prepared for a test, could not be dropped: %w; a later run tries again", c.name, err))
	}
}

// failed returns the failures that nobody was told of. The caller holds mu.
func (s *stock) failed() error {
	err := errors.Join(s.failures...)
	s.failures = nil
	return err
}

// close drops what is prepared, waits for all that is under way, and returns what became of it.
// Nothing is begun afterwards.
func (s *stock) close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.stopTimer()
	s.mu.Unlock()
	s.work.Go(s.empty)
	over := make(chan struct{})
	go func() {
		s.work.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-ctx.Done():
		return waitError("clones to be dropped", context.Cause(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed()
}

func (s *stock) stopTimer() {
	if s.idle != nil {
		s.idle.Stop()
	}
}
