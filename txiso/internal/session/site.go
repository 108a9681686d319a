package session

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
)

// site remembers who did something, cheaply; the names are looked up only when they are told to somebody.
type site struct {
	goroutine string
	pcs       [40]uintptr
	n         int
}

func (x *site) capture() {
	x.n = runtime.Callers(2, x.pcs[:])
	var buf [40]byte
	header := buf[:runtime.Stack(buf[:], false)]
	x.goroutine = "" // "goroutine 18 [running]:…" is all that the runtime tells of a goroutine's identity
	if fields := bytes.Fields(header); len(fields) > 1 {
		x.goroutine = string(fields[1])
	}
}

// String is the file and line of the innermost caller that is neither a driver nor this package.
func (x *site) String() string {
	frames := runtime.CallersFrames(x.pcs[:x.n])
	for {
		f, more := frames.Next()
		if f.Function != "" && !internalFrame(f.Function) {
			return fmt.Sprintf("%s:%d", f.File, f.Line)
		}
		if !more {
			return "an unknown place"
		}
	}
}

func internalFrame(function string) bool {
	for _, prefix := range [...]string{
		"github.com/txiso/txiso-go/txiso.", "github.com/txiso/txiso-go/txiso/internal/session.(", "github.com/jackc/",
		"database/sql.", "runtime.", "sync.", "github.com/lib/pq.",
	} {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}
