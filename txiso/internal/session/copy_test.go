package session_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/txiso/txiso-go/txiso/internal/session"
)

// pgx sends the data right behind the Query. That came while the session still asked what is in the string, and the server ignored it.
func TestTheDataOfACopyInAStringWaitsForIt(t *testing.T) {
	s := open(t, session.Options{})
	rows := func(n int) *strings.Reader {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "%d\titem\n", i)
		}
		return strings.NewReader(text.String())
	}
	for _, query := range []string{
		"BEGIN; COPY items FROM STDIN; COMMIT", "SET LOCAL work_mem = '1MB'; COPY items FROM STDIN", "SELECT 1; COPY items FROM STDIN; COMMIT; SELECT 2",
	} {
		for _, n := range []int{1, 50_000} {
			clean(t, s, func(db *sql.DB) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				conn := connectTo(t, s).PgConn()
				if _, err := conn.CopyFrom(ctx, rows(n), query); err != nil {
					t.Errorf("%s with %d rows: %v", query, n, err)
				}
				expect(t, query, value(t, db, countItems), fmt.Sprint(n))
			})
		}
	}
	clean(t, s, func(db *sql.DB) {
		conn := connectTo(t, s).PgConn()
		_, err := conn.CopyFrom(t.Context(), rows(50_000), "BEGIN; COPY nothing FROM STDIN; COMMIT")
		expect(t, "a table that does not exist", code(err), "42P01")
		if _, err := conn.Exec(t.Context(), "ROLLBACK").ReadAll(); err != nil {
			t.Error(err)
		}
		expect(t, "items", value(t, db, countItems), "0")
	})
}

// The Sync that came with a COPY in the extended protocol was taken for the one that ends the exchange, although the server ignores it: when
// the COPY failed, or its client went away, everybody waited for an answer that did not come.
func TestACopyOfTheExtendedProtocolEndsWithItsOwnSync(t *testing.T) {
	s := open(t, session.Options{})
	for _, script := range []string{"bad Sync", "bad close", "early close", "ahead Done early close", "ahead Done Sync", "bad Done Sync", "good Done Sync", "good Fail Sync", "good close", "good Sync Done Sync", "good Done close"} {
		for _, first := range []string{"Sync", "Flush"} {
			name := first + " " + script
			clean(t, s, func(db *sql.DB) {
				w := dial(t, s)
				w.frontend.Send(&pgproto3.Parse{Query: "COPY items FROM STDIN"})
				w.frontend.Send(&pgproto3.Bind{})
				w.frontend.Send(&pgproto3.Execute{})
				w.sendKind(first)
				if !strings.Contains(script, "early") && !strings.Contains(script, "ahead") {
					w.until('G')
				}
				for _, what := range strings.Fields(script) {
					switch what {
					case "bad":
						w.frontend.Send(&pgproto3.CopyData{Data: []byte("no number\n")})
						w.flush()
						w.until('E')
					case "good", "ahead":
						w.frontend.Send(&pgproto3.CopyData{Data: []byte("1\tone\n")})
						w.flush()
					case "Done":
						w.frontend.Send(&pgproto3.CopyDone{})
						w.flush()
					case "Fail":
						w.frontend.Send(&pgproto3.CopyFail{Message: "no more"})
						w.flush()
					case "Sync":
						w.sendKind("Sync")
					case "close":
						w.conn.Close()
					}
				}
				want := "0"
				if !strings.HasPrefix(script, "bad") && strings.HasSuffix(script, "Done Sync") {
					want = "1"
				}
				if strings.HasSuffix(script, "Sync") {
					w.until('Z')
					expect(t, name+": what follows", w.answers("SELECT 1"), "??CZ")
				}
				expect(t, name, value(t, db, countItems), want)
				expect(t, name+", and then", value(t, db, "SELECT 'all is well'"), "all is well")
			})
		}
	}
}

func (w *wire) sendKind(kind string) {
	if kind == "Sync" {
		w.frontend.Send(&pgproto3.Sync{})
	} else {
		w.frontend.Send(&pgproto3.Flush{})
	}
	w.flush()
}

func (w *wire) flush() {
	w.t.Helper()
	if err := w.frontend.Flush(); err != nil {
		w.t.Error(err)
	}
}

// until receives messages up to one of a kind: that of its byte in the protocol.
func (w *wire) until(kind byte) {
	w.t.Helper()
	_ = w.conn.SetReadDeadline(time.Now().Add(time.Minute))
	for {
		msg, err := w.frontend.Receive()
		if err != nil {
			w.t.Fatalf("waiting for %c: %v", kind, err)
		}
		encoded, err := msg.Encode(nil)
		if err != nil {
			w.t.Fatal(err)
		}
		if encoded[0] == kind {
			return
		}
	}
}

