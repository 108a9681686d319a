package conformance_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Go-txdb can panic on goroutines of database/sql's own, which ends the process. So its column runs in children of the
// test: this binary again, which takes the names of behaviours from one file and appends the outcomes to another.
const (
	childList   = "TXISO_CONFORMANCE_LIST"
	childResult = "TXISO_CONFORMANCE_RESULT"
)

// childOutcome is a line of the result file. A behaviour has two: one when it begins, one when it has ended.
type childOutcome struct {
	Name    string
	Ended   bool
	Outcome outcome
}

// runTxdb runs the behaviours in several children at once, because mostly they wait for one that hangs.
func (r *results) runTxdb(t *testing.T) {
	const children = 4
	parts := [children]map[string]behaviour{}
	n := 0
	for name, b := range sqlBehaviours() {
		if parts[n%children] == nil {
			parts[n%children] = map[string]behaviour{}
		}
		parts[n%children][name] = b
		n++
	}
	var wg sync.WaitGroup
	for _, part := range parts {
		wg.Go(func() { r.runPart(t, part) })
	}
	wg.Wait()
}

// runPart runs behaviours in a child, another one whenever one has died.
func (r *results) runPart(t *testing.T, left map[string]behaviour) {
	for len(left) > 0 {
		outcomes := runChild(t, left)
		if len(outcomes) == 0 {
			t.Error("the child did nothing")
			return
		}
		for _, o := range outcomes {
			r.putTxdb(o)
			delete(left, o.Name)
		}
	}
}

func (r *results) putTxdb(o childOutcome) {
	if !o.Ended {
		o.Outcome = outcome{Lines: []string{"ends the process"}}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.txdb[o.Name] = o.Outcome
}

func sqlBehaviours() map[string]behaviour {
	found := map[string]behaviour{}
	for _, a := range areas {
		for _, b := range a.behaviours {
			if !b.native {
				found[b.name] = b
			}
		}
	}
	return found
}

// runChild returns the last word of a child about each behaviour that it came to.
func runChild(t *testing.T, todo map[string]behaviour) map[string]childOutcome {
	t.Helper()
	dir := t.TempDir()
	list, result := filepath.Join(dir, "list"), filepath.Join(dir, "result")
	var names strings.Builder
	for name := range todo {
		fmt.Fprintln(&names, name)
	}
	if err := os.WriteFile(list, []byte(names.String()), 0o600); err != nil {
		t.Error(err)
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		t.Error(err)
		return nil
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestTxdbChild$")
	cmd.Env = append(os.Environ(), childList+"="+list, childResult+"="+result)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Logf("a child died, which go-txdb may cause: %v\n%s", err, firstLines(out))
	}
	return readOutcomes(t, result)
}

func firstLines(out []byte) string {
	lines := strings.SplitAfterN(string(out), "\n", 12)
	return strings.Join(lines[:min(len(lines), 11)], "")
}

func readOutcomes(t *testing.T, file string) map[string]childOutcome {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer f.Close()
	found := map[string]childOutcome{}
	for dec := json.NewDecoder(f); ; {
		var o childOutcome
		if err := dec.Decode(&o); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			return found
		}
		found[o.Name] = o
	}
}

// TestTxdbChild is what a child runs.
func TestTxdbChild(t *testing.T) {
	if os.Getenv(childList) == "" {
		t.Skip("only in a child of TestTable")
	}
	list, err := os.Open(os.Getenv(childList))
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	result, err := os.Create(os.Getenv(childResult))
	if err != nil {
		t.Fatal(err)
	}
	defer result.Close()
	todo := sqlBehaviours()
	for names := bufio.NewScanner(list); names.Scan(); {
		tellOutcomes(t, result, todo[names.Text()])
	}
}

func tellOutcomes(t *testing.T, w io.Writer, b behaviour) {
	t.Helper()
	enc := json.NewEncoder(w)
	begun := enc.Encode(childOutcome{Name: b.name})
	if err := errors.Join(begun, enc.Encode(childOutcome{Name: b.name, Ended: true, Outcome: run(b, onTxdb)})); err != nil {
		t.Fatal(err)
	}
}
