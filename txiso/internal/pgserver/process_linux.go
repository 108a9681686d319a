package pgserver

import (
	"iter"
	"os"
	"strconv"
	"strings"
)

// commands yields every process that we can see with its command line. A zombie has none.
func commands() iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		dir, err := os.Open("/proc")
		if err != nil {
			return
		}
		defer dir.Close()
		names, _ := dir.Readdirnames(-1)
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil && !yield(pid, commandOf(pid)) {
				return
			}
		}
	}
}

func commandOf(pid int) string {
	data, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline") // no such process: no command
	return strings.ReplaceAll(string(data), "\x00", " ")
}

// bootID changes whenever the machine starts.
func bootID() string {
	data, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data))
}
