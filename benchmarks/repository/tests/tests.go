// Package tests is what the packages of a generated repository run: the same tests, however they come by a clean database.
// It reads the variables that the command sets.
package tests

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/DATA-DOG/go-txdb"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/txiso/txiso-go/benchmarks/schema"
	"github.com/txiso/txiso-go/benchmarks/strategy"
	"github.com/txiso/txiso-go/benchmarks/work"
	"github.com/txiso/txiso-go/txiso"
)

const (
	// Strategy is the variable that names one of Strategies, or Nothing.
	Strategy = "TXISO_REPOSITORY_STRATEGY"
	// Databases is the variable with connection strings, one a line: of the template, then of each package's database.
	Databases = "TXISO_REPOSITORY_DATABASES"
	// Nothing is the strategy of tests that do nothing: what remains is building and starting them.
	Nothing = "nothing"
)

// Strategies are compared.
func Strategies() []string { return []string{"txiso", "txdb", "clone"} }

// Schema is what all tests have.
func Schema() schema.Schema { return schema.New(20, 0) }

// statements is how many a test executes.
const statements = 10

var iso = txiso.New(txiso.Config{Migrations: Schema().Migrations})

// Run is one test of a package.
func Run(t *testing.T, pkg, number int) {
	open := map[string]func(*testing.T, int) *sql.DB{
		"txiso": func(t *testing.T, _ int) *sql.DB { return iso.DB(t) }, "txdb": openTxdb, "clone": openClone,
	}[os.Getenv(Strategy)]
	if open == nil {
		return
	}
	db := open(t, pkg)
	if err := work.Plain.Mixed(statements)(t.Context(), strategy.Of(db), number); err != nil {
		t.Error(err)
	}
}

// database is the connection string of a package, or of the template: -1.
func database(t *testing.T, pkg int) string {
	all := strings.Split(os.Getenv(Databases), "\n")
	if pkg+1 >= len(all) {
		t.Fatalf("there are %d databases, none for package %d; run go run ./benchmarks/repository", len(all), pkg)
	}
	return all[pkg+1]
}

// openTxdb is go-txdb as its README says, in a database that is the package's alone: in one for all, tests that insert the
// same keys would wait for each other.
func openTxdb(t *testing.T, pkg int) *sql.DB {
	db := sql.OpenDB(txdb.New("pgx", database(t, pkg)))
	t.Cleanup(func() { closed(t, db) })
	return db
}

// admin is what a process creates and drops databases with.
var admin = sync.OnceValues(func() (*sql.DB, error) {
	cfg, err := pgx.ParseConfig(strings.SplitN(os.Getenv(Databases), "\n", 3)[1])
	if err != nil {
		return nil, err
	}
	return stdlib.OpenDB(*cfg), nil
})

// openClone gives each test a database of its own, made from the template and dropped behind the test.
func openClone(t *testing.T, _ int) *sql.DB {
	admin, err := admin()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := pgx.ParseConfig(database(t, -1))
	if err != nil {
		t.Fatal(err)
	}
	name := "txisobench_" + strings.ToLower(rand.Text())
	if _, err := admin.ExecContext(t.Context(), fmt.Sprintf("CREATE DATABASE %s TEMPLATE %q", name, cfg.Database)); err != nil {
		t.Fatal(err)
	}
	cfg.Database = name
	db := stdlib.OpenDB(*cfg)
	t.Cleanup(func() {
		closed(t, db)
		if _, err := admin.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return db
}

func closed(t *testing.T, db *sql.DB) {
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
