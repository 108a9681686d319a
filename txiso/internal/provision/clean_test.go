package provision_test

import (
	"slices"
	"testing"
	"time"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

// clean wants a dry run to say what the real one then does.
func clean(t *testing.T, dsn string, what provision.Cleaning) []string {
	t.Helper()
	what.DryRun = true
	planned, err := provision.Clean(t.Context(), dsn, what)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range planned {
		if !exists(t, name) {
			t.Errorf("the dry run dropped %s", name)
		}
	}
	what.DryRun = false
	dropped, err := provision.Clean(t.Context(), dsn, what)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range dropped {
		if exists(t, name) {
			t.Errorf("%s is still there", name)
		}
	}
	if !slices.Equal(planned, dropped) {
		t.Errorf("the dry run said %v, dropped were %v", planned, dropped)
	}
	return dropped
}

func expectDropped(t *testing.T, dropped []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(dropped, want) {
		t.Errorf("dropped were %v, want %v", dropped, want)
	}
}

func TestCleanDropsWhatIsStaleAndWhatWasKept(t *testing.T) {
	t.Parallel()
	dsn := apart(t)
	p := open(t, configOn(dsn))
	held, free, incomplete := lease(t, p), lease(t, p), lease(t, p)
	kept := keep(t, lease(t, p), 10)
	spoil(t, incomplete)
	for _, w := range []*provision.WorkerDB{free, incomplete} {
		w.Release()
	}
	old := open(t, configOn(dsn))
	slot := lease(t, old)
	closeNow(t, old)
	age(t, old.Template(), "2001-01-01")

	expectDropped(t, clean(t, dsn, provision.Cleaning{}), kept, incomplete.Name(), slot.Name(), old.Template())
	expectNames(t, "remaining databases", inspect(t, dsn).All(), p.Template(), held.Name(), free.Name())
}

func TestCleanWithAnotherAge(t *testing.T) {
	t.Parallel()
	dsn := apart(t)
	p := open(t, configOn(dsn))
	slot := lease(t, p)
	closeNow(t, p)
	expectDropped(t, clean(t, dsn, provision.Cleaning{StaleAfter: time.Hour}))
	expectDropped(t, clean(t, dsn, provision.Cleaning{StaleAfter: time.Nanosecond}), p.Template(), slot.Name())
}

func TestCleanAllSparesWhatALiveProcessHolds(t *testing.T) {
	t.Parallel()
	dsn := apart(t)
	p, other := open(t, configOn(dsn)), open(t, configOn(dsn))
	held, free := lease(t, p), lease(t, p)
	c := clone(t, p)
	spare := awaitSpares(t, p, 1)[0]
	free.Release()
	unused := lease(t, other)
	closeNow(t, other)

	expectDropped(t, clean(t, dsn, provision.Cleaning{All: true}), free.Name(), spare, unused.Name(), other.Template())
	expectNames(t, "remaining databases", inspect(t, dsn).All(), p.Template(), held.Name(), c.Name())
	lease(t, p) // a new one in the place of the dropped

	closeNow(t, p)
	clean(t, dsn, provision.Cleaning{All: true})
	expectNames(t, "remaining databases", inspect(t, dsn).All())
}

// The worker database of a template that somebody has dropped by hand.
func TestCleanDropsNoDatabaseOfATemplatesName(t *testing.T) {
	t.Parallel()
	dsn := apart(t)
	p := open(t, configOn(dsn))
	slot := lease(t, p)
	closeNow(t, p)
	execute(t, server(t), "COMMENT ON DATABASE "+p.Template()+" IS 'mine'")
	execute(t, server(t), "ALTER DATABASE "+p.Template()+" CONNECTION LIMIT 7")
	expectDropped(t, clean(t, dsn, provision.Cleaning{All: true}), slot.Name())
	if !exists(t, p.Template()) {
		t.Error("a stranger's database was dropped")
	}
}
