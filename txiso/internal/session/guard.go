package session

import (
	"crypto/rand"
	"fmt"
)

// guardState is what the server knows of a guard: the savepoint around an exchange outside any app transaction, which an
// app transaction keeps open.
//
// The first guard of an outer transaction has no savepoint, because there is nothing ahead of it: to return to it is to roll the
// outer transaction back and to begin it again. Many a test has no second one. It gets its savepoint where what has only the
// subtransaction's life is about to change, see secure.
type guardState uint8

const (
	guardNone    guardState = iota // there is no savepoint
	guardRunning                   // the savepoint is set and statements run behind it
	guardClean                     // they are over and have changed nothing: the savepoint serves the next ones, too
	guardDone                      // they are over, the savepoint is to be released
	guardFailed                    // they have failed, the savepoint is to be returned to
)

// guardNames are the names of a session's savepoints and of the prepared statements that set, release and return to the
// guard. They are random: the code under test must not be able to use them.
type guardNames struct {
	guard, foreign         string
	none, fail             string // of no savepoint, and the statement that returns to it
	set, release, rollback string
	begin, end             string // of the outer transaction, go-txdb's
	unlock, discard        string // what its ROLLBACK leaves
	moved                  string // sequences
	check, restore, others string // of deferred constraints
	aside                  string // of what is sent aside
	unnamed                string // what the unnamed statements' names begin with
	prepared               bool   // the server knows the statements
}

func newGuardNames() guardNames {
	name := "txiso_" + rand.Text()
	return guardNames{
		guard:    name,
		foreign:  name + "_f",
		none:     name + "_none",
		fail:     name + "_fail",
		set:      name + "_set",
		release:  name + "_rel",
		rollback: name + "_rb",
		begin:    name + "_begin",
		end:      name + "_end",
		unlock:   name + "_unl",
		discard:  name + "_dis",
		moved:    name + "_mov",
		check:    name + "_chk",
		restore:  name + "_res",
		others:   name + "_oth",
		aside:    name + "_aside",
		unnamed:  name + "_",
	}
}

// unnamedOf is the name of c's unnamed statement on the server.
func (n *guardNames) unnamedOf(c *conn) string {
	return n.unnamed + c.number()
}

// ready appends what has to run on the server ahead of c's next statement: go-txdb's BEGIN, the end of the previous guard,
// the new one. It costs no round trip, because it travels with the statement and nobody waits for its answers.
//
// The guard is set by prepared statements rather than by a Query, because a Query would make the server send its answers
// early, which costs a system call on both sides, and would drop the unnamed portal of the client.
func (s *Session) ready(c *conn) {
	fresh := s.openOuter()
	if s.ex.behind != nothing {
		return
	}
	if s.tx.failed && s.tx.owner != c {
		s.zombify() // nothing can run in a failed transaction, and c has no part in its failure
	}
	s.closeForeign()
	s.closePortals()
	s.closeStatements()
	s.dropOrphans()
	s.modes(c) // of who spoke last: the server has not told yet what it will
	if s.settings.of != c {
		s.adopt(c)
	}
	if fresh && len(s.settings.names) == 0 && s.phys.sequences == nil { // its locks tell which have moved
		s.guard, s.first = guardClean, true
	}
	switch {
	case s.tx.owner == c:
		s.ex.behind = transaction
		s.openGuard()
		s.secure()
	case s.tx.owner != nil && s.guard == guardRunning:
		s.ex.behind = foreignGuard
		s.openForeign()
	default:
		s.ex.behind = ownGuard
		s.openGuard()
	}
	if c.zombie {
		s.failAgain()
	}
	if s.tx.owner == c && s.tx.unawares {
		s.tx.unawares = false
		s.queryFailure() // as a Query, which makes the server skip nothing of what follows
	}
}

// openOuter sends go-txdb's BEGIN if that is still held back, and reports whether it was.
func (s *Session) openOuter() bool {
	if !s.held {
		return false
	}
	s.prepareGuards()
	if s.phys.sequences != nil {
		s.resetMoved()
	}
	s.run(s.names.begin)
	s.held, s.begun, s.ex.guarded = false, true, true
	return true
}

// failAgain makes what has just been opened a failed transaction, like the one that its connection believes to be in. So the
// server has the say about what can be done there, and undoes it.
func (s *Session) failAgain() {
	s.ex.aborted = true
	s.queryFailure()
}

// sendFailure makes the transaction that is open on the server a failed one.
func (s *Session) sendFailure() {
	if !s.ex.open {
		s.queryFailure()
		return
	}
	s.prepareGuards()
	s.runStep(s.names.fail, step{drop: true, fails: true}) // the client's unnamed portal stays
}

