package txiso_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/txiso/txiso-go/txiso"
)

// A *testing.T is what Iso's methods want, and so are *testing.B and *testing.F.
var _ txiso.TB = testing.TB(nil)

// fakeTB is a test that may fail without failing the one that watches it. Like a real one it ends its goroutine on
// Fatalf, ends its context just before its cleanups, and runs those last in, first out.
type fakeTB struct {
	name   string
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	cleanups []func()
	errors   []string
	fatals   []string
	logs     []string
	listings []string
	panicked bool
}

var _ txiso.TB = (*fakeTB)(nil)

// playTest runs f as a test and returns when it and its cleanups have ended. A panic of f ends the fake test only.
func playTest(t *testing.T, f func(tb *fakeTB)) *fakeTB {
	t.Helper()
	return playTestWith(t, context.Background(), f)
}

// playTestWith gives the test a context that may end early.
func playTestWith(t *testing.T, ctx context.Context, f func(tb *fakeTB)) *fakeTB {
	t.Helper()
	tb := &fakeTB{name: t.Name() + "/played"}
	tb.ctx, tb.cancel = context.WithCancel(ctx)
	panicked := apart(func() { f(tb) })
	tb.mu.Lock()
	tb.panicked = panicked
	tb.mu.Unlock()
	tb.cancel()
	for clean := tb.pop(); clean != nil; clean = tb.pop() {
		apart(clean)
	}
	return tb
}

// apart runs f to its end, even if that is a panic, which it reports, or a Goexit.
func apart(f func()) (panicked bool) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { panicked = recover() != nil }()
		f()
	}()
	<-ended
	return panicked
}

func (tb *fakeTB) pop() func() {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	if len(tb.cleanups) == 0 {
		return nil
	}
	last := len(tb.cleanups) - 1
	f := tb.cleanups[last]
	tb.cleanups = tb.cleanups[:last]
	return f
}

func (tb *fakeTB) Helper()                  {}
func (tb *fakeTB) Name() string             { return tb.name }
func (tb *fakeTB) Context() context.Context { return tb.ctx }

// Logf keeps the statements that a test which has failed is told apart from all else.
func (tb *fakeTB) Logf(format string, args ...any) {
	if strings.HasPrefix(format, "txiso: the last statements of this test") {
		tb.note(&tb.listings, format, args)
		return
	}
	tb.note(&tb.logs, format, args)
}

// Failed is what a test may have beside what [txiso.TB] wants.
func (tb *fakeTB) Cleanup(f func()) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.cleanups = append(tb.cleanups, f)
}

func (tb *fakeTB) Failed() bool {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return tb.panicked || len(tb.errors)+len(tb.fatals) > 0
}

func (tb *fakeTB) Errorf(format string, args ...any) { tb.note(&tb.errors, format, args) }

func (tb *fakeTB) Fatalf(format string, args ...any) {
	tb.note(&tb.fatals, format, args)
	runtime.Goexit()
}

func (tb *fakeTB) note(where *[]string, format string, args []any) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	*where = append(*where, fmt.Sprintf(format, args...))
}

// expectPass fails t if the played test has said anything.
func (tb *fakeTB) expectPass(t *testing.T) {
	t.Helper()
	if len(tb.errors)+len(tb.fatals) > 0 {
		t.Errorf("the test should pass, but failed with %q, %q", tb.errors, tb.fatals)
	}
}

// expectFatal wants the played test to have been ended by one error, which begins as all of ours do, says all the texts
// and does not say any password of this package's tests.
func (tb *fakeTB) expectFatal(t *testing.T, texts ...string) {
	t.Helper()
	if len(tb.fatals) != 1 || len(tb.errors) != 0 {
		t.Fatalf("the test should be ended by one Fatalf, got %q and Errorf %q", tb.fatals, tb.errors)
	}
	expectError(t, tb.fatals[0], texts...)
}

// password is the one that must never be told.
const password = "hush-K9w?x"

func expectError(t *testing.T, got string, texts ...string) {
	t.Helper()
	if !strings.HasPrefix(got, "txiso: ") {
		t.Errorf("the error does not begin with txiso: %q", got)
	}
	for _, text := range texts {
		if !strings.Contains(got, text) {
			t.Errorf("the error lacks %q: %q", text, got)
		}
	}
	if strings.Contains(got, password) || strings.Contains(got, "hush") {
		t.Errorf("the error tells the password: %q", got)
	}
}

// failure plays a test that asks for a database in vain and returns it.
func failure(t *testing.T, cfg txiso.Config) *fakeTB {
	t.Helper()
	iso := txiso.New(cfg)
	defer closeIso(t, iso)
	return playTest(t, func(tb *fakeTB) {
		iso.DB(tb)
		tb.Errorf("DB gave a database")
	})
}
