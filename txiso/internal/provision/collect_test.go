package provision_test

import (
	"slices"
	"strings"
	"testing"
	"time"

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
	}
	for name, mark := range strangers {
		execute(t, server(t), "CREATE DATABASE "+name)
		execute(t, server(t), strings.ReplaceAll(mark, "%s", name))
	}
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

// A process may be killed between CREATE DATABASE and COMMENT: then the birthmark tells.
func TestSlotWithoutMarkerIsReplacedOrCollected(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	w := lease(t, p)
	execute(t, server(t), "COMMENT ON DATABASE "+w.Name()+" IS NULL")
	execute(t, connect(t, w.Config()), "CREATE TABLE old (id int)")
	w.Release()
	again := lease(t, p) // a new one of that name, or of the next while another process collects this one
	if _, err := connect(t, again.Config()).Exec(t.Context(), "SELECT FROM old"); err == nil {
		t.Error("the incomplete database was leased")
	}
	execute(t, server(t), "COMMENT ON DATABASE "+again.Name()+" IS NULL")
	again.Release()
	collectUntil(t, p, func() bool { return !exists(t, again.Name()) })
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
