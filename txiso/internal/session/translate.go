package session

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

var syncMessage = []byte{'S', 0, 0, 0, 4}

// translate sends a batch of c, which owns the exchange. What follows a transaction control statement that the server has
// to answer first is kept in ex.rest. Caller must hold mu.
func (s *Session) translate(c *conn, msgs []byte) {
	if c.wish != nil {
		s.grant(c)
		return
	}
	s.forgetMeaning(c)
	s.ex.open = true
	var paused bool
	rest := each(msgs, func(m message) bool {
		paused = s.translateOne(c, m)
		return !paused
	})
	if s.ex.paused = paused; paused {
		s.ex.rest = append([]byte(nil), rest...)
	}
}

// translateOne returns true when nothing more may be sent before the server has answered.
func (s *Session) translateOne(c *conn, m message) (paused bool) {
	if s.ex.skipping && m.kind() != 'S' && m.kind() != 'H' {
		return false // as the server after an error in the extended protocol (manual 55.2.3), which tells it at once
	}
	s.record(c, m)
	switch m.kind() {
	case 'Q':
		s.ex.open = false
		s.query(c, m)
	case 'F':
		s.ex.open = false
		s.functionCall(c, m)
	case 'P':
		s.parse(c, m)
	case 'B':
		s.bindMessage(c, m)
	case 'D':
		s.describe(c, m)
	case 'E':
		return s.execute(c, m)
	case 'C':
		s.closeMessage(c, m)
	case 'H':
		if s.ex.bound {
			s.wbuf = append(s.wbuf, m...)
		}
	case 'd', 'c', 'f': // of a COPY that was sent ahead in the same batch
		s.noteCopy(m.kind())
		s.wbuf = append(s.wbuf, m...)
	case 'S':
		s.ex.open = false
		s.sync(c)
	}
	return false
}

// bind notes that the server will have the last word about the exchange.
func (s *Session) bind() { s.ex.bound = true }

// forward sends a message of c on as it is.
func (s *Session) forward(c *conn, m message, st step) {
	s.ready(c)
	s.bind()
	s.wbuf = append(s.wbuf, m...)
	s.push(st)
}

// queryString is a Query of several statements, of which some are transaction control.
type queryString struct {
	sql        string
	statements []sqltext.Statement
	several    bool
}

func (s *Session) query(c *conn, m message) {
	sql := text(m.body())
	kind, single := sqltext.Simple(sql)
	c.unnamed = nil // as on the server
	if kind == sqltext.None {
		s.ping(c)
		return
	}
	if s.status(c) != 'E' {
		c.portal = portal{} // a statement takes its place
	}
	if single && s.querySpecial(c, m, kind, sql) {
		return
	}
	if single && !mayControl(kind) && !sets(kind) {
		t := traitsOf(kind, sql)
		s.sendQuery(c, m, stateOf(kind, t.writes, sql), t)
		return
	}
	sql = strings.Clone(sql)
	q := queryString{sql: sql, statements: sqltext.Statements(nil, sql)}
	q.several = len(q.statements) > 1
	control, other := false, false
	for _, st := range q.statements {
		control = control || mayControl(st.Kind) || q.several && (resetsAll(st) || len(c.restarts(st)) > 0)
		other = other || !mayControl(st.Kind) || st.Kind == sqltext.SetLocal || st.Kind == sqltext.SetConstraints
	}
	if !control {
		t := q.traits(q.statements)
		s.sendQuery(c, m, append(q.statements, configCalls(t.writes, sql)...), t)
		return
	}
	s.ex.strings = q
	if other && (q.several || s.status(c) == 'I') { // ahead of a warning, too
		s.checkSyntax(c)
		return
	}
	s.continueStrings(c)
}

// traits are those of some of the statements.
func (q *queryString) traits(statements []sqltext.Statement) (t traits) {
	for _, st := range statements {
		t = t.or(traitsOf(st.Kind, st.Text(q.sql)))
	}
	return t
}

// checkSyntax asks the server whether it can read all of a Query before any of it is executed, as it would itself. The way
// to ask is to have the whole string prepared: the server reads it and then refuses it, if there is more than one
// statement. That error has no position, one of syntax has. What that was is then undone.
func (s *Session) checkSyntax(c *conn) {
	s.ready(c)
	if s.tx.owner == c && !s.tx.failed {
		s.internalQuery("SAVEPOINT " + s.names.foreign)
	}
	s.ex.syntax = true
	s.bind()
	s.wbuf = appendParse(s.wbuf, "", []byte(s.ex.strings.sql+"\x00\x00\x00"))
	s.push(step{kind: 'P', syntax: true})
	s.wbuf = append(s.wbuf, syncMessage...)
	s.push(step{kind: 'S', drop: true, end: true})
}

