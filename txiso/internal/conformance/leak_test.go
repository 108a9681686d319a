package conformance_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/txiso/txiso-go/txiso"
)

// dirt is what a test leaves behind, each on a connection of its own. What fails is part of it.
var dirt = map[string][]string{
	"settings": {"set work_mem = '1MB'", "set application_name = 'dirty'", "set timezone = 'Asia/Tokyo'", "set my.var = 'x'", "select set_config('datestyle', 'German', false)",
		"set statement_timeout = '1h'", "set default_transaction_read_only = on", "set default_transaction_isolation = 'serializable'", "set session_replication_role = 'replica'", "set plan_cache_mode = 'force_generic_plan'"},
	"search_path":        {"create schema dirty", "create table dirty.items as select 1 as wrong", "set search_path = dirty", "select * from items"},
	"role":               {"set role pg_monitor", "select 1"},
	"authorization":      {"set session authorization pg_monitor"},
	"temporary tables":   {"create temp table items (wrong text)", "insert into items values ('x')", "create temp table only_here (i int) on commit delete rows", "create temp view v as select 1"},
	"advisory locks":     {"select pg_advisory_lock(1)", "select pg_advisory_lock_shared(2, 3)", "begin", "select pg_advisory_xact_lock(4)"},
	"prepared":           {"prepare dirty as select 1", "prepare other (int) as select $1"},
	"listening":          {"listen dirty", "notify dirty, 'x'"},
	"cursors":            {"declare held cursor with hold for select generate_series(1, 10)", "fetch 1 from held", "begin", "declare c cursor for select 1", "fetch 1 from c"},
	"sequences":          {"select nextval('counter')", "select lastval()", "create sequence dirty_counter", "select nextval('dirty_counter')"},
	"rows":               {"insert into items values (1, 'a')", "insert into parents values (1)", "insert into children values (1, 1)", "insert into audited values (1, 1)"},
	"DDL":                {"create table dirty_table (i int)", "alter table items add column dirty int", "drop table pairs", "create function dirty() returns int language sql as 'select 1'", "create index on items (qty)", "create type dirty_type as enum ('x')", "comment on table items is 'dirty'", "create or replace function audit() returns trigger language plpgsql as 'begin return null; end'"},
	"open transaction":   {"begin", "insert into items values (2, 'b')", "savepoint s", "insert into items values (3, 'c')"},
	"failed transaction": {"begin", "insert into items values (4, 'd')", "select 1/0"},
	"read-only":          {"begin transaction read only", "select 1"},
	"constraints":        {"begin", "set constraints all deferred", "insert into children values (9, 99)"},
	"large objects":      {"select lo_create(4711)", "begin", "select lo_open(4711, 131072)"},
	"failed statement":   {"selec", "select 1/0", "insert into items values (5, null)"},
	"locks":              {"begin", "lock table items in access exclusive mode"},
	"statistics":         {"analyze items", "create statistics s on id, qty from items"},
	"extension":          {"create extension if not exists plpgsql", "create collation dirty (locale = 'C')"},
	"copy":               {"copy items from stdin"},
	"notices":            {"set client_min_messages = 'debug1'", "select 1"},
	"discards":           {"discard plans", "deallocate all"},
}

// looks are what the next test looks at. Each must give what it gives on a fresh connection to a fresh database.
var looks = []string{
	"select name, setting from pg_settings where source = 'session' and name not in ('transaction_isolation', 'transaction_read_only') order by 1",
	"select current_user = session_user, current_schemas(false)::text, current_setting('my.var', true) is null or current_setting('my.var', true) = ''",
	"select current_setting('work_mem'), current_setting('application_name') = 'dirty', current_setting('timezone') = 'Asia/Tokyo', current_setting('transaction_read_only'), current_setting('session_replication_role'), current_setting('client_min_messages')",
	"select relname, relkind::text from pg_class where relname like '%dirty%' or relname like 'only_here' or relpersistence = 't' order by 1",
	"select locktype, mode from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())",
	"select name from pg_prepared_statements where name in ('dirty', 'other')",
	"select pg_listening_channels()",
	"select name from pg_cursors where name <> ''",
	"select lastval()",
	"select currval('counter')",
	"select * from items",
	"select (select count(*) from items), (select count(*) from parents), (select count(*) from children), (select count(*) from audited), (select count(*) from events), (select count(*) from pairs)",
	"select proname from pg_proc where proname like 'dirty%'",
	"select attname from pg_attribute where attrelid = 'items'::regclass and attnum > 0 order by attnum",
	"select typname from pg_type where typname like 'dirty%'",
	"select nspname from pg_namespace where nspname = 'dirty'",
	"select obj_description('items'::regclass)",
	"select oid from pg_largeobject_metadata",
	"select loread(0, 1)",
	"select indexrelid::regclass::text from pg_index where indrelid = 'items'::regclass order by 1",
	"select length(prosrc) > 100 from pg_proc where proname = 'audit'",
	"select locktype, mode from pg_locks where relation = 'pairs'::regclass and mode = 'AccessExclusiveLock'",
	"execute dirty",
	"fetch 1 from held",
	"fetch 1 from c",
	"insert into items values (1, 'a') returning *",
	"insert into children values (1, 1)",
	"insert into audited values (1, -1)",
	"table events",
	"select 1/0",
}