func (s *Session) queryFailure() {
	s.internalQuery(s.names.failure())
	s.steps.last().fails = true
}

// failure is a statement that fails.
func (n *guardNames) failure() string { return "ROLLBACK TO " + n.none }

// behind tells what an exchange's statements run behind.
type behind uint8

const (
	nothing      behind = iota // none has been sent, or what was sent has been ended by transaction control
	ownGuard                   // a guard for this exchange
	transaction                // the guard of its connection's app transaction
	foreignGuard               // a guard inside another connection's app transaction
)

func (s *Session) openGuard() {
	if s.guard == guardRunning {
		return
	}
	if s.guard == guardClean {
		s.guard = guardRunning
		s.settings.guard = s.settings.of // what was set when it was set is the same for both, or adopt had closed it
		return
	}
	s.ex.guarded = true
	if s.guard == guardFailed {
		s.returnToGuard()
		s.guard = guardRunning
		s.settings.guard = s.settings.of // likewise
		return
	}
	s.prepareGuards()
	if s.guard == guardDone {
		s.runCleanup()
		if s.saved {
			s.run(s.names.release)
		}
		s.commitTemporary()
		s.first = false
	}
	s.setSavepoint()
	s.guard = guardRunning
	s.settings.guard = s.settings.of
}

func (s *Session) setSavepoint() {
	s.run(s.names.set)
	s.saved = true
}

// secure sets the savepoint that the first guard does without, ahead of what lasts as long as a subtransaction or is undone with one,
// such as READ ONLY. Its release is the end of that; to return to the guard is to roll the outer transaction back all the same.
func (s *Session) secure() {
	if s.first && !s.saved && s.foreign == guardNone && !s.ex.aborted && !s.tx.failed {
		s.prepareGuards()
		s.setSavepoint()
	}
}

// returnToGuard undoes what was done behind the guard.
func (s *Session) returnToGuard() {
	switch prepared := s.names.prepared; { // nothing can be prepared in a failed transaction
	case s.first && prepared:
		s.run(s.names.end)
		s.run(s.names.begin)
	case s.first:
		s.internalQuery("ROLLBACK;BEGIN")
	case prepared:
		s.run(s.names.rollback)
	default:
		s.internalQuery("ROLLBACK TO " + s.names.guard)
	}
	s.saved = !s.first
}

// failGuard notes that the guard is to be returned to, which gives the settings back that it had.
func (s *Session) failGuard() {
	s.guard = guardFailed
	s.settings.of = s.settings.guard
}

// closeGuard leaves no guard behind, for statements of go-txdb itself.
func (s *Session) closeGuard() {
	s.closeForeign()
	s.runCleanup()
	if s.guard == guardFailed {
		s.returnToGuard()
	}
	if s.saved {
		s.internalQuery("RELEASE " + s.names.guard)
	}
	s.commitTemporary()
	s.guard, s.first, s.saved = guardNone, false, false
}

// openForeign guards a statement that runs inside another connection's app transaction.
func (s *Session) openForeign() {
	s.internalQuery("SAVEPOINT " + s.names.foreign)
	s.foreign = guardRunning
}

func (s *Session) closeForeign() {
	switch s.foreign {
	case guardDone, guardClean:
		if s.cleanupForeign != "" {
			s.internalQuery(s.cleanupForeign)
		}
		s.internalQuery("RELEASE " + s.names.foreign)
	case guardFailed:
		s.internalQuery(fmt.Sprintf("ROLLBACK TO %s;RELEASE %[1]s", s.names.foreign))
	}
	s.foreign, s.cleanupForeign = guardNone, ""
}

// end ends the exchange's own guard, if it has one, as what follows in the same exchange needs another.
func (s *Session) end(state guardState) {
	switch s.ex.behind {
	case foreignGuard:
		s.foreign = state
	case ownGuard:
		if s.guard = state; state == guardFailed {
			s.failGuard()
		}
	default:
		return
	}
	s.ex.behind = nothing
}

// implicit reports whether the exchange has a guard of its own: it has begun what a server calls an implicit transaction.
func (s *Session) implicit() bool { return s.ex.behind == ownGuard || s.ex.behind == foreignGuard }

// forgetSchema is called when something was undone: what this test has changed in the schema may be undone with it.
func (s *Session) forgetSchema() {
	if s.ddl {
		s.statements.invalidate()
		s.deferred.stale = true
		s.altered, s.recompiled = false, false
	}
}

