package strategy

import (
	"context"
)

// sharing is how many tests of NewWork share a transaction.
const sharing = 100

// statementsOnly is the work itself: tests in the middle of a transaction that a hundred of them share. What a strategy
// costs beyond it is the price of isolation.
type statementsOnly struct {
	Strategy
	begun []DB
	tests []int
}

// NewWork needs tests of which a hundred in a row do not disturb each other.
func NewWork(ctx context.Context, env *Env) (Strategy, error) {
	f, err := NewFloor(ctx, env)
	return &statementsOnly{Strategy: f, begun: make([]DB, env.Workers), tests: make([]int, env.Workers)}, err
}

func (s *statementsOnly) Begin(ctx context.Context, worker int) (db DB, err error) {
	if s.tests[worker]%sharing == 0 {
		s.begun[worker], err = s.Strategy.Begin(ctx, worker)
	}
	return s.begun[worker], err
}

func (s *statementsOnly) End(ctx context.Context, worker int) error {
	if s.tests[worker]++; s.tests[worker]%sharing != 0 {
		return nil
	}
	return s.Strategy.End(ctx, worker)
}
