package provision_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

// endKeeper terminates the connection that holds p's template, as a restart of the server does. It is known by its lock: what it
// has said last may be about any database.
func endKeeper(t *testing.T, p *provision.Provisioner) {
	t.Helper()
	key := uint64(provision.LockKey(p.Template()))
	ended, err := server(t).Exec(cleanup(t), fmt.Sprintf("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity JOIN pg_locks USING (pid) "+
		"WHERE application_name LIKE 'txiso keeper %d %%' AND locktype = 'advisory' AND classid = %d AND objid = %d AND objsubid = 1 AND granted",
		os.Getpid(), uint32(key>>32), uint32(key)))
	if err != nil || ended.RowsAffected() != 1 {
		t.Fatalf("%s had %d keepers: %v", p.Template(), ended.RowsAffected(), err)
	}
}

func TestLostKeeperLosesTheLeases(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	w, c := lease(t, p), clone(t, p)
	if err := w.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := lease(t, p)
	endKeeper(t, p)
	for what, err := range map[string]error{"Check": w.Check(t.Context()), "Discard": w.Discard(t.Context()), "Drop": c.Drop(t.Context())} {
		mustContain(t, err, "the server went away", "run the tests again")
		if !errors.Is(err, provision.ErrLost) {
			t.Errorf("%s: %v is not ErrLost", what, err)
		}
	}
	other.Release() // has nothing to give back, and must not say that
	if again := lease(t, p); again.Check(t.Context()) != nil {
		t.Error("a lease of the new connection does not work")
	}
}

// A test that had commented on its database, in the transaction that was still open, cost the whole process its leases.
func TestALockOnADatabaseDoesNotCostTheKeeper(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	w := lease(t, p)
	tester := connect(t, w.Config())
	execute(t, tester, "BEGIN; COMMENT ON DATABASE "+w.Name()+" IS 'mine'")
	mustContain(t, w.Spoil(t.Context()), "marking "+w.Name()+" as changed", "lock timeout")
	if err := w.Check(t.Context()); err != nil {
		t.Error(err)
	}
	execute(t, tester, "ROLLBACK")
	if err := w.Spoil(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLeaseReconnects(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	lease(t, p)
	endKeeper(t, p)
	lease(t, p)
	endKeeper(t, p)
	clone(t, p)
}

func TestClosedProvisioner(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	w, c, kept := lease(t, p), clone(t, p), lease(t, p)
	closeNow(t, p)
	closeNow(t, p)
	w.Release()
	_, err := kept.Keep(t.Context(), "Test", 1)
	// They said that the server had gone away.
	for what, err := range map[string]error{"Check": w.Check(t.Context()), "Drop": c.Drop(t.Context()), "Keep": err} {
		mustContain(t, err, "Close was called", "call it when no test uses a database any more")
		if !errors.Is(err, provision.ErrClosed) || errors.Is(err, provision.ErrLost) {
			t.Errorf("%s: %v is not ErrClosed", what, err)
		}
	}
	if _, err := p.Lease(t.Context()); !errors.Is(err, provision.ErrClosed) {
		t.Errorf("Lease: %v, want ErrClosed", err)
	}
	if _, err := p.Clone(t.Context()); !errors.Is(err, provision.ErrClosed) {
		t.Errorf("Clone: %v, want ErrClosed", err)
	}
}

func TestCloseWhileLeasing(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	lease(t, p).Release()
	err := together(8, func(i int) error {
		if i == 4 {
			return p.Close(t.Context())
		}
		_, err := p.Lease(t.Context())
		if errors.Is(err, provision.ErrClosed) || errors.Is(err, provision.ErrLost) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOneConnectionIsKept(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.DSN = asRole(t, "LOGIN CREATEDB")
	p := open(t, cfg)
	role := lease(t, p).Config().User
	clone(t, p)
	// A backend that was told goodbye takes a moment to leave.
	for n := 0; n != 1; {
		if err := server(t).QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE usename = $1", role).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}
