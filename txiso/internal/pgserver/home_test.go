//go:build unix && !solaris && !aix

package pgserver

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// withUmask is for tests that do not run in parallel.
func withUmask(t *testing.T, mask int) {
	t.Helper()
	old := syscall.Umask(mask)
	t.Cleanup(func() { syscall.Umask(old) })
}

// wantRefused checks that neither a start nor a look nor a stop uses what is in a home.
func wantRefused(t *testing.T, home string, texts ...string) {
	t.Helper()
	config := Config{Home: home, IdleTimeout: testIdle}
	_, err := Start(t.Context(), config)
	wantError(t, err, nil, append(texts, home, "set TXISO_HOME")...)
	_, err = Find(t.Context(), config)
	wantError(t, err, nil, append(texts, home)...)
	wantError(t, Stop(t.Context(), config), nil, append(texts, home)...)
}

// Whoever made /var/tmp/txiso-0 before root did had his programs run by root.
func TestHomeThatSomebodyElseMadeIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const somebody = 54321
	base := publicDir(t)
	his, ours, link := filepath.Join(base, "his"), filepath.Join(base, "ours"), filepath.Join(base, "link")
	if err := errors.Join(os.Mkdir(his, 0o755), os.Mkdir(ours, 0o755), os.Symlink(ours, link),
		os.Lchown(his, somebody, somebody), os.Lchown(link, somebody, somebody)); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, his, "belongs to uid 54321", "a directory of your own, or to one below it")
	wantRefused(t, link, "belongs to uid 54321", "a directory of your own, or to one below it")
	ourLink := filepath.Join(base, "our-link")
	if err := os.Symlink(his, ourLink); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, ourLink, "belongs to uid 54321")
}

func TestHomeThatOthersCanWriteToIsRefused(t *testing.T) {
	for _, mode := range []fs.FileMode{0o757, 0o777, 0o777 | fs.ModeSticky} {
		home := publicDir(t)
		if err := os.Chmod(home, mode); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, home, "others may write", mode.String()[1:], "chmod go-w")
	}
	if os.Geteuid() == 0 {
		home := publicDir(t)
		if err := errors.Join(os.Lchown(home, 0, 54321), os.Chmod(home, 0o775)); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, home, "others may write")
	}
}

func TestHomesThatAreTaken(t *testing.T) {
	withUmask(t, 0o002)
	base := publicDir(t)
	link := filepath.Join(base, "link")
	if err := os.Symlink(base, link); err != nil {
		t.Fatal(err)
	}
	for _, home := range []string{base, link, t.TempDir(), filepath.Join(base, "new"), filepath.Join(link, "new", "newer")} {
		if err := makeHome(home, account{}); err != nil {
			t.Error(err)
		}
	}
}

// Of a home three levels deep only the last one was opened: the server's account did not get there.
func TestHomeIsReachableWhateverTheUmask(t *testing.T) {
	withUmask(t, 0o077)
	base := publicDir(t)
	home := filepath.Join(base, "a", "b", "home")
	stranger := account{uid: 54321, gid: 54321, switched: true}
	if err := makeHome(home, stranger); err != nil {
		t.Fatal(err)
	}
	for dir := home; dir != base; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
}

// With sudo -E root has the cache of the user who has run his tests before.
func TestDefaultHomeOfRootIsNotTheUsersOwn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	t.Setenv("TXISO_HOME", "")
	base := publicDir(t)
	t.Setenv("HOME", base)
	t.Setenv("XDG_CACHE_HOME", base)
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(cache, "txiso")
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		owner int
		mode  fs.FileMode
		want  string
	}{
		{0, 0o755, home},
		{0, 0o700, "/var/tmp/txiso-0"},
		{54321, 0o755, "/var/tmp/txiso-0"},
		{54321, 0o700, "/var/tmp/txiso-0"},
	} {
		if err := errors.Join(os.Lchown(home, c.owner, c.owner), os.Chmod(home, c.mode)); err != nil {
			t.Fatal(err)
		}
		if got, err := homeDir(Config{}, account{uid: 1234, gid: 1234, switched: true}); got != c.want || err != nil {
			t.Errorf("%+v: home %s, %v", c, got, err)
		}
	}
}
