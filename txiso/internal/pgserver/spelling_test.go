//go:build unix && !solaris && !aix

package pgserver

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// otherSpelling is the home by way of a symbolic link.
func (h *testServers) otherSpelling() Config {
	h.t.Helper()
	link := h.home + "-link"
	if err := os.Symlink(h.home, link); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = os.Remove(link) })
	config := h.config()
	config.Home = link
	return config
}

func TestServerIsStoppedByAnotherSpellingOfItsHome(t *testing.T) {
	h := newHome(t)
	h.start()
	c := h.cluster()
	other := h.otherSpelling()
	if found, err := Find(t.Context(), other); err != nil || len(found) != 1 || found[0].PID != postmasterOf(t, c).pid {
		t.Errorf("found %+v, %v", found, err)
	}
	if err := Stop(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if left := processesOf(t, c); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

// By the other spelling nobody saw the processes of a server that was stopping: a second one was started on its data, did not come up, and
// the data was thrown away.
func TestStoppingServerIsWaitedForByAnotherSpellingOfItsHome(t *testing.T) {
	h := newHome(t)
	goOn := h.stopSlowly()
	old := postmasterOf(t, h.cluster()).pid
	go func() {
		time.Sleep(200 * time.Millisecond)
		goOn()
	}()
	s, err := Start(t.Context(), h.otherSpelling())
	if err != nil {
		t.Fatal(err)
	}
	if n := query[int](t, connect(t, s), "SELECT n FROM kept"); n != 42 || h.created.Load() != 1 || !ended(old) {
		t.Errorf("%d in the table, %d data directories created, old server ended: %v", n, h.created.Load(), ended(old))
	}
}

func TestServerWhoseNameWasLostKeepsItsFiles(t *testing.T) {
	h := newHome(t)
	goOn := h.stopSlowly()
	c := h.cluster()
	name, err := os.ReadFile(c.nameFile())
	if err == nil {
		err = os.WriteFile(c.nameFile(), []byte("txiso-other"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = Start(t.Context(), h.config())
	wantError(t, err, nil, string(name), "runs on "+c.data(), "kill -INT", "TXISO_HOME")
	if err := os.WriteFile(c.nameFile(), name, 0o600); err != nil {
		t.Fatal(err)
	}
	goOn()
	if n := query[int](t, connect(t, h.start()), "SELECT n FROM kept"); n != 42 || h.created.Load() != 1 {
		t.Errorf("%d in the table, %d data directories created", n, h.created.Load())
	}
}

// stopSlowly starts a server, puts a table into it, and stops it but for one process, which holds all others up until it may go on.
func (h *testServers) stopSlowly() (goOn func()) {
	h.t.Helper()
	conn := connect(h.t, h.start())
	if _, err := conn.Exec(h.t.Context(), "CREATE TABLE kept AS SELECT 42 AS n"); err != nil {
		h.t.Fatal(err)
	}
	checkpointer := query[int](h.t, conn, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
	c := h.cluster()
	c.signal(syscall.SIGSTOP, checkpointer)
	c.signal(syscall.SIGINT, postmasterOf(h.t, c).pid)
	for postmasterOf(h.t, c).status != "stopping" {
		time.Sleep(time.Millisecond)
	}
	return func() { c.signal(syscall.SIGCONT, checkpointer) }
}
