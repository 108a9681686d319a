//go:build unix

package txiso_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso"
)

// One server for what a role may and may not do: it takes longer to start than all these tests.
func TestAServerWithPasswords(t *testing.T) {
	server := startServer(t)
	admin := connect(t, server.socketDSN())
	run(t, admin, "CREATE ROLE tester LOGIN CREATEDB PASSWORD '"+password+"'")
	run(t, admin, "CREATE ROLE poor LOGIN PASSWORD '"+password+"'")
	run(t, admin, "CREATE ROLE busy LOGIN CREATEDB CONNECTION LIMIT 0 PASSWORD '"+password+"'")

	t.Run("the right password gives databases", func(t *testing.T) {
		worker := fresh(t, txiso.Config{DSN: server.tcpDSN("tester", password), Migrations: table(t)})
		played := playTest(t, func(tb *fakeTB) {
			execute(t, worker.DB(tb), "INSERT INTO t VALUES (1)")
			clone := worker.Clone(tb)
			execute(t, clone.DB, "INSERT INTO t VALUES (1)")
			run(t, connect(t, clone.DSN), "INSERT INTO t VALUES (2)")
		})
		played.expectPass(t)
		if said := strings.Join(played.logs, "\n"); strings.Contains(said, password) || said != "" {
			t.Errorf("a test that passes logs %q", said)
		}
	})
	t.Run("several hosts", func(t *testing.T) {
		dsn := strings.ReplaceAll(server.tcpDSN("tester", password), "host=127.0.0.1 port=", "host=127.0.0.1,localhost port=1,")
		several := fresh(t, txiso.Config{DSN: dsn, Migrations: table(t)})
		playTest(t, func(tb *fakeTB) {
			clone := several.Clone(tb)
			if !strings.Contains(clone.DSN, fmt.Sprintf("@localhost:%d/", server.port)) {
				t.Errorf("the clone is not said to be where the server answers: %s", clone.DSN)
			}
			run(t, connect(t, clone.DSN), "INSERT INTO t VALUES (1)")
		}).expectPass(t)
	})
	t.Run("a wrong password", func(t *testing.T) {
		failure(t, txiso.Config{DSN: server.tcpDSN("tester", "hush-wrong"), Migrations: table(t)}).expectFatal(t,
			"password authentication failed", "SQLSTATE 28P01", "correct user and password in the DSN (Config.DSN or TXISO_DSN)")
	})
	t.Run("no password", func(t *testing.T) {
		dsn := strings.ReplaceAll(server.tcpDSN("tester", "''"), "postgres", "postgres passfile=/nonexistent")
		failure(t, txiso.Config{DSN: dsn, Migrations: table(t)}).expectFatal(t,
			"SQLSTATE 28P01", "correct user and password in the DSN")
	})
	t.Run("a database that does not exist", func(t *testing.T) {
		dsn := strings.ReplaceAll(server.tcpDSN("tester", password), "dbname=postgres", "dbname=nowhere")
		failure(t, txiso.Config{DSN: dsn, Migrations: table(t)}).expectFatal(t,
			`database "nowhere" does not exist`, "SQLSTATE 3D000", "name an existing database in the DSN")
	})
	t.Run("a role that may not create databases", func(t *testing.T) {
		failure(t, txiso.Config{DSN: server.tcpDSN("poor", password), Migrations: table(t)}).expectFatal(t,
			`the role "poor" may not create databases`, `ALTER ROLE "poor" CREATEDB`)
	})
	t.Run("a role without connections", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		poor := txiso.New(txiso.Config{DSN: server.tcpDSN("busy", password), Migrations: table(t)})
		defer closeIso(t, poor)
		playTestWith(t, ctx, func(tb *fakeTB) { poor.DB(tb) }).expectFatal(t,
			"the server had no free connection until the test's context ended", "raise max_connections", "-parallel", "SQLSTATE 53300")
	})
}

// A server that was made where no locale is set knows no encoding: 'ä' has two letters there. Nobody means that for his tests.
func TestAServerMadeWithoutALocaleGivesDatabasesInUTF8(t *testing.T) {
	server := startServerIn(t, "SQL_ASCII")
	worker := fresh(t, txiso.Config{DSN: server.socketDSN(), Migrations: table(t)})
	playTest(t, func(tb *fakeTB) {
		for what, db := range map[string]*sql.DB{"DB": worker.DB(tb), "Clone": worker.Clone(tb).DB} {
			var encoding string
			var letters int
			if err := db.QueryRow("SELECT current_setting('server_encoding'), length('ä')").Scan(&encoding, &letters); err != nil || encoding != "UTF8" || letters != 1 {
				t.Errorf("%s: the encoding is %s, the letter is %d long, %v", what, encoding, letters, err)
			}
		}
	}).expectPass(t)
}