// syntaxChecked goes on with a Query that the server can read.
func (s *Session) syntaxChecked(c *conn) {
	s.ex.syntax = false
	switch {
	case s.ex.failed:
	case s.tx.owner == c && !s.tx.failed:
		s.internalQuery(fmt.Sprintf("ROLLBACK TO %s;RELEASE %[1]s", s.names.foreign))
	default:
		s.end(guardFailed)
	}
}

// sendQuery sends a whole Query, and the check of deferred constraints along with it when that is possible.
func (s *Session) sendQuery(c *conn, m message, state []sqltext.Statement, t traits) {
	s.ready(c)
	s.announce(c, t, state, text(m.body()))
	s.noteSavepoints(c, state)
	s.bind()
	s.wbuf = append(s.wbuf, m...)
	if s.status(c) != 'E' {
		s.forgetUnnamed()
	}
	s.ex.hold = s.wantsCheck(c)
	along := s.ex.hold && !t.alone && s.checkReady()
	s.push(step{kind: 'Q', end: !along})
	if along {
		s.checkNow()
	}
}

// querySpecial answers a Query of one statement that means something else in a transaction than outside, or on a connection
// that is shared. It reports whether it has.
func (s *Session) querySpecial(c *conn, m message, kind sqltext.Kind, sql string) bool {
	switch kind {
	case sqltext.Lock, sqltext.Declare, sqltext.Deallocate, sqltext.Discard:
	default:
		return false
	}
	st := sqltext.Statements(nil, sql)[0]
	switch outside := s.status(c) == 'I'; {
	case outside && blockOnly(st) != "":
		s.emitBlockOnly(c, blockOnly(st))
	case s.deallocates(c, st):
		s.deallocate(c, st.Name)
	case outside && kind == sqltext.Discard && st.All:
		s.discardAll(c)
		return true
	case kind == sqltext.Declare:
		s.sendQuery(c, m, []sqltext.Statement{st}, traitsOf(kind, sql))
		return true
	default:
		return false
	}
	s.finish()
	return true
}

// discardAllSQL is what DISCARD ALL does, which the server refuses in a transaction (manual, DISCARD), but for CLOSE ALL and DISCARD TEMP:
// cursors and temporary tables may be another connection's.
func discardAllSQL(c *conn) string {
	return "SET SESSION AUTHORIZATION DEFAULT;RESET ROLE;" + dropOrphansSQL([]string{c.number()}, nil) +
		";RESET ALL;DEALLOCATE ALL;UNLISTEN *;" + unlockSQL + ";DISCARD PLANS;DISCARD SEQUENCES;" + noTimeouts
}

func (s *Session) discardAll(c *conn) {
	s.noteWrites(true)
	c.leavePortals()
	s.ready(c)
	s.keepNotes(append(s.localNotes(), s.notes()...)) // what is temporary may be another's
	s.bind()
	s.wbuf = appendQuery(s.wbuf, discardAllSQL(c))
	s.push(step{kind: 'Q', drop: true, end: true})
	s.push(step{inject: appendComplete(nil, "DISCARD ALL")})
	s.statements.forget()
	s.statements.invalidate()
	s.forgetUnnamed()
	s.ddl, s.deferred.stale = true, true
	s.ex.park = append(s.ex.park, s.settings.parked...)
	s.names.prepared = false
	s.ex.resets = true
	s.ex.restarts = c.restartsOf([]sqltext.Statement{{Kind: sqltext.Set, Default: true, All: true}, {Kind: sqltext.Set, Default: true, Name: sessionAuthorization}, {Kind: sqltext.Set, Default: true, Name: "role"}})
	c.statements = nil
}

// ping answers a Query without a statement: pgx sends one to see whether a connection that was idle still works, so a look
// at the physical one is what it asks for.
func (s *Session) ping(c *conn) {
	if _, ended := s.phys.peek(); ended {
		s.fail(s.gone(io.ErrUnexpectedEOF))
		return
	}
	s.emitBytes(c, []byte{'I', 0, 0, 0, 4})
	s.finish()
}

// wantsCheck reports that the end of c's exchange is where a commit would be, and that there may be something to check. What runs
// inside another connection's app transaction can be checked as long as that has nothing to be checked itself; its COMMIT does it else.
func (s *Session) wantsCheck(c *conn) bool {
	alone := s.ex.behind == ownGuard || s.ex.behind == foreignGuard && !s.tx.wrote && !s.tx.constraints
	return alone && !s.ex.aborted && s.mustCheck(s.ex.writes, &s.ex.effects)
}

