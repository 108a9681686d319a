package txiso_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/txiso/txiso-go/txiso"
	"github.com/txiso/txiso-go/txiso/internal/pgserver/pgtest"
)

func TestTheZeroConfigGivesEmptyDatabases(t *testing.T) {
	t.Parallel()
	var zero = txiso.New(txiso.Config{})
	defer closeIso(t, zero)
	playTest(t, func(tb *fakeTB) {
		db := zero.DB(tb)
		if n := query[int](t, db, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); n != 0 {
			t.Errorf("%d tables", n)
		}
		execute(t, db, "CREATE TABLE t (n int)")
	}).expectPass(t)
}

func TestConfigsThatContradictThemselvesAreToldToTheFirstTest(t *testing.T) {
	t.Parallel()
	nothing := func(context.Context, *sql.DB) error { return nil }
	for name, c := range map[string]struct {
		cfg   txiso.Config
		texts []string
	}{
		"two schemas":          {txiso.Config{Migrations: table(t), Migrator: numbers("both")}, []string{"both Migrations and Migrator", "set one of them"}},
		"seed without version": {txiso.Config{Seed: txiso.Seed{Run: nothing}}, []string{"Config.Seed has no Version", "set Version"}},
		"version without seed": {txiso.Config{Seed: txiso.Seed{Version: "1"}}, []string{"Config.Seed has a Version but nothing to run", "set Run, or remove Version"}},
		"shared sequences":     {txiso.Config{Shared: true, ResetSequences: true}, []string{"both Shared and ResetSequences", "set one of them"}},
		"negative wait":        {txiso.Config{BeginTimeout: -time.Second}, []string{"Config.BeginTimeout is -1s", "set a positive duration"}},
	} {
		t.Run(name, func(t *testing.T) { failure(t, c.cfg).expectFatal(t, c.texts...) })
	}
}

func TestTheDSNOfTheConfigIsTheServer(t *testing.T) {
	dsn := pgtest.DSN(t)
	t.Setenv("TXISO_DSN", "host=127.0.0.1 port=1 user=nobody dbname=none")
	private := fresh(t, txiso.Config{DSN: dsn, Migrations: table(t)})
	playTest(t, func(tb *fakeTB) { private.DB(tb) }).expectPass(t)
}

func TestWithoutADSNInTheConfigTheVariableNamesTheServer(t *testing.T) {
	t.Setenv("TXISO_DSN", "host=127.0.0.1 port=1 user=nobody dbname=none connect_timeout=5")
	failure(t, txiso.Config{}).expectFatal(t, "127.0.0.1:1", "check that the server runs", "TXISO_DSN")
}

// numbers is a Migrator of one's own: a table with one row, which is its fingerprint, too.
type numbers string

func (n numbers) Fingerprint() (string, error) {
	if n == "" {
		return "", errNoName
	}
	return string(n), nil
}

func (n numbers) Migrate(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, "CREATE TABLE numbers (name text); INSERT INTO numbers VALUES ('"+string(n)+"')")
	return err
}

var errNoName = errors.New("no name")

func TestAMigratorOfOnesOwnMakesTheSchema(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"one", "two"} {
		mine := numbers(unique(t) + " " + name)
		private := fresh(t, txiso.Config{Migrator: mine})
		playTest(t, func(tb *fakeTB) {
			if got := query[string](t, private.DB(tb), "SELECT name FROM numbers"); got != string(mine) {
				t.Errorf("the database is that of %q, want %q", got, mine)
			}
		}).expectPass(t)
	}
}

// A schema that finds its tables by the search path it has set had none in tests.
func TestWhatMigrationsSetForTheirDatabaseIsSetInTests(t *testing.T) {
	t.Parallel()
	schema := table(t)
	schema["00002_settings.sql"] = &fstest.MapFile{Data: []byte(`-- +goose Up
CREATE SCHEMA shop;
CREATE TABLE shop.items (n int);
-- +goose StatementBegin
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path TO shop, public', current_database()); END $$;
-- +goose StatementEnd
`)}
	private := fresh(t, txiso.Config{Migrations: schema})
	playTest(t, func(tb *fakeTB) {
		for what, db := range map[string]*sql.DB{"DB": private.DB(tb), "Clone": private.Clone(tb).DB} {
			execute(t, db, "INSERT INTO items VALUES (1)")
			execute(t, db, "SET search_path TO public; RESET search_path")
			if path := query[string](t, db, "SHOW search_path"); path != "shop, public" {
				t.Errorf("the search path of %s is %s", what, path)
			}
		}
	}).expectPass(t)
}

