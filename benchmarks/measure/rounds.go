package measure

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/txiso/txiso-go/benchmarks/strategy"
)

// Test is what a test does with its database. Tests are numbered, so that they can write different rows.
type Test func(ctx context.Context, db strategy.DB, number int) error

// Contender is a strategy and what it took so far.
type Contender struct {
	Name     string
	Strategy strategy.Strategy
	Sample   Sample // time per test, one value a turn
	Tests    int    // that were timed

	perTurn int           // tests that a worker runs in a turn
	spent   time.Duration // in turns
	numbers []int         // of each worker's next test
}

const (
	// turn is how long a turn should take: long enough to forget who came before (the processor's caches and the server's
	// unfinished business), short enough for the others to come before the machine has changed its mind.
	turn = 40 * time.Millisecond
	// fewest is how many turns a contender gets even when they take long.
	fewest = 3
)

// Rounds lets contenders take turns. Workers says how many tests run at the same time.
type Rounds struct {
	Contenders []*Contender
	Test       Test
	Workers    int
}

// Warm runs each contender's first tests, which are not counted.
func (r *Rounds) Warm(ctx context.Context) error {
	for _, c := range r.Contenders {
		c.perTurn, c.numbers = 1, make([]int, r.Workers)
		for began, turns := time.Now(), 0; turns == 0 || turns < 10 && time.Since(began) < 2*turn; turns++ {
			if _, err := r.turn(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// Round gives a turn to each contender that has not had more than its share of the time so far, in random order.
func (r *Rounds) Round(ctx context.Context) error {
	total, _ := r.spent()
	return r.round(ctx, total/time.Duration(len(r.Contenders)))
}

// Run warms up and runs rounds until they have taken budget. A contender whose turns take long sits out most rounds, so
// that all get the same time and nobody is done before the others. Where a few such turns are all of the budget, the others
// go on until each has had its share of it. spent is told how much of the budget is gone.
func (r *Rounds) Run(ctx context.Context, budget time.Duration, spent func(time.Duration)) error {
	if err := r.Warm(ctx); err != nil {
		return err
	}
	n := time.Duration(len(r.Contenders))
	for {
		total, least := r.spent()
		spent(total)
		if total >= budget && least >= budget/n {
			break
		}
		if err := r.round(ctx, min(total, budget)/n); err != nil {
			return err
		}
	}
	for _, c := range r.Contenders {
		for len(c.Sample) < fewest {
			if err := r.take(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// spent is the time that all contenders have taken together, and the least that one has.
func (r *Rounds) spent() (total, least time.Duration) {
	least = r.Contenders[0].spent
	for _, c := range r.Contenders {
		total += c.spent
		least = min(least, c.spent)
	}
	return total, least
}

// round gives a turn to those that have not spent more than share.
func (r *Rounds) round(ctx context.Context, share time.Duration) error {
	for _, i := range rand.Perm(len(r.Contenders)) {
		if r.Contenders[i].spent > share {
			continue
		}
		if err := r.take(ctx, r.Contenders[i]); err != nil {
			return err
		}
	}
	return nil
}

// take gives c a turn that counts.
func (r *Rounds) take(ctx context.Context, c *Contender) error {
	began, tests := time.Now(), c.perTurn*r.Workers
	perTest, err := r.turn(ctx, c)
	c.Tests += tests
	c.spent += time.Since(began)
	c.Sample = append(c.Sample, perTest)
	return err
}

// turn returns the time per test. The first fifth of a turn is not counted. It notes how many tests fit into the next.
func (r *Rounds) turn(ctx context.Context, c *Contender) (time.Duration, error) {
	if err := r.tests(ctx, c, c.perTurn/5); err != nil {
		return 0, err
	}
	began := time.Now()
	err := r.tests(ctx, c, c.perTurn)
	took := time.Since(began)
	perTest := took / time.Duration(c.perTurn*r.Workers)
	c.perTurn = max(1, int(turn*time.Duration(c.perTurn)/max(took, 1)))
	return perTest, err
}

// tests runs n tests for each worker. Whoever has ended one takes the next, as parallel tests do: nobody is waited for with
// an idle processor.
func (r *Rounds) tests(ctx context.Context, c *Contender, n int) error {
	var taken atomic.Int64
	errs := make([]error, r.Workers)
	worker := func(worker int) {
		for taken.Add(1) <= int64(n*r.Workers) && errs[worker] == nil {
			errs[worker] = r.one(ctx, c, worker)
		}
	}
	if r.Workers == 1 {
		worker(0)
	} else {
		var group sync.WaitGroup
		for i := range r.Workers {
			group.Go(func() { worker(i) })
		}
		group.Wait()
	}
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	return nil
}

// one runs a worker's next test.
func (r *Rounds) one(ctx context.Context, c *Contender, worker int) error {
	db, err := c.Strategy.Begin(ctx, worker)
	if err != nil {
		return err
	}
	if err := r.Test(ctx, db, c.numbers[worker]); err != nil {
		return err
	}
	c.numbers[worker]++
	return c.Strategy.End(ctx, worker)
}

// Suite runs tests once, shared out among workers, and returns how long that took.
func Suite(ctx context.Context, s strategy.Strategy, test Test, workers, tests int) (time.Duration, error) {
	r := &Rounds{Test: test, Workers: workers}
	c := &Contender{Name: "suite", Strategy: s, numbers: make([]int, workers)}
	began := time.Now()
	err := r.tests(ctx, c, (tests+workers-1)/workers)
	return time.Since(began), err
}
