package conformance_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const setting = "select current_setting('work_mem'), coalesce(current_setting('my.var', true), '')"

var sessionState = []behaviour{
	{"SET outside a transaction stays", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Do(conn, "set work_mem = '1MB'")
		e.Do(conn, "set my.var = 'x'")
		e.Show(conn, setting)
		e.Do(conn, "select 1/0")
		e.Show(conn, setting)
		e.Do(conn, "reset work_mem")
		e.Do(conn, "reset all")
		e.Show(conn, setting)
	}, marks{}},
	{"SET in a transaction goes with it", func(e *Env) {
		conn := e.SQLConn(e.DB())
		tx := e.Begin(conn)
		e.Do(tx, "set work_mem = '1MB'")
		e.Err("rollback", tx.Rollback())
		e.Show(conn, setting)
		tx = e.Begin(conn)
		e.Do(tx, "set work_mem = '1MB'")
		e.Err("commit", tx.Commit())
		e.Show(conn, setting)
	}, marks{}},
	{"a setting of one's own that was rolled back", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Show(conn, "select current_setting('my.own', true)")
		tx := e.Begin(conn)
		e.Do(tx, "set my.own = 'x'")
		e.Err("rollback", tx.Rollback())
		e.Show(conn, "select current_setting('my.own', true)")
	}, marks{sometimes: true}},
	{"SET LOCAL ends with its transaction", func(e *Env) {
		conn := e.SQLConn(e.DB())
		for range 2 {
			tx := e.Begin(conn)
			e.Do(tx, "set local work_mem = '1MB'")
			e.Show(tx, "select set_config('my.var', $1, true)", "x")
			e.Show(tx, setting)
			e.Err("commit", tx.Commit())
			e.Show(conn, setting)
		}
		tx := e.Begin(conn)
		e.Do(tx, "set local work_mem = '1MB'")
		e.Err("rollback", tx.Rollback())
		e.Show(conn, setting)
	}, marks{}},
	{"SET LOCAL in a savepoint", func(e *Env) {
		conn := e.SQLConn(e.DB())
		tx := e.Begin(conn)
		e.Do(tx, "set work_mem = '2MB'")
		e.Do(tx, "savepoint s")
		e.Do(tx, "set local work_mem = '1MB'")
		e.Do(tx, "release s")
		e.Show(tx, setting)
		e.Err("commit", tx.Commit())
		e.Show(conn, setting)
	}, marks{}},
	{"SET LOCAL in a string with its transaction", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Do(conn, "begin; set local work_mem = '1MB'; commit")
		e.Show(conn, setting)
		e.Do(conn, "set local work_mem = '1MB'; select 1")
		e.Show(conn, setting)
	}, marks{}},
	{"set_config outside a transaction", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Show(conn, "select set_config('work_mem', '1MB', true)")
		e.Show(conn, setting)
		e.Show(conn, "select set_config('work_mem', '1MB', false)")
		e.Show(conn, setting)
	}, marks{}},
	{"a function with a SET of its own", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Do(conn, "create function f() returns text language sql set work_mem = '3MB' as $$ select current_setting('work_mem') $$")
		e.Show(conn, "select f()")
		e.Show(conn, setting)
	}, marks{}},
	{"search_path and unqualified names", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Do(conn, "create schema one; create table one.t as select 'one' as v; create schema two; create table two.t as select 2 as v")
		for _, path := range []string{"one", "two", "two, one", "one"} {
			e.Do(conn, "set search_path = "+path)
			e.Show(conn, "select v from t where $1", true)
			e.Show(conn, "select v from t where $1", true)
		}
		tx := e.Begin(conn)
		e.Do(tx, "set local search_path = two")
		e.Show(tx, "select v from t where $1", true)
		e.Err("rollback", tx.Rollback())
		e.Show(conn, "select v from t where $1", true)
		e.Show(conn, "select set_config('search_path', 'two', false)")
		e.Show(conn, "select v from t where $1", true)
	}, marks{}},
	{"SET ROLE", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Do(conn, "set role pg_monitor")
		e.Show(conn, "select current_user, session_user = current_user")
		e.Do(conn, "insert into items values (1, 'a')")
		e.Do(conn, "reset role")
		e.Do(conn, "insert into items values (1, 'a')")
		tx := e.Begin(conn)
		e.Do(tx, "set local role pg_monitor")
		e.Show(tx, "select current_user")
		e.Err("commit", tx.Commit())
		e.Show(conn, "select session_user = current_user")
		e.Do(conn, "set role nowhere")
	}, marks{}},
	{"a role that may not do much sees errors like everywhere", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Do(conn, "set session authorization pg_monitor")
		e.Do(conn, "insert into items values ($1, $2)", 1, "a")
		e.Do(conn, "select 1/0")
		e.Do(conn, "create table x ()")
		e.Do(conn, "reset session authorization")
		e.Do(conn, "insert into items values ($1, $2)", 1, "a")
	}, marks{}},
	{"settings are a connection's own", func(e *Env) {
		db := e.DB()
		one, two := e.SQLConn(db), e.SQLConn(db)
		e.Do(one, "set work_mem = '1MB'")
		e.Show(two, setting)
	}, marks{}},
	{"parameters of the connection string", func(e *Env) {
		conn := e.Conn(func(cfg *pgx.ConnConfig) {
			cfg.RuntimeParams["application_name"] = "conformance"
			cfg.RuntimeParams["search_path"] = "pg_catalog"
			cfg.RuntimeParams["work_mem"] = "1MB"
		})
		e.Show(conn, "select current_setting('application_name'), current_setting('search_path'), current_setting('work_mem')")
		e.Log("%s", conn.PgConn().ParameterStatus("application_name"))
	}, native},
	{"parameters of the connection string are refused as by a server", func(e *Env) {
		for _, parameter := range []string{"work_mem=much", "nonsense=1", "role=nobody_at_all", "options=-c datestyle=none"} {
			name, value, _ := strings.Cut(parameter, "=")
			cfg := e.on.Config()
			cfg.RuntimeParams[name] = value
			_, err := pgx.ConnectConfig(e.Ctx, cfg)
			e.Check(err != nil, "%s=%s was accepted", name, value)
			var pg *pgconn.PgError
			e.Check(errors.As(err, &pg), "no error of the server: %v", err)
			e.Log("%s: %s %s %s", name, pg.Severity, pg.Code, pg.Message)
		}
	}, native},
	{"parameters of a connection string in options", func(e *Env) {
		conn := e.Conn(func(cfg *pgx.ConnConfig) {
			cfg.RuntimeParams["options"] = `-c work_mem=1MB --my.var=a\ b -csearch_path=one,public`
			cfg.RuntimeParams["TimeZone"] = "Asia/Tokyo"
			cfg.RuntimeParams["datestyle"] = "german"
		})
		e.Show(conn, setting)
		e.Show(conn, "select current_setting('search_path'), '2020-01-01 00:00:00+00'::timestamptz::text")
		e.Log("%s, %s", conn.PgConn().ParameterStatus("TimeZone"), conn.PgConn().ParameterStatus("DateStyle"))
		e.Do(conn, "set work_mem = '2MB'")
		e.Do(conn, "set timezone = 'UTC'")
		e.Do(conn, "reset work_mem")
		e.Show(conn, setting)
		e.Do(conn, "set work_mem to default")
		e.Do(conn, "reset all")
		e.Show(conn, setting)
		e.Show(conn, "select current_setting('search_path'), '2020-01-01 00:00:00+00'::timestamptz::text")
		e.Do(conn, "discard all")
		e.Show(conn, setting)
	}, native},
	{"connections of different parameters take turns", func(e *Env) {
		var conns []*pgx.Conn
		for _, zone := range []string{"Asia/Tokyo", "America/New_York", "Asia/Tokyo", ""} {
			conns = append(conns, e.Conn(func(cfg *pgx.ConnConfig) {
				if zone != "" {
					cfg.RuntimeParams["timezone"] = zone
				}
			}))
		}
		e.Do(conns[1], "set work_mem = '1MB'")
		e.Do(conns[2], "set role pg_monitor")
		for range 2 {
			for i, conn := range conns {
				e.Log("%d", i)
				e.Show(conn, "select '2020-01-01 00:00:00+00'::timestamptz::text, current_setting('work_mem'), current_user = session_user")
				if i != 3 {
					e.Log("%s", conn.PgConn().ParameterStatus("TimeZone"))
				}
				e.Do(conn, "select 1/0")
			}
		}
		tx, err := conns[0].Begin(e.Ctx)
		e.Must("begin", err)
		e.Do(tx, "set timezone = 'Europe/Berlin'")
		e.Do(tx, "set local work_mem = '3MB'")
		e.Show(conns[1], "select current_setting('timezone'), current_setting('work_mem')")
		e.Show(tx, "select current_setting('timezone'), current_setting('work_mem')")
		e.Err("rollback", tx.Rollback(e.Ctx))
		e.Show(conns[0], "select current_setting('timezone'), current_setting('work_mem')")
		e.Show(conns[1], "select current_setting('timezone'), current_setting('work_mem')")
		e.Show(conns[2], "select current_user = session_user")
	}, native},
	{"settings of a connection that comes later", func(e *Env) {
		db := e.DB()
		one := e.SQLConn(db)
		e.Do(one, "set timezone = 'Asia/Tokyo'")
		e.Do(one, "set application_name = 'one'")
		e.Show(e.SQLConn(db), "select current_setting('timezone') = 'Asia/Tokyo', current_setting('application_name')")
		later := e.Conn()
		e.Log("%v %q", later.PgConn().ParameterStatus("TimeZone") == "Asia/Tokyo", later.PgConn().ParameterStatus("application_name"))
		e.Show(one, "select current_setting('timezone')")
	}, native},
	{"roles of one connection survive those of another", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		who := "select current_user::text, session_user::text"
		e.Do(a, "set role pg_monitor")
		e.Do(b, "set session authorization default")
		for range 2 {
			e.Show(a, who)
			e.Show(b, who)
		}
		tx := e.BeginPgx(b)
		e.Do(tx, "set local role pg_read_all_data")
		e.Show(tx, who)
		e.Show(a, who)
		e.Show(tx, who)
		e.Do(a, "set session authorization pg_monitor")
		e.Do(a, "set role none")
		e.Show(tx, who)
		e.Show(a, who)
		e.Err("commit", tx.Commit(e.Ctx))
		e.Show(b, who)
		e.Show(a, who)
	}, native},
	{"a literal means what the time zone of its connection says", func(e *Env) {
		db := e.DB()
		one, two := e.SQLConn(db), e.SQLConn(db)
		e.Do(one, "set timezone = 'Asia/Tokyo'")
		for _, conn := range []*sql.Conn{one, two, one} {
			e.Show(conn, "select extract(epoch from '2020-01-01 00:00:00'::timestamptz), $1::int", 1)
		}
	}, marks{}},
	{"a session's SET behind SET LOCAL stays", func(e *Env) {
		conn := e.SQLConn(e.DB())
		tx := e.Begin(conn)
		e.Do(tx, "set local work_mem = '1MB'")
		e.Do(tx, "set work_mem = '2MB'")
		e.Err("commit", tx.Commit())
		e.Show(conn, setting)
		tx = e.Begin(conn)
		e.Do(tx, "savepoint s")
		e.Do(tx, "set local work_mem = '1MB'")
		e.Do(tx, "set local nonsense = 1")
		e.Do(tx, "rollback to s")
		e.Err("commit", tx.Commit())
		e.Show(conn, setting)
		tx = e.Begin(conn)
		e.Do(tx, "savepoint s")
		e.Do(tx, "set local work_mem = '1MB'")
		e.Do(tx, "rollback to s")
		e.Do(tx, "set local work_mem = '3MB'")
		e.Do(tx, "set local work_mem = '4MB'")
		e.Err("commit", tx.Commit())
		e.Show(conn, setting)
	}, marks{}},
	{"set_config for a transaction", func(e *Env) {
		conn := e.Conn()
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec} {
			tx := e.BeginPgx(conn)
			e.Show(tx, "select set_config('my.tenant', $1, true), pg_catalog.set_config('work_mem', (1 + 1) || 'MB', true)", mode, "seven")
			e.Show(tx, "select current_setting('my.tenant'), current_setting('work_mem')")
			e.Err("commit", tx.Commit(e.Ctx))
			e.Show(conn, "select coalesce(current_setting('my.tenant', true), ''), current_setting('work_mem')")
			e.Do(conn, "select set_config('my.tenant', $1, true)", mode, "eight")
			e.Show(conn, "select coalesce(current_setting('my.tenant', true), '')")
		}
	}, native},
	{"AfterConnect of pgx's pool", func(e *Env) {
		pool := e.Pool(func(cfg *pgxpool.Config) {
			cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
				_, err := c.Exec(ctx, "set application_name = 'after'")
				return err
			}
		})
		e.Show(pool, "select current_setting('application_name')")
	}, native},
	{"cursors in a transaction", func(e *Env) {
		tx := e.Begin(e.DB())
		e.Do(tx, "declare c cursor for select generate_series(1, 5)")
		e.Show(tx, "fetch 2 from c")
		e.Show(tx, "fetch all from c")
		e.Do(tx, "close c")
		e.Show(tx, "fetch 1 from c")
		e.Err("rollback", tx.Rollback())
	}, marks{}},
	{"a cursor ends with its transaction", func(e *Env) {
		conn := e.SQLConn(e.DB())
		tx := e.Begin(conn)
		e.Do(tx, "declare c cursor for select generate_series(1, 5)")
		e.Show(tx, "fetch 2 from c")
		e.Err("commit", tx.Commit())
		e.Show(conn, "fetch 2 from c")
		tx = e.Begin(conn)
		e.Do(tx, "declare c cursor for select generate_series(1, 5)")
		e.Err("rollback", tx.Rollback())
	}, marks{}},
	{"a cursor outside a transaction is refused", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Do(conn, "declare c cursor for select 1")
		e.Show(conn, "fetch 1 from c")
	}, marks{}},
	{"a cursor WITH HOLD outlives its transaction", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Do(conn, "declare c cursor with hold for select generate_series(1, 5)")
		e.Show(conn, "fetch 2 from c")
		tx := e.Begin(conn)
		e.Do(tx, "declare d cursor with hold for select generate_series(1, 5)")
		e.Err("commit", tx.Commit())
		e.Do(conn, "select 1/0")
		e.Show(conn, "fetch 1 from c")
		e.Show(conn, "fetch 1 from d")
		tx = e.Begin(conn)
		e.Do(tx, "declare x cursor with hold for select 1")
		e.Err("rollback", tx.Rollback())
		e.Show(conn, "fetch 1 from x")
		e.Do(conn, "close all")
	}, marks{sometimes: true}},
	{"UPDATE WHERE CURRENT OF", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items values (1, 'a'), (2, 'b')")
		tx := e.Begin(db)
		e.Do(tx, "declare c cursor for select id from items order by id for update")
		e.Show(tx, "fetch 1 from c")
		e.Do(tx, "update items set qty = 5 where current of c")
		e.Err("commit", tx.Commit())
		e.Show(db, allItems)
	}, marks{sometimes: true}},
	{"temporary tables", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Do(conn, "create temp table t (v int)")
		e.Do(conn, "insert into t values (1)")
		e.Do(conn, "create temp table t (v int)")
		e.Show(conn, "select v from t")
		tx := e.Begin(conn)
		e.Do(tx, "create temp table u (v int)")
		e.Err("rollback", tx.Rollback())
		e.Show(conn, "select v from u")
		e.Do(conn, "discard temp")
		e.Show(conn, "select v from t")
	}, marks{}},
	{"ON COMMIT DROP", func(e *Env) {
		conn := e.SQLConn(e.DB())
		for range 2 {
			tx := e.Begin(conn)
			e.Do(tx, "create temp table t (v int) on commit drop")
			e.Do(tx, "insert into t values (1)")
			e.Show(tx, "select v from t")
			e.Err("commit", tx.Commit())
			e.Show(conn, "select v from t")
		}
		e.Do(conn, "create temp table x (v int) on commit drop")
		e.Show(conn, "select v from x")
	}, marks{}},
	{"ON COMMIT DELETE ROWS", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Do(conn, "create temp table t (v int) on commit delete rows")
		e.Do(conn, "insert into t values (1)")
		e.Show(conn, "select v from t")
		tx := e.Begin(conn)
		e.Do(tx, "insert into t values (2)")
		e.Show(tx, "select v from t")
		e.Err("commit", tx.Commit())
		e.Show(conn, "select v from t")
	}, marks{}},
	{"a bulk load by way of a temporary table, again and again", func(e *Env) {
		conn := e.Conn()
		for i := range 3 {
			tx, err := conn.Begin(e.Ctx)
			e.Err("begin", err)
			e.Do(tx, "create temp table load (id int, name text) on commit drop")
			n, err := tx.CopyFrom(e.Ctx, pgx.Identifier{"load"}, []string{"id", "name"}, pgx.CopyFromRows([][]any{{200 + i, "a"}, {300, "b"}}))
			e.Log("copied %d", n)
			e.Err("copy", err)
			e.Do(tx, "insert into items (id, name) select id, name from load on conflict do nothing")
			e.Err("commit", tx.Commit(e.Ctx))
			e.Show(conn, "select count(*) from items where id >= 200")
		}
	}, marks{}},
	{"ON COMMIT DROP in every spelling", func(e *Env) {
		conn := e.Conn()
		for _, sql := range []string{
			`create temp table a on commit drop as select 1 as v`,
			`create local temporary table if not exists a (v int, check (v > 0)) on commit drop`,
			`create table pg_temp.a (v int) with (fillfactor = 50) on commit drop`,
			`create temp table a (v int) on commit preserve rows`,
			`create temp table if not exists a (v int) on commit drop`,
			`drop table a; create temp table "A b" (v text default 'on commit drop')`,
			`create /* on commit */ temp table "it's" (v int) /* x */ on commit -- y
			drop`,
		} {
			e.Do(conn, sql)
			e.Show(conn, "select relname from pg_class where relpersistence = 't' and relkind = 'r' order by 1")
		}
	}, marks{}},
	{"ON COMMIT DROP in a function", func(e *Env) {
		conn := e.Conn()
		e.Do(conn, "create function f() returns void language plpgsql as 'begin create temp table t (v int) on commit drop; end'")
		for range 2 {
			e.Do(conn, "select f()")
		}
		e.Do(conn, "create temp table u (v int) on commit drop; alter table u rename to w")
		e.Show(conn, "select v from w")
	}, marks{}},
	{"savepoints take back what a commit would do", func(e *Env) {
		conn := e.Conn()
		tx, err := conn.Begin(e.Ctx)
		e.Err("begin", err)
		e.Do(tx, "savepoint a")
		e.Do(tx, "create temp table t (v int) on commit drop")
		e.Do(tx, "rollback to a")
		e.Do(tx, "create temp table t (v int)")
		e.Do(tx, "create temp table u (v int primary key) on commit delete rows")
		e.Do(tx, "create temp table w (v int references u) on commit delete rows")
		e.Do(tx, "insert into t values (1); insert into u values (2); insert into w values (2)")
		e.Err("commit", tx.Commit(e.Ctx))
		for _, table := range []string{"t", "u", "w"} {
			e.Show(conn, "select v from "+table)
		}
		e.Do(conn, "drop table w, u; create temp table u (v int)")
		e.Do(conn, "insert into u values (3)")
		e.Show(conn, "select v from u")
	}, marks{}},
	{"RESET ALL leaves temporary tables what they are", func(e *Env) {
		other := e.Conn()
		each := func(statements ...string) func(*pgx.Conn) {
			return func(conn *pgx.Conn) {
				for _, sql := range statements {
					e.Do(conn, sql)
				}
			}
		}
		for _, reset := range []func(*pgx.Conn){
			each("reset all"),
			each("reset all; insert into emptied values (1)"),
			each("begin; reset all; insert into emptied values (1); commit"),
			each("create temp table more (v int); reset all; create temp table again (v int)"),
			each("begin", "savepoint a", "reset all", "select 1/0", "rollback to a", "reset all", "commit"),
			each("begin", "reset all", "rollback"),
			each("begin", "select 1/0", "reset all", "commit"),
			func(conn *pgx.Conn) {
				e.Err("extended", conn.PgConn().ExecParams(e.Ctx, "reset all", nil, nil, nil, nil).Read().Err)
			},
			func(conn *pgx.Conn) {
				batch := &pgconn.Batch{}
				for _, sql := range []string{"begin", "create temp table dropped (v int) on commit drop", "reset all", "insert into emptied values (1)",
					"drop table dropped", "create temp table dropped (v int)", "commit"} {
					batch.ExecParams(sql, nil, nil, nil, nil)
				}
				e.Err("batch", conn.PgConn().ExecBatch(e.Ctx, batch).Close())
			},
		} {
			conn := e.Conn()
			e.Do(conn, "create temp table kept (v int)")
			e.Do(conn, "create temp table emptied (v int) on commit delete rows")
			reset(conn)
			e.Do(conn, "insert into emptied values (2)")
			e.Show(conn, "select v from emptied")
			tx := e.BeginPgx(conn)
			e.Do(tx, "create temp table dropped (v int) on commit drop")
			e.Do(tx, "reset all")
			e.Err("commit", tx.Commit(e.Ctx))
			e.Show(conn, "select relname from pg_class where relpersistence = 't' and relkind = 'r' order by 1")
			e.Err("close", conn.Close(e.Ctx))
			e.Eventually(other, "select count(*) from pg_class where relpersistence = 't' and relkind = 'r'", 0)
		}
	}, marks{native: true}},
	{"a read-only transaction fills a temporary table", func(e *Env) {
		conn := e.Conn()
		e.Do(conn, "create temp table t (v int) on commit delete rows")
		tx, err := conn.BeginTx(e.Ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
		e.Err("begin", err)
		e.Do(tx, "insert into t values (1)")
		e.Show(tx, "select v from t")
		e.Err("commit", tx.Commit(e.Ctx))
		e.Show(conn, "select v from t")
	}, marks{}},
	{"temporary tables are a connection's own", func(e *Env) {
		db := e.DB()
		one, two := e.SQLConn(db), e.SQLConn(db)
		e.Do(one, "create temp table t (v int)")
		e.Show(two, "select v from t")
		e.Do(two, "create temp table t (w text)")
	}, marks{}},
	{"temporary tables end with their connection", func(e *Env) {
		for range 2 {
			conn := e.Conn()
			e.Do(conn, "create temp table t (v int primary key deferrable initially deferred)")
			e.Do(conn, "create temp view w as select v from t")
			e.Do(conn, "insert into t values ($1)", 1)
			e.Show(conn, "select v from w")
			e.Err("close", conn.Close(e.Ctx))
		}
		e.Show(e.Conn(), "select v from t")
	}, marks{native: true}},
	{"pg_prepared_statements lists the connection's own", func(e *Env) {
		other, conn := e.Conn(), e.Conn()
		_, err := other.Prepare(e.Ctx, "mine", "select 1")
		e.Must("prepare", err)
		e.Show(conn, "select count(*) from pg_prepared_statements where statement = $1", "select 1")
		e.Err("deallocate", other.Deallocate(e.Ctx, "mine"))
		e.Show(other, "select count(*) from pg_prepared_statements where statement = $1", "select 1")
	}, marks{native: true}},
	{"names of PREPARE end with their connection", func(e *Env) {
		for range 2 {
			conn := e.Conn()
			e.Do(conn, "prepare p as select 1")
			e.Show(conn, "execute p")
			e.Err("close", conn.Close(e.Ctx))
		}
		e.Show(e.Conn(), "execute p")
	}, marks{native: true}},
	{"a temporary table hides a table", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Show(conn, "select count(*) from items where $1", true)
		e.Do(conn, "create temp table items (x int)")
		e.Do(conn, "insert into items values (5), (6)")
		e.Show(conn, "select count(*) from items where $1", true)
		e.Do(conn, "drop table items")
		e.Show(conn, "select count(*) from items where $1", true)
	}, marks{}},
	{"advisory locks of a transaction end with it", func(e *Env) {
		db := e.DB()
		conn := e.SQLConn(db)
		tx := e.Begin(conn)
		e.Show(tx, "select pg_try_advisory_xact_lock(42)")
		e.Show(tx, "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()")
		e.Err("commit", tx.Commit())
		e.Show(conn, "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()")
		tx = e.Begin(conn)
		e.Show(tx, "select pg_try_advisory_xact_lock(42)")
		e.Err("rollback", tx.Rollback())
		e.Show(conn, "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()")
	}, marks{}},
	{"advisory locks of a session", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Show(conn, "select pg_try_advisory_lock(42)")
		e.Show(conn, "select pg_advisory_unlock(42)")
		e.Show(conn, "select pg_try_advisory_lock(43), pg_try_advisory_lock(43)")
		tx := e.Begin(conn)
		e.Show(tx, "select pg_try_advisory_lock(44)")
		e.Err("rollback", tx.Rollback())
		e.Show(conn, "select pg_advisory_unlock(44)")
		e.Do(conn, "select pg_advisory_unlock_all()")
		e.Show(conn, "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()")
	}, marks{}},
	{"unlocking what is not locked warns", func(e *Env) {
		conn := e.Conn()
		e.Show(conn, "select pg_advisory_unlock(42)")
	}, native},
	{"advisory locks keep other connections out", func(e *Env) {
		db := e.DB()
		one, two := e.SQLConn(db), e.SQLConn(db)
		e.Show(one, "select pg_try_advisory_lock(42)")
		e.Show(two, "select pg_try_advisory_lock(42)")
		e.Show(two, "select pg_advisory_unlock(42)")
	}, marks{}},
	{"PREPARE and EXECUTE as SQL", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Do(conn, "prepare p (int) as select $1 + 1")
		e.Show(conn, "execute p (1)")
		e.Do(conn, "prepare p as select 2")
		e.Do(conn, "deallocate p")
		e.Show(conn, "execute p (1)")
		tx := e.Begin(conn)
		e.Do(tx, "prepare q as select 5")
		e.Err("rollback", tx.Rollback())
		e.Show(conn, "execute q")
		e.Show(conn, "select name, statement, from_sql from pg_prepared_statements where from_sql")
		e.Do(conn, "deallocate nowhere")
	}, marks{sometimes: true}},
	{"DEALLOCATE ALL forgets SQL's prepared statements", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Do(conn, "prepare p as select 1")
		e.Do(conn, "deallocate all")
		e.Show(conn, "execute p")
		e.Show(conn, "select 1")
	}, marks{}},
	{"DISCARD", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Do(conn, "discard plans")
		e.Do(conn, "discard sequences")
		e.Do(conn, "discard temporary")
		e.Do(conn, "select 1")
	}, marks{}},
	{"DISCARD ALL", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Do(conn, "set work_mem = '1MB'")
		e.Do(conn, "insert into items values (1, 'a')")
		e.Do(conn, "discard all")
		e.Show(conn, setting)
		e.Do(conn, "insert into items values (2, 'b')")
	}, marks{}},
	{"currval and lastval", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Show(conn, "select currval('counter')")
		e.Show(conn, "select lastval()")
		e.Do(conn, "select setval('counter', 100)")
		e.Show(conn, "select nextval('counter'), currval('counter'), lastval()")
	}, marks{}},
	{"currval is a connection's own", func(e *Env) {
		db := e.DB()
		one, two := e.SQLConn(db), e.SQLConn(db)
		e.Do(one, "select nextval('counter')")
		e.Show(two, "select currval('counter')")
	}, marks{sometimes: true}},
	{"the first value of a sequence", func(e *Env) {
		e.Show(e.DB(), "select nextval('counter')")
	}, marks{sometimes: true}},
	{"a sequence does not go back", func(e *Env) {
		db := e.DB()
		e.Do(db, "select setval('counter', 100)")
		tx := e.Begin(db)
		e.Show(tx, "select nextval('counter')")
		e.Err("rollback", tx.Rollback())
		e.Show(db, "select nextval('counter')")
		e.Do(db, "create sequence mine; select nextval('mine')")
		e.Show(db, "select nextval('mine')")
		e.Do(db, "alter sequence counter restart with 7")
		e.Show(db, "select nextval('counter')")
	}, marks{}},
	{"LISTEN and NOTIFY", func(e *Env) {
		one, two := e.Conn(), e.Conn()
		e.Do(one, "listen news")
		e.Do(two, "notify news, 'hello'")
		ctx, done := context.WithTimeout(e.Ctx, 300*time.Millisecond)
		defer done()
		n, err := one.WaitForNotification(ctx)
		e.Err("wait", err)
		if err == nil {
			e.Log("%s %s", n.Channel, n.Payload)
		}
	}, native},
	{"listening channels", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Do(conn, "listen a")
		e.Show(conn, "select pg_listening_channels()")
		tx := e.Begin(conn)
		e.Do(tx, "listen b")
		e.Err("rollback", tx.Rollback())
		e.Show(conn, "select pg_listening_channels()")
		e.Do(conn, "unlisten *")
		e.Show(conn, "select pg_listening_channels()")
	}, marks{}},
	{"large objects", func(e *Env) {
		conn := e.Conn()
		tx := e.BeginPgx(conn)
		los := tx.LargeObjects()
		oid, err := los.Create(e.Ctx, 4711)
		e.Log("%d", oid)
		e.Err("create", err)
		lo, err := los.Open(e.Ctx, oid, pgx.LargeObjectModeWrite|pgx.LargeObjectModeRead)
		e.Must("open", err)
		n, err := lo.Write([]byte("hello"))
		e.Log("%d", n)
		e.Err("write", err)
		e.Err("close", lo.Close())
		e.Err("commit", tx.Commit(e.Ctx))
		e.Show(conn, "select convert_from(lo_get(4711), 'UTF8')")
	}, native},
	{"a large object's descriptor ends with its transaction", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Do(conn, "select lo_create(4712)")
		tx := e.Begin(conn)
		e.Show(tx, "select lo_open(4712, 131072)")
		e.Err("commit", tx.Commit())
		e.Show(conn, "select loread(0, 5)")
		e.Show(conn, "select lo_open(4712, 131072)")
		e.Show(conn, "select loread(0, 5)")
	}, marks{}},
	{"LOCK outside a transaction is refused", func(e *Env) {
		db := e.DB()
		e.Do(db, "lock table items")
		tx := e.Begin(db)
		e.Do(tx, "lock table items in exclusive mode")
		e.Err("commit", tx.Commit())
		e.Do(db, "lock items; select 1")
	}, marks{}},
	{"each connection has a backend of its own", func(e *Env) {
		db := e.DB()
		one, two := e.SQLConn(db), e.SQLConn(db)
		var a, b int
		e.Must("one", one.QueryRowContext(e.Ctx, "select pg_backend_pid()").Scan(&a))
		e.Must("two", two.QueryRowContext(e.Ctx, "select pg_backend_pid()").Scan(&b))
		e.Log("different %v", a != b)
	}, marks{}},
	{"a cursor that a function has opened ends with its transaction", func(e *Env) {
		conn := e.Conn()
		e.Do(conn, "create function open_items(refcursor) returns refcursor language plpgsql as $$ begin open $1 for select id from items; return $1; end $$")
		e.Do(conn, "create function leave_open() returns void language plpgsql as $$ declare c cursor for select 1; begin open c; end $$")
		e.Do(conn, "insert into items values (1, 'a')")
		for range 2 {
			tx := e.BeginPgx(conn)
			e.Show(tx, "select open_items('cur')")
			e.Show(tx, "fetch all from cur")
			e.Do(tx, "do $$ declare d cursor for select 1; begin open d; end $$")
			e.Err("commit", tx.Commit(e.Ctx))
			e.Show(conn, "select open_items('cur')")
			e.Do(conn, "select leave_open()")
			e.Show(conn, "select count(*) from pg_cursors where name = 'cur'")
		}
		e.Do(conn, "alter table items add column x int")
		e.Do(conn, "truncate items")
	}, marks{native: true}},
	{"a cursor WITH HOLD does not keep its table in use", func(e *Env) {
		conn := e.Conn()
		e.Do(conn, "declare held cursor with hold for select id from items")
		e.Do(conn, "alter table items add column x int")
	}, marks{native: true}},
	{"DISCARD ALL is about its own connection", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		tx := e.BeginPgx(a)
		e.Do(tx, "declare c cursor for values (1), (2)")
		e.Show(tx, "fetch 1 from c")
		e.Do(b, "discard all")
		e.Show(tx, "fetch 1 from c")
		e.Err("commit", tx.Commit(e.Ctx))
	}, marks{native: true}},
	{"a commit restores settings whatever the role", func(e *Env) {
		a, b := e.Conn(), e.Conn()
		e.Do(a, "begin")
		e.Do(a, "set local session_replication_role = replica")
		e.Do(a, "set local role pg_monitor")
		e.Do(a, "commit")
		e.Show(a, "select current_user, current_setting('session_replication_role')")
		e.Do(a, "set role pg_monitor")
		e.Do(a, "begin")
		e.Do(a, "set local role none")
		e.Do(a, "set local session_replication_role = replica")
		e.Do(b, "set local session_replication_role = replica; set local role pg_monitor; select 1")
		e.Do(a, "commit")
		for _, conn := range []*pgx.Conn{a, b} {
			e.Show(conn, "select current_user, current_setting('session_replication_role')")
		}
	}, marks{native: true}},
	{"a function's cursor is closed whatever the role", func(e *Env) {
		conn := e.Conn()
		e.Do(conn, "create function open_one(c refcursor) returns refcursor language plpgsql as $$ begin open c for select 1; return c; end $$")
		e.Do(conn, "revoke usage on language plpgsql from public")
		e.Do(conn, "set role pg_monitor")
		for range 2 {
			e.Show(conn, "select open_one('c')")
		}
	}, marks{native: true}},
	{"SET behind SET LOCAL stays, unless a savepoint takes it back", func(e *Env) {
		conn := e.Conn()
		e.Do(conn, "begin; set local work_mem = '2MB'; savepoint s; set work_mem = '3MB'; rollback to s; commit")
		e.Show(conn, "show work_mem")
		e.Do(conn, "begin; set local work_mem = '2MB'; set local lock_timeout = '2s'; set work_mem = '3MB'; set local work_mem = '6MB'; commit")
		e.Show(conn, "show work_mem")
		e.Do(conn, "begin; set work_mem = '5MB'; commit; select 1/0")
		e.Show(conn, "show work_mem")
		e.Show(e.Conn(), "show work_mem")
	}, marks{native: true}},
}

