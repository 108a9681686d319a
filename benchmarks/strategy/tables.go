package strategy

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// perWorker is what strategies share that keep one database for each worker and clean it up behind every test.
type perWorker struct{ dbs []*sql.DB }

// openEach opens the databases. Where tables come and go the mode must be pgx.QueryExecModeExec: plans of theirs must not
// be kept.
func openEach(env *Env, mode pgx.QueryExecMode) (perWorker, error) {
	cfgs, err := env.PrivateEach()
	if err != nil {
		return perWorker{}, err
	}
	var p perWorker
	for _, cfg := range cfgs {
		cfg.DefaultQueryExecMode = mode
		p.dbs = append(p.dbs, stdlib.OpenDB(*cfg))
	}
	return p, nil
}

func (p perWorker) Close() error { return closeAll(p.dbs) }

// exec runs SQL text of many statements in one round trip, as pgx does when there are no arguments.
func (p perWorker) exec(ctx context.Context, worker int, text string) error {
	_, err := p.dbs[worker].ExecContext(ctx, text)
	return err
}
