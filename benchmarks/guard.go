package main

import (
	"context"
	"fmt"
	"time"

	"github.com/txiso/txiso-go/benchmarks/report"
	"github.com/txiso/txiso-go/benchmarks/strategy"
)

// bound is generous: a regression that matters doubles the cost, noise does not.
const bound = 2.0

// guard fails when txiso costs more than bound times the floor. It never looks at absolute times, and it looks again before
// it complains, because a busy machine can hit one strategy harder than the other.
func guard(ctx context.Context) error {
	var ratio float64
	for attempt := range 5 {
		txiso, err := guardOnce(ctx)
		if err != nil {
			return err
		}
		ratio = txiso.Ratio()
		fmt.Printf("attempt %d: %s: txiso takes %.2f × floor (bound %.1f)\n", attempt+1, report.CellTitle(txiso), ratio, bound)
		if ratio <= bound {
			return nil
		}
	}
	return fmt.Errorf("txiso takes %.2f × floor, more than %.1f ×: look for what made tests dearer, or say in the change why it must be", ratio, bound)
}

func guardOnce(ctx context.Context) (report.Result, error) {
	c := base
	c.tables = 10
	results, err := runCell(ctx, c, withWork(strategy.All()[:2]), 3*time.Second, func(time.Duration) {})
	if err != nil {
		return report.Result{}, err
	}
	return results[len(results)-1], nil
}