// settle notes how the exchange of c, which is over, has left its guard.
func (s *Session) settle(c *conn) {
	state := guardDone
	switch {
	case s.ex.failed, s.ex.aborted:
		state = guardFailed
	case !s.ex.writes && !s.ex.granting: // what a startup message has set must not be undone with what follows
		state = guardClean
	}
	if s.ex.behind == foreignGuard && !s.ex.failed {
		s.tx.wrote = s.tx.wrote || s.ex.writes && !s.ex.checks
	}
	if state == guardDone {
		s.endExchange()
	}
	s.end(state)
	if s.ex.failed {
		s.forgetSchema()
		c.takeBack(s.ex.gave)
	}
	if s.tx.owner != c {
		c.endPortals()
	}
	if s.tx.abandoned {
		s.rollback()
	}
}

func (s *Session) prepareGuards() {
	if s.names.prepared {
		return
	}
	s.names.prepared = true
	s.prepareInternal(s.names.begin, "BEGIN")
	s.prepareInternal(s.names.end, "ROLLBACK")
	s.prepareInternal(s.names.unlock, unlockSQL)
	s.prepareInternal(s.names.discard, discardSQL)
	if s.phys.sequences != nil {
		s.prepareInternal(s.names.moved, listMoved)
	}
	s.prepareInternal(s.names.set, "SAVEPOINT "+s.names.guard)
	s.prepareInternal(s.names.release, "RELEASE "+s.names.guard)
	s.prepareInternal(s.names.rollback, "ROLLBACK TO "+s.names.guard)
	s.prepareInternal(s.names.fail, s.names.failure())
	s.prepareInternal(s.names.check, "SET CONSTRAINTS ALL IMMEDIATE")
	s.deferred.changed = true
}

// prepareInternal prepares a statement anew. It closes the name first, which is no error when there is none.
func (s *Session) prepareInternal(name, sql string) {
	s.closeOnServer('S', name)
	s.wbuf = appendParse(s.wbuf, name, []byte(sql+"\x00\x00\x00"))
	s.push(step{kind: 'P', drop: true, name: name})
}

// run executes a prepared statement that has neither parameters nor rows.
func (s *Session) run(name string) { s.runStep(name, step{drop: true}) }

func (s *Session) runStep(name string, st step) {
	portal := ""
	if c := s.portals.unnamed; c != nil && c.portal.stmt != nil && (s.tx.owner == c || s.owner == c && s.ex.open) { // it lasts as long as its transaction
		portal = s.names.aside
	} else {
		s.portals.unnamed = nil
	}
	s.wbuf = appendExecute(appendBind(s.wbuf, portal, name, noParameters), portal, allRows)
	s.ahead = true
	st.kind = 'B'
	s.push(st)
	st.kind = 'E'
	s.push(st)
	if portal != "" {
		s.wbuf = appendNamed(s.wbuf, 'C', 'P', portal)
		st.kind = 'C'
		s.push(st)
	}
}

// internalQuery sends a Query whose answers nobody is told.
func (s *Session) internalQuery(sql string) {
	s.wbuf = appendQuery(s.wbuf, sql)
	s.push(step{kind: 'Q', drop: true, quiet: !s.ex.tell})
	s.forgetUnnamed()
}

// aside sends a statement of the session's own between those of an exchange, and nobody is told its answers. In the extended protocol
// it leaves the client's unnamed portal alone, which a Query would take away.
func (s *Session) aside(sql string) { s.asideRows(sql, nil) }

// asideRows is aside for a statement whose rows are wanted.
func (s *Session) asideRows(sql string, rows func(row []byte)) {
	if !s.ex.open {
		s.internalQuery(sql)
		s.steps.last().rows = rows
		return
	}
	s.asideStep(sql, step{drop: true, quiet: !s.ex.tell, rows: rows})
}

// asideTold is aside for settings, whose change the client is told unless it is quiet, and also what keeps them from being made.
func (s *Session) asideTold(sql string, quiet bool) {
	if s.ex.open {
		s.asideStep(sql, step{drop: true, tell: true, quiet: quiet})
		return
	}
	s.internalQuery(sql)
	last := s.steps.last()
	last.quiet, last.tell = quiet, true
}

// asideStep is aside where a Sync follows. st tells what becomes of the answers. The statement is closed ahead, too: one that was cancelled
// is there yet.
func (s *Session) asideStep(sql string, st step) {
	name := s.names.aside
	s.wbuf = appendParse(appendNamed(s.wbuf, 'C', 'S', name), name, []byte(sql+"\x00\x00\x00"))
	s.wbuf = appendExecute(appendBind(s.wbuf, name, name, noParameters), name, allRows)
	s.wbuf = appendNamed(appendNamed(s.wbuf, 'C', 'P', name), 'C', 'S', name)
	s.ahead = true
	for _, kind := range []byte("CPBECC") {
		st.kind = kind
		s.push(st)
	}
}

// forgetUnnamed is called for every Query: the server drops its unnamed portal.
func (s *Session) forgetUnnamed() { s.portals.unnamed = nil }
