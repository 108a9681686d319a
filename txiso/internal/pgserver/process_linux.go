package pgserver

import (
	"iter"
	"os"
	"strconv"
	"strings"
)

const separator = "\x00" // of the arguments in a command line

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
	return string(data)
}

// ended tells if a process has ended, even if its parent has not noticed. In /proc/…/stat the state follows the name in parentheses.
// The command line would not do: it is empty for a moment when a process runs a new program.
func ended(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, state, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}

// bootID changes whenever the machine starts.
func bootID() string {
	data, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data))
}
