package main

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/txiso/txiso-go/benchmarks/measure"
	"github.com/txiso/txiso-go/benchmarks/schema"
	"github.com/txiso/txiso-go/benchmarks/strategy"
	"github.com/txiso/txiso-go/benchmarks/work"
)

// BenchmarkStrategy is one strategy in one combination of the full plan, for benchstat; choose by name. Strategies do not
// take turns here, those of BenchmarkTest do.
func BenchmarkStrategy(b *testing.B) {
	for _, c := range fullPlan().cells {
		for _, named := range strategy.All() {
			name := fmt.Sprintf("strategy=%s/tables=%d/rows=%d/statements=%d/workers=%d", named.Name, c.tables, c.rows, c.statements, c.workers)
			b.Run(name, func(b *testing.B) { benchmarkCell(b, c, named) })
		}
	}
}

// benchmarkCell runs a test in each worker at a time.
func benchmarkCell(b *testing.B, c cell, named strategy.Named) {
	env := strategy.NewEnv(b.Context(), schema.New(c.tables, c.rows), c.workers, b.Logf)
	defer env.Close()
	s, err := named.New(b.Context(), env)
	if errors.Is(err, errors.ErrUnsupported) {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := &measure.Rounds{Contenders: []*measure.Contender{{Name: named.Name, Strategy: s}}, Test: work.Plain.Mixed(c.statements), Workers: c.workers}
	if err := r.Warm(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	tests := 0
	began := time.Now()
	for b.Loop() {
		if _, err := measure.Suite(b.Context(), s, r.Test, c.workers, c.workers); err != nil {
			b.Fatal(err)
		}
		tests += c.workers
	}
	b.ReportMetric(float64(time.Since(began).Nanoseconds())/float64(tests), "ns/test")
}
