//go:build unix && !solaris && !aix

package pgserver

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Whoever had another /tmp killed the server of those who had not.
func TestServerWhoseSocketCannotBeReachedIsLeftAlone(t *testing.T) {
	h := newHome(t)
	conn := connect(t, h.start())
	p := postmasterOf(t, h.cluster())
	if err := os.Remove(filepath.Join(p.socketDir, ".s.PGSQL."+strconv.Itoa(port))); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), h.config())
	for _, err := range []error{err, StopUnused(t.Context(), h.config())} {
		wantError(t, err, nil, "(pid "+strconv.Itoa(p.pid)+")", "socket in "+p.socketDir, "kill -INT "+strconv.Itoa(p.pid), "TXISO_HOME")
	}
	if query[int](t, conn, "SELECT 1") != 1 {
		t.Error("the server does not answer")
	}
	if err := Stop(t.Context(), h.config()); err != nil { // which does not ask
		t.Fatal(err)
	}
	connect(t, h.start())
}

// A server that could make no process for somebody who came was taken for one that stops, and was killed with all who used it.
func TestServerThatCannotMakeAProcessIsLeftAlone(t *testing.T) {
	prlimit, err := exec.LookPath("prlimit")
	if err != nil {
		t.Skip("this needs util-linux to limit a process that runs")
	}
	owner, err := serverAccount()
	if err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	h := newHome(t)
	conn := connect(t, h.start())
	p := postmasterOf(t, h.cluster())
	limit := func(options ...string) string {
		out, err := owner.command(t.Context(), prlimit, append([]string{"--pid", strconv.Itoa(p.pid)}, options...)...).CombinedOutput()
		if err != nil {
			t.Skipf("the limits of a process cannot be changed here: %v: %s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	before := limit("--nproc", "--noheadings", "--output=SOFT")
	limit("--nproc=1:")
	_, err = Start(t.Context(), h.config())
	wantError(t, err, nil, "(pid "+strconv.Itoa(p.pid)+")", "cannot make another process", "run fewer tests at once")
	if query[int](t, conn, "SELECT 1") != 1 {
		t.Error("the server does not answer")
	}
	limit("--nproc=" + before + ":")
	connect(t, h.start())
}

// What could not be read was taken for not being there, and the server was killed.
func TestServerWhoseFilesCannotBeReadIsLeftAlone(t *testing.T) {
	h := newHome(t)
	conn := connect(t, h.start())
	c := h.cluster()
	for _, file := range []string{c.pidFile(), c.nameFile()} {
		if err := errors.Join(os.Rename(file, file+".away"), os.Mkdir(file, 0o700)); err != nil { // unreadable to root too
			t.Fatal(err)
		}
		_, _, err := c.running()
		wantError(t, err, syscall.EISDIR, file, "cannot find out whether", "TXISO_HOME", "TXISO_DSN")
		if file == c.pidFile() {
			_, err := Start(t.Context(), h.config())
			wantError(t, err, syscall.EISDIR, file)
		}
		wantError(t, Stop(t.Context(), h.config()), syscall.EISDIR, file)
		wantError(t, StopUnused(t.Context(), h.config()), syscall.EISDIR, file)
		_, err = Find(t.Context(), h.config())
		wantError(t, err, syscall.EISDIR, file)
		if err := errors.Join(os.Remove(file), os.Rename(file+".away", file)); err != nil {
			t.Fatal(err)
		}
	}
	if query[int](t, conn, "SELECT 1") != 1 {
		t.Error("the server does not answer")
	}
}

// The address was read once more after the server had answered. Without one pgconn connects to the machine's own server.
func TestAddressIsTheOneThatAnswered(t *testing.T) {
	h := newHome(t)
	s := h.start()
	c := h.cluster()
	if found, err := c.adopt(t.Context()); found != up || err != nil {
		t.Fatal(found, err)
	}
	if err := os.Remove(c.pidFile()); err != nil {
		t.Fatal(err)
	}
	if again, err := c.server(nil); err != nil || *again != *s {
		t.Errorf("the server is at %v, want %v (%v)", again, s, err)
	}
}

func TestServerWithoutAnAddressIsRefused(t *testing.T) {
	h := newHome(t)
	h.start()
	c := h.cluster()
	says, err := os.ReadFile(c.pidFile())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(says), "\n")
	lines[4] = ""
	if err := os.WriteFile(c.pidFile(), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Start(t.Context(), h.config())
	wantError(t, err, errNowhere, c.pidFile(), "stop its process", "TXISO_HOME")
	if s, err := Inspect(t.Context(), h.config()); err != nil || s.Running || s.DSN != "" {
		t.Errorf("%+v, %v", s, err)
	}
}
