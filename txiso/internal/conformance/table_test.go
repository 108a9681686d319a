package conformance_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write docs/conformance.md")

const tableFile = "../../../docs/conformance.md"

// results are how the behaviours came out, by their names.
type results struct {
	mu      sync.Mutex
	plain   map[string]outcome
	txdb    map[string]outcome
	differs map[string]bool // txiso from plain
}

// TestTable runs every behaviour on plain and txiso, compares, and makes the table. Go-txdb runs only when the table is
// written: it is there for the record, slow because it hangs so often, and what hangs depends on the machine.
func TestTable(t *testing.T) {
	all := &results{plain: map[string]outcome{}, txdb: map[string]outcome{}, differs: map[string]bool{}}
	t.Run("columns", func(t *testing.T) {
		if *update {
			t.Run("txdb", func(t *testing.T) {
				t.Parallel()
				all.runTxdb(t)
			})
		}
		for _, a := range areas {
			for _, b := range a.behaviours {
				t.Run(a.name+"/"+b.name, func(t *testing.T) {
					t.Parallel()
					all.compare(t, b)
				})
			}
		}
	})
	if len(all.plain) < count() || *update && len(all.txdb) < countSQL() {
		t.Skip("some behaviours did not run: no table")
	}
	if !t.Failed() {
		expectTable(t, all.table())
	}
}

func TestNamesOfBehavioursAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range areas {
		for _, b := range a.behaviours {
			if seen[b.name] {
				t.Errorf("two behaviours are named %q", b.name)
			}
			seen[b.name] = true
		}
	}
}

func TestMarksAreAboutBehaviours(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range areas {
		for _, b := range a.behaviours {
			seen[b.name] = true
		}
	}
	for _, marked := range []map[string]string{limits, bugs} {
		for name := range marked {
			if !seen[name] {
				t.Errorf("no behaviour is named %q", name)
			}
		}
	}
}

func count() (n int) {
	for _, a := range areas {
		n += len(a.behaviours)
	}
	return n
}

func countSQL() (n int) {
	for _, a := range areas {
		for _, b := range a.behaviours {
			if !b.native {
				n++
			}
		}
	}
	return n
}

// truths are what the behaviours came to on plain PostgreSQL: by name, func() outcome.
var truths sync.Map

// truth runs a behaviour on plain PostgreSQL, once in a process that repeats its tests: a private database costs more than all
// the rest.
func truth(b behaviour) outcome {
	once, _ := truths.LoadOrStore(b.name, sync.OnceValue(func() outcome { return run(b, plain) }))
	return once.(func() outcome)()
}

