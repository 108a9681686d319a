package session_test

import (
	"bytes"
	"database/sql"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/txiso/txiso-go/txiso/internal/session"
)

// A connection that was closed gives its buffers to the next one. One that was closed while a row of it was open does not:
// the row's values lie in them, and on a connection of its own they would stay what they are.
func TestAnOpenRowKeepsItsValuesWhenItsConnectionIsClosed(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		read := func(sql string) (*pgx.Conn, []byte) {
			conn, err := pgx.ConnectConfig(t.Context(), s.Config())
			if err != nil {
				t.Fatal(err)
			}
			rows, err := conn.Query(t.Context(), sql)
			if err != nil || !rows.Next() {
				t.Fatal(err, rows.Err())
			}
			return conn, rows.RawValues()[0]
		}
		// The first answers leave buffers behind, so that the next connection has what could be taken away from it.
		for range 3 {
			first, value := read("SELECT repeat('a', 1000) FROM generate_series(1, 3)")
			first.Close(t.Context())
			for range 3 {
				other, _ := read("SELECT repeat('b', 1000) FROM generate_series(1, 3)")
				if _, err := other.Exec(t.Context(), "SELECT 1"); err == nil {
					t.Error("a connection with an open row takes a statement")
				}
				other.Close(t.Context())
				done, err := pgx.ConnectConfig(t.Context(), s.Config())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := done.Exec(t.Context(), "SELECT repeat('c', 3000)"); err != nil {
					t.Error(err)
				}
				done.Close(t.Context())
			}
			if string(value) != strings.Repeat("a", 1000) {
				t.Fatalf("the value has become %.20q…", value)
			}
		}
	})
}

// pgx lets its users change the object that reads and writes messages; what one connection's user has done to it is not
// there for the next one.
func TestAConnectionDoesNotInheritAnothersTracerOrLimit(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		connect := func() *pgx.Conn {
			conn, err := pgx.ConnectConfig(t.Context(), s.Config())
			if err != nil {
				t.Fatal(err)
			}
			return conn
		}
		first := connect()
		frontend := first.PgConn().Frontend()
		var trace bytes.Buffer
		frontend.Trace(&trace, pgproto3.TracerOptions{})
		frontend.SetMaxBodyLen(100)
		first.Close(t.Context())
		traced := trace.Len()

		second := connect()
		defer second.Close(t.Context())
		if second.PgConn().Frontend() != frontend {
			t.Error("the second connection has not been given what the first one used: this test proves nothing")
		}
		var long string
		if err := second.QueryRow(t.Context(), "SELECT repeat('x', 5000)").Scan(&long); err != nil || len(long) != 5000 {
			t.Errorf("a long value: %d bytes, %v", len(long), err)
		}
		if trace.Len() != traced {
			t.Errorf("the first connection's tracer was told of the second: %s", trace.Bytes()[traced:])
		}
	})
}

// Who keeps using pgx's object after the connection was closed is told so, and does not get at the next connection.
func TestAClosedConnectionsFrontendReachesNobody(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		conn, err := pgx.ConnectConfig(t.Context(), s.Config())
		if err != nil {
			t.Fatal(err)
		}
		frontend := conn.PgConn().Frontend()
		conn.Close(t.Context())
		frontend.SendQuery(&pgproto3.Query{String: "SELECT 1"})
		if err := frontend.Flush(); err == nil || !strings.Contains(err.Error(), "use of closed network connection") {
			t.Errorf("writing: %v", err)
		}
		if _, err := frontend.Receive(); err == nil || !strings.Contains(err.Error(), "use of closed network connection") {
			t.Errorf("reading: %v", err)
		}
	})
}
