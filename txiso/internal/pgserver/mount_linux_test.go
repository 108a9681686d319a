package pgserver

import (
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
