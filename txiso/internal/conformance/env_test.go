package conformance_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Env is what a body works with. A body must not look at which column it runs in.
type Env struct {
	Ctx context.Context // ends only when the body has taken too long
	rec *record
	on  backend
}

// backend is a column's way to a database. What it opens is closed when the body has ended.
type backend interface {
	DB() *sql.DB             // another handle at each call
	Config() *pgx.ConnConfig // for pgx's own interface
	AtEnd(func())
}

// stopped is what a body panics with when it cannot go on; what it has recorded says why.
type stopped struct{}

func (e *Env) Log(format string, args ...any) { e.rec.add(format, args...) }

// Check records that something that must hold everywhere does not.
func (e *Env) Check(ok bool, format string, args ...any) {
	if !ok {
		e.Log("CHECK FAILED: "+format, args...)
	}
}

// Must ends the body when err is not nil.
func (e *Env) Must(what string, err error) {
	if err != nil {
		e.Log("%s: %s", what, errorString(err))
		panic(stopped{})
	}
}

// Err records an error or its absence.
func (e *Env) Err(what string, err error) { e.Log("%s: %s", what, errorString(err)) }

// DB returns a new handle on the behaviour's database.
func (e *Env) DB() *sql.DB { return e.on.DB() }

// Conn opens a connection of pgx itself. Its notices are recorded.
func (e *Env) Conn(change ...func(*pgx.ConnConfig)) *pgx.Conn {
	cfg := e.on.Config()
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { e.Log("notice %s", serverError((*pgconn.PgError)(n))) }
	for _, f := range change {
		f(cfg)
	}
	conn, err := pgx.ConnectConfig(e.Ctx, cfg)
	e.Must("connect", err)
	e.on.AtEnd(func() { conn.Close(context.Background()) })
	return conn
}

// Pool opens a pool of pgx itself.
func (e *Env) Pool(change ...func(*pgxpool.Config)) *pgxpool.Pool {
	cfg, err := pgxpool.ParseConfig("")
	e.Must("parse", err)
	cfg.ConnConfig = e.on.Config()
	cfg.MaxConns = 8
	for _, f := range change {
		f(cfg)
	}
	pool, err := pgxpool.NewWithConfig(e.Ctx, cfg)
	e.Must("pool", err)
	e.on.AtEnd(pool.Close)
	return pool
}

// Begin begins a transaction or ends the body.
func (e *Env) Begin(db interface {
	BeginTx(context.Context, *sql.TxOptions) (*sql.Tx, error)
}) *sql.Tx {
	tx, err := db.BeginTx(e.Ctx, nil)
	e.Must("begin", err)
	e.on.AtEnd(func() { tx.Rollback() })
	return tx
}

// BeginPgx is Begin for pgx itself.
func (e *Env) BeginPgx(on interface {
	Begin(context.Context) (pgx.Tx, error)
}) pgx.Tx {
	tx, err := on.Begin(e.Ctx)
	e.Must("begin", err)
	return tx
}

// SQLConn takes a connection out of a pool of database/sql.
func (e *Env) SQLConn(db *sql.DB) *sql.Conn {
	c, err := db.Conn(e.Ctx)
	e.Must("conn", err)
	e.on.AtEnd(func() { c.Close() })
	return c
}

// The two families of things that run statements.
type (
	sqlRunner interface {
		ExecContext(context.Context, string, ...any) (sql.Result, error)
		QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	}
	pgxRunner interface {
		Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
		Query(context.Context, string, ...any) (pgx.Rows, error)
	}
)

// Do runs a statement and records its outcome.
func (e *Env) Do(on any, query string, args ...any) error { return e.DoCtx(e.Ctx, on, query, args...) }

