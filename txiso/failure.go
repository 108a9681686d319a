package txiso

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/txiso/txiso-go/txiso/internal/session"
)

const (
	// toldStatements is how many statements the log of a test that has failed gets.
	toldStatements = 20
	// maxToldSQL is how much of each, in characters.
	maxToldSQL = 500
	// artifactName is the file among a test's artifacts that has all of them.
	artifactName = "txiso-statements.sql"
)

// keeper is a test that has a place for files, as those of package testing do since Go 1.26.
type keeper interface{ ArtifactDir() string }

// keepsArtifacts returns t if a file in its ArtifactDir outlives it: with `go test` that takes -artifacts.
func keepsArtifacts(t TB) keeper {
	k, _ := t.(keeper)
	if f := flag.Lookup("test.artifacts"); f != nil && f.Value.String() != "true" {
		return nil
	}
	return k
}

// tellStatements writes what a test that has failed has sent into its log, and all of it into a file where that is kept.
// It is the last that is done for a test, because ArtifactDir may end it.
func tellStatements(t TB, statements []session.Statement) {
	t.Helper()
	if len(statements) == 0 {
		return
	}
	kept := keepsArtifacts(t)
	last, more := statements, ""
	if n := len(last) - toldStatements; n > 0 {
		last = last[n:]
		if kept == nil {
			more = " (go test -artifacts keeps them all)"
		}
	}
	t.Logf("txiso: the last statements of this test%s:\n%s", more, listing(last, inLog))
	if kept == nil {
		return
	}
	file := filepath.Join(kept.ArtifactDir(), artifactName)
	if err := os.WriteFile(file, []byte(listing(statements, whole)), 0o666); err != nil {
		t.Logf("txiso: the statements of this test could not be kept: %v", err)
		return
	}
	t.Logf("txiso: all of them are in %s", file)
}

// listing writes each statement as SQL, with a comment on what became of it.
func listing(statements []session.Statement, sql func(string) string) string {
	var b strings.Builder
	for _, st := range statements {
		fmt.Fprintf(&b, "%s; -- ", sql(st.SQL))
		for i, arg := range st.Args {
			fmt.Fprintf(&b, "$%d = %s%s ", i+1, arg, ending(i == len(st.Args)-1, ":", ","))
		}
		if statements[0].Conn != statements[len(statements)-1].Conn {
			fmt.Fprintf(&b, "connection %d: ", st.Conn)
		}
		if st.Failed {
			b.WriteString("error: ")
		}
		fmt.Fprintf(&b, "%s, %v\n", st.Result, st.Took.Round(time.Microsecond))
	}
	return b.String()
}

func ending(last bool, end, more string) string {
	if last {
		return end
	}
	return more
}

// inLog makes a statement fit on a line.
func inLog(sql string) string {
	sql = strings.Join(strings.Fields(sql), " ")
	if utf8.RuneCountInString(sql) > maxToldSQL {
		sql = string([]rune(sql)[:maxToldSQL]) + "…"
	}
	return "    " + sql
}

// whole leaves a statement as it was sent.
func whole(sql string) string { return strings.TrimSpace(sql) }

// failed reports whether t has failed, when its cleanups run. One that panics does not say so yet, unless it had subtests.
func failed(t TB) bool {
	judge, ok := t.(interface{ Failed() bool })
	return ok && (judge.Failed() || panicking())
}

// panicking reports whether the calling goroutine runs deferred functions because of a panic. Every test that passes asks.
func panicking() bool {
	var callers [16]uintptr
	for _, pc := range callers[:runtime.Callers(3, callers[:])] {
		if f := runtime.FuncForPC(pc - 1); f != nil && f.Name() == "runtime.gopanic" {
			return true
		}
	}
	return false
}
