package provision

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// maxAhead is how many spare slots a process sees to.
	maxAhead = 2
	// backgroundTimeout bounds the making or dropping of one database that nobody waits for.
	backgroundTimeout = time.Minute
)

// stock makes spare slots while tests run, because CREATE DATABASE takes far longer than anything else that a
// test waits for: whenever one is taken as a clone, as many as are likely to be taken soon, less those that are there.
//
// A spare slot that is made belongs to nobody. Any process may take it, as a clone or as a worker database: so nothing
// is to be given up when no clones are asked for any more, and a process that ends, however it does, leaves only
// what is of use to the next.
type stock struct {
	p *Provisioner

	mu       sync.Mutex      // guards what follows
	underway []chan struct{} // spare slots that are being made and nobody waits for; closed when that is over
	held     int             // clones that tests have
	made     int             // spare slots so far that nobody waited for
}

// take returns a spare slot with its lock: one that is there, else one that is being made, else a new one.
func (s *stock) take(ctx context.Context, k *keeper) (claimed, error) {
	for {
		before := s.soFar()
		slot, left, err := s.p.takeSpare(ctx, k)
		visited := false
		if err == nil && slot.name != "" {
			if visited, err = k.spoilVisited(ctx, slot); visited || err != nil {
				k.release(slot.name)
			}
		}
		if visited {
			continue
		}
		if err != nil || slot.name != "" {
			s.taken(k, left, before, err)
			return slot, err
		}
		made := s.next()
		if made == nil {
			slot, err = s.p.makeSpare(ctx, k)
			s.taken(k, 0, before, err)
			return slot, err
		}
		select {
		case <-made: // if it could not be made, the next round tells why
		case <-ctx.Done():
			return claimed{}, waitError("a clone of the template", context.Cause(ctx))
		}
	}
}

// next returns what to wait for, nil if no spare slot is being made that nobody waits for.
func (s *stock) next() (made chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.underway) > 0 {
		made, s.underway = s.underway[0], s.underway[1:]
	}
	return made
}

func (s *stock) soFar() (made int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made
}

// taken notes that a test has a clone, and begins to make spare slots if fewer are left than it takes: those that were seen, and
// those that have been made since.
func (s *stock) taken(k *keeper, left, before int, err error) {
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held++
	for range min(s.held, maxAhead) - left - (s.made - before) - len(s.underway) {
		made := make(chan struct{})
		if s.p.background.Go(func() { s.make(k, made) }) {
			s.underway = append(s.underway, made)
		}
	}
}

// givenBack notes that a test has a clone no more.
func (s *stock) givenBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held--
}

// make makes a spare slot that is nobody's. If that fails, the next who takes one finds out why.
func (s *stock) make(k *keeper, made chan struct{}) {
	ctx, done := context.WithTimeout(context.Background(), backgroundTimeout)
	defer done()
	slot, err := s.p.makeSpare(ctx, k)
	if err == nil {
		k.release(slot.name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.made++
	}
	s.underway = slices.DeleteFunc(s.underway, func(other chan struct{}) bool { return other == made })
	close(made)
}
