package main

import (
	"slices"
	"time"

	"github.com/txiso/txiso-go/benchmarks/strategy"
)

// cell is one combination of the dimensions.
type cell struct {
	tables, rows, statements, workers int
}

// base is the cell from which the others differ in one dimension.
var base = cell{tables: 50, rows: 0, statements: 10, workers: 1}

// plan is what a run does.
type plan struct {
	cells      []cell
	strategies []strategy.Named // floor first
	budget     time.Duration    // for a cell, in which all strategies take turns
	first      time.Duration    // for the first cell, from which the others differ
	cellsOnly  bool
	share      float64 // of the other sections' tests
	rolledBack int     // tests of the look at what they leave behind
}

func fullPlan() plan {
	p := plan{strategies: strategy.All(), budget: 8 * time.Second, first: 50 * time.Second, share: 1, rolledBack: 10000, cells: []cell{base}}
	p.cells = append(p.cells, vary([]int{10, 200, 500}, func(c *cell, n int) { c.tables = n })...)
	p.cells = append(p.cells, vary([]int{1000}, func(c *cell, n int) { c.rows = n })...)
	p.cells = append(p.cells, vary([]int{1, 50}, func(c *cell, n int) { c.statements = n })...)
	p.cells = append(p.cells, vary([]int{2, 4, 8}, func(c *cell, n int) { c.workers = n })...)
	return p
}

func quickPlan() plan {
	p := plan{strategies: strategy.All(), budget: 4 * time.Second, first: 4 * time.Second, cellsOnly: true, cells: []cell{base}}
	p.cells = append(p.cells, vary([]int{10}, func(c *cell, n int) { c.tables = n })...)
	p.cells = append(p.cells, vary([]int{2}, func(c *cell, n int) { c.workers = n })...)
	return p
}

func vary(values []int, set func(*cell, int)) []cell {
	cells := slices.Repeat([]cell{base}, len(values))
	for i, n := range values {
		set(&cells[i], n)
	}
	return cells
}

// of is the budget of a cell.
func (p plan) of(cell int) time.Duration {
	if cell == 0 {
		return p.first
	}
	return p.budget
}

// until is about how long the first cells take, without what is to be prepared for them.
func (p plan) until(cells int) (total time.Duration) {
	for i := range cells {
		total += p.of(i)
	}
	return total
}
