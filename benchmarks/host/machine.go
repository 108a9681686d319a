package host

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine describes where the run took place.
func Machine() string {
	return fmt.Sprintf("%s/%s, %d processors%s, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor(), runtime.Version())
}

// processor is the name that Linux knows, if it is Linux.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(info)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return " (" + strings.TrimSpace(value) + ")"
		}
	}
	return ""
}

// Load is how many processes have wanted a processor in the last minute, on Linux.
func Load() []string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return nil
	}
	minute, _, _ := strings.Cut(string(text), " ")
	return []string{minute}
}
