package session

import "sync/atomic"

// Whoever sleeps until the server answers is woken late: a processor that has gone idle has to be started, which takes as long
// as a short statement does. A statement that needs a savepoint ahead of it is answered just late enough for that, where the same
// statement alone is not. So its answer is looked for for a while before anybody sleeps. That takes processor time which others may
// need, other tests, other processes or the server itself. Therefore nobody looks while somebody else in this process waits, and
// who has looked in vain, because the statement is a long one, the server is far away or the processors are busy, or finds that
// several have waited at once, lets a growing number of answers come before the next look.

const (
	// looks is how often the answer is looked for: for about a tenth of a millisecond.
	looks = 200
	// mostSkipped is how many answers are slept for at most before the next one is looked for.
	mostSkipped = 255
)

// lingering is that of all sessions: the processors are those of the process.
var lingering linger

type linger struct {
	waiting atomic.Int32 // goroutines that wait for an answer; skips and left are of the one that finds no other
	crowded atomic.Bool  // several have waited at once
	skips   int          // how many answers were slept for after the last look in vain; each look since that was not takes a quarter off
	left    int          // of them, still to come
}

// wait waits for an answer. look, if not nil, looks for it and reports whether it has come, sleep sleeps until it has.
func (l *linger) wait(look func() bool, sleep func()) {
	defer l.waiting.Add(-1)
	switch alone := l.waiting.Add(1) == 1; {
	case !alone && !l.crowded.Load(): // with many at once it is no news
		l.crowded.Store(true)
	case !alone:
	case look != nil:
		l.look(look)
	}
	sleep()
}

func (l *linger) look(look func() bool) {
	switch {
	case l.left > 0:
		l.left--
	case !l.crowded.Swap(false) && look(): // of four looks one may be in vain
		l.skips -= (l.skips + 3) / 4
	default:
		l.skips = min(2*l.skips+1, mostSkipped)
		l.left = l.skips
	}
}
