//go:build unix && !solaris && !aix

package pgserver

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Home tells where cfg's servers live. It creates nothing.
func Home(cfg Config) (string, error) {
	a, err := serverAccount()
	if err != nil {
		return "", err
	}
	return homeDir(cfg, a)
}

// Find tells about every server of cfg's Home, running or not, whatever its version and settings. It starts and creates nothing. A
// server is there from its first start on; none is not an error.
func Find(ctx context.Context, cfg Config) ([]Status, error) {
	clusters, known, err := clusters(cfg)
	if err != nil {
		return nil, err
	}
	var found []Status
	for _, c := range clusters {
		s, err := c.found(ctx, known)
		if err != nil {
			return nil, err
		}
		found = append(found, s)
	}
	return found, nil
}

// clusters lists the servers of cfg's Home, and what is known about programs there.
func clusters(cfg Config) ([]*cluster, *probes, error) {
	a, err := serverAccount()
	if err != nil {
		return nil, nil, err
	}
	home, err := homeDir(cfg, a)
	if err != nil {
		return nil, nil, err
	}
	if err := refusal(home); err != nil {
		return nil, nil, err
	}
	home = realHome(home)
	var all []*cluster
	for _, dir := range entries(home, "pg") {
		if c := openCluster(dir, a); isFile(c.lockFile()) {
			all = append(all, c)
		}
	}
	return all, loadProbes(home, a), nil
}

// found is status for a cluster whose binaries its own files tell.
func (c *cluster) found(ctx context.Context, known *probes) (Status, error) {
	c.bin = binaries{dir: c.lastBinDir(), version: c.dataVersion()}
	if b, err := inspectBinaries(ctx, c.bin.dir, known); err == nil {
		c.bin = b
	}
	return c.status()
}

// lastBinDir is where the server was started from: the first word of postmaster.opts (src/backend/utils/init/miscinit.c), which
// stays when it stops. "" if it cannot be read.
func (c *cluster) lastBinDir() string {
	opts, err := os.ReadFile(filepath.Join(c.data(), "postmaster.opts"))
	program, _, _ := strings.Cut(string(opts), ` "-D"`)
	if err != nil || filepath.Base(program) != "postgres" {
		return ""
	}
	return filepath.Dir(program)
}

// dataVersion is the major version of the data directory, "" if there is none yet.
func (c *cluster) dataVersion() string {
	version, _ := os.ReadFile(filepath.Join(c.data(), "PG_VERSION"))
	return strings.TrimSpace(string(version))
}

func (c *cluster) status() (Status, error) {
	name, err := c.name()
	if err != nil {
		return Status{}, err
	}
	p, alive, err := c.running()
	s := Status{
		Name: filepath.Base(c.dir), Version: c.bin.version, BinDir: c.bin.dir, DataDir: c.data(), LogFile: c.logFile(), SocketDir: c.socketDir(name),
	}
	if alive && p.status == "ready" && filepath.IsAbs(p.socketDir) {
		s.Running, s.PID, s.DSN, s.SocketDir, s.Started = true, p.pid, socketDSN(p.socketDir), p.socketDir, p.started
	}
	return s, err
}

// epoch reads seconds since 1970; the zero time if there are none.
func epoch(seconds string) time.Time {
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(n, 0)
}
