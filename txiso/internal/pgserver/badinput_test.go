//go:build unix && !solaris && !aix

package pgserver

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestIdleTimeoutThatIsNone(t *testing.T) {
	for value, text := range map[string]string{"soon": `invalid duration "soon"`, "60": "missing unit", "-1s": "at least 500ms", "0s": "at least 500ms"} {
		t.Setenv("TXISO_IDLE_TIMEOUT", value)
		_, err := Start(t.Context(), Config{Home: t.TempDir()})
		wantError(t, err, nil, "TXISO_IDLE_TIMEOUT", text)
	}
	_, err := Start(t.Context(), Config{Home: t.TempDir(), IdleTimeout: time.Millisecond})
	wantError(t, err, nil, "IdleTimeout is 1ms: set it to at least 500ms")
}

func TestIdleTimeoutComesFromTheFieldTheVariableOrTheDefault(t *testing.T) {
	for _, c := range []struct {
		variable string
		field    time.Duration
		want     time.Duration
	}{{"", 0, time.Minute}, {"90s", 0, 90 * time.Second}, {"90s", time.Hour, time.Hour}} {
		t.Setenv("TXISO_IDLE_TIMEOUT", c.variable)
		if got, err := (Config{IdleTimeout: c.field}).idleTimeout(); got != c.want || err != nil {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}

func TestHomeThatIsAFile(t *testing.T) {
	file := filepath.Join(publicDir(t), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Config{Home: file})
	wantError(t, err, syscall.ENOTDIR, file, "TXISO_HOME")
}

// go test runs in the folder of each package, so each would have had a server of its own.
func TestARelativeHomeIsRefused(t *testing.T) {
	t.Setenv("TXISO_HOME", filepath.Join("some", "where"))
	_, err := Start(t.Context(), Config{})
	wantError(t, err, nil, "txiso: TXISO_HOME is", "set it to an absolute path")
}

func TestHomeOnAReadOnlyFileSystem(t *testing.T) {
	home := publicDir(t)
	if os.Geteuid() == 0 {
		mountTmpfs(t, home, "size=1m,mode=755", true)
	} else if err := os.Chmod(home, 0o500); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Config{Home: home})
	wantError(t, err, nil, home, "make it writable", "set TXISO_HOME", "TXISO_DSN")
	if !errors.Is(err, syscall.EROFS) && !errors.Is(err, fs.ErrPermission) {
		t.Errorf("kind of %v", err)
	}
}

func TestFullHome(t *testing.T) {
	for _, size := range []string{"1m", "24m", "60m"} { // no room for initdb, for initdb's end, for the server
		t.Run(size, func(t *testing.T) {
			home := newHome(t)
			mountTmpfs(t, home.home, "mode=755,size="+size, false)
			_, err := Start(t.Context(), home.config())
			if err == nil && size == "60m" {
				t.Skip("this version has room enough")
			}
			wantError(t, err, nil, "o space left on device", "TXISO_HOME")
			if left := processesOf(t, home.cluster()); len(left) > 0 {
				t.Errorf("processes %v are left", left)
			}
		})
	}
}

func TestFilesOfSomebodyElse(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const somebody = 54321
	for name, file := range map[string]func(*cluster) string{
		"data":    (*cluster).data,
		"private": (*cluster).private,
		"server":  func(c *cluster) string { return c.dir },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			h.start()
			if err := Stop(t.Context(), h.config()); err != nil {
				t.Fatal(err)
			}
			dir := file(h.cluster())
			if err := os.Lchown(dir, somebody, somebody); err != nil {
				t.Fatal(err)
			}
			_, err := Start(t.Context(), h.config())
			wantError(t, err, nil, dir+" belongs to uid 54321", "remove it, or set TXISO_HOME")
			if info, err := os.Lstat(dir); err != nil || ownerOf(info) != somebody {
				t.Errorf("its owner was changed: %v %v", info, err)
			}
		})
	}
}

func TestRootSaysThatTheServersAccountCannotReachHome(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root switches to another account")
	}
	h := newHome(t)
	if err := os.Chmod(h.home, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), h.config())
	wantError(t, err, nil, "PostgreSQL refuses to run as root", "cannot enter", "set TXISO_HOME")
}

func TestDefaultHomeOfRootIsReachable(t *testing.T) {
	t.Setenv("TXISO_HOME", "")
	base := publicDir(t)
	t.Setenv("HOME", base)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(base, "cache"))
	stranger := account{uid: 54321, gid: 54321, switched: true}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if home, err := homeDir(Config{}, stranger); home != filepath.Join(cache, "txiso") || err != nil {
		t.Errorf("home %s, %v", home, err)
	}
	if err := os.Chmod(base, 0o700); err != nil {
		t.Fatal(err)
	}
	if home, err := homeDir(Config{}, stranger); home != "/var/tmp/txiso-0" || err != nil {
		t.Errorf("home behind a closed door %s, %v", home, err)
	}
}

func TestDirectoryWhoseMakerWasKilledIsFinished(t *testing.T) {
	h := newHome(t)
	c := h.cluster()
	if err := errors.Join(os.Mkdir(c.dir, 0o700), os.Mkdir(c.private(), 0o700)); err != nil { // neither opened nor given away
		t.Fatal(err)
	}
	connect(t, h.start())
}

// What is wrong is the caller's environment, not the server that others use, nor its data.
func TestVariablesForAnotherServerDoNotHarmThisOne(t *testing.T) {
	home := newHome(t)
	conn := connect(t, home.start())
	for name, value := range map[string]string{
		"PGTARGETSESSIONATTRS": "standby", "PGCHANNELBINDING": "require", "PGSSLMODE": "require", "PGHOST": "nowhere",
		"PGPORT": "http", "PGREQUIREAUTH": "scram-sha-256", "PGMINPROTOCOLVERSION": "3.2",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			connect(t, home.start())
		})
	}
	for name, value := range map[string]string{"PGSERVICE": "nowhere", "PGCONNECT_TIMEOUT": "soon"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			_, err := Start(t.Context(), home.config())
			wantError(t, err, nil, "a PG… variable", "correct or unset it")
		})
	}
	if query[int](t, conn, "SELECT 1") != 1 || home.created.Load() != 1 {
		t.Errorf("%d data directories were made", home.created.Load())
	}
	if err := Stop(t.Context(), home.config()); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGSERVICE", "nowhere")
	if _, err := Start(t.Context(), home.config()); err == nil {
		t.Error("no error")
	}
	t.Setenv("PGSERVICE", "")
	connect(t, home.start())
	if n := home.created.Load(); n != 1 {
		t.Errorf("%d data directories were made", n)
	}
}
