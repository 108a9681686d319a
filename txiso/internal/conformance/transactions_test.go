package conformance_test

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

var appTransactions = []behaviour{
	{"what is committed stays, what is rolled back goes", func(e *Env) {
		db := e.DB()
		tx := e.Begin(db)
		e.Do(tx, "insert into items (id, name) values (1, 'a')")
		e.Err("commit", tx.Commit())
		tx = e.Begin(db)
		e.Do(tx, "insert into items (id, name) values (2, 'b')")
		e.Show(tx, allItems)
		e.Err("rollback", tx.Rollback())
		e.Show(db, allItems)
	}, marks{}},
	{"a failed statement fails its transaction only", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items (id, name) values (1, 'a')")
		tx := e.Begin(db)
		e.Do(tx, "insert into items (id, name) values (2, 'b')")
		e.Do(tx, "insert into items (id, name) values (2, 'b')")
		e.Show(tx, "select 1")
		e.Do(tx, "insert into items (id, name) values (3, 'c')")
		e.Err("rollback", tx.Rollback())
		e.Show(db, allItems)
	}, marks{}},
	{"committing a failed transaction says that it was rolled back", func(e *Env) {
		db := e.DB()
		tx := e.Begin(db)
		e.Do(tx, "insert into items (id, name) values (2, 'b')")
		e.Do(tx, "select 1/0")
		e.Err("commit", tx.Commit())
		e.Show(db, allItems)
		e.Do(db, "insert into items (id, name) values (2, 'b')")
		e.Show(db, allItems)
	}, marks{}},
	{"a transaction that has ended does nothing more", func(e *Env) {
		db := e.DB()
		tx := e.Begin(db)
		e.Err("commit", tx.Commit())
		e.Err("commit", tx.Commit())
		e.Err("rollback", tx.Rollback())
		e.Do(tx, "select 1")
		e.Show(tx, "select 1")
	}, marks{}},
	{"savepoints of the app's own", func(e *Env) {
		tx := e.Begin(e.DB())
		e.Do(tx, "insert into items (id, name) values (1, 'a')")
		e.Do(tx, "savepoint s")
		e.Do(tx, "insert into items (id, name) values (1, 'a')")
		e.Do(tx, "select 1")
		e.Do(tx, "rollback to s")
		e.Show(tx, allItems)
		e.Do(tx, "release s")
		e.Do(tx, "release s")
		e.Err("commit", tx.Commit())
	}, marks{}},
	{"savepoints with unusual names", func(e *Env) {
		tx := e.Begin(e.DB())
		for i, name := range []string{`"S p"`, "tx", "s1", "txiso", "pgx_1", `"ü"`, "s1"} {
			e.Do(tx, "savepoint "+name)
			e.Do(tx, "insert into items values ($1, $2)", i, name)
			e.Do(tx, "rollback to savepoint "+name)
		}
		e.Show(tx, "select count(*) from items")
		e.Do(tx, "rollback to nowhere")
		e.Err("rollback", tx.Rollback())
	}, marks{}},
	{"a savepoint outside a transaction is refused", func(e *Env) {
		db := e.DB()
		e.Do(db, "savepoint s")
		e.Do(db, "release s")
		e.Do(db, "rollback to s")
		e.Do(db, "release savepoint s")
		e.Show(db, "select 1")
	}, marks{}},
	{"a read-only transaction refuses to write", func(e *Env) {
		db := e.DB()
		tx, err := db.BeginTx(e.Ctx, &sql.TxOptions{ReadOnly: true})
		e.Must("begin", err)
		e.Show(tx, "select current_setting('transaction_read_only')")
		e.Do(tx, "insert into items values (1, 'a')")
		e.Err("rollback", tx.Rollback())
		e.Do(db, "insert into items values (1, 'a')")
		e.Show(db, "select name from items")
	}, marks{}},
	{"a read-only transaction that only reads commits", func(e *Env) {
		db := e.DB()
		tx, err := db.BeginTx(e.Ctx, &sql.TxOptions{ReadOnly: true})
		e.Must("begin", err)
		e.Show(tx, allItems)
		e.Err("commit", tx.Commit())
		e.Do(db, "insert into items values (1, 'a')")
	}, marks{}},
	{"every isolation level of PostgreSQL is accepted", func(e *Env) {
		db := e.DB()
		for i, level := range []sql.IsolationLevel{sql.LevelDefault, sql.LevelReadUncommitted, sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSnapshot, sql.LevelSerializable} {
			tx, err := db.BeginTx(e.Ctx, &sql.TxOptions{Isolation: level})
			e.Err(level.String(), err)
			if err == nil {
				e.Do(tx, "insert into items values ($1, $2)", i, level.String())
				e.Err("commit", tx.Commit())
			}
		}
		e.Show(db, "select name from items order by 1")
	}, marks{}},
	{"an isolation level that PostgreSQL does not have is refused", func(e *Env) {
		db := e.DB()
		for _, level := range []sql.IsolationLevel{sql.LevelWriteCommitted, sql.LevelLinearizable, 99} {
			_, err := db.BeginTx(e.Ctx, &sql.TxOptions{Isolation: level})
			e.Err("begin", err)
		}
		e.Show(db, "select 1")
	}, marks{}},
	{"a hundred transactions one after the other", func(e *Env) {
		db := e.DB()
		for i := range 100 {
			tx := e.Begin(db)
			_, err := tx.ExecContext(e.Ctx, "insert into items (id, name) values ($1, $2)", i, fmt.Sprint(i))
			e.Check(err == nil, "insert: %v", err)
			if i%3 == 0 {
				e.Check(tx.Rollback() == nil, "rollback")
			} else if err := tx.Commit(); err != nil {
				e.Log("commit: %v", err)
			}
		}
		e.Show(db, "select count(*), sum(id) from items")
	}, marks{}},
	{"nested Begin is a savepoint", func(e *Env) {
		conn := e.Conn()
		tx := e.BeginPgx(conn)
		inner := e.BeginPgx(tx)
		e.Do(inner, "insert into items (id, name) values (1, 'a')")
		e.Do(inner, "select 1/0")
		e.Do(inner, "select 1")
		e.Err("inner commit", inner.Commit(e.Ctx))
		e.Err("inner rollback", inner.Rollback(e.Ctx))
		inner, err := tx.Begin(e.Ctx)
		e.Err("begin", err)
		if err == nil {
			e.Do(inner, "insert into items (id, name) values (2, 'b')")
			e.Err("inner commit", inner.Commit(e.Ctx))
		}
		e.Err("commit", tx.Commit(e.Ctx))
		e.Show(conn, allItems)
	}, native},
	{"BeginFunc commits or rolls back", func(e *Env) {
		pool := e.Pool()
		e.Err("func", pgx.BeginFunc(e.Ctx, pool, func(tx pgx.Tx) error {
			e.Do(tx, "insert into items (id, name) values (1, 'a')")
			return nil
		}))
		e.Err("func", pgx.BeginFunc(e.Ctx, pool, func(tx pgx.Tx) error {
			e.Do(tx, "insert into items (id, name) values (2, 'b')")
			return errors.New("no")
		}))
		e.Err("func", pgx.BeginFunc(e.Ctx, pool, func(tx pgx.Tx) error {
			e.Do(tx, "select 1/0")
			return nil
		}))
		e.Show(pool, allItems)
	}, native},
	{"the transaction status is told", func(e *Env) {
		conn := e.Conn()
		status := func() { e.Log("status %c", conn.PgConn().TxStatus()) }
		status()
		e.Do(conn, "begin")
		status()
		e.Do(conn, "select 1/0")
		status()
		e.Do(conn, "select 1")
		status()
		e.Do(conn, "commit")
		status()
	}, native},
}
