package conformance_test

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// wire is a client that speaks the protocol itself: it stands for the drivers that are not pgx, and does what pgx never does.
type wire struct {
	e  *Env
	hc *pgconn.HijackedConn
}

// Wire opens one.
func (e *Env) Wire() *wire {
	conn, err := pgconn.ConnectConfig(e.Ctx, &e.on.Config().Config)
	e.Must("connect", err)
	e.Must("sync", conn.SyncConn(e.Ctx))
	hc, err := conn.Hijack()
	e.Must("hijack", err)
	w := &wire{e, hc}
	e.on.AtEnd(w.close)
	return w
}

func (w *wire) close() {
	w.hc.Conn.SetDeadline(time.Now().Add(time.Second))
	w.hc.Frontend.Send(&pgproto3.Terminate{})
	_ = w.hc.Frontend.Flush() // it may have been closed
	w.hc.Conn.Close()
}

// send sends messages in one write.
func (w *wire) send(msgs ...pgproto3.FrontendMessage) {
	for _, m := range msgs {
		w.hc.Frontend.Send(m)
	}
	w.e.Must("flush", w.hc.Frontend.Flush())
}

// receive records what the server says up to the n-th message of a kind.
func (w *wire) receive(n int, is func(pgproto3.BackendMessage) bool) {
	w.hc.Conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	for n > 0 {
		m, err := w.hc.Frontend.Receive()
		w.e.Must("receive", err)
		w.e.Log("< %s", messageString(m))
		if is(m) {
			n--
		}
	}
}

func isReady(m pgproto3.BackendMessage) bool {
	_, ok := m.(*pgproto3.ReadyForQuery)
	return ok
}

// ready records what the server says up to the n-th ReadyForQuery.
func (w *wire) ready(n int) { w.receive(n, isReady) }

// ask sends messages and records the answer.
func (w *wire) ask(msgs ...pgproto3.FrontendMessage) {
	w.send(msgs...)
	w.ready(1)
}

func (w *wire) query(sql string) {
	w.e.Log("> %s", shorten(sql))
	w.ask(&pgproto3.Query{String: sql})
}

