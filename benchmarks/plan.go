package main

import (
	"slices"
	"time"
)

// cell is one combination of the dimensions.
type cell struct {
	tables, rows, statements, workers int
}

// base is the cell from which the others differ in one dimension.
var base = cell{tables: 50, rows: 0, statements: 10, workers: 1}

// plan is what a run does.
type plan struct {
	cells   []cell
	budget  time.Duration // for each cell, in which all strategies take turns
	replays float64       // the share of the published suites' tests that is run
	rolled  int           // tests of the look at the server
}

func fullPlan() plan {
	p := plan{budget: 24 * time.Second, replays: 1, rolled: 10000, cells: []cell{base}}
	p.cells = append(p.cells, vary([]int{10, 200, 500}, func(c *cell, n int) { c.tables = n })...)
	p.cells = append(p.cells, vary([]int{1000}, func(c *cell, n int) { c.rows = n })...)
	p.cells = append(p.cells, vary([]int{1, 50}, func(c *cell, n int) { c.statements = n })...)
	p.cells = append(p.cells, vary([]int{2, 4, 8}, func(c *cell, n int) { c.workers = n })...)
	return p
}

func quickPlan() plan {
	p := plan{budget: 4 * time.Second, cells: []cell{base}}
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

// total is about how long the cells take.
func (p plan) total() time.Duration { return time.Duration(len(p.cells)) * p.budget }
