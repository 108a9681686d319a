package pgserver

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// mountTmpfs puts a file system of its own on dir, or skips the test where that is not allowed.
func mountTmpfs(t *testing.T, dir, options string, readOnly bool) {
	t.Helper()
	var flags uintptr
	if readOnly {
		flags = syscall.MS_RDONLY
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		t.Skip("cannot mount: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// startContainer is startChild in a container, whose home is another directory at the same path.
func startContainer(t *testing.T, home string) *process {
	t.Helper()
	return inContainer(t, home, `mount -t tmpfs -o mode=755 tmpfs "$0"`, 0)
}

// startBlind is startChild in a container that has the home, but sees no process outside.
func startBlind(t *testing.T, home string) *process {
	t.Helper()
	return inContainer(t, home, `mount -t proc proc /proc`, syscall.CLONE_NEWPID)
}

func inContainer(t *testing.T, home, mount string, flags uintptr) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	probe := exec.Command("/bin/sh", "-c", mount, home)
	container := exec.Command("/bin/sh", "-c", mount+` && exec "$1"`, home, exe)
	for _, cmd := range []*exec.Cmd{probe, container} {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Unshareflags: syscall.CLONE_NEWNS}
		cmd.Env = append(os.Environ(), childHome+"="+home)
	}
	if err := probe.Run(); err != nil {
		t.Skip("cannot mount: ", err)
	}
	return startProcess(t, container)
}
