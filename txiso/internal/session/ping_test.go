package session_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/txiso/txiso-go/txiso/internal/session"
)

// pgx sends a ping at the second use of every connection, because it does not know of an earlier one: in a test of a few
// statements that was one message in five.
func TestAConnectionThatLivesIsNotPinged(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		db := sql.OpenDB(s.Connector())
		defer db.Close()
		var sent bytes.Buffer
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Raw(func(raw any) error {
			raw.(*stdlib.Conn).Conn().PgConn().Frontend().Trace(&sent, pgproto3.TracerOptions{SuppressTimestamps: true})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		exec(t, db, "INSERT INTO items VALUES (1)")
		if got := sent.String(); strings.Contains(got, "ping") || !strings.Contains(got, "INSERT") {
			t.Errorf("the second use of a connection sends more than its statement:\n%s", got)
		}
	})
}

func TestAConnectionThatIsNotPingedTellsThatTheServerHasGone(t *testing.T) {
	cfg := database(t)
	s := openOn(t, cfg, session.Options{})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(s.Connector())
	defer db.Close()
	pid := value(t, db, "SELECT pg_backend_pid()")
	run(t, cfg, fmt.Sprintf("SELECT pg_terminate_backend(%s, 10000)", pid))
	_, err := db.Exec("INSERT INTO items VALUES (1)")
	if pe, ok := errors.AsType[*pgconn.PgError](err); !ok || pe.Code != "57P01" {
		t.Errorf("error %v, want the server's that it was told to go away (57P01)", err)
	}
	if _, err = db.Exec("INSERT INTO items VALUES (1)"); err == nil || !strings.Contains(err.Error(), "txiso: the server went away") {
		t.Errorf("then: error %v, want that the server went away", err)
	}
}
