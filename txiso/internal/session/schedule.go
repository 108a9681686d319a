package session

import (
	"errors"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// exchange is the one that is under way, of Session.owner.
type exchange struct {
	behind    behind
	parts     int         // how often the server has answered all that was sent of it
	open      bool        // Flush has been sent, Sync not yet
	paused    bool        // nothing more may be sent before the server has answered
	bound     bool        // something went to the server whose answer is still to come
	guarded   bool        // what went ahead of it are savepoints
	pipelined bool        // what follows is in a transaction block of its own, see portals.go
	skipping  bool        // an error was answered: everything up to Sync is to be ignored, and Sync commits nothing
	failed    bool        // it was answered with an error
	aborted   bool        // it is of a zombie, see ready
	modes     txModes     // of the transaction that it is by itself
	copyIn    bool        // the server wants CopyData
	copying   bool        // a COPY FROM STDIN is under way
	copyEnds  int         // CopyDone and CopyFail that belong to those under way and to come
	copyFed   bool        // data was sent
	synced    bool        // its client had sent the Sync when it went
	swallows  bool        // the server ignores the Sync that has been sent, see awaitSync
	syncEnds  int         // what copyEnds was at that
	alone     bool        // nothing may be sent behind it ahead of time
	writes    bool        // it may have changed data
	wrote     bool        // it has, by the look of it
	xids      int         // in another's app transaction: subtransactions with an id when it was about to
	asked     bool        // how many have one by now
	effects               // of the transaction that it is by itself
	creates   bool        // it may create something by what looks like a SELECT
	ddl       bool        // it has changed the schema
	temporary int         // CREATEs of something temporary that are to be answered
	cancelled bool        // a CancelRequest was sent for it, which the server ignores between two messages
	repeat    *time.Timer // of that, see repeatCancel
	checks    bool        // the deferred constraints are being checked
	hold      bool        // its CommandComplete waits for the deferred constraints to be checked
	held      []byte      // the one that waits
	commit    *commit
	strings   queryString // what is left of a Query with several statements
	syntax    bool        // the server is asked whether it can read the Query
	pending   *statement  // transaction control that waits for the server to answer what is ahead of it
	rest      []byte      // what is left of the batch behind it
	collect   func(row []byte)
	sets      []string                // settings that it changes for the session
	resets    bool                    // it gives all settings their defaults
	restarts  []restart               // those that it is to give their values of the startup
	gave      names                   // what its connection gives up in it, see orphans.go
	notes     string                  // notes that it resets, see notes.go
	park      []string                // settings that are to be parked behind it
	tell      bool                    // a transaction has ended that had changed settings the client is told about
	granting  bool                    // it is the grant of a wish
	refusal   *pgproto3.ErrorResponse // of the wish
}

// canStart reports that c's next batch may go to the server now. Caller must hold mu.
func (s *Session) canStart(c *conn) bool {
	if s.owner != nil || s.canceling > 0 || !s.eligible(c) {
		return false
	}
	for _, w := range s.waiting {
		if w == c {
			break
		}
		if w.out.ready() && s.eligible(w) {
			return false // first come, first served
		}
	}
	return true
}

// eligible reports that nothing but an exchange under way stands between c's next batch and the server.
func (s *Session) eligible(c *conn) bool {
	switch {
	case s.tx.owner == nil, s.tx.owner == c:
		return true
	case c.out.batches[0].begins:
		return s.tx.failed && s.tx.yields
	}
	return !s.doomed()
}

// advance sends as much of what c has written as can be sent now. Caller must hold mu.
func (s *Session) advance(c *conn) {
	for c.out.ready() && c.closed == nil {
		b := c.out.batches[0]
		switch {
		case s.covered(c), c.turnedAway:
			s.turnAway(c)
		case s.owner == c && s.ex.copyIn:
			s.copyData(c)
		case s.owner == c && isCopy(b.first) && s.asksAhead():
			return // the COPY is in the rest of the Query
		case s.owner == c && isCopy(b.first):
			s.noteCopy(b.first)
			s.wbuf = append(s.wbuf, c.out.batch()...)
			c.out.dropBatch()
		case isCopy(b.first):
			c.out.dropBatch() // the COPY has failed; a server ignores the rest of it, too
		case s.owner == c && s.ex.open && !s.ex.paused:
			s.translateBatch(c)
		case s.owner == nil && s.canStart(c):
			s.owner, s.ex = c, exchange{}
			s.translateBatch(c)
		default:
			return
		}
	}
}

func (s *Session) translateBatch(c *conn) {
	c.waitsSince = time.Time{}
	msgs := c.out.batch()
	if s.opts.Strict && !c.out.batches[0].begins {
		s.noteStray(c, msgs)
	}
	s.translate(c, msgs)
	c.out.dropBatch()
}

// answerUnsent answers c's next batch, whose turn will not come, with an error.
func (s *Session) answerUnsent(c *conn, e *pgproto3.ErrorResponse) {
	answer := encode(nil, e)
	batch := c.out.batch()
	s.recordUnsent(c, batch, answer)
	last := lastKind(batch)
	c.turnedAway = last != 'S' && last != 'Q' && last != 'F'
	c.out.dropBatch()
	c.in = append(c.in, answer...)
	if s.tx.owner == c && !s.tx.failed {
		s.tx.failed, s.tx.unawares = true, true
	}
	if !c.turnedAway { // else everything up to Sync is to be ignored
		c.in = appendReady(c.in, s.status(c))
	}
}

func isCopy(kind byte) bool { return kind == 'd' || kind == 'c' || kind == 'f' }

// finish ends the exchange under way and answers its ReadyForQuery. Caller must hold mu.
func (s *Session) finish() {
	c := s.owner
	s.deliverHeld()
	s.journal.finish()
	s.owner = nil
	if !s.ex.failed || s.tx.owner == c { // else it has changed none
		s.settleNames()
	}
	s.settle(c)
	if s.ex.failed || s.aborted {
		c.unparked = append(c.unparked, s.ex.park...)
	}
	if !c.eof {
		c.in = appendReady(c.in, s.status(c))
	}
	if s.ex.repeat != nil {
		s.ex.repeat.Stop()
	}
	s.ex = exchange{}
	if c.closed != nil || c.eof {
		s.leave(c)
	}
	if c.closed != nil {
		c.leaveStatements()
	}
	s.wakeAll()
}

// progress does one thing that brings c nearer to an answer. Caller must hold mu, which is given up meanwhile.
func (s *Session) progress(c *conn) {
	s.advance(c)
	wants := s.owner == c || c.out.ready()
	switch {
	case s.readable(c):
	case s.due():
		s.flushAside()
	case wants && s.owner != nil && s.reader == nil && !s.idling(c):
		s.pump(c)
	default:
		s.wait(c)
	}
}

// mostWithheld is how much a connection is not given yet. A server has sent no more than some kilobytes and what a socket takes when
// it goes on.
const mostWithheld = 64 << 10

// readable reports that there is something for c to read. It has to wait for the end of an exchange of which the server has answered
// a part, and is to be asked for the rest, such as the check that is its commit. On a server of its own all of that happens whether
// the client reads or not, and is over when it has the answer: who cancels then, or goes away, undoes nothing.
func (s *Session) readable(c *conn) bool {
	unread := len(c.in) - c.inStart
	withheld := s.owner == c && s.ex.parts > 0 && !s.ex.open && !s.ex.copyIn && unread < mostWithheld &&
		s.err == nil && c.closed == nil && !c.eof
	return unread > 0 && !withheld
}

// idling reports that another connection than c has the server, which has nothing to do: it waits for that one's Sync, or data.
func (s *Session) idling(c *conn) bool {
	return s.copying(c) || s.owner != nil && s.owner != c && s.ex.open && !s.ex.paused && s.steps.len() == 0
}

// pump reads from the server once, on behalf of whoever owns the exchange, and returns how much there was. Caller must hold mu.
func (s *Session) pump(c *conn) (n int) {
	s.reader = c
	s.pumped++
	s.readUntil(c.readDeadline)
	free := s.rbuf[s.rw:]
	var look func() bool
	if s.ex.guarded {
		look = s.phys.look
	}
	s.mu.Unlock()
	var err error
	lingering.wait(look, func() { n, err = s.phys.Read(free) })
	s.mu.Lock()
	s.reader = nil
	s.rw += n
	s.process()
	if s.steps.len() == 0 { // a server that only sends rows may have read nothing since
		s.unconfirmed = 0
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		s.fail(s.gone(err))
	}
	if len(s.waiting) > 0 {
		s.wakeAll() // somebody else may have to go on reading
	}
	return n
}

// largeWrite is more than a socket takes at once. Such a write can block until the server's answers are read, so it must
// not run on the goroutine that reads them.
const largeWrite = 32 << 10

// flushAside is flush for a goroutine that is about to read: the write deadline of its connection may be that of a write long ago.
func (s *Session) flushAside() {
	if len(s.wbuf) < largeWrite && !s.mayBlock() {
		s.flush(s.control.conn)
		return
	}
	s.writeAside()
}

// surelyTaken is what a socket takes at once when the server has read all that went before.
const surelyTaken = 8 << 10

// mayBlock reports that a write may block that no deadline would end.
func (s *Session) mayBlock() bool {
	return s.phys.encrypted() && s.unconfirmed+len(s.wbuf) > surelyTaken
}

// writeAside writes on a goroutine of its own, and returns what is closed at the end of that. Caller must hold mu.
func (s *Session) writeAside() (written chan struct{}) {
	s.writing = true
	written = make(chan struct{})
	go func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.write(s.control.conn)
		close(written)
		s.wakeAll()
	}()
	return written
}

