package provision_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

// countingMigrator counts its runs.
type countingMigrator struct {
	provision.Migrator
	runs *atomic.Int32
}

func (m countingMigrator) Migrate(ctx context.Context, db *sql.DB) error {
	m.runs.Add(1)
	return m.Migrator.Migrate(ctx, db)
}

// hangingMigrator waits for its context to end.
type hangingMigrator struct {
	provision.Migrator
	started func()
}

func (m hangingMigrator) Migrate(ctx context.Context, db *sql.DB) error {
	if err := m.Migrator.Migrate(ctx, db); err != nil {
		return err
	}
	m.started()
	_, err := db.ExecContext(ctx, "SELECT pg_sleep(600)")
	return err
}

func TestTemplateIsBuiltOnce(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	cfg := config(t)
	cfg.Migrator = countingMigrator{cfg.Migrator, &runs}
	ps := []*provision.Provisioner{open(t, cfg), open(t, cfg), open(t, cfg)}
	err := together(12, func(i int) error { _, err := ps[i%3].Lease(t.Context()); return err })
	if err != nil {
		t.Fatal(err)
	}
	if n := runs.Load(); n != 1 {
		t.Errorf("the migrations ran %d times", n)
	}
}

func TestTemplateCannotBeOpened(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	cfg := lease(t, p).Config()
	cfg.Database = p.Template()
	_, err := pgconn.ConnectConfig(t.Context(), &cfg.Config)
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "55000" {
		t.Errorf("connecting to the template: %v, want object_not_in_prerequisite_state", err)
	}
}

func TestSeedIsInEveryDatabase(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Seed = func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, "CREATE TABLE seeded AS SELECT 1")
		return err
	}
	cfg.SeedVersion = "1"
	p := open(t, cfg)
	execute(t, connect(t, lease(t, p).Config()), "SELECT FROM seeded")
	execute(t, connect(t, clone(t, p).Config()), "SELECT FROM seeded")
}

func TestNewSeedVersionBuildsAnotherTemplate(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Seed = func(context.Context, *sql.DB) error { return nil }
	cfg.SeedVersion = "1"
	first := open(t, cfg)
	cfg.SeedVersion = "2"
	if second := open(t, cfg); second.Template() == first.Template() {
		t.Error("both seed versions have the same template")
	}
}

func TestRuntimeParametersBuildAnotherTemplate(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	first := open(t, cfg)
	cfg.DSN = withSetting(cfg.DSN, "search_path", "elsewhere")
	if second := open(t, cfg); second.Template() == first.Template() {
		t.Error("both search paths have the same template")
	}
}

func TestSeedWithoutVersionIsRefused(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Seed = func(context.Context, *sql.DB) error { return nil }
	_, err := provision.Open(t.Context(), cfg)
	mustContain(t, err, "set Config.SeedVersion")
}

func TestMissingMigratorIsRefused(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Migrator = nil
	_, err := provision.Open(t.Context(), cfg)
	mustContain(t, err, "set Config.Migrations or Config.Migrator")
}

func TestFailedSeedLeavesNothing(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	failure := errors.New("no seed today")
	cfg.Seed = func(context.Context, *sql.DB) error { return failure }
	cfg.SeedVersion = "1"
	p := open(t, cfg)
	_, err := p.Lease(t.Context())
	mustContain(t, err, "Config.Seed failed", "no seed today", "correct the seed")
	if !errors.Is(err, failure) {
		t.Errorf("%v does not wrap the seed's error", err)
	}
	if got := databases(t, p.Template()); len(got) != 0 {
		t.Errorf("databases left: %v", got)
	}
}

func TestCancelledBuildLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cfg := config(t)
	cfg.Migrator = hangingMigrator{Migrator: cfg.Migrator, started: cancel}
	p := open(t, cfg)
	_, err := p.Lease(ctx)
	mustContain(t, err)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v is not context.Canceled", err)
	}
	if got := databases(t, p.Template()); len(got) != 0 {
		t.Errorf("databases left: %v", got)
	}
}

