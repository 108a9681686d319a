// Package faketest stands in for *testing.T where a benchmark plays thousands of tests that each need an end of their own.
package faketest

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// T is one test. It is used by one goroutine; its methods are those that txiso.TB asks for.
type T struct {
	Log func(format string, args ...any) // nil drops what is logged

	name     string
	ctx      context.Context
	cancel   context.CancelFunc
	cleanups []func()
	failures []error
}

// New returns a test that has begun. Its context ends with [T.End], or with ctx.
func New(ctx context.Context, name string) *T {
	t := &T{name: name}
	t.ctx, t.cancel = context.WithCancel(ctx)
	return t
}

func (t *T) Helper()                  {}
func (t *T) Name() string             { return t.name }
func (t *T) Context() context.Context { return t.ctx }
func (t *T) Cleanup(f func())         { t.cleanups = append(t.cleanups, f) }

func (t *T) Logf(format string, args ...any) {
	if t.Log != nil {
		t.Log(format, args...)
	}
}

func (t *T) Errorf(format string, args ...any) {
	t.failures = append(t.failures, fmt.Errorf(format, args...))
}

// fatal is what Fatalf panics with: the goroutine goes on behind [T.Try].
type fatal struct{ err error }

func (t *T) Fatalf(format string, args ...any) { panic(fatal{fmt.Errorf(format, args...)}) }

// Try runs f and returns its error, or that of a Fatalf in it.
func (t *T) Try(f func() error) (err error) {
	defer func() {
		switch failed := recover().(type) {
		case nil:
		case fatal:
			err = failed.err
		default:
			panic(failed)
		}
	}()
	return f()
}

// End ends the test as testing does: the context first, then the cleanups, last in, first out. It returns what Errorf was
// told.
func (t *T) End() error {
	t.cancel()
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
	t.cleanups = nil
	return errors.Join(t.failures...)
}
