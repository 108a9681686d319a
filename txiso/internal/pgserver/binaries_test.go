//go:build unix && !solaris && !aix

package pgserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeBinaries makes a bin directory of scripts that say that they are of that version, do what body says, and then run the real ones.
func fakeBinaries(t *testing.T, dir, version, body string) string {
	t.Helper()
	found, wrong := usualPlaces().search(t.Context(), noProbes(t))
	if given := os.Getenv("TXISO_POSTGRES_BIN"); given != "" {
		found.dir = given
	}
	if found.dir == "" {
		t.Skip("no real PostgreSQL to run: ", wrong)
	}
	writeScript(t, filepath.Join(dir, "postgres"), fmt.Sprintf("[ \"$1\" = --version ] && echo 'postgres (PostgreSQL) %s' && exit 0\n%s\nexec '%s/postgres' \"$@\"", version, body, found.dir))
	writeScript(t, filepath.Join(dir, "initdb"), fmt.Sprintf("exec '%s/initdb' \"$@\"", found.dir))
	return dir
}

func writeScript(t *testing.T, path, body string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func noProbes(t *testing.T) *probes {
	t.Helper()
	a, err := serverAccount()
	if err != nil {
		t.Fatal(err)
	}
	return loadProbes(publicDir(t), a)
}

func wantFound(t *testing.T, where places, dir, version string) {
	t.Helper()
	got, wrong := where.search(t.Context(), noProbes(t))
	if got.dir != dir || got.version != version {
		t.Errorf("found %+v, want %s in %s (wrong: %v)", got, version, dir, wrong)
	}
}

func TestSearchTakesTheNewest(t *testing.T) {
	base := publicDir(t)
	for _, version := range []string{"9.6.24", "13.99", "14.2", "16.10", "16.9", "18beta1", "17.5 (Debian 17.5-1)"} {
		fakeBinaries(t, filepath.Join(base, "lib", strings.Fields(version)[0], "bin"), version, "")
	}
	where := places{globs: []string{filepath.Join(base, "none", "*", "bin"), filepath.Join(base, "lib", "*", "bin")}}
	wantFound(t, where, filepath.Join(base, "lib", "18beta1", "bin"), "18beta1")
	for _, version := range []string{"18beta1", "17.5"} {
		if err := os.RemoveAll(filepath.Join(base, "lib", version)); err != nil {
			t.Fatal(err)
		}
	}
	wantFound(t, where, filepath.Join(base, "lib", "16.10", "bin"), "16.10")
}

func TestSearchFollowsThePath(t *testing.T) {
	base := publicDir(t)
	real := fakeBinaries(t, filepath.Join(base, "real", "bin"), "16.1", "")
	links := filepath.Join(base, "links")
	if err := os.Mkdir(links, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(real, "postgres"), filepath.Join(links, "postgres")); err != nil { // initdb is beside the real one only
		t.Fatal(err)
	}
	wantFound(t, places{path: links}, real, "16.1")
}

func TestSearchAsksPgConfig(t *testing.T) {
	base := publicDir(t)
	real := fakeBinaries(t, filepath.Join(base, "real", "bin"), "16.1", "")
	writeScript(t, filepath.Join(base, "links", "pg_config"), "echo "+real)
	wantFound(t, places{path: filepath.Join(base, "links")}, real, "16.1")
}

func TestSearchRemembersAnswersOfUnchangedProgramsOnly(t *testing.T) {
	base := publicDir(t)
	bin := filepath.Join(base, "bin")
	asked := filepath.Join(base, "asked")
	if err := os.WriteFile(asked, nil, 0o666); err != nil || os.Chmod(asked, 0o666) != nil {
		t.Fatal(err)
	}
	where, known := places{globs: []string{bin}}, noProbes(t)
	for i, version := range []string{"16.1", "16.1", "16.11"} {
		writeScript(t, filepath.Join(bin, "initdb"), "")
		if i != 1 {
			writeScript(t, filepath.Join(bin, "postgres"), fmt.Sprintf("echo asked >>%s; echo 'postgres (PostgreSQL) %s'", asked, version))
		}
		if got, wrong := where.search(t.Context(), known); got.version != version {
			t.Errorf("found %+v, want %s (wrong: %v)", got, version, wrong)
		}
		known.save()
		known = loadProbes(filepath.Dir(known.file), known.account)
	}
	if text, err := os.ReadFile(asked); err != nil || strings.Count(string(text), "asked") != 2 {
		t.Errorf("asked %q, want twice (%v)", text, err)
	}
}

func TestBinDirWinsOverTheSearch(t *testing.T) {
	h := newHome(t)
	bin := fakeBinaries(t, filepath.Join(publicDir(t), "bin"), "14.0", "")
	for name, set := range map[string]func(*Config){
		"field":    func(c *Config) { c.BinDir = bin },
		"variable": func(*Config) { t.Setenv("TXISO_POSTGRES_BIN", bin) },
	} {
		config := h.config()
		set(&config)
		if status, err := Inspect(t.Context(), config); err != nil || status.BinDir != bin || status.Version != "14.0" {
			t.Errorf("%s: %+v, %v", name, status, err)
		}
	}
}

func TestBinariesThatCannotBeUsed(t *testing.T) {
	base := publicDir(t)
	fakeBinaries(t, filepath.Join(base, "old"), "13.22", "")
	fakeBinaries(t, filepath.Join(base, "half"), "16.1", "")
	if err := os.Remove(filepath.Join(base, "half", "initdb")); err != nil {
		t.Fatal(err)
	}
	writeScript(t, filepath.Join(base, "broken", "initdb"), "")
	writeScript(t, filepath.Join(base, "broken", "postgres"), "echo 'libpq.so.5: cannot open shared object file' >&2; exit 127")
	writeScript(t, filepath.Join(base, "silent", "initdb"), "")
	writeScript(t, filepath.Join(base, "silent", "postgres"), "exit 3")
	writeScript(t, filepath.Join(base, "strange", "initdb"), "")
	writeScript(t, filepath.Join(base, "strange", "postgres"), "echo hello")
	for dir, texts := range map[string][]string{
		"old":     {"PostgreSQL 13.22, older than 14"},
		"half":    {"initdb: no such file"},
		"broken":  {"exit status 127: libpq.so.5: cannot open shared object file: set TXISO_POSTGRES_BIN"},
		"silent":  {"exit status 3: set TXISO_POSTGRES_BIN"},
		"strange": {`says "hello"`},
		"missing": {"no such file"},
	} {
		config := newHome(t).config()
		config.BinDir = filepath.Join(base, dir)
		_, err := Start(t.Context(), config)
		wantError(t, err, nil, append(texts, config.BinDir, "set TXISO_POSTGRES_BIN")...)
	}
}

func TestNoBinariesAtAll(t *testing.T) {
	t.Setenv("TXISO_POSTGRES_BIN", "")
	t.Setenv("TXISO_POSTGRES_URL", "")
	base := publicDir(t)
	fakeBinaries(t, filepath.Join(base, "12"), "12.1", "")
	_, err := resolve(t.Context(), newHome(t).config(), places{path: "/no/path", globs: []string{"/no/glob/*", filepath.Join(base, "*")}})
	wantError(t, err, errNoDownload, "/no/path", "/no/glob/*", "PostgreSQL 12.1, older than 14",
		"Install PostgreSQL", "TXISO_POSTGRES_BIN", "TXISO_DSN", "TXISO_POSTGRES_URL is not set")
}

func TestServerGetsSmallerWhereMemoryIsScarce(t *testing.T) {
	h := newHome(t)
	config := h.config()
	config.BinDir = fakeBinaries(t, filepath.Join(publicDir(t), "bin"), "17.1",
		"case \"$*\" in *max_connections=1000*|*max_connections=300*) echo 'FATAL:  could not create semaphores: No space left on device' >&2; exit 1;; esac")
	s, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if n := query[string](t, connect(t, s), "SHOW max_connections"); n != "60" {
		t.Errorf("max_connections %s", n)
	}
}

func TestBinariesThatNeverServe(t *testing.T) {
	h := newHome(t)
	config := h.config()
	config.BinDir = fakeBinaries(t, filepath.Join(publicDir(t), "bin"), "17.1", "case \"$*\" in *max_connections*) echo 'FATAL:  not today' >&2; exit 1;; esac")
	_, err := Start(t.Context(), config)
	wantError(t, err, nil, "FATAL:  not today", "set TXISO_HOME", "TXISO_DSN")
	if n := h.created.Load(); n != 1 {
		t.Errorf("%d data directories created: a fresh one is not to blame", n)
	}
}

// In a folder of its own each package looked elsewhere, and the server's programs run in none of them.
func TestSearchLeavesRelativeDirectoriesOut(t *testing.T) {
	base := publicDir(t)
	fakeBinaries(t, filepath.Join(base, "bin"), "16.1", "")
	t.Chdir(base)
	got, wrong := places{path: "bin::."}.search(t.Context(), noProbes(t))
	if got.dir != "" || len(wrong) > 0 {
		t.Errorf("found %+v, wrong %v", got, wrong)
	}
}

// A script that runs postgres and waits for its end has another pid than the server.
func TestServerMayBeTheChildOfAScript(t *testing.T) {
	h := newHome(t)
	config := h.config()
	config.BinDir = fakeBinaries(t, filepath.Join(publicDir(t), "bin"), "17.1", "")
	script, err := os.ReadFile(filepath.Join(config.BinDir, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	writeScript(t, filepath.Join(config.BinDir, "postgres"), strings.ReplaceAll(string(script), "\nexec ", "\n"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // it was waited for in vain
	defer cancel()
	s, err := Start(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	connect(t, s)
	if err := Stop(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}
