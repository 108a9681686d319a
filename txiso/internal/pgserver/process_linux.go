package pgserver

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

const separator = "\x00" // of the arguments in a command line

// commands gives the command line of every process that we can see. A zombie has none.
func commands() (map[int]string, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, unclear(err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, unclear(err)
	}
	all := map[int]string{}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if all[pid], err = commandOf(pid); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// commandOf gives "" for a process that has ended, or that we may not look at: it is not of our account.
func commandOf(pid int) (string, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil && !isGone(err) && !errors.Is(err, fs.ErrPermission) {
		return "", unclear(err)
	}
	return string(data), nil
}

// isGone tells of a process that had ended before its file was opened, or before it was read.
func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

// ended tells if a process has ended, even if its parent has not noticed. In /proc/…/stat the state follows the name in parentheses.
// The command line would not do: it is empty for a moment when a process runs a new program.
func ended(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, state, _ := strings.Cut(string(stat), ") ")
	return isGone(err) || strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}

// bootID changes whenever the machine starts.
func bootID() string {
	data, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data))
}
