package strategy_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/txiso/txiso-go/benchmarks/schema"
	"github.com/txiso/txiso-go/benchmarks/strategy"
)

const workers = 2

func TestTheNextTestSeesACleanDatabase(t *testing.T) {
	for _, rows := range []int{0, 7} {
		env := newEnv(t, rows)
		for _, named := range strategy.All() {
			t.Run(fmt.Sprintf("strategy=%s/rows=%d", named.Name, rows), func(t *testing.T) {
				s := open(t, named, env)
				for range 3 {
					for worker := range workers {
						if err := check(t.Context(), s, env, worker); err != nil {
							t.Errorf("worker %d: %v", worker, err)
						}
					}
				}
			})
		}
	}
}

func TestWithoutCleanupTheNextTestSeesWhatTheLastOneDid(t *testing.T) {
	env := newEnv(t, 7)
	for _, named := range strategy.All() {
		t.Run("strategy="+named.Name, func(t *testing.T) {
			s := &strategy.Kept{Strategy: open(t, named, env)}
			t.Cleanup(func() {
				if err := s.EndAll(context.Background()); err != nil {
					t.Error(err)
				}
			})
			ctx := context.Background() // t.Context() ends before cleanups, and with it the transaction that floor has begun
			if err := check(ctx, s, env, 0); err != nil {
				t.Fatalf("the first test: %v", err)
			}
			err := check(ctx, s, env, 0)
			if err == nil || !strings.Contains(err.Error(), "at its beginning") {
				t.Errorf("the second test: got %v, want a complaint about what it found at its beginning", err)
			}
		})
	}
}

// A run that is interrupted while a database is made, or dropped, has left it on the server for good.
func TestAClonesDatabaseGoesWheneverTheRunIsInterrupted(t *testing.T) {
	env := newEnv(t, 0)
	cfg, err := env.Private()
	if err != nil {
		t.Fatal(err)
	}
	observer := stdlib.OpenDB(*cfg)
	defer observer.Close()
	for _, named := range strategy.All() {
		if !strings.HasPrefix(named.Name, "clone") {
			continue
		}
		t.Run(named.Name, func(t *testing.T) {
			before := clones(t, observer)
			for within := time.Millisecond; within < 300*time.Millisecond; within = within * 3 / 2 {
				s, err := named.New(t.Context(), env)
				if errors.Is(err, errors.ErrUnsupported) {
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				ctx, done := context.WithTimeout(t.Context(), within)
				_ = check(ctx, s, env, 0) // an error is what there has to be
				done()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			left := slices.DeleteFunc(clones(t, observer), func(name string) bool { return slices.Contains(before, name) })
			for deadline := time.Now().Add(time.Minute); len(left) > 0; time.Sleep(100 * time.Millisecond) { // those of other processes come and go
				if time.Now().After(deadline) {
					t.Fatalf("left are %v", left)
				}
				now := clones(t, observer)
				left = slices.DeleteFunc(left, func(name string) bool { return !slices.Contains(now, name) })
			}
		})
	}
}

// clones lists the databases that clone makes, whoever has made them.
func clones(t *testing.T, observer *sql.DB) (names []string) {
	t.Helper()
	var list string
	err := observer.QueryRowContext(t.Context(), "SELECT coalesce(string_agg(datname, ' '), '') FROM pg_database WHERE starts_with(datname, 'txisobench_')").Scan(&list)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(list)
}

// check is a test that looks at the first and the last table, and leaves a row in each.
func check(ctx context.Context, s strategy.Strategy, env *strategy.Env, worker int) error {
	db, err := s.Begin(ctx, worker)
	if err != nil {
		return err
	}
	tables := env.Schema.Tables
	for _, table := range []string{tables[0], tables[len(tables)-1]} {
		if err := expectRows(ctx, db, table, env.Schema.Rows); err != nil {
			return fmt.Errorf("at its beginning: %w", err)
		}
		if err := db.Exec(ctx, "INSERT INTO "+table+" (name) VALUES ($1)", "mine"); err != nil {
			return err
		}
		if err := expectRows(ctx, db, table, env.Schema.Rows+1); err != nil {
			return err
		}
	}
	return s.End(ctx, worker)
}

func expectRows(ctx context.Context, db strategy.DB, table string, want int) error {
	got, err := db.QueryInt(ctx, "SELECT count(*) FROM "+table)
	if err == nil && got != want {
		err = fmt.Errorf("table %s has %d rows, want %d", table, got, want)
	}
	return err
}

func newEnv(t *testing.T, rows int) *strategy.Env {
	t.Helper()
	env := strategy.NewEnv(context.Background(), schema.New(12, rows), workers, t.Logf)
	t.Cleanup(func() {
		if err := env.Close(); err != nil {
			t.Error(err)
		}
	})
	return env
}

func open(t *testing.T, named strategy.Named, env *strategy.Env) strategy.Strategy {
	t.Helper()
	s, err := named.New(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
