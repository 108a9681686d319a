package conformance_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

const allTypes = `select 1::int2, 2::int4, 3::int8, 1.5::float4, 2.5::float8, 12345.678::numeric, 1.10::numeric(10,2), true, 'text'::text, 'vc'::varchar(10), 'ch'::char(5), 'n'::name,
	'\xdeadbeef'::bytea, date '2024-02-29', timestamp '2024-02-29 12:34:56.789', timestamptz '2024-02-29 12:34:56.789+02', time '12:34:56', interval '1 month 2 days 3 hours',
	'{"a": [1, null]}'::json, '{"a": 1}'::jsonb, '11111111-2222-3333-4444-555555555555'::uuid, '10.0.0.1/8'::inet, array[1, 2, null], array['a', 'b'], int4range(1, 5), point(1, 2), B'101', 'a'::"char", null::int, null`

var rowsAndTypes = []behaviour{
	{"values of every type by database/sql", func(e *Env) {
		db := e.DB()
		e.Show(db, allTypes)
		e.Show(db, allTypes+" where $1", true)
	}, marks{}},
	{"values of every type by pgx in every mode", func(e *Env) {
		for _, mode := range modes {
			conn := e.Conn(func(cfg *pgx.ConnConfig) { cfg.DefaultQueryExecMode = mode })
			e.Log("mode %v", mode)
			e.Show(conn, allTypes)
			e.Show(conn, allTypes+" where $1", true)
		}
	}, native},
	{"arguments of many types", func(e *Env) {
		db := e.DB()
		at := time.Date(2024, 2, 29, 12, 34, 56, 789000, time.UTC)
		e.Show(db, "select $1::int, $2::text, $3::bool, $4::float8, $5::bytea, $6::timestamptz, $7::date, $8::int[], $9::text", 1, "x", true, 2.5, []byte{1, 0, 255}, at, at, []int32{1, 2}, nil)
		e.Show(db, "select $1::uuid, $2::inet, $3::jsonb, $4::text", "11111111-2222-3333-4444-555555555555", netip.MustParseAddr("10.0.0.1"), map[string]int{"a": 1}, sql.NullString{})
		e.Show(db, "select $1", "untyped")
		e.Show(db, "select $1::text, $1::text", "twice")
	}, marks{}},
	{"column types", func(e *Env) {
		db := e.DB()
		for _, q := range []string{allTypes, "select id, name, qty, note, 1.10::numeric(10,2) as d from items"} {
			rows, err := db.QueryContext(e.Ctx, q)
			e.Must("query", err)
			types, err := rows.ColumnTypes()
			e.Must("types", err)
			for _, t := range types {
				length, lengthOK := t.Length()
				precision, scale, decimalOK := t.DecimalSize()
				nullable, nullableOK := t.Nullable()
				e.Log("%s %s %v %d %v %d %d %v %v %v", t.Name(), t.DatabaseTypeName(), t.ScanType(), length, lengthOK, precision, scale, decimalOK, nullable, nullableOK)
			}
			rows.Close()
		}
	}, marks{}},
	{"a hundred thousand rows", func(e *Env) {
		rows, err := e.DB().QueryContext(e.Ctx, "select n, repeat('x', 20) from generate_series(1, 100000) n")
		e.Must("query", err)
		defer rows.Close()
		var n, sum, v int
		for rows.Next() {
			e.Must("scan", rows.Scan(&v, new(string)))
			n, sum = n+1, sum+v
		}
		e.Log("%d %d %v", n, sum, rows.Err())
	}, marks{}},
	{"large values", func(e *Env) {
		db := e.DB()
		big := strings.Repeat("0123456789", 300_000)
		var length int
		e.Must("length", db.QueryRowContext(e.Ctx, "select length($1::text)", big).Scan(&length))
		var back string
		e.Must("back", db.QueryRowContext(e.Ctx, "select $1::text", big).Scan(&back))
		e.Log("%d %v", length, back == big)
		e.Must("made", db.QueryRowContext(e.Ctx, "select repeat('x', 5000000)").Scan(&back))
		e.Log("%d", len(back))
		e.Show(db, "select 1")
	}, marks{racy: true}},
	{"rows that are closed early", func(e *Env) {
		db := e.DB()
		for range 5 {
			rows, err := db.QueryContext(e.Ctx, "select n from generate_series(1, 50000) n")
			e.Must("query", err)
			rows.Next()
			e.Err("close", rows.Close())
		}
		e.Show(db, "select 1")
	}, marks{racy: true}},
	{"rows left open in a transaction", func(e *Env) {
		conn := e.Conn()
		tx := e.BeginPgx(conn)
		rows, err := tx.Query(e.Ctx, "select generate_series(1, 10)")
		e.Must("query", err)
		rows.Next()
		e.Do(tx, "select 1")
		e.Err("commit", tx.Commit(e.Ctx))
		rows.Close()
		e.Err("rows", rows.Err())
		e.Err("rollback", tx.Rollback(e.Ctx))
		e.Show(conn, "select 1")
	}, native},
	{"a transaction of database/sql that commits with rows open", func(e *Env) {
		db := e.DB()
		tx := e.Begin(db)
		rows, err := tx.QueryContext(e.Ctx, "select generate_series(1, 10)")
		e.Must("query", err)
		rows.Next()
		e.Do(tx, "insert into items values (1, 'a')")
		e.Err("commit", tx.Commit())
		e.Log("next %v", rows.Next())
		rows.Close()
		e.Show(db, "select id from items")
	}, marks{}},
	{"nested queries on a pool", func(e *Env) {
		db := e.DB()
		e.Do(db, "insert into items select n, n::text from generate_series(1, 5) n")
		rows, err := db.QueryContext(e.Ctx, "select id from items order by id")
		e.Must("query", err)
		defer rows.Close()
		for rows.Next() {
			var id int
			e.Must("scan", rows.Scan(&id))
			e.Do(db, "update items set qty = $1 where id = $2", id*10, id)
			e.Show(db, "select name from items where id = $1", id)
		}
		e.Err("rows", rows.Err())
		e.Show(db, allItems)
	}, marks{}},
	{"nested queries on one connection are refused", func(e *Env) {
		conn := e.Conn()
		rows, err := conn.Query(e.Ctx, "select generate_series(1, 3)")
		e.Must("query", err)
		rows.Next()
		e.Do(conn, "select 1")
		e.Log("next %v", rows.Next())
		rows.Close()
		e.Do(conn, "select 1")
	}, native},
	{"several results of one string", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Err("raw", conn.Raw(func(dc any) error {
			results := dc.(*stdlib.Conn).Conn().PgConn().Exec(e.Ctx, "select 1 as a; insert into items values (1, 'a'); select 'x' as b, 'y' as c where false; select nothing")
			for results.NextResult() {
				r := results.ResultReader().Read()
				e.Log("%d fields %d rows %s", len(r.FieldDescriptions), len(r.Rows), r.CommandTag)
				e.Err("result", r.Err)
			}
			return results.Close()
		}))
		e.Show(conn, "select count(*) from items")
	}, marks{}},
	{"scanning into a wrong type", func(e *Env) {
		db := e.DB()
		var n int
		e.Err("scan", db.QueryRowContext(e.Ctx, "select 'x'").Scan(&n))
		e.Err("scan", db.QueryRowContext(e.Ctx, "select null::int").Scan(&n))
		e.Err("scan", db.QueryRowContext(e.Ctx, "select 1, 2").Scan(&n))
		e.Show(db, "select 1")
	}, marks{}},
	{"RETURNING", func(e *Env) {
		db := e.DB()
		e.Show(db, "insert into items values ($1, $2), ($3, $4) returning id, name, note", 1, "a", 2, "b")
		e.Show(db, "with u as (update items set qty = qty + 1 returning id, qty) select * from u order by id")
		e.Show(db, "delete from items where id = 1 returning *")
		res, err := db.ExecContext(e.Ctx, "update items set qty = 0")
		e.Must("exec", err)
		_, err = res.LastInsertId()
		e.Err("last insert id", err)
	}, marks{}},
	{"ON CONFLICT, MERGE-like upserts and CTEs", func(e *Env) {
		db := e.DB()
		for range 2 {
			e.Show(db, "insert into items values ($1, $2) on conflict (id) do update set qty = items.qty + 1 returning qty", 1, "a")
			e.Do(db, "insert into items values ($1, $2) on conflict do nothing", 1, "a")
		}
		e.Show(db, "with d as (delete from items returning *), i as (insert into items select id + 1, name || 'x' from d returning *) select * from i")
	}, marks{}},
	{"a custom type registered with pgx", func(e *Env) {
		conn := e.Conn()
		e.Do(conn, "create type mood as enum ('sad', 'happy'); create type pair as (a int, b mood)")
		for _, name := range []string{"mood", "_mood", "pair"} {
			t, err := conn.LoadType(e.Ctx, name)
			e.Must("load", err)
			conn.TypeMap().RegisterType(t)
		}
		var moods []string
		e.Err("scan", conn.QueryRow(e.Ctx, "select $1::mood[]", []string{"sad", "happy"}).Scan(&moods))
		e.Log("%q", moods)
		var p struct {
			A int
			B pgtype.Text
		}
		e.Err("scan", conn.QueryRow(e.Ctx, "select row(1, 'sad')::pair").Scan(pgtype.CompositeFields{&p.A, &p.B}))
		e.Log("%v", p)
	}, native},
	{"rows into structs", func(e *Env) {
		conn := e.Conn()
		e.Do(conn, "insert into items select n, n::text from generate_series(1, 3) n")
		type item struct {
			ID   int64
			Name string
		}
		rows, err := conn.Query(e.Ctx, "select id, name from items order by id")
		e.Must("query", err)
		items, err := pgx.CollectRows(rows, pgx.RowToStructByName[item])
		e.Log("%v", items)
		e.Err("collect", err)
		rows, err = conn.Query(e.Ctx, "select id from items")
		e.Must("query", err)
		_, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
		e.Err("one", err)
		rows, err = conn.Query(e.Ctx, "select id from items where false")
		e.Must("query", err)
		_, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
		e.Err("one", err)
	}, native},
}

