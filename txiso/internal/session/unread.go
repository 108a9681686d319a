package session

import "time"

// A backend that waits for its client to read takes no part in what a server wants of all its backends. Since PostgreSQL 15
// DROP DATABASE waits for each of them (the signal barrier of src/backend/storage/ipc/procsignal.c): one test's open rows
// would hold up another's, in whatever process. So what nobody reads for a while is read ahead, into memory.

const (
	// unreadAfter is how long an answer waits to be read by its connection, or up to twice that.
	unreadAfter = 200 * time.Millisecond
	// maxUnread is how much is read ahead. Beyond it the server waits.
	maxUnread = 64 << 20
)

// watch looks after the exchange that is under way until it is over. It costs the statements nothing: of those that last no
// longer than unreadAfter one in that time starts a timer. Caller must hold mu.
func (s *Session) watch() {
	if s.watching || s.owner == nil || s.err != nil {
		return
	}
	s.watching = true
	pumped := s.pumped
	time.AfterFunc(unreadAfter, func() { // a new one each time: a test in a bubble of testing/synctest may not reset another's
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watching = false
		if s.pumped == pumped {
			s.readAhead()
		}
		s.watch()
	})
}

// readAhead reads what the server has sent already, and what it sends when there is room again.
func (s *Session) readAhead() {
	helper := &conn{s: s}
	for s.err == nil && s.owner != nil && s.reader == nil && len(s.owner.in)-s.owner.inStart < maxUnread {
		if s.due() {
			s.flushAside()
			continue
		}
		helper.readDeadline = time.Now().Add(time.Millisecond)
		if s.pump(helper) == 0 {
			return
		}
	}
}
