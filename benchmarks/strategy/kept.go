package strategy

import (
	"context"
	"errors"
	"sync"
)

// Kept is a strategy whose cleanup is left out: each worker's first database is given to all its tests. It serves to
// measure what happens in the middle of a test, and to prove that a check of cleanliness fails when it should.
type Kept struct {
	Strategy

	mu  sync.Mutex
	dbs map[int]DB
}

func (k *Kept) Begin(ctx context.Context, worker int) (DB, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if db := k.dbs[worker]; db != nil {
		return db, nil
	}
	db, err := k.Strategy.Begin(ctx, worker)
	if err != nil {
		return nil, err
	}
	if k.dbs == nil {
		k.dbs = make(map[int]DB)
	}
	k.dbs[worker] = db
	return db, nil
}

func (k *Kept) End(context.Context, int) error { return nil }

// EndAll ends the tests that have begun.
func (k *Kept) EndAll(ctx context.Context) (err error) {
	for worker := range k.dbs {
		err = errors.Join(err, k.Strategy.End(ctx, worker))
	}
	k.dbs = nil
	return err
}
