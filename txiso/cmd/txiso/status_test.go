//go:build unix

package main_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestStatusOfAHomeWithoutServers(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.run("status").expect(0, "no embedded server has been started in "+h.dir+" yet")
	if o := h.run("status", "--json").decode(); len(o.Servers) != 0 {
		t.Errorf("servers %+v", o.Servers)
	}
	h.run("stop").expect(0, "no embedded server runs in "+h.dir)
	h.run("clean").expect(0, "nothing to drop")
	h.run("dsn", "txiso_1").expect(1, "txiso: there is no database txiso_1 among those that txiso has made; run a test that makes one")
	if _, err := os.Stat(h.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("asking has made the home: %v", err)
	}
}

func TestStatusShowsWhoHoldsWhat(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	s := newSuite(t, h.start(""))
	c, err := s.Clone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for len(h.run("status", "-json").decode().Servers[0].Databases.Workers) < 3 {
		time.Sleep(time.Millisecond) // the next clone is being made
	}
	me := fmt.Sprintf("%s (process %d) as postgres", filepath.Base(os.Args[0]), os.Getpid())
	text := h.run("status").expect(0, "embedded server pg", "running for ", h.dir, "connections")
	for line, want := range map[string]string{
		"template  " + s.Template() + " ":     me,
		"worker    " + s.held.Name() + " ":    me,
		"clone     " + c.Name() + " ":         me,
		"worker    " + s.free + " ":           " -",
		"KIND      NAME                     ": "HELD BY",
	} {
		if !hasLine(text.out, line, want) {
			t.Errorf("no line with %q and %q in\n%s", line, want, text.out)
		}
	}

	o := h.run("status", "-json").decode()
	if len(o.Servers) != 1 || o.Servers[0].Databases == nil {
		t.Fatalf("got %+v", o)
	}
	server, has := o.Servers[0], o.Servers[0].Databases
	if !server.Running || server.Kind != "embedded" || server.Process == 0 || server.MaxConnections == 0 || server.Started.IsZero() ||
		server.Connections < 1 || !strings.HasPrefix(server.Data, h.dir) || server.Version == "" || server.Programs == "" {
		t.Errorf("the server is %+v", server)
	}
	if len(has.Templates) != 1 || len(has.Workers) != 3 || len(has.Clones) != 1 || len(has.Kept)+len(has.Incomplete)+has.Others != 0 {
		t.Errorf("the databases are %+v", has)
	}
	if held := has.Workers[0]; held.Name != s.held.Name() || len(held.Holders) != 1 || held.Holders[0].Process != os.Getpid() || held.Size < 1<<20 {
		t.Errorf("the worker database is %+v", held)
	}
}

// hasLine reports whether one line has both texts.
func hasLine(text, start, end string) bool {
	for line := range strings.Lines(text) {
		if _, rest, ok := strings.Cut(line, start); ok && strings.Contains(rest, end) {
			return true
		}
	}
	return false
}

func TestStatusStartsNoServer(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	newSuite(t, h.start("")).end()
	h.run("stop").expect(0, "stopped embedded server pg", "which ran for")
	r := h.run("status").expect(0, ", stopped\n", h.dir)
	if strings.Contains(r.out, "running") || strings.Contains(r.out, "KIND") {
		t.Errorf("status says\n%s", r.out)
	}
	if o := h.run("status", "-json").decode(); len(o.Servers) != 1 || o.Servers[0].Running || o.Servers[0].Process != 0 || o.Servers[0].Databases != nil {
		t.Errorf("got %+v", o)
	}
	if n := h.running(); n != 0 {
		t.Errorf("%d servers run", n)
	}
}

// otherVersion makes binaries that say they are of another version, and are those of the machine.
func otherVersion(t *testing.T) string {
	t.Helper()
	usual, dir := newHome(t).status(), publicDir(t)
	for _, name := range []string{"initdb", "postgres"} {
		script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" != --version ] || { echo '%s (PostgreSQL) 14.99'; exit; }\nexec '%s' \"$@\"\n", name, filepath.Join(usual.BinDir, name))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTwoServersOfOneHome(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	one, other := newSuite(t, h.start("")), newSuite(t, h.start(otherVersion(t)))
	if n := h.running(); n != 2 {
		t.Fatalf("%d servers run", n)
	}
	r := h.run("status").expect(0, "embedded server pg14-", "\n\nembedded server pg")
	if n := strings.Count(r.out, "HELD BY"); n != 2 {
		t.Errorf("%d tables in\n%s", n, r.out)
	}
	clone, err := other.Clone(t.Context()) // its name is the other server's alone
	if err != nil {
		t.Fatal(err)
	}
	h.run("dsn", clone.Name()).expect(0, "/"+clone.Name()+"?", "pg14-")
	refused := h.run("stop").expect(1, "txiso: the embedded server pg14-", "\ntxiso: the embedded server pg", "is in use by", "txiso stop -force")
	if refused.out != "" {
		t.Errorf("it also says %q", refused.out)
	}
	one.end()
	h.run("stop").expect(1, "pg14-")
	if n := h.running(); n != 1 {
		t.Errorf("%d servers run", n)
	}
	h.run("stop", "-force").expect(0, "stopped embedded server pg14-")
	if n := h.running(); n != 0 {
		t.Errorf("%d servers run", n)
	}
	h.run("dsn", "elsewhere").expect(1, "there is no database elsewhere", "did you mean")
}
