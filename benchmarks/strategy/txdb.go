package strategy

import (
	"context"
	"database/sql"
	"errors"

	"github.com/DATA-DOG/go-txdb"
	"github.com/jackc/pgx/v5/stdlib"
)

// plainTxdb is go-txdb as its README shows it: sql.OpenDB(txdb.New("pgx", dsn)) at the beginning of a test and db.Close at
// its end, which rolls back.
type plainTxdb struct {
	dsns []string
	dbs  []*sql.DB
}

func NewTxdb(_ context.Context, env *Env) (Strategy, error) {
	cfgs, err := env.PrivateEach()
	if err != nil {
		return nil, err
	}
	s := &plainTxdb{dbs: make([]*sql.DB, env.Workers)}
	for _, cfg := range cfgs {
		s.dsns = append(s.dsns, stdlib.RegisterConnConfig(cfg))
	}
	return s, nil
}

func (s *plainTxdb) Begin(_ context.Context, worker int) (DB, error) {
	s.dbs[worker] = sql.OpenDB(txdb.New("pgx", s.dsns[worker]))
	return sqlDB{s.dbs[worker]}, nil
}

func (s *plainTxdb) End(_ context.Context, worker int) error { return s.dbs[worker].Close() }

// Close ends tests that were interrupted; closing a *sql.DB twice does no harm.
func (s *plainTxdb) Close() error {
	for _, dsn := range s.dsns {
		stdlib.UnregisterConnConfig(dsn)
	}
	return closeAll(s.dbs)
}

// closeAll closes databases of which some may not be open.
func closeAll(dbs []*sql.DB) (err error) {
	for _, db := range dbs {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	return err
}
