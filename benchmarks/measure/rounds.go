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

// turn is how long a turn should take: long enough to see costs that a strategy puts off to its next test, short enough
// for the others to come before the machine has changed its mind.
const turn = 5 * time.Millisecond

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

// turn returns the time per test.
func (r *Rounds) turn(ctx context.Context, c *Contender) (time.Duration, error) {
	began := time.Now()
	var err error
	if r.Workers == 1 {
		err = r.tests(ctx, c, 0)
	} else {
		err = r.workers(ctx, c)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", c.Name, err)
	}
	return time.Since(began) / time.Duration(c.perTurn*r.Workers), nil
}

func (r *Rounds) workers(ctx context.Context, c *Contender) error {
	errs := make([]error, r.Workers)
	var group sync.WaitGroup
	for worker := range r.Workers {
		group.Go(func() { errs[worker] = r.tests(ctx, c, worker) })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// tests runs a worker's share of a turn.
func (r *Rounds) tests(ctx context.Context, c *Contender, worker int) error {
	for range c.perTurn {
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
