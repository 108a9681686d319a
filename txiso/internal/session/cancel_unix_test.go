//go:build unix

package session_test

import (
	"context"
	"database/sql"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/txiso/txiso-go/txiso/internal/session"
)

// Where processors are busy the server gets to a statement some time after it was sent, and to the savepoint ahead of it. A request
// to cancel the statement that came before was ignored, or cancelled the savepoint, and with it the session.
func TestACancellationWaitsForAServerThatIsLate(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		pid, err := strconv.Atoi(value(t, db, "SELECT pg_backend_pid()"))
		if err != nil {
			t.Fatal(err)
		}
		conn, err := pgconn.ConnectConfig(t.Context(), &s.Config().Config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		for try := range 20 { // this process can be late, too
			exec(t, db, "INSERT INTO items VALUES ($1)", try) // so that a savepoint is due
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Skip("the server's processes are out of reach: ", err)
			}
			go func() {
				time.Sleep(10 * time.Millisecond)
				_ = syscall.Kill(pid, syscall.SIGCONT)
			}()
			failed := make(chan error)
			go func() {
				_, err := conn.Exec(context.Background(), "SELECT pg_sleep(0.3)").ReadAll()
				failed <- err
			}()
			time.Sleep(5 * time.Millisecond) // so that it is sent
			if err := conn.CancelRequest(t.Context()); err != nil {
				t.Fatal(err)
			}
			if code(<-failed) == "57014" {
				expect(t, "rows", value(t, db, countItems), strconv.Itoa(try+1))
				return
			}
		}
		t.Error("no request has cancelled its statement")
	})
}
