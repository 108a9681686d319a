package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/txiso/txiso-go/benchmarks/measure"
	"github.com/txiso/txiso-go/benchmarks/report"
	"github.com/txiso/txiso-go/benchmarks/repository/tests"
)

// took is what a strategy needed.
type took struct {
	strategy string
	goTest   time.Duration  // go test ./...
	alone    measure.Sample // its test programs, which were linked before
}

// rounds is how often the programs run alone. Who clones needs too long for that, and is not close to the others.
func rounds(strategy string) int {
	if strategy == "clone" {
		return 1
	}
	return 3
}

// compare runs the repository's tests by each strategy, and with tests that do nothing.
func compare(ctx context.Context, s size, say func(string)) (table report.Section, err error) {
	dbs, err := prepare(ctx, s.packages)
	if err != nil {
		return table, err
	}
	defer func() { err = errors.Join(err, dbs.drop()) }()
	r, err := generate(s)
	if err != nil {
		return table, err
	}
	defer func() { err = errors.Join(err, r.remove()) }()
	say("compiling")
	if err := r.build(ctx); err != nil {
		return table, err
	}
	all := []took{{strategy: tests.Nothing}}
	for _, strategy := range tests.Strategies() {
		all = append(all, took{strategy: strategy})
	}
	for i := range all {
		say("go test ./..., " + all[i].strategy)
		if all[i].goTest, err = r.goTest(ctx, all[i].strategy, dbs); err != nil {
			return table, err
		}
	}
	for round := range rounds("") {
		for i := range all {
			if round >= rounds(all[i].strategy) {
				continue
			}
			say(fmt.Sprintf("round %d, %s", round+1, all[i].strategy))
			alone, err := r.programs(ctx, all[i].strategy, dbs)
			if err != nil {
				return table, err
			}
			all[i].alone = append(all[i].alone, alone)
		}
	}
	return section(s, all), nil
}

// section compares with nothing, which is the first, and with txiso, the second.
func section(s size, all []took) report.Section {
	table := report.Section{
		Title: fmt.Sprintf("A repository: %d tests in %d packages", s.tests, s.packages),
		Text: []string{"The same packages and the same tests of ten statements each time, one after the other in their package, as many packages at once as there " +
			"are processors: `txiso` by `iso.DB(t)`, with nothing prepared; `txdb` as its README says, in a database for each package that was " +
			"migrated before; `clone` with a CREATE DATABASE from a template that was migrated before, and a DROP DATABASE; `nothing` returns at once.",
			"`go test -count=1 ./...` ran once; most of it is linking, whatever the strategy. So the test programs, linked, ran three times more " +
				"without it, those that clone once: *tests alone* is the median, *a test* what is left of it without `nothing`."},
		Header: []string{"strategy", "go test ./...", "tests alone", "a test", "× txiso"},
	}
	idle := all[0].alone.Median()
	yardstick := all[1].alone.Median() - idle
	for _, t := range all {
		row := []string{t.strategy, report.Duration(t.goTest), report.Duration(t.alone.Median()), "–", "–"}
		if work := t.alone.Median() - idle; work > 0 && yardstick > 0 {
			row[3], row[4] = report.Duration(work/time.Duration(s.tests)), fmt.Sprintf("%.1f", float64(work)/float64(yardstick))
		}
		table.Rows = append(table.Rows, row)
	}
	return table
}
