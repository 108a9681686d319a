//go:build unix

package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/txiso/txiso-go/txiso/internal/pgserver"
	"github.com/txiso/txiso-go/txiso/internal/provision"
)

var program string // the command, as users build it

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "txiso-command-")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "txiso")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		fmt.Printf("building the command: %v\n%s", err, out)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// result is what a run of the command gave.
type result struct {
	t           *testing.T
	code        int
	out, errOut string
}

// txiso runs the command with more variables, which may be overridden.
func txiso(t *testing.T, variables []string, args ...string) *result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(append(os.Environ(), "TXISO_DSN=", "TXISO_IDLE_TIMEOUT=10s"), variables...)
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if ended := new(exec.ExitError); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return &result{t, cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// expect wants an exit status, and texts in what went to standard output or, of a failure, to standard error.
func (r *result) expect(code int, texts ...string) *result {
	r.t.Helper()
	said := r.out
	if code != 0 {
		said = r.errOut
	}
	for _, text := range texts {
		if !strings.Contains(said, text) {
			r.t.Errorf("it does not say %q", text)
		}
	}
	if r.code != code || code == 0 && r.errOut != "" {
		r.t.Errorf("exit status %d, want %d", r.code, code)
	}
	if r.t.Failed() {
		r.t.Fatalf("standard output:\n%s\nstandard error:\n%s", r.out, r.errOut)
	}
	return r
}

// home is a TXISO_HOME of the test's own.
type home struct {
	t   *testing.T
	dir string
}

func newHome(t *testing.T) *home {
	t.Helper()
	h := &home{t, filepath.Join(publicDir(t), "home")}
	t.Cleanup(func() { // before publicDir's
		if err := pgserver.Stop(context.Background(), pgserver.Config{Home: h.dir}); err != nil {
			t.Error(err)
		}
	})
	return h
}

// publicDir is a temporary directory that the server's user gets into, too.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "txiso-command-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (h *home) run(args ...string) *result {
	h.t.Helper()
	return txiso(h.t, []string{"TXISO_HOME=" + h.dir}, args...)
}

// start starts the home's server, with other binaries if they are named.
func (h *home) start(binDir string) string {
	h.t.Helper()
	s, err := pgserver.Start(h.t.Context(), pgserver.Config{Home: h.dir, BinDir: binDir})
	if err != nil {
		h.t.Fatal(err)
	}
	return s.DSN()
}

// status is what the home's usual server is.
func (h *home) status() pgserver.Status {
	h.t.Helper()
	status, err := pgserver.Inspect(h.t.Context(), pgserver.Config{Home: h.dir})
	if err != nil {
		h.t.Fatal(err)
	}
	return status
}

func (h *home) running() (n int) {
	h.t.Helper()
	found, err := pgserver.Find(h.t.Context(), pgserver.Config{Home: h.dir})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, s := range found {
		if s.Running {
			n++
		}
	}
	return n
}

// suite is what a process with tests has on a server.
type suite struct {
	*provision.Provisioner
	t    *testing.T
	held *provision.WorkerDB
	free string
}

// newSuite has a template, a worker database that it holds, and one that is free.
func newSuite(t *testing.T, dsn string) *suite {
	t.Helper()
	files := fstest.MapFS{"00001_t.sql": {Data: []byte("-- +goose Up\nCREATE TABLE t (n int);\nINSERT INTO t VALUES (42);\n")}}
	p, err := provision.Open(t.Context(), provision.Config{DSN: dsn, Migrator: provision.Goose(files)})
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{Provisioner: p, t: t}
	t.Cleanup(s.end)
	s.held = s.lease()
	free := s.lease()
	s.free = free.Name()
	free.Release()
	return s
}

func (s *suite) lease() *provision.WorkerDB {
	s.t.Helper()
	w, err := s.Lease(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return w
}

// end is the end of the process.
func (s *suite) end() {
	if err := s.Close(context.Background()); err != nil {
		s.t.Error(err)
	}
}

// output is the JSON of status, as somebody else would read it.
type output struct {
	Servers []struct {
		Kind, Version, Address, Name, Data, Log, Programs string
		Running                                           bool
		Process, Connections                              int
		MaxConnections                                    int `json:"max_connections"`
		Started                                           time.Time
		Databases                                         *struct {
			Templates, Workers, Clones, Kept, Incomplete []entry
			Others                                       int
		}
	}
}

type entry struct {
	Name, Kind, Template, Test string
	Created, Used              time.Time
	Size, Connections          int
	Holders                    []struct {
		Process, Backend                   int
		Program, User, Client, Application string
		Since                              time.Time
	}
}

// decode reads JSON that has no field we do not know.
func (r *result) decode() (o output) {
	r.t.Helper()
	r.expect(0)
	decoder := json.NewDecoder(strings.NewReader(r.out))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&o); err != nil || strings.Contains(r.out, ": null") != strings.Contains(r.out, `"running": false`) {
		r.t.Fatalf("%v\n%s", err, r.out)
	}
	return o
}

func execute(t *testing.T, dsn, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Errorf("%s: %v", sql, err)
	}
	_ = conn.Close(t.Context())
}

// keep makes the database that a suite holds one that was kept for a failed test.
func (s *suite) keep() string {
	s.t.Helper()
	kept, err := s.held.Keep(s.t.Context(), "TestTransfer", 10)
	if err != nil {
		s.t.Fatal(err)
	}
	return kept.Name
}
