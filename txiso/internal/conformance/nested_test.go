package conformance_test

import (
	"context"
	"slices"
	"testing"
)

// openNested gives a body a session in which a test runs that is nested in one that has done nothing.
func openNested(tb *bodyTB) backend {
	parent := newBodyTB(context.Background(), tb.name+", its parent")
	tb.Cleanup(parent.end)
	if _, err := iso.DB(parent).Exec("SELECT count(*) FROM items"); err != nil {
		tb.Fatalf("%v", err)
	}
	iso.Nested(tb, parent)
	return openIso(tb)
}

// A nested test is a test like any other.
func TestBehavioursAreTheSameInANestedTest(t *testing.T) {
	for _, a := range areas {
		for _, b := range a.behaviours {
			if b.reason() != "" { // a limit is one here, too, and may show in another way
				continue
			}
			t.Run(a.name+"/"+b.name, func(t *testing.T) {
				t.Parallel()
				want, got := truth(b), run(b, onNested)
				if !slices.Equal(want.Lines, got.Lines) {
					t.Errorf("differs when nested:\n%s", diff(want.Lines, got.Lines))
				}
				if !b.allowed(got.Told) {
					t.Errorf("the nested test was told %q", got.Told)
				}
			})
		}
	}
}
