package strategy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

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
