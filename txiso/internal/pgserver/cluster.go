//go:build unix && !solaris && !aix

package pgserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// cluster is one server of Home: its files and how to run it.
type cluster struct {
	dir     string // Home/pg15-1a2b3c4d
	account account
	bin     binaries
	idle    time.Duration
	logf    func(string, ...any)
	keep    bool           // the connection with which we find out that the server runs
	kept    *pgconn.PgConn // that connection
	alive   lock           // what the server that we start inherits (alive.go)
	socket  string         // the directory in which the server was found; its postmaster.pid may be gone by now
}

func newCluster(home string, bin binaries, a account) *cluster {
	key := digest(bin.dir, strings.Join(settings, "\n"), strings.Join(initdbArgs, "\n"), fmt.Sprint(a.uid))
	c := openCluster(filepath.Join(home, fmt.Sprintf("pg%d-%s", bin.major, key)), a)
	c.bin = bin
	return c
}

// openCluster gives the cluster of a directory, as far as it can be known without its binaries.
func openCluster(dir string, a account) *cluster {
	return &cluster{dir: dir, account: a, logf: func(string, ...any) {}}
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:6])
}

func (c *cluster) lockFile() string  { return filepath.Join(c.dir, "lock") }
func (c *cluster) logFile() string   { return filepath.Join(c.dir, "log") }
func (c *cluster) formerLog() string { return filepath.Join(c.dir, "log.1") } // of the server before
func (c *cluster) nameFile() string  { return filepath.Join(c.dir, "name") }
func (c *cluster) bootFile() string  { return filepath.Join(c.dir, "boot") }
func (c *cluster) aliveFile() string { return filepath.Join(c.dir, "alive") }
func (c *cluster) private() string   { return filepath.Join(c.dir, "cluster") }
func (c *cluster) data() string      { return filepath.Join(c.private(), "data") }
func (c *cluster) pidFile() string   { return filepath.Join(c.data(), "postmaster.pid") }

// maxSocketDir leaves room for "/.s.PGSQL.5432.lock" in a sockaddr_un, which is 104 bytes on the BSDs and 108 on Linux.
const maxSocketDir = 80

// socketDir is beside the data, where no cleaner of temporary files comes, unless that path is too long for a socket or has a comma, which
// separates hosts in a connection string.
func (c *cluster) socketDir(name string) string {
	if len(c.private()) <= maxSocketDir && !strings.Contains(c.private(), ",") {
		return c.private()
	}
	return filepath.Join("/tmp", name)
}

// makeDir makes the cluster's directory. As root it stays root's: the files that we write must not be in a directory where somebody else can
// put a symbolic link.
func (c *cluster) makeDir() error {
	mode := fs.FileMode(0o700)
	if c.account.switched {
		mode = 0o711
	}
	return makeDir(c.dir, mode, account{uid: os.Geteuid(), gid: os.Getegid(), name: "ourselves"})
}

// makePrivate makes the directory of the server's account, or checks that it is its. The caller holds the lock.
func (c *cluster) makePrivate() error { return makeDir(c.private(), 0o700, c.account) }

func (c *cluster) hasData() (bool, error) {
	switch err := checkOwner(c.data(), c.account); {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, nil
}

// forget removes what a server that is no more has left. PostgreSQL would do it too, unless another process has got the old pid by now.
func (c *cluster) forget() error {
	name, err := c.name()
	if err != nil {
		return err
	}
	dir := c.socketDir(name)
	socket := filepath.Join(dir, fmt.Sprintf(".s.PGSQL.%d", port))
	for _, file := range []string{c.pidFile(), socket, socket + ".lock"} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return homeError(file, err)
		}
	}
	if dir != c.private() {
		_ = os.Remove(dir) // the next server has another
	}
	return nil
}

// discard takes the data directory away at once and then removes it.
func (c *cluster) discard() error {
	old := filepath.Join(c.private(), "old-"+fmt.Sprint(time.Now().UnixNano()))
	if err := os.Rename(c.data(), old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return homeError(c.data(), err)
	}
	c.removeLeftovers()
	return nil
}

// removeLeftovers removes half-made and discarded data directories. The caller holds the lock, so nobody makes one. What resists now (its
// builder was killed, but initdb still writes) goes the next time.
func (c *cluster) removeLeftovers() {
	for _, dir := range append(entries(c.private(), "new-"), entries(c.private(), "old-")...) {
		_ = os.RemoveAll(dir)
	}
}

// entries lists what a directory has with names that start so. It is no glob: a directory's own name may look like a pattern.
func entries(dir, prefix string) []string {
	all, _ := os.ReadDir(dir) // what cannot be read has nothing for us
	var found []string
	for _, e := range all {
		if strings.HasPrefix(e.Name(), prefix) {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	return found
}

// sleep waits, or returns the reason why ctx has ended.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// crashedWithMachine tells if the server ran when the machine went down.
func (c *cluster) crashedWithMachine() (bool, error) {
	p, err := c.postmaster()
	if err != nil || p.pid == 0 {
		return false, err
	}
	last, err := os.ReadFile(c.bootFile())
	return err == nil && string(last) != bootID(), nil
}
