package strategy

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// clone creates a database from a template for each test, connects to it, and drops it behind the test. Neither is given up when the
// run is interrupted: a CREATE that nobody waits for may end behind the DROP, and what is not dropped stays for good.
type clone struct {
	admin    *sql.DB
	template *pgx.ConnConfig
	how      string // the STRATEGY clause (manual, CREATE DATABASE)
	tests    []cloned
}

type cloned struct {
	name string
	db   *sql.DB
}

// NewCloneWAL is STRATEGY WAL_LOG, PostgreSQL's default.
func NewCloneWAL(ctx context.Context, env *Env) (Strategy, error) {
	return newClone(ctx, env, "WAL_LOG")
}

// NewCloneFile is STRATEGY FILE_COPY, what servers before PostgreSQL 15 do without being asked.
func NewCloneFile(ctx context.Context, env *Env) (Strategy, error) {
	return newClone(ctx, env, "FILE_COPY")
}

func newClone(ctx context.Context, env *Env, how string) (*clone, error) {
	template, err := env.Private()
	if err != nil {
		return nil, err
	}
	maintenance, err := env.Private()
	if err != nil {
		return nil, err
	}
	s := &clone{admin: stdlib.OpenDB(*maintenance), template: template, how: " STRATEGY " + how, tests: make([]cloned, env.Workers)}
	var version int
	err = s.admin.QueryRowContext(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version)
	switch {
	case err != nil:
		return nil, errors.Join(err, s.Close())
	case version < 150000 && how == "WAL_LOG":
		return nil, errors.Join(fmt.Errorf("STRATEGY WAL_LOG came with PostgreSQL 15: %w", errors.ErrUnsupported), s.Close())
	case version < 150000:
		s.how = ""
	}
	return s, nil
}

func (s *clone) Begin(ctx context.Context, worker int) (DB, error) {
	name := "txisobench_" + strings.ToLower(rand.Text())
	s.tests[worker].name = name
	_, err := s.admin.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("CREATE DATABASE %s TEMPLATE %q%s", name, s.template.Database, s.how))
	if err != nil {
		return nil, err
	}
	cfg := s.template.Copy()
	cfg.Database = name
	s.tests[worker] = cloned{name, stdlib.OpenDB(*cfg)}
	return sqlDB{s.tests[worker].db}, nil
}

func (s *clone) End(ctx context.Context, worker int) error {
	t := s.tests[worker]
	s.tests[worker] = cloned{}
	if t.name == "" {
		return nil
	}
	var err error
	if t.db != nil {
		err = t.db.Close()
	}
	_, dropErr := s.admin.ExecContext(context.WithoutCancel(ctx), "DROP DATABASE IF EXISTS "+t.name+" WITH (FORCE)")
	return errors.Join(err, dropErr)
}

// Close drops what tests that were interrupted have left.
func (s *clone) Close() (err error) {
	for worker := range s.tests {
		err = errors.Join(err, s.End(context.Background(), worker))
	}
	return errors.Join(err, s.admin.Close())
}
