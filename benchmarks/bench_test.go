package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/txiso/txiso-go/benchmarks/measure"
	"github.com/txiso/txiso-go/benchmarks/schema"
	"github.com/txiso/txiso-go/benchmarks/strategy"
	"github.com/txiso/txiso-go/benchmarks/work"
	"github.com/txiso/txiso-go/migrations"
	"github.com/txiso/txiso-go/txiso"
)

// subject is a schema and statements for it.
type subject struct {
	name   string
	config txiso.Config
	work.Statements
}

func subjects() []subject {
	return []subject{
		{"plain", txiso.Config{Migrations: schema.New(10, 0).Migrations}, work.Plain},
		{"sample", txiso.Config{Migrations: migrations.FS}, work.Sample},
	}
}

// BenchmarkTest is the price of a test, all strategies in one run.
func BenchmarkTest(b *testing.B) {
	for _, workers := range []int{1, 2, 8} {
		for _, s := range subjects() {
			env := strategy.ConfigEnv(b.Context(), s.config, workers, b.Logf)
			name := func(work string) string { return fmt.Sprintf("work=%s/schema=%s/workers=%d", work, s.name, workers) }
			b.Run(name("insert"), func(b *testing.B) { compare(b, env, s.Inserts(1)) })
			b.Run(name("10inserts"), func(b *testing.B) { compare(b, env, s.Inserts(10)) })
			b.Run(name("10updates"), func(b *testing.B) { compare(b, env, s.Updates(10)) })
			b.Run(name("10counts"), func(b *testing.B) { compare(b, env, s.Counts(10)) })
			b.Run(name("10mixed"), func(b *testing.B) { compare(b, env, s.Mixed(10)) })
			if err := env.Close(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// compare runs rounds of all the cheap strategies and reports them as multiples of floor.
func compare(b *testing.B, env *strategy.Env, test measure.Test) { ratios(b, rounds(b, env, test)) }

// ratios runs rounds and reports the medians as multiples of the first contender's.
func ratios(b *testing.B, r *measure.Rounds) {
	if err := r.Warm(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := r.Round(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(0, "ns/op") // a round means nothing
	floor := r.Contenders[0]
	b.ReportMetric(float64(floor.Sample.Median().Nanoseconds())/1e3, floor.Name+"-µs")
	b.ReportMetric(floor.Sample.Spread(), floor.Name+"-spread")
	for _, c := range r.Contenders[1:] {
		b.ReportMetric(float64(c.Sample.Median())/float64(floor.Sample.Median()), c.Name+"/"+floor.Name)
		b.ReportMetric(float64(c.Sample.Quantile(0.1))/float64(floor.Sample.Quantile(0.1)), c.Name+"/"+floor.Name+"-p10")
		b.ReportMetric(c.Sample.Spread(), c.Name+"-spread")
	}
}

func rounds(b *testing.B, env *strategy.Env, test measure.Test) *measure.Rounds {
	r := &measure.Rounds{Test: test, Workers: env.Workers}
	for _, named := range strategy.Cheap() {
		s, err := named.New(b.Context(), env)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		})
		r.Contenders = append(r.Contenders, &measure.Contender{Name: named.Name, Strategy: s})
	}
	return r
}

// BenchmarkSelect1 is a statement in the middle of a test: SELECT 1 through txiso against the same through plain pgx stdlib.
func BenchmarkSelect1(b *testing.B) {
	for _, workers := range []int{1, 2, 8} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			env := strategy.ConfigEnv(b.Context(), subjects()[0].config, workers, b.Logf)
			defer env.Close()
			r := &measure.Rounds{Workers: workers, Test: func(ctx context.Context, db strategy.DB, _ int) error {
				_, err := db.QueryInt(ctx, `SELECT 1`)
				return err
			}}
			for _, named := range []strategy.Named{{Name: "pgx", New: strategy.NewPlain}, {Name: "txiso", New: strategy.NewTxiso}} {
				s, err := named.New(b.Context(), env)
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				kept := &strategy.Kept{Strategy: s}
				defer func() {
					if err := kept.EndAll(b.Context()); err != nil {
						b.Error(err)
					}
				}()
				r.Contenders = append(r.Contenders, &measure.Contender{Name: named.Name, Strategy: kept})
			}
			ratios(b, r)
		})
	}
}

// BenchmarkResetSequences is the price of Config.ResetSequences for a test with one insert, against the same without it.
func BenchmarkResetSequences(b *testing.B) {
	for _, tables := range []int{10, 500} {
		for _, workers := range []int{1, 8} {
			b.Run(fmt.Sprintf("tables=%d/workers=%d", tables, workers), func(b *testing.B) {
				r := &measure.Rounds{Workers: workers, Test: work.Plain.Inserts(1)}
				for _, name := range []string{"without", "reset"} {
					cfg := txiso.Config{Migrations: schema.New(tables, 0).Migrations, ResetSequences: name == "reset"}
					env := strategy.ConfigEnv(b.Context(), cfg, workers, b.Logf)
					defer env.Close()
					s, err := strategy.NewTxiso(b.Context(), env)
					if err != nil {
						b.Fatal(err)
					}
					defer s.Close()
					r.Contenders = append(r.Contenders, &measure.Contender{Name: name, Strategy: s})
				}
				ratios(b, r)
			})
		}
	}
}
