package main

import (
	"cmp"
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

// suite is a suite of tests whose duration somebody has published, or what we run in its place.
type suite struct {
	name           string
	tests, workers int
	had            string // strategy, in words
	published      string // "" for what is not
	new            func(context.Context, *strategy.Env) (strategy.Strategy, error)
}

// replayTables is how many tables a replayed suite has: the publications do not say.
const replayTables = 20

// suites are the published ones.
func suites() []suite {
	list := []suite{
		{name: "368 tests", tests: 368, workers: 1, had: "schema recreated per test", published: "361 s", new: strategy.NewRecreate},
		{name: "368 tests", tests: 368, workers: 1, had: "rows deleted per test", published: "182 s", new: strategy.NewDelete},
		{name: "368 tests", tests: 368, workers: 1, had: "txiso", new: strategy.NewTxiso},
	}
	for _, s := range []struct {
		tests            int
		serial, parallel string
	}{{139, "15 s", "4.5 s"}, {199, "20 s", "7 s"}, {316, "53 s", "15.5 s"}} {
		name := fmt.Sprintf("%d tests", s.tests)
		list = append(list,
			suite{name: name, tests: s.tests, workers: 1, had: "tables created and dropped per test, serial", published: s.serial, new: strategy.NewRecreate},
			suite{name: name, tests: s.tests, workers: 4, had: "the same, 4 workers with a database each", published: s.parallel, new: strategy.NewRecreate},
			suite{name: name, tests: s.tests, workers: 1, had: "txiso, serial", new: strategy.NewTxiso},
			suite{name: name, tests: s.tests, workers: 4, had: "txiso, 4 workers", new: strategy.NewTxiso})
	}
	return append(list,
		suite{name: "5,000 tests", tests: 5000, workers: 4, had: "groups of 500 with a database each, rows deleted per test, 4 workers", new: strategy.NewGrouped(500)},
		suite{name: "5,000 tests", tests: 5000, workers: 4, had: "txiso, 4 workers", new: strategy.NewTxiso})
}

// replay runs a share of each suite's tests. done is told the name of the next.
func replay(ctx context.Context, share float64, done func(string)) (s report.Section, err error) {
	s = report.Section{
		Title: "Published suites, replayed",
		Text: []string{fmt.Sprintf("What others have published, the same strategy with as many tests here, and txiso. "+
			"Their tests are not ours: a test here is ten statements in a schema of %d tables, so compare ratios within a suite, not seconds across columns. Each suite runs once, and txiso's databases are made meanwhile.", replayTables)},
		Header: []string{"suite", "strategy", "published", "here", "a test"},
	}
	for _, x := range suites() {
		done(x.name)
		x.tests = max(x.workers, int(share*float64(x.tests)))
		took, err := x.run(ctx)
		if err != nil {
			return s, err
		}
		s.Rows = append(s.Rows, []string{x.name, x.had, cmp.Or(x.published, "–"), report.Duration(took), report.Duration(took / time.Duration(x.tests))})
	}
	return s, nil
}

// run runs the suite's tests once. What the strategy prepares before the first test is not counted.
func (x suite) run(ctx context.Context) (took time.Duration, err error) {
	env := strategy.NewEnv(ctx, schema.New(replayTables, 0), x.workers, func(string, ...any) {})
	defer func() { err = errors.Join(err, env.Close()) }()
	s, err := x.new(ctx, env)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return measure.Suite(ctx, s, work.Plain.Mixed(base.statements), x.workers, x.tests)
}
