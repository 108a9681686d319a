package provision_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso/internal/pgserver/pgtest"
	"github.com/txiso/txiso-go/txiso/internal/provision"
)

const (
	contenders = 8 // processes
	goroutines = 4 // in each
	rounds     = 6 // leases of each goroutine
)

func TestProcessesLeaseAtOnce(t *testing.T) {
	t.Parallel()
	table, log := uniqueTable(), filepath.Join(t.TempDir(), "log")
	cfg := loggedConfig(pgtest.DSN(t), table, log)
	p := open(t, cfg)
	var cmds []*exec.Cmd
	for range contenders {
		cmds = append(cmds, child(t, cfg, "contend", table, log))
	}
	runAll(t, cmds)
	if n := lines(t, log); n != 1 {
		t.Errorf("the migrations ran %d times", n)
	}
	if n := len(databases(t, p.Template())) - 1; n > contenders*goroutines {
		t.Errorf("%d worker databases for at most %d leases at once", n, contenders*goroutines)
	}
}

// contend leases from many goroutines, checks that each database is its alone, and uses all ways
// to give a lease back.
func contend(ctx context.Context) error {
	p, err := provision.Open(ctx, childConfig())
	if err != nil {
		return err
	}
	return together(goroutines, func(g int) error { // no Close: processes just end
		for round := range rounds {
			if err := leaseOnce(ctx, p, g == 0 && round%3 == 2); err != nil {
				return err
			}
		}
		return nil
	})
}

func leaseOnce(ctx context.Context, p *provision.Provisioner, discard bool) error {
	w, err := p.Lease(ctx)
	if err != nil {
		return err
	}
	if err := alone(ctx, w); err != nil {
		return err
	}
	if discard {
		return w.Discard(ctx)
	}
	w.Release()
	return nil
}

// alone takes an advisory lock inside the worker database: somebody else who leased it would
// have it.
func alone(ctx context.Context, w *provision.WorkerDB) error {
	conn, err := pgx.ConnectConfig(ctx, w.Config())
	if err != nil {
		return err
	}
	var ours bool
	if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock(1)").Scan(&ours); err != nil {
		return err
	}
	if !ours {
		return errors.New("leased twice: " + w.Name())
	}
	return conn.Close(ctx)
}

func TestSlotOfKilledProcessIsLeasedByTheNext(t *testing.T) {
	t.Parallel()
	table, log := uniqueTable(), filepath.Join(t.TempDir(), "log")
	cfg := loggedConfig(pgtest.DSN(t), table, log)
	p := open(t, cfg)
	for range 5 {
		cmd := child(t, cfg, "hold", table, log)
		held := startAndWaitFor(t, cmd)
		kill(t, cmd)
		waitUntilFree(t, held)
		leaseAgain(t, p, held)
	}
}

// waitUntilFree waits until the server has noticed that nobody is connected to a database.
func waitUntilFree(t *testing.T, name string) {
	t.Helper()
	conn := server(t)
	for busy := true; busy; {
		err := conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'txiso keeper %' AND query LIKE '%' || $1 || '%' AND pid <> pg_backend_pid())", name).Scan(&busy)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// hold leases, runs a statement that would take long, and waits to be killed.
func hold(ctx context.Context) error {
	p, err := provision.Open(ctx, childConfig())
	if err != nil {
		return err
	}
	w, err := p.Lease(ctx)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, w.Config())
	if err != nil {
		return err
	}
	fmt.Println(w.Name())
	_, err = conn.Exec(ctx, "SELECT pg_sleep(600)")
	return err
}

func TestCloneOfKilledProcessIsCollected(t *testing.T) {
	t.Parallel()
	table, log := uniqueTable(), filepath.Join(t.TempDir(), "log")
	cfg := loggedConfig(pgtest.DSN(t), table, log)
	p := open(t, cfg)
	cmd := child(t, cfg, "clone", table, log)
	name := startAndWaitFor(t, cmd)
	collectUntil(t, p, func() bool { return true })
	if !exists(t, name) {
		t.Fatal("the clone of a living process was dropped")
	}
	kill(t, cmd)
	collectUntil(t, p, func() bool { return !exists(t, name) })
}

func holdClone(ctx context.Context) error {
	p, err := provision.Open(ctx, childConfig())
	if err != nil {
		return err
	}
	c, err := p.Clone(ctx)
	if err != nil {
		return err
	}
	fmt.Println(c.Name())
	select {}
}

func TestBuildOfKilledProcessIsRepeated(t *testing.T) {
	t.Parallel()
	table, log := uniqueTable(), filepath.Join(t.TempDir(), "log")
	cfg := loggedConfig(pgtest.DSN(t), table, log)
	p := open(t, cfg)
	cmd := child(t, cfg, "build", table, log)
	startAndWaitFor(t, cmd)
	if got := databases(t, p.Template()); len(got) != 1 {
		t.Fatalf("databases while building: %v", got)
	}
	kill(t, cmd)
	lease(t, p)
	want := fmt.Sprint([]string{p.Template(), p.Template() + "_1"})
	if got := fmt.Sprint(databases(t, p.Template())); got != want {
		t.Errorf("databases: %s, want %s", got, want)
	}
}

// buildForever builds a template that is never finished.
func buildForever(ctx context.Context) error {
	cfg := childConfig()
	cfg.Migrator = hangingMigrator{Migrator: cfg.Migrator, started: func() { fmt.Println("building") }}
	p, err := provision.Open(ctx, cfg)
	if err != nil {
		return err
	}
	_, err = p.Lease(ctx)
	return err
}

// Processes die at any moment of building, creating, dropping and leasing. Whatever they leave,
// the next one works, and after a collection only complete databases exist.
func TestProcessesKilledAtRandom(t *testing.T) {
	t.Parallel()
	table, log := uniqueTable(), filepath.Join(t.TempDir(), "log")
	cfg := loggedConfig(pgtest.DSN(t), table, log)
	p := open(t, cfg)
	for range 5 {
		err := together(6, func(int) error {
			cmd := child(t, cfg, "contend", table, log)
			if err := cmd.Start(); err != nil {
				return err
			}
			time.Sleep(rand.N(400 * time.Millisecond))
			_ = cmd.Process.Kill() // it may have ended
			_ = cmd.Wait()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		w := lease(t, p)
		execute(t, connect(t, w.Config()), "SELECT FROM goose_db_version")
		w.Release()
	}
	collectUntil(t, p, func() bool { return incomplete(t, p.Template()) == 0 })
	if n := len(databases(t, p.Template())) - 1; n > 6*goroutines+1 {
		t.Errorf("%d worker databases for at most %d leases at once", n, 6*goroutines+1)
	}
}

// incomplete counts the databases of a template that cannot be used.
func incomplete(t *testing.T, template string) (n int) {
	t.Helper()
	report, err := provision.Inspect(t.Context(), pgtest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range report.Incomplete {
		if d.Template == template {
			n++
		}
	}
	return n
}
