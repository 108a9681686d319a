package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unsafe"

	"github.com/jackc/pgx/v5/pgproto3"
)

// step is an answer that is expected from the server, in the order in which it must come, or bytes of ours that have
// their place among the answers.
type step struct {
	kind    byte // the frontend message that is answered; 0 for ours
	drop    bool // nobody is told
	end     bool // the last of what was sent of the exchange
	tell    bool // an error is told, unless there was one in the exchange
	collect bool // rows go to ex.collect
	syntax  bool // an error without a position is what is hoped for
	reset   bool // the outer transaction ends here
	quiet   bool // nobody is told of settings that it changes
	grant   bool // of a wish: an error is the end of its connection
	rows    func(row []byte)
	fails   bool // it is an error: one of ours, or one that the server was made to tell
	inject  []byte

	conn    *conn             // of a Parse, Bind or Close
	name    string            // of the statement or portal
	server  string            // the server's name for it, of a Bind, Describe, Execute or Close that uses another
	backend *backendStatement // of a Parse, Close or Describe
	was     *statement        // of a Parse of an unnamed statement, or a Close: what the name stood for
	binds   string            // of a Bind: the portal's name
	had     portal            // of a Bind: what that stood for
	tx      *appTx            // of an Execute of SAVEPOINT and its like: the transaction ahead of it
}

// steps is a queue.
type steps struct {
	queue []step
	head  int
}

func (q *steps) push(st step) { q.queue = append(q.queue, st) }
func (q *steps) len() int     { return len(q.queue) - q.head }
func (q *steps) first() *step { return &q.queue[q.head] }
func (q *steps) last() *step  { return &q.queue[len(q.queue)-1] }

func (q *steps) pop() step {
	st := q.queue[q.head]
	q.queue[q.head] = step{}
	if q.head++; q.head == len(q.queue) {
		q.queue, q.head = q.queue[:0], 0
	}
	return st
}

func (s *Session) push(st step) { s.steps.push(st) }

// process hands on what has been read from the server. Caller must hold mu.
func (s *Session) process() {
	for s.rr < s.rw {
		b := s.rbuf[s.rr:s.rw]
		if s.passing > 0 {
			n := min(s.passing, len(b))
			s.deliver(b[:n])
			s.passing -= n
			s.rr += n
			continue
		}
		if len(b) < 5 {
			break
		}
		size := 1 + int(binary.BigEndian.Uint32(b[1:5]))
		if len(b) < size {
			if (b[0] == 'D' || b[0] == 'd') && !s.dropping() {
				s.passing = size // a large row need not be complete to be passed on
				continue
			}
			s.makeRoom(size)
			return
		}
		s.message(b[:size:size])
		s.rr += size
	}
	s.makeRoom(5)
}

// makeRoom moves what is not processed to the front and makes place for a message of size.
func (s *Session) makeRoom(size int) {
	buf := s.rbuf
	if size > len(buf) {
		buf = make([]byte, size)
	}
	s.rw = copy(buf, s.rbuf[s.rr:s.rw])
	s.rr = 0
	s.rbuf = buf
}

// deliver gives the owner of the exchange bytes to read.
func (s *Session) deliver(b []byte) {
	if c := s.owner; c != nil && c.closed == nil && !c.eof {
		c.in = append(c.in, b...)
	}
}

func (s *Session) dropping() bool { return s.steps.len() == 0 || s.steps.first().drop }

// message handles one message of the server.
func (s *Session) message(m message) {
	switch m.kind() {
	case 'D', 'd':
		if !s.dropping() {
			s.deliverHeld()
			s.deliver(m)
		} else if s.steps.len() > 0 {
			s.collect(s.steps.first(), m[11:]) // one column: its number and its length come first
		}
	case 'N':
		s.notice(m)
	case 'S':
		s.parameter(m)
	case 'A':
		s.deliver(m)
	case 'E':
		s.errorResponse(m)
	case 'Z':
		s.readyForQuery(m[5])
	default:
		s.answer(m)
	}
}

// notice passes a notice on: of a statement of the client's, or of the check at the end, behind which the last tag comes.
func (s *Session) notice(m message) {
	switch {
	case !s.dropping():
		if s.steps.first().syntax {
			return // it comes again when that is executed
		}
		s.deliverHeld()
		s.deliver(m)
	case s.steps.len() > 0 && s.steps.first().tell:
		s.deliver(m)
	}
}

