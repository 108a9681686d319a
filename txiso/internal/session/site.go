package session

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
)

// site remembers who did something, cheaply; the names are looked up only when they are told to somebody.
type site struct {
	pcs       [40]uintptr
	n         int
	known     chan struct{} // closed when goroutine is set
	goroutine string
}

// here is the caller's caller's site.
func here() *site {
	x := &site{known: make(chan struct{})}
	x.n = runtime.Callers(3, x.pcs[:])
	go x.findGoroutine()
	return x
}

// findGoroutine finds out which goroutine has called here. Only a stack trace tells (runtime.Stack), and a trace of the
// caller would cost twenty microseconds, because all of its frames are looked up whatever is wanted. This goroutine's has
// one frame, and behind it: "created by … in goroutine 18".
func (x *site) findGoroutine() {
	defer close(x.known)
	var buf [1024]byte
	trace := buf[:runtime.Stack(buf[:], false)]
	if _, id, ok := bytes.Cut(trace, []byte(" in goroutine ")); ok {
		id, _, _ = bytes.Cut(id, []byte("\n"))
		x.goroutine = string(id)
	}
}

func (x *site) sameGoroutine(y *site) bool {
	if x == nil || y == nil {
		return false
	}
	<-x.known
	<-y.known
	return x.goroutine == y.goroutine && x.goroutine != ""
}

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
