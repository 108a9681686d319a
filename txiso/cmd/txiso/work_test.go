//go:build unix

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// expectOut wants all of standard output; standard error may say something, too.
func (r *result) expectOut(code int, out string) {
	r.t.Helper()
	if r.code != code || r.out != out {
		r.t.Errorf("exit status %d, want %d; it says %q, want %q\nstandard error:\n%s", r.code, code, r.out, out, r.errOut)
	}
}

func (r *result) expectErrOut(text string) {
	r.t.Helper()
	if !strings.Contains(r.errOut, text) {
		r.t.Errorf("it explains %q, want %q", r.errOut, text)
	}
}

func TestPsqlAndDSNStartTheServer(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	s := newSuite(t, h.start(""))
	s.end()
	for _, args := range [][]string{{"dsn", s.free}, {"psql", s.free, "-Atc", "SELECT n FROM t"}} {
		h.run("stop").expect(0, "stopped")
		if r := h.run(args...); r.code != 0 || r.out == "" {
			t.Errorf("%v: exit status %d\n%s", args, r.code, r.errOut)
		}
		if h.running() != 1 {
			t.Errorf("%v has not started the server", args)
		}
	}
}

func TestPsqlOnEachKind(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	dsn := h.start("")
	s := newSuite(t, dsn)

	r := h.run("psql", s.free, "-Atc", "SELECT n FROM t")
	r.expectOut(0, "42\n")
	r.expectErrOut("the next test trusts this database: transactions are read only")
	r = h.run("psql", s.free, "-c", "INSERT INTO t VALUES (1)")
	r.expectOut(1, "")
	r.expectErrOut("cannot execute INSERT in a read-only transaction")
	r = h.run("psql", s.held.Name(), "-Atc", "SELECT n FROM t")
	r.expectOut(0, "42\n")
	r.expectErrOut(fmt.Sprintf("(process %d) as postgres uses this database", os.Getpid()))

	r = h.run("psql", s.Template(), "-Atc", "INSERT INTO t VALUES (1)", "-c", "SELECT sum(n) FROM t")
	r.expectOut(0, "INSERT 0 1\n43\n")
	r.expectErrOut("this is a copy of " + s.Template() + " and will be dropped")
	if o := h.run("status", "-json").decode(); len(o.Servers[0].Databases.Clones) != 0 {
		t.Errorf("clones are left: %+v", o.Servers[0].Databases.Clones)
	}
	h.run("dsn", s.Template()).expect(1, "txiso: nobody can connect to the template", "txiso psql opens a copy")

	execute(t, dsn, "UPDATE pg_database SET datconnlimit = -2 WHERE datname = '"+s.free+"'") // half dropped
	h.run("dsn", s.free).expect(1, "txiso: the database "+s.free+" is not complete", "choose another")

	kept := s.keep()
	s.end()
	r = h.run("psql", kept, "-Atc", "INSERT INTO t VALUES (1)", "-c", "SELECT sum(n) FROM t")
	r.expectOut(0, "INSERT 0 1\n43\n")
	if r.errOut != "" {
		t.Errorf("it explains %q", r.errOut)
	}
	if text := h.run("status").out; !hasLine(text, "  kept ", kept) || !hasLine(text, kept, "of TestTransfer") {
		t.Errorf("no kept database in\n%s", text)
	}
	if o := h.run("status", "-json").decode(); len(o.Servers[0].Databases.Kept) != 1 || o.Servers[0].Databases.Kept[0].Test != "TestTransfer" {
		t.Errorf("kept are %+v", o.Servers[0].Databases.Kept)
	}
}

func TestPsqlsExitStatusIsPsqls(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	s := newSuite(t, h.start(""))
	script := filepath.Join(t.TempDir(), "script.sql")
	if err := os.WriteFile(script, []byte("SELECT nothing;"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.run("psql", s.free, "-v", "ON_ERROR_STOP=1", "-f", script).expectOut(3, "")
	h.run("psql", s.Template(), "-v", "ON_ERROR_STOP=1", "-f", script).expectOut(3, "")
}

func TestPsqlThatCameWithTheServer(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	s := newSuite(t, h.start(""))
	if _, err := os.Stat(filepath.Join(h.status().BinDir, "psql")); err != nil {
		t.Skip("these binaries are a server's only:", err)
	}
	for _, args := range [][]string{{"psql", s.free}, {"psql", s.Template()}} {
		r := txiso(t, []string{"TXISO_HOME=" + h.dir, "PATH=" + publicDir(t)}, append(args, "-Atc", "SELECT n FROM t")...)
		r.expectOut(0, "42\n")
	}
}

func TestWithoutPsql(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	dsn := h.start("")
	s, without := newSuite(t, dsn), publicDir(t)
	txiso(t, []string{"PATH=" + without}, "psql", "-dsn", dsn, s.free).
		expect(1, "txiso: there is no psql to run", "install PostgreSQL's client programs", "txiso dsn")
}

func TestANameThatIsNotThere(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	s := newSuite(t, h.start(""))
	for _, name := range []string{s.free + "0", strings.TrimPrefix(s.free, "txiso_"), s.Template()[:12]} {
		r := h.run("dsn", name).expect(1, "txiso: there is no database "+name+" among those that txiso has made; did you mean txiso_", s.free)
		if n := strings.Count(r.errOut, " or "); n > 4 {
			t.Errorf("it names too many:\n%s", r.errOut)
		}
	}
	h.run("psql", "postgres").expect(1, "there is no database postgres among those that txiso has made") // it is no business of ours
}

func TestClean(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	dsn := h.start("")
	s := newSuite(t, dsn)
	h.run("clean").expect(0, "nothing to drop")
	h.run("clean", "-json").expectOut(0, "{\n  \"databases\": [],\n  \"dry_run\": false\n}\n")
	h.run("clean", "-unused", "1h").expect(0, "nothing to drop")
	h.run("clean", "-all").expectOut(0, "dropped "+s.free+"\n")
	kept := s.keep()
	s.end()
	h.run("stop").expect(0, "stopped")
	h.run("clean", "-dry-run").expectOut(0, "would drop "+kept+"\n")
	h.run("clean", "-dry-run", "-json").expectOut(0, "{\n  \"databases\": [\n    \""+kept+"\"\n  ],\n  \"dry_run\": true\n}\n")
	h.run("clean").expectOut(0, "dropped "+kept+"\n")
	h.run("clean", "-unused", "1ns").expectOut(0, "dropped "+s.Template()+"\n")
	h.run("status").expect(0, "no databases: the first test makes them")
}

func TestCleanSaysWhichServerItLeavesAlone(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	newSuite(t, h.start("")).end()
	newSuite(t, h.start(otherVersion(t))).end()
	h.run("stop").expect(0, "stopped embedded server pg14-", "\nstopped")
	r := h.run("clean", "-all")
	if r.code != 0 || strings.Count(r.out, "dropped") != 3 {
		t.Errorf("exit status %d\n%s", r.code, r.out)
	}
	r.expectErrOut("is stopped and keeps its databases: with TXISO_POSTGRES_BIN=")
}
