package strategy

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
)

// migrate runs goose up ahead of each test and goose reset behind it.
type migrate struct {
	perWorker
	providers []*goose.Provider
	fill      string
}

func NewMigrate(ctx context.Context, env *Env) (Strategy, error) {
	each, err := openEach(env, pgx.QueryExecModeExec)
	if err != nil {
		return nil, err
	}
	s := &migrate{perWorker: each, fill: env.Schema.Fill}
	for worker, db := range s.dbs {
		provider, err := goose.NewProvider(goose.DialectPostgres, db, env.Schema.Migrations)
		if err != nil {
			return nil, err
		}
		s.providers = append(s.providers, provider)
		if err := s.End(ctx, worker); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *migrate) Begin(ctx context.Context, worker int) (DB, error) {
	if _, err := s.providers[worker].Up(ctx); err != nil {
		return nil, err
	}
	return sqlDB{s.dbs[worker]}, s.exec(ctx, worker, s.fill)
}

func (s *migrate) End(ctx context.Context, worker int) error {
	_, err := s.providers[worker].DownTo(ctx, 0)
	return err
}
