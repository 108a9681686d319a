//go:build unix

package pgserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// homeDir decides where everything is kept. It creates nothing.
func homeDir(cfg Config, a account) (string, error) {
	if h := orEnv(cfg.Home, "TXISO_HOME"); h != "" {
		if !filepath.IsAbs(h) { // go test runs in the folder of the package
			return "", fmt.Errorf("txiso: TXISO_HOME is %q, which is another directory for every package: set it to an absolute path", h)
		}
		return filepath.Clean(h), nil
	}
	cache, err := os.UserCacheDir()
	if err == nil && (!a.switched || reachable(a, cache)) {
		return filepath.Join(cache, "txiso"), nil
	}
	if !a.switched {
		return "", fmt.Errorf("txiso: no place to keep the server's files: %w: set TXISO_HOME to a directory that you can write to", err)
	}
	return filepath.Join("/var/tmp", "txiso-0"), nil
}

// realHome is home without symbolic links, so that every spelling of it gives the same paths. One that does not exist yet stays as it is.
func realHome(home string) string {
	if real, err := filepath.EvalSymlinks(home); err == nil {
		return real
	}
	return home
}

// reachable tells if the account can enter dir and everything above it. What does not exist yet is made with a mode that lets it in.
func reachable(a account, dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && !a.enters(info) || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// makeHome creates home and what is above it. Its mode lets the account pass, whatever our umask. A directory that exists is left as it is.
func makeHome(home string, a account) error {
	if info, err := os.Stat(home); err == nil && info.IsDir() {
		return nil
	}
	mode := fs.FileMode(0o700)
	if a.switched {
		mode = 0o755
	}
	if err := os.MkdirAll(home, mode); err != nil {
		return homeError(home, err)
	}
	if err := os.Chmod(home, mode); err != nil {
		return homeError(home, err)
	}
	return nil
}

// makeDir makes a directory for an account, or accepts the one that the account owns, or finishes one of ours whose maker was killed on the way.
// Anybody else's is refused, never changed.
func makeDir(dir string, mode fs.FileMode, owner account) error {
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return homeError(dir, err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return homeError(dir, err)
	}
	if !info.IsDir() || ownerOf(info) != os.Geteuid() {
		return checkOwner(dir, owner)
	}
	if info.Mode().Perm() != mode {
		err = os.Chmod(dir, mode) // whatever our umask
	}
	if err == nil && owner.switched {
		err = os.Lchown(dir, owner.uid, owner.gid)
	}
	if err != nil {
		return homeError(dir, err)
	}
	return nil
}

func checkOwner(dir string, a account) error {
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return homeError(dir, err)
	case !info.IsDir():
		return fmt.Errorf("txiso: %s is not a directory: remove it, or set TXISO_HOME to another directory", dir)
	case !a.owns(info):
		return fmt.Errorf("txiso: %s belongs to uid %d, not to uid %d (%s) that the server's files must belong to: "+
			"remove it, or set TXISO_HOME to a directory of your own", dir, ownerOf(info), a.uid, a.name)
	}
	return nil
}

func homeError(path string, err error) error {
	return fmt.Errorf("txiso: cannot keep the server's files in %s: %w: make it writable or make room, "+
		"set TXISO_HOME to another directory, or set TXISO_DSN to a server that runs", path, err)
}
