package txiso_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/txiso/txiso-go/txiso"
)

// role returns the name of a role that nobody else has. It is dropped when t ends.
func role(t *testing.T, name string) string {
	t.Helper()
	name = fmt.Sprintf("txiso_test_%s_%d", name, os.Getpid())
	admin := connect(t, "")
	t.Cleanup(func() {
		if _, err := admin.Exec(context.Background(), "DROP ROLE IF EXISTS "+name); err != nil {
			t.Error(err)
		}
	})
	return name
}

func sqlState(err error) string {
	pg, _ := errors.AsType[*pgconn.PgError](err)
	if pg == nil {
		return ""
	}
	return pg.Code
}

// Roles are the server's: the databases of two tests are not apart in them.
func TestTwoTestsThatCreateTheSameRoleWaitForEachOther(t *testing.T) {
	t.Parallel()
	old, created := role(t, "old"), role(t, "new")
	run(t, connect(t, ""), "CREATE ROLE "+old)
	for _, statement := range []string{"CREATE ROLE " + created, "ALTER ROLE " + old + " CREATEDB", "DROP ROLE " + old} {
		playTest(t, func(first *fakeTB) {
			execute(t, iso.DB(first), statement)
			playTest(t, func(second *fakeTB) {
				db := iso.DB(second)
				execute(t, db, "SET lock_timeout = '50ms'")
				if _, err := db.Exec(statement); sqlState(err) != "55P03" {
					t.Errorf("%s in two tests: %v, want 55P03", statement, err)
				}
			}).expectPass(t)
		}).expectPass(t)
		playTest(t, func(later *fakeTB) { execute(t, iso.DB(later), statement) }).expectPass(t)
	}
}

// Whoever has put CREATE ROLE into a migration and changes any migration afterwards meets the role of the template before.
func TestARoleOfAMigrationOutlivesItsTemplate(t *testing.T) {
	t.Parallel()
	app := role(t, "app")
	migration := func(version, create string) fstest.MapFS {
		return fstest.MapFS{"00001_app.sql": {Data: []byte("-- +goose Up\n-- " + version + " for " + unique(t) + "\n" + create + "\nCREATE TABLE t (n int PRIMARY KEY);\n")}}
	}
	plainly := "CREATE ROLE " + app + ";"
	carefully := "-- +goose StatementBegin\n" +
		"DO $$ BEGIN CREATE ROLE " + app + "; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;\n" +
		"-- +goose StatementEnd"

	expectWorks(t, fresh(t, txiso.Config{Migrations: migration("first", plainly)}))

	failure(t, txiso.Config{Migrations: migration("second", plainly)}).expectFatal(t, `role "`+app+`" already exists`, "42710")
	expectWorks(t, fresh(t, txiso.Config{Migrations: migration("third", carefully)}))
}

func TestARoleOfACloneOutlivesIt(t *testing.T) {
	t.Parallel()
	app := role(t, "clone")
	playTest(t, func(tb *fakeTB) { execute(t, iso.Clone(tb).DB, "CREATE ROLE "+app) }).expectPass(t)
	playTest(t, func(tb *fakeTB) {
		if _, err := iso.Clone(tb).DB.Exec("CREATE ROLE " + app); sqlState(err) != "42710" {
			t.Errorf("the next clone's CREATE ROLE: %v, want 42710", err)
		}
	}).expectPass(t)
}
