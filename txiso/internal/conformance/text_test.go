package conformance_test

import (
	"strings"

	"github.com/jackc/pgx/v5"
)

// script runs statements on one connection of pgx, in the simple protocol, and records the transaction status after each.
func script(statements ...string) func(*Env) {
	return func(e *Env) {
		conn := e.Conn()
		for _, s := range statements {
			e.Do(conn, s)
			e.Log("  status %c", conn.PgConn().TxStatus())
		}
		if conn.PgConn().TxStatus() != 'I' {
			e.Do(conn, "rollback")
		}
		e.Show(conn, "select id from items order by id")
	}
}

// prepared is script in the extended protocol, each statement prepared under a name.
func prepared(statements ...string) func(*Env) {
	return func(e *Env) {
		conn := e.Conn()
		for _, s := range statements {
			_, err := conn.Prepare(e.Ctx, s, s)
			if err != nil {
				e.Err("prepare "+s, err)
				continue
			}
			e.Do(conn, s)
			e.Log("  status %c", conn.PgConn().TxStatus())
		}
		if conn.PgConn().TxStatus() != 'I' {
			e.Do(conn, "rollback")
		}
		e.Show(conn, "select id from items order by id")
	}
}

// between puts each of the spellings between a BEGIN and a statement that tells what it did.
func spellings(before string, words ...string) func(*Env) {
	var all []string
	for _, w := range words {
		all = append(all, "delete from items", before, w, "insert into items values (1, 'a')", "rollback", "select count(*) from items")
	}
	return script(all...)
}

var native = marks{native: true}

