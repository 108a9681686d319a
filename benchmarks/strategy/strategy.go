// Package strategy implements the ways in which tests come by a clean database, each as its users really do it.
package strategy

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Strategy gives tests clean databases. Workers run their tests one after the other, and beside each other; worker is
// below the Workers of the Env that the strategy was made for.
type Strategy interface {
	// Begin returns what the worker's next test works on: the schema, and no rows but those the schema comes with.
	Begin(ctx context.Context, worker int) (DB, error)
	// End is called when that test has ended.
	End(ctx context.Context, worker int) error
	// Close gives back what the strategy has on the server. No test runs any more.
	Close() error
}

// DB is the part of a database that the tests use.
type DB interface {
	Exec(ctx context.Context, sql string, args ...any) error
	QueryInt(ctx context.Context, sql string, args ...any) (int, error)
}

// Named is a strategy under its name.
type Named struct {
	Name string
	New  func(context.Context, *Env) (Strategy, error)
}

// All returns the strategies in the order of the tables. The first is the yardstick of the others.
func All() []Named {
	return []Named{
		{"floor", NewFloor},
		{"txiso", NewTxiso},
		{"txiso-pgxpool", NewTxisoPool},
		{"txdb", NewTxdb},
		{"delete", NewDelete},
		{"truncate", NewTruncate},
		{"recreate", NewRecreate},
		{"migrate", NewMigrate},
		{"clone-wal", NewCloneWAL},
		{"clone-file", NewCloneFile},
		{"txiso-clone", NewTxisoClone},
	}
}

// Cheap returns those that cost about as much as a test itself, and plain go-txdb.
func Cheap() []Named { return All()[:4] }

// sqlDB is a *sql.DB or a *sql.Tx.
type sqlDB struct {
	conn interface {
		ExecContext(context.Context, string, ...any) (sql.Result, error)
		QueryRowContext(context.Context, string, ...any) *sql.Row
	}
}

// Of is a *sql.DB for tests that no strategy runs.
func Of(db *sql.DB) DB { return sqlDB{db} }

func (db sqlDB) Exec(ctx context.Context, sql string, args ...any) error {
	_, err := db.conn.ExecContext(ctx, sql, args...)
	return err
}

func (db sqlDB) QueryInt(ctx context.Context, sql string, args ...any) (n int, err error) {
	err = db.conn.QueryRowContext(ctx, sql, args...).Scan(&n)
	return n, err
}

// pgxDB is a *pgxpool.Pool.
type pgxDB struct {
	conn interface {
		Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
		QueryRow(context.Context, string, ...any) pgx.Row
	}
}

func (db pgxDB) Exec(ctx context.Context, sql string, args ...any) error {
	_, err := db.conn.Exec(ctx, sql, args...)
	return err
}

func (db pgxDB) QueryInt(ctx context.Context, sql string, args ...any) (n int, err error) {
	err = db.conn.QueryRow(ctx, sql, args...).Scan(&n)
	return n, err
}