// TestSessionStateDoesNotLeak makes a test dirty all it can, and lets the next test look, on the same warm connection.
func TestSessionStateDoesNotLeak(t *testing.T) {
	own := txiso.New(txiso.Config{Migrations: schema}) // the process has no other session to give
	t.Cleanup(func() {
		if err := own.Close(); err != nil {
			t.Error(err)
		}
	})
	want := look(t, "plain", openPlain)
	onOwn := func(tb *bodyTB) backend {
		cfg := own.Pool(tb).Config().ConnConfig
		tb.database = cfg.Database
		return &isoBackend{closers{tb}, cfg, own.DB}
	}
	first := look(t, "first", onOwn) // and warms every statement that looks
	expectSame(t, "on a new session", want, first)
	for _, name := range sortedKeys(dirt) {
		t.Run(name, func(t *testing.T) {
			before := makeDirty(t, onOwn, name)
			after := look(t, name, onOwn)
			if before != after.pid {
				t.Skipf("the session of backend %d was given up, %d came: nothing to learn", before, after.pid)
			}
			expectSame(t, name, want, after)
		})
	}
	t.Run("all at once", func(t *testing.T) {
		names := slices.DeleteFunc(sortedKeys(dirt), func(name string) bool { return name == "copy" })
		before := makeDirty(t, onOwn, names...)
		after := look(t, "all", onOwn)
		t.Logf("the same connection: %v", before == after.pid)
		expectSame(t, "everything", want, after)
	})
}

func sortedKeys(m map[string][]string) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// seen is what a look gave.
type seen struct {
	pid   int
	lines []string
}

func look(t *testing.T, name string, open func(*bodyTB) backend) seen {
	t.Helper()
	tb := newBodyTB(t.Context(), name)
	defer tb.end()
	e := &Env{Ctx: t.Context(), rec: &record{}}
	var pid int
	e.protect(func() {
		e.on = open(tb)
		e.rec.hide = strings.NewReplacer(tb.database, "DATABASE")
		conn := e.Conn()
		e.Must("pid", conn.QueryRow(e.Ctx, "select pg_backend_pid()").Scan(&pid))
		for _, q := range looks {
			e.Show(conn, q)
		}
		e.Show(conn, "select count(*) from items where $1", true)
	})
	if pid == 0 {
		t.Fatalf("%s: no database to look at: %v %v", name, e.rec.snapshot(), tb.said())
	}
	return seen{pid, e.rec.snapshot()}
}

// makeDirty plays a test that leaves all kinds of things behind, and tells its backend.
func makeDirty(t *testing.T, open func(*bodyTB) backend, names ...string) (pid int) {
	t.Helper()
	tb := newBodyTB(t.Context(), "dirty")
	defer tb.end()
	b := open(tb)
	for _, name := range names {
		pid = soil(t, b, dirt[name])
	}
	return pid
}

// soil runs statements on a connection that is not closed by the test, and leaves rows open on another.
func soil(t *testing.T, b backend, statements []string) (pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	pid, err := backendPID(ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := b.DB().QueryContext(ctx, "select generate_series(1, 1000)"); err == nil {
		rows.Next()
	}
	conn, err := pgx.ConnectConfig(ctx, b.Config())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if strings.HasPrefix(s, "copy") {
			conn.PgConn().Exec(ctx, s) // and never ends it, so that nothing else runs either
			break
		}
		_, err := conn.Exec(ctx, s)
		t.Logf("%s: %v", s, err)
	}
	return pid
}

func backendPID(ctx context.Context, b backend) (pid int, err error) {
	db := b.DB()
	defer db.Close()
	err = db.QueryRowContext(ctx, "select pg_backend_pid()").Scan(&pid)
	return pid, err
}

func expectSame(t *testing.T, what string, want, got seen) {
	t.Helper()
	if !slices.Equal(want.lines, got.lines) {
		t.Errorf("%s leaks into the next test:\n%s", what, diff(want.lines, got.lines))
	}
}
