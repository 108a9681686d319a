package conformance_test

import "fmt"

var ddl = []behaviour{
	{"create, use, alter and drop a table", func(e *Env) {
		db := e.DB()
		e.Do(db, "create table t (id int primary key, v text default 'd')")
		e.Do(db, "insert into t (id) values ($1)", 1)
		e.Do(db, "alter table t add column n int not null default 5, alter column v type varchar(3)")
		e.Show(db, "select * from t")
		e.Do(db, "create index on t (v)")
		e.Do(db, "create unique index t_n on t (n)")
		e.Do(db, "insert into t (id) values ($1)", 2)
		e.Do(db, "truncate t")
		e.Show(db, "select count(*) from t")
		e.Do(db, "alter table t rename to u")
		e.Show(db, "select * from t")
		e.Do(db, "drop table u")
		e.Do(db, "drop table u")
	}, marks{}},
	{"DDL in a transaction is rolled back", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items values (1, 'a')")
		e.Show(db, "select * from items where id = $1", 1)
		tx := e.Begin(db)
		e.Do(tx, "alter table items add column extra int default 3")
		e.Show(tx, "select * from items where id = $1", 1)
		e.Do(tx, "drop table children")
		e.Err("rollback", tx.Rollback())
		e.Show(db, "select * from items where id = $1", 1)
		e.Show(db, "select * from children")
	}, marks{}},
	{"a prepared statement after its table has changed", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Do(conn, "insert into items values (1, 'a')")
		for range 2 {
			e.Show(conn, "select * from items where id = $1", 1)
		}
		e.Do(conn, "alter table items add column extra int")
		for range 3 {
			e.Show(conn, "select * from items where id = $1", 1)
		}
		e.Do(conn, "alter table items alter column extra type text")
		for range 3 {
			e.Show(conn, "select * from items where id = $1", 1)
		}
	}, marks{}},
	{"a prepared statement after its table has changed and many others were prepared", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Show(conn, "select * from items where id = $1", 1)
		e.Do(conn, "alter table items add column extra int")
		for i := range 50 {
			e.Show(conn, fmt.Sprintf("select %d + $1::int", i), 1)
		}
		for range 2 {
			e.Show(conn, "select * from items where id = $1", 1)
		}
	}, marks{}},
	{"a prepared statement in a transaction after its table has changed", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Show(conn, "select * from items where id = $1", 1)
		tx := e.Begin(conn)
		e.Do(tx, "alter table items add column extra int")
		e.Show(tx, "select * from items where id = $1", 1)
		e.Show(tx, "select * from items where id = $1", 1)
		e.Err("rollback", tx.Rollback())
		e.Show(conn, "select * from items where id = $1", 1)
	}, marks{}},
	{"a prepared statement on another connection after a table has changed", func(e *Env) {
		db := e.DB()
		one, two := e.SQLConn(db), e.SQLConn(db)
		e.Show(one, "select * from items where id = $1", 1)
		e.Show(two, "select * from items where id = $1", 1)
		e.Do(two, "alter table items add column extra int")
		e.Show(one, "select * from items where id = $1", 1)
		e.Show(one, "select * from items where id = $1", 1)
		e.Show(two, "select * from items where id = $1", 1)
		e.Show(db, "select * from items where id = $1", 1)
	}, marks{}},
	{"a statement of database/sql after its table has changed", func(e *Env) {
		db := e.DB()
		stmt, err := db.PrepareContext(e.Ctx, "select * from items")
		e.Must("prepare", err)
		defer stmt.Close()
		for _, change := range []string{"select 1", "alter table items add column extra int", "alter table items drop column note", "insert into items (id, name) values (1, 'a')"} {
			e.Do(db, change)
			for range 2 {
				rows, err := stmt.QueryContext(e.Ctx)
				e.Err("query", err)
				if err == nil {
					e.Err("rows", e.sqlRows("items", rows))
				}
			}
		}
	}, marks{}},
	{"a table is dropped and made again with other columns", func(e *Env) {
		db := e.DB()
		for _, columns := range []string{"a int", "b text, c int", "a text"} {
			e.Do(db, "create table t ("+columns+")")
			e.Show(db, "select * from t where $1", true)
			e.Do(db, "insert into t default values")
			e.Show(db, "select * from t where $1", true)
			e.Do(db, "drop table t")
		}
	}, marks{}},
	{"types, functions, views, schemas", func(e *Env) {
		db := e.DB()
		e.Do(db, "create type mood as enum ('sad', 'happy')")
		e.Do(db, "create domain positive as int check (value > 0)")
		e.Do(db, "create table people (m mood, n positive)")
		e.Do(db, "insert into people values ($1, $2)", "happy", 1)
		e.Do(db, "insert into people values ($1, $2)", "angry", 1)
		e.Do(db, "insert into people values ('sad', 0)")
		e.Do(db, "create view v as select m from people")
		e.Show(db, "select m::text from v")
		e.Do(db, "drop type mood")
		e.Do(db, "drop type mood cascade")
		e.Do(db, "create schema s create table t (i int)")
		e.Do(db, "insert into s.t values ($1)", 1)
		e.Do(db, "drop schema s cascade")
		e.Do(db, "comment on table items is 'things'")
		e.Do(db, "grant select on items to public")
		e.Do(db, "create materialized view mv as select 1 as one")
		e.Do(db, "refresh materialized view mv")
		e.Do(db, "analyze items")
	}, marks{}},
	{"a value added to an enum can be used", func(e *Env) {
		db := e.DB()
		e.Do(db, "create type mood as enum ('sad')")
		e.Do(db, "alter type mood add value 'happy'")
		e.Show(db, "select 'happy'::mood::text")
	}, marks{}},
	{"triggers and rules", func(e *Env) {
		db := e.DB()
		e.Do(db, "create function up() returns trigger language plpgsql as $$ begin new.name = upper(new.name); return new; end $$")
		e.Do(db, "create trigger up before insert on items for each row execute function up()")
		e.Do(db, "insert into items values ($1, $2)", 1, "a")
		e.Do(db, "alter table items disable trigger up")
		e.Do(db, "insert into items values ($1, $2)", 2, "b")
		e.Show(db, allItems)
		e.Do(db, "drop trigger up on items")
	}, marks{}},
	{"partitions", func(e *Env) {
		db := e.DB()
		e.Do(db, "create table m (d int not null, v text) partition by range (d)")
		e.Do(db, "create table m1 partition of m for values from (0) to (10)")
		e.Do(db, "insert into m values ($1, $2)", 5, "x")
		e.Do(db, "insert into m values ($1, $2)", 15, "y")
		e.Do(db, "alter table m detach partition m1")
		e.Show(db, "select count(*) from m")
		e.Do(db, "create table p (id int references m1)")
	}, marks{}},
	{"TRUNCATE is rolled back", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items values (1, 'a')")
		tx := e.Begin(db)
		e.Do(tx, "truncate items")
		e.Err("rollback", tx.Rollback())
		e.Show(db, allItems)
		e.Do(db, "truncate parents")
		e.Do(db, "truncate parents, children")
	}, marks{}},
	{"DROP with rows that were read partly", func(e *Env) {
		db := e.DB()
		rows, err := db.QueryContext(e.Ctx, "select generate_series(1, 1000)")
		e.Must("query", err)
		rows.Next()
		rows.Close()
		e.Do(db, "drop table items")
		e.Do(db, "create table items (other int)")
		e.Show(db, "select * from items")
	}, marks{}},
	{"ids of a generated column", func(e *Env) {
		db := e.DB()
		e.Do(db, "create table g (id int generated always as identity, v int, d int generated always as (v * 2) stored)")
		e.Show(db, "insert into g (v) values ($1), ($2) returning id, d", 3, 4)
		e.Do(db, "insert into g (id, v) values (1, 1)")
	}, marks{}},
	{"a table made from rows is a new one to prepared statements", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		const sql = "select * from r where $1"
		tx := e.BeginPgx(a)
		e.Do(tx, "create temp table r on commit drop as select 1 as a")
		e.Show(tx, sql, true)
		e.Err("commit", tx.Commit(e.Ctx))
		tx = e.BeginPgx(b)
		e.Do(tx, "create temp table r on commit drop as select 1 as a, 2 as b")
		e.Show(tx, sql, true)
		e.Err("commit", tx.Commit(e.Ctx))
		e.Show(a, sql, true)
		e.Do(a, "select 3 as c into r")
		e.Show(e.Conn(), sql, true)
	}, marks{native: true}},
}