var controlAsText = []behaviour{
	{"every spelling of BEGIN", spellings("select 1", "begin", "BEGIN", "Begin Work", "begin transaction", "start transaction", "START\n\tTRANSACTION;", "begin;", " ; begin ;; ", "-- c\nbegin -- d", "/* a /* b */ c */begin/**/work",
		"begin isolation level serializable", "begin transaction read write, isolation level repeatable read not deferrable", "start transaction isolation level read committed read write"), native},
	{"every spelling of COMMIT", spellings("begin; insert into items values (7, 'x')", "commit", "COMMIT;", "commit work", "commit transaction", "end", "end work", "END TRANSACTION", "commit and no chain", "/**/end--", "commit and chain", "end and chain"), native},
	{"every spelling of ROLLBACK", spellings("begin; insert into items values (7, 'x')", "rollback", "ROLLBACK;", "rollback work", "rollback transaction", "abort", "abort work", "ABORT TRANSACTION", "rollback and no chain", "\n\nrollback\n", "rollback and chain", "abort and chain"), native},
	{"what only looks like transaction control", script("begin transaction foo", "commit prepared 'x'", "rollback prepared 'x'", "start", "begin work transaction", "end transaction work", "rollback to", "commit and", "savepoint", "release", `"begin"`, "select 'commit'", "select $$ rollback $$, $a$ ; commit; $a$"), native},
	{"COMMIT and ROLLBACK outside a transaction warn and do no harm", script("insert into items values (1, 'a')", "commit", "rollback", "end", "abort", "commit and chain", "rollback and chain", "insert into items values (2, 'b')"), native},
	{"BEGIN in a transaction warns", script("begin", "begin", "insert into items values (1, 'a')", "start transaction read only", "insert into items values (2, 'b')", "commit"), native},
	{"AND CHAIN begins anew", script("begin", "insert into items values (1, 'a')", "commit and chain", "insert into items values (2, 'b')", "rollback and chain", "insert into items values (3, 'c')", "commit"), native},
	{"AND CHAIN keeps the modes", script("begin read only", "commit and chain", "insert into items values (2, 'b')", "rollback and chain", "insert into items values (2, 'b')", "commit", "insert into items values (2, 'b')"), native},
	{"modes set behind a savepoint end with it", script(
		"begin", "savepoint a", "set transaction read only", "release a", "insert into items values (1, 'a')", "commit",
		"begin", "savepoint a", "set transaction read only", "rollback to a", "insert into items values (2, 'b')", "commit",
		"begin", "savepoint a", "savepoint b", "set transaction read only", "select 1", "release a", "insert into items values (3, 'c')", "rollback and chain",
		"insert into items values (4, 'd')", "savepoint a", "set transaction read only", "commit and chain", "insert into items values (5, 'e')", "rollback"), native},
	{"modes set ahead of a savepoint outlive it", script(
		"begin read only", "savepoint a", "select 1", "release a", "insert into items values (1, 'a')", "rollback",
		"begin read only", "savepoint a", "rollback to a", "insert into items values (1, 'a')", "rollback",
		"begin read only", "savepoint a", "release a", "set transaction read write", "insert into items values (2, 'b')", "commit"), native},
	{"an isolation level behind a released savepoint", script(
		"begin", "savepoint a", "savepoint b", "release b", "set transaction isolation level serializable", "rollback",
		"begin", "savepoint a", "savepoint b", "release a", "set transaction isolation level serializable", "commit"), native},
	{"AND CHAIN after a failure", script("begin", "select 1/0", "commit and chain", "insert into items values (1, 'a')", "commit"), native},
	{"a string that begins, works and commits", script("begin; insert into items values (1, 'a'); commit", "begin; insert into items values (2, 'b'); rollback", "begin; insert into items values (3, 'c')", "insert into items values (4, 'd'); commit"), native},
	{"a string whose transaction fails", script("begin; insert into items values (1, 'a'); select 1/0; commit", "select 1", "commit", "begin; select 1/0; rollback", "rollback; select 2"), native},
	{"a string that commits in between", script("insert into items values (1, 'a'); commit; insert into items values (2, 'b'); select 1/0", "insert into items values (3, 'c'); rollback; insert into items values (4, 'd')"), native},
	{"a string that begins in between", script("insert into items values (1, 'a'); begin; insert into items values (2, 'b')", "rollback", "insert into items values (1, 'a'); begin; insert into items values (2, 'b'); commit; insert into items values (3, 'c'); select 1/0"), native},
	{"a string with several transactions", script("begin; insert into items values (1, 'a'); commit; begin; insert into items values (2, 'b'); rollback; begin; insert into items values (3, 'c'); end; select count(*) from items"), native},
	{"a string that begins twice", script("begin; begin; insert into items values (1, 'a'); commit; commit"), native},
	{"a string with savepoints", script("begin; savepoint a; insert into items values (1, 'a'); savepoint b; insert into items values (2, 'b'); rollback to b; release a; commit", "savepoint x; select 1", "insert into items values (5, 'e'); savepoint x"), native},
	{"errors in strings have their positions", script("begin; select 1; selec 2", "rollback", "insert into items values (1, 'ä'); commit; select nothing", "begin; commit; insert into nowhere values (1)"), native},
	{"prepared transaction control", prepared("begin", "insert into items values (1, 'a')", "commit", "start transaction read only", "insert into items values (2, 'b')", "rollback", "begin work", "savepoint s", "insert into items values (3, 'c')", "rollback to savepoint s", "release savepoint s", "end"), native},
	{"prepared transaction control outside a transaction", prepared("commit", "rollback", "savepoint s", "release s", "rollback to s", "commit and chain", "set transaction read only", "set local work_mem = '1MB'", "set constraints all deferred"), native},
	{"prepared transaction control in a failed transaction", prepared("begin", "select 1/0", "select 2", "savepoint s", "begin isolation level serializable", "commit"), native},
	{"transaction control in a batch", func(e *Env) {
		conn := e.Conn()
		for _, end := range []string{"commit", "rollback"} {
			b := &pgx.Batch{}
			for _, q := range []string{"begin", "delete from items", "insert into items values (1, 'a')", end, "select count(*) from items"} {
				b.Queue(q)
			}
			r := conn.SendBatch(e.Ctx, b)
			for range b.Len() {
				tag, err := r.Exec()
				e.Log("%s", tag)
				e.Err("exec", err)
			}
			e.Err("close", r.Close())
			e.Log("status %c", conn.PgConn().TxStatus())
		}
	}, native},
	{"transaction control through database/sql's Exec", func(e *Env) {
		conn := e.SQLConn(e.DB())
		for _, s := range []string{"begin", "insert into items values (1, 'a')", "commit", "begin", "insert into items values (2, 'b')", "rollback", "commit", "rollback"} {
			e.Do(conn, s)
		}
		e.Show(conn, "select id from items")
	}, marks{}},
	{"transaction control as queries with arguments elsewhere", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Show(conn, "begin")
		e.Do(conn, "insert into items values ($1, $2)", 1, "a")
		e.Show(conn, "rollback")
		e.Show(conn, "select id from items")
		e.Do(conn, "begin", 1)
		e.Do(conn, "select 1")
	}, marks{}},
	{"SET TRANSACTION READ ONLY", script("begin", "set transaction read only", "insert into items values (1, 'a')", "rollback", "insert into items values (1, 'a')", "begin", "select 1", "set transaction read only", "insert into items values (2, 'b')", "commit", "begin", "set transaction read only; select 1", "set transaction read write", "rollback", "set transaction read only", "insert into items values (2, 'b')"), native},
	{"SET TRANSACTION ISOLATION LEVEL ahead of the first query", script("begin", "set transaction isolation level serializable", "insert into items values (1, 'a')", "commit", "begin; set transaction isolation level repeatable read; insert into items values (2, 'b'); commit"), native},
	{"SET TRANSACTION ISOLATION LEVEL after a query is refused", script("begin", "select 1", "set transaction isolation level serializable", "rollback", "begin; select 1; set transaction isolation level repeatable read", "rollback"), native},
	{"the isolation level shown", script("begin isolation level serializable", "do $$ begin raise notice '%', current_setting('transaction_isolation'); end $$", "commit", "begin; set transaction isolation level repeatable read", "do $$ begin raise notice '%', current_setting('transaction_isolation'); end $$", "commit"), native},
	{"default_transaction_read_only", script("set default_transaction_read_only = on", "insert into items values (1, 'a')", "begin", "insert into items values (1, 'a')", "rollback", "begin read write", "insert into items values (2, 'b')", "commit", "reset default_transaction_read_only", "insert into items values (3, 'c')"), native},
	{"default_transaction_read_only is a connection's own", func(e *Env) {
		one, two := e.Conn(), e.Conn(func(cfg *pgx.ConnConfig) { cfg.RuntimeParams["default_transaction_read_only"] = "yes" })
		e.Do(one, "insert into items values (1, 'a')")
		e.Do(two, "insert into items values (2, 'b')")
		e.Do(one, "insert into items values (3, 'c')")
		e.Do(two, "select 1")
		e.Do(one, "insert into items values (4, 'd')")
		tx := e.BeginPgx(two)
		e.Do(tx, "insert into items values (5, 'e')")
		e.Err("rollback", tx.Rollback(e.Ctx))
		e.Do(one, "begin; set default_transaction_read_only = on; rollback")
		e.Do(one, "insert into items values (6, 'f')")
		e.Do(one, "begin; set default_transaction_read_only = on; commit")
		e.Do(one, "insert into items values (7, 'g')")
		e.Do(two, "set default_transaction_read_only = off")
		e.Do(two, "insert into items values (8, 'h')")
		e.Show(one, allItems)
	}, native},
	{"SET SESSION CHARACTERISTICS", script("set session characteristics as transaction read only", "insert into items values (1, 'a')", "set session characteristics as transaction read write", "insert into items values (1, 'a')"), native},
	{"SET LOCAL outside a transaction warns", script("set local work_mem = '1MB'", "do $$ begin raise notice '%', current_setting('work_mem'); end $$", "set local nothing.such = 1"), native},
	{"a procedure that commits", script("create procedure p() language plpgsql as $$ begin insert into items values (1, 'a'); commit; insert into items values (2, 'b'); rollback; end $$", "call p()", "begin", "call p()", "rollback"), native},
	{"a DO that commits", script("do $$ begin insert into items values (1, 'a'); commit; insert into items values (2, 'b'); end $$"), native},
	{"PREPARE TRANSACTION", script("begin", "insert into items values (1, 'a')", "prepare transaction 'x'", "rollback prepared 'x'"), native},
	{"a function with a body of SQL", script("create function one() returns int begin atomic select 1; select 2; end", "create procedure two() begin atomic insert into items values (1, 'a'); end; call two()", "do $$ begin perform one(); end $$"), native},
	{"a long string of statements", script(strings.Repeat("insert into items values ((select count(*) from items), (select count(*) from items)::text);", 200), "begin;"+strings.Repeat("delete from items where id = 1;", 100)+"commit"), native},
	{"a transaction left open by one user of a handle is not the next one's", func(e *Env) {
		db := e.DB()
		db.SetMaxOpenConns(1)
		e.Do(db, "begin")
		e.Do(db, "insert into items values (1, 'a')")
		e.Do(db, "rollback")
		e.Show(db, "select id from items")
	}, marks{}},
}
