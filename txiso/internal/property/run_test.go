package property_test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// maxTime is more than any sequence takes that does not hang.
const maxTime = 6 * time.Second

// outcome is what a sequence did in a world.
type outcome struct {
	lines  []string
	hung   bool
	stacks string // of all goroutines when it hung
}

// client does the operations of one connection.
type client interface {
	do(o op)
	status() string // what the client knows of its connection
	open() bool     // a transaction is open
	end()
}

// run is one sequence in one world.
type run struct {
	ctx     context.Context
	w       world
	clients map[int]client
}

// play runs a sequence from the schema to the contents of the tables.
func play(w world, q sequence) (out outcome) {
	ctx, done := context.WithTimeout(context.Background(), maxTime)
	defer done()
	hung := make(chan string, 1)
	watch := time.AfterFunc(maxTime-time.Second, func() { hung <- stacks() })
	r := &run{ctx: ctx, w: w, clients: make(map[int]client)}
	if err := w.open(ctx); err != nil {
		return outcome{lines: []string{"open: " + err.Error()}}
	}
	rec := &record{hide: w.config().Database}
	protect(rec, func() {
		if q.Together {
			r.together(q, rec)
		} else {
			r.oneByOne(q, rec)
		}
		r.look(rec)
	})
	protect(rec, func() {
		for _, complaint := range w.end() {
			rec.add("complaint: %s", complaint)
		}
	})
	out.lines, out.hung = rec.lines, !watch.Stop()
	if out.hung {
		out.stacks = <-hung
	}
	return out
}

// protect makes a panic a difference like others.
func protect(rec *record, f func()) {
	defer func() {
		if p := recover(); p != nil {
			rec.add("panic: %v\n%s", p, debug.Stack())
		}
	}()
	f()
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

func (r *run) oneByOne(q sequence, rec *record) {
	for i, o := range q.Ops {
		c := r.client(q.Kind, o.Conn, rec)
		if r.elsewhere(c) {
			continue
		}
		rec.add("#%d %s", i, o)
		c.do(o)
		rec.add("   %s", c.status())
	}
	for _, n := range r.numbers() {
		r.clients[n].end()
	}
}

// elsewhere reports that another connection has a transaction open.
func (r *run) elsewhere(c client) bool {
	for _, other := range r.clients {
		if other != c && other.open() {
			return true
		}
	}
	return false
}

func (r *run) numbers() (all []int) {
	for n := range r.clients {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

func (r *run) client(kind string, n int, rec *record) client {
	if r.clients[n] == nil {
		r.clients[n] = clients[kind](r, rec)
	}
	return r.clients[n]
}

var clients = map[string]func(*run, *record) client{
	"pgx":  newPgxClient,
	"pool": newPoolClient,
	"db":   newDBClient,
	"wire": newWireClient,
}

// together runs the connections' operations at the same time. What each of them sees has an order of its own.
func (r *run) together(q sequence, rec *record) {
	parts := make(map[int]*record)
	for _, o := range q.Ops {
		if parts[o.Conn] == nil {
			parts[o.Conn] = &record{hide: rec.hide}
			r.client(q.Kind, o.Conn, parts[o.Conn])
		}
	}
	var all sync.WaitGroup
	for n, part := range parts {
		c := r.clients[n]
		all.Go(func() {
			protect(part, func() { r.alone(c, q, n, part) })
		})
	}
	all.Wait()
	for _, n := range r.numbers() {
		rec.lines = append(rec.lines, parts[n].lines...)
	}
}

// alone runs the operations of one of several connections.
func (r *run) alone(c client, q sequence, n int, rec *record) {
	for i, o := range q.Ops {
		if o.Conn == n && (c.open() || o.fitsOutside()) {
			rec.add("#%d %s", i, o)
			c.do(o)
			rec.add("   %s", c.status())
		}
	}
	c.end()
}

// fitsOutside reports that an operation may stand outside a transaction where several connections are at work: it begins one,
// or it does not write. What it wrote could be in another connection's transaction, which is a limit.
func (o op) fitsOutside() bool {
	return o.Do != "cancel" && o.Do != "batch" && (o.SQL == "" || strings.HasPrefix(o.SQL, "select") || beginsTransaction(o.SQL))
}

func beginsTransaction(sql string) bool {
	return strings.HasPrefix(sql, "begin") || strings.HasPrefix(sql, "start")
}

// untilAsleep is a context that ends when the server has come to a statement's pg_sleep.
func (r *run) untilAsleep(pid uint32) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(r.ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.w.asleep(ctx, pid)
		cancel()
	}()
	return ctx, func() {
		cancel()
		<-stopped
	}
}

// look records what is in the tables, on a connection that has nothing to do with the others.
func (r *run) look(rec *record) {
	conn, err := pgx.ConnectConfig(r.ctx, r.w.config())
	if err != nil {
		rec.add("look: %s", errorString(err))
		return
	}
	defer conn.Close(context.Background())
	for _, table := range tables {
		rows, err := conn.Query(r.ctx, "select * from public."+table+" order by 1, 2", pgx.QueryExecModeSimpleProtocol)
		if err == nil {
			rec.add("#table %s:%s", table, readAll(rows))
		}
	}
	var unchecked int
	err = conn.QueryRow(r.ctx, "select count(*) from public.children c where not exists (select from public.parents where id = c.parent)").Scan(&unchecked)
	rec.add("#orphans %d %s", unchecked, errorString(err))
}

// readAll shows all rows, or how they ended.
func readAll(rows pgx.Rows) string {
	var seen string
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return seen + " " + errorString(err)
		}
		seen += fmt.Sprintf(" (%s)", rowString(values))
	}
	if err := rows.Err(); err != nil {
		return seen + " " + errorString(err)
	}
	return seen + " " + rows.CommandTag().String()
}