// What follows an error up to the Sync is to be ignored, also when the error is that of a wait.
func TestWhatFollowsAnEndedWaitIsIgnored(t *testing.T) {
	s := open(t, session.Options{BeginTimeout: 50 * time.Millisecond})
	clean(t, s, func(db *sql.DB) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		exec(t, tx, "SELECT 1")
		pipeline := flushed(t, connectTo(t, s).PgConn(), "BEGIN")
		_, err = pipeline.GetResults()
		expect(t, "the wait", code(err), "55P03")
		pipeline.SendQueryParams("INSERT INTO items VALUES (1, 'one')", nil, nil, nil, nil)
		if err := pipeline.Sync(); err != nil {
			t.Error(err)
		}
		if _, err := pipeline.GetResults(); err != nil {
			t.Error(err)
		}
		var pe *pgconn.PgError
		if err := pipeline.Close(); err != nil && !errors.As(err, &pe) {
			t.Error(err)
		}
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
		expect(t, "items", value(t, db, countItems), "0")
	})
}

// A BEGIN in the middle of a pipeline that had begun with something else ended another connection's transaction.
func TestABeginInAPipelineEndsNobodysTransaction(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		a, b := two(t, s)
		do(t, a, "BEGIN", "INSERT INTO items VALUES (1, 'a')")
		pipeline := flushed(t, b.PgConn(), "SELECT 1")
		if _, err := pipeline.GetResults(); err != nil {
			t.Fatal(err)
		}
		pipeline.SendQueryParams("BEGIN", nil, nil, nil, nil)
		pipeline.SendQueryParams("INSERT INTO items VALUES (2, 'b')", nil, nil, nil, nil)
		err := pipeline.Sync()
		for err == nil {
			var results any
			if results, err = pipeline.GetResults(); results == nil {
				break
			}
			if reader, ok := results.(*pgconn.ResultReader); ok {
				_, err = reader.Close()
			}
		}
		expect(t, "the pipeline", code(err), "55P03")
		_ = pipeline.Close()
		do(t, a, "COMMIT")
		expect(t, "items", value(t, db, countItems), "1")
	})
}

// A transaction went on behind a statement of its own that had been answered with the end of a wait.
func TestAWaitThatEndsFailsItsTransaction(t *testing.T) {
	s := open(t, session.Options{BeginTimeout: 50 * time.Millisecond})
	for _, end := range []string{"ROLLBACK", "COMMIT", "ROLLBACK TO a"} {
		clean(t, s, func(db *sql.DB) {
			a, b := two(t, s)
			do(t, a, "BEGIN", "INSERT INTO items VALUES (1, 'a')", "SAVEPOINT a")
			pipeline := flushed(t, b.PgConn(), "SELECT 1")
			if _, err := pipeline.GetResults(); err != nil {
				t.Fatal(err)
			}
			fail(t, a, "55P03", "SELECT 2")
			expect(t, "status", string(a.PgConn().TxStatus()), "E")
			if err := pipeline.Sync(); err != nil {
				t.Fatal(err)
			}
			_ = pipeline.Close()
			_, err := a.Exec(t.Context(), "INSERT INTO items VALUES ($1, 'lost')", 3)
			expect(t, "a statement in what has failed", code(err), "25P02")
			fail(t, a, "25P02", "SELECT 3")
			want := "0"
			if end == "ROLLBACK TO a" {
				do(t, a, end)
				end, want = "COMMIT", "1"
			}
			do(t, a, end)
			expect(t, end, value(t, db, countItems), want)
		})
	}
}

// A COPY that fails ahead of the first look at its data leaves its Sync to the server, which answers it.
func TestACopyThatFailsAtOnceAnswersItsSync(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$")
		exec(t, db, "CREATE TRIGGER no BEFORE INSERT ON items EXECUTE FUNCTION no()")
		w := dial(t, s)
		w.frontend.Send(&pgproto3.Parse{Query: "COPY items FROM STDIN"})
		w.frontend.Send(&pgproto3.Bind{})
		w.frontend.Send(&pgproto3.Execute{})
		w.sendKind("Sync")
		w.until('G')
		w.until('E')
		w.until('Z')
		expect(t, "what follows", w.answers("SELECT 1"), "??CZ")
		exec(t, db, "SELECT 1")
	})
}

// The Sync behind the second COPY of a pipeline was counted with the end of the first.
func TestTwoCopiesInAPipeline(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		w := dial(t, s)
		for i, last := range []string{"Flush", "Sync"} {
			w.frontend.Send(&pgproto3.Parse{Query: "COPY items FROM STDIN"})
			w.frontend.Send(&pgproto3.Bind{})
			w.frontend.Send(&pgproto3.Execute{})
			w.sendKind(last)
			w.until('G')
			w.frontend.Send(&pgproto3.CopyData{Data: fmt.Appendf(nil, "%d\titem\n", i)})
			w.frontend.Send(&pgproto3.CopyDone{})
			w.flush()
		}
		w.sendKind("Sync")
		w.until('Z')
		expect(t, "items", value(t, db, countItems), "2")
	})
}
