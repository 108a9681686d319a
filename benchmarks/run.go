package main

import (
	"context"
	"errors"
	"time"

	"github.com/txiso/txiso-go/benchmarks/measure"
	"github.com/txiso/txiso-go/benchmarks/report"
	"github.com/txiso/txiso-go/benchmarks/schema"
	"github.com/txiso/txiso-go/benchmarks/strategy"
	"github.com/txiso/txiso-go/benchmarks/work"
)

// runCell lets strategies take turns in one cell. The first must be floor and the second the work itself. spent is told
// how much of the budget is gone.
func runCell(ctx context.Context, c cell, strategies []strategy.Named, budget time.Duration, spent func(time.Duration)) (results []report.Result, err error) {
	env := strategy.NewEnv(ctx, schema.New(c.tables, c.rows), c.workers, func(string, ...any) {})
	defer func() { err = errors.Join(err, env.Close()) }()
	r := &measure.Rounds{Workers: c.workers, Test: work.Plain.Mixed(c.statements)}
	for _, named := range strategies {
		s, err := named.New(ctx, env)
		if errors.Is(err, errors.ErrUnsupported) {
			continue
		}
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		r.Contenders = append(r.Contenders, &measure.Contender{Name: named.Name, Strategy: s})
	}
	if err := r.Run(ctx, budget, spent); err != nil {
		return nil, err
	}
	for _, c2 := range r.Contenders {
		results = append(results, report.Result{
			Strategy: c2.Name, Tables: c.tables, Rows: c.rows, Statements: c.statements, Workers: c.workers,
			Sample: c2.Sample, Tests: c2.Tests, Floor: r.Contenders[0].Sample.Median(), Work: r.Contenders[1].Sample.Median(),
		})
	}
	return results, nil
}

// withWork puts the work itself behind floor.
func withWork(strategies []strategy.Named) []strategy.Named {
	return append([]strategy.Named{strategies[0], {Name: "work", New: strategy.NewWork}}, strategies[1:]...)
}