// collect takes a row that the session itself has asked for.
func (s *Session) collect(st *step, row []byte) {
	switch {
	case st.rows != nil:
		st.rows(row)
	case st.collect && s.ex.collect != nil:
		s.ex.collect(row)
	}
}

func (s *Session) parameter(m message) {
	name, rest, _ := cstring(m.body())
	value, _, _ := cstring(rest)
	s.phys.params[name] = value
	if name == readOnlySetting {
		s.settings.readOnly = isOn(value)
	}
	if s.steps.len() > 0 && (s.steps.first().quiet || s.steps.first().reset) {
		return // by us, or by the end of the test before
	}
	if s.implicit() && s.ex.locals.report(strings.ToLower(name)) {
		return // it has its old value again when the exchange is over
	}
	if changesMeaning(strings.ToLower(name)) { // by a function, for all we know
		s.ddl = true
		s.statements.invalidate()
	}
	if s.implicit() && s.ex.failed { // by us: the server has not undone it yet
		return
	}
	s.tx.reported = s.tx.reported || s.tx.owner != nil
	s.deliverHeld()
	s.deliver(m)
}

// answer handles what is neither data nor an end.
func (s *Session) answer(m message) {
	if s.steps.len() == 0 {
		return
	}
	st := s.steps.first()
	if !st.drop {
		s.recordAnswer(m)
	}
	switch m.kind() {
	case 'C':
		s.complete(st, m)
	case 'G', 'W':
		s.startCopyIn(st, m)
	case 't', 'T', 'n':
		s.described(st, m)
	default:
		if !st.drop && !st.syntax {
			s.deliverHeld()
			s.deliver(m)
		}
	}
	if st.ends(m.kind()) {
		done := s.steps.pop()
		if done.kind == 'P' {
			s.parsed(done)
		}
		s.inject()
	}
}

// ends reports whether a message of the server completes the answer to the step.
func (st *step) ends(kind byte) bool {
	switch st.kind {
	case 'P':
		return kind == '1'
	case 'B':
		return kind == '2'
	case 'C':
		return kind == '3'
	case 'D':
		return kind == 'T' || kind == 'n'
	case 'E':
		return kind == 'C' || kind == 'I' || kind == 's'
	}
	return false
}

// inject delivers what is due of ours.
func (s *Session) inject() {
	for s.steps.len() > 0 && s.steps.first().kind == 0 {
		st := s.steps.pop()
		s.deliver(st.inject)
		s.ex.failed = s.ex.failed || st.fails
	}
}

// complete handles CommandComplete.
func (s *Session) complete(st *step, m message) {
	s.copyOver()
	if st.drop {
		return
	}
	tag, _, _ := cstring(m.body())
	s.noteTag(tag)
	if st.kind != 'Q' || !s.ex.hold {
		s.deliver(m)
		return
	}
	s.deliverHeld()
	s.ex.held = append(s.ex.held, m...)
}

// deliverHeld delivers the CommandComplete that waits: there is more to come, so it was not the last.
func (s *Session) deliverHeld() {
	if len(s.ex.held) > 0 {
		s.deliver(s.ex.held)
		s.ex.held = s.ex.held[:0]
	}
}

// noteTag watches for statements that change what the session remembers about the server.
func (s *Session) noteTag(tag string) {
	switch tag {
	case "DEALLOCATE":
		s.statements.doubt()
		s.names.prepared = false
	case "DEALLOCATE ALL":
		s.statements.forget()
		s.names.prepared = false
		s.owner.statements = nil
		s.prepareAgain()
	case "PREPARE":
		s.prepared = true
		s.prepares++
	case "ROLLBACK": // to a savepoint of the test's
		s.forgetSchema()
	case "DISCARD TEMP":
		s.ddl = true
		s.deferred.stale = true
	default:
		if s.changesSchema(tag) {
			s.noteAltered(tag)
			s.ddl, s.ex.ddl = true, true
			s.deferred.stale = true
			s.statements.invalidate()
		}
	}
}

