package conformance_test

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// soon is a context that ends while a statement runs.
func (e *Env) soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(e.Ctx, 100*time.Millisecond)
}

// over is a context that has ended.
func (e *Env) over() context.Context {
	ctx, cancel := context.WithCancel(e.Ctx)
	cancel()
	return ctx
}

const sleep = "select pg_sleep(20)"

var contexts = []behaviour{
	{"a context that has ended already", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items values (1, 'a')")
		e.DoCtx(e.over(), db, "insert into items values (2, 'b')")
		e.ShowCtx(e.over(), db, "select id from items")
		_, err := db.BeginTx(e.over(), nil)
		e.Err("begin", err)
		e.Err("ping", db.PingContext(e.over()))
		_, err = db.PrepareContext(e.over(), "select 1")
		e.Err("prepare", err)
		_, err = db.Conn(e.over())
		e.Err("conn", err)
		e.Show(db, "select id from items")
	}, marks{}},
	{"a deadline that has passed already", func(e *Env) {
		db := e.DB()
		ctx, done := context.WithDeadline(e.Ctx, time.Now().Add(-time.Second))
		defer done()
		e.DoCtx(ctx, db, "insert into items values (2, 'b')")
		conn := e.SQLConn(db)
		e.DoCtx(ctx, conn, "insert into items values (2, 'b')")
		e.Do(conn, "select 1")
		e.Show(db, "select id from items")
	}, marks{}},
	{"a deadline during a statement", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items values (1, 'a')")
		ctx, done := e.soon()
		defer done()
		e.DoCtx(ctx, db, sleep)
		e.Do(db, "insert into items values (2, 'b')")
		e.Show(db, "select id from items order by id")
	}, marks{}},
	{"a deadline during a query with arguments", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items values (1, 'a')")
		ctx, done := e.soon()
		defer done()
		e.ShowCtx(ctx, db, "select pg_sleep($1)", 20)
		e.Show(db, "select id from items order by id")
	}, marks{}},
	{"a cancellation during a statement that writes undoes it", func(e *Env) {
		db := e.DB()
		e.Do(db, "select 1") // connects
		ctx, cancel := context.WithCancel(e.Ctx)
		time.AfterFunc(60*time.Millisecond, cancel)
		e.DoCtx(ctx, db, "with w as (insert into items values (1, 'a') returning 1) select pg_sleep(20) from w")
		e.Show(db, "select id from items")
	}, marks{}},
	{"a deadline in a transaction", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items values (1, 'a')")
		tx := e.Begin(db)
		e.Do(tx, "insert into items values (2, 'b')")
		ctx, done := e.soon()
		defer done()
		e.DoCtx(ctx, tx, sleep)
		e.Do(tx, "select 1")
		e.Err("rollback", tx.Rollback())
		e.Show(db, "select id from items")
	}, marks{}},
	{"commit after a deadline in a transaction", func(e *Env) {
		db := e.DB()
		tx := e.Begin(db)
		e.Do(tx, "insert into items values (2, 'b')")
		ctx, done := e.soon()
		defer done()
		e.DoCtx(ctx, tx, sleep)
		e.Err("commit", tx.Commit())
		e.Show(db, "select id from items")
	}, marks{}},
	{"the end of BeginTx's context rolls back", func(e *Env) {
		db := e.DB()
		ctx, cancel := context.WithCancel(e.Ctx)
		tx, err := db.BeginTx(ctx, nil)
		e.Must("begin", err)
		e.Do(tx, "insert into items values (2, 'b')")
		cancel()
		time.Sleep(100 * time.Millisecond)
		e.Do(tx, "select 1")
		e.Err("commit", tx.Commit())
		e.Show(db, "select id from items")
		e.Do(db, "insert into items values (2, 'b')")
	}, marks{}},
	{"a transaction is not seen once its context has ended", func(e *Env) {
		db := e.DB()
		other := e.SQLConn(db)
		for range 20 {
			ctx, cancel := context.WithCancel(e.Ctx)
			tx, err := db.BeginTx(ctx, nil)
			e.Must("begin", err)
			e.Do(tx, "insert into items values (2, 'b')")
			cancel()
			e.Show(other, "select id from items")
		}
	}, marks{}},
	{"the end of BeginTx's context during a statement", func(e *Env) {
		db := e.DB()
		e.Do(db, "select 1") // connects
		ctx, done := e.soon()
		defer done()
		tx, err := db.BeginTx(ctx, nil)
		e.Must("begin", err)
		e.Do(tx, "insert into items values (2, 'b')")
		e.DoCtx(ctx, tx, sleep)
		time.Sleep(50 * time.Millisecond)
		e.Err("rollback", tx.Rollback())
		e.Show(db, "select id from items")
	}, marks{}},
	{"a deadline on a prepared statement", func(e *Env) {
		db := e.DB()
		stmt, err := db.PrepareContext(e.Ctx, "select pg_sleep($1), 7")
		e.Must("prepare", err)
		defer stmt.Close()
		ctx, done := e.soon()
		defer done()
		_, err = stmt.ExecContext(ctx, 20)
		e.Err("exec", err)
		var n int
		e.Err("again", stmt.QueryRowContext(e.Ctx, 0).Scan(new(any), &n))
		e.Log("%d", n)
	}, marks{}},
	{"a deadline with rows open", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items values (1, 'a')")
		ctx, cancel := context.WithCancel(e.Ctx)
		time.AfterFunc(60*time.Millisecond, cancel)
		rows, err := db.QueryContext(ctx, "select n, pg_sleep(case when n < 3 then 0 else 20 end) from generate_series(1, 10) n")
		e.Err("query", err)
		if err == nil {
			for rows.Next() {
			}
			e.Err("rows", rows.Err())
			rows.Close()
		}
		cancel()
		e.Show(db, "select id from items")
	}, marks{}},
	{"cancelling a query that has partly been read", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items values (1, 'a')")
		ctx, cancel := context.WithCancel(e.Ctx)
		rows, err := db.QueryContext(ctx, "select n from generate_series(1, 1000000) n")
		e.Must("query", err)
		e.Log("next %v", rows.Next())
		cancel()
		for rows.Next() {
		}
		e.Err("rows", rows.Err())
		rows.Close()
		e.Show(db, "select id from items")
	}, marks{racy: true}},
	{"a cancel behind the answer undoes nothing", func(e *Env) {
		db := e.DB()
		e.Do(db, "create table made (id int)") // what a failure may have taken back is looked up behind the next statement
		e.Do(db, "select 1/0")
		for i := range 3 {
			ctx, cancel := context.WithCancel(e.Ctx)
			rows, err := db.QueryContext(ctx, "insert into items values ($1, $2) returning id", i, fmt.Sprint(i))
			e.Must("query", err)
			e.Log("next %v", rows.Next())
			time.Sleep(50 * time.Millisecond) // the statement is over
			cancel()
			rows.Close()
			e.Do(db, "select 1/0")
		}
		e.Show(db, "select id from items order by id")
	}, marks{}},
	{"a cancel behind the first answer of a string ends none of it", func(e *Env) {
		on := e.Conn()
		conn := on.PgConn()
		e.Must("create", conn.Exec(e.Ctx, "create table made (id int)").Close())
		e.Err("fail", conn.Exec(e.Ctx, "select 1/0").Close())
		for i := range 3 {
			results := conn.Exec(e.Ctx, fmt.Sprintf("insert into items values (%d, '%[1]d') returning id; begin; insert into made values (%[1]d); commit; select 1", i))
			if e.Log("next %v", results.NextResult()); i == 0 {
				e.Log("row %v", results.ResultReader().NextRow())
			}
			time.Sleep(50 * time.Millisecond)
			e.Must("cancel", conn.CancelRequest(e.Ctx))
			e.Err("close", results.Close())
		}
		e.Show(on, "select (select count(*) from items), (select count(*) from made)")
	}, marks{native: true}},
	{"one of many goroutines is cancelled", func(e *Env) {
		db := e.DB()
		e.Each(8, func(e *Env, i int) {
			conn := e.SQLConn(db)
			if i == 3 {
				ctx, done := e.soon()
				defer done()
				e.DoCtx(ctx, conn, "select pg_sleep($1)", 20)
			} else {
				e.Do(conn, "select pg_sleep($1)", 0.01)
			}
			e.Do(db, "insert into items values ($1, $2)", i, fmt.Sprint(i))
		})
		e.Show(db, "select count(*) from items")
	}, marks{}},
	{"a cancelled statement leaves another connection's transaction alone", func(e *Env) {
		db := e.DB()
		one, two := e.SQLConn(db), e.SQLConn(db) // connecting must not take the time that the statement has
		tx := e.Begin(one)
		e.Do(tx, "insert into items values (1, 'a')")
		e.Do(db, "select 1") // connects
		ctx, done := e.soon()
		defer done()
		e.DoCtx(ctx, two, sleep)
		e.Do(tx, "insert into items values (2, 'b')")
		e.Err("commit", tx.Commit())
		e.Show(db, "select id from items order by id")
	}, marks{}},
	{"ten cancellations in a row", func(e *Env) {
		db := e.DB()
		for i := range 10 {
			e.Do(db, "select 1") // connects
			ctx, done := context.WithTimeout(e.Ctx, time.Duration(50+i)*time.Millisecond)
			e.DoCtx(ctx, db, sleep)
			done()
			e.Do(db, "insert into items values ($1, $2)", i, fmt.Sprint(i))
		}
		e.Show(db, "select count(*) from items")
	}, marks{}},
	{"statement_timeout is a server error", func(e *Env) {
		db := e.DB()
		conn := e.SQLConn(db)
		e.Do(conn, "set statement_timeout = '300ms'")
		e.Do(conn, sleep)
		e.Do(conn, "select 1")
		e.Do(conn, "reset statement_timeout")
		tx := e.Begin(conn)
		e.Do(tx, "set local statement_timeout = '300ms'")
		e.Do(tx, sleep)
		e.Err("commit", tx.Commit())
		e.Do(conn, "select pg_sleep(0.5)")
	}, marks{}},
	{"idle_in_transaction_session_timeout does not concern a connection outside transactions", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Do(conn, "set idle_in_transaction_session_timeout = '500ms'") // in force until the session has put it aside
		time.Sleep(time.Second)
		e.Do(conn, "insert into items values (1, 'a')")
		e.Do(conn, "reset idle_in_transaction_session_timeout")
		e.Show(conn, "select id from items")
	}, marks{}},
	{"settings that end idle sessions can be seen", func(e *Env) {
		conn := e.Conn(func(cfg *pgx.ConnConfig) { cfg.RuntimeParams["idle_session_timeout"] = "7min" })
		const both = "select current_setting('idle_session_timeout'), current_setting('idle_in_transaction_session_timeout')"
		e.Show(conn, both)
		e.Do(conn, "set idle_in_transaction_session_timeout = '500ms'")
		time.Sleep(600 * time.Millisecond)
		e.Show(conn, "show idle_in_transaction_session_timeout")
		e.Show(conn, both, pgx.QueryExecModeSimpleProtocol)
		tx := e.BeginPgx(conn)
		e.Do(tx, "set local idle_in_transaction_session_timeout = '5min'; select set_config('idle_session_timeout', '6min', true)")
		e.Show(tx, both)
		e.Show(tx, "select setting from pg_settings where name = 'idle_in_transaction_session_timeout'")
		e.Err("commit", tx.Commit(e.Ctx))
		e.Show(conn, both)
		e.Do(conn, "set idle_session_timeout = 'long'")
		e.Do(conn, "reset idle_session_timeout; show idle_session_timeout")
		e.Do(conn, "reset all")
		time.Sleep(100 * time.Millisecond)
		e.Show(conn, both)
		e.Show(e.Conn(), both)
	}, native},
	{"pgx closes a connection whose context has ended", func(e *Env) {
		conn := e.Conn()
		e.Do(conn, "begin")
		e.Do(conn, "insert into items values (1, 'a')")
		ctx, done := e.soon()
		defer done()
		e.DoCtx(ctx, conn, sleep)
		e.Log("closed %v", conn.IsClosed())
		e.Do(conn, "select 1")
		e.Eventually(e.Conn(), "select count(*) from items", 0)
	}, native},
	{"pgx's pool replaces a connection whose context has ended", func(e *Env) {
		pool := e.Pool()
		e.Do(pool, "insert into items values (1, 'a')")
		for range 3 {
			e.Do(pool, "select 1") // connects
			ctx, done := e.soon()
			e.DoCtx(ctx, pool, sleep)
			e.ShowCtx(ctx, pool, "select 1")
			done()
		}
		e.Show(pool, "select id from items")
	}, native},
	{"a deadline during a batch", func(e *Env) {
		pool := e.Pool()
		e.Do(pool, "select 1") // connects
		b := &pgx.Batch{}
		b.Queue("insert into items values ($1, $2)", 1, "a")
		b.Queue(sleep)
		b.Queue("insert into items values ($1, $2)", 2, "b")
		ctx, done := e.soon()
		defer done()
		e.Err("batch", pool.SendBatch(ctx, b).Close())
		e.Show(pool, "select id from items")
	}, native},
	{"a deadline during a COPY", func(e *Env) {
		pool := e.Pool()
		e.Do(pool, "select 1") // connects
		ctx, done := e.soon()
		defer done()
		_, err := pool.CopyFrom(ctx, pgx.Identifier{"items"}, []string{"id", "name"}, pgx.CopyFromFunc(func() ([]any, error) {
			<-ctx.Done()
			time.Sleep(100 * time.Millisecond) // pgx's turn to notice
			return nil, ctx.Err()
		}))
		e.Err("copy", err)
		e.Show(pool, "select id from items")
	}, native},
	{"a transaction of pgx whose context ends", func(e *Env) {
		pool := e.Pool()
		tx := e.BeginPgx(pool)
		e.Do(tx, "insert into items values (1, 'a')")
		ctx, done := e.soon()
		defer done()
		e.DoCtx(ctx, tx, sleep)
		e.Do(tx, "select 1")
		e.Err("rollback", tx.Rollback(e.Ctx))
		e.Show(pool, "select id from items")
	}, native},
	{"commit with a context that has ended", func(e *Env) {
		pool := e.Pool()
		tx := e.BeginPgx(pool)
		e.Do(tx, "insert into items values (1, 'a')")
		e.Err("commit", tx.Commit(e.over()))
		e.Eventually(e.Conn(), "select count(*) from items", 0)
	}, native},
	{"a bound on the wait for a free connection of pgx's pool", func(e *Env) {
		pool := e.Pool()
		for range 8 {
			c, err := pool.Acquire(e.Ctx)
			e.Must("acquire", err)
			defer c.Release()
		}
		ctx, done := e.soon()
		defer done()
		e.DoCtx(ctx, pool, "select 1")
	}, native},
	{"QueryRow with a context that ends", func(e *Env) {
		db := e.DB()
		e.Do(db, "select 1") // connects
		ctx, done := e.soon()
		defer done()
		e.Err("scan", db.QueryRowContext(ctx, sleep).Scan(new(any)))
		tx, err := db.BeginTx(e.Ctx, &sql.TxOptions{ReadOnly: true})
		e.Must("begin", err)
		e.Show(tx, "select 1")
		e.Err("rollback", tx.Rollback())
	}, marks{}},
}
