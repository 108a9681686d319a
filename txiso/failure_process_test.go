//go:build unix

package txiso_test

import (
	"maps"
	"os"
	"strings"
	"testing"
)

// What a user sees is the output of go test: each of these is a process whose test fails.
func init() {
	maps.Copy(children, map[string]func(t *testing.T){
		"fail behind statements":  failBehindStatements,
		"fail in a subtest":       func(t *testing.T) { t.Run("sub", failBehindStatements) },
		"panic behind statements": func(t *testing.T) { panicBehindStatements(t) },
		"leak": func(t *testing.T) {
			if _, err := iso.DB(t).Query("SELECT 1"); err != nil {
				t.Fatal(err)
			}
		},
		"pass": func(t *testing.T) { insertCustomer(t, iso.DB(t), "ann@example.com") },
	})
}

func failBehindStatements(t *testing.T) {
	db := iso.DB(t)
	insertCustomer(t, db, "ann@example.com")
	for i := range 30 {
		execute(t, db, "SELECT $1::int", i)
	}
	t.Fatal("as planned")
}

func panicBehindStatements(t *testing.T) {
	insertCustomer(t, iso.DB(t), "ann@example.com")
	panic("as planned")
}

// failingChild wants a process to fail and returns what it prints.
func failingChild(t *testing.T, role string, flags ...string) string {
	t.Helper()
	out, err := child(t, role, flags...).CombinedOutput()
	if err == nil {
		t.Fatalf("%s: the process passes:\n%s", role, out)
	}
	return string(out)
}

func expectOutput(t *testing.T, out string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("the output lacks %q:\n%s", text, out)
		}
	}
}

func TestTheOutputOfGoTestShowsTheStatementsOfATestThatFails(t *testing.T) {
	expectOutput(t, failingChild(t, "fail behind statements"),
		"as planned", "txiso: the last statements of this test (go test -artifacts keeps them all):\n",
		"\n            SELECT $1::int; -- $1 = 29: 1 row, ")
	expectOutput(t, failingChild(t, "fail in a subtest"), "--- FAIL: TestInChild/sub", "        SELECT $1::int; -- $1 = 29: 1 row, ")
	expectOutput(t, failingChild(t, "panic behind statements"),
		"panic: as planned", "INSERT INTO customers (email, name) VALUES ($1, 'Ann'); -- $1 = 'ann@example.com': 1 row, ")
	expectOutput(t, failingChild(t, "leak"), "--- FAIL: TestInChild", "txiso: the test has ended, but the rows of the query at ", "failure_process_test.go:", "SELECT 1; -- 1 row, ")
	if out := runChild(t, "pass"); strings.Contains(out, "txiso") {
		t.Errorf("a test that passes logs:\n%s", out)
	}
}

func TestArtifactsHaveAllStatements(t *testing.T) {
	dir := t.TempDir()
	out := failingChild(t, "fail behind statements", "-test.artifacts", "-test.outputdir="+dir)
	expectOutput(t, out, "txiso: the last statements of this test:\n", "txiso: all of them are in "+dir)
	_, file, _ := strings.Cut(out, "txiso: all of them are in ")
	file, _, _ = strings.Cut(file, "\n")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	expectOutput(t, string(text), "INSERT INTO customers (email, name) VALUES ($1, 'Ann'); -- $1 = 'ann@example.com': 1 row, ", "-- $1 = 0: 1 row, ", "-- $1 = 29: 1 row, ")
	if n := strings.Count(string(text), "\n"); n != 31 {
		t.Errorf("the file has %d lines:\n%s", n, text)
	}
	out = runChild(t, "pass", "-test.artifacts", "-test.outputdir="+t.TempDir())
	if strings.Contains(out, "=== ARTIFACTS") {
		t.Errorf("a test that passes has artifacts:\n%s", out)
	}
}
