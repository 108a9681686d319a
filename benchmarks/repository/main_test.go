package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/txiso/txiso-go/benchmarks/host"
	"github.com/txiso/txiso-go/benchmarks/repository/tests"
)

// long skips tests that build and run whole repositories, unless TXISO_LONG is set as .ci/run does.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("TXISO_LONG") == "" {
		t.Skip("takes long: set TXISO_LONG=1 to run it")
	}
}

func openHost(t *testing.T) {
	t.Helper()
	t.Setenv("TXISO_HOME", os.Getenv("TXISO_HOME")) // host.Open sets them; here they get their old values back
	t.Setenv("TXISO_IDLE_TIMEOUT", os.Getenv("TXISO_IDLE_TIMEOUT"))
	h, err := host.Open(context.Background(), t.Logf) // t.Context() ends before cleanups, and the server with it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestEveryStrategyRunsTheRepository(t *testing.T) {
	long(t)
	openHost(t)
	t.Setenv("TMPDIR", t.TempDir())
	table, err := compare(t.Context(), size{packages: 2, tests: 5}, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, row := range table.Rows {
		names = append(names, row[0])
	}
	if want := append([]string{tests.Nothing}, tests.Strategies()...); !slices.Equal(names, want) {
		t.Errorf("compared are %v, want %v", names, want)
	}
	if left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); err != nil || len(left) > 0 {
		t.Errorf("left is %v, %v", left, err)
	}
}

// A strategy that did not run its tests would be the quickest.
func TestATestThatFailsEndsTheRun(t *testing.T) {
	long(t)
	openHost(t)
	dbs, err := prepare(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := dbs.drop(); err != nil {
			t.Error(err)
		}
	}()
	r, err := generate(size{packages: 2, tests: 2}) // there is no database for the second
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.remove(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := r.goTest(t.Context(), "txdb", dbs); err == nil || !strings.Contains(err.Error(), "none for package 1") {
		t.Errorf("got %v, want the failure of package 1", err)
	}
}

func TestPackagesShareOutTheTests(t *testing.T) {
	for _, s := range []size{small, full, {packages: 3, tests: 10}} {
		sum := 0
		for pkg := range s.packages {
			sum += share(s, pkg)
		}
		if sum != s.tests {
			t.Errorf("%+v: the packages have %d tests", s, sum)
		}
	}
}