// flush writes what is due to the server; c's write deadline bounds it, and what it leaves is written by whoever comes
// next, because half a message would make the connection useless for everybody. Caller must hold mu, which is given
// up meanwhile.
func (s *Session) flush(c *conn) {
	switch {
	case !s.due():
	case s.mayBlock():
		s.awaitWritten(c, s.writeAside())
	default:
		s.writing = true
		s.write(c)
		if len(s.waiting) > 0 {
			s.wakeAll() // somebody may wait for the end of the writing only
		}
	}
}

// awaitWritten waits for the end of a write aside, as long as c has time. Caller must hold mu, which is given up meanwhile.
func (s *Session) awaitWritten(c *conn, written <-chan struct{}) {
	if c.hurry == nil {
		c.hurry = make(chan struct{}, 1)
	}
	for over := false; !over && c.closed == nil && !past(c.writeDeadline); {
		var expired <-chan time.Time
		if !c.writeDeadline.IsZero() {
			expired = time.After(time.Until(c.writeDeadline))
		}
		s.mu.Unlock()
		select {
		case <-written:
			over = true
		case <-c.hurry:
		case <-expired:
		}
		s.mu.Lock()
	}
}

// due reports that there is something to write now: who is writing takes what was added, and while a CancelRequest travels
// the server must be given nothing that it is not meant for.
func (s *Session) due() bool { return len(s.wbuf) > 0 && !s.writing && s.canceling == 0 }

