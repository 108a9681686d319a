package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is Linux's unit in /proc/PID/stat (proc(5), sysconf(_SC_CLK_TCK)) on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// serverTime returns the processor time that the server with that backend has used so far, with all its processes, living
// and gone. It is 0 for a server on another machine.
func serverTime(backend int) (total time.Duration) {
	postmaster := stat(strconv.Itoa(backend)).parent
	if postmaster <= 1 {
		return 0
	}
	own := stat(strconv.Itoa(postmaster))
	total = own.self + own.children
	pids, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0
	}
	for _, pid := range pids {
		if s := stat(filepath.Base(pid)); s.parent == postmaster {
			total += s.self
		}
	}
	return total
}

type times struct {
	parent         int
	self, children time.Duration // children are those that are gone
}

// stat reads the fields behind the command's name, which may contain spaces.
func stat(pid string) (t times) {
	content, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return t
	}
	_, rest, _ := strings.Cut(string(content), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 15 {
		return t
	}
	number := func(i int) int { n, _ := strconv.Atoi(fields[i]); return n } // the kernel writes numbers
	t.parent = number(1)
	t.self = time.Duration(number(11)+number(12)) * tick
	t.children = time.Duration(number(13)+number(14)) * tick
	return t
}