// continueStrings goes on with a Query of several statements: statements that are no transaction control go to the
// server, in one Query as far as possible, behind white space that keeps the positions of errors right.
func (s *Session) continueStrings(c *conn) {
	q := &s.ex.strings
	for len(q.statements) > 0 && !s.ex.failed {
		st := q.statements[0]
		if s.controls(c, st) {
			q.statements = q.statements[1:]
			if s.transact(c, st, st.Text(q.sql)) {
				return
			}
			continue
		}
		n := 1 // what is noted ahead of a SET must be behind the savepoint that takes both back, and not ahead of a RESET ALL
		for n < len(q.statements) && !resetsAll(st) && len(c.restarts(st)) == 0 && !restoresModes(st) && !mayControl(q.statements[n].Kind) && !sets(q.statements[n].Kind) {
			n++
		}
		s.sendStrings(c, q.statements[:n])
		return
	}
	s.finishOrCheck(c)
}

// sendStrings sends the next statements of a Query of several.
func (s *Session) sendStrings(c *conn, next []sqltext.Statement) {
	q := &s.ex.strings
	start, end := next[0].Start, next[len(next)-1].End
	s.warnOutside(c, next[0])
	s.ready(c)
	s.announce(c, q.traits(next), slices.Concat(next, configCalls(true, q.sql[start:end])), q.sql[start:end])
	s.noteSavepoints(c, next)
	s.bind()
	s.wbuf = appendQuery(s.wbuf, strings.Repeat(" ", utf8.RuneCountInString(q.sql[:start]))+q.sql[start:end])
	s.forgetUnnamed()
	q.statements = q.statements[len(next):]
	s.ex.hold = len(q.statements) == 0 && s.wantsCheck(c)
	s.push(step{kind: 'Q', end: true})
}

func (s *Session) functionCall(c *conn, m message) {
	s.ready(c)
	s.secure()
	s.note(c, anything)
	s.setupTx(c, anything)
	s.forward(c, m, step{kind: 'Q', end: true})
}

func (s *Session) sync(c *conn) {
	if !s.ex.bound {
		s.finishOrCheck(c)
		return
	}
	if s.wantsCheck(c) && !s.deferred.stale && !s.ex.alone && !s.ex.skipping {
		s.appendCheck() // its error comes where that of the commit at Sync comes
	}
	s.ex.syncEnds = s.ex.copyEnds
	s.wbuf = append(s.wbuf, syncMessage...)
	s.push(step{kind: 'S', end: true})
}

// opDone is called when the server has answered all that was sent of the exchange.
func (s *Session) opDone() {
	c := s.owner
	s.ex.parts++
	s.ex.bound = false
	s.writeNotes()
	restarts := s.ex.restarts
	s.ex.restarts = nil
	if !s.ex.failed {
		s.settleNames()
		if len(restarts) > 0 {
			s.restart(c, restarts)
			s.endInternal()
			return
		}
	}
	switch {
	case s.ex.collect != nil && !s.ex.failed:
		s.listed(c)
		return
	case s.ex.granting:
		s.granted(c)
	case s.ex.commit != nil:
		s.commitChecked(c)
	case s.ex.syntax:
		s.syntaxChecked(c)
	}
	switch {
	case s.ex.failed && s.ex.open:
		s.ex.skipping = true
		s.resume(c)
	case s.ex.failed:
		s.conclude()
	case len(s.ex.strings.statements) > 0 && s.ex.cancelled:
		s.cancelRest()
	case len(s.ex.strings.statements) > 0:
		s.continueStrings(c)
	case len(s.ex.rest) > 0 || s.ex.open:
		s.resume(c)
	default:
		s.finishOrCheck(c)
	}
}

// cancelRest ends an exchange that was to be cancelled when the server had just answered the first part of it: it has ignored
// the request, but would have met it in the rest, had that been there.
func (s *Session) cancelRest() {
	s.ex.held = nil
	s.emitError(s.owner, pgError("57014", "canceling statement due to user request"))
	s.endInternal()
}

// resume goes on with a batch behind transaction control.
func (s *Session) resume(c *conn) {
	rest, pending := s.ex.rest, s.ex.pending
	s.ex.rest, s.ex.pending = nil, nil
	if pending != nil {
		if !s.ex.skipping && s.transact(c, pending.st, pending.text) {
			s.ex.rest = rest
			return
		}
	}
	s.translate(c, rest)
	if s.owner == c && (c.closed != nil || c.eof) {
		s.leave(c) // it went while the batch waited
	}
}