func (s *Session) write(c *conn) {
	for len(s.wbuf) > 0 && s.canceling == 0 {
		buf := s.wbuf
		s.wbuf = recycle(s.spare)
		if s.ahead {
			s.ahead, s.reached = false, time.Now().Add(getOver)
		}
		s.writeUntil(c.writeDeadline)
		s.mu.Unlock()
		n, err := s.phys.Write(buf)
		s.mu.Lock()
		s.unconfirmed += n
		if err == nil {
			s.spare = buf
			continue
		}
		s.wbuf = append(buf[n:len(buf):len(buf)], s.wbuf...)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			s.wbuf = nil // the reader will find out why, and say so
		}
		break
	}
	s.writing = false
}

// wait sleeps until something has changed, c's deadline passes or its BEGIN has waited long enough.
func (s *Session) wait(c *conn) {
	until := c.readDeadline
	if c.out.ready() && s.obstructed(c) {
		if s.waitExpired(c) {
			return
		}
		if limit := s.waitLimit(c); until.IsZero() || limit.Before(until) {
			until = limit
		}
	}
	if c.wake == nil {
		c.wake = make(chan struct{}, 1)
	}
	if !slices.Contains(s.waiting, c) {
		s.waiting = append(s.waiting, c)
	}
	var expired <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		expired = timer.C
	}
	s.mu.Unlock()
	select {
	case <-c.wake:
	case <-expired:
	}
	s.mu.Lock()
}

