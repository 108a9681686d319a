// Package roles_test is for schemas with GRANTs and row-level security. The embedded server's role is a superuser, for whom
// neither counts: the code under test needs connections with the application's role.
package roles_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/txiso/txiso-go/migrations"
	"github.com/txiso/txiso-go/txiso"
)

var iso = txiso.New(txiso.Config{Migrations: migrations.FS})

const app = "txiso_example_app"

// security is a migration as a rule, with a CREATE ROLE that may find the role there (docs/limits.md#roles). Here it all
// goes with the test.
const security = `
	CREATE ROLE ` + app + `;
	GRANT SELECT ON customers TO ` + app + `;
	ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON customers USING (email = current_setting('app.user', true));
	INSERT INTO customers (email, name) VALUES ('ann@example.com', 'Ann'), ('bob@example.com', 'Bob')`

// asApp is a configuration for connections to t's database whose role is the application's.
func asApp(t *testing.T) *pgxpool.Config {
	t.Helper()
	pool := iso.Pool(t)
	if !may(t, pool) {
		t.Skip("the server's role is no superuser, so it cannot create others and become them")
	}
	if _, err := pool.Exec(t.Context(), security); err != nil {
		t.Fatal(err)
	}
	cfg := pool.Config()
	cfg.ConnConfig.RuntimeParams["role"] = app
	cfg.ConnConfig.RuntimeParams["app.user"] = "ann@example.com"
	return cfg
}

func may(t *testing.T, db interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}) (super bool) {
	t.Helper()
	if err := db.QueryRow(t.Context(), `SELECT rolsuper FROM pg_roles WHERE rolname = current_user`).Scan(&super); err != nil {
		t.Fatal(err)
	}
	return super
}

func expectNames(t *testing.T, db *sql.DB, want string) {
	t.Helper()
	var got string
	if err := db.QueryRowContext(t.Context(), `SELECT string_agg(name, ' ' ORDER BY name) FROM customers`).Scan(&got); err != nil || got != want {
		t.Errorf("the customers are %q, %v; want %q", got, err, want)
	}
}

func TestAPoolOfTheApplicationsRoleSeesItsRowsOnly(t *testing.T) {
	pool, err := pgxpool.NewWithConfig(t.Context(), asApp(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	var name string
	if err := pool.QueryRow(t.Context(), `SELECT string_agg(name, ' ') FROM customers`).Scan(&name); err != nil || name != "Ann" {
		t.Errorf("the application sees %q, %v; want Ann", name, err)
	}
	expectNames(t, iso.DB(t), "Ann Bob") // the superuser of the other connections
}

func TestAnSQLDBOfTheApplicationsRoleLacksPrivileges(t *testing.T) {
	db := stdlib.OpenDB(*asApp(t).ConnConfig)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	expectNames(t, db, "Ann")
	_, err := db.ExecContext(t.Context(), `DELETE FROM customers`)
	if denied, ok := errors.AsType[*pgconn.PgError](err); !ok || denied.Code != "42501" {
		t.Errorf("the application deletes: %v, want 42501", err)
	}
}
