package property_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// gen makes random operations. All that it makes follows from its seed.
type gen struct {
	*rand.Rand
	kind     string
	conns    int
	together bool
	features map[string]bool // what this sequence is about
	who      int             // whose operation is made, when sequences run together
}

func pick[T any](g *gen, from ...T) T { return from[g.IntN(len(from))] }

func (g *gen) has(feature string) bool { return g.features[feature] }

// params collects a statement's arguments, or puts them into its text.
type params struct {
	*gen
	inline bool
	args   []arg
}

// num and text give a place for a value in a statement.
func (p *params) num(n int) string { return p.place(fmt.Sprint(n), fmt.Sprint(n), "") }
func (p *params) text(s string) string {
	return p.place("'"+strings.ReplaceAll(s, "'", "''")+"'", s, "")
}

func (p *params) cast(n int, typ string) string {
	return p.place(fmt.Sprintf("%d::%s", n, typ), fmt.Sprint(n), "::"+typ)
}

func (p *params) place(literal, value, cast string) string {
	if p.inline {
		return literal
	}
	p.args = append(p.args, arg(value))
	return fmt.Sprintf("$%d%s", len(p.args), cast)
}

// key is an id out of few, so that statements hit what others left; of one goroutine's own when there are several.
func (g *gen) key() int { return 1 + g.IntN(6) + 100*g.who }

func (g *gen) name() string { return fmt.Sprintf("item %d", g.key()) }

// statement returns a statement and its arguments.
func (g *gen) statement(inline bool) (string, []arg) {
	p := &params{gen: g, inline: inline}
	makers := []func(*params) string{write, write, read, read, read}
	for feature, maker := range map[string]func(*params) string{"deferred": deferred, "failing": failingStatement} {
		if g.has(feature) {
			makers = append(makers, maker)
		}
	}
	if g.has("deferred") && g.has("failing") { // the order of a map is not a seed's
		makers = append(makers[:5], deferred, failingStatement)
	}
	if g.has("ddl") {
		makers = append(makers, ddl, onX)
	}
	if g.has("routines") {
		makers = append(makers, routine, callRoutine)
	}
	sql := pick(g, makers...)(p)
	return sql, p.args
}

func write(p *params) string {
	switch p.IntN(11) {
	case 0, 1, 2:
		return fmt.Sprintf("insert into items (id, name, qty) values (%s, %s, %s)", p.num(p.key()), p.text(p.name()), p.num(p.IntN(12)-1))
	case 3:
		return fmt.Sprintf("insert into items (id, name) values (%s, %s) on conflict do nothing", p.num(p.key()), p.text(p.name()))
	case 4:
		return fmt.Sprintf("insert into items (id, name) values (%s, %s) on conflict (id) do update set qty = items.qty + 1 returning id, qty", p.num(p.key()), p.text(p.name()))
	case 5:
		return fmt.Sprintf("update items set qty = qty - %s where id = %s", p.num(p.IntN(4)), p.num(p.key()))
	case 6:
		return fmt.Sprintf("delete from items where id = %s returning *", p.num(p.key()))
	case 7:
		return fmt.Sprintf("update items set note = %s where id = %s", p.text(pick(p.gen, "short", "it's; commit", "much too long a note")), p.num(p.key()))
	}
	switch p.IntN(3) { // what begins with another word
	case 0:
		return fmt.Sprintf("(with w as (delete from items where id = %s returning id) select id from w)", p.num(p.key()))
	case 1:
		return fmt.Sprintf("explain (analyze, buffers off, costs off, timing off, summary off) insert into parents values (%s)", p.num(p.key()))
	}
	return fmt.Sprintf("with w as (insert into parents values (%s) returning id) select id from w", p.num(p.key()))
}