func (s *Session) commitChecked(c *conn) {
	commit := s.ex.commit
	s.ex.commit = nil
	switch {
	case s.ex.failed && !commit.implicit:
		s.undo()
		s.endTx(c, false)
	case s.ex.failed:
	case commit.implicit:
		s.ex.checks = false // what follows in the string has its own
		s.committedAhead(c)
	default:
		s.ex.checks = false
		s.committed(c, commit.chain)
	}
}

// finishOrCheck ends the exchange, after the deferred constraints where that is still to be done.
func (s *Session) finishOrCheck(c *conn) {
	switch {
	case s.ex.checks || s.ex.failed || s.ex.behind == nothing:
	case s.wantsCheck(c):
		s.checkNow()
		return
	case s.tx.owner == c && s.ex.ddl && !s.tx.failed:
		s.list()
		return
	}
	s.conclude()
}

// conclude ends the exchange, behind what the server has to do before its ReadyForQuery.
func (s *Session) conclude() {
	switch {
	case s.ex.tell && (s.guard == guardDone || s.guard == guardFailed): // the end of the transaction must not wait
		s.closeGuard()
		s.ex.tell = false
		s.endInternal()
		return
	case s.settings.keeps != nil: // sent ahead of something that nobody waits for
		s.endInternal()
		return
	case len(s.ex.park)+len(s.owner.unparked) > 0 && !s.ex.failed && !s.aborted:
		s.park(s.owner)
	case s.asksForeign():
		s.askForeign()
	default:
		s.finish()
		return
	}
	s.bind()
	s.steps.last().end = true
}

// emit answers c in the place of the server.
func (s *Session) emit(c *conn, msg pgproto3.BackendMessage) { s.emitBytes(c, encode(nil, msg)) }

// emitComplete answers that c's statement is done. If it is the last of a Query, the check of the deferred constraints comes first.
func (s *Session) emitComplete(c *conn, tag string) {
	b := appendComplete(nil, tag)
	if s.ex.open || len(s.ex.strings.statements) > 0 || !s.wantsCheck(c) {
		s.emitBytes(c, b)
		return
	}
	s.recordOwn(b)
	s.ex.held = append(s.ex.held, b...)
}

// emitBytes puts b in its place among the server's answers.
func (s *Session) emitBytes(c *conn, b []byte) {
	s.recordOwn(b)
	if s.ex.bound {
		s.push(step{inject: b})
		return
	}
	c.in = append(c.in, b...)
}

// emitError answers c with an error of ours. It fails what c is in as an error of the server would.
func (s *Session) emitError(c *conn, e *pgproto3.ErrorResponse) {
	s.emit(c, e)
	if s.ex.bound {
		s.steps.last().fails = true
	} else {
		s.ex.failed = true
	}
	if s.tx.owner == c && !s.tx.failed {
		s.failTx(c)
	}
	s.ex.skipping = s.ex.open
}

// begins reports whether a batch opens an app transaction, so that it has to wait for another's end. To prepare a BEGIN opens none.
func (s *Session) begins(c *conn, msgs []byte) bool {
	found, executes := false, false
	each(msgs, func(m message) bool {
		switch m.kind() {
		case 'Q', 'P':
			found = found || c.beginsIn(m)
		case 'B':
			found = found || c.bindsBegin(m)
		}
		executes = executes || m.kind() == 'E' || m.kind() == 'Q'
		return true
	})
	if found = found && (executes || lastKind(msgs) != 'S'); found {
		c.site = here()
	}
	return found
}

// bindsBegin reports whether a Bind is of a statement that begins an app transaction: one that is there, or that one of the batches
// ahead of this one is going to prepare.
func (c *conn) bindsBegin(m message) bool {
	if stmt := c.boundStatement(m); stmt != nil {
		return c.beginsWith(stmt.st)
	}
	begins := false
	each(c.out.pending(), func(ahead message) bool {
		if ahead.kind() == 'P' && bytes.Equal(parsedName(ahead), boundName(m)) {
			begins = c.beginsIn(ahead)
		}
		return true
	})
	return begins
}

func (c *conn) beginsIn(m message) bool {
	sql := text(m.body())
	if m.kind() == 'P' {
		_, rest, _ := bytes.Cut(m.body(), []byte{0})
		sql = text(rest)
	}
	kind, single := sqltext.Simple(sql)
	if single && !c.zombie {
		return kind == sqltext.Begin
	}
	return slices.ContainsFunc(sqltext.Statements(nil, sql), c.beginsWith)
}

// beginsWith reports whether st begins an app transaction of c. AND CHAIN does when the one ahead of it is gone already.
func (c *conn) beginsWith(st sqltext.Statement) bool {
	return st.Kind == sqltext.Begin || c.zombie && st.Chain
}
