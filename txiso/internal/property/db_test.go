package property_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// dbClient does operations on a *sql.DB.
type dbClient struct {
	*run
	rec   *record
	db    *sql.DB
	tx    *sql.Tx
	conn  *sql.Conn // taken out of the pool
	rows  *sql.Rows // left open
	stmts map[string]*sql.Stmt
}

func newDBClient(r *run, rec *record) client {
	return &dbClient{run: r, rec: rec, db: r.w.db(), stmts: make(map[string]*sql.Stmt)}
}

// sqlRunner is what pools, connections and transactions have in common.
type sqlRunner interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	PrepareContext(context.Context, string) (*sql.Stmt, error)
}

var dbVerbs = map[string]func(*dbClient, op){
	"exec": (*dbClient).exec, "query": (*dbClient).query, "open": (*dbClient).openRows, "next": (*dbClient).next, "done": (*dbClient).done,
	"begin": (*dbClient).begin, "commit": (*dbClient).commit, "rollback": (*dbClient).rollback, "prepare": (*dbClient).prepare,
	"prepared": (*dbClient).prepared, "deallocate": (*dbClient).deallocate, "cancel": (*dbClient).cancel, "cancelbegin": (*dbClient).cancelBegin,
	"take": (*dbClient).take, "give": (*dbClient).give, "limits": (*dbClient).limits, "ping": (*dbClient).ping,
}

func (c *dbClient) do(o op) {
	verb := dbVerbs[o.Do]
	if verb == nil {
		c.rec.add("nothing")
		return
	}
	verb(c, o)
}

func (c *dbClient) status() string { return fmt.Sprintf("transaction %v", c.tx != nil) }
func (c *dbClient) open() bool     { return c.tx != nil }

func (c *dbClient) end() {
	if c.rows != nil {
		c.rows.Close()
	}
	if c.tx != nil {
		c.tx.Rollback()
	}
	for _, s := range c.stmts {
		s.Close()
	}
	if c.conn != nil {
		c.conn.Close()
	}
	c.rec.add("close: %s", errorString(c.db.Close()))
}

func (c *dbClient) runner() sqlRunner {
	switch {
	case c.tx != nil:
		return c.tx
	case c.conn != nil:
		return c.conn
	}
	return c.db
}

func (c *dbClient) exec(o op) { c.execCtx(c.ctx, o) }

func (c *dbClient) execCtx(ctx context.Context, o op) {
	result, err := c.runner().ExecContext(ctx, o.SQL, o.withMode()...)
	c.executed(result, err)
}

func (c *dbClient) executed(result sql.Result, err error) {
	if err != nil {
		c.rec.add("exec: %s", errorString(err))
		return
	}
	n, err := result.RowsAffected()
	c.rec.add("%d %s", n, errorString(err))
}

func (c *dbClient) query(o op) {
	rows, err := c.runner().QueryContext(c.ctx, o.SQL, o.withMode()...)
	c.queried(rows, err, o.N)
}

func (c *dbClient) queried(rows *sql.Rows, err error, n int) {
	if err != nil {
		c.rec.add("query: %s", errorString(err))
		return
	}
	c.columns(rows)
	c.read(rows, n)
	closed := rows.Close()
	c.rec.add("%s %s", errorString(closed), errorString(rows.Err()))
}

func (c *dbClient) columns(rows *sql.Rows) {
	types, err := rows.ColumnTypes()
	if err != nil {
		c.rec.add("columns: %s", errorString(err))
	}
	for _, t := range types {
		length, _ := t.Length()
		precision, scale, _ := t.DecimalSize()
		c.rec.add("column %s %s %v %d %d %d", t.Name(), t.DatabaseTypeName(), t.ScanType(), length, precision, scale)
	}
}

func (c *dbClient) read(rows *sql.Rows, n int) {
	columns, _ := rows.Columns()
	for i := 0; (n == 0 || i < n) && rows.Next(); i++ {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		err := rows.Scan(into...)
		c.rec.add("row %s %s", rowString(values), errorString(err))
	}
}

func (c *dbClient) openRows(o op) {
	if c.rows != nil || c.tx != nil || c.conn != nil {
		return // only the pool has another connection for what follows
	}
	rows, err := c.db.QueryContext(c.ctx, o.SQL, o.withMode()...)
	if err != nil {
		c.rec.add("query: %s", errorString(err))
		return
	}
	c.rows = rows
}

func (c *dbClient) next(o op) {
	if c.rows != nil {
		c.read(c.rows, max(1, o.N))
	}
}