// A transaction that a test has left prepared outlived its connection, and then nobody could drop the clone any more.
func TestACloneWithATransactionLeftPreparedIsDropped(t *testing.T) {
	server := startServer(t, "max_prepared_transactions = 2")
	worker := fresh(t, txiso.Config{DSN: server.socketDSN(), Migrations: table(t)})
	admin := connect(t, server.socketDSN())
	for range 3 {
		playTest(t, func(tb *fakeTB) {
			clone := worker.Clone(tb)
			execute(t, clone.DB, "BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'it''s left'")
		}).expectPass(t)
		closeIso(t, worker)
		worker = fresh(t, txiso.Config{DSN: server.socketDSN(), Migrations: table(t)})
	}
	var left int
	if err := admin.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM pg_prepared_xacts) + (SELECT count(*) FROM pg_database WHERE datname ~ '_c[0-9a-f]{12}$')").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d prepared transactions and clones are left, %v", left, err)
	}
}

// Of six connections the keeper has one, and each session that is there already; occupy takes what remains.
func TestAServerWithFewConnections(t *testing.T) {
	server := startServer(t, "max_connections = 6", "superuser_reserved_connections = 0", "max_wal_senders = 0", "autovacuum = off")
	private := txiso.New(txiso.Config{DSN: server.socketDSN(), Migrations: table(t)})
	defer closeIso(t, private)
	playTest(t, func(tb *fakeTB) { private.DB(tb) }).expectPass(t)

	t.Run("too many tests at once", func(t *testing.T) {
		occupy(t, server, 4)
		playTest(t, func(one *fakeTB) {
			private.DB(one) // the session is there already
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			playTestWith(t, ctx, func(two *fakeTB) { private.DB(two) }).expectFatal(t,
				"the server had no free connection until the test's context ended", "this process holds 1 for running tests",
				"raise max_connections", "fewer tests at once with -parallel or -p", "too many clients already", "SQLSTATE 53300",
				fmt.Sprintf("(5 by others, 1 by process %d (txiso.test))", os.Getpid()))
		}).expectPass(t)
	})
	t.Run("a test that waits gets the session of one that ends", func(t *testing.T) {
		occupy(t, server, 4)
		two := make(chan *fakeTB)
		playTest(t, func(one *fakeTB) {
			pid := backend(t, private.DB(one))
			go func() {
				two <- playTest(t, func(tb *fakeTB) {
					if got := backend(t, private.DB(tb)); got != pid {
						t.Errorf("the backend is %d, want %d", got, pid)
					}
				})
			}()
			time.Sleep(50 * time.Millisecond) // so that it waits; if it does not yet, the test proves less
		}).expectPass(t)
		(<-two).expectPass(t)
	})
	t.Run("a parent whose parallel subtests find no connection", func(t *testing.T) {
		occupy(t, server, 4)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		playTest(t, func(parent *fakeTB) {
			private.DB(parent) // and holds it while its subtests wait for theirs
			var subtests sync.WaitGroup
			for range 3 {
				subtests.Go(func() {
					playTestWith(t, ctx, func(tb *fakeTB) { private.DB(tb) }).expectFatal(t,
						"the server had no free connection until the test's context ended", "this process holds 1 for running tests and 0 for those to come")
				})
			}
			subtests.Wait()
			execute(t, private.DB(parent), "INSERT INTO t VALUES (1)")
		}).expectPass(t)
	})
	t.Run("a test that waits gets the next free connection", func(t *testing.T) {
		others := occupy(t, server, 4)
		var leaving sync.WaitGroup
		defer leaving.Wait()
		playTest(t, func(one *fakeTB) {
			private.DB(one)
			leaving.Go(func() {
				time.Sleep(100 * time.Millisecond)
				leave(t, others)
			})
			playTest(t, func(two *fakeTB) { execute(t, private.DB(two), "INSERT INTO t VALUES (1)") }).expectPass(t)
		}).expectPass(t)
	})
	t.Run("the default bound", func(t *testing.T) {
		long(t)
		occupy(t, server, 3)
		playTest(t, func(held *fakeTB) {
			private.DB(held)
			playTest(t, func(held *fakeTB) {
				private.DB(held) // the last session that is there already
				for range 2 {    // the second one is told at once
					playTest(t, func(tb *fakeTB) { private.DB(tb) }).expectFatal(t, "the server had no free connection for 30s")
				}
			}).expectPass(t)
		}).expectPass(t)
	})
}

// occupy takes the n connections that a server has left, until t ends. Those that were closed a moment ago still have theirs until
// their backends have ended, so a server that is full before that is asked again.
func occupy(t *testing.T, server *ownServer, n int) (conns []*pgx.Conn) {
	t.Helper()
	t.Cleanup(func() { leave(t, conns) })
	for until := time.Now().Add(30 * time.Second); len(conns) < n; {
		conn, err := pgx.Connect(t.Context(), server.socketDSN())
		switch {
		case err == nil:
			conns = append(conns, conn)
		case time.Now().After(until):
			t.Fatalf("%d of %d connections, then: %v", len(conns), n, err)
		default:
			time.Sleep(5 * time.Millisecond)
		}
	}
	return conns
}

func leave(t *testing.T, conns []*pgx.Conn) {
	t.Helper()
	for _, conn := range conns {
		if err := conn.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}
