//go:build unix

package pgserver

import (
	"slices"
	"strings"
	"syscall"
	"time"
)

// A server's processes are known by its cluster_name: the postmaster has it among its arguments, every other process in its title
// ("postgres: txiso-1a2b3c4d5e6f: checkpointer"). Unlike a pid it is never somebody else's, and unlike /proc/…/cwd anybody may read it.
func isServerProcess(command, clusterName string) bool {
	return strings.Contains(command, "cluster_name="+clusterName) || strings.HasPrefix(command, "postgres: "+clusterName+":")
}

// processes lists the pids of the server's processes, of the old ones too if its postmaster was killed, and of the shell that starts it.
// None means that it looked twice: a process that just runs a new program has no command line for a moment.
func (c *cluster) processes() []int {
	pids := c.visibleProcesses()
	if len(pids) == 0 {
		time.Sleep(time.Millisecond)
		pids = c.visibleProcesses()
	}
	return pids
}

func (c *cluster) visibleProcesses() []int {
	var pids []int
	for pid, command := range commands() {
		if isServerProcess(command, c.name) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

func (c *cluster) alive(pid int) bool { return isServerProcess(commandOf(pid), c.name) }

func (c *cluster) signal(sig syscall.Signal, pids ...int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig) // it may have ended by now
	}
}

// supervised tells if the shell that starts the server is still there. Its starter is dead if somebody else holds the lock, so it is about to
// stop the server.
func (c *cluster) supervised() bool {
	for _, command := range commands() {
		if strings.HasPrefix(command, "/bin/sh -c ") && isServerProcess(command, c.name) {
			return true
		}
	}
	return false
}