func (c *dbClient) done(op) {
	if c.rows != nil {
		c.rec.add("close: %s %s", errorString(c.rows.Close()), errorString(c.rows.Err()))
		c.rows = nil
	}
}

func sqlTxOptions(mode string) *sql.TxOptions {
	if mode == "" {
		return nil
	}
	o := &sql.TxOptions{ReadOnly: strings.Contains(mode, "read only")}
	switch {
	case strings.Contains(mode, "serializable"):
		o.Isolation = sql.LevelSerializable
	case strings.Contains(mode, "repeatable read"):
		o.Isolation = sql.LevelRepeatableRead
	case strings.Contains(mode, "linearizable"):
		o.Isolation = sql.LevelLinearizable
	}
	return o
}

func (c *dbClient) begin(o op) { c.beginCtx(c.ctx, o) }

func (c *dbClient) beginCtx(ctx context.Context, o op) {
	if c.tx != nil {
		return
	}
	begin := c.db.BeginTx
	if c.conn != nil {
		begin = c.conn.BeginTx
	}
	tx, err := begin(ctx, sqlTxOptions(o.Mode))
	c.rec.add("begin: %s", errorString(err))
	if err == nil {
		c.tx = tx
	}
}

func (c *dbClient) commit(op)   { c.endTx((*sql.Tx).Commit) }
func (c *dbClient) rollback(op) { c.endTx((*sql.Tx).Rollback) }

func (c *dbClient) endTx(how func(*sql.Tx) error) {
	if c.tx == nil {
		return
	}
	c.rec.add("end: %s", errorString(how(c.tx)))
	c.rec.add("again: %s", errorString(how(c.tx)))
	c.tx = nil
}

// prepare prepares a statement of the pool, or of the transaction with whom it ends.
func (c *dbClient) prepare(o op) {
	if c.stmts[o.Name] != nil {
		return
	}
	var on sqlRunner = c.db
	if c.conn != nil {
		on = c.conn
	}
	if c.tx != nil {
		on = c.tx
	}
	stmt, err := on.PrepareContext(c.ctx, o.SQL)
	c.rec.add("prepare: %s", errorString(err))
	if err == nil {
		c.stmts[o.Name] = stmt
	}
}

func (c *dbClient) prepared(o op) {
	stmt := c.stmts[o.Name]
	if stmt == nil {
		return
	}
	if c.tx != nil {
		stmt = c.tx.StmtContext(c.ctx, stmt)
	} else if c.conn != nil {
		return // it could be a statement of another connection, which is one of the pool
	}
	if o.Mode == "exec" {
		c.executed(stmt.ExecContext(c.ctx, o.args()...))
		return
	}
	rows, err := stmt.QueryContext(c.ctx, o.args()...)
	c.queried(rows, err, o.N)
}

func (c *dbClient) deallocate(o op) {
	if stmt := c.stmts[o.Name]; stmt != nil {
		c.rec.add("close: %s", errorString(stmt.Close()))
		delete(c.stmts, o.Name)
	}
}

func (c *dbClient) cancel(o op) {
	c.w.awake(c.ctx) // or the one that was cancelled before, and is about to notice, would be taken for this one
	ctx, done := c.untilAsleep(0)
	defer done()
	if o.Mode == "before" {
		done()
	}
	o.Mode = ""
	c.execCtx(ctx, o)
}

// cancelBegin ends the context of a transaction, which rolls it back.
func (c *dbClient) cancelBegin(o op) {
	if c.tx != nil || c.conn != nil {
		return // database/sql closes a connection in its own time
	}
	ctx, done := context.WithCancel(c.ctx)
	c.beginCtx(ctx, op{})
	if c.tx != nil {
		c.exec(o)
		done()
		_, err := c.tx.ExecContext(c.ctx, "select 1")
		for !errors.Is(err, sql.ErrTxDone) && c.ctx.Err() == nil { // database/sql rolls back in its own time
			_, err = c.tx.ExecContext(c.ctx, "select 1")
		}
		c.commit(op{})
	}
	done()
}

func (c *dbClient) take(op) {
	if c.conn == nil && c.tx == nil {
		var err error
		c.conn, err = c.db.Conn(c.ctx)
		c.rec.add("conn: %s", errorString(err))
	}
}

func (c *dbClient) give(op) {
	if c.conn != nil && c.tx == nil {
		c.rec.add("close: %s", errorString(c.conn.Close()))
		c.conn = nil
	}
}

// limits makes the pool throw its connections away.
func (c *dbClient) limits(o op) { c.db.SetMaxIdleConns(o.N) }

func (c *dbClient) ping(op) { c.rec.add("ping: %s", errorString(c.db.PingContext(c.ctx))) }
