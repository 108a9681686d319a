package provision_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso/internal/pgserver/pgtest"
	"github.com/txiso/txiso-go/txiso/internal/provision"
)

func exists(tb testing.TB, name string) (found bool) {
	tb.Helper()
	if err := server(tb).QueryRow(cleanup(tb), "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&found); err != nil {
		tb.Fatal(err)
	}
	return found
}

// collectUntil collects until done. Once may not be enough: another test may be collecting.
func collectUntil(t *testing.T, p *provision.Provisioner, done func() bool) {
	t.Helper()
	for {
		if _, err := p.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if done() {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// age makes the markers of a template and its databases days older.
func age(t *testing.T, template, days string) {
	t.Helper()
	for _, name := range databases(t, template) {
		var comment string
		if err := server(t).QueryRow(t.Context(), "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1", name).Scan(&comment); err != nil {
			t.Fatal(err)
		}
		today := time.Now().Format("2006-01-02")
		old := strings.ReplaceAll(comment, today, days)
		execute(t, server(t), "COMMENT ON DATABASE "+name+" IS '"+old+"'")
	}
}

// unused is a template with a slot that nobody holds.
func unused(t *testing.T) string {
	t.Helper()
	p := open(t, config(t))
	lease(t, p)
	closeNow(t, p)
	return p.Template()
}

func TestStaleTemplateIsCollected(t *testing.T) {
	t.Parallel()
	old, recent := unused(t), unused(t)
	age(t, old, "2001-01-01")
	collectUntil(t, open(t, config(t)), func() bool { return len(databases(t, old)) == 0 })
	if got := databases(t, recent); len(got) != 2 {
		t.Errorf("of a recent template remained %v", got)
	}
}

func TestStaleAfter(t *testing.T) {
	t.Parallel()
	old := unused(t)
	age(t, old, "2001-01-01")
	cfg := config(t)
	cfg.StaleAfter = 100 * 365 * 24 * time.Hour
	dropped, err := open(t, cfg).Collect(t.Context())
	if err != nil || slices.Contains(dropped, old) {
		t.Errorf("collected %v, %v", dropped, err)
	}
}

func TestStaleTemplateInUseIsNotCollected(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	p := open(t, cfg)
	w := lease(t, p)
	age(t, p.Template(), "2001-01-01")
	dropped, err := open(t, config(t)).Collect(t.Context())
	if err != nil || slices.Contains(dropped, p.Template()) {
		t.Errorf("collected %v, %v", dropped, err)
	}
	execute(t, connect(t, w.Config()), "SELECT FROM goose_db_version")
}

func TestUseOfATemplateIsRecorded(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	p := open(t, cfg)
	lease(t, p)
	closeNow(t, p)
	age(t, p.Template(), "2001-01-01")
	again := open(t, cfg)
	lease(t, again)
	year := time.Now().Format(`"used":"2006`)
	for recorded := false; !recorded; {
		err := server(t).QueryRow(t.Context(), "SELECT shobj_description(oid, 'pg_database') LIKE '%' || $1 || '%' FROM pg_database WHERE datname = $2", year, p.Template()).Scan(&recorded)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestDatabasesOfOthersAreNotCollected(t *testing.T) {
	t.Parallel()
	tail := strings.TrimPrefix(open(t, config(t)).Template(), "txiso_")
	strangers := map[string]string{
		"txiso_" + tail + "_c0123456789ab": "COMMENT ON DATABASE %s IS 'mine'",
		"txiso_" + tail + "_c0123456789ac": `COMMENT ON DATABASE %s IS 'txiso {"kind":"clone","fingerprint":"` + tail + `","home":"elsewhere","created":"2001-01-01T00:00:00Z"}'`,
		"txiso_build_" + tail:              "ALTER DATABASE %s CONNECTION LIMIT 5",
		"txiso_" + tail:                    "", // no marker, no birthmark
		"txiso_" + tail + "_7":             "",
		"txiso_production_" + tail:         `COMMENT ON DATABASE %s IS 'txiso {"kind":"clone"}'`,
	}
	for name, mark := range strangers {
		execute(t, server(t), "CREATE DATABASE "+name)
		execute(t, server(t), strings.ReplaceAll(mark, "%s", name))
	}
	t.Cleanup(func() {
		for name := range strangers {
			execute(t, server(t), "DROP DATABASE "+name)
		}
	})
	p := open(t, config(t))
	dropped, err := p.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name := range strangers {
		if slices.Contains(dropped, name) || !exists(t, name) {
			t.Errorf("%s was collected", name)
		}
	}
}

// A process may be killed with a database that it has spoiled.
func TestSpoiledSlotIsReplacedOrCollected(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	w := lease(t, p)
	spoil(t, w)
	execute(t, connect(t, w.Config()), "CREATE TABLE old (id int)")
	w.Release()
	again := lease(t, p) // a new one of that name, or of the next while another process collects this one
	if _, err := connect(t, again.Config()).Exec(t.Context(), "SELECT FROM old"); err == nil {
		t.Error("the spoiled database was leased")
	}
	spoil(t, again)
	again.Release()
	collectUntil(t, p, func() bool { return !exists(t, again.Name()) })
}

func spoil(t *testing.T, w *provision.WorkerDB) {
	t.Helper()
	if err := w.Spoil(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A process may be killed between CREATE DATABASE and COMMENT: then the birthmark tells. A slot is complete all the same, a
// clone that nobody can know of and a template that is being built are not.
func TestWhatHasNoMarkerIsASpareSlotOrCollected(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	w, c := lease(t, p), clone(t, p)
	spare, build := awaitSpares(t, p, 1)[0], strings.Replace(p.Template(), "_", "_build_", 1)
	execute(t, server(t), "COMMENT ON DATABASE "+c.Name()+" IS NULL")
	execute(t, server(t), "CREATE DATABASE "+build+" TEMPLATE "+p.Template())
	execute(t, server(t), "UPDATE pg_database SET datconnlimit = (SELECT datconnlimit FROM pg_database WHERE datname = '"+spare+"') WHERE datname = '"+build+"'")
	other := open(t, config(t))
	collectUntil(t, other, func() bool { return !exists(t, build) })
	if !exists(t, c.Name()) {
		t.Error("the clone that is in use was collected")
	}
	closeNow(t, p)
	collectUntil(t, other, func() bool { return !exists(t, c.Name()) })
	if !exists(t, spare) || !exists(t, w.Name()) {
		t.Error("a slot was collected")
	}
}

// A half dropped database has lost its birthmark: without a marker it would be a stranger's.
func TestASpareSlotGetsAMarkerBeforeItIsDropped(t *testing.T) {
	t.Parallel()
	spare, err := collectBeside(t, "COMMENT ON DATABASE %s IS NULL", "ROLLBACK") // holds its drop up
	if err != nil || exists(t, spare) {
		t.Errorf("%s is still there: %v", spare, err)
	}
}

// Somebody who drops databases by hand, while they are collected, is no failure of that.
func TestADatabaseThatIsGoneWhenItIsToBeCollected(t *testing.T) {
	t.Parallel()
	spare, err := collectBeside(t, "ALTER DATABASE %[1]s RENAME TO %[1]s_by_hand", "COMMIT")
	if err != nil {
		t.Error(err)
	}
	execute(t, server(t), "DROP DATABASE "+spare+"_by_hand")
}

// collectBeside collects a spare slot, while a transaction that has changed it is open; then that ends.
func collectBeside(t *testing.T, change, end string) (spare string, err error) {
	t.Helper()
	cfg := config(t)
	cfg.DSN = ownHome(t)
	cfg.StaleAfter = time.Nanosecond
	p := open(t, cfg)
	clone(t, p)
	spare = awaitSpares(t, p, 1)[0]
	closeNow(t, p)
	other := server(t)
	execute(t, other, "BEGIN; "+fmt.Sprintf(change, spare))
	collected := make(chan error)
	collector := open(t, cfg)
	go func() {
		_, err := collector.Collect(cleanup(t))
		collected <- err
	}()
	awaitQuery(t, "COMMENT ON DATABASE "+spare)
	execute(t, other, end)
	return spare, <-collected
}

func TestSpareSlotsWithoutATemplateAreCollected(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	giveBack(t, clone(t, p))
	spare := awaitSpares(t, p, 1)[0]
	closeNow(t, p)
	execute(t, server(t), "UPDATE pg_database SET datistemplate = false WHERE datname = '"+p.Template()+"'")
	execute(t, server(t), "DROP DATABASE "+p.Template())
	collectUntil(t, open(t, config(t)), func() bool { return !exists(t, spare) })
}

// DROP DATABASE that is interrupted leaves a database nobody can use.
func TestHalfDroppedDatabasesAreReplaced(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	p := open(t, cfg)
	w := lease(t, p)
	closeNow(t, p)
	for _, name := range []string{p.Template(), w.Name()} {
		execute(t, server(t), "UPDATE pg_database SET datconnlimit = -2 WHERE datname = '"+name+"'")
	}
	again := lease(t, open(t, cfg)) // a new one of that name, or of the next while another process collects this one
	execute(t, connect(t, again.Config()), "SELECT FROM goose_db_version")
}

// A build of a killed process whose collection was cut short lost its birthmark, and was taken for a stranger's from then on:
// these migrations could never be run again.
func TestAHalfDroppedBuildIsReplaced(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	build := strings.Replace(p.Template(), "txiso_", "txiso_build_", 1)
	execute(t, server(t), "CREATE DATABASE "+build)
	execute(t, server(t), "UPDATE pg_database SET datconnlimit = -2 WHERE datname = '"+build+"'")
	lease(t, p)
	if got := databases(t, build); len(got) > 0 {
		t.Errorf("%s is still there", build)
	}
}

// While a DROP DATABASE is under way, the database looks half dropped. Its process may have another maintenance database, in which
// its locks are: everybody's clean said that it would drop what others were dropping.
func TestNobodyCollectsWhatIsBeingDropped(t *testing.T) {
	t.Parallel()
	dsn, dropper := apart(t), server(t)
	clean := func() []string {
		t.Helper()
		names, err := provision.Clean(t.Context(), dsn, provision.Cleaning{DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	var slot string
	for locked := false; !locked; { // unless another test's collector is faster
		slot = fmt.Sprintf("txiso_%016x_1", rand.Int64())
		execute(t, dropper, "CREATE DATABASE "+slot)
		execute(t, dropper, "UPDATE pg_database SET datconnlimit = -2 WHERE datname = '"+slot+"'")
		execute(t, dropper, "BEGIN")
		_, err := dropper.Exec(t.Context(), "ALTER DATABASE "+slot+" RENAME TO "+slot+"1") // takes the lock that DROP DATABASE takes
		if locked = err == nil; !locked {
			execute(t, dropper, "ROLLBACK")
		}
	}
	if slices.Contains(clean(), slot) || slices.Contains(names(inspect(t, dsn).All()), slot) {
		t.Error("it is to be dropped by two")
	}
	execute(t, dropper, "ROLLBACK")
	if !slices.Contains(clean(), slot) && exists(t, slot) {
		t.Error("nobody drops it")
	}
}

func TestStaleAfterCanBeSetByAVariable(t *testing.T) {
	old := unused(t)
	age(t, old, time.Now().AddDate(0, 0, -3).Format("2006-01-02"))
	t.Setenv("TXISO_STALE_AFTER", "96h")
	if dropped, err := open(t, config(t)).Collect(t.Context()); err != nil || slices.Contains(dropped, old) {
		t.Errorf("collected %v, %v", dropped, err)
	}
	t.Setenv("TXISO_STALE_AFTER", "48h")
	collectUntil(t, open(t, config(t)), func() bool { return len(databases(t, old)) == 0 })
}

func TestAVariableForStaleAfterThatMeansNothing(t *testing.T) {
	for _, value := range []string{"a week", "-1h", "0s"} {
		t.Setenv("TXISO_STALE_AFTER", value)
		_, err := provision.Open(t.Context(), config(t))
		mustContain(t, err, "TXISO_STALE_AFTER", value, "72h")
	}
}

// ownHome is a DSN with a maintenance database of a test's own: what has its locks elsewhere is a stranger's there.
func ownHome(t *testing.T) string {
	t.Helper()
	name := "home_" + uniqueTable()
	execute(t, server(t), "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, server(t), "DROP DATABASE "+name+" WITH (FORCE)") })
	dsn := pgtest.DSN(t)
	if !isURL(dsn) {
		return dsn + " dbname=" + name
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// Every process takes all templates for stale at once, its own among them, and collects between any two steps.
func TestProcessesThatCollectAllTheTimeNeverCollectEachOther(t *testing.T) {
	t.Parallel()
	cfg := loggedConfig(ownHome(t), uniqueTable(), "")
	var cmds []*exec.Cmd
	var templates []string
	for range 6 {
		table := uniqueTable()
		if len(cmds) > 3 { // two have the same
			table = childTableOf(cmds[3])
		}
		log := filepath.Join(t.TempDir(), "log")
		templates = append(templates, open(t, loggedConfig(cfg.DSN, table, log)).Template())
		cmds = append(cmds, child(t, cfg, "collect", table, log))
	}
	runAll(t, cmds)
	cfg.StaleAfter = time.Nanosecond
	last := open(t, cfg)
	collectUntil(t, last, func() bool { return true })
	for _, template := range templates {
		if left := databases(t, template); len(left) > 0 {
			t.Errorf("when all had ended, %v were left", left)
		}
	}
}

func childTableOf(cmd *exec.Cmd) string {
	for _, variable := range cmd.Env {
		if table, ok := strings.CutPrefix(variable, childTable+"="); ok {
			return table
		}
	}
	return ""
}

func collectAllTheTime(ctx context.Context) error {
	cfg := childConfig()
	cfg.StaleAfter = time.Nanosecond
	p, err := provision.Open(ctx, cfg)
	if err != nil {
		return err
	}
	for range 4 {
		w, err := p.Lease(ctx)
		if err != nil {
			return err
		}
		c, err := p.Clone(ctx)
		if err != nil {
			return err
		}
		if _, err := p.Collect(ctx); err != nil {
			return err
		}
		for _, cfg := range []*pgx.ConnConfig{w.Config(), c.Config()} {
			if err := check(ctx, cfg); err != nil {
				return err
			}
		}
		w.Release()
		if err := c.Drop(ctx); err != nil {
			return err
		}
	}
	return p.Close(ctx)
}

func check(ctx context.Context, cfg *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "SELECT FROM goose_db_version")
	return errors.Join(err, conn.Close(ctx))
}

// What had a template's name and was none could be dropped while a builder put the template in its place.
func TestABuilderKeepsCollectorsFromItsTemplate(t *testing.T) {
	t.Parallel()
	cfg := configOn(apart(t))
	old := open(t, cfg)
	lease(t, old)
	closeNow(t, old)
	execute(t, server(t), "COMMENT ON DATABASE "+old.Template()+" IS NULL") // as if its process had been killed
	builder := connect(t, parse(t, cfg.DSN))
	lock := provision.LockKey(strings.Replace(old.Template(), "txiso_", "txiso_build_", 1))
	execute(t, builder, fmt.Sprintf("SELECT pg_advisory_lock(%d)", lock))
	p := open(t, configOn(cfg.DSN))
	for _, building := range []bool{true, false} {
		if _, err := p.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if exists(t, old.Template()) != building {
			t.Errorf("while a builder is at work (%v) the database is there: %v", building, !building)
		}
		execute(t, builder, "SELECT pg_advisory_unlock_all()")
	}
}
