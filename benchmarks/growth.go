package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/txiso/txiso-go/benchmarks/measure"
	"github.com/txiso/txiso-go/benchmarks/report"
	"github.com/txiso/txiso-go/benchmarks/schema"
	"github.com/txiso/txiso-go/benchmarks/strategy"
	"github.com/txiso/txiso-go/benchmarks/work"
)

// sizes are the databases in which a test must cost the same. The first is what the others are compared with.
var sizes = []cell{{tables: 10}, {tables: 50}, {tables: 200}, {tables: 500}, {tables: 50, rows: 1000}}

// growth asks whether a test gets dearer in a larger database. Combinations are measured minutes apart; here databases of
// all sizes take turns, so that the difference is theirs.
func growth(ctx context.Context, budget time.Duration, done func(string)) (s report.Section, err error) {
	s = report.Section{
		Title: "The size of the database",
		Text: []string{fmt.Sprintf("txiso in databases of several sizes that take turns, %d statements a test, 1 worker. "+
			"What a test costs must depend on neither tables nor rows. The quietest tenth of the turns says so on a busy machine, too.", base.statements)},
		Header: []string{"database", "per test", "± half of the runs", "× the smallest", "in the quietest tenth", "tests"},
	}
	r := &measure.Rounds{Workers: 1, Test: work.Plain.Mixed(base.statements)}
	for _, c := range sizes {
		env := strategy.NewEnv(ctx, schema.New(c.tables, c.rows), 1, func(string, ...any) {})
		defer func() { err = errors.Join(err, env.Close()) }()
		txiso, err := strategy.NewTxiso(ctx, env)
		if err != nil {
			return s, err
		}
		defer func() { err = errors.Join(err, txiso.Close()) }()
		name := fmt.Sprintf("%d tables, %d rows in each", c.tables, c.rows)
		done(name)
		r.Contenders = append(r.Contenders, &measure.Contender{Name: name, Strategy: txiso})
	}
	if err := r.Run(ctx, budget, func(time.Duration) {}); err != nil {
		return s, err
	}
	smallest := r.Contenders[0].Sample
	for _, c := range r.Contenders {
		s.Rows = append(s.Rows, []string{
			c.Name, report.Duration(c.Sample.Median()), fmt.Sprintf("%.0f %%", 50*c.Sample.Spread()),
			against(c.Sample, smallest, 0.5), against(c.Sample, smallest, 0.1), fmt.Sprint(c.Tests),
		})
	}
	return s, nil
}

// against compares a quantile of two samples.
func against(a, b measure.Sample, q float64) string {
	return fmt.Sprintf("%.2f", float64(a.Quantile(q))/float64(b.Quantile(q)))
}
