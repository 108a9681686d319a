//go:build unix && !solaris && !aix

package pgserver

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"strings"
)

const namePrefix = "txiso-"

// name is the server's cluster_name, which tells its processes from all others. Every start draws it anew. The path of the directory would not
// do: a container's processes are seen from outside, where the same path is another directory, and so may everything be that is in a copy of
// one.
func (c *cluster) name() (string, error) {
	data, err := os.ReadFile(c.nameFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // none: it was started before there was one, or never
		return "", unclear(err)
	}
	if name := string(data); strings.HasPrefix(name, namePrefix) {
		return name, nil
	}
	return c.oldName()
}

// oldName is what a server was called before there was a name file: after its directory, in whatever spelling.
func (c *cluster) oldName() (string, error) {
	_, name, err := c.startedHere()
	if strings.HasPrefix(name, namePrefix) {
		return name, err
	}
	return namePrefix + digest(c.dir), err
}

// startedHere gives the postmaster on the data directory, by whatever name it was started, "" if there is none.
func (c *cluster) startedHere() (pid int, name string, err error) {
	p, err := c.postmaster()
	if err != nil {
		return 0, "", err
	}
	command, err := commandOf(p.pid)
	data, name := started(command)
	if !sameDir(data, c.data()) {
		return 0, "", err
	}
	return p.pid, name, err
}

func sameDir(a, b string) bool {
	one, err := os.Stat(a)
	other, otherErr := os.Stat(b)
	return err == nil && otherErr == nil && os.SameFile(one, other)
}

// rename draws a name. The caller holds the lock and has made sure that no process with the old one is left.
func (c *cluster) rename() (string, error) {
	name := namePrefix + digest(rand.Text())
	if err := writeFile(c.nameFile(), []byte(name)); err != nil {
		return "", homeError(c.nameFile(), err)
	}
	return name, nil
}

// nameNew draws a name for a server that has never been started, so that nobody looks for the old one.
func (c *cluster) nameNew() error {
	if exists, err := c.hasData(); exists || err != nil || isFile(c.nameFile()) {
		return err
	}
	_, err := c.rename()
	return err
}