var timeAndIDs = []behaviour{
	{"now() stands still inside a transaction", func(e *Env) {
		tx := e.Begin(e.DB())
		var a, b, c time.Time
		e.Must("now", tx.QueryRowContext(e.Ctx, "select now()").Scan(&a))
		time.Sleep(2 * time.Millisecond)
		e.Must("now", tx.QueryRowContext(e.Ctx, "select now(), clock_timestamp()").Scan(&b, &c))
		e.Log("%v %v", a.Equal(b), c.After(b))
		e.Err("commit", tx.Commit())
	}, marks{}},
	{"now() moves from statement to statement", func(e *Env) {
		db := e.DB()
		var a, b time.Time
		e.Must("now", db.QueryRowContext(e.Ctx, "select now()").Scan(&a))
		time.Sleep(2 * time.Millisecond)
		e.Must("now", db.QueryRowContext(e.Ctx, "select now()").Scan(&b))
		e.Log("%v", b.After(a))
	}, marks{}},
	{"statement_timestamp() and clock_timestamp() move", func(e *Env) {
		db := e.DB()
		var a, b, c, d time.Time
		e.Must("now", db.QueryRowContext(e.Ctx, "select statement_timestamp(), clock_timestamp()").Scan(&a, &b))
		time.Sleep(2 * time.Millisecond)
		e.Must("now", db.QueryRowContext(e.Ctx, "select statement_timestamp(), clock_timestamp()").Scan(&c, &d))
		e.Log("%v %v", c.After(a), d.After(b))
	}, marks{}},
	{"now() is close to the clock of the test", func(e *Env) {
		db := e.DB()
		e.Do(db, "select 1")
		time.Sleep(2 * time.Millisecond)
		var now time.Time
		e.Must("now", db.QueryRowContext(e.Ctx, "select now()").Scan(&now))
		e.Log("%v", time.Since(now).Abs() < time.Minute)
	}, marks{}},
	{"transactions have ids of their own", func(e *Env) {
		db := e.DB()
		var a, b int64
		e.Must("id", db.QueryRowContext(e.Ctx, "select pg_current_xact_id()::text::bigint").Scan(&a))
		e.Must("id", db.QueryRowContext(e.Ctx, "select pg_current_xact_id()::text::bigint").Scan(&b))
		e.Log("%v", a != b)
	}, marks{}},
}
