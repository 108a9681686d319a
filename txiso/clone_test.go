package txiso_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso"
)

func TestACloneReallyCommits(t *testing.T) {
	t.Parallel()
	clone := iso.Clone(t)
	insertCustomer(t, clone.DB, "ann@example.com")
	if n := customersBehind(t, clone.DSN); n != 1 {
		t.Errorf("another connection sees %d customers, want 1", n)
	}
	for _, refusedInTransactions := range []string{"VACUUM customers", "CREATE INDEX CONCURRENTLY ON customers (name)"} {
		execute(t, clone.DB, refusedInTransactions)
	}
}

func customersBehind(t *testing.T, dsn string) (n int) {
	t.Helper()
	if err := connect(t, dsn).QueryRow(t.Context(), "SELECT count(*) FROM customers").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEachCloneIsPrivateAndStartsLikeTheTemplate(t *testing.T) {
	t.Parallel()
	insertCustomer(t, iso.DB(t), "ann@example.com")
	one, two := iso.Clone(t), iso.Clone(t)
	insertCustomer(t, one.DB, "ann@example.com")
	if n := customers(t, two.DB); n != 0 {
		t.Errorf("a clone starts with %d customers", n)
	}
	insertCustomer(t, two.DB, "ann@example.com")
	if n := customers(t, iso.DB(t)); n != 1 {
		t.Errorf("DB sees %d customers, want its own", n)
	}
}

func TestACloneIsAnotherProgramsDatabaseToo(t *testing.T) {
	t.Parallel()
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("psql is not in PATH: install PostgreSQL's client to run this test")
	}
	clone := iso.Clone(t)
	out, err := exec.CommandContext(t.Context(), psql, "-X", "-c", "INSERT INTO customers (email, name) VALUES ('ann@example.com', 'Ann')", clone.DSN).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "INSERT 0 1" {
		t.Fatalf("psql: %v, %s", err, out)
	}
	if n := customers(t, clone.DB); n != 1 {
		t.Errorf("%d customers, want the one that psql made", n)
	}
}

func TestACloneIsDroppedHoweverItsTestEnds(t *testing.T) {
	endings := map[string]func(tb *fakeTB, clone *txiso.Private){
		"passed": func(*fakeTB, *txiso.Private) {},
		"failed": func(tb *fakeTB, _ *txiso.Private) { tb.Fatalf("as planned") },
		"panicked": func(*fakeTB, *txiso.Private) {
			panic("as planned")
		},
		"closed it": func(_ *fakeTB, clone *txiso.Private) { clone.DB.Close() },
		"left connections open": func(tb *fakeTB, clone *txiso.Private) {
			if _, err := connect(t, clone.DSN).Exec(t.Context(), "BEGIN; LOCK TABLE customers"); err != nil {
				t.Error(err)
			}
			if _, err := clone.DB.BeginTx(tb.Context(), nil); err != nil {
				t.Error(err)
			}
		},
	}
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			var clone string
			played := playTest(t, func(tb *fakeTB) {
				private := iso.Clone(tb)
				clone = databaseName(t, private.DB)
				end(tb, private)
			})
			if len(played.errors) > 0 {
				t.Errorf("the end of the test said %q", played.errors)
			}
			awaitDropped(t, clone)
		})
	}
}

// awaitDropped waits for what happens in the background.
func awaitDropped(t *testing.T, clone string) {
	t.Helper()
	observer := connect(t, "")
	for deadline := time.Now().Add(30 * time.Second); len(databases(t, observer, clone)) > 0; time.Sleep(time.Millisecond) {
		if clone == "" || time.Now().After(deadline) {
			t.Fatalf("clone %q is still there", clone)
		}
	}
}

// A clone needs the test's time, and Close comes when there are no tests. Both were told something about the server.
func TestACloneAtTheWrongTime(t *testing.T) {
	t.Parallel()
	late := fresh(t, txiso.Config{Migrations: table(t)})
	playTest(t, func(tb *fakeTB) {
		tb.Cleanup(func() { late.Clone(tb) })
	}).expectFatal(t, "the test's context had ended", "context canceled", "call Clone in the test, not in its Cleanup")

	cfg := txiso.Config{Migrations: table(t)}
	closed := txiso.New(cfg)
	t.Cleanup(func() { dropTemplate(t, cfg) })
	played := playTest(t, func(tb *fakeTB) {
		closed.Clone(tb)
		closeIso(t, closed)
	})
	if len(played.fatals) > 0 {
		t.Fatal(played.fatals)
	}
	if said := strings.Join(played.errors, "\n"); !strings.Contains(said, "Close was called; call it when no test uses a database any more") || strings.Contains(said, "server") {
		t.Errorf("the test is told %q", said)
	}
}

// Tests that use clones one after the other wait neither for CREATE DATABASE nor for DROP DATABASE. What is made for a next
// one that does not come is what a worker database is, and stays as those do.
func TestClosingDropsClonesThatAreDroppedInTheBackground(t *testing.T) {
	t.Parallel()
	private := txiso.New(txiso.Config{Migrations: table(t)})
	var clone string
	for range 4 {
		playTest(t, func(tb *fakeTB) {
			db := private.Clone(tb).DB
			clone = databaseName(t, db)
			execute(t, db, "INSERT INTO t VALUES (1)")
		}).expectPass(t)
	}
	closeIso(t, private)
	template := templateOf(clone)
	// Its number depends on how far the drop of the clone ahead of it was.
	if left := databases(t, connect(t, ""), template); len(left) != 2 || left[0] != template || !strings.HasPrefix(left[1], template+"_") || left[1] == clone {
		t.Errorf("databases after Close: %v, want the template and one for a next test", left)
	}
	dropDatabases(t, "", template)
}

// The password is in the DSN, because a client needs it, and nowhere else.
func TestTheDSNOfACloneIsAURL(t *testing.T) {
	t.Parallel()
	clone := iso.Clone(t)
	cfg, err := pgx.ParseConfig(clone.DSN)
	if err != nil || !strings.HasPrefix(clone.DSN, "postgres://") {
		t.Fatalf("not a URL: %v", err)
	}
	if want := databaseName(t, clone.DB); cfg.Database != want {
		t.Errorf("it names %s, want %s", cfg.Database, want)
	}
}

func TestACloneOfAConfigThatIsWrongEndsTheTest(t *testing.T) {
	t.Parallel()
	wrong := txiso.New(txiso.Config{Migrations: table(t), Migrator: numbers("both")})
	playTest(t, func(tb *fakeTB) { wrong.Clone(tb) }).expectFatal(t, "both Migrations and Migrator")
	empty := txiso.New(txiso.Config{Migrator: numbers("")})
	playTest(t, func(tb *fakeTB) { empty.Clone(tb) }).expectFatal(t, "no name")
}
