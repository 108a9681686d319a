//go:build unix

package txiso_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso"
)

// Tests here and in the files that use child run this test binary again, for TestInChild alone.

// childLog is the variable that names a file, which gets a line for every run of the migrations.
const childLog = "TXISO_TEST_LOG"

// children are what processes do, as a test of theirs.
var children = map[string]func(t *testing.T){
	"use a database":           useADatabase,
	"use databases at once":    useDatabasesAtOnce,
	"wait to be killed":        waitToBeKilled,
	"tell the server":          tellTheServer,
	"run a thousand tests":     runAThousandTests,
	"run many tests at once":   runManyTestsAtOnce,
	"run a few tests":          runAFewTests,
	"run a suite":              runASuite,
	"use a large schema":       useALargeSchema,
	"end a test by Goexit":     func(t *testing.T) { endInTheMiddle(t, runtime.Goexit) },
	"end a test by a panic":    func(t *testing.T) { endInTheMiddle(t, func() { panic("as planned") }) },
	"end a test by Fatal":      func(t *testing.T) { endInTheMiddle(t, func() { t.Fatal("as planned") }) },
	"end the process":          func(t *testing.T) { endInTheMiddle(t, func() { os.Exit(3) }) },
	"end a test by a time-out": func(t *testing.T) { endInTheMiddle(t, func() { select {} }) },
}

func TestInChild(t *testing.T) {
	role, ok := os.LookupEnv(childMark)
	if !ok {
		t.Skip("runs in processes that other tests start")
	}
	children[role](t)
}

// child prepares a process.
func child(t *testing.T, role string, flags ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, append([]string{"-test.run=^TestInChild$", "-test.v"}, flags...)...)
	cmd.Env = append(os.Environ(), childMark+"="+role, "GORACE=atexit_sleep_ms=0") // the race detector sleeps for a second otherwise
	return cmd
}

