//go:build unix && !solaris && !aix

package pgserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
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
	home := filepath.Join(cache, "txiso")
	if err == nil && (!a.switched || reachable(a, home) && refusal(home) == nil) {
		return home, nil
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
	if err := checkHome(home); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	mode := fs.FileMode(0o700)
	if a.switched {
		mode = 0o755
	}
	if err := makeAll(home, mode); err != nil {
		return homeError(home, err)
	}
	return checkHome(home) // somebody else may have been quicker
}

// makeAll is os.MkdirAll that gives every directory which it makes its mode, whatever our umask.
func makeAll(dir string, mode fs.FileMode) error {
	err := os.Mkdir(dir, mode)
	if errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		if err := makeAll(filepath.Dir(dir), mode); err != nil {
			return err
		}
		err = os.Mkdir(dir, mode)
	}
	if info, statErr := os.Stat(dir); errors.Is(err, fs.ErrExist) && statErr == nil && info.IsDir() {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(dir, mode)
}

// checkHome refuses a home in which somebody else may have put what we would run, or what we would write to: one of his, or behind a
// symbolic link of his, or one that he can write to. We trust ourselves and root.
func checkHome(home string) error {
	link, err := os.Lstat(home)
	if err != nil {
		return homeError(home, err)
	}
	info, err := os.Stat(home)
	switch {
	case err != nil:
		return homeError(home, err)
	case !info.IsDir():
		return homeError(home, syscall.ENOTDIR)
	}
	for _, i := range []fs.FileInfo{link, info} {
		if uid := ownerOf(i); uid != os.Geteuid() && uid != 0 {
			return fmt.Errorf("txiso: %s belongs to uid %d, who could replace the files of the server there: "+
				"set TXISO_HOME to a directory of your own, or to one below it that does not exist yet", home, uid)
		}
	}
	if othersWrite(info) {
		return fmt.Errorf("txiso: others may write to %s (mode %v), and so replace the files of the server there: remove it, "+
			"take that away with chmod go-w, or set TXISO_HOME to a directory that does not exist yet", home, info.Mode())
	}
	return nil
}

// othersWrite leaves our own group out: with the umask 002 of many systems everything may be written by it, and nobody else is in it. On a Mac
// everybody is.
func othersWrite(info fs.FileInfo) bool {
	ourGroup := runtime.GOOS != "darwin" && int(info.Sys().(*syscall.Stat_t).Gid) == os.Getegid()
	return info.Mode()&0o002 != 0 || info.Mode()&0o020 != 0 && !ourGroup
}

// refusal tells why home, which exists, is not to be used.
func refusal(home string) error {
	if err := checkHome(home); !errors.Is(err, fs.ErrNotExist) {
		return err
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
