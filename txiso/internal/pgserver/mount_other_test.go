//go:build unix && !linux && !solaris && !aix

package pgserver

import "testing"

func mountTmpfs(t *testing.T, _, _ string, _ bool) {
	t.Helper()
	t.Skip("no tmpfs here")
}

func startContainer(t *testing.T, _ string) *process {
	t.Helper()
	t.Skip("no containers here")
	return nil
}

func startBlind(t *testing.T, home string) *process {
	t.Helper()
	return startContainer(t, home)
}