var realCommits = []behaviour{
	{"VACUUM", func(e *Env) { e.Do(e.DB(), "vacuum items") }, marks{}},
	{"CREATE INDEX CONCURRENTLY", func(e *Env) { e.Do(e.DB(), "create index concurrently i on items (qty)") }, marks{}},
	{"REINDEX CONCURRENTLY", func(e *Env) { e.Do(e.DB(), "reindex table concurrently items") }, marks{}},
	{"CREATE DATABASE", func(e *Env) {
		conn := e.Conn()
		name := conn.Config().Database + "_x"
		e.Do(conn, "create database "+name)
		e.Do(conn, "drop database "+name)
	}, native},
	{"these are refused in an app transaction as everywhere", func(e *Env) {
		db := e.DB()
		for _, s := range []string{"vacuum items", "create index concurrently i on items (qty)", "create database x", "alter system reset work_mem", "discard all"} {
			tx := e.Begin(db)
			e.Do(tx, s)
			e.Err("rollback", tx.Rollback())
			e.Do(db, "begin; "+s)
			e.Do(db, "rollback")
		}
	}, marks{}},
	{"two databases see nothing of each other", func(e *Env) {
		e.Do(e.DB(), "insert into items values (1, 'a')")
		private := iso.Clone(newBodyTBFor(e))
		e.Show(private.DB, "select count(*) from items")
		e.Do(private.DB, "vacuum items")
	}, marks{}},
}
