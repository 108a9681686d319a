package txiso

import (
	"fmt"
	"strings"
	"time"

	"github.com/txiso/txiso-go/txiso/internal/session"
)

const (
	// leakPatience is how long something that seems to be left open may take to be closed: by another goroutine, say.
	leakPatience = 500 * time.Millisecond
	// shortPatience is the same for a test that has failed, whose leaks are a consequence as a rule.
	shortPatience = 20 * time.Millisecond
)

// tellLeaks closes the test's handles and fails the test if it has left something open. It reports whether it has done so.
func (h *test) tellLeaks(t TB, hasFailed bool) bool {
	if h.iso.allowLeaks {
		h.closeHandles()
		return false
	}
	excused, patience := hasFailed || skipped(t), leakPatience
	if excused {
		patience = shortPatience
	}
	leaks := h.ground.Leaks(patience, h.closeHandles)
	if len(leaks) == 0 {
		return false
	}
	t.Helper()
	if excused {
		what := make([]string, len(leaks))
		for i, leak := range leaks {
			what[i] = leak.What
		}
		t.Logf("txiso: when the test ended, %s", strings.Join(what, "; "))
		return false
	}
	for _, leak := range leaks {
		t.Errorf("%v", leakError(leak))
	}
	return true
}

func (h *test) closeHandles() {
	h.iso.mu.Lock()
	handles := h.close
	h.close, h.closed = nil, true
	h.iso.mu.Unlock()
	for _, f := range handles {
		f()
	}
}

// skipped reports whether t says that it was skipped: then it has ended in the middle, as one that has failed.
func skipped(t TB) bool {
	judge, ok := t.(interface{ Skipped() bool })
	return ok && judge.Skipped()
}

func leakError(leak session.Leak) error {
	return fmt.Errorf("txiso: the test has ended, but %s; %s, or set Config.AllowLeaks", leak.What, leak.Remedy)
}
