package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/txiso/txiso-go/benchmarks/report"
	"github.com/txiso/txiso-go/benchmarks/strategy"
)

// bound is generous: a regression that matters doubles the cost, noise does not.
const bound = 2.0

// attempts is how often the guard looks at most. The median decides: a busy machine can hit one strategy harder than the other,
// whichever that is.
const attempts = 5

// guard fails when txiso costs more than bound times the floor. It never looks at absolute times.
func guard(ctx context.Context) error {
	var failed []float64
	for passed := 0; passed <= attempts/2; {
		txiso, err := guardOnce(ctx)
		if err != nil {
			return err
		}
		ratio := txiso.Ratio()
		fmt.Printf("attempt %d: %s: txiso takes %.2f × floor (bound %.1f)\n", passed+len(failed)+1, report.CellTitle(txiso), ratio, bound)
		if ratio <= bound {
			passed++
			continue
		}
		if failed = append(failed, ratio); len(failed) > attempts/2 {
			return fmt.Errorf("txiso takes %.2f × floor, more than %.1f ×: look for what made tests dearer, or say in the change why it must be",
				slices.Min(failed), bound)
		}
	}
	return nil
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