func read(p *params) string {
	if p.together {
		return fmt.Sprintf("select id, name, qty from items where id between %d and %d order by id", 100*p.who, 100*p.who+99)
	}
	switch p.IntN(9) {
	case 0:
		return fmt.Sprintf("select * from items where id >= %s order by id", p.num(p.key()))
	case 1:
		return "select count(*) from items"
	case 2:
		return fmt.Sprintf("select %s as a, %s as b, null as c", p.cast(p.IntN(9), "int"), p.cast(p.IntN(9), "bigint"))
	case 3:
		return fmt.Sprintf("select i, i / 3.0 as part from generate_series(1, %s) i", p.cast(p.IntN(40), "int"))
	case 4:
		return "select current_setting('transaction_read_only'), current_setting('client_encoding')" // the isolation level that is told is a limit
	case 5:
		return "select i, repeat('x', 3000) from generate_series(1, 60) i" // more than a buffer of the server's
	case 6:
		return "table pairs order by id"
	case 7:
		return "select (select count(*) from parents), (select count(*) from children), (select count(*) from events)"
	}
	return "show search_path"
}

func failingStatement(p *params) string {
	switch p.IntN(8) {
	case 0:
		return fmt.Sprintf("select 1 / %s", p.cast(0, "int"))
	case 1:
		return fmt.Sprintf("select 10 / (i - %s) from generate_series(1, 30) i", p.cast(1+p.IntN(30), "int"))
	case 2:
		return "selct 1"
	case 3:
		return "select * from nowhere"
	case 4:
		return fmt.Sprintf("insert into items (id) values (%s)", p.num(p.key()))
	case 5:
		return "select 'unterminated"
	case 6:
		return "do $$ begin raise exception 'raised' using errcode = 'TX001', detail = 'd', hint = 'h'; end $$"
	}
	return fmt.Sprintf("update items set qty = -1 where id = %s", p.num(p.key()))
}

func deferred(p *params) string {
	switch p.IntN(10) {
	case 0, 1, 2:
		return fmt.Sprintf("insert into children values (%s, %s)", p.num(p.key()), p.num(p.key()))
	case 3:
		return fmt.Sprintf("insert into parents values (%s) on conflict do nothing", p.num(p.key()))
	case 4:
		return fmt.Sprintf("delete from parents where id = %s", p.num(p.key()))
	case 5:
		if p.together {
			return fmt.Sprintf("update pairs set place = 100 * %d + id where id = %s", p.who, p.num(p.key()))
		}
		return "update pairs set place = 3 - place where place < 3"
	case 6:
		return fmt.Sprintf("insert into pairs values (%s, %s)", p.num(p.key()), p.num(p.key()))
	case 7:
		return fmt.Sprintf("insert into events values (%s, %s) on conflict (id) do update set v = excluded.v", p.num(p.key()), p.num(p.IntN(6)-1))
	case 8:
		return "set constraints all " + pick(p.gen, "immediate", "deferred")
	}
	return "set constraints " + pick(p.gen, "pairs_place", "audited", "children_parent_fkey") + " " + pick(p.gen, "immediate", "deferred")
}

func ddl(p *params) string {
	if p.together {
		return write(p)
	}
	x := pick(p.gen, "x1", "x2")
	switch p.IntN(14) {
	case 0, 1, 2:
		return "create table " + x + " (id int primary key, a text)"
	case 12:
		return "create table " + x + " as select id, " + pick(p.gen, "name as a", "qty as b") + " from items"
	case 13:
		return "select id, " + pick(p.gen, "name as a", "qty as b") + " into " + x + " from items"
	case 3:
		return "create table if not exists " + x + " (id int primary key, b int references parents deferrable initially deferred)"
	case 4:
		return "drop table if exists " + x
	case 5:
		return "alter table " + x + " add column " + pick(p.gen, "a", "b", "c") + " int default 7"
	case 6:
		return "alter table " + x + " drop column " + pick(p.gen, "a", "b", "c")
	case 7:
		return "alter table " + x + " alter column a type " + pick(p.gen, "varchar(9)", "text")
	case 8:
		return "truncate " + pick(p.gen, x, "items", "events")
	case 9:
		return "create index on " + x + " (id)"
	case 10:
		if !p.has("settings") {
			return "create table " + x + "_tmp (id int)" // temporary tables are seen by all connections: a limit
		}
		return "create temporary table " + x + "_tmp (id int) on commit " + pick(p.gen, "preserve rows", "drop", "delete rows")
	}
	return "alter table items " + pick(p.gen, "add column extra int default 1", "drop column if exists extra", "alter column note type text")
}

