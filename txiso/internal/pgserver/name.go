//go:build unix

package pgserver

import (
	"crypto/rand"
	"os"
	"strings"
)

const namePrefix = "txiso-"

// name is the server's cluster_name, which tells its processes from all others. Every start draws it anew. The path of the directory would not
// do: a container's processes are seen from outside, where the same path is another directory, and so may everything be that is in a copy of
// one.
func (c *cluster) name() string {
	data, _ := os.ReadFile(c.nameFile()) // none: it was started before there was one, or never
	if name := string(data); strings.HasPrefix(name, namePrefix) {
		return name
	}
	return c.oldName()
}

// oldName is what a server was called before there was a name file: after its directory, in whatever spelling.
func (c *cluster) oldName() string {
	data, name := started(commandOf(c.postmaster().pid))
	if strings.HasPrefix(name, namePrefix) && sameDir(data, c.data()) {
		return name
	}
	return namePrefix + digest(c.dir)
}

func sameDir(a, b string) bool {
	one, err := os.Stat(a)
	other, otherErr := os.Stat(b)
	return err == nil && otherErr == nil && os.SameFile(one, other)
}

// rename draws a name. The caller holds the lock and has made sure that no process with the old one is left.
func (c *cluster) rename() error {
	if err := writeFile(c.nameFile(), []byte(namePrefix+digest(rand.Text()))); err != nil {
		return homeError(c.nameFile(), err)
	}
	return nil
}

// nameNew draws a name for a server that has never been started, so that nobody looks for the old one.
func (c *cluster) nameNew() error {
	if exists, err := c.hasData(); exists || err != nil || isFile(c.nameFile()) {
		return err
	}
	return c.rename()
}
