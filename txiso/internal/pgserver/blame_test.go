//go:build unix && !solaris && !aix

package pgserver

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// troubled is a home whose postgres does what a script says, if there is one, before it starts.
func troubled(t *testing.T) (h *testServers, cfg Config, script string) {
	t.Helper()
	h = newHome(t)
	real := h.cluster().bin.dir
	dir := publicDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	script = filepath.Join(dir, "script")
	for _, program := range []string{"initdb", "postgres"} {
		text := fmt.Sprintf("#!/bin/sh\n[ ! -e '%s' ] || . '%[1]s'\nexec '%[2]s' \"$@\"\n", script, filepath.Join(real, program))
		if err := os.WriteFile(filepath.Join(dir, program), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cfg = h.config()
	cfg.BinDir = dir
	s, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connect(t, s).Exec(t.Context(), "CREATE TABLE kept AS SELECT 42 AS n"); err != nil {
		t.Fatal(err)
	}
	if err := Stop(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return h, cfg, script
}

// wantKept starts the server and looks whether its data is what it was.
func (h *testServers) wantKept(t *testing.T, cfg Config) {
	t.Helper()
	s, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if n := query[int](t, connect(t, s), "SELECT n FROM kept"); n != 42 || h.created.Load() != 1 {
		t.Errorf("%d in the table, %d data directories created", n, h.created.Load())
	}
}

// One SIGKILL at the wrong moment, as the kernel sends it where memory is short, cost all databases, kept ones too.
func TestServerThatWasKilledWhileItStartedIsStartedOnceMore(t *testing.T) {
	h, cfg, script := troubled(t)
	if err := os.WriteFile(script, []byte("rm '"+script+"'; kill -9 $$\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.wantKept(t, cfg)
}

func TestDataIsKeptWhereSomethingElseKeepsTheServerFromStarting(t *testing.T) {
	h, cfg, script := troubled(t)
	for name, c := range map[string]struct{ script, says string }{
		"killed":   {"kill -9 $$", "may have been killed"},
		"library":  {"echo 'error while loading shared libraries: libssl.so.3: cannot open shared object file: No such file or directory' >&2; exit 127", "libssl.so.3"},
		"ulimit":   {"ulimit -n 20", "insufficient file descriptors"},
		"bind":     {"set -- \"$@\" -c unix_socket_directories=/nowhere", "/nowhere"},
		"setting":  {"set -- \"$@\" -c work_mem=none", `invalid value for parameter "work_mem"`},
		"timezone": {"set -- \"$@\" -c timezone_abbreviations=Nowhere", "timezone_abbreviations"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(script, []byte(c.script+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Start(t.Context(), cfg)
			wantError(t, err, nil, "does not start", c.says, "TXISO_HOME", "TXISO_DSN", "remove its data in "+h.home)
			if err := os.Remove(script); err != nil {
				t.Fatal(err)
			}
			h.wantKept(t, cfg)
			if err := Stop(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestWhatTellsOfDamage(t *testing.T) {
	c := &cluster{dir: "/home/pg15"}
	for _, failure := range []struct {
		err    error
		broken bool
	}{
		{&failedStart{c, "PANIC:  could not locate a valid checkpoint record"}, true},
		{&failedStart{c, `FATAL:  could not open file "pg_xact/0000": No such file or directory`}, true},
		{&failedStart{c, `LOG:  could not open file "/home/pg15/cluster/data/pg_hba.conf": No such file or directory`}, true},
		{&failedStart{c, `FATAL:  could not open file "/usr/share/postgresql/15/timezonesets/Default": No such file or directory`}, false},
		{&failedStart{c, `PANIC:  could not open file "pg_wal/000000010000000000000001": Too many open files`}, false},
		{&failedStart{c, "LOG:  startup process (PID 7) was terminated by signal 9: Killed"}, false},
		{&failedStart{c, ""}, false},
		{&unguardedStart{c, &pgconn.PgError{Code: "3D000"}}, true},
		{&unguardedStart{c, &pgconn.PgError{Code: "57P01"}}, false},
		{&unguardedStart{c, io.ErrUnexpectedEOF}, false}, // it was killed
		{&pgconn.PgError{Code: "XX000"}, false},          // not of a start
	} {
		if got := c.isBroken(t.Context(), failure.err); got != failure.broken {
			t.Errorf("%v: %v", failure.err, got)
		}
	}
}
