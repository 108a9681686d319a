package strategy

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// recreate creates all tables ahead of each test and drops them behind it.
type recreate struct {
	perWorker
	create, drop string
}

func NewRecreate(ctx context.Context, env *Env) (Strategy, error) {
	each, err := openEach(env, pgx.QueryExecModeExec)
	if err != nil {
		return nil, err
	}
	s := &recreate{each, env.Schema.Create + env.Schema.Fill, env.Schema.Drop}
	for worker := range env.Workers {
		if err := s.exec(ctx, worker, s.drop); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *recreate) Begin(ctx context.Context, worker int) (DB, error) {
	return sqlDB{s.dbs[worker]}, s.exec(ctx, worker, s.create)
}

func (s *recreate) End(ctx context.Context, worker int) error { return s.exec(ctx, worker, s.drop) }
