//go:build unix && !solaris && !aix

package pgserver

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// shell starts the command line of the shell that starts a server (launch.go).
var shell = strings.Join([]string{"/bin/sh", "-c", supervisor, "sh", ""}, separator)

// clusterName gives the cluster_name of a server's process, or of the shell that starts one, and "" of any other: all that would be killed
// must be certain, and a grep for a server has its name among its arguments too. The postmaster is known by its arguments (postgresArgs),
// every other process by its title ("postgres: txiso-1a2b3c4d5e6f: checkpointer"). Unlike a pid it is never somebody else's, and unlike
// /proc/…/cwd anybody may read it.
func clusterName(command string) string {
	if title, ok := strings.CutPrefix(command, "postgres: "); ok {
		if name, _, ok := strings.Cut(title, ": "); ok {
			return name
		}
		return ""
	}
	_, name := started(command)
	return name
}

// started gives the data directory and the cluster_name of a postmaster, or of the shell that starts one.
func started(command string) (data, name string) {
	program, args, _ := strings.Cut(strings.TrimPrefix(command, shell), separator+"-D"+separator)
	data, args, ok := strings.Cut(args, separator+"-c"+separator+"cluster_name=")
	if !ok || !strings.HasPrefix(path.Base(program), "postgres") || strings.Contains(program+data, "\x00") { // each is one argument
		return "", ""
	}
	name, _, _ = strings.Cut(args, separator)
	return data, name
}

// processes lists the pids of the server's processes, of the old ones too if its postmaster was killed, and of the shell that starts it.
// None means that it looked twice: a process that just runs a new program has no command line for a moment. What cannot be looked at is an
// error: taken for nothing, it would cost a server its files.
func (c *cluster) processes() ([]int, error) {
	pids, err := c.visibleProcesses()
	if len(pids) == 0 && err == nil {
		time.Sleep(time.Millisecond)
		pids, err = c.visibleProcesses()
	}
	return pids, err
}

func (c *cluster) visibleProcesses() ([]int, error) {
	name, err := c.name()
	if err != nil {
		return nil, err
	}
	all, err := commands()
	var pids []int
	for pid, command := range all {
		if clusterName(command) == name {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, err
}

// running gives what the postmaster says, and whether it is a process of this server.
func (c *cluster) running() (p postmaster, alive bool, err error) {
	p, err = c.postmaster()
	if err != nil || p.pid == 0 {
		return p, false, err
	}
	name, err := c.name()
	if err != nil {
		return p, false, err
	}
	command, err := commandOf(p.pid)
	return p, clusterName(command) == name, err
}

// unclear is an error about what must be known before anything is killed, removed or started.
func unclear(err error) error {
	return fmt.Errorf("txiso: cannot find out whether the embedded server runs: %w: put that right, set TXISO_HOME to another directory, "+
		"or set TXISO_DSN to a server that runs", err)
}

func (c *cluster) signal(sig syscall.Signal, pids ...int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig) // it may have ended by now
	}
}

// supervised tells if the shell that starts the server is still there. Its starter is dead if somebody else holds the lock, so it is about to
// stop the server.
func (c *cluster) supervised() (bool, error) {
	name, err := c.name()
	if err != nil {
		return false, err
	}
	all, err := commands()
	for _, command := range all {
		if strings.HasPrefix(command, shell) && clusterName(command) == name {
			return true, nil
		}
	}
	return false, err
}
