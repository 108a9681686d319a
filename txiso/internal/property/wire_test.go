package property_test

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// wireClient speaks the protocol's messages itself, so that it can do what no driver does.
type wireClient struct {
	*run
	rec  *record
	conn *pgconn.HijackedConn
	tx   byte
}

func newWireClient(r *run, rec *record) client { return &wireClient{run: r, rec: rec, tx: 'I'} }

func (c *wireClient) open() bool     { return c.tx != 'I' }
func (c *wireClient) status() string { return fmt.Sprintf("status %c", c.tx) }

func (c *wireClient) do(o op) {
	switch {
	case o.Do == "close":
		c.end()
	case o.Do != "group" || !c.connect():
		c.rec.add("nothing")
	default:
		c.group(o)
	}
}

func (c *wireClient) connect() bool {
	if c.conn != nil {
		return true
	}
	conn, err := pgx.ConnectConfig(c.ctx, c.w.config())
	if err == nil {
		c.conn, err = conn.PgConn().Hijack()
	}
	if err != nil {
		c.rec.add("connect: %s", errorString(err))
		return false
	}
	deadline, _ := c.ctx.Deadline()
	_ = c.conn.Conn.SetDeadline(deadline)
	return true
}

func (c *wireClient) end() {
	if c.conn == nil {
		return
	}
	c.conn.Frontend.Send(&pgproto3.Terminate{})
	_ = c.conn.Frontend.Flush()
	_ = c.conn.Conn.Close()
	c.w.left(c.ctx, c.conn.PID)
	c.conn, c.tx = nil, 'I'
}

// messages are the frontend messages that inner operations stand for.
var messages = map[string]func(o op) pgproto3.FrontendMessage{
	"Query": func(o op) pgproto3.FrontendMessage { return &pgproto3.Query{String: o.SQL} },
	"Parse": func(o op) pgproto3.FrontendMessage { return &pgproto3.Parse{Name: o.Name, Query: o.SQL} },
	"Bind": func(o op) pgproto3.FrontendMessage {
		return &pgproto3.Bind{DestinationPortal: o.Mode, PreparedStatement: o.Name, Parameters: o.texts()}
	},
	"DescribeStatement": func(o op) pgproto3.FrontendMessage { return &pgproto3.Describe{ObjectType: 'S', Name: o.Name} },
	"DescribePortal":    func(o op) pgproto3.FrontendMessage { return &pgproto3.Describe{ObjectType: 'P', Name: o.Name} },
	"Execute": func(o op) pgproto3.FrontendMessage {
		return &pgproto3.Execute{Portal: o.Name, MaxRows: uint32(o.N)}
	},
	"CloseStatement": func(o op) pgproto3.FrontendMessage { return &pgproto3.Close{ObjectType: 'S', Name: o.Name} },
	"ClosePortal":    func(o op) pgproto3.FrontendMessage { return &pgproto3.Close{ObjectType: 'P', Name: o.Name} },
	"Flush":          func(o op) pgproto3.FrontendMessage { return &pgproto3.Flush{} },
	"Sync":           func(o op) pgproto3.FrontendMessage { return &pgproto3.Sync{} },
}

// exactly is the name of groups that are sent as they are, also when they use portals that nobody has bound.
const exactly = "exactly"

// group sends the inner operations' messages in one write, and reads until all of them are answered. A Sync goes ahead of a
// Query and to the end where it is missing: otherwise an error would decide how many answers there are.
func (c *wireClient) group(o op) {
	ends, open := 0, false
	sync := func() {
		if open {
			c.conn.Frontend.Send(&pgproto3.Sync{})
			ends, open = ends+1, false
		}
	}
	bound := c.tx == 'T' || o.Name == exactly
	for _, inner := range o.Ops {
		message := messages[inner.Do]
		bound = o.Name == exactly || inner.Do == "Bind" || bound && inner.Do != "Sync" && inner.Do != "Query"
		switch {
		case message == nil:
			continue
		case strings.Contains("Execute DescribePortal ClosePortal", inner.Do) && !bound:
			continue // a portal that a failed transaction has left can crash a server (seen with PostgreSQL 15.18)
		case inner.Do == "Sync":
			open = true
			sync()
		case inner.Do == "Query":
			sync()
			c.conn.Frontend.Send(message(inner))
			ends++
		default:
			open = true
			c.conn.Frontend.Send(message(inner))
		}
		if inner.Mode == "flush" {
			c.flush()
		}
	}
	sync()
	c.flush()
	for ends > 0 && c.conn != nil {
		ends -= c.receive()
	}
}

func (c *wireClient) flush() {
	if err := c.conn.Frontend.Flush(); err != nil {
		c.rec.add("write: %s", errorString(err))
	}
}

// receive records one message. It returns how many ReadyForQuery it was.
func (c *wireClient) receive() int {
	msg, err := c.conn.Frontend.Receive()
	if err != nil {
		c.rec.add("read: %s", errorString(err))
		c.conn.Conn.Close()
		c.conn, c.tx = nil, 'I'
		return 0
	}
	if text := messageString(msg); !strings.Contains(text, "skipping cleanup for portal") { // bound in a transaction that had failed
		c.rec.add("%s", text)
	}
	switch m := msg.(type) {
	case *pgproto3.ReadyForQuery:
		c.tx = m.TxStatus
		return 1
	case *pgproto3.CopyInResponse:
		c.conn.Frontend.Send(&pgproto3.CopyFail{Message: "no data"})
		c.flush()
	}
	return 0
}

func messageString(msg pgproto3.BackendMessage) string {
	switch m := msg.(type) {
	case *pgproto3.ErrorResponse:
		return "error " + serverError(pgconn.ErrorResponseToPgError(m))
	case *pgproto3.NoticeResponse:
		return "notice " + serverError(pgconn.ErrorResponseToPgError((*pgproto3.ErrorResponse)(m)))
	case *pgproto3.RowDescription:
		return "columns" + wireFields(m)
	}
	b, err := json.Marshal(msg)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func wireFields(m *pgproto3.RowDescription) string {
	var b strings.Builder
	for _, f := range m.Fields {
		fmt.Fprintf(&b, " %s:%d/%d/%d/%d", f.Name, f.DataTypeOID, f.TypeModifier, f.DataTypeSize, f.Format)
	}
	return b.String()
}
