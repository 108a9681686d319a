package session

import (
	"bytes"
	"runtime"
)

// site remembers who did something.
type site struct {
	place
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

// String is that of its place.
func (x *site) String() string {
	if x == nil {
		return "an unknown place"
	}
	return x.place.String()
}