var modes = []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol}

// inEveryMode runs a body on a connection of each mode in turn.
func inEveryMode(f func(e *Env, conn *pgx.Conn)) func(*Env) {
	return func(e *Env) {
		for _, mode := range modes {
			e.Log("mode %v", mode)
			conn := e.Conn(func(cfg *pgx.ConnConfig) { cfg.DefaultQueryExecMode = mode })
			f(e, conn)
			e.Do(conn, "delete from items")
			conn.Close(e.Ctx)
		}
	}
}

var statements = []behaviour{
	{"every mode: statements and errors", inEveryMode(func(e *Env, conn *pgx.Conn) {
		e.Do(conn, "insert into items (id, name) values ($1, $2)", 1, "a")
		e.Do(conn, "insert into items (id, name) values ($1, $2)", 1, "a")
		e.Do(conn, "insert into items (id, name, qty) values ($1, $2, $3)", 2, "b", -5)
		e.Show(conn, "select id, name from items where id = $1", 1)
		e.Show(conn, "select 1/$1::int", 0)
		e.Log("status %c", conn.PgConn().TxStatus())
	}), native},
	{"every mode: transactions", inEveryMode(func(e *Env, conn *pgx.Conn) {
		for _, end := range []string{"commit", "rollback"} {
			e.Do(conn, "begin")
			e.Do(conn, "insert into items (id, name) values ($1, $2)", 1, "a")
			e.Do(conn, "savepoint s")
			e.Do(conn, "insert into items (id, name) values ($1, $2)", 1, "a")
			e.Do(conn, "rollback to s")
			e.Do(conn, end)
			e.Do(conn, "delete from items where id = $1", 1)
		}
		e.Do(conn, "begin")
		e.Do(conn, "select 1/$1::int", 0)
		e.Show(conn, "select $1::int", 1)
		e.Do(conn, "commit")
	}), native},
	{"every mode: queries without arguments", inEveryMode(func(e *Env, conn *pgx.Conn) {
		for _, q := range []string{"select 1", "begin", "select count(*) from items", "commit", "rollback", "selec", "insert into items values (1, 'a') returning id"} {
			e.Show(conn, q)
			e.Log("status %c", conn.PgConn().TxStatus())
		}
	}), native},
	{"every mode: after DDL", inEveryMode(func(e *Env, conn *pgx.Conn) {
		e.Do(conn, "create table d (a int)")
		e.Show(conn, "select * from d where $1", true)
		e.Do(conn, "alter table d add column b text default 'x'")
		e.Do(conn, "insert into d values ($1)", 1)
		for range 3 {
			e.Show(conn, "select * from d where $1", true)
		}
		e.Do(conn, "drop table d")
	}), native},
	{"a PgBouncer-style configuration", func(e *Env) {
		pool := e.Pool(func(cfg *pgxpool.Config) {
			cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
			cfg.ConnConfig.StatementCacheCapacity = 0
			cfg.ConnConfig.DescriptionCacheCapacity = 0
		})
		e.Do(pool, "insert into items (id, name) values ($1, $2)", 1, "a")
		e.Do(pool, "insert into items (id, name) values ($1, $2)", 1, "a")
		e.Show(pool, "select id, name from items where id = $1", 1)
	}, native},
	{"a statement cache of two statements", func(e *Env) {
		conn := e.Conn(func(cfg *pgx.ConnConfig) { cfg.StatementCacheCapacity = 2 })
		for range 3 {
			for i := range 5 {
				e.Show(conn, fmt.Sprintf("select %d + $1::int", i), i)
			}
		}
	}, native},
	{"a prepared statement of database/sql", func(e *Env) {
		db := e.DB()
		stmt, err := db.PrepareContext(e.Ctx, "insert into items (id, name) values ($1, $2)")
		e.Must("prepare", err)
		for i := range 3 {
			_, err := stmt.ExecContext(e.Ctx, i/2, "n")
			e.Err("exec", err)
		}
		_, err = stmt.ExecContext(e.Ctx, 1)
		e.Err("exec", err)
		e.Err("close", stmt.Close())
		_, err = stmt.ExecContext(e.Ctx, 9, "z")
		e.Err("exec", err)
		e.Show(db, allItems)
	}, marks{}},
	{"a prepared statement in a transaction", func(e *Env) {
		db := e.DB()
		stmt, err := db.PrepareContext(e.Ctx, "insert into items (id, name) values ($1, $2)")
		e.Must("prepare", err)
		defer stmt.Close()
		tx := e.Begin(db)
		_, err = tx.StmtContext(e.Ctx, stmt).ExecContext(e.Ctx, 1, "a")
		e.Err("exec", err)
		_, err = tx.StmtContext(e.Ctx, stmt).ExecContext(e.Ctx, 1, "a")
		e.Err("exec", err)
		_, err = tx.StmtContext(e.Ctx, stmt).ExecContext(e.Ctx, 2, "b")
		e.Err("exec", err)
		e.Err("rollback", tx.Rollback())
		_, err = stmt.ExecContext(e.Ctx, 3, "c")
		e.Err("exec", err)
		tx = e.Begin(db)
		own, err := tx.PrepareContext(e.Ctx, "insert into items (id, name) values ($1, $2)")
		e.Must("prepare", err)
		_, err = own.ExecContext(e.Ctx, 4, "d")
		e.Err("exec", err)
		e.Err("commit", tx.Commit())
		_, err = own.ExecContext(e.Ctx, 5, "e")
		e.Err("exec", err)
		e.Show(db, allItems)
	}, marks{}},
	{"a prepared statement shared by goroutines", func(e *Env) {
		db := e.DB()
		stmt, err := db.PrepareContext(e.Ctx, "select $1::int * 2")
		e.Must("prepare", err)
		defer stmt.Close()
		e.Each(8, func(e *Env, i int) {
			for range 5 {
				var n int
				e.Err("scan", stmt.QueryRowContext(e.Ctx, i).Scan(&n))
				e.Log("%d", n)
			}
		})
	}, marks{}},
	{"preparing what is wrong", func(e *Env) {
		db := e.DB()
		for _, q := range []string{"selec", "select * from nowhere", "select $1", "insert into items (id) values ($1, $2)", "", "select 1; select 2"} {
			stmt, err := db.PrepareContext(e.Ctx, q)
			e.Err("prepare", err)
			if err == nil {
				stmt.Close()
			}
		}
		tx := e.Begin(db)
		_, err := tx.PrepareContext(e.Ctx, "selec")
		e.Err("prepare", err)
		e.Do(tx, "select 1")
		e.Err("rollback", tx.Rollback())
	}, marks{}},
	{"statements prepared by name", func(e *Env) {
		conn := e.Conn()
		sd, err := conn.Prepare(e.Ctx, "get", "select name from items where id = $1")
		e.Must("prepare", err)
		e.Log("%s %d %v", sd.Name, len(sd.Fields), sd.ParamOIDs)
		e.Do(conn, "insert into items values (1, 'a')")
		e.Show(conn, "get", 1)
		_, err = conn.PgConn().Prepare(e.Ctx, "get", "select 2", nil)
		e.Err("prepare", err)
		e.Err("deallocate", conn.Deallocate(e.Ctx, "get"))
		e.Show(conn, "get", 1)
		_, err = conn.Prepare(e.Ctx, "get", "select id from items")
		e.Err("prepare", err)
		e.Show(conn, "get")
		e.Err("deallocate all", conn.DeallocateAll(e.Ctx))
		e.Show(conn, "select id from items where id = $1", 1)
		e.Err("nowhere", conn.Deallocate(e.Ctx, "nowhere"))
	}, native},
	{"DEALLOCATE ALL behind pgx's back", func(e *Env) {
		conn := e.Conn()
		e.Show(conn, "select $1::int", 1)
		e.Do(conn, "deallocate all")
		e.Show(conn, "select $1::int", 2)
		e.Show(conn, "select $1::int", 3)
	}, native},
	{"DEALLOCATE ALL on one connection leaves the statements of others", func(e *Env) {
		one, two := e.Conn(), e.Conn()
		e.Show(one, "select $1::int", 1)
		e.Do(two, "deallocate all")
		e.Show(one, "select $1::int", 2)
	}, native},
	{"batches", func(e *Env) {
		conn := e.Conn()
		b := &pgx.Batch{}
		b.Queue("insert into items values ($1, $2)", 1, "a")
		b.Queue("select id, name from items where id = $1", 1).Query(func(rows pgx.Rows) error { return e.pgxRows("in batch", rows) })
		b.Queue("update items set qty = 3").Exec(func(ct pgconn.CommandTag) error { e.Log("%s", ct); return nil })
		b.Queue("select qty from items").QueryRow(func(row pgx.Row) error {
			var n int
			defer func() { e.Log("%d", n) }()
			return row.Scan(&n)
		})
		e.Err("close", conn.SendBatch(e.Ctx, b).Close())
		e.Show(conn, allItems)
	}, native},
	{"every mode: a batch that fails in the middle", inEveryMode(func(e *Env, conn *pgx.Conn) {
		b := &pgx.Batch{}
		b.Queue("insert into items (id, name) values ($1, $2)", 1, "a")
		b.Queue("select 1/$1::int", 0)
		b.Queue("insert into items (id, name) values ($1, $2)", 2, "b")
		r := conn.SendBatch(e.Ctx, b)
		for range 3 {
			tag, err := r.Exec()
			e.Log("%s", tag)
			e.Err("exec", err)
		}
		e.Err("close", r.Close())
		e.Show(conn, "select id from items")
	}), native},
	{"a batch in a transaction that fails", func(e *Env) {
		conn := e.Conn()
		tx := e.BeginPgx(conn)
		b := &pgx.Batch{}
		b.Queue("insert into items values ($1, $2)", 1, "a")
		b.Queue("insert into items values ($1, $2)", 1, "a")
		e.Err("batch", tx.SendBatch(e.Ctx, b).Close())
		e.Do(tx, "select 1")
		e.Err("commit", tx.Commit(e.Ctx))
		e.Show(conn, "select id from items")
	}, native},
	{"a batch of a thousand statements", func(e *Env) {
		conn := e.Conn()
		b := &pgx.Batch{}
		for i := range 1000 {
			b.Queue("insert into items values ($1, $2)", i, fmt.Sprint(i))
		}
		e.Err("batch", conn.SendBatch(e.Ctx, b).Close())
		e.Show(conn, "select count(*) from items")
	}, native},
	{"an empty batch, a batch not read to its end", func(e *Env) {
		conn := e.Conn()
		e.Err("empty", conn.SendBatch(e.Ctx, &pgx.Batch{}).Close())
		b := &pgx.Batch{}
		b.Queue("insert into items values ($1, $2)", 1, "a")
		b.Queue("select id from items")
		b.Queue("insert into items values ($1, $2)", 2, "b")
		r := conn.SendBatch(e.Ctx, b)
		_, err := r.Exec()
		e.Err("first", err)
		e.Err("close", r.Close())
		e.Show(conn, "select id from items order by id")
	}, native},
	{"pipelines", func(e *Env) {
		conn := e.Conn().PgConn()
		p := conn.StartPipeline(e.Ctx)
		p.SendQueryParams("insert into items values ($1, $2)", [][]byte{[]byte("1"), []byte("a")}, nil, nil, nil)
		p.SendPrepare("sel", "select id, name from items", nil)
		p.SendQueryPrepared("sel", nil, nil, nil)
		e.Err("sync", p.Sync())
		p.SendQueryParams("select 1/0", nil, nil, nil, nil)
		p.SendQueryParams("insert into items values (2, 'b')", nil, nil, nil, nil)
		e.Err("sync", p.Sync())
		p.SendQueryPrepared("sel", nil, nil, nil)
		p.SendDeallocate("sel")
		e.Err("sync", p.Sync())
		for {
			results, err := p.GetResults()
			e.Err("results", err)
			var pe *pgconn.PgError
			if err != nil && !errors.As(err, &pe) || err == nil && results == nil {
				break
			}
			switch r := results.(type) {
			case *pgconn.ResultReader:
				res := r.Read()
				e.Log("%d rows %s %v", len(res.Rows), res.CommandTag, res.Err)
			case *pgconn.StatementDescription:
				e.Log("statement %s %d", r.Name, len(r.Fields))
			default:
				e.Log("%T", r)
			}
		}
		e.Err("close", p.Close())
		e.Log("status %c", conn.TxStatus())
	}, native},
	{"ExecParams and ExecPrepared", func(e *Env) {
		conn := e.Conn().PgConn()
		r := conn.ExecParams(e.Ctx, "select $1::text || '!'", [][]byte{[]byte("x")}, nil, nil, nil).Read()
		e.Log("%q %s", r.Rows, r.CommandTag)
		_, err := conn.Prepare(e.Ctx, "p", "select $1::int + 1", nil)
		e.Err("prepare", err)
		for _, arg := range []string{"1", "x", "2"} {
			r = conn.ExecPrepared(e.Ctx, "p", [][]byte{[]byte(arg)}, nil, []int16{0}).Read()
			e.Log("%q %s", r.Rows, r.CommandTag)
			e.Err("read", r.Err)
		}
		r = conn.ExecPrepared(e.Ctx, "nowhere", nil, nil, nil).Read()
		e.Err("nowhere", r.Err)
	}, native},
	{"the connection below", func(e *Env) {
		conn := e.SQLConn(e.DB())
		e.Err("raw", conn.Raw(func(dc any) error {
			c := dc.(*stdlib.Conn).Conn()
			e.Show(c, "select $1::int[]", []int32{1, 2})
			n, err := c.CopyFrom(e.Ctx, pgx.Identifier{"items"}, []string{"id", "name"}, pgx.CopyFromRows([][]any{{1, "a"}, {2, "b"}}))
			e.Log("%d", n)
			return err
		}))
		e.Show(conn, "select id from items order by id")
	}, marks{}},
	{"what the server says of itself", func(e *Env) {
		conn := e.Conn().PgConn()
		for _, p := range []string{"server_version", "server_encoding", "client_encoding", "DateStyle", "IntervalStyle", "TimeZone", "integer_datetimes", "standard_conforming_strings", "is_superuser", "session_authorization", "in_hot_standby", "default_transaction_read_only", "search_path", "nothing"} {
			e.Log("%s=%s", p, conn.ParameterStatus(p))
		}
		e.Log("%v", conn.PID() > 0)
		e.Err("ping", conn.Ping(e.Ctx))
	}, native},
	{"a connection that is closed", func(e *Env) {
		conn := e.Conn()
		e.Err("close", conn.Close(e.Ctx))
		e.Err("close", conn.Close(e.Ctx))
		e.Do(conn, "select 1")
		e.Err("ping", conn.Ping(e.Ctx))
		_, err := conn.Begin(e.Ctx)
		e.Err("begin", err)
		e.Log("%v", conn.IsClosed())
	}, native},
	{"a connection of database/sql that is closed", func(e *Env) {
		db := e.DB()
		conn := e.SQLConn(db)
		tx := e.Begin(conn)
		e.Do(tx, "insert into items values (1, 'a')")
		e.Err("rollback", tx.Rollback())
		e.Err("close", conn.Close())
		e.Do(conn, "select 1")
		e.Err("ping", db.PingContext(e.Ctx))
		e.Show(db, "select count(*) from items")
	}, marks{}},
}

