package strategy

import (
	"context"
)

// grouped is a database for each group of tests, cloned from a template, with DELETE FROM every table between the tests of
// a group.
type grouped struct {
	*clone
	size  int
	done  []int
	dbs   []DB
	clean string
}

// NewGrouped returns how to make groups of size tests.
func NewGrouped(size int) func(context.Context, *Env) (Strategy, error) {
	return func(ctx context.Context, env *Env) (Strategy, error) {
		inner, err := newClone(ctx, env, "FILE_COPY")
		if err != nil {
			return nil, err
		}
		return &grouped{
			clone: inner, size: size, done: make([]int, env.Workers), dbs: make([]DB, env.Workers),
			clean: env.Schema.DeleteAll() + env.Schema.Fill,
		}, nil
	}
}

func (s *grouped) Begin(ctx context.Context, worker int) (db DB, err error) {
	if s.done[worker]%s.size == 0 {
		s.dbs[worker], err = s.clone.Begin(ctx, worker)
	}
	return s.dbs[worker], err
}

func (s *grouped) End(ctx context.Context, worker int) error {
	if s.done[worker]++; s.done[worker]%s.size == 0 {
		return s.clone.End(ctx, worker)
	}
	return s.dbs[worker].Exec(ctx, s.clean)
}