// DoCtx is Do with another context.
func (e *Env) DoCtx(ctx context.Context, on any, query string, args ...any) (err error) {
	var outcome string
	switch on := on.(type) {
	case sqlRunner:
		var res sql.Result
		if res, err = on.ExecContext(ctx, query, args...); err == nil {
			n, naErr := res.RowsAffected()
			outcome = fmt.Sprintf("%d affected %v", n, naErr)
		}
	case pgxRunner:
		var tag pgconn.CommandTag
		tag, err = on.Exec(ctx, query, args...)
		outcome = tag.String()
	default:
		panic(fmt.Sprintf("cannot run statements on %T", on))
	}
	if err != nil {
		outcome = strings.TrimSpace(outcome + " " + errorString(err))
	}
	e.Log("%s%v: %s", shorten(query), args, outcome)
	return err
}

// MustDo is Do for preparations that may not fail.
func (e *Env) MustDo(on any, query string, args ...any) {
	if e.Do(on, query, args...) != nil {
		panic(stopped{})
	}
}

// Show runs a query and records its columns and rows.
func (e *Env) Show(on any, query string, args ...any) error {
	return e.ShowCtx(e.Ctx, on, query, args...)
}

// ShowCtx is Show with another context.
func (e *Env) ShowCtx(ctx context.Context, on any, query string, args ...any) (err error) {
	head := fmt.Sprintf("%s%v", shorten(query), args)
	switch on := on.(type) {
	case sqlRunner:
		var rows *sql.Rows
		if rows, err = on.QueryContext(ctx, query, args...); err == nil {
			err = e.sqlRows(head, rows)
		}
	case pgxRunner:
		var rows pgx.Rows
		if rows, err = on.Query(ctx, query, args...); err == nil {
			err = e.pgxRows(head, rows)
		}
	default:
		panic(fmt.Sprintf("cannot run queries on %T", on))
	}
	if err != nil {
		e.Log("%s: %s", head, errorString(err))
	}
	return err
}

func (e *Env) sqlRows(head string, rows *sql.Rows) error {
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	e.Log("%s: columns %q", head, columns)
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		e.Log("  %s", rowString(values))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return rows.Close()
}

func (e *Env) pgxRows(head string, rows pgx.Rows) error {
	defer rows.Close()
	first := true
	for rows.Next() {
		if first {
			e.fields(head, rows.FieldDescriptions())
			first = false
		}
		values, err := rows.Values()
		if err != nil {
			return err
		}
		e.Log("  %s", rowString(values))
	}
	if rows.Err() == nil {
		if first {
			e.fields(head, rows.FieldDescriptions())
		}
		e.Log("  %s", rows.CommandTag())
	}
	return rows.Err()
}

func (e *Env) fields(head string, fields []pgconn.FieldDescription) {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = fmt.Sprintf("%s:%d/%d", f.Name, f.DataTypeOID, f.TypeModifier)
	}
	e.Log("%s: columns %q", head, names)
}

// Each runs f in n goroutines at once, and records what each saw in the order of their numbers.
func (e *Env) Each(n int, f func(e *Env, i int)) {
	parts := make([]*Env, n)
	var wg sync.WaitGroup
	for i := range n {
		parts[i] = &Env{Ctx: e.Ctx, rec: &record{hide: e.rec.hide}, on: e.on}
		wg.Go(func() {
			parts[i].protect(func() { f(parts[i], i) })
		})
	}
	wg.Wait()
	for i, part := range parts {
		for _, line := range part.rec.snapshot() {
			e.Log("[%d] %s", i, line)
		}
	}
}

// protect runs code of a body.
func (e *Env) protect(f func()) {
	defer func() {
		switch p := recover(); p.(type) {
		case nil, stopped:
		default:
			e.Log("panics: %v", p)
		}
	}()
	f()
}

func shorten(s string) string {
	if s = strings.Join(strings.Fields(s), " "); len(s) > 120 {
		return s[:120] + "…"
	}
	return s
}

// Eventually waits until a query for a number gives what it must, as the end of a connection takes its time.
func (e *Env) Eventually(conn *pgx.Conn, query string, want int) {
	for range 1000 {
		var got int
		e.Must(query, conn.QueryRow(e.Ctx, query).Scan(&got))
		if got == want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	e.Log("%s never became %d", query, want)
}