var copying = []behaviour{
	{"COPY in by pgx", func(e *Env) {
		conn := e.Conn()
		n, err := conn.CopyFrom(e.Ctx, pgx.Identifier{"items"}, []string{"id", "name", "note"}, pgx.CopyFromSlice(1000, func(i int) ([]any, error) { return []any{i, fmt.Sprint(i), nil}, nil }))
		e.Log("%d", n)
		e.Err("copy", err)
		e.Show(conn, "select count(*), sum(id) from items")
	}, native},
	{"COPY in that violates a constraint", func(e *Env) {
		conn := e.Conn()
		_, err := conn.CopyFrom(e.Ctx, pgx.Identifier{"items"}, []string{"id", "name"}, pgx.CopyFromRows([][]any{{1, "a"}, {2, "a"}}))
		e.Err("copy", err)
		e.Log("status %c", conn.PgConn().TxStatus())
		e.Show(conn, "select count(*) from items")
	}, native},
	{"COPY in whose source fails", func(e *Env) {
		conn := e.Conn()
		i := 0
		_, err := conn.CopyFrom(e.Ctx, pgx.Identifier{"items"}, []string{"id", "name"}, pgx.CopyFromFunc(func() ([]any, error) {
			if i++; i > 3 {
				return nil, errors.New("source dried up")
			}
			return []any{i, fmt.Sprint(i)}, nil
		}))
		e.Err("copy", err)
		e.Show(conn, "select count(*) from items")
	}, native},
	{"COPY in in a transaction", func(e *Env) {
		pool := e.Pool()
		tx := e.BeginPgx(pool)
		rows := func() pgx.CopyFromSource { return pgx.CopyFromRows([][]any{{1, "a"}, {2, "b"}}) }
		_, err := tx.CopyFrom(e.Ctx, pgx.Identifier{"items"}, []string{"id", "name"}, rows())
		e.Err("copy", err)
		_, err = tx.CopyFrom(e.Ctx, pgx.Identifier{"items"}, []string{"id", "name"}, rows())
		e.Err("copy", err)
		e.Do(tx, "select 1")
		e.Err("rollback", tx.Rollback(e.Ctx))
		e.Show(pool, "select count(*) from items")
		tx = e.BeginPgx(pool)
		_, err = tx.CopyFrom(e.Ctx, pgx.Identifier{"items"}, []string{"id", "name"}, rows())
		e.Err("copy", err)
		e.Err("commit", tx.Commit(e.Ctx))
		e.Show(pool, "select count(*) from items")
	}, native},
	{"COPY in to what does not exist", func(e *Env) {
		conn := e.Conn()
		_, err := conn.CopyFrom(e.Ctx, pgx.Identifier{"nowhere"}, []string{"id"}, pgx.CopyFromRows([][]any{{1}}))
		e.Err("copy", err)
		_, err = conn.CopyFrom(e.Ctx, pgx.Identifier{"items"}, []string{"nothing"}, pgx.CopyFromRows([][]any{{1}}))
		e.Err("copy", err)
		e.Show(conn, "select 1")
	}, native},
	{"COPY in as text", func(e *Env) {
		conn := e.Conn().PgConn()
		for _, data := range []string{"1\ta\t0\t\\N\n2\tb\t1\tx\n", "3\n", "x\ty\tz\tw\n", ""} {
			tag, err := conn.CopyFrom(e.Ctx, strings.NewReader(data), "copy items from stdin")
			e.Log("%s", tag)
			e.Err("copy", err)
		}
		tag, err := conn.CopyFrom(e.Ctx, strings.NewReader("9,\"q,q\"\n"), "copy items (id, name) from stdin with (format csv)")
		e.Log("%s", tag)
		e.Err("copy", err)
		tag, err = conn.CopyFrom(e.Ctx, io.MultiReader(strings.NewReader("5\tx\t0\tx\n"), &failingReader{}), "copy items from stdin")
		e.Log("%s", tag)
		e.Err("copy", err)
		var out bytes.Buffer
		tag, err = conn.CopyTo(e.Ctx, &out, "copy (select * from items order by id) to stdout")
		e.Log("%s %q", tag, out.String())
		e.Err("copy", err)
	}, native},
	{"COPY out", func(e *Env) {
		conn := e.Conn().PgConn()
		var out countingWriter
		tag, err := conn.CopyTo(e.Ctx, &out, "copy (select n, repeat('x', 100) from generate_series(1, 20000) n) to stdout (format binary)")
		e.Log("%s %d", tag, out)
		e.Err("copy", err)
		tag, err = conn.CopyTo(e.Ctx, io.Discard, "copy (select 1/(5-n) from generate_series(1, 10) n) to stdout")
		e.Log("%s", tag)
		e.Err("copy", err)
		_, err = conn.CopyTo(e.Ctx, &failingWriter{}, "copy (select n from generate_series(1, 20000) n) to stdout")
		e.Err("copy", err)
		e.Log("closed %v", conn.IsClosed())
	}, native},
	{"a large COPY in while others work", func(e *Env) {
		pool := e.Pool()
		e.Each(3, func(e *Env, i int) {
			if i > 0 {
				for j := range 10 {
					e.Do(pool, "insert into items values ($1, $2)", -i*100-j, fmt.Sprint(-i*100-j))
				}
				return
			}
			n, err := pool.CopyFrom(e.Ctx, pgx.Identifier{"items"}, []string{"id", "name"}, pgx.CopyFromSlice(20000, func(i int) ([]any, error) { return []any{i, fmt.Sprint(i)}, nil }))
			e.Log("%d", n)
			e.Err("copy", err)
		})
		e.Show(pool, "select count(*) from items")
	}, native},
	{"others work while a COPY waits for its data", func(e *Env) {
		conn, other := e.Conn(), e.Conn()
		e.Do(other, "select 1")
		data, feed := io.Pipe()
		go func() {
			fmt.Fprintln(feed, "7\tseven\t0\t") // is taken when the COPY has begun
			ctx, done := e.soon()
			defer done()
			e.DoCtx(ctx, other, "select 2")
			feed.Close()
		}()
		_, err := conn.PgConn().CopyFrom(e.Ctx, data, "copy items from stdin")
		e.Err("copy", err)
	}, native},
	{"COPY sent as a statement", func(e *Env) {
		db := e.DB()
		e.Do(db, "copy items to stdout")
		e.Show(db, "select 1")
	}, marks{}},
	{"a COPY that is cancelled in the middle", func(e *Env) {
		pool := e.Pool()
		ctx, cancel := context.WithCancel(e.Ctx)
		i := 0
		_, err := pool.CopyFrom(ctx, pgx.Identifier{"items"}, []string{"id", "name"}, pgx.CopyFromFunc(func() ([]any, error) {
			if i++; i == 5000 {
				cancel()
				time.Sleep(50 * time.Millisecond)
			}
			if i > 500000 {
				return nil, nil
			}
			return []any{i, fmt.Sprint(i)}, nil
		}))
		e.Log("%v", err != nil) // which error it is pgx leaves to chance: that of the read or, one time in ten, of the write
		e.Show(pool, "select count(*) from items")
	}, native},
}

type failingReader struct{}

func (*failingReader) Read([]byte) (int, error) { return 0, errors.New("no more") }

type failingWriter struct{}

func (*failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

type countingWriter int

func (w *countingWriter) Write(p []byte) (int, error) {
	*w += countingWriter(len(p))
	return len(p), nil
}
