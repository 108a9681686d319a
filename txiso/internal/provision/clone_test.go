package provision_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

func TestClone(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	c := clone(t, p)
	execute(t, connect(t, c.Config()), "SELECT FROM goose_db_version")
	giveBack(t, c)
	awaitDatabases(t, p, 1)
}

func giveBack(t *testing.T, c *provision.CloneDB) {
	t.Helper()
	if err := c.Drop(t.Context()); err != nil {
		t.Error(err)
	}
}

// awaitDatabases waits until a template and its clones are n databases, all complete.
func awaitDatabases(t *testing.T, p *provision.Provisioner, n int) (names []string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		names = databases(t, p.Template())
		if len(names) == n && incomplete(t, p.Template()) == 0 {
			return names
		}
		if time.Now().After(deadline) {
			t.Fatalf("databases: %v, want %d", names, n)
		}
	}
}

func TestOneCloneIsAllThatIsMadeForAProcessThatAsksForOne(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	giveBack(t, clone(t, p))
	closeNow(t, p) // ends what might be under way
	if got := databases(t, p.Template()); len(got) != 1 {
		t.Errorf("databases: %v", got)
	}
}

func TestClonesArePreparedFromTheSecondOn(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	taken := []string{clone(t, p).Name(), clone(t, p).Name()}
	for range 3 {
		prepared := awaitDatabases(t, p, 1+len(taken)+2)
		c := clone(t, p)
		if !slices.Contains(prepared, c.Name()) || slices.Contains(taken, c.Name()) {
			t.Errorf("%s is not one of those prepared: %v, or was taken before: %v", c.Name(), prepared, taken)
		}
		execute(t, connect(t, c.Config()), "SELECT FROM goose_db_version")
		taken = append(taken, c.Name())
	}
}

func TestOneCloneIsPreparedForWhoUsesOneAtATime(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	for range 3 {
		giveBack(t, clone(t, p))
		awaitDatabases(t, p, len(databases(t, p.Template())))
	}
	awaitDatabases(t, p, 2)
}

func TestPreparedClonesGoWhenNoneIsAskedForAnyMore(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.AheadFor = time.Millisecond
	p := open(t, cfg)
	clone(t, p)
	for range 3 {
		clone(t, p)
	}
	awaitDatabases(t, p, 5)
	clone(t, p) // it still works
	awaitDatabases(t, p, 6)
}

func TestCloseDropsWhatIsPreparedAndWhatWasGivenBack(t *testing.T) {
	t.Parallel()
	for range 3 { // at different moments of the preparation
		p := open(t, config(t))
		for _, c := range []*provision.CloneDB{clone(t, p), clone(t, p), clone(t, p)} {
			giveBack(t, c)
		}
		closeNow(t, p)
		if got := databases(t, p.Template()); len(got) != 1 {
			t.Errorf("databases: %v", got)
		}
	}
}

func TestAPreparedCloneIsNotCollectedByOthers(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	clone(t, p)
	clone(t, p)
	prepared := awaitDatabases(t, p, 5)
	collectUntil(t, open(t, config(t)), func() bool { return true })
	if got := databases(t, p.Template()); !slices.Equal(got, prepared) {
		t.Errorf("databases: %v, want %v", got, prepared)
	}
}

func TestClonesFromManyGoroutines(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	var seen sync.Map
	err := together(8, func(int) error {
		for range 4 {
			c, err := p.Clone(t.Context())
			if err != nil {
				return err
			}
			if _, twice := seen.LoadOrStore(c.Name(), true); twice {
				t.Errorf("%s was handed out twice", c.Name())
			}
			if err := c.Drop(t.Context()); err != nil {
				return err
			}
		}
		return nil
	})
	closeNow(t, p)
	if got := databases(t, p.Template()); err != nil || len(got) != 1 {
		t.Errorf("%v; databases: %v", err, got)
	}
}

// The lock of what was prepared is lost with the keeper, so another process may drop it at any time.
func TestAPreparedCloneIsNotHandedOutOnceItsLockIsLost(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	clone(t, p)
	clone(t, p)
	prepared := awaitDatabases(t, p, 5)
	lease(t, p) // so that endKeeper sees a statement that names the template
	endKeeper(t, p)
	c := clone(t, p)
	if slices.Contains(prepared, c.Name()) {
		t.Errorf("%s was prepared before", c.Name())
	}
	giveBack(t, c)
}

func TestACloneThatCannotBeDroppedIsReported(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.DSN = asRole(t, "LOGIN CREATEDB")
	p := open(t, cfg)
	c := clone(t, p)
	execute(t, server(t), "ALTER DATABASE "+c.Name()+" OWNER TO CURRENT_USER")
	mustContain(t, c.Drop(t.Context()), "dropping "+c.Name(), "must be owner")
}

// Nobody waits for a prepared clone to be dropped, so Close tells.
func TestAPreparedCloneThatCannotBeDroppedIsReportedByClose(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.DSN = asRole(t, "LOGIN CREATEDB")
	p := open(t, cfg)
	giveBack(t, clone(t, p))
	giveBack(t, clone(t, p))
	name := awaitDatabases(t, p, 2)[1]
	execute(t, server(t), "ALTER DATABASE "+name+" OWNER TO CURRENT_USER")
	mustContain(t, p.Close(cleanup(t)), name, "could not be dropped", "must be owner", "a later run tries again")
}

func TestAProcessWithFewClonesPreparesNone(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.AheadFrom = 0
	p := open(t, cfg)
	for range 7 {
		giveBack(t, clone(t, p))
	}
	if got := databases(t, p.Template()); len(got) != 1 {
		t.Errorf("databases: %v", got)
	}
	giveBack(t, clone(t, p))
	awaitDatabases(t, p, 2)
}

// A server that went away between two steps of the drop was told by Close as a clone that could not be dropped, although by
// then the tests had long gone on with a new server.
func TestAPreparedCloneWhoseLockIsLostWhileItIsDroppedIsLeftToALaterRun(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.DSN = asRole(t, "LOGIN CREATEDB")
	p := open(t, cfg)
	giveBack(t, clone(t, p))
	giveBack(t, clone(t, p))
	name := awaitDatabases(t, p, 2)[1]
	role, err := pgx.ParseConfig(cfg.DSN)
	if err != nil {
		t.Fatal(err)
	}
	blocker := server(t)
	execute(t, blocker, "BEGIN; ALTER DATABASE "+name+" OWNER TO CURRENT_USER")
	closed := make(chan error)
	go func() { closed <- p.Close(cleanup(t)) }()
	awaitDrop(t, name)
	execute(t, server(t), "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name LIKE 'txiso keeper%' AND usename = '"+role.User+"'")
	execute(t, blocker, "COMMIT") // the drop fails now
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

func awaitDrop(t *testing.T, name string) {
	t.Helper()
	observer := server(t)
	for waiting := false; !waiting; {
		sql := "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DROP DATABASE%" + name + "%')"
		if err := observer.QueryRow(cleanup(t), sql).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
}
