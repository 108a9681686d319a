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

// bloatSteps is how often it looks.
const bloatSteps = 5

const (
	catalogBytes = `SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r'`
	tableBytes   = `SELECT pg_total_relation_size('t000')`
	allBytes     = `SELECT pg_database_size(current_database())`
)

// bloat looks at what rolled-back tests leave in a worker database: dead rows, until they are collected.
func bloat(ctx context.Context, tests int, done func(string)) (s report.Section, err error) {
	s = report.Section{
		Title: fmt.Sprintf("What %d rolled-back tests leave behind", tests),
		Text: []string{fmt.Sprintf("Every test does the %d statements, every tenth also makes a table and drops it, all in one worker database. "+
			"Autovacuum collects dead rows as it comes round (every ten seconds on the embedded server, once a minute by default); what it has not "+
			"reached yet is seen here. A worker database that outgrows its template nevertheless is replaced by a new clone.", base.statements)},
		Header: []string{"after tests", "catalog", "table t000 with its indexes", "whole database", "a test"},
	}
	env := strategy.NewEnv(ctx, schema.New(10, 0), 1, func(string, ...any) {})
	defer func() { err = errors.Join(err, env.Close()) }()
	txiso, err := strategy.NewTxiso(ctx, env)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, txiso.Close()) }()
	if err := addSizes(ctx, &s, txiso, 0, 0); err != nil {
		return s, err
	}
	for i := range bloatSteps {
		done(fmt.Sprintf("%d tests", tests))
		took, err := measure.Suite(ctx, txiso, withTable(work.Plain.Mixed(base.statements)), 1, tests/bloatSteps)
		if err != nil {
			return s, err
		}
		if err := addSizes(ctx, &s, txiso, (i+1)*(tests/bloatSteps), took/time.Duration(tests/bloatSteps)); err != nil {
			return s, err
		}
	}
	return s, nil
}

// withTable adds to every tenth test a table that comes and goes, which leaves dead rows in the catalog.
func withTable(test measure.Test) measure.Test {
	return func(ctx context.Context, db strategy.DB, number int) error {
		if number%10 != 0 {
			return test(ctx, db, number)
		}
		for _, sql := range []string{"CREATE TABLE passing (id bigint PRIMARY KEY, name text)", "DROP TABLE passing"} {
			if err := db.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return test(ctx, db, number)
	}
}

func addSizes(ctx context.Context, s *report.Section, of strategy.Strategy, tests int, perTest time.Duration) error {
	db, err := of.Begin(ctx, 0)
	if err != nil {
		return err
	}
	var sizes []string
	for _, sql := range []string{catalogBytes, tableBytes, allBytes} {
		n, err := db.QueryInt(ctx, sql)
		if err != nil {
			return err
		}
		sizes = append(sizes, bytes(float64(n)))
	}
	took := "–"
	if perTest > 0 {
		took = report.Duration(perTest)
	}
	s.Rows = append(s.Rows, append(append([]string{fmt.Sprint(tests)}, sizes...), took))
	return of.End(ctx, 0)
}