func messageString(m pgproto3.BackendMessage) string {
	switch m := m.(type) {
	case *pgproto3.ErrorResponse:
		return "ErrorResponse " + serverError(pgconn.ErrorResponseToPgError(m))
	case *pgproto3.NoticeResponse:
		return "NoticeResponse " + serverError(pgconn.ErrorResponseToPgError((*pgproto3.ErrorResponse)(m)))
	case *pgproto3.RowDescription:
		for i := range m.Fields {
			m.Fields[i].TableOID = 0
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func parse(name, sql string) pgproto3.FrontendMessage {
	return &pgproto3.Parse{Name: name, Query: sql}
}

func bind(portal, name string, args ...string) pgproto3.FrontendMessage {
	values := make([][]byte, len(args))
	for i, a := range args {
		values[i] = []byte(a)
	}
	return &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: name, Parameters: values}
}

func execute(portal string) pgproto3.FrontendMessage { return &pgproto3.Execute{Portal: portal} }

// extended is Parse, Bind and Execute without names.
func extended(sql string, args ...string) []pgproto3.FrontendMessage {
	return []pgproto3.FrontendMessage{parse("", sql), bind("", "", args...), execute("")}
}

var (
	syncs   = &pgproto3.Sync{}
	flushes = &pgproto3.Flush{}
)

func background() context.Context { return context.Background() }

var otherClients = []behaviour{
	{"unnamed statements in the extended protocol", func(e *Env) {
		w := e.Wire()
		w.ask(append(extended("insert into items values ($1, $2)", "1", "a"), syncs)...)
		w.ask(append(extended("select * from items"), syncs)...)
		w.ask(append(extended("select nothing"), syncs)...)
		w.ask(append(extended("select 1"), syncs)...)
	}, native},
	{"an unnamed statement lives until the next one", func(e *Env) {
		w, other := e.Wire(), e.Wire()
		w.ask(parse("", "select $1::int + 1"), syncs)
		other.ask(parse("", "select 'other'"), syncs)
		other.query("select 2")
		w.ask(bind("", "", "41"), execute(""), syncs)
		other.ask(bind("", ""), execute(""), syncs) // its own was dropped by the Query
		w.query("select 3")
		w.ask(bind("", "", "41"), execute(""), syncs)
	}, native},
	{"a failed Parse leaves no unnamed statement", func(e *Env) {
		w := e.Wire()
		w.ask(parse("", "select 1"), syncs)
		w.ask(parse("", "selec 1"), syncs)
		w.ask(bind("", ""), execute(""), syncs)
	}, native},
	{"the same statement name on two connections", func(e *Env) {
		w, other := e.Wire(), e.Wire()
		w.ask(parse("s", "select 1"), syncs)
		other.ask(parse("s", "select 2"), syncs)
		w.ask(bind("", "s"), execute(""), syncs)
		other.ask(bind("", "s"), execute(""), syncs)
		w.ask(parse("s", "select 3"), syncs)
		w.ask(&pgproto3.Close{ObjectType: 'S', Name: "s"}, syncs)
		w.ask(bind("", "s"), execute(""), syncs)
		other.ask(bind("", "s"), execute(""), syncs)
		w.ask(parse("s", "select 4"), bind("", "s"), execute(""), syncs)
	}, native},
	{"a statement of another connection is not found", func(e *Env) {
		w, other := e.Wire(), e.Wire()
		w.ask(parse("mine", "select 1"), syncs)
		other.ask(bind("", "mine"), execute(""), syncs)
		other.ask(&pgproto3.Describe{ObjectType: 'S', Name: "mine"}, syncs)
		other.query("execute mine")
		w.query("execute mine")
		w.query("deallocate mine")
		w.ask(bind("", "mine"), execute(""), syncs)
	}, native},
	{"statements prepared by SQL and by the protocol are the same", func(e *Env) {
		w := e.Wire()
		w.query("prepare p (int) as select $1 + 1")
		w.ask(bind("", "p", "1"), execute(""), syncs)
		w.ask(parse("p", "select 2"), syncs)
		w.ask(parse("q", "select 3"), syncs)
		w.query("execute q")
		w.query("prepare q as select 4")
		w.query("deallocate all")
		w.ask(bind("", "q"), execute(""), syncs)
	}, marks{native: true, sometimes: true}},
	{"describing statements and portals", func(e *Env) {
		w := e.Wire()
		w.ask(parse("d", "select id, name from items where id = $1 and note = $2"), &pgproto3.Describe{ObjectType: 'S', Name: "d"}, syncs)
		w.ask(&pgproto3.Describe{ObjectType: 'S', Name: "d"}, bind("", "d", "1", "n"), &pgproto3.Describe{ObjectType: 'P'}, execute(""), syncs)
		w.ask(parse("", "insert into items values (1, 'a')"), &pgproto3.Describe{ObjectType: 'S'}, syncs)
		w.ask(&pgproto3.Describe{ObjectType: 'P', Name: "nowhere"}, syncs)
		w.ask(&pgproto3.Describe{ObjectType: 'S', Name: "nowhere"}, syncs)
	}, native},
	{"a portal read in pieces", func(e *Env) {
		w := e.Wire()
		w.send(parse("", "select generate_series(1, 5)"), bind("c", ""), &pgproto3.Execute{Portal: "c", MaxRows: 2}, &pgproto3.Execute{Portal: "c", MaxRows: 2}, &pgproto3.Execute{Portal: "c", MaxRows: 2}, syncs)
		w.ready(1)
		w.ask(execute("c"), syncs) // it ended with the transaction
	}, native},
	{"a portal lives as long as its transaction", func(e *Env) {
		w := e.Wire()
		w.query("begin")
		w.ask(parse("", "select generate_series(1, 5)"), bind("c", ""), &pgproto3.Execute{Portal: "c", MaxRows: 2}, syncs)
		w.query("select 'between'")
		w.ask(&pgproto3.Execute{Portal: "c", MaxRows: 2}, syncs)
		w.query("commit")
		w.ask(&pgproto3.Execute{Portal: "c", MaxRows: 2}, syncs)
	}, native},
	{"a portal's name can be used once", func(e *Env) {
		w := e.Wire()
		w.ask(parse("", "select 1"), bind("c", ""), bind("c", ""), execute("c"), syncs)
		w.query("begin")
		w.ask(parse("", "select 1"), bind("c", ""), &pgproto3.Close{ObjectType: 'P', Name: "c"}, bind("c", ""), execute("c"), syncs)
		w.query("rollback")
	}, native},
	{"the portals of two connections have names of their own", func(e *Env) {
		w, other := e.Wire(), e.Wire()
		w.query("begin")
		w.ask(parse("", "select generate_series(1, 5)"), bind("c", ""), &pgproto3.Execute{Portal: "c", MaxRows: 2}, syncs)
		other.ask(parse("", "select generate_series(11, 15)"), bind("c", ""), &pgproto3.Execute{Portal: "c", MaxRows: 2}, syncs)
		w.ask(&pgproto3.Execute{Portal: "c", MaxRows: 2}, syncs)
		w.query("commit")
	}, native},
	{"Flush makes the server answer", func(e *Env) {
		w := e.Wire()
		w.send(parse("", "select $1::text"), &pgproto3.Describe{ObjectType: 'S'}, flushes)
		w.receive(1, func(m pgproto3.BackendMessage) bool { _, ok := m.(*pgproto3.RowDescription); return ok })
		w.send(bind("", "", "x"), execute(""), flushes)
		w.receive(1, func(m pgproto3.BackendMessage) bool { _, ok := m.(*pgproto3.CommandComplete); return ok })
		w.ask(syncs)
	}, native},
	{"after an error everything up to Sync is ignored", func(e *Env) {
		w := e.Wire()
		msgs := extended("insert into items values (1, 'a')")
		msgs = append(msgs, extended("select 1/0")...)
		msgs = append(msgs, extended("insert into items values (2, 'b')")...)
		w.ask(append(msgs, syncs)...)
		w.query("select * from items")
	}, native},
	{"several Syncs in one write are several transactions", func(e *Env) {
		w := e.Wire()
		msgs := append(extended("insert into items values (1, 'a')"), syncs)
		msgs = append(append(msgs, extended("select 1/0")...), syncs)
		msgs = append(append(msgs, extended("insert into items values (2, 'b')")...), syncs)
		w.send(msgs...)
		w.ready(3)
		w.query("select id from items order by id")
	}, native},
	{"several Querys in one write", func(e *Env) {
		w := e.Wire()
		w.send(&pgproto3.Query{String: "insert into items values (1, 'a')"}, &pgproto3.Query{String: "select 1/0"}, &pgproto3.Query{String: "begin"},
			&pgproto3.Query{String: "insert into items values (2, 'b')"}, &pgproto3.Query{String: "rollback"}, &pgproto3.Query{String: "select id from items"})
		w.ready(6)
	}, native},
	{"transaction control in the middle of a pipeline", func(e *Env) {
		w := e.Wire()
		var msgs []pgproto3.FrontendMessage
		for _, q := range []string{"begin", "insert into items values (1, 'a')", "commit", "insert into items values (2, 'b')", "begin", "insert into items values (3, 'c')", "rollback", "select id from items order by 1"} {
			msgs = append(msgs, extended(q)...)
		}
		w.ask(append(msgs, syncs)...)
		w.query("select id from items order by 1")
	}, native},
	{"a COMMIT outside a transaction ends what is ahead of it in a pipeline", func(e *Env) {
		w := e.Wire()
		var msgs []pgproto3.FrontendMessage
		for _, q := range []string{"insert into items values (1, 'a')", "commit", "insert into items values (2, 'b')", "select 1/0"} {
			msgs = append(msgs, extended(q)...)
		}
		w.ask(append(msgs, syncs)...)
		w.query("select id from items order by 1")
	}, native},
	{"BEGIN in a pipeline takes what is ahead of it along", func(e *Env) {
		w := e.Wire()
		var msgs []pgproto3.FrontendMessage
		for _, q := range []string{"insert into items values (1, 'a')", "begin", "insert into items values (2, 'b')"} {
			msgs = append(msgs, extended(q)...)
		}
		w.ask(append(msgs, syncs)...)
		w.query("rollback")
		w.query("select id from items order by 1")
	}, native},
	{"a prepared COMMIT runs many times", func(e *Env) {
		w := e.Wire()
		w.ask(parse("b", "begin"), parse("c", "commit"), parse("r", "rollback"), syncs)
		for i := range 3 {
			w.ask(bind("", "b"), execute(""), syncs)
			w.query("insert into items values (" + string(rune('1'+i)) + ", 'n" + string(rune('1'+i)) + "')")
			w.ask(bind("", "c"), &pgproto3.Describe{ObjectType: 'P'}, execute(""), syncs)
			w.ask(bind("", "b"), execute(""), syncs)
			w.query("delete from items")
			w.ask(bind("", "r"), execute(""), syncs)
		}
		w.query("select id from items order by 1")
	}, native},
	{"unknown names and malformed requests", func(e *Env) {
		w := e.Wire()
		w.ask(execute("nowhere"), syncs)
		w.ask(bind("", "nowhere"), syncs)
		w.ask(&pgproto3.Close{ObjectType: 'S', Name: "nowhere"}, &pgproto3.Close{ObjectType: 'P', Name: "nowhere"}, syncs)
		w.ask(parse("", "select 1; select 2"), syncs)
		w.ask(parse("", "begin; commit"), syncs)
		w.ask(parse("", ""), bind("", ""), &pgproto3.Describe{ObjectType: 'P'}, execute(""), syncs)
		w.ask(parse("", "select $1::int"), bind("", ""), execute(""), syncs)
		w.ask(&pgproto3.Query{String: ""})
		w.ask(&pgproto3.Query{String: " ; ; "})
		w.ask(syncs)
	}, native},
	{"a function call of the protocol", func(e *Env) {
		w := e.Wire()
		w.query("begin")
		w.ask(&pgproto3.FunctionCall{Function: 1251 /* pg_catalog.int4abs */, ArgFormatCodes: []uint16{0}, Arguments: [][]byte{[]byte("-5")}, ResultFormatCode: 0})
		w.query("commit")
		w.ask(&pgproto3.FunctionCall{Function: 1251, ArgFormatCodes: []uint16{0}, Arguments: [][]byte{[]byte("x")}, ResultFormatCode: 0})
		w.query("select 1")
	}, native},
	{"COPY in, ended and failed by the client", func(e *Env) {
		w := e.Wire()
		w.send(&pgproto3.Query{String: "copy items (id, name) from stdin"}, &pgproto3.CopyData{Data: []byte("1\ta\n2\tb\n")}, &pgproto3.CopyDone{})
		w.ready(1)
		w.send(&pgproto3.Query{String: "copy items (id, name) from stdin"}, &pgproto3.CopyData{Data: []byte("3\tc\n")}, &pgproto3.CopyFail{Message: "changed my mind"})
		w.ready(1)
		w.query("select id from items order by 1")
	}, native},
	{"COPY in the extended protocol", func(e *Env) {
		w := e.Wire()
		w.send(append(extended("copy items (id, name) from stdin"), &pgproto3.CopyData{Data: []byte("1\ta\n")}, &pgproto3.CopyDone{}, syncs)...)
		w.ready(1)
		w.send(append(extended("copy items (id, name) from stdin"), &pgproto3.CopyData{Data: []byte("1\ta\n")}, &pgproto3.CopyDone{}, syncs)...)
		w.ready(1)
		w.ask(append(extended("copy items to stdout"), syncs)...)
		w.query("select id from items order by 1")
	}, native},
	{"COPY in a string of several statements", func(e *Env) {
		w := e.Wire()
		w.send(&pgproto3.Query{String: "insert into items values (1, 'x'); copy items (id, name) from stdin; select count(*) from items; copy (select * from items order by id) to stdout"})
		w.send(&pgproto3.CopyData{Data: []byte("2\tb\n")}, &pgproto3.CopyDone{})
		w.ready(1)
	}, native},
	{"COPY in of bad data, while the client goes on sending", func(e *Env) {
		w := e.Wire()
		w.send(&pgproto3.Query{String: "copy items (id, name) from stdin"}, &pgproto3.CopyData{Data: []byte("x\ta\n")}, &pgproto3.CopyData{Data: []byte("2\tb\n")}, &pgproto3.CopyDone{})
		w.ready(1)
		w.query("select id from items order by 1")
	}, native},
	{"settings that are reported are reported", func(e *Env) {
		w := e.Wire()
		w.query("set application_name = 'conformance'")
		w.query("begin")
		w.query("set timezone = 'Asia/Tokyo'")
		w.query("set local datestyle = 'German'")
		w.query("rollback")
		w.query("begin; set local timezone = 'Asia/Tokyo'")
		w.query("commit")
		w.query("show timezone")
		w.query("reset application_name")
	}, native},
	{"a connection that is closed in a transaction rolls it back", func(e *Env) {
		w := e.Wire()
		w.query("begin")
		w.query("insert into items values (1, 'a')")
		w.hc.Conn.Close()
		other := e.Conn()
		e.Eventually(other, "select count(*) from items", 0)
		e.Do(other, "insert into items values (1, 'b')")
	}, native},
	{"a cancel request of the protocol", func(e *Env) {
		conn := e.Conn()
		done := make(chan struct{})
		go func() {
			defer close(done)
			time.Sleep(100 * time.Millisecond)
			if err := conn.PgConn().CancelRequest(background()); err != nil {
				e.Log("cancel: %v", err)
			}
		}()
		e.Do(conn, "select pg_sleep(10)")
		<-done
		e.Do(conn, "select 1")
	}, native},
	{"a cancel request with a wrong key does nothing", func(e *Env) {
		w, other := e.Wire(), e.Conn()
		key := append([]byte(nil), w.hc.SecretKey...)
		key[len(key)-1]++
		cfg := other.Config()
		network, address := pgconn.NetworkAddress(cfg.Host, cfg.Port)
		c, err := cfg.DialFunc(e.Ctx, network, address)
		e.Must("dial", err)
		w.send(&pgproto3.Query{String: "select pg_sleep(0.3)"})
		msg, err := (&pgproto3.CancelRequest{ProcessID: w.hc.PID, SecretKey: key}).Encode(nil)
		e.Must("encode", err)
		_, err = c.Write(msg)
		e.Err("write", err)
		c.Close()
		w.ready(1)
	}, native},
}
