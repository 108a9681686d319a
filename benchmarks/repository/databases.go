package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/txiso/txiso-go/benchmarks/faketest"
	"github.com/txiso/txiso-go/benchmarks/repository/tests"
	"github.com/txiso/txiso-go/txiso"
)

// databases are what others than txiso need before their first test.
type databases struct {
	iso  *txiso.Iso
	hold *faketest.T
	dsns []string // of the template, then of each package
}

// prepare makes a migrated database to clone from, which nobody connects to, and one for each package. These have the
// migrations of the tests and more, so that txiso does not find its template there already.
func prepare(ctx context.Context, packages int) (*databases, error) {
	seed := txiso.Seed{Version: "a template of its own", Run: func(context.Context, *sql.DB) error { return nil }}
	d := &databases{iso: txiso.New(txiso.Config{Migrations: tests.Schema().Migrations, Seed: seed}), hold: faketest.New(ctx, "repository")}
	for range packages + 1 {
		err := d.hold.Try(func() error {
			d.dsns = append(d.dsns, d.iso.Clone(d.hold).DSN)
			return nil
		})
		if err != nil {
			return nil, errors.Join(err, d.drop())
		}
	}
	return d, nil
}

// environment tells the test processes where the databases are.
func (d *databases) environment(strategy string) []string {
	return append(os.Environ(), tests.Strategy+"="+strategy, fmt.Sprintf("%s=%s", tests.Databases, strings.Join(d.dsns, "\n")))
}

func (d *databases) drop() error { return errors.Join(d.hold.End(), d.iso.Close()) }
