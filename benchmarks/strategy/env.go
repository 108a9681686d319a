package strategy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/txiso/txiso-go/benchmarks/faketest"
	"github.com/txiso/txiso-go/benchmarks/schema"
	"github.com/txiso/txiso-go/txiso"
)

// Env is where strategies run: the server that TXISO_DSN names, else txiso's embedded one. Every database in it belongs to
// txiso, so what a killed run leaves behind is collected by a later one.
type Env struct {
	Schema  schema.Schema // what strategies create that do not copy; empty for other migrations than its own
	Config  txiso.Config  // of the databases
	Workers int           // how many tests run at the same time

	iso  *txiso.Iso
	hold *faketest.T
}

// NewEnv returns an Env for databases of a schema. No more are made when ctx has ended; Close drops them nevertheless. logf is that of [ConfigEnv].
func NewEnv(ctx context.Context, s schema.Schema, workers int, logf func(string, ...any)) *Env {
	cfg := txiso.Config{Migrations: s.Migrations}
	if s.Fill != "" {
		cfg.Seed = txiso.Seed{Version: fmt.Sprintf("%d rows", s.Rows), Run: func(ctx context.Context, db *sql.DB) error {
			_, err := db.ExecContext(ctx, s.Fill)
			return err
		}}
	}
	env := ConfigEnv(ctx, cfg, workers, logf)
	env.Schema = s
	return env
}

// ConfigEnv returns an Env for databases of cfg. logf gets the one line that is printed when an embedded server is created.
func ConfigEnv(ctx context.Context, cfg txiso.Config, workers int, logf func(string, ...any)) *Env {
	env := &Env{Config: cfg, Workers: workers, iso: txiso.New(cfg), hold: faketest.New(ctx, "env")}
	env.hold.Log = logf
	return env
}

// Private returns how to connect to another private database with the schema and its rows. It lives until Close.
func (env *Env) Private() (cfg *pgx.ConnConfig, err error) {
	err = env.hold.Try(func() error {
		cfg, err = pgx.ParseConfig(env.iso.Clone(env.hold).DSN)
		return err
	})
	return cfg, err
}

// PrivateEach returns a private database for each worker.
func (env *Env) PrivateEach() ([]*pgx.ConnConfig, error) {
	cfgs := make([]*pgx.ConnConfig, env.Workers)
	for i := range cfgs {
		var err error
		if cfgs[i], err = env.Private(); err != nil {
			return nil, err
		}
	}
	return cfgs, nil
}

// Close drops the databases.
func (env *Env) Close() error {
	return errors.Join(env.hold.End(), env.iso.Close())
}
