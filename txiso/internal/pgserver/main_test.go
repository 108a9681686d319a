//go:build unix && !solaris && !aix

package pgserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// childHome makes this test binary a child process: it starts the server of that home, connects, says so, and stays until its standard input ends.
const childHome = "PGSERVER_TEST_CHILD_HOME"

func TestMain(m *testing.M) {
	if home := os.Getenv(childHome); home != "" {
		if err := child(home); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func child(home string) error {
	ctx := context.Background()
	created := 0
	s, err := Start(ctx, Config{Home: home, IdleTimeout: testIdle, Logf: func(string, ...any) { created++ }})
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, s.DSN())
	if err != nil {
		return err
	}
	var started time.Time
	if err := conn.QueryRow(ctx, "SELECT pg_postmaster_start_time()").Scan(&started); err != nil {
		return err
	}
	fmt.Println("connected", started.UnixMicro(), created)
	if statement := os.Getenv("PGSERVER_TEST_CHILD_STATEMENT"); statement != "" {
		_, err := conn.Exec(ctx, statement)
		return err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "SELECT 1") // its server must still be there
	return err
}

// testIdle is short, so that nothing stays for long whatever happens to the tests.
const testIdle = 2 * time.Second

// process is a child, or another program that stays until its standard input ends.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	said  *bufio.Reader
}

func startChild(t *testing.T, home string, env ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(append(os.Environ(), childHome+"="+home), env...)
	return startProcess(t, cmd)
}

func startProcess(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &process{cmd, stdin, bufio.NewReader(stdout)}
}

// connected waits until the child has a connection and tells when its server started and how many data directories the child made.
func (p *process) connected(t *testing.T) (startedAt int64, created int) {
	t.Helper()
	line, err := p.said.ReadString('\n')
	if _, scanErr := fmt.Sscanf(line, "connected %d %d", &startedAt, &created); err != nil || scanErr != nil {
		rest, _ := io.ReadAll(p.said)
		t.Fatalf("child said %q (%v)", line+string(rest), err)
	}
	return startedAt, created
}

// finish lets the child end and waits until nobody holds its standard output any more.
func (p *process) finish(t *testing.T) {
	t.Helper()
	_ = p.stdin.Close()
	if _, err := io.Copy(io.Discard, p.said); err != nil {
		t.Error(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_, _ = io.Copy(io.Discard, p.said)
	_ = p.cmd.Wait()
}

// testServers is a home of its own whose servers and files are gone after the test.
type testServers struct {
	t       *testing.T
	home    string
	created atomic.Int32
}

func newHome(t *testing.T) *testServers {
	t.Helper()
	home := &testServers{t: t, home: publicDir(t)}
	t.Cleanup(func() { // before publicDir's
		if err := Stop(context.Background(), home.config()); err != nil {
			t.Error(err)
		}
		for _, dir := range entries(home.home, "pg") {
			c := openCluster(dir, account{})
			_ = os.Remove(c.socketDir(nameOf(t, c))) // if it is in /tmp
		}
	})
	return home
}

// publicDir is a temporary directory that every user gets into: t.TempDir is for us alone, and if we are root the server is somebody else.
func publicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pgserver-test-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func (h *testServers) config() Config {
	return Config{Home: h.home, IdleTimeout: testIdle, Logf: func(string, ...any) { h.created.Add(1) }}
}

func (h *testServers) start() *Server {
	h.t.Helper()
	s, err := Start(h.t.Context(), h.config())
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (h *testServers) cluster() *cluster {
	h.t.Helper()
	c, err := resolve(h.t.Context(), h.config(), usualPlaces())
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func postmasterOf(t *testing.T, c *cluster) postmaster {
	t.Helper()
	p, err := c.postmaster()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func processesOf(t *testing.T, c *cluster) []int {
	t.Helper()
	pids, err := c.processes()
	if err != nil {
		t.Fatal(err)
	}
	return pids
}

func nameOf(t *testing.T, c *cluster) string {
	t.Helper()
	name, err := c.name()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// awaitEnd waits until no process of the server is left.
func (h *testServers) awaitEnd() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	if err := h.cluster().awaitEnd(ctx, time.Hour); err != nil {
		h.t.Fatal(err)
	}
}

func connect(t *testing.T, s *Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func query[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// wantError checks the text of an error, and its kind if there is one.
func wantError(t *testing.T, err, kind error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", texts)
	}
	if kind != nil && !errors.Is(err, kind) {
		t.Errorf("error %q is not %q", err, kind)
	}
	for _, text := range append(texts, "txiso: ") {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}
