package conformance_test

import (
	"context"
	"strings"
	"time"
)

// behaviour is one thing that the code under test can see.
type behaviour struct {
	name string // a sentence
	body func(*Env)
	marks
}

// marks say what is special about a behaviour. Whether it is a limit is said in marks_test.go.
type marks struct {
	native    bool   // uses pgx's own interface, which go-txdb does not have
	told      string // part of what the test is told at its end, by txiso only: the behaviour is about that
	sometimes bool   // txiso differs in some runs only, depending on what ran before
	racy      bool   // go-txdb comes out differently from run to run, so nothing is said about it
}

// area is a part of what the code under test can see.
type area struct {
	name       string
	behaviours []behaviour
}

// outcome is what came of one run.
type outcome struct {
	Lines []string // what the body saw
	Told  []string // what the test was told at its end
}

// A body that takes longer hangs. Go-txdb does so often; nobody waits long for it.
func bound(c column) time.Duration {
	if c == onTxdb {
		return 4 * time.Second
	}
	return 15 * time.Second
}

func endBound(c column) time.Duration {
	if c == onTxdb {
		return time.Second / 2
	}
	return 15 * time.Second
}

// run runs a behaviour in a column. A body that hangs is left behind.
func run(b behaviour, c column) outcome {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tb := newBodyTB(ctx, b.name)
	e := &Env{Ctx: ctx, rec: &record{}}
	e.protect(func() {
		e.on = c.open(tb)
		e.rec.hide = strings.NewReplacer(tb.database, "DATABASE")
	})
	if e.on != nil && !within(bound(c), func() { e.protect(func() { b.body(e) }) }) {
		e.Log("hangs")
		cancel()
	}
	if !within(endBound(c), tb.end) {
		e.Log("the end of the test hangs")
	}
	return outcome{Lines: e.rec.snapshot(), Told: tb.said()}
}

// within reports whether f ended in time.
func within(bound time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
