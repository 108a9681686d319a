package conformance_test

import "github.com/jackc/pgx/v5"

const orphan = "insert into children values (1, 99)"

var deferred = []behaviour{
	{"a deferred foreign key is checked at the end of a statement outside a transaction", func(e *Env) {
		db := e.DB()
		e.Do(db, orphan)
		e.Do(db, "insert into children values ($1, $2)", 1, 99)
		e.Show(db, "select id from children")
		e.Do(db, "insert into parents values (99)")
		e.Do(db, orphan)
		e.Show(db, "select id from children")
	}, marks{}},
	{"a deferred foreign key is checked at commit", func(e *Env) {
		db := e.DB()
		tx := e.Begin(db)
		e.Do(tx, orphan)
		e.Show(tx, "select id from children")
		e.Err("commit", tx.Commit())
		e.Show(db, "select id from children")
		e.Do(db, "insert into parents values (1)")
	}, marks{}},
	{"a deferred foreign key that is satisfied before commit", func(e *Env) {
		db := e.DB()
		tx := e.Begin(db)
		e.Do(tx, "insert into children values ($1, $2)", 1, 99)
		e.Do(tx, "insert into parents values ($1)", 99)
		e.Err("commit", tx.Commit())
		e.Show(db, "select id from children")
	}, marks{}},
	{"a deferred foreign key and deletes", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into parents values (1)")
		e.Do(db, "insert into children values (1, 1)")
		e.Do(db, "delete from parents")
		tx := e.Begin(db)
		e.Do(tx, "delete from parents")
		e.Err("commit", tx.Commit())
		e.Do(db, "with c as (delete from children) delete from parents")
		e.Show(db, "select (select count(*) from parents), (select count(*) from children)")
	}, marks{}},
	{"a rolled back savepoint takes its deferred checks along", func(e *Env) {
		db := e.DB()
		tx := e.Begin(db)
		e.Do(tx, "insert into parents values (1)")
		e.Do(tx, "savepoint s")
		e.Do(tx, orphan)
		e.Do(tx, "rollback to s")
		e.Err("commit", tx.Commit())
		e.Show(db, "select id from parents")
	}, marks{}},
	{"SET CONSTRAINTS ALL IMMEDIATE checks at once", func(e *Env) {
		db := e.DB()
		tx := e.Begin(db)
		e.Do(tx, orphan)
		e.Do(tx, "set constraints all immediate")
		e.Err("rollback", tx.Rollback())
		tx = e.Begin(db)
		e.Do(tx, "set constraints all immediate")
		e.Do(tx, orphan)
		e.Err("rollback", tx.Rollback())
		tx = e.Begin(db)
		e.Do(tx, orphan)
		e.Do(tx, "insert into parents values (99)")
		e.Err("commit", tx.Commit())
	}, marks{}},
	{"SET CONSTRAINTS by name", func(e *Env) {
		db := e.DB()
		tx := e.Begin(db)
		e.Do(tx, "set constraints children_parent_fkey immediate")
		e.Do(tx, orphan)
		e.Err("rollback", tx.Rollback())
		tx = e.Begin(db)
		e.Do(tx, "set constraints nowhere deferred")
		e.Err("rollback", tx.Rollback())
	}, marks{}},
	{"constraint modes end with their transaction", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into pairs values (1, 1), (2, 2)")
		for _, end := range []string{"commit", "rollback"} {
			e.Do(db, "begin; set constraints all deferred; update pairs set place = 2 where id = 1; update pairs set place = 1 where id = 2; "+end)
			e.Show(db, "select id, place from pairs order by id")
			e.Do(db, "update pairs set place = 2 where id = 2")
			e.Do(db, "update pairs set place = 1 where id = 2")
		}
		tx := e.Begin(db)
		e.Do(tx, "update pairs set place = 7")
		e.Err("rollback", tx.Rollback())
	}, marks{}},
	{"a unique constraint deferred by hand", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into pairs values (1, 1), (2, 2)")
		tx := e.Begin(db)
		e.Do(tx, "set constraints pairs_place deferred")
		e.Do(tx, "update pairs set place = $1 where id = $2", 2, 1)
		e.Do(tx, "update pairs set place = $1 where id = $2", 1, 2)
		e.Err("commit", tx.Commit())
		e.Show(db, "select id, place from pairs order by id")
		tx = e.Begin(db)
		e.Do(tx, "set constraints pairs_place deferred")
		e.Do(tx, "update pairs set place = 1")
		e.Err("commit", tx.Commit())
		e.Do(db, "update pairs set place = 3 - place")
		e.Show(db, "select id, place from pairs order by id")
	}, marks{}},
	{"SET CONSTRAINTS outside a transaction does nothing", func(e *Env) {
		conn := e.Conn()
		e.Do(conn, "set constraints all immediate")
		e.Do(conn, "begin")
		e.Do(conn, orphan)
		e.Do(conn, "rollback")
	}, native},
	{"a deferred trigger runs at commit", func(e *Env) {
		db := e.DB()
		tx := e.Begin(db)
		e.Do(tx, "insert into audited values (1, 10)")
		e.Show(tx, "select what from events")
		e.Err("commit", tx.Commit())
		e.Show(db, "select what from events")
		e.Do(db, "insert into audited values (2, 20), (3, 30)")
		e.Show(db, "select what from events order by n")
	}, marks{}},
	{"a deferred trigger that fails", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into audited values (1, -1)")
		e.Do(db, "insert into audited values ($1, $2)", 1, -1)
		tx := e.Begin(db)
		e.Do(tx, "insert into audited values (1, -1)")
		e.Err("commit", tx.Commit())
		e.Show(db, "select (select count(*) from audited), (select count(*) from events)")
		e.Do(db, "insert into audited values (1, 1)")
	}, marks{}},
	{"a deferred trigger does not run when the transaction is rolled back", func(e *Env) {
		db := e.DB()
		tx := e.Begin(db)
		e.Do(tx, "insert into audited values (1, 10)")
		e.Err("rollback", tx.Rollback())
		e.Show(db, "select what from events")
	}, marks{}},
	{"a deferred trigger on a statement's own rows, RETURNING", func(e *Env) {
		db := e.DB()
		rows, err := db.QueryContext(e.Ctx, "insert into audited values (1, 1), (2, -2) returning id")
		e.Err("query", err)
		if err == nil {
			e.Err("rows", e.sqlRows("returning", rows))
		}
		var id int
		e.Err("row", db.QueryRowContext(e.Ctx, "insert into audited values ($1, $2) returning id", 5, -5).Scan(&id))
		e.Log("id %d", id)
		e.Show(db, "select id from audited")
	}, marks{}},
	{"deferred checks in a string of several statements", func(e *Env) {
		db := e.DB()
		e.Do(db, orphan+"; insert into parents values (99)")
		e.Show(db, "select id from children")
		e.Do(db, "insert into children values (2, 98); select 1")
		e.Do(db, "begin; insert into children values (2, 98); commit; select 1")
		e.Do(db, "insert into children values (2, 98); commit; select 1")
		e.Do(db, "begin; insert into children values (2, 98); rollback; select 1")
		e.Show(db, "select id from children")
	}, marks{}},
	{"ALTER after a deferred insert", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into parents values (1)")
		e.Do(db, "insert into children values (1, 1)")
		e.Do(db, "alter table children add column extra int")
		e.Do(db, "insert into audited values (1, 1)")
		e.Do(db, "alter table audited add column extra int")
		e.Show(db, "select * from children")
		tx := e.Begin(db)
		e.Do(tx, "insert into children values (2, 1)")
		e.Do(tx, "alter table children add column more int")
		e.Err("rollback", tx.Rollback())
	}, marks{}},
	{"a deferred constraint made by the test", func(e *Env) {
		db := e.DB()
		e.Do(db, "create table a (id int primary key, next int references a deferrable initially deferred)")
		e.Do(db, "insert into a values (1, 2)")
		e.Do(db, "insert into a values (1, 2), (2, 1)")
		tx := e.Begin(db)
		e.Do(tx, "create table b (id int references a deferrable initially deferred)")
		e.Do(tx, "insert into b values (9)")
		e.Err("commit", tx.Commit())
		e.Do(db, "create schema other; create table other.b (id int references a deferrable initially deferred)")
		e.Do(db, "insert into other.b values (9)")
		e.Do(db, `create table "Odd ""Name" (id int, constraint "The ""Check" unique (id) deferrable initially deferred)`)
		e.Do(db, `insert into "Odd ""Name" values (1), (1)`)
		tx = e.Begin(db)
		e.Do(tx, `insert into "Odd ""Name" values (1), (1)`)
		e.Err("commit", tx.Commit())
		e.Do(db, "create temp table tt (id int unique deferrable initially deferred)")
		e.Do(db, "drop table other.b")
		e.Do(db, "insert into a values (3, 99)")
	}, marks{}},
	{"a constraint altered to be deferred", func(e *Env) {
		db := e.DB()
		e.Do(db, "alter table children alter constraint children_parent_fkey not deferrable")
		tx := e.Begin(db)
		e.Do(tx, orphan)
		e.Err("rollback", tx.Rollback())
		e.Do(db, "alter table children alter constraint children_parent_fkey deferrable initially deferred")
		tx = e.Begin(db)
		e.Do(tx, orphan)
		e.Err("commit", tx.Commit())
	}, marks{}},
	{"deferred exclusion constraints", func(e *Env) {
		db := e.DB()
		e.Do(db, "create table r (x int4range, exclude using gist (x with &&) deferrable initially deferred)")
		e.Do(db, "insert into r values ('[1,5)')")
		e.Do(db, "insert into r values ('[2,3)')")
		tx := e.Begin(db)
		e.Do(tx, "insert into r values ('[2,3)')")
		e.Do(tx, "delete from r where x = '[1,5)'")
		e.Err("commit", tx.Commit())
		e.Show(db, "select x::text from r")
	}, marks{}},
	{"a deferred check that only a function's writes need", func(e *Env) {
		db := e.DB()
		e.Do(db, "create function sneak() returns int language sql as $$ insert into children values (1, 99) returning id $$")
		e.Show(db, "select sneak()")
		e.Do(db, "do $$ begin perform sneak(); end $$")
		e.Do(db, "create procedure sneaky() language sql as $$ insert into children values (1, 99) $$")
		e.Do(db, "call sneaky()")
		e.Do(db, "create view v as select sneak() as s")
		e.Show(db, "select s from v")
		e.Show(db, "table v")
		e.Show(db, "with w as (insert into children values (1, 99) returning id) select id from w")
		e.Do(db, "prepare p as insert into children values (1, 99)")
		e.Do(db, "execute p")
		e.Do(db, "explain (analyze, costs off, timing off, summary off) insert into children values (1, 99)")
		e.Show(db, "select count(*) from children")
	}, marks{}},
	{"a deferred check in a batch", func(e *Env) {
		conn := e.Conn()
		for _, parent := range []int{99, 1} {
			b := &pgx.Batch{}
			b.Queue("insert into children values ($1, $2)", 1, 1)
			b.Queue("insert into parents values ($1)", parent)
			e.Err("batch", conn.SendBatch(e.Ctx, b).Close())
			e.Show(conn, "select id from children")
		}
	}, native},
	{"a deferred check at the end of a COPY", func(e *Env) {
		conn := e.Conn()
		n, err := conn.CopyFrom(e.Ctx, pgx.Identifier{"children"}, []string{"id", "parent"}, pgx.CopyFromRows([][]any{{1, 99}}))
		e.Log("%d", n)
		e.Err("copy", err)
		e.Log("status %c", conn.PgConn().TxStatus())
		e.Show(conn, "select id from children")
		e.Do(conn, "insert into parents values (99)")
		n, err = conn.CopyFrom(e.Ctx, pgx.Identifier{"children"}, []string{"id", "parent"}, pgx.CopyFromRows([][]any{{1, 99}}))
		e.Log("%d", n)
		e.Err("copy", err)
	}, native},
	{"a deferred check in the extended protocol comes at Sync", func(e *Env) {
		w := e.Wire()
		w.ask(append(extended(orphan), syncs)...)
		w.ask(append(extended("insert into audited values (1, 5)"), syncs)...)
		w.query(orphan)
		w.query("insert into audited values (2, -5)")
		w.query("begin")
		w.ask(append(extended(orphan), syncs)...)
		w.ask(append(extended("commit"), syncs)...)
	}, native},
	{"a deferred trigger raises a notice", func(e *Env) {
		conn := e.Conn()
		e.Do(conn, `create function note() returns trigger language plpgsql as $$ begin raise notice 'saw %', new.id; return null; end $$;
			create constraint trigger notes after insert on parents deferrable initially deferred for each row execute function note()`)
		e.Do(conn, "insert into parents values (1)")
		e.Do(conn, "insert into parents values ($1)", 2)
		e.Do(conn, "begin")
		e.Do(conn, "insert into parents values (3)")
		e.Do(conn, "commit")
	}, native},
	{"a deferred trigger that writes rows with deferred checks", func(e *Env) {
		db := e.DB()
		e.Do(db, `create function chain() returns trigger language plpgsql as $$ begin insert into children values (new.id, new.id); return null; end $$;
			create constraint trigger chains after insert on items deferrable initially deferred for each row execute function chain()`)
		e.Do(db, "insert into items values (1, 'a')")
		e.Do(db, "insert into parents values (1)")
		e.Do(db, "insert into items values (1, 'a')")
		tx := e.Begin(db)
		e.Do(tx, "insert into items values (2, 'b')")
		e.Err("commit", tx.Commit())
		e.Show(db, "select id from items")
	}, marks{}},
	{"a savepoint takes back what was done to a constraint", func(e *Env) {
		conn := e.Conn()
		e.Do(conn, "create table parents (id int primary key)")
		e.Do(conn, "create table children (id int, parent int constraint child_fk references parents deferrable initially deferred)")
		tx := e.BeginPgx(conn)
		e.Do(tx, "savepoint s")
		e.Do(tx, "alter table children drop constraint child_fk")
		e.Do(tx, "rollback to s")
		e.Do(tx, "insert into children values (1, 99)")
		e.Err("commit", tx.Commit(e.Ctx))
		e.Show(conn, "select count(*) from children")
		tx = e.BeginPgx(conn)
		e.Do(tx, "savepoint s")
		e.Do(tx, "alter table children add constraint later unique (id) deferrable initially deferred")
		e.Do(tx, "rollback to s")
		e.Do(tx, "insert into parents values (1)")
		e.Err("commit", tx.Commit(e.Ctx))
	}, marks{native: true}},
	{"deferred checks come behind the end of savepoints that are left open, and of what is READ ONLY there", func(e *Env) {
		conn := e.Conn()
		e.Do(conn, "insert into parents values (1), (2)")
		for _, end := range []string{"commit", "release a; commit", "commit and chain", "set constraints all immediate; commit"} {
			e.Do(conn, "begin")
			e.Do(conn, `savepoint a; savepoint "B ""b"`)
			e.Do(conn, "savepoint a")
			e.Do(conn, "delete from parents where id = 1")
			e.Do(conn, "set transaction read only")
			e.Show(conn, "select count(*) from parents")
			e.Do(conn, end)
			e.Do(conn, "insert into parents values (1)")
			e.Do(conn, "rollback")
			e.Show(conn, "select id from parents order by id")
		}
	}, marks{native: true}},
	{"a temporary table with a deferred constraint goes at the commit", func(e *Env) {
		conn := e.Conn()
		e.Do(conn, "create table ranked (id int unique deferrable initially immediate, pos int unique deferrable initially deferred)")
		tx := e.BeginPgx(conn)
		e.Do(tx, "create temp table load (like ranked including all) on commit drop")
		e.Do(tx, "insert into load values (1, 1)")
		e.Do(tx, "insert into ranked select * from load")
		e.Err("commit", tx.Commit(e.Ctx))
		e.Do(conn, "insert into ranked values (2, 2)")
		e.Do(conn, "insert into ranked values (3, 2)")
		e.Show(conn, "select id from ranked order by id")
	}, marks{native: true}},
	{"SET CONSTRAINTS in a block or a function is checked at the commit", func(e *Env) {
		conn := e.Conn()
		e.Do(conn, "create table parents (id int primary key)")
		e.Do(conn, "create table children (id int, parent int constraint child_fk references parents deferrable)")
		const body = "begin set constraints all deferred; insert into children values (1, 99); end"
		for range 2 { // at first there is no function that could
			tx := e.BeginPgx(conn)
			e.Do(tx, "do $$ "+body+" $$")
			e.Err("commit", tx.Commit(e.Ctx))
			e.Do(conn, "do $$ "+body+" $$")
			e.Do(conn, "create or replace function load() returns void language plpgsql as $$ "+body+" $$")
		}
		tx := e.BeginPgx(conn)
		e.Do(tx, "select load()")
		e.Err("commit", tx.Commit(e.Ctx))
		e.Do(conn, "select load()")
		e.Do(conn, "insert into children values (2, 99)")
		e.Show(conn, "select id from children")
	}, marks{native: true}},
}