// runChild wants a process to pass and returns what it prints.
func runChild(t *testing.T, name string, flags ...string) string {
	t.Helper()
	out, err := child(t, name, flags...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// logged is a Migrator that leaves a line in a file whenever it migrates.
type logged struct{ file string }

func (logged) Fingerprint() (string, error) { return "logged", nil }

func (l logged) Migrate(ctx context.Context, db *sql.DB) error {
	f, err := os.OpenFile(l.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, os.Getpid())
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "CREATE TABLE t (n int PRIMARY KEY, hits int NOT NULL DEFAULT 0); INSERT INTO t VALUES (0)")
	return err
}

func lines(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(text, []byte("\n"))
}

// processIso is what the processes of this file have in common.
var processIso = sync.OnceValue(func() *txiso.Iso {
	return txiso.New(txiso.Config{Migrator: logged{os.Getenv(childLog)}})
})

// theSame is what every test of a process does: keys and rows that all others use, too.
func theSame(t *testing.T, db *sql.DB) {
	t.Helper()
	execute(t, db, "INSERT INTO t VALUES (1), (2), (3)")
	execute(t, db, "UPDATE t SET hits = hits + 1 WHERE n = 0")
	if hits := query[int](t, db, "SELECT sum(hits) FROM t"); hits != 1 {
		t.Errorf("the row has been hit %d times", hits)
	}
}

// Processes that waited for the template took two connections each, and the migrations of the one that built it got none: it
// gave up, and the next one fared the same.
func TestProcessesThatStartAtOnceOnAServerWithFewConnections(t *testing.T) {
	server := startServer(t, "max_connections = 12", "superuser_reserved_connections = 0", "max_wal_senders = 0", "autovacuum = off")
	t.Setenv("TXISO_DSN", server.socketDSN())
	t.Setenv(childLog, filepath.Join(t.TempDir(), "log"))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if out, err := child(t, "use a database").CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	all.Wait()
	if n := lines(t, os.Getenv(childLog)); n != 1 {
		t.Errorf("the migrations ran %d times", n)
	}
}

// A run is killed in the middle of a test, with an open transaction, a statement that runs, and a clone.
func TestAProcessKilledInTheMiddleOfATest(t *testing.T) {
	rounds := 5
	if isLong() {
		rounds = 20
	}
	home := ownHome(t)
	t.Setenv(childLog, filepath.Join(t.TempDir(), "log"))
	runChild(t, "use a database")
	server := home.status().PID
	for range rounds {
		killInTheMiddle(t)
		runChild(t, "use a database")
	}
	if n := lines(t, os.Getenv(childLog)); n != 1 {
		t.Errorf("the migrations ran %d times", n)
	}
	if now := home.status().PID; now != server {
		t.Errorf("the server was started again: %d, %d", server, now)
	}
	expectAllUsed(t, home)
	home.awaitIdleEnd()
}

func killInTheMiddle(t *testing.T) {
	t.Helper()
	cmd := child(t, "wait to be killed")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := readUntil(out, "in the middle")
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // says that it was killed
	if said != "" {
		t.Fatalf("the process ended before it was killed:\n%s", said)
	}
}

// readUntil returns what a process says if that does not include the text.
func readUntil(out interface{ Read([]byte) (int, error) }, text string) string {
	var said []byte
	buf := make([]byte, 1024)
	for {
		n, err := out.Read(buf)
		said = append(said, buf[:n]...)
		switch {
		case bytes.Contains(said, []byte(text)):
			return ""
		case err != nil:
			return string(said) + err.Error()
		}
	}
}

func useADatabase(t *testing.T) {
	theSame(t, processIso().DB(t))
}

func waitToBeKilled(t *testing.T) {
	db := processIso().DB(t)
	theSame(t, db)
	execute(t, processIso().Clone(t).DB, "INSERT INTO t VALUES (1)")
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("LOCK TABLE t"); err != nil {
		t.Fatal(err)
	}
	fmt.Println("in the middle")
	_, err = tx.Exec("SELECT pg_sleep(600)")
	t.Fatalf("not killed: %v", err)
}

// expectAllUsed runs as many tests at once as there are worker databases, which must be enough for them, and wants the
// clones of killed processes to be collected.
func expectAllUsed(t *testing.T, home *embedded) {
	t.Helper()
	observer := connect(t, home.status().DSN)
	before := workers(t, observer)
	if len(before) > 3 { // a killed process's may still be locked when the next one asks
		t.Errorf("processes that ran one after the other left the databases %v", before)
	}
	for range 5 { // the server may take a moment to see that the process before has gone
		runChild(t, "use databases at once", fmt.Sprintf("-test.parallel=%d", len(before)))
		after := workers(t, observer)
		if slices.Equal(before, after) {
			break
		}
		t.Logf("the databases were %v; the next run made them %v", before, after)
		before = after
	}
	if len(before) > 4 {
		t.Errorf("every run makes another database: %v", before)
	}
	expectAllUsedAgain(t, observer)
	_ = observer.Close(context.Background())
}

// workers lists the worker databases of a server.
func workers(t *testing.T, observer *pgx.Conn) []string {
	t.Helper()
	return slices.DeleteFunc(databases(t, observer, "txiso_"), func(name string) bool {
		return strings.Count(name, "_") != 2 || strings.Contains(name, "_c")
	})
}

// parallel is the -parallel flag.
func parallel(t *testing.T) int {
	t.Helper()
	n, ok := flag.Lookup("test.parallel").Value.(flag.Getter).Get().(int)
	if !ok {
		t.Fatal("no flag -test.parallel")
	}
	return n
}

func useDatabasesAtOnce(t *testing.T) {
	atOnce, all := parallel(t), new(sync.WaitGroup)
	all.Add(atOnce)
	for i := range atOnce {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			theSame(t, processIso().DB(t))
			all.Done()
			all.Wait() // until every one has its database
		})
	}
}

func tellTheServer(t *testing.T) {
	db := processIso().DB(t)
	fmt.Printf("server started at %s\n", query[string](t, db, "SELECT pg_postmaster_start_time()::text"))
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			theSame(t, processIso().DB(t))
		})
	}
}

// However the process or its test ends, it says what happened, does not hang, and leaves a server for the next run.
func TestAProcessWhoseTestEndsInTheMiddle(t *testing.T) {
	ownHome(t)
	t.Setenv(childLog, filepath.Join(t.TempDir(), "log"))
	runChild(t, "use a database")
	for role, want := range map[string]string{
		"end a test by Fatal":      "as planned",
		"end a test by a panic":    "panic: as planned",
		"end a test by Goexit":     "runtime.Goexit",
		"end the process":          "in the middle",
		"end a test by a time-out": "panic: test timed out after 2s",
	} {
		t.Run(role, func(t *testing.T) {
			timeout := "1m"
			if strings.Contains(want, "timed out") {
				timeout = "2s"
			}
			out, err := child(t, role, "-test.timeout="+timeout).CombinedOutput()
			var failed *exec.ExitError
			if !errors.As(err, &failed) || !strings.Contains(string(out), want) {
				t.Errorf("the process ended with %v, want it to fail and say %q:\n%s", err, want, out)
			}
			runChild(t, "use a database")
		})
	}
}

func endInTheMiddle(t *testing.T, end func()) {
	db := processIso().DB(t)
	theSame(t, db)
	execute(t, processIso().Clone(t).DB, "INSERT INTO t VALUES (1)")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("LOCK TABLE t"); err != nil {
		t.Fatal(err)
	}
	fmt.Println("in the middle")
	end()
}
