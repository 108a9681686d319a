package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/txiso/txiso-go/benchmarks/host"
	"github.com/txiso/txiso-go/benchmarks/strategy"
)

func TestMain(m *testing.M) {
	if err := child(); err != nil {
		fail(err)
	}
	if err := firstDatabase(); err != nil {
		fail(err)
	}
	os.Exit(m.Run())
}

// smallPlan has a bit of everything.
func smallPlan() plan {
	cells := []cell{{5, 0, 3, 1}, {10, 2, 3, 1}, {5, 0, 3, 2}}
	some := slices.DeleteFunc(strategy.All(), func(n strategy.Named) bool { return n.Name == "migrate" || n.Name == "clone-wal" })
	return plan{cells: cells, budget: time.Millisecond, first: time.Millisecond, share: 0.001, rolledBack: 10, strategies: some}
}

func TestARunWritesTablesPlotsAndREADME(t *testing.T) {
	h := openHost(t)
	dir := t.TempDir()
	readme := filepath.Join(dir, "README.md")
	if err := os.WriteFile(readme, []byte("before\n<!-- results: begin -->\nold\n<!-- results: end -->\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := smallPlan()
	r, err := measureAll(t.Context(), h, p)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(r, p.cells[0], options{out: filepath.Join(dir, "out"), readme: readme}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"results.csv", "cost.svg", "cost.png", "tables.svg", "tables.png", "throughput.svg", "throughput.png"} {
		if info, err := os.Stat(filepath.Join(dir, "out", name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, or it is empty", name, err)
		}
	}
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"before\n", "out/cost.svg", "| txiso |", "| clone-file |", "| 368 tests |", "one for all", "catalog", "| 500 tables, 0 rows in each |", "\nafter\n"}
	for _, part := range want {
		if !strings.Contains(string(text), part) {
			t.Errorf("README lacks %q", part)
		}
	}
	if strings.Contains(string(text), "old") {
		t.Error("README still has its old section")
	}
}

// What is wrong with the flags must not cost a run of ten minutes first.
func TestFlagsAreCheckedAheadOfTheRun(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("no section\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]options{
		"needs -out": {readme: file}, "has no section": {readme: file, out: dir}, "no such file": {readme: file + "s", out: dir},
		"not a directory": {out: filepath.Join(file, "out")},
	} {
		if err := o.check(nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", o, err, want)
		}
	}
	if err := (options{}).check([]string{"quick"}); err == nil || !strings.Contains(err.Error(), "is no flag") {
		t.Errorf("got %v", err)
	}
	out := filepath.Join(dir, "out")
	if err := (options{out: out}).check(nil); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(out); err != nil || len(left) != 0 {
		t.Errorf("%v is left (%v)", left, err)
	}
}

func TestARunThatIsInterruptedLeavesNoDatabases(t *testing.T) {
	h := openHost(t)
	before := databaseNames(t, h)
	ctx, interrupt := context.WithCancel(t.Context())
	err := interruptedCell(ctx, interrupt)
	if err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("got %v, want context canceled", err)
	}
	for _, name := range strings.Fields(databaseNames(t, h)) {
		worker := regexp.MustCompile(`^txiso_[0-9a-f]+(_[0-9]+)?$`).MatchString(name) // the next run uses it
		if !worker && !strings.Contains(before, name) {
			t.Errorf("database %s is left", name)
		}
	}
}

// interruptedCell interrupts a cell when its tests have begun.
func interruptedCell(ctx context.Context, interrupt func()) error {
	_, err := runCell(ctx, cell{5, 0, 3, 2}, withWork(strategy.All()), time.Minute, func(spent time.Duration) {
		time.AfterFunc(50*time.Millisecond, interrupt)
	})
	return err
}

func openHost(t *testing.T) *host.Host {
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
	return h
}

func databaseNames(t *testing.T, h *host.Host) (names string) {
	t.Helper()
	err := h.Admin.QueryRowContext(t.Context(), `SELECT string_agg(datname, ' ') FROM pg_database`).Scan(&names)
	if err != nil {
		t.Fatal(err)
	}
	return names
}