func (r *results) compare(t *testing.T, b behaviour) {
	truth := truth(b)
	got := run(b, onIso)
	if slices.Equal(truth.Lines, got.Lines) {
		got = run(b, onIso) // now with all that a warm connection remembers
	}
	if len(truth.Told) > 0 || bad(truth.Lines) {
		t.Errorf("wrong on plain PostgreSQL, so it says nothing:\n%s\n%s", strings.Join(truth.Lines, "\n"), strings.Join(truth.Told, "\n"))
	}
	differs := !slices.Equal(truth.Lines, got.Lines)
	why := b.name + "\n" + diff(truth.Lines, got.Lines)
	if !b.allowed(got.Told) {
		differs = true
		why += "\nthe test was told: " + strings.Join(got.Told, "\n")
	}
	switch mark := b.reason(); {
	case differs && mark == "":
		t.Errorf("txiso differs from plain:\n%s", why)
	case differs:
		t.Logf("differs, as marked (%s):\n%s", mark, why)
	case mark != "" && !b.sometimes:
		t.Errorf("txiso equals plain now: remove the mark of %q: %s", b.name, mark)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plain[b.name], r.differs[b.name] = truth, differs || b.reason() != ""
}

// allowed reports whether a test may be told that at its end.
func (b behaviour) allowed(told []string) bool {
	if b.told == "" {
		return len(told) == 0
	}
	return len(told) > 0 && !slices.ContainsFunc(told, func(s string) bool { return !strings.Contains(s, b.told) })
}

// bad reports whether a record is not what PostgreSQL does but a mistake of the body.
func bad(lines []string) bool {
	return len(lines) == 0 || slices.ContainsFunc(lines, func(s string) bool {
		return strings.Contains(s, "CHECK FAILED") || strings.Contains(s, "panics:") || s == "hangs"
	})
}

// diff shows two records, with what only one of them has marked.
func diff(truth, got []string) string {
	common := commonLines(truth, got)
	var b strings.Builder
	for i, j := 0, 0; i < len(truth) || j < len(got); {
		switch {
		case i < len(truth) && j < len(got) && truth[i] == got[j]:
			fmt.Fprintf(&b, "        %s\n", truth[i])
			i, j = i+1, j+1
		case j == len(got) || i < len(truth) && common[i+1][j] >= common[i][j+1]:
			fmt.Fprintf(&b, "- plain %s\n", truth[i])
			i++
		default:
			fmt.Fprintf(&b, "+ txiso %s\n", got[j])
			j++
		}
	}
	return b.String()
}

// commonLines tells how many lines the rests of x and y behind each pair of places have in common.
func commonLines(x, y []string) [][]int {
	common := make([][]int, len(x)+1)
	common[len(x)] = make([]int, len(y)+1)
	for i := len(x) - 1; i >= 0; i-- {
		common[i] = make([]int, len(y)+1)
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	return common
}

const tableHead = `# Conformance

Generated by ` + "`go test ./txiso/internal/conformance -run TestTable -update`" + `; do not edit.

Each line is a behaviour: a test body that does things to a database and records all it sees, values, errors with every field,
command tags. **plain** is pgx on a private database with real connections and real commits, the truth. **txdb** is plain
go-txdb v0.2.1 over pgx; it has no interface of pgx's own, which is a dash. **txiso** is this library. "yes" means that the
record is the same as on plain, "no" that it is not; a number leads to a limit below.

`

func (r *results) table() string {
	var b strings.Builder
	b.WriteString(tableHead)
	fmt.Fprintf(&b, "%s\n", r.summary())
	var reasons []string
	for _, a := range areas {
		fmt.Fprintf(&b, "\n## %s\n\n| behaviour | plain | txdb | txiso |\n|---|---|---|---|\n", a.name)
		for _, bh := range a.behaviours {
			cell := "yes"
			if r.differs[bh.name] {
				i := slices.Index(reasons, bh.reason())
				if i < 0 {
					i = len(reasons)
					reasons = append(reasons, bh.reason())
				}
				cell = fmt.Sprintf("no [%d]", i+1)
			}
			fmt.Fprintf(&b, "| %s | yes | %s | %s |\n", bh.name, r.txdbCell(bh), cell)
		}
	}
	if len(reasons) > 0 {
		b.WriteString("\n## Where txiso differs\n\n")
	}
	for i, reason := range reasons {
		if page := pages[reason]; page != "" {
			reason += fmt.Sprintf(" [More](limits.md#%s).", page)
		}
		fmt.Fprintf(&b, "%d. %s\n", i+1, reason)
	}
	return b.String()
}

// reason tells why txiso may differ from plain in a behaviour, or nothing.
func (b behaviour) reason() string {
	if bug := bugs[b.name]; bug != "" {
		return "A bug: " + bug
	}
	return limits[b.name]
}

func (r *results) summary() string {
	differs, same := 0, 0
	for _, a := range areas {
		for _, b := range a.behaviours {
			if r.differs[b.name] {
				differs++
			}
			if r.txdbCell(b) == "yes" {
				same++
			}
		}
	}
	return fmt.Sprintf("%d behaviours: txiso equals plain in %d. Of the %d that need nothing but database/sql, go-txdb equals plain in %d.",
		count(), count()-differs, countSQL(), same)
}

func (r *results) txdbCell(b behaviour) string {
	switch {
	case b.native:
		return "–"
	case b.racy:
		return "varies"
	case slices.Equal(r.plain[b.name].Lines, r.txdb[b.name].Lines):
		return "yes"
	}
	return "no"
}

var txdbParts = regexp.MustCompile(`(?m)^(\| .* \| yes) \| (?:yes|no|varies|–) \| |(go-txdb equals plain in) [0-9]+`)

// withoutTxdb is a table without what go-txdb did.
func withoutTxdb(table string) string { return txdbParts.ReplaceAllString(table, "$1 | $2") }

func expectTable(t *testing.T, table string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(tableFile, []byte(table), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	committed, err := os.ReadFile(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	table, got := withoutTxdb(table), withoutTxdb(string(committed))
	if got != table {
		t.Errorf("docs/conformance.md is out of date, write it with -update:\n%s", diff(strings.Split(table, "\n"), strings.Split(got, "\n")))
	}
}