func TestWaitingForABuilderEndsWithTheContext(t *testing.T) {
	t.Parallel()
	for name, sameProcess := range map[string]bool{"same provisioner": true, "another": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			building, done := context.WithCancel(t.Context())
			var group sync.WaitGroup
			t.Cleanup(group.Wait)
			t.Cleanup(done)
			started := make(chan struct{})
			cfg := config(t)
			cfg.Migrator = hangingMigrator{Migrator: cfg.Migrator, started: func() { close(started) }}
			builder, waiter := open(t, cfg), open(t, cfg)
			if sameProcess {
				waiter = builder
			}
			group.Go(func() { _, _ = builder.Lease(building) })
			<-started
			ctx, cancel := context.WithCancel(t.Context())
			waited := make(chan error)
			go func() { _, err := waiter.Lease(ctx); waited <- err }()
			cancel()
			if err := <-waited; !errors.Is(err, context.Canceled) {
				t.Errorf("waiting ended with %v", err)
			}
		})
	}
}

func TestStrangersDatabaseIsNotTouched(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	execute(t, server(t), "CREATE DATABASE "+p.Template())
	_, err := p.Lease(t.Context())
	mustContain(t, err, p.Template(), "not one that txiso created", "rename or drop it")
	if !exists(t, p.Template()) {
		t.Error("the stranger's database is gone")
	}
}

func TestStrangersSlotIsPassedOver(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	lease(t, p).Release()
	stranger := p.Template() + "_2"
	execute(t, server(t), "CREATE DATABASE "+stranger)
	if first, second := lease(t, p), lease(t, p); first.Name() == stranger || second.Name() == stranger {
		t.Error("a stranger's database was leased")
	}
}

func TestDroppedTemplateIsBuiltAgain(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	lease(t, p)
	execute(t, server(t), "DROP DATABASE "+p.Template())
	lease(t, p)
}

// changingMigrator changes while it runs, as files do that somebody saves.
type changingMigrator struct {
	provision.Migrator
	version *atomic.Int32
}

func (m changingMigrator) Fingerprint() (string, error) {
	print, err := m.Migrator.Fingerprint()
	return fmt.Sprint(print, m.version.Load()), err
}

func (m changingMigrator) Migrate(ctx context.Context, db *sql.DB) error {
	m.version.CompareAndSwap(0, 1)
	return m.Migrator.Migrate(ctx, db)
}

// A template was named by the files that were there ahead of those that made it.
func TestMigrationsThatChangeWhileTheyRunMakeNoTemplate(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Migrator = changingMigrator{cfg.Migrator, new(atomic.Int32)}
	p := open(t, cfg)
	_, err := p.Lease(t.Context())
	mustContain(t, err, "the migrations have changed", "run the tests again")
	if got := databases(t, p.Template()); len(got) != 0 {
		t.Errorf("databases left: %v", got)
	}
	lease(t, open(t, cfg))
}

// What is temporary belonged to a connection that was just ending, and was asked for its value.
func TestSequencesThatTheTemplateCannotTellOf(t *testing.T) {
	t.Parallel()
	for range 3 {
		cfg := config(t)
		cfg.DSN = asRole(t, "LOGIN CREATEDB")
		cfg.SeedVersion = "1"
		cfg.Seed = func(ctx context.Context, db *sql.DB) error {
			_, err := db.ExecContext(ctx, `CREATE TEMPORARY TABLE staged (id bigserial); INSERT INTO staged DEFAULT VALUES;
				CREATE SEQUENCE known; SELECT nextval('known');
				CREATE SCHEMA closed; CREATE SEQUENCE closed.s; REVOKE ALL ON SCHEMA closed FROM public, current_user;
				CREATE SEQUENCE unread; REVOKE ALL ON SEQUENCE unread FROM public, current_user`)
			return err
		}
		if got := lease(t, open(t, cfg)).Sequences(); len(got) != 2 { // known, and that of goose
			t.Errorf("moved sequences: %v, want two", got)
		}
	}
}
