//go:build unix

package pgserver

import (
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
	name := c.name()
	for pid, command := range commands() {
		if clusterName(command) == name {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

func (c *cluster) alive(pid int) bool { return clusterName(commandOf(pid)) == c.name() }

func (c *cluster) signal(sig syscall.Signal, pids ...int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig) // it may have ended by now
	}
}

// supervised tells if the shell that starts the server is still there. Its starter is dead if somebody else holds the lock, so it is about to
// stop the server.
func (c *cluster) supervised() bool {
	name := c.name()
	for _, command := range commands() {
		if strings.HasPrefix(command, shell) && clusterName(command) == name {
			return true
		}
	}
	return false
}
