package session

import (
	"fmt"
	"strings"
	"testing"
)

func TestASiteKnowsItsPlaceAndItsGoroutine(t *testing.T) {
	caller := func() *site { return here() }
	first, second := caller(), caller()
	if !first.sameGoroutine(second) {
		t.Errorf("goroutines %q and %q are said to differ", first.goroutine, second.goroutine)
	}
	other := make(chan *site)
	go func() { other <- caller() }()
	if o := <-other; o.sameGoroutine(first) {
		t.Errorf("another goroutine, %q, is said to be the same", o.goroutine)
	}
	if where := fmt.Sprint(first); !strings.Contains(where, "site_test.go:") {
		t.Errorf("the place is %s", where)
	}
	var nobody *site
	if nobody.sameGoroutine(first) || fmt.Sprint(nobody) != "an unknown place" {
		t.Errorf("no site: %v", nobody)
	}
}

func BenchmarkHere(b *testing.B) {
	for _, depth := range []int{0, 20} {
		b.Run(fmt.Sprintf("depth=%d", depth), func(b *testing.B) { deep(depth, func() { bench(b) }) })
	}
}

//go:noinline
func deep(n int, f func()) {
	if n > 0 {
		deep(n-1, f)
		return
	}
	f()
}

func bench(b *testing.B) {
	for b.Loop() {
		<-here().known
	}
}
