//go:build unix && !solaris && !aix

package pgserver

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// A container's server has the path of its home in common with the machine's, which sees its processes. Each start killed the other's server.
func TestContainerWithTheSamePathHasAServerOfItsOwn(t *testing.T) {
	h := newHome(t)
	inside := startContainer(t, h.home)
	startedInside, _ := inside.connected(t)
	outside := startChild(t, h.home)
	startedOutside, _ := outside.connected(t)
	inside.finish(t)
	outside.finish(t)
	if startedInside == startedOutside {
		t.Error("one server for two homes")
	}
}

// A copy of a home, from a cache or an image, knows the name that its original was started with.
func TestCopiedHomeIsAnotherServer(t *testing.T) {
	original, duplicate := newHome(t), newHome(t)
	original.start()
	if err := Stop(t.Context(), original.config()); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", original.home+"/.", duplicate.home).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	conn := connect(t, original.start())
	connect(t, duplicate.start())
	if query[int](t, conn, "SELECT 1") != 1 {
		t.Error("the original does not run")
	}
}

func TestServerFromBeforeThereWereNameFilesIsKnown(t *testing.T) {
	h := newHome(t)
	h.start()
	if err := Stop(t.Context(), h.config()); err != nil {
		t.Fatal(err)
	}
	c := h.cluster()
	old := namePrefix + digest("another spelling of", c.dir)
	if err := errors.Join(c.forget(), os.WriteFile(c.nameFile(), []byte(old), 0o600)); err != nil {
		t.Fatal(err)
	}
	l, err := c.spawn(old, sizes[0])
	if err == nil {
		err = errors.Join(l.waitReady(t.Context()), c.guard(t.Context()), l.keep(), os.Remove(c.nameFile()))
	}
	if err != nil {
		t.Fatal(err)
	}
	if running := h.find(); len(running) != 1 || running[0].PID != l.pid {
		t.Errorf("found %+v, want one that runs as %d", running, l.pid)
	}
	c.signal(syscall.SIGKILL, l.pid)
	connect(t, h.start())
	if now := postmasterOf(t, c).pid; now == l.pid || nameOf(t, c) == old || h.created.Load() != 1 {
		t.Errorf("after its end: pid %d, name %s, %d data directories created", now, nameOf(t, c), h.created.Load())
	}
}
