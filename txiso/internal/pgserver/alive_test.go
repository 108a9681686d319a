//go:build unix && !solaris && !aix

package pgserver

import (
	"os"
	"testing"
	"time"
)

// elsewhere takes what a server on another machine holds as long as it lives.
func (h *testServers) elsewhere() (taken bool, release func()) {
	h.t.Helper()
	l, err := openLock(h.cluster().aliveFile())
	if err != nil {
		h.t.Fatal(err)
	}
	taken, err = l.try()
	if err != nil {
		h.t.Fatal(err)
	}
	return taken, l.release
}

func TestServerHoldsTheLockOfItsLife(t *testing.T) {
	h := newHome(t)
	h.start()
	taken, release := h.elsewhere()
	release()
	if taken {
		t.Error("the lock is free while the server runs")
	}
	for _, file := range entries("/proc/self/fd", "") { // of Linux
		if to, _ := os.Readlink(file); to == h.cluster().aliveFile() {
			t.Error("we hold it too")
		}
	}
	if err := Stop(t.Context(), h.config()); err != nil {
		t.Fatal(err)
	}
	for !taken { // we hold nothing, and the last process closes its files when it is not seen any more
		taken, release = h.elsewhere()
		release()
	}
}

// With a home on NFS the processes of the server that used it were not to be seen: its files were removed, and a second server ran on its data.
func TestServerOfAnotherMachineKeepsItsFiles(t *testing.T) {
	h := newHome(t)
	if _, err := connect(t, h.start()).Exec(t.Context(), "CREATE TABLE kept AS SELECT 42 AS n"); err != nil {
		t.Fatal(err)
	}
	if err := Stop(t.Context(), h.config()); err != nil {
		t.Fatal(err)
	}
	c := h.cluster()
	if err := os.WriteFile(c.pidFile(), []byte("1\n"+c.data()+"\n0\n5432\n/nowhere\n\n\nready\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, release := h.elsewhere()
	for !taken {
		taken, release = h.elsewhere()
	}
	_, err := Start(t.Context(), h.config())
	wantError(t, err, nil, c.dir, "another machine", "TXISO_HOME")
	if _, err := os.Stat(c.pidFile()); err != nil {
		t.Error(err)
	}
	release()
	if n := query[int](t, connect(t, h.start()), "SELECT n FROM kept"); n != 42 || h.created.Load() != 1 {
		t.Errorf("%d in the table, %d data directories created", n, h.created.Load())
	}
}

// A container that shares the home does not see the machine's processes either.
func TestStoppingServerIsWaitedForFromAContainer(t *testing.T) {
	h := newHome(t)
	goOn := h.stopSlowly()
	old := postmasterOf(t, h.cluster()).pid
	go func() {
		time.Sleep(absent.patience() + 2*time.Second) // longer than one that runs would be waited for
		goOn()
	}()
	inside := startBlind(t, h.home)
	_, created := inside.connected(t)
	if !ended(old) || created != 0 {
		t.Errorf("old server ended: %v, %d data directories created", ended(old), created)
	}
	inside.finish(t)
}
