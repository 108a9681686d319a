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

// here is the caller's caller's site.
func here() *site {
	x := &site{}
	x.n = runtime.Callers(3, x.pcs[:])
	var buf [40]byte
	header := buf[:runtime.Stack(buf[:], false)]
	if fields := bytes.Fields(header); len(fields) > 1 { // "goroutine 18 [running]:…" is all that the runtime tells of a goroutine's identity
		x.goroutine = string(fields[1])
	}
	return x
}

func (x *site) sameGoroutine(y *site) bool { return x != nil && y != nil && x.goroutine == y.goroutine }

// String is the file and line of the innermost caller that is neither a driver nor this package.
func (x *site) String() string {
	if x == nil {
		return "an unknown place"
	}
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
