package measure

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/txiso/txiso-go/benchmarks/strategy"
)

// Test is what a test does with its database.
type Test func(ctx context.Context, db strategy.DB) error

// Contender is a strategy and what it took so far.
type Contender struct {
	Name     string
	Strategy strategy.Strategy
	Sample   Sample // time per test, one value a turn

	perTurn int // tests that a worker runs in a turn
}

// turn is how long a turn should take: long enough to forget who came before (the processor's caches and the server's
// unfinished business), short enough for the others to come before the machine has changed its mind.
const turn = 30 * time.Millisecond

// Rounds lets contenders take turns. Workers says how many tests run at the same time.
type Rounds struct {
	Contenders []*Contender
	Test       Test
	Workers    int
}

// Warm runs each contender's first tests, which are not counted, and finds out how many fit into a turn.
func (r *Rounds) Warm(ctx context.Context) error {
	for _, c := range r.Contenders {
		c.perTurn = 1
		for range 3 {
			took, err := r.turn(ctx, c)
			if err != nil {
				return err
			}
			c.perTurn = max(1, int(turn/max(took, time.Microsecond))/r.Workers)
		}
	}
	return nil
}

// Round gives each contender one turn, in random order.
func (r *Rounds) Round(ctx context.Context) error {
	for _, i := range rand.Perm(len(r.Contenders)) {
		took, err := r.turn(ctx, r.Contenders[i])
		if err != nil {
			return err
		}
		r.Contenders[i].Sample = append(r.Contenders[i].Sample, took)
	}
	return nil
}

// turn returns the time per test. The first tenth of a turn is not counted.
func (r *Rounds) turn(ctx context.Context, c *Contender) (time.Duration, error) {
	if err := r.tests(ctx, c, c.perTurn/10); err != nil {
		return 0, fmt.Errorf("%s: %w", c.Name, err)
	}
	began := time.Now()
	if err := r.tests(ctx, c, c.perTurn); err != nil {
		return 0, fmt.Errorf("%s: %w", c.Name, err)
	}
	return time.Since(began) / time.Duration(c.perTurn*r.Workers), nil
}

// tests runs n tests in each worker.
func (r *Rounds) tests(ctx context.Context, c *Contender, n int) error {
	if r.Workers == 1 {
		return r.serial(ctx, c, 0, n)
	}
	errs := make([]error, r.Workers)
	var group sync.WaitGroup
	for worker := range r.Workers {
		group.Go(func() { errs[worker] = r.serial(ctx, c, worker, n) })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Rounds) serial(ctx context.Context, c *Contender, worker, n int) error {
	for range n {
		db, err := c.Strategy.Begin(ctx, worker)
		if err != nil {
			return err
		}
		if err := r.Test(ctx, db); err != nil {
			return err
		}
		if err := c.Strategy.End(ctx, worker); err != nil {
			return err
		}
	}
	return nil
}
