package provision_test

import (
	"testing"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

func TestLeaseClonesTheTemplate(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	w := lease(t, p)
	if want := p.Template() + "_1"; w.Name() != want {
		t.Errorf("leased %s, want %s", w.Name(), want)
	}
	execute(t, connect(t, w.Config()), "SELECT FROM goose_db_version")
}

func TestReleasedSlotIsLeasedAgain(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	first := lease(t, p)
	first.Release()
	if second := lease(t, p); second.Name() != first.Name() {
		t.Errorf("leased %s, want %s again", second.Name(), first.Name())
	}
}

func TestHeldSlotIsNotLeased(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	p, other := open(t, cfg), open(t, cfg)
	first, second, third := lease(t, p), lease(t, p), lease(t, other)
	if first.Name() == second.Name() || first.Name() == third.Name() || second.Name() == third.Name() {
		t.Errorf("leased %s, %s and %s at once", first.Name(), second.Name(), third.Name())
	}
}

func TestSlotOfClosedProvisionerIsLeasedByTheNext(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	p := open(t, cfg)
	first := lease(t, p)
	closeNow(t, p)
	leaseAgain(t, open(t, cfg), first.Name())
}

func TestDiscardDropsTheDatabase(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	w := lease(t, p)
	connect(t, w.Config())
	if err := w.Discard(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := databases(t, p.Template()); len(got) != 1 {
		t.Errorf("databases left: %v", got)
	}
	if again := lease(t, p); again.Name() != w.Name() {
		t.Errorf("leased %s, want a new %s", again.Name(), w.Name())
	}
}

func TestLeaseDisconnectsWhatAnotherHolderLeft(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	w := lease(t, p)
	left := connect(t, w.Config())
	w.Release()
	lease(t, p)
	if err := left.Ping(t.Context()); err == nil {
		t.Error("a connection of the last holder still works")
	}
}

func TestSpoiledSlotIsReplaced(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	w := lease(t, p)
	if err := w.Spoil(t.Context()); err != nil {
		t.Fatal(err)
	}
	execute(t, connect(t, w.Config()), "DROP TABLE goose_db_version")
	w.Release()
	again := lease(t, p)
	if again.Name() != w.Name() {
		t.Errorf("leased %s, want a new %s", again.Name(), w.Name())
	}
	execute(t, connect(t, again.Config()), "SELECT FROM goose_db_version")
}

// Nobody can connect to a template, unless he allows it himself.
func TestSomebodyConnectedToTheTemplate(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("PostgreSQL waits five seconds for him to leave")
	}
	p := open(t, config(t))
	cfg := lease(t, p).Config()
	execute(t, server(t), "ALTER DATABASE "+p.Template()+" ALLOW_CONNECTIONS true")
	cfg.Database = p.Template()
	visitor := connect(t, cfg)
	lease(t, p)
	if err := visitor.Ping(t.Context()); err == nil {
		t.Error("he is still connected")
	}
}

// leaseAgain leases the database of that name, which nobody holds any more. A collector of another process may look at it
// just then, and whoever leases meanwhile gets another.
func leaseAgain(t *testing.T, p *provision.Provisioner, name string) {
	t.Helper()
	var got string
	for range 50 {
		w := lease(t, p)
		got = w.Name()
		w.Release()
		if got == name {
			return
		}
	}
	t.Errorf("leased %s, want %s again", got, name)
}