// stopWaiting takes c out of the queue. Caller must hold mu.
func (s *Session) stopWaiting(c *conn) {
	if i := slices.Index(s.waiting, c); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		s.wakeAll() // the next may be first now
	}
}

func (s *Session) wakeAll() {
	for _, c := range s.waiting {
		c.nudge()
	}
}

func (c *conn) nudge() { wake(c.wake) }

// wake wakes who waits, or is about to. Nobody waits for nil.
func wake(waiter chan struct{}) {
	select {
	case waiter <- struct{}{}:
	default:
	}
}

// interrupt makes a goroutine that works for c look at c's state again: it was closed or got another deadline.
func (s *Session) interrupt(c *conn) {
	if c.wake != nil {
		c.nudge()
	}
	if s.reader == c {
		deadline := c.readDeadline
		if c.closed != nil || c.eof {
			deadline = time.Unix(1, 0)
		}
		s.readUntil(deadline)
	}
	if s.writing && s.owner == c {
		s.writeUntil(c.writeDeadline)
	}
	wake(c.hurry)
}

// readUntil and writeUntil bound reading from and writing to the server, also that which is under way.

func (s *Session) readUntil(deadline time.Time) {
	if deadline != s.readBy {
		s.readBy = deadline
		_ = s.phys.SetReadDeadline(deadline) // fails only on a closed connection, as the read will
	}
}

// After a write that has timed out, crypto/tls writes nothing more: there a client's deadline ends its own wait only.
func (s *Session) writeUntil(deadline time.Time) {
	if s.phys.encrypted() {
		return
	}
	if deadline != s.writeBy {
		s.writeBy = deadline
		_ = s.phys.SetWriteDeadline(deadline)
	}
}

// leave ends what c has going on: what it has not sent yet, its part in a COPY, its app transaction. Caller must hold mu.
func (s *Session) leave(c *conn) {
	if s.owner == c && c.out.ready() && c.out.batches[0].first == 'S' { // it waits behind a COPY
		s.ex.synced = true
	}
	c.out.clear()
	if s.owner == c {
		s.endCopyIn()
		if s.ex.open && !s.ex.copyIn && !s.ex.paused { // the Sync it still owes
			s.ex.open = false
			s.ex.failed = s.ex.failed || !s.ex.synced // what was not ended with it is undone, as by a server
			s.sync(c)
		}
		s.wakeAll()
		return // finish calls again
	}
	switch {
	case s.tx.owner != c:
		return
	case s.owner != nil: // another's statement runs inside it
		s.tx.abandoned = true
	default:
		s.rollback()
	}
	s.wakeAll()
}

// asksAhead reports that the exchange under way is a Query of which the server has not been sent all yet.
func (s *Session) asksAhead() bool {
	return s.ex.syntax || s.ex.commit != nil || len(s.ex.strings.statements) > 0
}

