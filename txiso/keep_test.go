//go:build unix

package txiso_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso"
	"github.com/txiso/txiso-go/txiso/internal/pgserver/pgtest"
)

// keeping returns a Config whose kept databases are not counted with anybody else's, because their home is a maintenance
// database of t's own.
func keeping(t *testing.T) txiso.Config {
	t.Helper()
	admin := connect(t, "")
	home := fmt.Sprintf("txiso_test_home_%d_%s", os.Getpid(), strings.ToLower(t.Name()[len("Test"):min(len(t.Name()), 40)]))
	run(t, admin, "CREATE DATABASE "+home)
	t.Cleanup(func() {
		for _, name := range keptDatabases(t, admin, home) {
			drop(t, admin, name)
		}
		drop(t, admin, home)
	})
	return txiso.Config{DSN: within(t, pgtest.DSN(t), home), Migrations: table(t), KeepFailed: true, AllowLeaks: true}
}

func drop(t *testing.T, admin *pgx.Conn, name string) {
	t.Helper()
	if _, err := admin.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
		t.Error(err)
	}
}

// within makes a DSN name another database.
func within(t *testing.T, dsn, database string) string {
	t.Helper()
	if _, err := pgx.ParseConfig(dsn); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(dsn, "://") {
		return regexp.MustCompile(`^(\w+://[^/]*/)[^?]*`).ReplaceAllString(dsn, "${1}"+database)
	}
	return dsn + " dbname=" + database
}

