package session_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/txiso/txiso-go/txiso/internal/session"
)

// connectTo opens a connection of the lease that is under way.
func connectTo(t *testing.T, s *session.Session) *pgx.Conn {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), s.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// flushed begins a pipeline with a statement, and asks for the answer.
func flushed(t *testing.T, conn *pgconn.PgConn, sql string) *pgconn.Pipeline {
	t.Helper()
	pipeline := conn.StartPipeline(t.Context())
	pipeline.SendQueryParams(sql, nil, nil, nil, nil)
	pipeline.SendFlushRequest()
	if err := pipeline.Flush(); err != nil {
		t.Fatal(err)
	}
	return pipeline
}

// insertOne begins a transaction that inserts a row.
func insertOne(t *testing.T, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, "INSERT INTO items VALUES (1, 'one')")
	return tx
}

// A server goes on with what it has received when its client is gone. The session had two answers to wait for where it had sent
// transaction control behind a statement that ran, and took the second for that of the next exchange.
func TestAPipelineIsCarriedOutWhenItsConnectionIsGone(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		for n := range 10 {
			conn := connectTo(t, s).PgConn()
			pipeline := conn.StartPipeline(t.Context())
			for _, query := range []string{"BEGIN", "INSERT INTO items VALUES ($1, 'x')", "SELECT pg_sleep(0.02)", "COMMIT"} {
				var values [][]byte
				if strings.Contains(query, "$1") {
					values = [][]byte{{byte('0' + n)}}
				}
				pipeline.SendQueryParams(query, values, nil, nil, nil)
			}
			pipeline.SendPipelineSync()
			if err := pipeline.Flush(); err != nil {
				t.Fatal(err)
			}
			waited := make(chan string)
			go func() { waited <- value(t, db, countItems) }()
			if err := conn.Conn().Close(); err != nil {
				t.Fatal(err)
			}
			<-waited
			exec(t, db, "SELECT 1")
		}
		expect(t, "items", value(t, db, countItems), "10")
	})
}

// A statement behind a pipeline that was flushed, not ended, can have to wait for its own goroutine.
func TestAPipelineThatIsNotEndedKeepsOthersWaitingForALimitedTime(t *testing.T) {
	s := open(t, session.Options{BeginTimeout: 100 * time.Millisecond})
	clean(t, s, func(db *sql.DB) {
		pipeline := flushed(t, connectTo(t, s).PgConn(), "INSERT INTO items VALUES (1, 'one')")
		if _, err := pipeline.GetResults(); err != nil {
			t.Fatal(err)
		}
		_, err := db.Exec("INSERT INTO items VALUES (2, 'two')")
		expect(t, "code", code(err), "55P03")
		if err == nil || !strings.Contains(err.Error(), "waits for a pipeline of another connection") {
			t.Error(err)
		}
		if err := pipeline.Sync(); err != nil {
			t.Fatal(err)
		}
		if err := pipeline.Close(); err != nil {
			t.Fatal(err)
		}
		exec(t, db, "INSERT INTO items VALUES (2, 'two')")
		expect(t, "items", value(t, db, countItems), "2")
	})
}

func TestAStatementLostWithAnothersSavepointIsReported(t *testing.T) {
	s := open(t, session.Options{})
	findings := lease(t, s, func(db *sql.DB) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		exec(t, db, "INSERT INTO items VALUES (1, 'stays')")
		exec(t, tx, "SAVEPOINT a")
		exec(t, tx, "SAVEPOINT b")
		exec(t, db, "INSERT INTO items VALUES (2, 'goes')")
		exec(t, tx, "RELEASE b")
		exec(t, tx, "SAVEPOINT b")
		exec(t, tx, "ROLLBACK TO b")
		exec(t, tx, "ROLLBACK TO a")
		exec(t, tx, "ROLLBACK TO a")
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		expect(t, "items", value(t, db, countItems), "1")
	})
	if len(findings) != 1 || !strings.Contains(findings[0], "1 statement(s) ran on another connection") || !strings.Contains(findings[0], "rolled back to a savepoint") {
		t.Errorf("findings: %q", findings)
	}
}

// A transaction that begins in a pipeline whose first statements have been flushed could not be seen coming when those were sent, so it
// does not wait.
func TestABeginBehindAFlushBesideATransactionIsRefused(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		tx := insertOne(t, db)
		pipeline := flushed(t, connectTo(t, s).PgConn(), "SELECT 1")
		pipeline.SendQueryParams("BEGIN", nil, nil, nil, nil)
		if err := pipeline.Sync(); err != nil {
			t.Fatal(err)
		}
		err := pipeline.Close()
		expect(t, "code", code(err), "55P03")
		if err == nil || !strings.Contains(err.Error(), "a transaction cannot begin here while the one begun at") {
			t.Error(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		expect(t, "items", value(t, db, countItems), "1")
	})
}

// PostgreSQL lets a transaction that has queried nothing become READ WRITE again. Here that would take back the savepoint that a SHOW has
// needed, and with it what was set since.
func TestAReadOnlyTransactionThatHasShownSomethingCannotBecomeReadWrite(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		exec(t, tx, "SET TRANSACTION READ ONLY")
		expect(t, "read only", value(t, tx, "SHOW transaction_read_only"), "on")
		_, err = tx.Exec("SET TRANSACTION READ WRITE")
		expect(t, "code", code(err), "0A000")
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		exec(t, db, "INSERT INTO items VALUES (1, 'one')")
	})
}

// A BEGIN that is only prepared opens nothing, so it has nothing to wait for.
func TestABeginCanBePreparedBesideATransaction(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		tx := insertOne(t, db)
		conn := connectTo(t, s).PgConn()
		if _, err := conn.Prepare(t.Context(), "begins", "BEGIN", nil); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		for _, do := range []string{"begins", "ends"} {
			if do == "ends" {
				if _, err := conn.Prepare(t.Context(), do, "ROLLBACK", nil); err != nil {
					t.Fatal(err)
				}
			}
			if result := conn.ExecPrepared(t.Context(), do, nil, nil, nil).Read(); result.Err != nil {
				t.Fatal(result.Err)
			}
		}
		expect(t, "items", value(t, db, countItems), "1")
	})
}

// A BEGIN that is prepared and run by one write waits, as it does alone.
func TestABeginThatIsPreparedAndRunAtOnceWaitsForATransaction(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		tx := insertOne(t, db)
		pipeline := connectTo(t, s).PgConn().StartPipeline(t.Context())
		pipeline.SendPrepare("begins", "BEGIN", nil)
		pipeline.SendPipelineSync()
		pipeline.SendQueryPrepared("begins", nil, nil, nil)
		pipeline.SendQueryParams("INSERT INTO items VALUES (2, 'two')", nil, nil, nil, nil)
		pipeline.SendQueryParams("COMMIT", nil, nil, nil, nil)
		if err := pipeline.Sync(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- pipeline.Close() }()
		time.Sleep(20 * time.Millisecond)
		exec(t, tx, "INSERT INTO items VALUES (3, 'three')")
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		expect(t, "items", value(t, db, countItems), "3")
	})
}
