package strategy

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// empty removes all rows behind each test and inserts again those that every test starts with.
type empty struct {
	perWorker
	text string
}

// NewDelete is DELETE FROM every table, referring tables first.
func NewDelete(_ context.Context, env *Env) (Strategy, error) {
	return newEmpty(env, env.Schema.DeleteAll())
}

// NewTruncate is one TRUNCATE of all tables, RESTART IDENTITY CASCADE.
func NewTruncate(_ context.Context, env *Env) (Strategy, error) {
	return newEmpty(env, env.Schema.TruncateAll()+";\n")
}

func newEmpty(env *Env, text string) (Strategy, error) {
	each, err := openEach(env, pgx.QueryExecModeCacheStatement)
	return &empty{each, text + env.Schema.Fill}, err
}

func (s *empty) Begin(_ context.Context, worker int) (DB, error) { return sqlDB{s.dbs[worker]}, nil }

func (s *empty) End(ctx context.Context, worker int) error { return s.exec(ctx, worker, s.text) }
