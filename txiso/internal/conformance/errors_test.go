package conformance_test

import (
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const allItems = "select id, name, qty, note from items order by id"

var statementErrors = []behaviour{
	{"a failed statement outside a transaction changes nothing else", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items (id, name) values (1, 'a')")
		e.Do(db, "insert into items (id, name) values (1, 'a')")
		e.Do(db, "insert into items (id, name) values (2, 'b')")
		e.Show(db, allItems)
	}, marks{}},
	{"insert, or update after a unique violation", func(e *Env) {
		db := e.DB()
		for i := range 3 {
			_, err := db.ExecContext(e.Ctx, "insert into items (id, name, qty) values ($1, $2, $3)", 1, "a", i)
			var pe *pgconn.PgError
			if errors.As(err, &pe) && pe.Code == "23505" {
				e.Do(db, "update items set qty = qty + $1 where id = $2", 10, 1)
			}
		}
		e.Show(db, allItems)
	}, marks{}},
	{"a syntax error has its position", func(e *Env) {
		db := e.DB()
		e.Do(db, "select 1 frum items")
		e.Do(db, "   select 'ä' , $1::int frum items", 1)
		e.Show(db, "select 1")
	}, marks{}},
	{"a unique violation has all its fields", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items (id, name) values (1, 'x')")
		e.Do(db, "insert into items (id, name) values (2, $1)", "x")
	}, marks{}},
	{"a check violation has all its fields", func(e *Env) {
		e.Do(e.DB(), "insert into items (id, name, qty) values (1, $1, $2)", "x", -1)
	}, marks{}},
	{"a not-null violation has all its fields", func(e *Env) {
		e.Do(e.DB(), "insert into items (id, name) values (1, $1)", nil)
	}, marks{}},
	{"a foreign key violation has all its fields", func(e *Env) {
		db := e.DB()
		e.Do(db, "create table orders (item bigint not null references items)")
		e.Do(db, "insert into orders values ($1)", 77)
		e.Show(db, "select count(*) from orders")
	}, marks{}},
	{"a value that is too long is refused", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items (id, name, note) values (1, $1, $2)", "x", "012345678901234567890")
		e.Do(db, "insert into items (id, name, note) values (1, 'x', '012345678901234567890')")
		e.Show(db, allItems)
	}, marks{}},
	{"an error inside a function tells where", func(e *Env) {
		db := e.DB()
		e.Do(db, "create function f(i int) returns int language plpgsql as $$ begin return 10 / i; end $$")
		e.Show(db, "select f(5)")
		e.Show(db, "select f($1)", 0)
		e.Show(db, "select f(0)")
		e.Show(db, "select f(2)")
	}, marks{}},
	{"an error in SQL inside a function has the internal query", func(e *Env) {
		db := e.DB()
		e.Do(db, "create function g() returns void language plpgsql as $$ begin execute 'selec 1'; end $$")
		e.Show(db, "select g()")
	}, marks{}},
	{"a raised error has its own code, detail and hint", func(e *Env) {
		db := e.DB()
		e.Do(db, "do $$ begin raise exception 'no' using errcode = 'ZZ123', detail = 'd', hint = 'h', table = 't', column = 'c', constraint = 'k', schema = 's', datatype = 'y'; end $$")
		e.Show(db, "select 1")
	}, marks{}},
	{"division by zero in the middle of the rows", func(e *Env) {
		db := e.DB()
		rows, err := db.QueryContext(e.Ctx, "select 10 / (3 - n) from generate_series(1, 5) n")
		e.Must("query", err)
		e.Err("rows", e.sqlRows("division", rows))
		e.Show(db, "select 1")
	}, marks{}},
	{"a query for a table that does not exist", func(e *Env) {
		db := e.DB()
		e.Show(db, "select * from nowhere where id = $1", 1)
		e.Show(db, "select nothing from items")
		e.Show(db, "select nofunction(1)")
		e.Show(db, "select 1")
	}, marks{}},
	{"a wrong type of argument", func(e *Env) {
		db := e.DB()
		e.Show(db, "select $1::int", "abc")
		e.Show(db, "select $1::int", int64(1)<<40)
		e.Show(db, "select $1::int", 1)
	}, marks{}},
	{"a wrong number of arguments", func(e *Env) {
		db := e.DB()
		e.Show(db, "select $1::int", 1, 2)
		e.Show(db, "select $1::int, $2::int", 1)
		e.Show(db, "select $1::int", 1)
	}, marks{}},
	{"no rows", func(e *Env) {
		db := e.DB()
		var id int
		e.Err("scan", db.QueryRowContext(e.Ctx, "select id from items where id = $1", 1).Scan(&id))
	}, marks{}},
	{"a string of several statements is atomic", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items values (1, 'a'); insert into items values (2, 'b'); insert into items values (3, 'a')")
		e.Show(db, "select name from items")
		e.Do(db, "insert into items values (1, 'a'); insert into items values (2, 'b')")
		e.Show(db, "select name from items order by 1")
	}, marks{}},
	{"a string of several statements with arguments is refused", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items values (1, $1); select 1", "a")
		e.Show(db, "select count(*) from items")
	}, marks{}},
	{"an empty string and a lone semicolon are statements", func(e *Env) {
		db := e.DB()
		e.Do(db, "")
		e.Do(db, ";")
		e.Do(db, " -- nothing\n")
		e.Show(db, "select 1")
	}, marks{}},
	{"a batch undoes itself", func(e *Env) {
		conn := e.Conn()
		b := &pgx.Batch{}
		b.Queue("insert into items values ($1, $2)", 1, "a")
		b.Queue("insert into items values ($1, $2)", 2, "a")
		b.Queue("insert into items values ($1, $2)", 3, "c")
		e.Err("batch", conn.SendBatch(e.Ctx, b).Close())
		e.Show(conn, "select name from items")
	}, native},
	{"an error names its place in the server's sources", func(e *Env) {
		conn := e.Conn()
		_, err := conn.Exec(e.Ctx, "select * from nowhere")
		var pe *pgconn.PgError
		e.Check(errors.As(err, &pe), "no PgError: %v", err)
		e.Log("%s %d %s", pe.File, pe.Line, pe.Routine)
	}, native},
	{"a failed statement leaves the connection ready", func(e *Env) {
		conn := e.Conn()
		e.Do(conn, "select 1/0")
		e.Log("status %c busy %v closed %v", conn.PgConn().TxStatus(), conn.PgConn().IsBusy(), conn.IsClosed())
		e.Do(conn, "select 1/$1::int", 0)
		e.Log("status %c busy %v closed %v", conn.PgConn().TxStatus(), conn.PgConn().IsBusy(), conn.IsClosed())
	}, native},
	{"raised notices arrive before the result", func(e *Env) {
		conn := e.Conn()
		e.Do(conn, "do $$ begin raise notice 'n %', 1; raise warning 'w'; end $$")
		e.Do(conn, "create table if not exists items ()")
		e.Do(conn, "drop table if exists nowhere")
	}, native},
	{"what a SELECT has written survives an error behind it", func(e *Env) {
		conn := e.Conn()
		e.Do(conn, "insert into items values (1, 'a')")
		for _, sql := range []string{
			"select * into backup from items",
			"explain (analyze, buffers off, costs off, timing off, summary off) update items set name = 'b'",
			"(with d as (insert into items values (2, 'c') returning id) select id from d)",
		} {
			e.Do(conn, sql)
			e.Do(conn, "select 1/0")
		}
		e.Show(conn, "select * from backup")
		e.Show(conn, "select id, name from items order by id")
	}, marks{native: true}},
}