// onX uses what ddl makes.
func onX(p *params) string {
	x := pick(p.gen, "x1", "x2")
	switch p.IntN(4) {
	case 0:
		return fmt.Sprintf("insert into %s (id) values (%s)", x, p.num(p.key()))
	case 1:
		return "insert into " + x + "_tmp values (1)"
	case 2:
		return "select * from " + x + "_tmp"
	}
	return "select * from " + x + " order by id"
}

// routine makes or drops what runs statements on the server. Functions could be made in pg_catalog, where they would outlive a sequence.
func routine(p *params) string {
	if p.together {
		return write(p)
	}
	switch p.IntN(12) {
	case 0, 1:
		return "create or replace function public.f1(n int) returns int language plpgsql as $$ begin insert into parents values (n); return n; " +
			"exception when unique_violation then " + pick(p.gen, "return -n", "delete from parents where id = n; return 0", "raise") + "; end $$"
	case 2:
		return "create function public.f2(n int) returns setof items language sql as $$ select * from items where id >= n order by id $$"
	case 3:
		return "create or replace function public.f3() returns text language sql set work_mem = '1MB' as $$ select current_setting('work_mem') $$"
	case 4:
		return "create or replace procedure public.p1(n int) language plpgsql as $$ begin insert into items (id, name) values (n, 'p1'); perform 1 / (n - 3); end $$"
	case 5:
		return "drop " + pick(p.gen, "function if exists public.f1", "function public.f1(int)", "function if exists public.f2", "function public.f3()", "procedure public.p1", "view v1", "materialized view if exists m1")
	case 6:
		return "create or replace view v1 as select id, name from items where qty >= 0"
	case 7:
		return "create materialized view m1 as select count(*) as n from items"
	case 8:
		return "create sequence " + pick(p.gen, "", "if not exists ") + "sq start 5"
	case 9:
		return pick(p.gen, "drop sequence if exists sq", "alter sequence sq restart with 9", "alter sequence sq increment by 3")
	case 10:
		return "create or replace function public.t1() returns trigger language plpgsql as $$ begin insert into events values (new.id, 1) on conflict (id) do update set v = events.v + 1; return new; end $$"
	}
	return pick(p.gen, "create trigger tr1 after insert on items for each row execute function public.t1()", "drop trigger if exists tr1 on items",
		"create constraint trigger tr1 after insert on items initially deferred for each row execute function public.t1()", "alter table items disable trigger user",
		"alter table items enable trigger user")
}

// callRoutine uses what routine makes.
func callRoutine(p *params) string {
	switch p.IntN(13) {
	case 0, 1:
		return fmt.Sprintf("select f1(%s)", p.cast(p.key(), "int"))
	case 2:
		return fmt.Sprintf("select * from f2(%s)", p.cast(p.key(), "int"))
	case 3:
		return "select f3(), current_setting('work_mem')"
	case 4:
		return fmt.Sprintf("call p1(%s)", p.cast(1+p.IntN(5), "int"))
	case 5:
		return "do $$ begin insert into items (id, name) values (1, 'do'); exception when unique_violation then update items set qty = qty + 1 where id = 1; end $$"
	case 6:
		return fmt.Sprintf("insert into v1 values (%s, %s)", p.num(p.key()), p.text(p.name()))
	case 7:
		return pick(p.gen, "refresh materialized view m1", "table m1", "analyze items", "reindex table items")
	case 8:
		return pick(p.gen, "select nextval('sq')", "select nextval('sq'), nextval('sq')", "select setval('sq', 20)") // currval is seen by all connections: a limit
	case 9:
		return pick(p.gen, "lock table items in share mode", "lock items", "lock v1, parents in exclusive mode")
	case 10:
		return "select * from items where id = " + p.num(p.key()) + " for " + pick(p.gen, "update", "share", "no key update nowait", "key share skip locked")
	case 11:
		return pick(p.gen, "comment on table items is 'x'", "grant select on items to pg_monitor", "revoke all on items from pg_monitor", "select obj_description('items'::regclass)")
	}
	return pick(p.gen, "values (1, 'a'), (2, 'b')", "select 1 where false", "select", "table v1", "explain (costs off) select * from items", "show work_mem")
}
