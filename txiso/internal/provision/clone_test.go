package provision_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	awaitGone(t, c.Name())
}

func giveBack(t *testing.T, c *provision.CloneDB) {
	t.Helper()
	if err := c.Drop(t.Context()); err != nil {
		t.Error(err)
	}
}

// awaitGone waits for a drop in the background.
func awaitGone(t *testing.T, name string) {
	t.Helper()
	await(t, name+" is still there", func() bool { return !exists(t, name) })
}

// awaitSpares waits until a template has n spare slots and returns their names: they are those with a number and without a comment.
func awaitSpares(t *testing.T, p *provision.Provisioner, n int) (names []string) {
	t.Helper()
	await(t, fmt.Sprintf("the template does not have %d spare slots", n), func() bool {
		names = spares(t, p.Template())
		return len(names) == n
	})
	return names
}

func spares(t *testing.T, template string) []string {
	t.Helper()
	conn := server(t)
	defer conn.Close(cleanup(t))
	rows, _ := conn.Query(cleanup(t), "SELECT datname FROM pg_database WHERE datname ~ $1 AND shobj_description(oid, 'pg_database') IS NULL ORDER BY 1", "^"+template+"_[0-9]+$")
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func await(t *testing.T, otherwise string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(otherwise)
		}
	}
}

// oids are what databases keep when they are renamed.
func oids(t *testing.T, names ...string) []uint32 {
	t.Helper()
	conn := server(t)
	defer conn.Close(cleanup(t))
	rows, _ := conn.Query(cleanup(t), "SELECT oid FROM pg_database WHERE datname = ANY($1)", names)
	oids, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
	if err != nil || len(oids) != len(names) {
		t.Fatalf("of %v there are %v: %v", names, oids, err)
	}
	return oids
}

func TestNoSpareSlotIsMadeForAProcessThatAsksForNoClone(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	for range 3 {
		lease(t, p).Release()
	}
	closeNow(t, p) // ends what might be under way
	if got := databases(t, p.Template()); len(got) != 2 {
		t.Errorf("databases: %v", got)
	}
}

func TestWhileATestUsesACloneTheNextOneIsMade(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	giveBack(t, clone(t, p))
	for range 3 {
		made := oids(t, awaitSpares(t, p, 1)...)
		c := clone(t, p)
		if got := oids(t, c.Name()); !slices.Equal(got, made) {
			t.Errorf("the clone is database %d, made was %d", got, made)
		}
		execute(t, connect(t, c.Config()), "SELECT FROM goose_db_version")
		giveBack(t, c)
	}
	closeNow(t, p)
	if got := spares(t, p.Template()); len(got) != 1 {
		t.Errorf("for tests that run one after the other there are %v", got)
	}
}

func TestTwoSpareSlotsAreMadeWhileManyTestsUseClones(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	for range 4 {
		clone(t, p)
	}
	awaitSpares(t, p, 2)
	closeNow(t, p)
	if got := databases(t, p.Template()); len(got) != 1+4+2 {
		t.Errorf("databases: %v", got)
	}
}

func TestASpareSlotIsTakenByAnyProcessAsACloneOrAsAWorkerDatabase(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	p := open(t, cfg)
	clone(t, p)
	clone(t, p)
	made := oids(t, awaitSpares(t, p, 2)...)
	other := open(t, cfg)
	w, c := lease(t, other), clone(t, other)
	got := oids(t, w.Name(), c.Name())
	slices.Sort(made)
	slices.Sort(got)
	if !slices.Equal(got, made) {
		t.Errorf("another process has the databases %d, made were %d", got, made)
	}
	for _, cfg := range []*pgx.ConnConfig{w.Config(), c.Config()} {
		execute(t, connect(t, cfg), "SELECT FROM goose_db_version")
	}
}

// What a test has used is not what the template is: sequences, for instance, are not rolled back.
func TestASlotThatWasUsedIsNeverAClone(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	w := lease(t, p)
	used := oids(t, w.Name())
	w.Release()
	for range 3 {
		if c := clone(t, p); slices.Equal(oids(t, c.Name()), used) {
			t.Errorf("the clone %s is a worker database that was used", c.Name())
		}
	}
}

func TestSlotsThatWereUsedAreLeasedFirst(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	p := open(t, cfg)
	clone(t, p)
	awaitSpares(t, p, 1) // has the first number
	first := lease(t, p)
	second := lease(t, p)
	clone(t, p)
	awaitSpares(t, p, 2)
	second.Release()
	if again := lease(t, p); again.Name() != second.Name() {
		t.Errorf("leased %s, want %s: %s was leased before, too", again.Name(), second.Name(), first.Name())
	}
}

func TestACloneHasAnotherNameThanAnyBefore(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	var names []string
	for range 4 {
		c := clone(t, p)
		if slices.Contains(names, c.Name()) || !strings.HasPrefix(c.Name(), p.Template()+"_c") {
			t.Errorf("%s after %v", c.Name(), names)
		}
		names = append(names, c.Name())
		giveBack(t, c)
	}
}