// prepareAgain notes what is prepared, and closed again, behind a DEALLOCATE ALL of the same pipeline.
func (s *Session) prepareAgain() {
	for _, st := range s.steps.queue[s.steps.head:] {
		if st.was != nil && st.name != "" {
			delete(st.conn.statements, st.name)
			if b := st.was.backend; s.statements.own(b) {
				delete(s.statements.names, b.name)
			}
			continue
		}
		if st.backend == nil || st.kind != 'P' && st.kind != 0 {
			continue
		}
		if st.kind == 'P' {
			st.backend.prepared = true
			s.statements.names[st.backend.name] = st.backend
		}
		if st.conn != nil && st.name != "" {
			st.conn.remember(st.name, st.backend.statement())
		}
	}
}

// changesSchema reports whether what has this tag may have changed the schema. CREATE TABLE … AS says that it selects, as SELECT … INTO
// does, and what calls a function or fires a trigger does not say what that does.
func (s *Session) changesSchema(tag string) bool {
	word, _, _ := strings.Cut(tag, " ")
	switch word {
	case "CREATE", "ALTER", "DROP", "DO", "CALL", "IMPORT", "REINDEX", "SECURITY", "REFRESH":
		return true
	case "SELECT", "EXPLAIN", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY":
		return s.ex.creates
	}
	return false
}

// startCopyIn handles CopyInResponse.
func (s *Session) startCopyIn(st *step, m message) {
	s.ex.copying, s.ex.copyIn = true, s.ex.copyEnds == 0
	s.ex.swallows = st.kind == 'E' && !s.ex.open && s.ex.syncEnds == 0
	if !s.ex.copyIn { // the client has ended it already, behind that Sync
		s.awaitSync()
	}
	s.deliverHeld()
	s.deliver(m)
	switch c := s.owner; {
	case c == nil:
	case c.closed != nil || c.eof:
		s.leave(c)
	case s.ex.open:
		s.advance(c) // the Sync behind it may be there
	}
}

// described handles the messages that describe a statement or its rows.
func (s *Session) described(st *step, m message) {
	if st.drop {
		return
	}
	if st.kind == 'D' && st.backend != nil {
		if m.kind() == 't' {
			st.backend.describe = nil
		}
		st.backend.describe = append(st.backend.describe, m...)
	}
	s.deliverHeld()
	s.deliver(m)
}

// errorResponse handles an error of the server.
func (s *Session) errorResponse(m message) {
	if severity := errorField(m.body(), 'V'); severity == "FATAL" || severity == "PANIC" {
		s.recordLate(m)
		s.deliver(m)
		s.fail(fmt.Errorf("txiso: %w: %s", errServerGone, errorText(m)))
		return
	}
	if s.steps.len() == 0 {
		return
	}
	st := *s.steps.first()
	switch {
	case st.fails && st.kind != 'Q':
		s.skipToSync()
		return
	case st.fails:
		return
	case st.syntax && errorField(m.body(), 'P') == "":
		s.skipToSync()
		return
	case st.tell && s.ex.failed: // for instance the check of an exchange that had failed
		if st.kind != 'Q' {
			s.skipToSync()
		}
		return
	case st.tell, st.collect && errorField(m.body(), 'C') == "57014": // as a COMMIT that is cancelled
		s.deferred.stale = s.deferred.stale || st.collect
		s.recordLate(m)
		s.ex.held = nil
		s.deliver(m)
	case st.grant:
		s.refuseWish(m)
		return
	case st.drop:
		s.fail(ownFailure(m))
		return
	default:
		m = s.hinted(m)
		s.recordLate(m)
		s.deliverHeld()
		s.deliver(st.renamed(m))
		if errorField(m.body(), 'C') == "0A000" {
			s.statements.invalidate() // "cached plan must not change result type"
		}
	}
	s.ex.failed = true
	if fed := s.ex.copying && s.ex.copyFed; !s.copyOver() && fed {
		s.awaitSync() // else the COPY has failed ahead of the first look at what the client sends
	}
	if st.kind != 'Q' {
		s.skipToSync()
	}
}

// skipToSync drops the steps the server will not answer after an error in the extended protocol. What was noted when they
// were sent is taken back, the last first.
func (s *Session) skipToSync() {
	pending := s.steps.queue[s.steps.head:]
	n := slices.IndexFunc(pending, func(st step) bool { return st.kind == 'S' })
	if n < 0 {
		n = len(pending)
		s.ex.skipping = s.ex.open // it has not been sent yet
	}
	for i := n - 1; i >= 0; i-- {
		s.unanswered(pending[i], i == 0)
	}
	for range n {
		s.steps.pop()
	}
}

