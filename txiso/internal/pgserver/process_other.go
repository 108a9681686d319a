//go:build unix && !linux && !solaris && !aix

package pgserver

import (
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

const separator = " " // of the arguments in a command line, which may have it too

// commands gives the command line of every process. A zombie has none that means anything.
func commands() (map[int]string, error) {
	out, err := exec.Command("/bin/ps", "-axww", "-o", "pid=", "-o", "command=").Output() // FreeBSD's takes "pid=,command=" for one column
	if err != nil {
		return nil, unclear(err)
	}
	all := map[int]string{}
	for line := range strings.Lines(string(out)) {
		first, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		if pid, err := strconv.Atoi(first); err == nil {
			all[pid] = strings.TrimSpace(command)
		}
	}
	return all, nil
}

// commandOf gives "" for a process that has ended. It looks at all, because ps tells an error and no such process in the same way.
func commandOf(pid int) (string, error) {
	all, err := commands()
	return all[pid], err
}

// ended tells if a process has ended, even if its parent has not noticed.
func ended(pid int) bool {
	out, err := exec.Command("/bin/ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err != nil || strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

// bootID changes whenever the machine starts, and with nothing else: what sysctl prints has a date in it, which is in the caller's time zone.
func bootID() string {
	if runtime.GOOS == "darwin" {
		id, _ := syscall.Sysctl("kern.bootsessionuuid")
		return id
	}
	booted, _ := syscall.Sysctl("kern.boottime") // a struct timeval
	return fmt.Sprintf("%x", booted)
}
