package strategy

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5/stdlib"
)

// plain is no isolation at all: one warm connection of pgx's stdlib for each worker, with real commits.
type plain struct{ dbs []*sql.DB }

func NewPlain(_ context.Context, env *Env) (Strategy, error) {
	cfgs, err := env.PrivateEach()
	if err != nil {
		return nil, err
	}
	p := &plain{}
	for _, cfg := range cfgs {
		p.dbs = append(p.dbs, stdlib.OpenDB(*cfg))
	}
	return p, nil
}

func (p *plain) Begin(_ context.Context, worker int) (DB, error) { return sqlDB{p.dbs[worker]}, nil }
func (p *plain) End(context.Context, int) error                  { return nil }
func (p *plain) Close() error                                    { return closeAll(p.dbs) }
