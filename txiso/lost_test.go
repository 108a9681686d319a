//go:build unix

package txiso_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso"
	"github.com/txiso/txiso-go/txiso/internal/pgserver"
)

// calamities end a server, or our connections to it, in the middle of a test.
var calamities = map[string]func(t *testing.T, server *ownServer, admin *pgx.Conn){
	"restart": func(_ *testing.T, server *ownServer, _ *pgx.Conn) { server.pgCtl("restart", "-m", "immediate") },
	"all connections terminated": func(t *testing.T, _ *ownServer, admin *pgx.Conn) {
		run(t, admin, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
	},
	"session terminated": func(t *testing.T, _ *ownServer, admin *pgx.Conn) {
		run(t, admin, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname LIKE 'txiso%'")
	},
	"keeper terminated": func(t *testing.T, _ *ownServer, admin *pgx.Conn) {
		run(t, admin, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name LIKE 'txiso keeper%'")
	},
}

func TestAServerThatGoesAwayInTheMiddleOfASuite(t *testing.T) {
	server := startServer(t)
	for name, strike := range calamities {
		t.Run(name, func(t *testing.T) {
			cfg := txiso.Config{DSN: server.socketDSN(), Migrations: table(t)}
			private := txiso.New(cfg)
			admin := connect(t, server.socketDSN())
			var failed error
			struck := playTest(t, func(tb *fakeTB) {
				db := private.DB(tb)
				execute(t, db, "INSERT INTO t VALUES (1)")
				strike(t, server, admin)
				_, failed = db.ExecContext(t.Context(), "INSERT INTO t VALUES (2)")
			})
			expectStruck(t, name, failed, struck)
			expectWorks(t, private) // the next test
			closeIso(t, private)
			next := txiso.New(cfg) // the next run
			expectWorks(t, next)
			closeIso(t, next)
		})
	}
}

// expectStruck wants a test that cannot go on to be told why, with its statement and at its end. One that lost nothing
// it can see may pass.
func expectStruck(t *testing.T, name string, failed error, struck *fakeTB) {
	t.Helper()
	if name == "keeper terminated" {
		return
	}
	if failed == nil {
		t.Fatal("the statement after it works")
	}
	// If the server had the time to say why, the code under test gets what it says, as on a plain connection.
	if text := failed.Error(); !strings.Contains(text, "the server went away") && !strings.Contains(text, "FATAL: terminating connection") {
		t.Errorf("the statement failed with %q", text)
	}
	if len(struck.errors) == 0 || !strings.Contains(struck.errors[0], "the server went away") {
		t.Errorf("the test's end said %q", struck.errors)
	}
}

// Both are told, and the next test has a connection that works.
func TestTheLossOfTheConnectionInANestedTestIsToldToBoth(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t)})
	var child *fakeTB
	parent := playTest(t, func(tb *fakeTB) {
		pid := backend(t, private.DB(tb))
		child = playNested(t, private, tb, "child", func(tb *fakeTB) {
			db := private.DB(tb)
			run(t, connect(t, ""), fmt.Sprintf("SELECT pg_terminate_backend(%d, 10000)", pid))
			if _, err := db.Exec("SELECT 1"); err == nil {
				t.Error("the statement after it works")
			}
		})
		if _, err := private.DB(tb).Exec("SELECT 1"); err == nil || !strings.Contains(err.Error(), "the server went away") {
			t.Errorf("the parent's statement failed with %v", err)
		}
		playNested(t, private, tb, "another", func(*fakeTB) { t.Error("the other child runs") }).expectFatal(t, "the server went away")
	})
	for name, tb := range map[string]*fakeTB{"child": child, "parent": parent} {
		if len(tb.errors) != 1 || !strings.Contains(tb.errors[0], "the server went away") {
			t.Errorf("the end of the %s said %q", name, tb.errors)
		}
	}
	expectWorks(t, private)
}

// The embedded server has no administrator but us: who kills it gets a new one.
func TestTheEmbeddedServerIsStartedAgain(t *testing.T) {
	binaries(t)
	home := ownHome(t)
	private := txiso.New(txiso.Config{Migrations: table(t)})
	defer closeIso(t, private)
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGQUIT} {
		playTest(t, func(tb *fakeTB) {
			execute(t, private.DB(tb), "INSERT INTO t VALUES (1)")
			home.signal(signal)
			if _, err := private.DB(tb).ExecContext(t.Context(), "SELECT pg_sleep(1)"); err == nil {
				t.Errorf("a statement works after signal %v", signal)
			}
		})
		expectWorks(t, private)
	}
}

// embedded is a directory of the embedded server for one test.
type embedded struct {
	t    *testing.T
	home string
}

// ownHome makes the default server of t, and of processes that it starts, one of its own.
func ownHome(t *testing.T) *embedded {
	t.Helper()
	e := &embedded{t, publicDir(t)}
	t.Setenv("TXISO_DSN", "")
	t.Setenv("TXISO_HOME", e.home)
	t.Setenv("TXISO_IDLE_TIMEOUT", "2s") // should we not get to stop it
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := pgserver.Stop(ctx, pgserver.Config{Home: e.home}); err != nil {
			t.Error(err)
		}
	})
	return e
}

func (e *embedded) status() pgserver.Status {
	e.t.Helper()
	status, err := pgserver.Inspect(e.t.Context(), pgserver.Config{Home: e.home})
	if err != nil {
		e.t.Fatal(err)
	}
	return status
}

func (e *embedded) signal(signal os.Signal) {
	e.t.Helper()
	postmaster, err := os.FindProcess(e.status().PID)
	if err == nil {
		err = postmaster.Signal(signal)
	}
	if err != nil {
		e.t.Fatal(err)
	}
}

// awaitIdleEnd waits until the server, which nobody uses any more, has stopped by itself.
func (e *embedded) awaitIdleEnd() {
	e.t.Helper()
	server, err := os.FindProcess(e.status().PID)
	if err != nil {
		e.t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for server.Signal(syscall.Signal(0)) == nil {
		if time.Now().After(deadline) {
			e.t.Fatalf("server %d runs although nobody uses it", server.Pid)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