// copyData sends the next of what c sends while the server wants CopyData. The server ignores Flush and Sync there, also one that came with
// the COPY; behind CopyDone it wants another (manual 55.2.6).
func (s *Session) copyData(c *conn) {
	b := c.out.batches[0]
	switch b.first {
	case 'S', 'H':
	default:
		if b.first == 'c' || b.first == 'f' {
			s.ex.copyIn = false
			s.awaitSync()
		}
		s.noteCopy(b.first)
		s.wbuf = append(s.wbuf, c.out.batch()...)
	}
	c.out.dropBatch()
}

// noteCopy notes what is sent for a COPY, maybe ahead of the server's word that it wants that.
func (s *Session) noteCopy(kind byte) {
	s.ex.copyFed = true
	if kind == 'c' || kind == 'f' {
		s.ex.copyEnds++
	}
}

// copyOver notes the end of the COPY FROM STDIN that is under way, if one is, and whether the client had ended it.
func (s *Session) copyOver() (ended bool) {
	ended = s.ex.copyEnds > 0
	if s.ex.copying {
		s.ex.copyIn, s.ex.copying = false, false
		s.ex.copyEnds, s.ex.syncEnds = max(0, s.ex.copyEnds-1), max(0, s.ex.syncEnds-1)
		s.ex.copyFed = s.ex.copyEnds > 0
	}
	return ended
}

// awaitSync notes that the server has ignored the Sync that came with a COPY in the extended protocol, ahead of the data.
func (s *Session) awaitSync() {
	if !s.ex.swallows {
		return
	}
	s.ex.swallows = false
	i := slices.IndexFunc(s.steps.queue[s.steps.head:], func(st step) bool { return st.kind == 'S' })
	if i >= 0 {
		i += s.steps.head
		s.steps.queue = slices.Delete(s.steps.queue, i, i+1)
		s.ex.open = true
	}
}

// endCopyIn tells a server that waits for CopyData of a client that is gone that there will be none. In the extended
// protocol the server has ignored the Sync that came ahead of the data, so it gets another (manual 55.2.6).
func (s *Session) endCopyIn() {
	if !s.ex.copyIn {
		return
	}
	s.ex.copyIn = false
	s.noteCopy('f')
	s.wbuf = encode(s.wbuf, &pgproto3.CopyFail{Message: "the client went away"})
	s.awaitSync() // leave sends it
}

// cancelAgain is when a CancelRequest is repeated. The server ignores one that finds it between two messages.
const cancelAgain = 250 * time.Millisecond

// drain waits for the end of the exchange under way, after asking the server to cancel it. Caller must hold mu.
func (s *Session) drain(within time.Duration) error {
	c := s.control.conn
	defer func() { c.readDeadline, c.writeDeadline = time.Time{}, time.Time{} }()
	var end, again time.Time
	for s.err == nil && s.busy() {
		now := time.Now()
		if end.IsZero() {
			end = now.Add(within)
		}
		c.readDeadline, c.writeDeadline = end, end
		for _, next := range []time.Time{again, s.reached} {
			if next.After(now) && next.Before(c.readDeadline) {
				c.readDeadline = next
			}
		}
		switch {
		case past(end):
			s.fail(errors.New("txiso: the server did not end the statement that was running when the test ended"))
		case s.reader == nil && !again.After(now) && s.cancellable():
			s.cancelRunning()
			again = time.Now().Add(cancelAgain)
		default:
			s.await(c)
		}
	}
	return s.err
}

// busy reports that there is something to wait for before the server has nothing to say any more.
func (s *Session) busy() bool {
	return s.owner != nil || s.writing || s.canceling > 0 || s.reader != nil || len(s.wbuf) > 0
}

// await does one thing that brings the end of the exchange under way nearer, on behalf of c. Caller must hold mu, which is
// given up meanwhile.
func (s *Session) await(c *conn) {
	switch {
	case s.due():
		s.flush(c)
	case s.owner != nil && s.reader == nil:
		s.pump(c)
	default:
		s.wait(c)
		s.stopWaiting(c)
	}
}
