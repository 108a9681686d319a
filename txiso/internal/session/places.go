package session

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// place remembers where something was done, cheaply; the names are looked up only when they are told to somebody.
type place struct {
	pcs [40]uintptr
	n   int
}

// frames calls f for the callers, the innermost first, until it returns false.
func (p *place) frames(f func(runtime.Frame) bool) {
	frames := runtime.CallersFrames(p.pcs[:p.n])
	for more := p.n > 0; more; {
		var frame runtime.Frame
		if frame, more = frames.Next(); frame.Function != "" && !f(frame) {
			return
		}
	}
}

// String is the file and line of the innermost caller that is neither a driver nor this package, and of somebody else's
// module only if there is no other.
func (p *place) String() string {
	where := "an unknown place"
	p.frames(func(f runtime.Frame) bool {
		switch {
		case internalFrame(f.Function), strings.HasPrefix(f.Function, "testing."):
			return true
		case strings.Contains(f.File, "@v") || strings.Contains(f.File, "/vendor/"):
			if where == "an unknown place" {
				where = fmt.Sprintf("%s:%d", f.File, f.Line)
			}
			return true
		}
		where = fmt.Sprintf("%s:%d", f.File, f.Line)
		return false
	})
	return where
}

// call is the driver's function that was called there, such as database/sql.(*DB).QueryContext.
func (p *place) call() (function string) {
	p.frames(func(f runtime.Frame) bool {
		if !internalFrame(f.Function) {
			return false
		}
		function = f.Function
		return true
	})
	return function
}

func internalFrame(function string) bool {
	for _, prefix := range [...]string{
		"github.com/txiso/txiso-go/txiso.", "github.com/txiso/txiso-go/txiso/internal/session.(", "github.com/jackc/",
		"database/sql.", "runtime.", "sync.", "github.com/lib/pq.",
	} {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}

// Connections are taken from pools that know nothing of us, and not given back, by rows that are not closed, *sql.Conn and
// *pgxpool.Conn. To tell where, without looking at the stack for every statement (two microseconds), the session looks when
// a statement that has rows is the first since its connection was taken, and when any is the second: what Exec of a pool
// does is over when it returns.

// Taken is to be called when a connection is taken from a pool, on the goroutine that takes it.
func (s *Session) Taken(taken *pgx.Conn) { s.take(taken, nil) }

// take is Taken. done ends what database/sql has taken it for.
func (s *Session) take(taken *pgx.Conn, done <-chan struct{}) {
	if c, ok := taken.PgConn().Conn().(*conn); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.done, c.taken.n, c.uses = done, 0, 0
		if s.opts.Strict {
			c.taken.n = runtime.Callers(3, c.taken.pcs[:])
		}
	}
}

// Taken is [Session.Taken] for a level.
func (n *Nested) Taken(taken *pgx.Conn) { n.s.Taken(taken) }

// notePlace is called with each batch of c, on the goroutine that sends it.
func (s *Session) notePlace(c *conn, msgs []byte) {
	if c.taken.n > 0 || s.opts.IgnoreLeaks || s.tx.owner == c {
		return
	}
	rows, executes := c.examine(msgs)
	if !executes {
		return
	}
	if c.uses++; rows || c.uses > 1 || s.opts.Strict {
		c.taken.n = runtime.Callers(3, c.taken.pcs[:])
	}
}

// examine reports whether a batch executes a statement, and whether one that has rows.
func (c *conn) examine(msgs []byte) (rows, executes bool) {
	each(msgs, func(m message) bool {
		switch m.kind() {
		case 'Q':
			rows, executes = rows || hasRows(text(m.body())), true
		case 'P':
			_, rest, _ := bytes.Cut(m.body(), []byte{0})
			rows = rows || hasRows(text(rest))
		case 'B':
			_, rest, _ := bytes.Cut(m.body(), []byte{0})
			name, _, _ := bytes.Cut(rest, []byte{0})
			rows = rows || c.lookup(name).hasRows()
		case 'E', 'F':
			executes = true
		}
		return true
	})
	return rows, executes
}

// hasRows reports by its description whether a statement has rows. If there is none, its text has been looked at.
func (st *statement) hasRows() bool {
	if st == nil || st.backend == nil {
		return false
	}
	d := message(st.backend.describe)
	return len(d) > 5 && len(d) > d.size() && d[d.size()] == 'T'
}

// hasRows reports whether SQL may have rows, by the look of it.
func hasRows(sql string) bool {
	switch kind, _ := sqltext.Simple(sql); kind {
	case sqltext.Select, sqltext.With, sqltext.Fetch, sqltext.Execute, sqltext.Call, sqltext.Other:
		return true
	case sqltext.Write:
		return strings.Contains(strings.ToLower(sql), "returning")
	}
	return false
}
