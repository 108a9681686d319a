package property_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pgxClient does operations on a connection of pgx itself, or on a pool of them.
type pgxClient struct {
	*run
	rec  *record
	pool *pgxpool.Pool // nil for a connection
	conn *pgx.Conn     // nil until it is needed
	txs  []pgx.Tx      // begun within each other
	rows pgx.Rows      // left open
	inTx bool          // rows are a transaction's
}

func newPgxClient(r *run, rec *record) client { return &pgxClient{run: r, rec: rec} }

func newPoolClient(r *run, rec *record) client {
	cfg, err := pgxpool.ParseConfig("")
	if err != nil {
		panic(err)
	}
	cfg.ConnConfig = r.w.config()
	cfg.MaxConns = 4
	c := &pgxClient{run: r, rec: rec}
	cfg.ConnConfig.OnNotice = c.notice
	if c.pool, err = pgxpool.NewWithConfig(r.ctx, cfg); err != nil {
		panic(err)
	}
	return c
}

// runner is what connections, pools and transactions have in common.
type runner interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	Query(context.Context, string, ...any) (pgx.Rows, error)
	Begin(context.Context) (pgx.Tx, error)
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
	CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error)
}

// pgxVerbs need any runner, connVerbs a connection.
var (
	pgxVerbs = map[string]func(*pgxClient, op){
		"exec": (*pgxClient).exec, "query": (*pgxClient).query, "open": (*pgxClient).openRows, "next": (*pgxClient).next,
		"done": (*pgxClient).done, "begin": (*pgxClient).begin, "commit": (*pgxClient).commit, "rollback": (*pgxClient).rollback,
		"batch": (*pgxClient).batch, "copyfrom": (*pgxClient).copyFrom, "cancel": (*pgxClient).cancel,
	}
	connVerbs = map[string]func(*pgxClient, op){
		"prepare": (*pgxClient).prepare, "deallocate": (*pgxClient).deallocate, "deallocateall": (*pgxClient).deallocateAll,
		"multi": (*pgxClient).multi, "params": (*pgxClient).params, "pipeline": (*pgxClient).pipeline, "copyin": (*pgxClient).copyIn,
		"copyout": (*pgxClient).copyOut, "interrupt": (*pgxClient).interrupt, "close": (*pgxClient).close,
	}
)

func (c *pgxClient) do(o op) {
	verb := pgxVerbs[o.Do]
	if verb == nil && c.pool == nil {
		verb = connVerbs[o.Do]
	}
	if verb == nil || !c.connect() {
		c.rec.add("nothing")
		return
	}
	verb(c, o)
	c.forgetClosed()
}

func (c *pgxClient) connect() bool {
	if c.pool != nil || c.conn != nil {
		return true
	}
	cfg := c.w.config()
	cfg.OnNotice = c.notice
	var err error
	if c.conn, err = pgx.ConnectConfig(c.ctx, cfg); err != nil {
		c.rec.add("connect: %s", errorString(err))
		c.conn = nil
		return false
	}
	return true
}

func (c *pgxClient) notice(_ *pgconn.PgConn, n *pgconn.Notice) {
	c.rec.add("notice %s", serverError((*pgconn.PgError)(n)))
}

// forgetClosed lets the next operation open another connection when this one is closed.
func (c *pgxClient) forgetClosed() {
	if c.conn == nil || !c.conn.IsClosed() {
		return
	}
	c.rec.add("the connection is closed")
	c.w.left(c.ctx, c.conn.PgConn().PID())
	c.conn, c.txs, c.rows = nil, nil, nil
}

func (c *pgxClient) status() string {
	switch {
	case c.pool != nil:
		return fmt.Sprintf("%d transactions", len(c.txs))
	case c.conn == nil:
		return "-"
	}
	return fmt.Sprintf("status %c", c.conn.PgConn().TxStatus())
}

func (c *pgxClient) open() bool {
	return len(c.txs) > 0 || c.conn != nil && c.conn.PgConn().TxStatus() != 'I'
}

func (c *pgxClient) end() {
	if c.rows != nil {
		c.rows.Close()
	}
	switch {
	case c.pool != nil:
		c.rollbackAll()
		c.pool.Close()
	case c.conn != nil:
		c.rec.add("close: %s", errorString(c.conn.Close(c.ctx)))
		c.forgetClosed()
	}
}

func (c *pgxClient) rollbackAll() {
	for i := len(c.txs) - 1; i >= 0; i-- {
		_ = c.txs[i].Rollback(c.ctx)
	}
}

// runner is the innermost transaction, or else the connection or the pool.
func (c *pgxClient) runner() runner {
	switch {
	case len(c.txs) > 0:
		return c.txs[len(c.txs)-1]
	case c.pool != nil:
		return c.pool
	}
	return c.conn
}

var execModes = map[string]pgx.QueryExecMode{
	"statement": pgx.QueryExecModeCacheStatement, "describe": pgx.QueryExecModeCacheDescribe, "describeexec": pgx.QueryExecModeDescribeExec,
	"exec": pgx.QueryExecModeExec, "simple": pgx.QueryExecModeSimpleProtocol,
}

func (o op) withMode() []any {
	if m, ok := execModes[o.Mode]; ok {
		return append([]any{m}, o.args()...)
	}
	return o.args()
}

func (c *pgxClient) exec(o op) {
	tag, err := c.runner().Exec(c.ctx, o.SQL, o.withMode()...)
	c.rec.add("%s %s", tag, errorString(err))
}

