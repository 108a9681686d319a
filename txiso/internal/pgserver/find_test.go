//go:build unix && !solaris && !aix

package pgserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
)

// otherVersion makes binaries that say they are of another version, and are those of the machine.
func otherVersion(t *testing.T, version string) string {
	t.Helper()
	c, err := resolve(t.Context(), Config{Home: publicDir(t)}, usualPlaces())
	if err != nil {
		t.Fatal(err)
	}
	dir := publicDir(t)
	for _, program := range []string{"initdb", "postgres"} {
		script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" != --version ] || { echo '%s (PostgreSQL) %s'; exit; }\nexec '%s' \"$@\"\n",
			program, version, filepath.Join(c.bin.dir, program))
		if err := os.WriteFile(filepath.Join(dir, program), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (h *testServers) find() []Status {
	h.t.Helper()
	found, err := Find(h.t.Context(), h.config())
	if err != nil {
		h.t.Fatal(err)
	}
	return found
}

func TestFindCreatesNothing(t *testing.T) {
	t.Parallel()
	home := filepath.Join(publicDir(t), "home")
	found, err := Find(t.Context(), Config{Home: home})
	if err != nil || len(found) != 0 {
		t.Errorf("found %+v, %v", found, err)
	}
	if _, err := os.Stat(home); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the home is there: %v", err)
	}
	if where, err := Home(Config{Home: home}); err != nil || where != home {
		t.Errorf("the home is %q, %v", where, err)
	}
}

func TestFindTellsOfServersOfAllVersions(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	connect(t, h.start())
	other := h.config()
	other.BinDir = otherVersion(t, "14.99")
	s, err := Start(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	connect(t, s)
	for _, cfg := range []Config{h.config(), other} {
		want, err := Inspect(t.Context(), cfg)
		if err != nil || !want.Running {
			t.Fatal(want, err)
		}
		if !contains(h.find(), want) {
			t.Errorf("found %+v, want also %+v", h.find(), want)
		}
	}
	if err := Stop(t.Context(), h.config()); err != nil {
		t.Fatal(err)
	}
	for _, s := range h.find() {
		if s.Running || s.DSN != "" || !s.Started.IsZero() || s.Version == "" {
			t.Errorf("after its end: %+v", s)
		}
	}
}

// contains compares what the binaries do not decide: those of the other version start the machine's.
func contains(found []Status, want Status) bool {
	for _, s := range found {
		s.Version, s.BinDir = want.Version, want.BinDir
		if s == want {
			return true
		}
	}
	return false
}

func TestStopUnusedLeavesAServerInUse(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	dsn := h.start().DSN()
	conn, err := pgx.Connect(t.Context(), dsn+" application_name=shop.test")
	if err != nil {
		t.Fatal(err)
	}
	var inUse *InUseError
	err = StopUnused(t.Context(), h.config())
	if !errors.As(err, &inUse) || len(inUse.Users) != 1 {
		t.Fatalf("got %v, want an InUseError with one user", err)
	}
	wantError(t, err, nil, "is in use by", `"shop.test" in database postgres`, fmt.Sprint("backend ", conn.PgConn().PID()), "wait until")
	if n := query[int](t, conn, "SELECT 1"); n != 1 {
		t.Error("the user's connection does not answer")
	}
	connect(t, h.start()).Close(t.Context()) // its decision to stop is taken back
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := StopUnused(t.Context(), h.config()); err != nil { // though its backend may still be there for a moment
		t.Fatal(err)
	}
	if left := processesOf(t, h.cluster()); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
	if err := StopUnused(t.Context(), h.config()); err != nil {
		t.Errorf("a second time: %v", err)
	}
}
