package provision_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso/internal/pgserver/pgtest"
	"github.com/txiso/txiso-go/txiso/internal/provision"
)

// apart is a maintenance database of the test's own: what other tests and other processes have on the server does not
// count there.
func apart(t *testing.T) (dsn string) {
	t.Helper()
	name := uniqueTable()
	execute(t, server(t), "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, server(t), "DROP DATABASE "+name+" WITH (FORCE)") })
	return pgtest.DSN(t) + " dbname=" + name
}

func configOn(dsn string) provision.Config {
	return provision.Config{DSN: dsn, Migrator: provision.Goose(oneTable(uniqueTable()))}
}

func inspect(t *testing.T, dsn string) *provision.Report {
	t.Helper()
	r, err := provision.Inspect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func names(databases []provision.Database) (names []string) {
	for _, d := range databases {
		names = append(names, d.Name)
	}
	return names
}

func expectNames(t *testing.T, what string, got []provision.Database, want ...string) {
	t.Helper()
	if !slices.Equal(names(got), want) {
		t.Errorf("%s are %v, want %v", what, names(got), want)
	}
}

func TestReportListsDatabasesByKind(t *testing.T) {
	t.Parallel()
	dsn := apart(t)
	before := time.Now().Add(-time.Minute)
	p := open(t, configOn(dsn))
	held, free, broken := lease(t, p), lease(t, p), lease(t, p)
	kept := keep(t, lease(t, p), 10)
	t.Cleanup(func() { execute(t, server(t), "DROP DATABASE "+kept) })
	c := clone(t, p)
	spare := awaitSpares(t, p, 1)[0]
	spoil(t, broken)
	for _, w := range []*provision.WorkerDB{free, broken} {
		w.Release()
	}

	r := inspect(t, dsn)
	expectNames(t, "templates", r.Templates, p.Template())
	expectNames(t, "worker databases", r.Workers, held.Name(), free.Name(), spare)
	expectNames(t, "clones", r.Clones, c.Name())
	expectNames(t, "kept databases", r.Kept, kept)
	expectNames(t, "incomplete databases", r.Incomplete, broken.Name())
	for _, d := range r.All() {
		if d.Size < 1<<20 || d.Template != p.Template() || d.Created.Before(before) != (d.Kind == provision.Incomplete || d.Name == spare) {
			t.Errorf("the report says %+v", d)
		}
	}
	if n := len(r.All()); n != 7 {
		t.Errorf("all %d databases are %v", n, names(r.All()))
	}
	if test := r.Kept[0].Test; test != t.Name() {
		t.Errorf("the kept database is of %q", test)
	}
	expectHolder(t, r.Templates[0])
	expectHolder(t, *r.Named(held.Name()))
	expectHolder(t, *r.Named(c.Name()))
	for _, name := range []string{free.Name(), kept, broken.Name()} {
		if h := r.Named(name).Holders; len(h) > 0 {
			t.Errorf("%s is held by %+v", name, h)
		}
	}
}

// expectHolder wants this process, and only it, to hold a database.
func expectHolder(t *testing.T, d provision.Database) {
	t.Helper()
	if len(d.Holders) != 1 {
		t.Fatalf("%s is held by %+v, want one process", d.Name, d.Holders)
	}
	h := d.Holders[0]
	if h.Process != os.Getpid() || h.Program != filepath.Base(os.Args[0]) || h.User != "postgres" && h.User == "" ||
		h.Backend == 0 || !strings.HasPrefix(h.Application, "txiso keeper ") || time.Since(h.Since) > time.Hour {
		t.Errorf("%s is held by %+v", d.Name, h)
	}
}

func TestReportTellsOfTheServer(t *testing.T) {
	t.Parallel()
	dsn := apart(t)
	r := inspect(t, dsn)
	var version string
	var started time.Time
	var connections int
	err := server(t).QueryRow(t.Context(), "SELECT split_part(current_setting('server_version'), ' ', 1), pg_postmaster_start_time(), current_setting('max_connections')::int").
		Scan(&version, &started, &connections)
	if err != nil {
		t.Fatal(err)
	}
	if r.Version != version || !r.Started.Equal(started) || r.MaxConnections != connections || r.Connections < 1 {
		t.Errorf("the report says %+v, want %s, %v, %d", r, version, started, connections)
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%s:%d", cfg.Host, cfg.Port); r.Address != cfg.Host && r.Address != want {
		t.Errorf("the address is %s, want %s", r.Address, want)
	}
}

func TestReportCountsWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	dsn := apart(t)
	before := inspect(t, dsn).Others
	name := open(t, configOn(dsn)).Template() // the name is dropped behind the test
	execute(t, server(t), "CREATE DATABASE "+name)
	r := inspect(t, dsn)
	if len(r.All()) != 0 || r.Others <= 0 || before < 0 {
		t.Errorf("a stranger's database is reported as %v, others as %d", names(r.All()), r.Others)
	}
	if r.Named(name) != nil {
		t.Error("a stranger's database can be named")
	}
}

func TestClientsOfAWorkerDatabaseCannotChangeItByAccident(t *testing.T) {
	t.Parallel()
	dsn := apart(t)
	p := open(t, configOn(dsn))
	w, c := lease(t, p), clone(t, p)
	r := inspect(t, dsn)
	for name, want := range map[string]string{w.Name(): "on", c.Name(): "off"} {
		url := r.DSN(*r.Named(name))
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		var database, readOnly string
		err = conn.QueryRow(t.Context(), "SELECT current_database(), current_setting('transaction_read_only')").Scan(&database, &readOnly)
		if err != nil || database != name || readOnly != want {
			t.Errorf("%s leads to %s, read only %s, %v; want %s", url, database, readOnly, err, want)
		}
		_ = conn.Close(context.Background())
	}
}

func TestLoginKeepsThePasswordApart(t *testing.T) {
	t.Parallel()
	dsn := apart(t) + " password=hush"
	p := open(t, configOn(dsn))
	clone(t, p)
	r := inspect(t, dsn)
	url, password := r.Login(r.Clones[0])
	if password != "hush" || strings.Contains(url, "hush") || !strings.Contains(r.DSN(r.Clones[0]), ":hush@") {
		t.Errorf("login is %s and %s; DSN %s", url, password, r.DSN(r.Clones[0]))
	}
}

func TestACopyOfATemplateIsPrivate(t *testing.T) {
	t.Parallel()
	dsn := apart(t)
	p := open(t, configOn(dsn))
	lease(t, p)
	c, err := provision.OpenCopy(t.Context(), dsn, p.Template())
	if err != nil {
		t.Fatal(err)
	}
	r := inspect(t, dsn)
	expectNames(t, "clones", r.Clones, c.Name)
	expectHolderOf(t, r.Clones[0], "txiso command ")
	conn, err := pgx.Connect(t.Context(), r.DSN(c.Database))
	if err != nil {
		t.Fatal(err)
	}
	execute(t, conn, "SELECT FROM goose_db_version")
	if err := c.Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectNames(t, "clones", inspect(t, dsn).Clones)
	_ = conn.Close(context.Background())
}

func expectHolderOf(t *testing.T, d provision.Database, application string) {
	t.Helper()
	if len(d.Holders) != 1 || !strings.HasPrefix(d.Holders[0].Application, application) {
		t.Errorf("%s is held by %+v, want %s…", d.Name, d.Holders, application)
	}
}

func TestACopyOfWhatIsNoTemplate(t *testing.T) {
	t.Parallel()
	dsn := apart(t)
	_, err := provision.OpenCopy(t.Context(), dsn, "txiso_0123456789abcdef")
	if err == nil || !strings.Contains(err.Error(), "there is no template txiso_0123456789abcdef any more") {
		t.Errorf("got %v", err)
	}
	if all := inspect(t, dsn).All(); len(all) > 0 {
		t.Errorf("left are %v", names(all))
	}
}
