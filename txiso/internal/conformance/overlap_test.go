package conformance_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

var overlap = []behaviour{
	{"goroutines that each begin, work and commit all succeed", func(e *Env) {
		db := e.DB()
		e.Each(8, func(e *Env, i int) {
			for j := range 5 {
				tx := e.Begin(db)
				e.Do(tx, "insert into items values ($1, $2)", i*10+j, fmt.Sprint(i, j))
				e.Show(tx, "select count(*) from items where id = $1", i*10+j)
				e.Err("commit", tx.Commit())
			}
		})
		e.Show(db, "select count(*), sum(id) from items")
	}, marks{}},
	{"goroutines of which every second rolls back", func(e *Env) {
		db := e.DB()
		e.Each(8, func(e *Env, i int) {
			tx := e.Begin(db)
			e.Do(tx, "insert into items values ($1, $2)", i, fmt.Sprint(i))
			if i%2 == 0 {
				e.Err("rollback", tx.Rollback())
			} else {
				e.Err("commit", tx.Commit())
			}
		})
		e.Show(db, "select id from items order by id")
	}, marks{}},
	{"goroutines whose transactions fail in between", func(e *Env) {
		db := e.DB()
		e.Each(8, func(e *Env, i int) {
			tx := e.Begin(db)
			e.Do(tx, "insert into items values ($1, $2)", i, fmt.Sprint(i))
			if i%2 == 0 {
				e.Do(tx, "select 1/0")
			}
			e.Err("commit", tx.Commit())
		})
		e.Show(db, "select id from items order by id")
	}, marks{}},
	{"goroutines on a pool of pgx", func(e *Env) {
		pool := e.Pool()
		e.Each(8, func(e *Env, i int) {
			e.Err("func", pgx.BeginFunc(e.Ctx, pool, func(tx pgx.Tx) error {
				e.Do(tx, "insert into items values ($1, $2)", i, fmt.Sprint(i))
				return nil
			}))
			e.Show(pool, "select name from items where id = $1", i)
		})
		e.Show(pool, "select count(*) from items")
	}, marks{native: true, sometimes: true}},
	{"goroutines that share a handle without transactions", func(e *Env) {
		db := e.DB()
		e.Each(16, func(e *Env, i int) {
			for j := range 5 {
				e.Do(db, "insert into items values ($1, $2)", i*10+j, fmt.Sprint(i, j))
				e.Do(db, "insert into items values ($1, $2)", i*10+j, fmt.Sprint(i, j))
				e.Show(db, "select name from items where id = $1", i*10+j)
			}
		})
		e.Show(db, "select count(*) from items")
	}, marks{}},
	{"statements on the handle while a transaction is open", func(e *Env) {
		db := e.DB()
		tx := e.Begin(db)
		e.Do(tx, "insert into items values (1, 'a')")
		e.Do(db, "insert into items values (2, 'b')")
		e.Show(db, "select id from items where id = 2")
		e.Do(tx, "insert into items values (3, 'c')")
		e.Err("commit", tx.Commit())
		e.Show(db, "select id from items order by id")
	}, marks{}},
	{"a failed statement on the handle leaves an open transaction alone", func(e *Env) {
		db := e.DB()
		tx := e.Begin(db)
		e.Do(tx, "insert into items values (1, 'a')")
		e.Do(db, "select 1/0")
		e.Do(db, "select $1::int/0", 1)
		e.Do(tx, "insert into items values (3, 'c')")
		e.Err("commit", tx.Commit())
		e.Show(db, "select id from items order by id")
	}, marks{}},
	{"a failed transaction leaves the handle alone", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items values (9, 'z')")
		tx := e.Begin(db)
		e.Do(tx, "insert into items values (1, 'a')")
		e.Do(tx, "select 1/0")
		e.Do(db, "insert into items values (2, 'b')")
		e.Show(db, "select id from items order by id")
		e.Do(tx, "select 1")
		e.Err("commit", tx.Commit())
		e.Show(db, "select id from items order by id")
	}, marks{}},
	{"a failed transaction recovers by its savepoint while others work", func(e *Env) {
		db := e.DB()
		tx := e.Begin(db)
		e.Do(tx, "insert into items values (1, 'a')")
		e.Do(tx, "savepoint s")
		e.Do(tx, "select 1/0")
		e.Do(db, "insert into items values (2, 'b')")
		e.Do(tx, "rollback to s")
		e.Err("commit", tx.Commit())
		e.Show(db, "select id from items order by id")
	}, marks{}},
	{"a statement on the handle stays when the transaction beside it is rolled back", func(e *Env) {
		db := e.DB()
		tx := e.Begin(db)
		e.Do(tx, "insert into items values (1, 'a')")
		e.Do(db, "insert into items values (2, 'b')")
		e.Err("rollback", tx.Rollback())
		e.Show(db, "select id from items order by id")
	}, marks{told: "ran on another connection while the transaction begun at"}},
	{"what only reads beside a transaction that is rolled back is nobody's loss", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		e.Do(b, "create function tell(n int) returns int language sql stable as 'select n'")
		for _, sql := range []string{
			"-- name: CountPairs :one\nselect count(*) from pairs",
			"with x as (select 1) select count(*) from x",
			"select tell(1)",
			"select length(gen_random_uuid()::text)",
			"select to_regclass('items')::text",
			"update items set qty = 1 where false",
			"set statement_timeout = '1min'",
			"select set_config('app.name', 'b', false)",
			"reset all",
			"do 'begin perform 1; end'",
			"deallocate all",
		} {
			tx := e.BeginPgx(a)
			e.Do(tx, "insert into items values (1, 'a')")
			e.Show(b, sql)
			e.Err("rollback", tx.Rollback(e.Ctx))
		}
		e.Show(a, "select count(*) from items")
	}, native},
	{"a setting made beside a transaction that is rolled back stays", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		e.Do(b, "create schema app")
		tx := e.BeginPgx(a)
		e.Do(tx, "insert into items values (1, 'a')")
		e.Do(b, "set search_path = app, public")
		e.Do(b, "select set_config('app.name', $1, false)", "b")
		e.Do(b, "set statement_timeout = '1s'")
		e.Do(b, "set idle_in_transaction_session_timeout = '1min'")
		e.Err("rollback", tx.Rollback(e.Ctx))
		for range 2 {
			for _, on := range []*pgx.Conn{b, a} {
				e.Show(on, "select current_setting('search_path'), coalesce(current_setting('app.name', true), ''), "+
					"current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout')")
			}
			e.Do(b, "select pg_sleep(20)")
			tx := e.BeginPgx(a)
			e.Do(tx, "insert into items values (1, 'a')")
			e.Do(b, "set work_mem = '5MB'; reset app.name; set timezone = 'Asia/Tokyo'")
			e.Do(tx, "select 1/0")
			e.Err("rollback", tx.Rollback(e.Ctx))
			e.Show(b, "select current_setting('work_mem'), coalesce(current_setting('app.name', true), ''), current_setting('timezone')")
			e.Show(a, "select current_setting('work_mem'), current_setting('timezone') = 'Asia/Tokyo'")
		}
	}, native},
	{"a connection that a pool opens beside a transaction that is rolled back keeps its settings", func(e *Env) {
		pool := e.Pool(func(cfg *pgxpool.Config) {
			cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
				_, err := conn.Exec(ctx, "set search_path = pg_temp, public")
				return err
			}
		})
		tx := e.BeginPgx(pool)
		e.Do(tx, "insert into items values (1, 'a')")
		other, err := pool.Acquire(e.Ctx)
		e.Must("acquire", err)
		defer other.Release()
		e.Show(other, "show search_path")
		e.Err("rollback", tx.Rollback(e.Ctx))
		e.Show(other, "show search_path")
		e.Show(pool, "show search_path")
	}, native},
	{"others do not see what is not committed", func(e *Env) {
		db := e.DB()
		tx := e.Begin(db)
		e.Do(tx, "insert into items values (1, 'a')")
		e.Show(db, "select id from items")
		e.Err("commit", tx.Commit())
		e.Show(db, "select id from items")
	}, marks{}},
	{"two transactions open at once in one goroutine", func(e *Env) {
		db := e.DB()
		one := e.Begin(db)
		e.Do(one, "insert into items values (1, 'a')")
		two, err := db.BeginTx(e.Ctx, nil)
		if err == nil {
			e.Do(two, "insert into items values (2, 'b')")
			e.Err("commit", two.Commit())
		} else {
			e.Err("begin", err)
		}
		e.Err("commit", one.Commit())
		e.Show(db, "select id from items order by id")
	}, marks{}},
	{"a transaction that waits for another's end begins", func(e *Env) {
		db := e.DB()
		one := e.Begin(db)
		var wg sync.WaitGroup
		wg.Go(func() {
			two := e.Begin(db)
			e.Must("insert", e.DoCtx(e.Ctx, two, "insert into items values (2, 'b')"))
			e.Must("commit", two.Commit())
		})
		time.Sleep(20 * time.Millisecond)
		_, err := one.ExecContext(e.Ctx, "insert into items values (1, 'a')")
		e.Must("insert", err)
		e.Must("commit", one.Commit())
		wg.Wait()
		e.Show(db, "select id from items order by id")
	}, marks{}},
	{"a row lock makes others wait or fail", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items values (1, 'a'), (2, 'b')")
		tx := e.Begin(db)
		e.Show(tx, "select id from items where id = 1 for update")
		e.Show(db, "select id from items where id = 1 for update nowait")
		e.Show(db, "select id from items order by id for update skip locked")
		e.Err("rollback", tx.Rollback())
	}, marks{}},
	{"rows of a transaction are open while others work", func(e *Env) {
		db := e.DB()
		tx := e.Begin(db)
		rows, err := tx.QueryContext(e.Ctx, "select generate_series(1, 10000)")
		e.Must("query", err)
		n := 0
		for rows.Next() {
			if n++; n%2500 == 0 {
				e.Do(db, "insert into items values ($1, $2)", n, fmt.Sprint(n))
			}
		}
		e.Log("%d rows %v", n, rows.Err())
		rows.Close()
		e.Err("commit", tx.Commit())
		e.Show(db, "select id from items order by id")
	}, marks{}},
	{"many open rows at once", func(e *Env) {
		db := e.DB()
		var open []*sql.Rows
		for i := range 5 {
			rows, err := db.QueryContext(e.Ctx, "select n from generate_series($1::int, $1 + 2000) n", i)
			e.Must("query", err)
			rows.Next()
			open = append(open, rows)
		}
		e.Do(db, "insert into items values (1, 'a')")
		for _, rows := range open {
			n := 1
			for rows.Next() {
				n++
			}
			e.Log("%d rows %v", n, rows.Err())
			rows.Close()
		}
		e.Show(db, "select id from items")
	}, marks{}},
	{"a pool of one connection blocks a second user until its context ends", func(e *Env) {
		db := e.DB()
		db.SetMaxOpenConns(1)
		tx := e.Begin(db)
		ctx, done := context.WithTimeout(e.Ctx, 50*time.Millisecond)
		defer done()
		e.DoCtx(ctx, db, "select 1")
		_, err := db.BeginTx(ctx, nil)
		e.Err("begin", err)
		e.Do(tx, "insert into items values (1, 'a')")
		e.Err("commit", tx.Commit())
		e.Show(db, "select id from items")
	}, marks{}},
	{"limits on the pool lose nothing", func(e *Env) {
		db := e.DB()
		db.SetMaxIdleConns(0)
		db.SetConnMaxLifetime(time.Nanosecond)
		e.Do(db, "insert into items values (1, 'a')")
		e.Show(db, "select id from items")
		db.SetMaxOpenConns(2)
		db.SetConnMaxIdleTime(time.Nanosecond)
		e.Do(db, "insert into items values (2, 'b')")
		e.Show(db, "select id from items order by id")
	}, marks{}},
	{"closing a handle undoes nothing", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items values (1, 'a')")
		e.Err("close", db.Close())
		e.Do(db, "select 1")
		e.Show(e.DB(), "select id from items")
	}, marks{}},
	{"two handles see the same data", func(e *Env) {
		one, two := e.DB(), e.DB()
		e.Do(one, "insert into items values (1, 'a')")
		e.Do(two, "insert into items values (2, 'b')")
		e.Show(one, "select id from items order by id")
		tx := e.Begin(one)
		e.Do(tx, "delete from items where id = 1")
		e.Err("commit", tx.Commit())
		e.Show(two, "select id from items order by id")
	}, marks{}},
	{"SET LOCAL holds for its own connection", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		e.Do(a, "create schema tenant")
		e.Do(a, "create table tenant.items (id int)")
		e.Do(a, "insert into tenant.items values (7)")
		tx := e.BeginPgx(a)
		e.Do(tx, "set local search_path = tenant")
		e.Do(tx, "set local statement_timeout = '500ms'")
		e.Show(tx, "select set_config('app.tenant', $1, true)", "a")
		e.Show(tx, "select id from items")
		e.Show(b, "select id from items")
		e.Show(b, "select coalesce(current_setting('app.tenant', true), '')")
		e.Do(b, "select pg_sleep(1)")
		e.Show(tx, "select id, current_setting('app.tenant'), current_setting('statement_timeout') from items")
		e.Err("commit", tx.Commit(e.Ctx))
		for _, conn := range []*pgx.Conn{a, b} {
			e.Show(conn, "select id from items")
			e.Show(conn, "select coalesce(current_setting('app.tenant', true), ''), current_setting('statement_timeout')")
		}
	}, marks{native: true, sometimes: true}},
	{"SET LOCAL outside a transaction leaves one beside it alone", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		tx := e.BeginPgx(a)
		e.Show(tx, "select set_config('app.tenant', $1, true)", "a")
		e.Do(b, "set local app.tenant = 'b'; set local work_mem = '1MB'; select 1")
		batch := &pgx.Batch{}
		batch.Queue("select set_config('app.tenant', $1, true)", "c")
		batch.Queue("select current_setting('app.tenant')")
		e.Err("batch", b.SendBatch(e.Ctx, batch).Close())
		e.Show(tx, "select current_setting('app.tenant'), current_setting('work_mem')")
		e.Err("commit", tx.Commit(e.Ctx))
		for _, conn := range []*pgx.Conn{a, b, e.Conn()} {
			e.Show(conn, "select coalesce(current_setting('app.tenant', true), ''), current_setting('work_mem')")
		}
	}, marks{native: true, sometimes: true}},
	{"a setting that was rolled back does not come back", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		e.Show(b, "select 1")
		tx := e.BeginPgx(a)
		e.Do(tx, "set search_path = elsewhere")
		e.Show(b, "show search_path")
		e.Err("rollback", tx.Rollback(e.Ctx))
		e.Show(a, "show search_path")
	}, marks{native: true}},
	{"SET LOCAL ends on its own connection when another has spoken", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		e.Do(a, "set work_mem = '1MB'")
		tx := e.BeginPgx(a)
		e.Do(tx, "set local work_mem = '3MB'")
		e.Show(b, "show work_mem")
		e.Err("commit", tx.Commit(e.Ctx))
		e.Show(b, "show work_mem")
		e.Show(a, "show work_mem")
	}, marks{native: true}},
	{"a statement parsed under SET LOCAL is parsed anew by others", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		const sql = "select extract(epoch from '2020-01-01 00:00:00'::timestamptz)::bigint where $1"
		tx := e.BeginPgx(a)
		e.Do(tx, "set local timezone = 'Asia/Tokyo'")
		e.Show(tx, sql, true)
		e.Err("commit", tx.Commit(e.Ctx))
		e.Show(b, sql, true)
	}, marks{native: true}},
	{"a deferred constraint is checked beside a transaction that reads", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		e.Do(a, "create table parents (id int primary key)")
		e.Do(a, "create table children (id int primary key, parent int constraint child_fk references parents deferrable initially deferred)")
		tx := e.BeginPgx(a)
		e.Show(tx, "select count(*) from parents")
		e.Do(b, "insert into children values (1, 99)")
		e.Err("commit", tx.Commit(e.Ctx))
		e.Do(b, "insert into parents values (1)")
		e.Show(b, "select count(*) from children")
	}, marks{native: true}},
	{"a statement beside a read-only transaction may write", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		tx, err := a.BeginTx(e.Ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
		e.Must("begin", err)
		e.Show(tx, "select count(*) from items")
		e.Do(b, "insert into items values (1, 'a')")
		e.Err("commit", tx.Commit(e.Ctx))
	}, marks{native: true}},
	{"a repeatable read does not see what others insert", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		tx, err := a.BeginTx(e.Ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
		e.Must("begin", err)
		e.Show(tx, "select count(*) from items")
		e.Do(b, "insert into items values (1, 'a')")
		e.Show(tx, "select count(*) from items")
		e.Err("commit", tx.Commit(e.Ctx))
	}, marks{native: true}},
	{"a savepoint takes back what its own transaction did", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		tx := e.BeginPgx(a)
		e.Do(tx, "savepoint s")
		e.Do(b, "insert into items values (1, 'b')")
		e.Do(tx, "rollback to s")
		e.Err("commit", tx.Commit(e.Ctx))
		e.Show(a, "select id from items")
	}, marks{native: true}},
	{"the settings of a connection survive a transaction that did nothing", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		e.Do(a, "set work_mem = '5MB'")
		tx := e.BeginPgx(a)
		e.Do(b, "select 1")
		e.Err("rollback", tx.Rollback(e.Ctx))
		e.Show(a, "show work_mem")
		e.Do(a, "begin")
		e.Do(a, "set local work_mem = '6MB'")
		e.Show(b, "show work_mem")
		e.Do(a, "commit and chain")
		e.Show(b, "show work_mem")
		e.Do(a, "rollback")
		e.Show(a, "show work_mem")
	}, marks{native: true}},
	{"RESET ALL is about its own connection", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		for _, reset := range []string{"reset all", "discard all"} {
			tx := e.BeginPgx(a)
			e.Do(tx, "set local work_mem = '3MB'")
			e.Do(b, reset)
			e.Show(tx, "show work_mem")
			e.Err("commit", tx.Commit(e.Ctx))
			e.Show(a, "show work_mem")
		}
	}, marks{native: true}},
	{"a deferred constraint is checked beside a transaction that has only a setting", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		e.Do(a, "create table parents (id int primary key)")
		e.Do(a, "create table children (id int primary key, parent int constraint child_fk references parents deferrable initially deferred)")
		tx := e.BeginPgx(a)
		e.Do(tx, "set local app.tenant = '1'")
		e.Do(b, "insert into children values (1, 99)")
		e.Err("commit", tx.Commit(e.Ctx))
		e.Show(b, "select count(*) from children")
	}, marks{native: true}},
	{"parameters that are told come back with a rollback", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		e.Do(a, "set timezone = 'Europe/Oslo'")
		tx := e.BeginPgx(a)
		e.Do(tx, "set local timezone = 'Asia/Tokyo'")
		e.Show(b, "select 1")
		e.Err("rollback", tx.Rollback(e.Ctx))
		e.Show(a, "show timezone")
		e.Log("told %s", a.PgConn().ParameterStatus("TimeZone"))
	}, marks{native: true}},
}