// query reads N rows, or all of them when N is 0.
func (c *pgxClient) query(o op) {
	rows, err := c.runner().Query(c.ctx, o.SQL, o.withMode()...)
	if err != nil {
		c.rec.add("query: %s", errorString(err))
		return
	}
	c.read(rows, o.N)
	rows.Close()
	c.rec.add("%s %s", rows.CommandTag(), errorString(rows.Err()))
}

func (c *pgxClient) read(rows pgx.Rows, n int) {
	c.rec.add("columns%s", fieldsString(rows.FieldDescriptions()))
	for i := 0; (n == 0 || i < n) && rows.Next(); i++ {
		values, err := rows.Values()
		c.rec.add("row %s %s", rowString(values), errorString(err))
	}
}

func (c *pgxClient) openRows(o op) {
	if c.rows != nil {
		return
	}
	rows, err := c.runner().Query(c.ctx, o.SQL, o.withMode()...)
	if err != nil {
		c.rec.add("query: %s", errorString(err))
		return
	}
	c.rows, c.inTx = rows, len(c.txs) > 0
}

func (c *pgxClient) next(o op) {
	if c.rows != nil {
		c.read(c.rows, max(1, o.N))
	}
}

func (c *pgxClient) done(op) {
	if c.rows != nil {
		c.rows.Close()
		c.rec.add("%s %s", c.rows.CommandTag(), errorString(c.rows.Err()))
		c.rows = nil
	}
}

func txOptions(mode string) (o pgx.TxOptions) {
	for _, iso := range []pgx.TxIsoLevel{pgx.Serializable, pgx.RepeatableRead, pgx.ReadCommitted, pgx.ReadUncommitted} {
		if strings.Contains(mode, string(iso)) {
			o.IsoLevel = iso
		}
	}
	if strings.Contains(mode, "read only") {
		o.AccessMode = pgx.ReadOnly
	}
	if strings.Contains(mode, "deferrable") {
		o.DeferrableMode = pgx.Deferrable
	}
	return o
}

func (c *pgxClient) begin(o op) {
	tx, err := c.beginTx(o)
	c.rec.add("begin: %s", errorString(err))
	if err == nil {
		c.txs = append(c.txs, tx)
	}
}

func (c *pgxClient) beginTx(o op) (pgx.Tx, error) {
	switch {
	case len(c.txs) > 0 || o.Mode == "" || c.open():
		return c.runner().Begin(c.ctx)
	case c.pool != nil:
		return c.pool.BeginTx(c.ctx, txOptions(o.Mode))
	}
	return c.conn.BeginTx(c.ctx, txOptions(o.Mode))
}

func (c *pgxClient) commit(op)   { c.endTx(pgx.Tx.Commit) }
func (c *pgxClient) rollback(op) { c.endTx(pgx.Tx.Rollback) }

func (c *pgxClient) endTx(how func(pgx.Tx, context.Context) error) {
	n := len(c.txs)
	if n == 0 {
		return
	}
	tx := c.txs[n-1]
	c.txs = c.txs[:n-1]
	c.rec.add("end: %s", errorString(how(tx, c.ctx)))
	c.rec.add("again: %s", errorString(how(tx, c.ctx)))
	if c.pool != nil && n == 1 && c.inTx {
		c.rows = nil // of a connection that the pool has back, and closes on another goroutine when they are still open
	}
}

// batch reads N results, or all when N is 0.
func (c *pgxClient) batch(o op) {
	var b pgx.Batch
	for _, inner := range o.Ops {
		b.Queue(inner.SQL, inner.args()...)
	}
	results := c.runner().SendBatch(c.ctx, &b)
	for i, inner := range o.Ops {
		if o.N > 0 && i == o.N {
			break
		}
		c.batchResult(results, inner)
	}
	c.rec.add("close: %s", errorString(results.Close()))
}

func (c *pgxClient) batchResult(results pgx.BatchResults, o op) {
	if o.Do == "exec" {
		tag, err := results.Exec()
		c.rec.add("%s %s", tag, errorString(err))
		return
	}
	rows, err := results.Query()
	if err != nil {
		c.rec.add("query: %s", errorString(err))
		return
	}
	c.read(rows, o.N)
	rows.Close()
	c.rec.add("%s %s", rows.CommandTag(), errorString(rows.Err()))
}

// copyFrom copies the arguments of the inner operations as rows; the source fails after N of them unless N is 0.
func (c *pgxClient) copyFrom(o op) {
	i := 0
	source := pgx.CopyFromFunc(func() ([]any, error) {
		switch {
		case o.N > 0 && i == o.N:
			return nil, errors.New("the source fails")
		case i == len(o.Ops):
			return nil, nil
		}
		i++
		return o.Ops[i-1].args(), nil
	})
	n, err := c.runner().CopyFrom(c.ctx, pgx.Identifier{o.Name}, strings.Split(o.SQL, ","), source)
	c.rec.add("%d %s", n, errorString(err))
}

// cancel runs a statement whose context ends before it, or during it when it sleeps.
func (c *pgxClient) cancel(o op) {
	if o.Mode == "" && c.conn != nil && c.conn.PgConn().TxStatus() == 'E' {
		return // it does not get to sleep
	}
	var pid uint32
	if c.conn != nil {
		pid = c.conn.PgConn().PID()
	}
	ctx, done := c.untilAsleep(pid)
	defer done()
	if o.Mode == "before" {
		done()
	}
	tag, err := c.runner().Exec(ctx, o.SQL, o.args()...)
	c.rec.add("%s %s", tag, errorString(err))
}
