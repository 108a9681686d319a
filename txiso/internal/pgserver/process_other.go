//go:build unix && !linux

package pgserver

import (
	"iter"
	"os/exec"
	"strconv"
	"strings"
)

const separator = " " // of the arguments in a command line, which may have it too

// commands yields every process with its command line. A zombie has none that means anything.
func commands() iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		out, _ := exec.Command("ps", "-axww", "-o", "pid=,command=").Output()
		for line := range strings.Lines(string(out)) {
			first, command, _ := strings.Cut(strings.TrimSpace(line), " ")
			if pid, err := strconv.Atoi(first); err == nil && !yield(pid, strings.TrimSpace(command)) {
				return
			}
		}
	}
}

func commandOf(pid int) string {
	out, _ := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return strings.TrimSpace(string(out))
}

// ended tells if a process has ended, even if its parent has not noticed.
func ended(pid int) bool {
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err != nil || strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

// bootID changes whenever the machine starts.
func bootID() string {
	out, _ := exec.Command("sysctl", "-n", "kern.boottime").Output()
	return strings.TrimSpace(string(out))
}
