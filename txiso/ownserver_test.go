//go:build unix

package txiso_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/txiso/txiso-go/txiso/internal/pgserver"
)

// ownServer is a PostgreSQL server of one test, for what nobody may do to a shared one. It listens on 127.0.0.1, where a
// password is asked for (scram), and on a socket, where none is. Its superuser is postgres.
type ownServer struct {
	t    *testing.T
	bin  string
	dir  string
	port int
}

// startServer runs a server until t ends, or this process does, however that may be.
func startServer(t *testing.T, settings ...string) *ownServer {
	t.Helper()
	return startServerIn(t, "UTF8", settings...)
}

// startServerIn is startServer for one that was made for an encoding.
func startServerIn(t *testing.T, encoding string, settings ...string) *ownServer {
	t.Helper()
	s := &ownServer{t: t, bin: binaries(t), dir: publicDir(t), port: freePort(t)}
	s.write("password", password)
	s.run("initdb", "--pgdata="+s.data(), "--username=postgres", "--pwfile="+filepath.Join(s.dir, "password"),
		"--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync", "--encoding="+encoding, "--locale=C")
	s.write("data/postgresql.auto.conf", fmt.Sprintf("listen_addresses = '127.0.0.1'\nport = %d\nunix_socket_directories = '%s'\nfsync = off\n%s\n",
		s.port, s.dir, strings.Join(settings, "\n")))
	s.stopWhenWeEnd()
	s.pgCtl("start")
	return s
}

// binaries finds PostgreSQL's programs where the embedded server would.
func binaries(t *testing.T) string {
	t.Helper()
	status, err := pgserver.Inspect(t.Context(), pgserver.Config{Home: publicDir(t)})
	if err != nil {
		t.Skipf("this test runs a server of its own: install PostgreSQL or set TXISO_POSTGRES_BIN: %v", err)
	}
	if _, err := os.Stat(filepath.Join(status.BinDir, "pg_ctl")); err != nil {
		t.Skipf("this test runs a server of its own: %v", err)
	}
	return status.BinDir
}

// publicDir is a temporary directory for the server's user, who may be another than ours.
func publicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "txiso-test-")
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

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *ownServer) data() string { return filepath.Join(s.dir, "data") }

// socketDSN needs no password.
func (s *ownServer) socketDSN() string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres", s.dir, s.port)
}

// tcpDSN has one.
func (s *ownServer) tcpDSN(user, password string) string {
	return fmt.Sprintf("host=127.0.0.1 port=%d user=%s password=%s dbname=postgres", s.port, user, password)
}

func (s *ownServer) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	s.give(path)
}

// give makes the server's user the owner of a file.
func (s *ownServer) give(path string) {
	s.t.Helper()
	if uid, gid, switched := serverUser(s.t); switched {
		if err := os.Chown(path, uid, gid); err != nil {
			s.t.Fatal(err)
		}
	}
}

// serverUser tells who runs the server if we are root, because PostgreSQL refuses to.
func serverUser(t *testing.T) (uid, gid int, switched bool) {
	t.Helper()
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ = strconv.Atoi(u.Uid)
			gid, _ = strconv.Atoi(u.Gid)
			return uid, gid, true
		}
	}
	t.Skip("PostgreSQL does not run as root: add a user postgres, or run the tests as another user")
	return 0, 0, false
}

func (s *ownServer) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	if uid, gid, switched := serverUser(s.t); switched {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	return cmd
}

func (s *ownServer) run(program string, args ...string) {
	s.t.Helper()
	s.give(s.dir)
	if out, err := s.command(filepath.Join(s.bin, program), args...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// pgCtl starts or restarts the server and waits until it answers.
func (s *ownServer) pgCtl(args ...string) {
	s.t.Helper()
	s.run("pg_ctl", append(args, "-D", s.data(), "-w", "-l", filepath.Join(s.dir, "log"))...)
}

// stopWhenWeEnd leaves a shell that stops the server as soon as nobody holds the other end of its standard input.
func (s *ownServer) stopWhenWeEnd() {
	s.t.Helper()
	guard := s.command("/bin/sh", "-c", `read -r _; "$0" stop -D "$1" -m immediate -w`, filepath.Join(s.bin, "pg_ctl"), s.data())
	guard.SysProcAttr = inGroupOfItsOwn(guard.SysProcAttr)
	stdin, err := guard.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := guard.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.endGuard(guard, stdin) })
}

func (s *ownServer) endGuard(guard *exec.Cmd, stdin io.Closer) {
	_ = stdin.Close()
	if err := guard.Wait(); err != nil && !s.t.Failed() {
		s.t.Logf("stopping the server: %v", err) // it may have been stopped by the test
	}
}

// inGroupOfItsOwn keeps an interrupt of `go test` from the guard, which has still work to do then.
func inGroupOfItsOwn(attr *syscall.SysProcAttr) *syscall.SysProcAttr {
	if attr == nil {
		attr = &syscall.SysProcAttr{}
	}
	attr.Setpgid = true
	return attr
}