// failing is a Migrator that fails and counts how often.
type failing struct {
	fingerprint string
	runs        *atomic.Int32
}

func (f failing) Fingerprint() (string, error) { return f.fingerprint, nil }

func (f failing) Migrate(context.Context, *sql.DB) error {
	f.runs.Add(1)
	return errors.New("as planned")
}

func TestWhatAMigratorReturnsReachesTheTest(t *testing.T) {
	t.Parallel()
	failure(t, txiso.Config{Migrator: numbers("")}).expectFatal(t, "reading the migrations: no name")
	failure(t, txiso.Config{Migrator: failing{unique(t), new(atomic.Int32)}}).expectFatal(t, "building the template: as planned")
}

// counted is a Seed that counts its runs.
func counted(version string, runs *atomic.Int32) txiso.Seed {
	return txiso.Seed{Version: version, Run: func(ctx context.Context, db *sql.DB) error {
		runs.Add(1)
		_, err := db.ExecContext(ctx, "INSERT INTO t VALUES (1), (2)")
		return err
	}}
}

func TestASeedRunsOncePerVersion(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	schema := table(t)
	seeded := func(version string) string {
		cfg := txiso.Config{Migrations: schema, Seed: counted(version, &runs)}
		for range 2 { // as two packages would
			private := txiso.New(cfg)
			defer closeIso(t, private)
			for range 2 {
				playTest(t, func(tb *fakeTB) {
					if n := query[int](t, private.DB(tb), "SELECT count(*) FROM t"); n != 2 {
						t.Errorf("the test starts with %d rows, want 2", n)
					}
				}).expectPass(t)
			}
		}
		t.Cleanup(func() { dropTemplate(t, cfg) })
		var name string
		private := txiso.New(cfg)
		defer closeIso(t, private)
		playTest(t, func(tb *fakeTB) { name = templateOf(databaseName(t, private.DB(tb))) })
		return name
	}
	first := seeded("1")
	if n := runs.Load(); n != 1 {
		t.Errorf("version 1 ran %d times", n)
	}
	if second := seeded("2"); second == first {
		t.Errorf("both versions have the template %s", first)
	}
	if n := runs.Load(); n != 2 {
		t.Errorf("two versions ran %d times", n)
	}
}

func TestASeedThatFailsLeavesNoTemplate(t *testing.T) {
	t.Parallel()
	cfg := txiso.Config{Migrations: table(t), Seed: txiso.Seed{Version: "1", Run: func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, "INSERT INTO t VALUES (1), (1)")
		return err
	}}}
	failure(t, cfg).expectFatal(t, "Config.Seed failed", "SQLSTATE 23505", "correct the seed and run again")
	var runs atomic.Int32
	cfg.Seed = counted("1", &runs)
	private := fresh(t, cfg)
	playTest(t, func(tb *fakeTB) { private.DB(tb) }).expectPass(t)
	if n := runs.Load(); n != 1 {
		t.Errorf("the mended seed ran %d times", n)
	}
}

// The default is longer than the context: a BeginTimeout that is ignored shows as the context's error.
func TestBeginTimeoutBoundsTheWaitForAnotherTransaction(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t), BeginTimeout: 50 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	playTest(t, func(tb *fakeTB) {
		db := private.DB(tb)
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if _, err := tx.Exec("INSERT INTO t VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		expectBeginExpired(t, beginElsewhere(ctx, db))
	}).expectPass(t)
}

// beginElsewhere begins on another goroutine: one that waits for itself is told sooner, whatever the Config says.
func beginElsewhere(ctx context.Context, db *sql.DB) error {
	failed := make(chan error)
	go func() {
		tx, err := db.BeginTx(ctx, nil)
		if err == nil {
			_, err = tx.ExecContext(ctx, "INSERT INTO t VALUES (2)")
			err = errors.Join(err, tx.Rollback())
		}
		failed <- err
	}()
	return <-failed
}

func expectBeginExpired(t *testing.T, err error) {
	t.Helper()
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "55P03" {
		t.Fatalf("the second transaction gave %v, want SQLSTATE 55P03", err)
	}
	expectError(t, pg.Message, "waits for the one begun at", "config_test.go:")
	if want := "End the first one before the second begins"; !strings.Contains(pg.Hint, want) {
		t.Errorf("the hint is %q, want %q in it", pg.Hint, want)
	}
}