// A clone had the tables of somebody who had looked into a spare slot, or looked just then.
func TestASpareSlotThatSomebodyHasVisitedIsNoClone(t *testing.T) {
	t.Parallel()
	for _, stays := range []bool{false, true} {
		p := open(t, config(t))
		cfg := clone(t, p).Config()
		cfg.Database = awaitSpares(t, p, 1)[0]
		made := oids(t, cfg.Database)
		visitor := connect(t, cfg)
		execute(t, visitor, "CREATE TABLE his ()")
		if !stays {
			if err := visitor.Close(t.Context()); err != nil {
				t.Error(err)
			}
			awaitVisit(t, cfg.Database)
			if serverVersion(t) < 15 {
				time.Sleep(time.Second) // so that all connections know
			}
		}
		c := clone(t, p)
		if got := oids(t, c.Name()); slices.Equal(got, made) {
			t.Errorf("the clone is database %d, which has been visited", got)
		}
		execute(t, connect(t, c.Config()), "CREATE TABLE his ()")
		if err := visitor.Ping(t.Context()); err == nil {
			t.Error("he is still connected")
		}
	}
}

// awaitVisit waits until the server's statistics know that somebody was connected to a database.
func awaitVisit(t *testing.T, database string) {
	t.Helper()
	conn := server(t)
	await(t, "nobody knows of the visit of "+database, func() (visited bool) {
		err := conn.QueryRow(t.Context(), "SELECT pg_stat_get_db_sessions(oid) > 0 FROM pg_database WHERE datname = $1", database).Scan(&visited)
		if err != nil {
			t.Fatal(err)
		}
		return visited
	})
}

// A superuser's psql in a free database kept everybody from leasing any.
func TestADatabaseWhoseVisitorCannotBeSentAwayIsPassedOver(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.DSN = asRole(t, "LOGIN CREATEDB")
	p := open(t, cfg)
	taken, spoiled, c := lease(t, p), lease(t, p), clone(t, p)
	visited := []string{taken.Name(), spoiled.Name(), awaitSpares(t, p, 1)[0]}
	if err := spoiled.Spoil(t.Context()); err != nil {
		t.Fatal(err)
	}
	taken.Release()
	spoiled.Release()
	giveBack(t, c)
	var visitors []*pgx.Conn
	for _, name := range visited {
		visitor := visit(t, name)
		execute(t, visitor, "BEGIN")
		visitors = append(visitors, visitor)
	}
	if name := lease(t, p).Name(); slices.Contains(visited, name) {
		t.Errorf("leased %s, which a superuser is connected to", name)
	}
	clone(t, p)
	for i, v := range visitors {
		if err := v.Ping(t.Context()); err != nil {
			t.Errorf("the visitor of %s: %v", visited[i], err)
		}
		_ = v.Close(t.Context())
	}
}

func TestCloseDropsWhatWasGivenBack(t *testing.T) {
	t.Parallel()
	for range 3 { // at different moments
		p := open(t, config(t))
		clones := []*provision.CloneDB{clone(t, p), clone(t, p), clone(t, p), clone(t, p), clone(t, p)}
		for _, c := range clones {
			giveBack(t, c)
		}
		closeNow(t, p)
		if got, spare := databases(t, p.Template()), spares(t, p.Template()); len(got) != 1+len(spare) || len(spare) > 2 {
			t.Errorf("databases: %v, of which nobody has used %v", got, spare)
		}
	}
}

func TestSpareSlotsAreNotCollected(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	giveBack(t, clone(t, p))
	spare := awaitSpares(t, p, 1)
	closeNow(t, p)
	collectUntil(t, open(t, config(t)), func() bool { return true })
	if got := databases(t, p.Template()); !slices.Equal(got, append([]string{p.Template()}, spare...)) {
		t.Errorf("databases: %v", got)
	}
}

func TestSpareSlotsAreCollectedWithTheirTemplate(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.DSN = ownHome(t)
	p := open(t, cfg)
	giveBack(t, clone(t, p))
	awaitSpares(t, p, 1)
	closeNow(t, p)
	cfg.StaleAfter = time.Nanosecond
	collectUntil(t, open(t, cfg), func() bool { return len(databases(t, p.Template())) == 0 })
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
	// Two goroutines may both find that there are too few.
	if got, spare := databases(t, p.Template()), spares(t, p.Template()); err != nil || len(got) != 1+len(spare) || len(spare) > 4 {
		t.Errorf("%v; databases: %v", err, got)
	}
}

// What is made belongs to nobody, so it outlives the keeper.
func TestASpareSlotIsTakenAfterTheKeeperWasLost(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	clone(t, p)
	made := oids(t, awaitSpares(t, p, 1)...)
	endKeeper(t, p)
	c := clone(t, p)
	if got := oids(t, c.Name()); !slices.Equal(got, made) {
		t.Errorf("the clone is database %d, made was %d", got, made)
	}
	giveBack(t, c)
	awaitGone(t, c.Name())
}

