package provision_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

func keep(t *testing.T, w interface{ Name() string }, most int) string {
	t.Helper()
	kept, err := tryKeep(t, w, most)
	if err != nil {
		t.Fatal(err)
	}
	connect(t, parse(t, kept.Conninfo)).Close(t.Context())
	return kept.Name
}

func tryKeep(t *testing.T, w interface{ Name() string }, most int) (*provision.Kept, error) {
	t.Helper()
	var kept *provision.Kept
	var err error
	switch w := w.(type) {
	case *provision.WorkerDB:
		kept, err = w.Keep(t.Context(), t.Name(), most)
	case *provision.CloneDB:
		kept, err = w.Keep(t.Context(), t.Name(), most)
	}
	if err != nil {
		return nil, err
	}
	if want := "txiso_kept_" + strings.ToLower(t.Name())[:min(len(t.Name()), 40)]; !strings.HasPrefix(kept.Name, want) {
		t.Errorf("the name is %s, want %s…", kept.Name, want)
	}
	return kept, nil
}

func parse(t *testing.T, conninfo string) *pgx.ConnConfig {
	t.Helper()
	cfg, err := pgx.ParseConfig(conninfo)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestWhatIsKeptIsNeitherLeasedNorCollectedButCleaned(t *testing.T) {
	t.Parallel()
	dsn := apart(t)
	cfg := configOn(dsn)
	cfg.StaleAfter = time.Nanosecond
	p := open(t, cfg)
	slot := lease(t, p)
	kept := keep(t, slot, 10)
	again := lease(t, p) // the number is free again, the database is another
	keptClone := keep(t, clone(t, p), 10)
	if again.Name() != slot.Name() {
		t.Errorf("the next lease is %s, want %s again", again.Name(), slot.Name())
	}
	report := inspect(t, dsn)
	both := slices.Sorted(slices.Values([]string{kept, keptClone}))
	expectNames(t, "kept databases", report.Kept, both...)
	for _, d := range report.Kept {
		if d.Template != p.Template() {
			t.Errorf("%s is said to be of %s", d.Name, d.Template)
		}
	}
	closeNow(t, p)
	collector := open(t, cfg)
	if _, err := collector.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectNames(t, "what the collector has left", inspect(t, dsn).All(), both...)
	expectDropped(t, clean(t, dsn, provision.Cleaning{}), both...)
}

func TestProcessesThatKeepAtOnceKeepNoMoreThanTheyMay(t *testing.T) {
	t.Parallel()
	dsn := apart(t)
	const processes, most = 4, 3
	all := make([]*provision.WorkerDB, 2*processes)
	for i := range processes {
		p := open(t, configOn(dsn))
		all[2*i], all[2*i+1] = lease(t, p), lease(t, p)
	}
	if err := together(len(all), func(i int) error {
		_, err := tryKeep(t, all[i], most)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if kept := inspect(t, dsn).Kept; len(kept) != most {
		t.Errorf("%d are kept, want %d", len(kept), most)
	}
	clean(t, dsn, provision.Cleaning{})
}

// Processes learn the server's clock from an answer, and that can take a while. Who keeps one has kept it last all the same.
func TestWhatIsKeptLaterIsYoungerWhateverTheClockSays(t *testing.T) {
	t.Parallel()
	dsn := apart(t)
	p := open(t, configOn(dsn))
	first := keep(t, lease(t, p), 2)
	execute(t, server(t), fmt.Sprintf(`DO $$ BEGIN EXECUTE format('COMMENT ON DATABASE %s IS %%L', (SELECT regexp_replace(
		shobj_description(oid, 'pg_database'), '"created":"[^"]*"', '"created":"2999-01-01T00:00:00Z"') FROM pg_database WHERE datname = '%[1]s')); END $$`, first))
	second := keep(t, lease(t, p), 2)
	third := keep(t, lease(t, p), 2)
	expectNames(t, "kept databases", inspect(t, dsn).Kept, slices.Sorted(slices.Values([]string{second, third}))...)
	closeNow(t, p)
	clean(t, dsn, provision.Cleaning{})
}

// Autovacuum was taken for somebody who looks into the oldest database, so that the one behind it was dropped.
func TestAutovacuumSparesNoKeptDatabase(t *testing.T) {
	t.Parallel()
	dsn := apart(t)
	p := open(t, configOn(dsn))
	w := lease(t, p)
	bait(t, w.Config())
	first, second := keep(t, w, 2), keep(t, lease(t, p), 2)
	awaitAutovacuum(t, first)
	third := keep(t, lease(t, p), 2)
	expectNames(t, "kept databases", inspect(t, dsn).Kept, slices.Sorted(slices.Values([]string{second, third}))...)
	closeNow(t, p)
	clean(t, dsn, provision.Cleaning{})
}

func TestADatabaseOfAStrangersThatIsNamedLikeAKeptOneIsNotTouched(t *testing.T) {
	t.Parallel()
	dsn := apart(t)
	name := "txiso_kept_" + uniqueTable() + "_0123ab"
	execute(t, server(t), "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, server(t), "DROP DATABASE "+name) })
	p := open(t, configOn(dsn))
	keep(t, lease(t, p), 1)
	keep(t, lease(t, p), 1)
	closeNow(t, p) // and with it what it does in the background
	clean(t, dsn, provision.Cleaning{All: true})
	if !exists(t, name) {
		t.Error("it is gone")
	}
}

func TestTheConnectionStringOfAKeptDatabaseHasNoPasswordAndWhateverElseItNeeds(t *testing.T) {
	t.Parallel()
	dsn := apart(t)
	cfg := configOn(dsn + ` password='hush \' hush' search_path='"a b", public' application_name='it\'s'`)
	p := open(t, cfg)
	kept, err := lease(t, p).Keep(t.Context(), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(kept.Conninfo, "hush") {
		t.Errorf("the password is in %s", kept.Conninfo)
	}
	conn := connect(t, parse(t, kept.Conninfo))
	var path string
	if err := conn.QueryRow(t.Context(), "SHOW search_path").Scan(&path); err != nil || path != `"a b", public` {
		t.Errorf("search_path is %s: %v", path, err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
	clean(t, dsn, provision.Cleaning{})
}

func TestALeaseThatWasGivenBackCannotBeKept(t *testing.T) {
	t.Parallel()
	p := open(t, configOn(apart(t)))
	w, c := lease(t, p), clone(t, p)
	w.Release()
	if err := c.Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := w.Keep(t.Context(), "", 10)
	mustContain(t, err, "was given back already")
	_, err = c.Keep(t.Context(), "", 10)
	mustContain(t, err, "was dropped already")
}