// unanswered is called for a step that the server has skipped, or answered with an error.
func (s *Session) unanswered(st step, failed bool) {
	switch {
	case st.kind == 'P':
		s.notParsed(st, failed)
	case st.kind == 0 && st.backend != nil: // a Parse that the session has answered
		delete(st.conn.statements, st.name)
	case st.kind == 'B' && st.conn != nil:
		s.notBound(st)
	case st.tx != nil && s.tx.owner == st.tx.owner:
		s.tx.savepoints, s.tx.modes, s.tx.foreignWrites = st.tx.savepoints, st.tx.modes, st.tx.foreignWrites
	case st.was != nil, st.kind == 'C' && st.backend != nil:
		s.notClosed(st)
	}
}

// readyForQuery handles the end of the answer to a Query or a Sync.
func (s *Session) readyForQuery(status byte) {
	if s.steps.len() == 0 {
		return
	}
	st := s.steps.pop()
	s.aborted = status == 'E'
	switch {
	case st.reset:
		return
	case status == 'I' && s.begun:
		s.outerEnded()
		return
	}
	if c := s.owner; c != nil && (st.end || !st.drop) {
		switch {
		case s.ex.syntax && !s.ex.failed: // the failure is undone next
		case s.tx.owner == c:
			before := s.tx.failed
			s.tx.failed = status == 'E'
			if s.tx.failed && !before && st.kind == 'Q' && !st.drop {
				c.portal, s.portals.unnamed = portal{stmt: failedQuery}, c
			}
		}
	}
	s.inject()
	if st.end {
		s.opDone()
	}
}

// outerEnded gives up on a session whose outer transaction is over.
func (s *Session) outerEnded() {
	if s.opts.Committed != nil && s.err == nil {
		s.opts.Committed()
	}
	s.fail(errOuterEnded)
}

// hinted adds to errors that say that something cannot run in a transaction what to do about it.
func (s *Session) hinted(m message) message {
	code := errorField(m.body(), 'C')
	hint := s.opts.Hints[code]
	if code == "25001" && (s.owner == nil || s.tx.owner != s.owner) {
		hint = "txiso runs every test inside a transaction that is rolled back. Give this test a private database with real commits: Clone."
	}
	var e pgproto3.ErrorResponse
	if hint == "" || e.Decode(m.body()) != nil {
		return m
	}
	if e.Hint != "" && code == "25001" {
		return m
	}
	e.Hint = strings.TrimSpace(e.Hint + " " + hint)
	return encode(nil, &e)
}

// as notes the names of what the step is about.
func (st step) as(client []byte, server string) step {
	if string(client) != server {
		st.name, st.server = string(client), server
	}
	return st
}

// renamed gives a statement or portal the client's name for it in an error, where the server knows another.
func (st *step) renamed(m message) message {
	if st.server == "" {
		return m
	}
	var e pgproto3.ErrorResponse
	if err := e.Decode(m.body()); err != nil {
		return m
	}
	e.Message = strings.ReplaceAll(e.Message, `"`+st.server+`"`, `"`+st.name+`"`)
	return encode(nil, &e)
}

// ownFailure is the end of a session whose own statement has failed. A savepoint takes microseconds, but where processors are busy
// any statement may last some milliseconds.
func ownFailure(m message) error {
	remedy := ""
	if errorField(m.body(), 'C') == "57014" {
		remedy = "; the test's statement_timeout holds for the session's savepoints, too: make it longer, or give this test a database of its own with Clone"
	}
	return fmt.Errorf("txiso: a statement of the session's own failed: %s%s", errorText(m), remedy)
}

func errorText(m message) string {
	return fmt.Sprintf("%s: %s (SQLSTATE %s)", errorField(m.body(), 'S'), errorField(m.body(), 'M'), errorField(m.body(), 'C'))
}

// gone describes the loss of the connection.
func (s *Session) gone(err error) error {
	if s.err != nil {
		return s.err
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // io.EOF would tell the client that all is well
	}
	return fmt.Errorf("txiso: %w: %w; look at the server's log for the reason", errServerGone, err)
}

var errServerGone = errors.New("the server went away")

// text is the zero-terminated string that b begins with, without a copy: it must not outlive b.
func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return unsafe.String(unsafe.SliceData(b), len(b))
}
