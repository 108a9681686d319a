package provision_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

// leased is a worker database with a table, t, that another process had before. Autovacuum leaves t alone: it would give the
// space of rolled-back rows back while a test asks how much that is.
func leased(t *testing.T, growth int64) (*provision.Provisioner, *provision.WorkerDB) {
	t.Helper()
	cfg := config(t)
	cfg.Migrator = provision.Goose(migrations("00001_t.sql", "-- +goose Up\nCREATE TABLE t (id int PRIMARY KEY, v text) WITH (autovacuum_enabled = off); -- "+uniqueTable()+"\n"))
	cfg.Growth = growth
	p := open(t, cfg)
	lease(t, p).Release()
	return p, lease(t, p)
}

// pristine connects as the next holder does.
func pristine(t *testing.T, w *provision.WorkerDB) error {
	t.Helper()
	cfg := w.Config()
	cfg.AfterConnect = w.Pristine
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err == nil {
		err = conn.Close(t.Context())
	}
	return err
}

// do runs statements on a connection that has ended when it returns, with all that it had to count.
func do(t *testing.T, w *provision.WorkerDB, statements ...string) {
	t.Helper()
	conn := connect(t, w.Config())
	for _, sql := range statements {
		execute(t, conn, sql)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for gone := false; !gone; {
		err := server(t).QueryRow(t.Context(), "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = $1)", w.Name()).Scan(&gone)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatIsCommittedIsNoticed(t *testing.T) {
	t.Parallel()
	if v := serverVersion(t); v < 15 {
		t.Skipf("PostgreSQL %d publishes its statistics twice a second", v)
	}
	for name, sql := range map[string]string{
		"a row":           "INSERT INTO t VALUES (1)",
		"a change":        "UPDATE t SET v = 'changed' WHERE id = 0",
		"a table":         "CREATE TABLE other (id int)",
		"a column":        "ALTER TABLE t ADD COLUMN w int",
		"a large object":  "SELECT lo_create(0)",
		"part of a block": "BEGIN; INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO t VALUES (2); ROLLBACK TO s; COMMIT",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			cfg.Migrator = provision.Goose(migrations("00001_t.sql", "-- +goose Up\nCREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (0); -- "+uniqueTable()+"\n"))
			p := open(t, cfg)
			w := lease(t, p)
			do(t, w, sql)
			w.Release()
			again := lease(t, p)
			err := pristine(t, again)
			if !errors.Is(err, provision.ErrChanged) {
				t.Fatalf("%v, want ErrChanged", err)
			}
			if err := again.Discard(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := pristine(t, lease(t, p)); err != nil {
				t.Errorf("a new clone: %v", err)
			}
		})
	}
}

func TestWhatIsRolledBackIsNoChange(t *testing.T) {
	t.Parallel()
	_, w := leased(t, 0)
	do(t, w,
		"BEGIN; INSERT INTO t SELECT n, 'x' FROM generate_series(1, 1000) n; SAVEPOINT s; UPDATE t SET v = 'y'; RELEASE s; DELETE FROM t; TRUNCATE t; ROLLBACK",
		"BEGIN; CREATE TABLE other (id int); ALTER TABLE t ADD COLUMN w int; DROP TABLE t; ROLLBACK",
		"BEGIN; CREATE TEMP TABLE mine (id int); INSERT INTO mine VALUES (1); ANALYZE t; ROLLBACK",
		"SELECT pg_advisory_unlock_all()", "DISCARD SEQUENCES", "DEALLOCATE ALL",
		"VACUUM") // as autovacuum does
	if err := pristine(t, w); err != nil {
		t.Error(err)
	}
}

// Databases come and go, so autovacuum analyzes the shared catalogs time and again, from any database: one worker database after
// the other was taken for changed.
func TestWhatAutovacuumDoesToSharedCatalogsIsNoChange(t *testing.T) {
	t.Parallel()
	_, w := leased(t, 0)
	do(t, w, "ANALYZE pg_catalog.pg_database")
	if err := pristine(t, w); err != nil {
		t.Error(err)
	}
}

func TestADatabaseThatDeadRowsHaveFilledIsOutgrown(t *testing.T) {
	t.Parallel()
	_, w := leased(t, 1<<20)
	for _, step := range []struct {
		outgrown bool
		sql      string
	}{
		{false, "SELECT"},
		{true, "BEGIN; INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 12000) n; ROLLBACK"},
	} {
		do(t, w, step.sql)
		if got, err := w.Outgrown(t.Context()); got != step.outgrown || err != nil {
			t.Errorf("after %s: %v, %v", step.sql, got, err)
		}
	}
}

// 64 MB are more than any of our tests leaves behind.
func TestADatabaseMayGrowUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	_, w := leased(t, 0)
	do(t, w, "BEGIN; INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 12000) n; ROLLBACK")
	if got, err := w.Outgrown(t.Context()); got || err != nil {
		t.Errorf("outgrown: %v, %v", got, err)
	}
}

// Somebody whose database cannot be dropped, because the server has no connection for that, gives up its lock when he ends.
func TestADiscardedDatabaseIsNotLeasedAgainEvenIfItCannotBeDropped(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.DSN = asRole(t, "LOGIN CREATEDB")
	p := open(t, cfg)
	w := lease(t, p)
	do(t, w, "CREATE TABLE left_behind (id int)")
	execute(t, server(t), "ALTER ROLE "+w.Config().User+" CONNECTION LIMIT 1")
	if err := w.Discard(t.Context()); err == nil {
		t.Fatal("it was dropped")
	} else {
		mustContain(t, err, "too many connections", "raise max_connections")
	}
	closeNow(t, p)
	execute(t, server(t), "ALTER ROLE "+w.Config().User+" CONNECTION LIMIT -1")
	again := lease(t, open(t, cfg))
	if _, err := connect(t, again.Config()).Exec(t.Context(), "SELECT FROM left_behind"); err == nil {
		t.Errorf("%s was leased with what had been committed in it", again.Name())
	}
}

// The mark is for a database that is ours. By the time somebody writes it, the database may be another's.
func TestSpoilLeavesTheDatabaseOfAnotherAlone(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	mine := lease(t, p)
	mine.Release()
	if err := mine.Spoil(t.Context()); err != nil {
		t.Fatal(err)
	}
	leaseAgain(t, p, mine.Name())
	if n := incomplete(t, p.Template()); n != 0 {
		t.Errorf("%d databases have lost their marker", n)
	}
}

func serverVersion(t *testing.T) (major int) {
	t.Helper()
	if err := server(t).QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int / 10000").Scan(&major); err != nil {
		t.Fatal(err)
	}
	return major
}
