//go:build unix

package txiso_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// observed starts the embedded server of a test, with the template and a few worker databases on it, and lets its log
// tell what the next processes do.
func observed(t *testing.T, settings ...string) (home *embedded, observer *pgx.Conn) {
	t.Helper()
	home = ownHome(t)
	t.Setenv(childLog, filepath.Join(t.TempDir(), "log"))
	runChild(t, "use databases at once", "-test.parallel=2")
	observer = connect(t, home.status().DSN)
	for _, setting := range settings {
		run(t, observer, "ALTER SYSTEM SET "+setting)
	}
	run(t, observer, "SELECT pg_reload_conf()")
	return home, observer
}

// logLines returns the lines of the server's log that hold a text.
func (e *embedded) logLines(text string) (found []string) {
	e.t.Helper()
	log, err := os.ReadFile(e.status().LogFile)
	if err != nil {
		e.t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

func TestAThousandTestsOneAfterTheOtherOpenTwoConnections(t *testing.T) {
	home, observer := observed(t, "log_connections = on")
	awaitSetting(t, observer, "log_connections", "on")
	before := len(home.logLines("connection authorized"))
	runChild(t, "run a thousand tests")
	opened := home.logLines("connection authorized")[before:]
	if len(opened) == 0 || len(opened) > 2 {
		t.Errorf("%d connections:\n%s", len(opened), strings.Join(opened, ""))
	}
}

// awaitSetting waits until new backends have a setting: the postmaster reads the configuration when it gets to it.
func awaitSetting(t *testing.T, observer *pgx.Conn, name, value string) {
	t.Helper()
	for current := ""; current != value; {
		if err := connect(t, observer.Config().ConnString()).QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&current); err != nil {
			t.Fatal(err)
		}
	}
}

func runAThousandTests(t *testing.T) {
	for i := range 1000 {
		t.Run(fmt.Sprint(i), func(t *testing.T) { theSame(t, processIso().DB(t)) })
	}
}

// With log_lock_waits the server tells of every wait for a lock that is longer than deadlock_timeout.
func TestParallelTestsThatTouchTheSameRowsNeverWaitForALock(t *testing.T) {
	atOnce := []int{2, 8}
	if isLong() {
		atOnce = append(atOnce, 64)
	}
	home, observer := observed(t)
	runChild(t, "use databases at once", fmt.Sprintf("-test.parallel=%d", slices.Max(atOnce))) // creates them
	for _, setting := range []string{"log_lock_waits = on", "deadlock_timeout = '1ms'"} {
		run(t, observer, "ALTER SYSTEM SET "+setting)
	}
	run(t, observer, "SELECT pg_reload_conf()")
	awaitSetting(t, observer, "deadlock_timeout", "1ms")
	expectLockWaitsAreSeen(t, home)
	before := len(home.logLines("still waiting for"))
	for _, parallel := range atOnce {
		runChild(t, "run many tests at once", fmt.Sprintf("-test.parallel=%d", parallel))
		if waits := home.logLines("still waiting for")[before:]; len(waits) > 0 {
			t.Errorf("-parallel %d: %s", parallel, strings.Join(waits, ""))
		}
	}
}

// expectLockWaitsAreSeen makes one.
func expectLockWaitsAreSeen(t *testing.T, home *embedded) {
	t.Helper()
	one, two := connect(t, home.status().DSN), connect(t, home.status().DSN)
	run(t, one, "SELECT pg_advisory_lock(1)")
	if _, err := two.Exec(t.Context(), "SET lock_timeout = '500ms'; SELECT pg_advisory_lock(1)"); err == nil {
		t.Fatal("two connections have the same lock")
	}
	if len(home.logLines("still waiting for")) == 0 {
		t.Fatal("the server does not log that a connection waits for a lock")
	}
	run(t, one, "SELECT pg_advisory_unlock(1)")
}

func runManyTestsAtOnce(t *testing.T) {
	for i := range 200 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			theSame(t, processIso().DB(t))
		})
	}
}

// Sixty-four tests at once want a connection each, and the server has a few: they wait for those that end.
func TestMoreTestsAtOnceThanTheServerHasConnections(t *testing.T) {
	server := startServer(t, "max_connections = 10", "superuser_reserved_connections = 0", "max_wal_senders = 0", "autovacuum = off")
	t.Setenv(childLog, filepath.Join(t.TempDir(), "log"))
	t.Setenv("TXISO_DSN", server.socketDSN())
	runChild(t, "run many tests at once", "-test.parallel=64")
}
