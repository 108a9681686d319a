package txiso_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// listingOf returns the statements that a played test was told it had sent, without their durations.
func (tb *fakeTB) listingOf(t *testing.T) string {
	t.Helper()
	if len(tb.listings) != 1 {
		t.Fatalf("the statements were told %d times: %q", len(tb.listings), tb.listings)
	}
	return regexp.MustCompile(`, [0-9.]+(ns|µs|ms|s)\n`).ReplaceAllString(tb.listings[0], "\n")
}

func TestATestThatFailsTellsItsStatements(t *testing.T) {
	t.Parallel()
	played := playTest(t, func(tb *fakeTB) {
		db := iso.DB(tb)
		insertCustomer(t, db, "ann@example.com")
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if _, err := tx.Exec("UPDATE customers\n   SET name = $1\n WHERE email = $2", strings.Repeat("A", 100), "ann@example.com"); err != nil {
			t.Fatal(err)
		}
		_, err = tx.Exec("SELECT 1 / 0")
		tb.Fatalf("it went wrong: %v", err)
	})
	want := `txiso: the last statements of this test:
    INSERT INTO customers (email, name) VALUES ($1, 'Ann'); -- $1 = 'ann@example.com': 1 row
    begin; -- BEGIN
    UPDATE customers SET name = $1 WHERE email = $2; -- $1 = '` + strings.Repeat("A", 64) + `'… (36 more bytes), $2 = 'ann@example.com': 1 row
    SELECT 1 / 0; -- error: division by zero (SQLSTATE 22012)
    rollback; -- ROLLBACK
`
	if got := played.listingOf(t); got != want {
		t.Errorf("the test was told\n%s\nwant\n%s", got, want)
	}
}

func TestATestThatPassesLogsNothing(t *testing.T) {
	t.Parallel()
	played := playTest(t, func(tb *fakeTB) { insertCustomer(t, iso.DB(tb), "ann@example.com") })
	played.expectPass(t)
	if len(played.logs)+len(played.listings) > 0 {
		t.Errorf("it logged %q, %q", played.logs, played.listings)
	}
	failed := playTest(t, func(tb *fakeTB) {
		iso.DB(tb)
		tb.Errorf("as planned")
	})
	if len(failed.logs)+len(failed.listings) > 0 {
		t.Errorf("a test without statements logged %q, %q", failed.logs, failed.listings)
	}
}

// A parent's failure is not its subtest's, and their statements are not mixed up.
func TestStatementsAreToldOfTheTestThatFailed(t *testing.T) {
	t.Parallel()
	playTest(t, func(parent *fakeTB) {
		insertCustomer(t, iso.DB(parent), "parent@example.com")
		played := playTest(t, func(tb *fakeTB) {
			insertCustomer(t, iso.DB(tb), "child@example.com")
			tb.Errorf("as planned")
		})
		if got := played.listingOf(t); strings.Contains(got, "parent@") || !strings.Contains(got, "child@") {
			t.Errorf("the subtest was told %s", got)
		}
		nested := playTest(t, func(tb *fakeTB) {
			iso.Nested(tb, parent)
			insertCustomer(t, iso.DB(tb), "nested@example.com")
			tb.Errorf("as planned")
		})
		if got := nested.listingOf(t); strings.Contains(got, "parent@") || !strings.Contains(got, "nested@") {
			t.Errorf("the nested test was told %s", got)
		}
	}).expectPass(t)
}

func TestTheLogGetsTheLastTwentyStatements(t *testing.T) {
	t.Parallel()
	played := playTest(t, func(tb *fakeTB) {
		db := iso.DB(tb)
		for i := range 30 {
			execute(t, db, "SELECT $1::int", i)
		}
		tb.Errorf("as planned")
	})
	got := played.listingOf(t)
	if n := strings.Count(got, "SELECT"); n != 20 || !strings.Contains(got, "$1 = 29:") || !strings.Contains(got, "(go test -artifacts keeps them all)") {
		t.Errorf("the test was told %d statements: %s", n, got)
	}
}

func TestStatementsOfSeveralConnectionsAreToldApart(t *testing.T) {
	t.Parallel()
	played := playTest(t, func(tb *fakeTB) {
		execute(t, iso.DB(tb), "SELECT 1")
		if _, err := iso.Pool(tb).Exec(t.Context(), "SELECT 2"); err != nil {
			t.Error(err)
		}
		tb.Errorf("as planned")
	})
	if got := played.listingOf(t); !strings.Contains(got, "SELECT 1; -- connection 1: 1 row") || !strings.Contains(got, "SELECT 2; -- connection 2: 1 row") {
		t.Errorf("the test was told %s", got)
	}
}

// A finding of txiso's own fails the test, too.
func TestATestThatFailsAtItsEndTellsItsStatements(t *testing.T) {
	t.Parallel()
	played := playTest(t, func(tb *fakeTB) {
		db := iso.DB(tb)
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("SELECT 1"); err != nil {
			t.Fatal(err)
		}
		insertCustomer(t, db, "ann@example.com")
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	})
	if got := played.listingOf(t); len(played.errors) != 1 || !strings.Contains(got, "ann@example.com") {
		t.Errorf("the test was told %q, %s", played.errors, got)
	}
}

// artifacts is a test whose runner keeps files.
type artifacts struct {
	*fakeTB
	dir string
}

func (a artifacts) ArtifactDir() string { return a.dir }

// What package testing does with the directory is for it to say: without -artifacts it removes it at once.
func TestNothingIsWrittenWhereNoArtifactsAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	playTest(t, func(tb *fakeTB) {
		execute(t, iso.DB(artifacts{tb, dir}), "SELECT 1")
		tb.Errorf("as planned")
	})
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("in the directory are %v, %v", files, err)
	}
}
