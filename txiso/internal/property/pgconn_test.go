package property_test

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func (c *pgxClient) prepare(o op) {
	d, err := c.conn.Prepare(c.ctx, o.Name, o.SQL)
	if err != nil {
		c.rec.add("prepare: %s", errorString(err))
		return
	}
	c.rec.add("prepared %v%s", d.ParamOIDs, fieldsString(d.Fields))
}

func (c *pgxClient) deallocate(o op) {
	c.rec.add("deallocate: %s", errorString(c.conn.Deallocate(c.ctx, o.Name)))
}

func (c *pgxClient) deallocateAll(op) {
	c.rec.add("deallocate all: %s", errorString(c.conn.DeallocateAll(c.ctx)))
}

// multi is a string of statements in the simple protocol.
func (c *pgxClient) multi(o op) {
	results, err := c.conn.PgConn().Exec(c.ctx, o.SQL).ReadAll()
	for _, r := range results {
		c.result(r)
	}
	c.rec.add("multi: %s", errorString(err))
}

func (c *pgxClient) result(r *pgconn.Result) {
	c.rec.add("columns%s", fieldsString(r.FieldDescriptions))
	for _, row := range r.Rows {
		c.rec.add("row %q", row)
	}
	c.rec.add("%s %s", r.CommandTag, errorString(r.Err))
}

// params is one statement of the extended protocol, unnamed.
func (c *pgxClient) params(o op) {
	c.result(c.conn.PgConn().ExecParams(c.ctx, o.SQL, o.texts(), nil, nil, nil).Read())
}

var pipelineVerbs = map[string]func(*pgconn.Pipeline, op){
	"query":      func(p *pgconn.Pipeline, o op) { p.SendQueryParams(o.SQL, o.texts(), nil, nil, nil) },
	"prepare":    func(p *pgconn.Pipeline, o op) { p.SendPrepare(o.Name, o.SQL, nil) },
	"prepared":   func(p *pgconn.Pipeline, o op) { p.SendQueryPrepared(o.Name, o.texts(), nil, nil) },
	"deallocate": func(p *pgconn.Pipeline, o op) { p.SendDeallocate(o.Name) },
	"flush":      func(p *pgconn.Pipeline, o op) { p.SendFlushRequest() },
	"sync":       func(p *pgconn.Pipeline, o op) { p.SendPipelineSync() },
}

// pipeline sends the inner operations and a Sync, and reads the results.
func (c *pgxClient) pipeline(o op) {
	p := c.conn.PgConn().StartPipeline(c.ctx)
	for _, inner := range o.Ops {
		if send := pipelineVerbs[inner.Do]; send != nil {
			send(p, inner)
		}
		if inner.N > 0 {
			c.rec.add("flush: %s", errorString(p.Flush()))
		}
	}
	c.rec.add("sync: %s", errorString(p.Sync()))
	for range cmp.Or(o.N, 3*len(o.Ops)+2) { // a broken pipeline returns errors for ever
		if !c.pipelineResult(p) {
			break
		}
	}
	c.rec.add("close: %s", errorString(p.Close()))
}

func (c *pgxClient) pipelineResult(p *pgconn.Pipeline) (more bool) {
	result, err := p.GetResults()
	switch r := result.(type) {
	case *pgconn.ResultReader:
		c.result(r.Read())
	case *pgconn.StatementDescription:
		c.rec.add("prepared %v%s", r.ParamOIDs, fieldsString(r.Fields))
	default:
		c.rec.add("%T %s", result, errorString(err))
	}
	return (result != nil || err != nil) && !c.conn.IsClosed()
}

func (c *pgxClient) copyIn(o op) {
	var lines strings.Builder
	for _, a := range o.Args {
		lines.WriteString(string(a) + "\n")
	}
	var source io.Reader = strings.NewReader(lines.String())
	if o.N > 0 {
		source = io.MultiReader(source, failing{})
	}
	tag, err := c.conn.PgConn().CopyFrom(c.ctx, source, o.SQL)
	c.rec.add("%s %s", tag, errorString(err))
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

func (c *pgxClient) copyOut(o op) {
	var out bytes.Buffer
	tag, err := c.conn.PgConn().CopyTo(c.ctx, &out, o.SQL)
	c.rec.add("%q %s %s", out.String(), tag, errorString(err))
}

// interrupt sends a CancelRequest to a statement that sleeps, until it ends.
func (c *pgxClient) interrupt(o op) {
	ctx, done := context.WithCancel(c.ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(30 * time.Millisecond):
				_ = c.conn.PgConn().CancelRequest(c.ctx)
			}
		}
	}()
	c.exec(o)
	done()
	<-stopped
}

func (c *pgxClient) close(op) { c.rec.add("close: %s", errorString(c.conn.Close(c.ctx))) }
