package session_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/txiso/txiso-go/txiso/internal/pgserver/pgtest"
	"github.com/txiso/txiso-go/txiso/internal/session"
)

// blockLists makes the session's look for deferrable constraints wait until the function it returns is called.
func blockLists(t *testing.T, cfg *pgx.ConnConfig) (unblock func()) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	if _, err := conn.Exec(ctx, "BEGIN; LOCK TABLE pg_catalog.pg_depend"); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if _, err := conn.Exec(ctx, "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
	}
}

func awaitLock(t *testing.T, cfg *pgx.ConnConfig) {
	t.Helper()
	await(t, cfg, "pg_locks WHERE NOT granted")
}

// await waits until there is a row.
func await(t *testing.T, cfg *pgx.ConnConfig, from string) {
	t.Helper()
	ctx, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for there := false; !there; {
		err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+from+")").Scan(&there)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// alter makes the session look anew for constraints that it has to check, without a lock that blockLists holds.
const alter = "ALTER TABLE items ALTER id SET STATISTICS 10; "

// The statement of a connection that was gone was over, and the session was looking for the constraints that it had to
// check. The end of the test cancelled that, and the session was lost: "a statement of the session's own failed".
func TestTheEndOfATestCancelsAStatementThatIsBeingCommitted(t *testing.T) {
	cfg := database(t)
	s := openOn(t, cfg, session.Options{})
	unblock := blockLists(t, cfg)
	clean(t, s, func(*sql.DB) {
		w := dial(t, s)
		w.send(&queryMessage{alter + "INSERT INTO children VALUES (1, 1)"})
		go w.receive() // somebody has to read
		awaitLock(t, cfg)
		w.conn.Close()
	})
	unblock()
	clean(t, s, func(db *sql.DB) {
		expect(t, "children", value(t, db, "SELECT count(*) FROM children"), "0")
		_, err := db.Exec("INSERT INTO children VALUES (1, 1)")
		expect(t, "the check of the deferred constraint", code(err), "23503")
	})
}

// The same by a CancelRequest: the client is told, and its statement is undone, as one that is cancelled in its commit.
func TestAStatementThatIsBeingCommittedCanBeCancelled(t *testing.T) {
	cfg := database(t)
	s := openOn(t, cfg, session.Options{})
	clean(t, s, func(db *sql.DB) {
		unblock := blockLists(t, cfg)
		conn, err := pgconn.ConnectConfig(t.Context(), &s.Config().Config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		failed := make(chan error)
		go func() {
			_, err := conn.Exec(context.Background(), alter+"INSERT INTO items VALUES (1, 'one')").ReadAll()
			failed <- err
		}()
		awaitLock(t, cfg)
		if err := conn.CancelRequest(t.Context()); err != nil {
			t.Error(err)
		}
		expect(t, "the cancelled statement", code(<-failed), "57014")
		unblock()
		expect(t, "items", value(t, db, countItems), "0")
		_, err = db.Exec("INSERT INTO children VALUES (1, 1)")
		expect(t, "the check of the deferred constraint", code(err), "23503")
	})
}

// A deferred trigger is the client's, whoever makes it run.
func TestADeferredTriggerEndsWithItsContextOrItsTest(t *testing.T) {
	cfg := database(t)
	run(t, cfg, `CREATE FUNCTION doze() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER dozes AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION doze()`)
	s := openOn(t, cfg, session.Options{})
	for range 3 {
		clean(t, s, func(db *sql.DB) {
			ctx, cancel := context.WithCancel(t.Context())
			failed := make(chan error)
			go func() {
				_, err := db.ExecContext(ctx, "INSERT INTO items VALUES (1, 'one')")
				failed <- err
			}()
			await(t, cfg, "pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()")
			cancel()
			if err := <-failed; !errors.Is(err, context.Canceled) {
				t.Errorf("error: %v", err)
			}
			expect(t, "items", value(t, db, countItems), "0")
			w := dial(t, s)
			w.send(&queryMessage{"INSERT INTO items VALUES (2, 'two')"}) // and End
		})
	}
}

// deaf is a connection whose owner does not hear that something was inserted while its ears are stopped.
type deaf struct {
	net.Conn
	ears *sync.RWMutex
}

func (d deaf) Read(p []byte) (int, error) {
	n, err := d.Conn.Read(p)
	if bytes.Contains(p[:n], []byte("INSERT 0 1")) {
		d.ears.RLock()
		defer d.ears.RUnlock()
	}
	return n, err
}

// A request that reached the server behind a statement, but ahead of its deferred checks, was ignored: a trigger ran for its
// minute, and what it was to undo stayed.
func TestARequestBetweenAStatementAndTheRestOfItIsNotLost(t *testing.T) {
	cfg := database(t)
	run(t, cfg, `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'too late'; END $$;
CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()`)
	var ears sync.RWMutex
	physical, dialled := cfg.Copy(), false
	physical.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := cfg.DialFunc(ctx, network, address)
		if dialled { // by a CancelRequest
			return conn, err
		}
		dialled = true
		return deaf{conn, &ears}, err
	}
	for _, query := range []string{
		alter + "INSERT INTO items VALUES (1, 'one')", // the look for constraints and the check are the rest
		"INSERT INTO items VALUES (1, 'one')",         // the check is
		"INSERT INTO items VALUES (1, 'one'); COMMIT; INSERT INTO items VALUES (2, 'two')",
		"BEGIN; INSERT INTO items VALUES (1, 'one'); COMMIT",
	} {
		dialled = false
		s, err := session.Open(t.Context(), physical, session.Options{})
		if err != nil {
			t.Fatal(err)
		}
		clean(t, s, func(db *sql.DB) {
			conn, err := pgconn.ConnectConfig(t.Context(), &s.Config().Config)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			ears.Lock()
			failed := make(chan error)
			go func() {
				_, err := conn.Exec(context.Background(), query).ReadAll()
				failed <- err
			}()
			await(t, cfg, "pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction' AND query LIKE '%INSERT%'")
			if err := conn.CancelRequest(t.Context()); err != nil {
				t.Error(err)
			}
			ears.Unlock()
			expect(t, query, code(<-failed), "57014")
			expect(t, "items", value(t, db, countItems), "0")
		})
		s.Close()
	}
}

// Requests arrive at any moment: ahead of the statement, at the session's own in front of it or behind it, or in between.
func TestCancellationsAtAnyMomentHitNothingOfTheSessions(t *testing.T) {
	s := open(t, session.Options{})
	for _, query := range []string{
		"SELECT 1",
		"INSERT INTO items SELECT max(id) + 1 FROM items",
		"SET idle_session_timeout = '1h'",             // the session has something to do behind it
		"SELECT set_config('work_mem', '5MB', false)", // and ahead of that of another connection
		"CREATE TEMP TABLE IF NOT EXISTS scratch (id int)",
	} {
		clean(t, s, func(db *sql.DB) {
			exec(t, db, "INSERT INTO items VALUES (1, 'one')")
			for range 30 {
				cancelAtAnyMoment(t, s, query)
			}
			if n := value(t, db, countItems); n == "0" {
				t.Error("what was there has been undone")
			}
		})
	}
}

// cancelAtAnyMoment runs a query over and over while requests to cancel it are sent.
func cancelAtAnyMoment(t *testing.T, s *session.Session, query string) {
	t.Helper()
	conn, err := pgconn.ConnectConfig(t.Context(), &s.Config().Config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var requests sync.WaitGroup
	defer requests.Wait()
	for range 4 {
		requests.Go(func() {
			if err := conn.CancelRequest(context.Background()); err != nil {
				t.Error(err)
			}
		})
		if _, err := conn.Exec(t.Context(), query).ReadAll(); err != nil && code(err) != "57014" {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// A server that has not got to a statement yet ignores the CancelRequest for it. Everybody waited for the end of that statement then,
// whose client had long gone.
func TestACancelRequestThatTheServerIgnoresIsRepeated(t *testing.T) {
	cfg := database(t)
	var requests atomic.Int32
	to := pgtest.Relay{Through: func(_ net.Conn, said []byte) bool {
		const code = 80877102
		request := len(said) >= 8 && binary.BigEndian.Uint32(said[4:]) == code
		return !request || requests.Add(1) > 1
	}}.Listen(t, cfg.Host, cfg.Port)
	cfg.Host, cfg.Port, cfg.TLSConfig, cfg.Fallbacks = to.IP.String(), uint16(to.Port), nil, nil
	s := openOn(t, cfg, session.Options{})
	clean(t, s, func(db *sql.DB) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := db.ExecContext(ctx, "SELECT pg_sleep(30)"); err == nil {
			t.Error("no error")
		}
		exec(t, db, "INSERT INTO items VALUES (1, 'one')")
		if n := requests.Load(); n < 2 {
			t.Errorf("%d requests, so the statement was waited for", n)
		}
		expect(t, "items", value(t, db, countItems), "1")
	})
}