// keptDatabases lists what is kept under a home, the oldest first.
func keptDatabases(t *testing.T, admin *pgx.Conn, home string) []string {
	t.Helper()
	rows, err := admin.Query(context.Background(), `SELECT datname FROM (SELECT datname, substr(shobj_description(oid, 'pg_database'), 7)::json AS mark
		FROM pg_database WHERE datname LIKE 'txiso\_kept\_%') d WHERE mark->>'home' = $1 ORDER BY (mark->>'created')::timestamptz`, home)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func homeOf(t *testing.T, cfg txiso.Config) string {
	t.Helper()
	parsed, err := pgx.ParseConfig(cfg.DSN)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Database
}

var psqlCommand = regexp.MustCompile(`psql ('.*')\n`)

// toldDatabase returns the connection string that a failed test has logged, and wants it to be all that the test logged.
func toldDatabase(t *testing.T, played *fakeTB) string {
	t.Helper()
	if len(played.logs) != 1 {
		t.Fatalf("the failed test logged %q, want one message", played.logs)
	}
	expectError(t, played.logs[0], "kept the database of this failed test", "open it with")
	found := psqlCommand.FindStringSubmatch(played.logs[0])
	if found == nil {
		t.Fatalf("no command for psql in %q", played.logs[0])
	}
	return strings.Trim(found[1], "'")
}

// rowsOf returns the rows of t that a kept database has.
func rowsOf(t *testing.T, conninfo string) (n int) {
	t.Helper()
	if err := connect(t, conninfo).QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTheDatabaseOfAFailedTestIsKept(t *testing.T) {
	cfg := keeping(t)
	private := fresh(t, cfg)
	var was string
	played := playNamed(t, "TestOrders/of Änne, twice", func(tb *fakeTB) {
		db := private.DB(tb)
		was = databaseName(t, db)
		execute(t, db, "INSERT INTO t VALUES (1)")
		execute(t, db, "CREATE TABLE made (n int)")
		tb.Errorf("as planned")
	})
	if len(played.errors) != 1 {
		t.Errorf("the failed test says %q, want its own words only", played.errors)
	}
	conninfo := toldDatabase(t, played)
	if n := rowsOf(t, conninfo); n != 1 {
		t.Errorf("%d rows are kept", n)
	}
	if !strings.Contains(conninfo, "dbname=txiso_kept_testorders_of_nne_twice_") {
		t.Errorf("the name is not the test's: %s", conninfo)
	}
	kept := connect(t, conninfo)
	var comment string
	if err := kept.QueryRow(t.Context(), "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()").Scan(&comment); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(comment, `"test":"TestOrders/of Änne, twice"`) || !strings.Contains(comment, `"created":"20`) {
		t.Errorf("the comment is %s", comment)
	}
	if psql := filepath.Join(binaries(t), "psql"); exists(psql) {
		out, err := exec.Command("sh", "-c", strings.Replace(psqlCommand.FindString(played.logs[0]), "psql", psql+" -Atc 'TABLE t'", 1)).CombinedOutput()
		if err != nil || string(out) != "1\n" {
			t.Errorf("psql says %s, %v", out, err)
		}
	}
	for range 2 { // another slot takes its place
		playTest(t, func(tb *fakeTB) {
			db := private.DB(tb)
			if n := query[int](t, db, "SELECT count(*) FROM t"); n != 0 {
				t.Errorf("the next test starts with %d rows", n)
			}
			if name := databaseName(t, db); name != was {
				t.Logf("the next one is %s, was %s", name, was)
			}
		}).expectPass(t)
	}
	if names := keptDatabases(t, kept, homeOf(t, cfg)); len(names) != 1 {
		t.Errorf("tests that pass keep databases: %v", names)
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func TestTheVariableKeepsWhatFailed(t *testing.T) {
	cfg := keeping(t)
	cfg.KeepFailed = false
	private := fresh(t, cfg)
	fail := func(tb *fakeTB) {
		execute(t, private.DB(tb), "INSERT INTO t VALUES (1)")
		tb.Errorf("as planned")
	}
	for value, kept := range map[string]bool{"": false, "0": false, "1": true, "true": true} {
		t.Setenv("TXISO_KEEP", value)
		played := playTest(t, fail)
		if kept {
			toldDatabase(t, played)
		} else if len(played.logs) > 0 {
			t.Errorf("TXISO_KEEP=%s logs %q", value, played.logs)
		}
	}
	t.Setenv("TXISO_KEEP", "please")
	if played := playTest(t, fail); len(played.logs) != 1 || !strings.Contains(played.logs[0], `TXISO_KEEP is "please", so nothing is kept; set it to 1 or 0`) {
		t.Errorf("a wrong value logs %q", played.logs)
	}
	if names := keptDatabases(t, connect(t, ""), homeOf(t, cfg)); len(names) != 2 {
		t.Errorf("%v are kept, want two", names)
	}
}

func TestAnOpenTransactionIsKeptAsFarAsPossible(t *testing.T) {
	cfg := keeping(t)
	cfg.Migrations = deferred(t).Migrations
	private := fresh(t, cfg)
	for name, c := range map[string]struct {
		statements []string
		rows       int
		remark     string
	}{
		"open":                {[]string{"INSERT INTO t VALUES (2)"}, 2, ", with what the transaction begun at"},
		"failed":              {[]string{"INSERT INTO t VALUES (2)", "SELECT 1/0"}, 1, ", without the transaction begun at"},
		"violated constraint": {[]string{"INSERT INTO t VALUES (2)", "INSERT INTO child VALUES (3)"}, 1, "was rolled back because a commit would have failed: ERROR: insert or update on table \"child\" violates foreign key"},
		"without effect":      {nil, 1, ""},
	} {
		played := playNamed(t, "Test"+name, func(tb *fakeTB) {
			db := private.DB(tb)
			execute(t, db, "INSERT INTO t VALUES (1)")
			_, _ = db.Exec("SELECT 1/0")
			tx, err := db.BeginTx(t.Context(), nil) // not the played test's, whose end would roll it back
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = tx.Rollback() })
			for _, text := range c.statements {
				_, _ = tx.Exec(text)
			}
			tb.Fatalf("as planned")
		})
		if n := rowsOf(t, toldDatabase(t, played)); n != c.rows {
			t.Errorf("%s: %d rows are kept, want %d", name, n, c.rows)
		}
		if !strings.Contains(played.logs[0], c.remark) {
			t.Errorf("%s: the log lacks %q: %s", name, c.remark, played.logs[0])
		}
		if c.statements != nil && !strings.Contains(played.logs[0], "keep_test.go:") {
			t.Errorf("%s: the log does not say where the transaction began: %s", name, played.logs[0])
		}
	}
}

func TestAFailedTestWithoutAnythingToKeepSaysSo(t *testing.T) {
	private := fresh(t, keeping(t))
	played := playTest(t, func(tb *fakeTB) {
		private.DB(tb)
		tb.Errorf("as planned")
	})
	if len(played.errors) != 1 || len(played.logs) != 1 {
		t.Fatalf("the test says %q, %q", played.errors, played.logs)
	}
	expectError(t, played.logs[0], "could not be kept", "the test has done nothing in its database")
	expectWorks(t, private)
}

func TestKeepingThatFailsHidesNothing(t *testing.T) {
	private := fresh(t, keeping(t))
	played := playTest(t, func(tb *fakeTB) {
		pid := backend(t, private.DB(tb))
		run(t, connect(t, ""), fmt.Sprintf("SELECT pg_terminate_backend(%d, 10000)", pid))
		tb.Errorf("as planned")
	})
	if len(played.errors) != 1 || played.errors[0] != "as planned" || len(played.logs) != 1 {
		t.Fatalf("the test says %q, %q", played.errors, played.logs)
	}
	expectError(t, played.logs[0], "the database of this failed test could not be kept", "the server went away")
	expectWorks(t, private)
}

func TestTheOldestOfTheKeptMakePlace(t *testing.T) {
	cfg := keeping(t)
	cfg.MaxKept = 2
	admin := connect(t, "")
	fail := func(private *txiso.Iso) string {
		t.Helper()
		conninfo := toldDatabase(t, playTest(t, func(tb *fakeTB) {
			execute(t, private.DB(tb), "INSERT INTO t VALUES (1)")
			tb.Errorf("as planned")
		}))
		_, name, _ := strings.Cut(conninfo, "dbname=")
		name, _, _ = strings.Cut(name, " ")
		return name
	}
	one, two := fresh(t, cfg), txiso.New(cfg) // as two processes
	defer closeIso(t, two)
	fail(one)
	second, third := fail(two), fail(one)
	expectKept(t, admin, homeOf(t, cfg), second, third)
	reading := connect(t, within(t, cfg.DSN, second)) // somebody has it open
	fourth := fail(two)
	expectKept(t, admin, homeOf(t, cfg), second, fourth)
	_ = reading.Close(t.Context())
	awaitDisconnected(t, admin, second)
	fifth := fail(one)
	expectKept(t, admin, homeOf(t, cfg), fourth, fifth)
	private := txiso.New(txiso.Config{MaxKept: -1})
	defer closeIso(t, private)
	playTest(t, func(tb *fakeTB) { private.DB(tb) }).expectFatal(t, "Config.MaxKept is -1", "nothing for ten")
}

func expectKept(t *testing.T, admin *pgx.Conn, home string, want ...string) {
	t.Helper()
	if got := keptDatabases(t, admin, home); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%v are kept, want %v", got, want)
	}
}

func awaitDisconnected(t *testing.T, admin *pgx.Conn, name string) {
	t.Helper()
	for n := 1; n > 0; {
		if err := admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = $1", name).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTenAreKeptByDefault(t *testing.T) {
	cfg := keeping(t)
	private := fresh(t, cfg)
	for range 12 {
		toldDatabase(t, playTest(t, func(tb *fakeTB) {
			execute(t, private.DB(tb), "INSERT INTO t VALUES (1)")
			tb.Errorf("as planned")
		}))
	}
	if names := keptDatabases(t, connect(t, ""), homeOf(t, cfg)); len(names) != 10 {
		t.Errorf("%d databases are kept", len(names))
	}
}

func TestTheCloneOfAFailedTestIsKept(t *testing.T) {
	private := fresh(t, keeping(t))
	conninfo := toldDatabase(t, playTest(t, func(tb *fakeTB) {
		execute(t, private.Clone(tb).DB, "INSERT INTO t VALUES (1), (2)")
		tb.Errorf("as planned")
	}))
	if n := rowsOf(t, conninfo); n != 2 {
		t.Errorf("%d rows are kept", n)
	}
}

func TestOfANestedTestThatFailedTheOutermostOneIsKept(t *testing.T) {
	private := fresh(t, keeping(t))
	played := playNamed(t, "TestA", func(tb *fakeTB) {
		execute(t, private.DB(tb), "INSERT INTO t VALUES (1)")
		nested := playNested(t, private, tb, "b", func(child *fakeTB) {
			execute(t, private.DB(child), "INSERT INTO t VALUES (2)")
			child.Errorf("as planned")
		})
		if len(nested.logs) != 1 || !strings.Contains(nested.logs[0], "what the nested TestA/b did is not kept") {
			t.Errorf("the nested test logged %q", nested.logs)
		}
		tb.Errorf("its subtest failed, and so does it")
	})
	if n := rowsOf(t, toldDatabase(t, played)); n != 1 {
		t.Errorf("%d rows are kept, want the outermost test's", n)
	}
}

func TestWhatIsToldOfAKeptDatabaseHasNoPassword(t *testing.T) {
	server := startServer(t)
	admin := connect(t, server.socketDSN())
	run(t, admin, "CREATE ROLE tester LOGIN CREATEDB PASSWORD '"+password+"'")
	private := txiso.New(txiso.Config{DSN: server.tcpDSN("tester", password), Migrations: table(t), KeepFailed: true})
	defer closeIso(t, private)
	played := playTest(t, func(tb *fakeTB) {
		execute(t, private.DB(tb), "INSERT INTO t VALUES (1)")
		tb.Errorf("as planned")
	})
	conninfo := toldDatabase(t, played)
	expectError(t, played.logs[0], "host=127.0.0.1", "user=tester", "dbname=txiso_kept_")
	if strings.Contains(played.logs[0], "embedded") {
		t.Errorf("an external server is told as embedded: %s", played.logs[0])
	}
	if n := rowsOf(t, conninfo+" password="+password); n != 1 {
		t.Errorf("%d rows are kept", n)
	}
}

// What a panic leaves is the most interesting, and testing does not mark the test as failed before its clean-up. The
// embedded server stops when it is idle, and what is kept is still there when it runs again.
func TestThePanicOfATestIsKeptBeyondTheEndOfTheEmbeddedServer(t *testing.T) {
	home := ownHome(t)
	t.Setenv(childLog, filepath.Join(t.TempDir(), "log"))
	t.Setenv("TXISO_KEEP", "1")
	for _, role := range []string{"end a test by a panic", "end a test by Fatal"} {
		out, err := child(t, role).CombinedOutput()
		var failed *exec.ExitError
		if !errors.As(err, &failed) || strings.Count(string(out), "txiso: kept the database of this failed test") != 2 { // its worker database and its clone
			t.Errorf("%s: %v\n%s", role, err, out)
		}
		if !strings.Contains(string(out), "go run github.com/txiso/txiso-go/txiso/cmd/txiso psql txiso_kept_testinchild_") {
			t.Errorf("the log does not say how to open it when the server has stopped:\n%s", out)
		}
	}
	home.awaitIdleEnd()
	t.Setenv("TXISO_KEEP", "")
	runChild(t, "use a database")
	admin := connect(t, home.status().DSN)
	kept := databases(t, admin, "txiso_kept_")
	if len(kept) != 4 {
		t.Fatalf("%v are kept", kept)
	}
	total := 0
	for _, name := range kept {
		total += rowsOf(t, within(t, home.status().DSN, name))
	}
	if total != 2*(4+2) { // theSame leaves four rows in the worker database, and one is added to that of the clone
		t.Errorf("%d rows in all of %v", total, kept)
	}
}
