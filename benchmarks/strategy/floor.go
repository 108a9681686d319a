package strategy

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5/stdlib"
)

// floor is the least that a test can cost: BEGIN, its statements, ROLLBACK, on one warm connection. The test works on a
// *sql.Tx, so it is not free to do what it likes: floor is a yardstick, not a strategy.
type floor struct {
	dbs []*sql.DB
	txs []*sql.Tx
}

func NewFloor(ctx context.Context, env *Env) (Strategy, error) {
	cfgs, err := env.PrivateEach()
	if err != nil {
		return nil, err
	}
	f := &floor{txs: make([]*sql.Tx, env.Workers)}
	for _, cfg := range cfgs {
		db := stdlib.OpenDB(*cfg)
		db.SetMaxOpenConns(1)
		f.dbs = append(f.dbs, db)
		if err := db.PingContext(ctx); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *floor) Begin(ctx context.Context, worker int) (DB, error) {
	tx, err := f.dbs[worker].BeginTx(ctx, nil)
	f.txs[worker] = tx
	return sqlDB{tx}, err
}

func (f *floor) End(_ context.Context, worker int) error { return f.txs[worker].Rollback() }

func (f *floor) Close() error { return closeAll(f.dbs) }
