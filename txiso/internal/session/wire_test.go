package session_test

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/txiso/txiso-go/txiso/internal/session"
)

// wire speaks the protocol to a virtual connection, well or badly.
type wire struct {
	t        *testing.T
	conn     net.Conn
	frontend *pgproto3.Frontend
}

type queryMessage struct{ sql string }

func dial(t *testing.T, s *session.Session) *wire {
	t.Helper()
	conn, err := s.Config().DialFunc(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	w := &wire{t: t, conn: conn, frontend: pgproto3.NewFrontend(conn, conn)}
	w.frontend.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": s.Config().User}})
	if err := w.frontend.Flush(); err != nil {
		t.Fatal(err)
	}
	for w.receive() != 'Z' {
	}
	return w
}

func (w *wire) send(q *queryMessage) {
	w.frontend.Send(&pgproto3.Query{String: q.sql})
	if err := w.frontend.Flush(); err != nil {
		w.t.Error(err)
	}
}

// answers sends a Query and returns the kinds of the messages up to ReadyForQuery.
func (w *wire) answers(sql string) string {
	w.send(&queryMessage{sql})
	var kinds []byte
	for kind := w.receive(); kind != 0; kind = w.receive() {
		if kinds = append(kinds, kind); kind == 'Z' {
			break
		}
	}
	return string(kinds)
}

// receive returns the kind of the next message, or 0 at the end.
func (w *wire) receive() byte {
	msg, err := w.frontend.Receive()
	switch msg.(type) {
	case *pgproto3.CommandComplete:
		return 'C'
	case *pgproto3.ReadyForQuery:
		return 'Z'
	case *pgproto3.ErrorResponse:
		return 'E'
	case *pgproto3.EmptyQueryResponse:
		return 'I'
	case *pgproto3.ParameterStatus:
		return 'S'
	}
	if err != nil {
		return 0
	}
	return '?'
}

func (w *wire) write(b []byte) { _, _ = w.conn.Write(b) }

// refused expects a protocol violation and the end of the conversation.
func (w *wire) refused(what, text string) {
	w.t.Helper()
	_ = w.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	msg, err := w.frontend.Receive()
	e, ok := msg.(*pgproto3.ErrorResponse)
	if !ok || e.Severity != "FATAL" || e.Code != "08P01" || !strings.Contains(e.Message, text) {
		w.t.Errorf("%s: %#v, %v", what, msg, err)
	}
	if _, err := w.frontend.Receive(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		w.t.Errorf("%s: the conversation goes on: %v", what, err)
	}
}

func header(kind byte, size uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{kind}, size)
}

func TestMalformedMessagesEndTheirConnectionOnly(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "INSERT INTO items VALUES (1, 'one')")
		for what, bad := range map[string]struct {
			bytes []byte
			text  string
		}{
			"unknown type":            {header('?', 4), "invalid frontend message type 63"},
			"length below four":       {header('Q', 3), "invalid message length"},
			"a Query over 1 GB":       {header('Q', 1<<30), "invalid message length"},
			"a negative length":       {header('B', 0xffffffff), "invalid message length"},
			"an oversized Describe":   {header('D', 10001), "invalid message length"},
			"garbage":                 {[]byte("GET / HTTP/1.1\r\n\r\n"), "invalid frontend message type 71"},
			"behind a good statement": {append([]byte("Q\x00\x00\x00\x05\x00"), header('!', 9)...), ""},
		} {
			w := dial(t, s)
			w.write(bad.bytes)
			if what == "behind a good statement" {
				continue // it may be answered or not; what counts is that the others go on
			}
			w.refused(what, bad.text)
		}
		expect(t, "items", value(t, db, countItems), "1")
	})
}

func TestMalformedStartupIsRefused(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		for what, bad := range map[string][]byte{
			"too short": {0, 0, 0, 4, 0, 0, 0, 0}, "too long": {0, 1, 0, 0, 0, 3, 0, 0}, "protocol 2": {0, 0, 0, 8, 0, 2, 0, 0},
		} {
			conn, err := s.Config().DialFunc(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			w := &wire{t: t, conn: conn, frontend: pgproto3.NewFrontend(conn, conn)}
			w.write(bad)
			w.refused(what, "")
			conn.Close()
		}
		expect(t, "items", value(t, db, countItems), "0")
	})
}

// Messages whose bodies do not fit their type reach the server, which has the last word.
func TestBodiesThatDoNotFitAreTheServersToRefuse(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "INSERT INTO items VALUES (1, 'one')")
		for _, kind := range []byte("PBDEC") {
			w := dial(t, s)
			w.write(append(header(kind, 6), 'x', 'y'))
			w.write([]byte{'S', 0, 0, 0, 4})
			_ = w.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			if got := w.receive(); got != 'E' {
				t.Errorf("%c: %c", kind, got)
			}
			if got := w.receive(); got != 'Z' {
				t.Errorf("%c: %c", kind, got)
			}
		}
		expect(t, "items", value(t, db, countItems), "1")
	})
}

func TestMessagesMayArriveByteByByte(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		w := dial(t, s)
		msg, _ := (&pgproto3.Query{String: "INSERT INTO items VALUES (1, 'one'); INSERT INTO items VALUES (2, 'two')"}).Encode(nil)
		for _, b := range msg {
			w.write([]byte{b})
		}
		for _, want := range "CCZ" {
			if got := w.receive(); rune(got) != want {
				t.Errorf("%c, want %c", got, want)
			}
		}
		expect(t, "items", value(t, db, countItems), "2")
	})
}

func TestAClientThatLeavesInACopyLeavesItUnfinished(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		w := dial(t, s)
		w.send(&queryMessage{"COPY items FROM STDIN"})
		w.write(append(header('d', 10), "1\tone\n"...))
		w.conn.Close()
		expect(t, "items", value(t, db, countItems), "0")
		w = dial(t, s)
		w.send(&queryMessage{"COPY items FROM STDIN"})
		w.write(append(header('d', 10), "1\tone\n"...))
		w.write(header('c', 4))
		for kind := w.receive(); kind != 'Z'; kind = w.receive() {
			if kind == 'E' || kind == 0 {
				t.Fatalf("%c", kind)
			}
		}
		expect(t, "items", value(t, db, countItems), "1")
	})
}

func TestADeadlineEndsAWaitingRead(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		w := dial(t, s)
		ended := make(chan error)
		go func() {
			_, err := w.conn.Read(make([]byte, 1))
			ended <- err
		}()
		_ = w.conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		var ne net.Error
		if err := <-ended; !errors.As(err, &ne) || !ne.Timeout() {
			t.Error(err)
		}
		_ = w.conn.SetReadDeadline(time.Time{})
		go func() {
			_, err := w.conn.Read(make([]byte, 1))
			ended <- err
		}()
		w.conn.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}
