package session

import "sync/atomic"

// Whoever sleeps until the server answers is woken late: a processor that has gone idle has to be started, which takes as long
// as a short statement does. So the answer is looked for for a while before anybody sleeps. That takes processor time which
// others may need, other tests, other processes or the server itself. Therefore nobody looks while somebody else in this process
// waits, and who has looked in vain, because the statement is a long one, the server is far away or the processors are busy,
// lets a growing number of answers come before the next look.

const (
	// looks is how often the answer is looked for: for about a tenth of a millisecond.
	looks = 200
	// mostSkipped is how many answers are slept for at most before the next one is looked for.
	mostSkipped = 255
)

// lingering is that of all sessions: the processors are those of the process.
var lingering linger

type linger struct {
	waiting atomic.Int32 // goroutines that wait for an answer; the rest is of the one that finds no other
	skips   int          // how many answers were slept for after the last look in vain; each look since that was not takes a quarter off
	left    int          // of them, still to come
}

// wait waits for an answer. look looks for it and reports whether it has come, sleep sleeps until it has.
func (l *linger) wait(look func() bool, sleep func()) {
	defer l.waiting.Add(-1)
	if l.waiting.Add(1) == 1 {
		l.look(look)
	}
	sleep()
}

func (l *linger) look(look func() bool) {
	switch {
	case l.left > 0:
		l.left--
	case look(): // of four looks one may be in vain
		l.skips -= (l.skips + 3) / 4
	default:
		l.skips = min(2*l.skips+1, mostSkipped)
		l.left = l.skips
	}
}