// Nobody waits for a clone to be dropped, and no other test has failed because it could not be: who asks for leftovers is told, or
// Close.
func TestACloneThatCannotBeDroppedIsReportedOnce(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.DSN = asRole(t, "LOGIN CREATEDB")
	p := open(t, cfg)
	stolen := func() string {
		c := clone(t, p)
		execute(t, server(t), "ALTER DATABASE "+c.Name()+" OWNER TO CURRENT_USER")
		if err := c.Drop(t.Context()); err != nil {
			t.Errorf("not told by this one: %v", err)
		}
		return c.Name()
	}
	name := stolen()
	var left error
	await(t, "nobody is told of "+name, func() bool {
		left = p.Leftovers()
		return left != nil
	})
	mustContain(t, left, name, "could not be dropped", "must be owner", "a later run tries again")
	giveBack(t, clone(t, p))
	name = stolen()
	err := p.Close(cleanup(t))
	mustContain(t, err, name, "could not be dropped")
	if strings.Count(err.Error(), "could not be dropped") != 1 {
		t.Errorf("it is told more than once: %v", err)
	}
}

// A process that ends leaves what waits to be dropped to others, so that must not be much.
func TestWhenManyClonesWaitToBeDroppedTheTestWaits(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	var clones []*provision.CloneDB
	for range 4 {
		clones = append(clones, clone(t, p))
	}
	blocker := server(t)
	execute(t, blocker, "BEGIN")
	for _, c := range clones[:3] {
		execute(t, blocker, "COMMENT ON DATABASE "+c.Name()+" IS NULL") // holds its drop up
		giveBack(t, c)
	}
	giveBack(t, clones[3])
	if exists(t, clones[3].Name()) {
		t.Error("a fourth clone waits to be dropped")
	}
	if !exists(t, clones[0].Name()) {
		t.Error("the first was not held up")
	}
	execute(t, blocker, "ROLLBACK")
	closeNow(t, p)
	if got := databases(t, p.Template()); len(got) != 1+len(spares(t, p.Template())) {
		t.Errorf("databases: %v", got)
	}
}

// A server that went away between two steps of the drop was told by Close as a clone that could not be dropped, although by
// then the tests had long gone on with a new server.
func TestACloneWhoseLockIsLostWhileItIsDroppedIsLeftToALaterRun(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.DSN = asRole(t, "LOGIN CREATEDB")
	p := open(t, cfg)
	c := clone(t, p)
	role, err := pgx.ParseConfig(cfg.DSN)
	if err != nil {
		t.Fatal(err)
	}
	blocker := server(t)
	execute(t, blocker, "BEGIN; ALTER DATABASE "+c.Name()+" OWNER TO CURRENT_USER")
	giveBack(t, c)
	closed := make(chan error)
	go func() { closed <- p.Close(cleanup(t)) }()
	awaitQuery(t, "DROP DATABASE IF EXISTS "+c.Name())
	execute(t, server(t), "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name LIKE 'txiso keeper%' AND usename = '"+role.User+"'")
	execute(t, blocker, "COMMIT") // the drop fails now
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// awaitQuery waits until somebody waits for a lock with such a statement.
func awaitQuery(t *testing.T, statement string) {
	t.Helper()
	observer, ctx := server(t), cleanup(t)
	for waiting := false; !waiting; {
		sql := "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND strpos(query, $1) > 0)"
		if err := observer.QueryRow(ctx, sql, statement).Scan(&waiting); err != nil {
			t.Fatalf("waiting for %s: %v", statement, err)
		}
	}
}

// A test process has no hook for its end: it leaves the clones that wait to be dropped, and what it has begun to make. A
// hundred such runs once left over a thousand databases.
func TestShortProcessesThatUseTwoClonesEachDoNotLeaveEverMoreDatabases(t *testing.T) {
	t.Parallel()
	table, log := uniqueTable(), filepath.Join(t.TempDir(), "log")
	cfg := loggedConfig(ownHome(t), table, log)
	p := open(t, cfg)
	processes, most := 20, 0
	if os.Getenv("TXISO_LONG") != "" {
		processes = 100
	}
	for range processes {
		if out, err := child(t, cfg, "two clones", table, log).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		most = max(most, len(databases(t, p.Template())))
	}
	// The template, two spare slots, clones: those of the last process, and those that it was not yet to drop.
	if most > 1+2+3+4+2 {
		t.Errorf("%d databases at once", most)
	}
	t.Logf("%d processes one after the other left at most %d databases", processes, most)
}

func useTwoClones(ctx context.Context) error {
	p, err := provision.Open(ctx, childConfig())
	if err != nil {
		return err
	}
	for range 2 {
		c, err := p.Clone(ctx)
		if err != nil {
			return err
		}
		if err := check(ctx, c.Config()); err != nil {
			return err
		}
		if err := c.Drop(ctx); err != nil {
			return err
		}
	}
	return nil // without Close
}
