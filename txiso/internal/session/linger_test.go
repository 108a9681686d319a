package session

import "testing"

// A look costs processor time, and where processors are few or statements long it takes that from those who have something to do.
func TestWhoHasLookedInVainSleepsForMoreAndMoreAnswers(t *testing.T) {
	var l linger
	comes, looked := false, 0
	look := func() bool {
		looked++
		return comes
	}
	answers := func(n int) int {
		looked = 0
		for range n {
			l.wait(look, func() {})
		}
		return looked
	}
	if n := answers(1000); n < 8 || n > 11 { // after 0, 1, 3, 7, … 255, 255, 255
		t.Errorf("%d looks in vain at 1,000 answers, want about ten", n)
	}
	comes = true
	answers(2*mostSkipped + 1) // those that are still slept for, and as many looks that find one
	if n := answers(100); n != 100 {
		t.Errorf("%d looks for 100 answers that come soon, want 100", n)
	}
	comes = false
	answers(1)
	comes = true
	if n := answers(10); n != 9 {
		t.Errorf("%d looks for 10 answers behind a long statement, want 9", n)
	}
}

// With several tests at once the processors have something to do.
func TestNobodyLooksWhileOthersWaitNorSoonAfter(t *testing.T) {
	var l linger
	slept, looked := 0, 0
	sleep := func() { slept++ }
	look := func() bool { looked++; return true }
	l.wait(nil, func() { l.wait(look, sleep) })
	if looked != 0 {
		t.Error("somebody looked while another waited")
	}
	for range 2 {
		l.wait(look, sleep)
	}
	if looked != 0 {
		t.Error("somebody looked soon after two had waited at once")
	}
	l.wait(look, sleep)
	if looked != 1 || slept != 4 {
		t.Errorf("looked %d times, slept %d times, want 1 and 4", looked, slept)
	}
}
