package session

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// appTx is the app transaction that is open, if any. On the server it is the guard, kept open: it begins to exist there
// with its first statement, its COMMIT is the guard's release and its ROLLBACK the return to it, and both travel with
// the statement that follows. Nobody can tell, because the worker database is used by this session alone.
type appTx struct {
	owner     *conn
	abandoned bool // its connection is gone; it ends with the exchange that runs inside it
	failed    bool // as after an error in a real transaction
	unawares  bool // the server does not know that yet
	modes     txModes
	wrote     bool // deferred constraints may have to be checked at COMMIT
	effects
	settings      map[string]string // of its connection, when it began
	reported      bool              // it has changed settings that the client is told about
	spared        bool              // its context has ended, and it was not rolled back
	yields        bool              // somebody has waited long enough for the end of it, if it has failed
	foreignWrites int               // statements of other connections that ran inside
	savepoints    []savepoint
	began         *site
}

// effects are what is to be seen to when a transaction commits: an app transaction, or the one that an exchange is outside of any.
type effects struct {
	constraints bool // SET CONSTRAINTS was used
	blocks      bool // DO or CALL was used
	cursors     bool // DECLARE was used, or what may have opened one
	locals      locals
}

// savepoint is one that an app transaction has set.
type savepoint struct {
	name          string
	foreignWrites int     // of the transaction when it was set
	modes         txModes // of the transaction when it was set
}

// commit is a COMMIT that waits for its deferred constraints to be checked.
type commit struct {
	chain    bool
	implicit bool // it ends what is ahead of it in a string of statements, not an app transaction
}

// status is the transaction status that c is told with ReadyForQuery.
func (s *Session) status(c *conn) byte {
	switch {
	case c.zombie, s.tx.owner == c && s.tx.failed:
		return 'E'
	case s.tx.owner == c:
		return 'T'
	}
	return 'I'
}

// transact does what a transaction control statement asks for. It returns true when the server has to answer first.
func (s *Session) transact(c *conn, st sqltext.Statement, text string) (waits bool) {
	inTx := c.zombie || s.tx.owner == c
	switch st.Kind {
	case sqltext.Begin:
		s.controlBegin(c, st, text, inTx)
	case sqltext.Commit:
		return s.controlCommit(c, st, inTx)
	case sqltext.Rollback:
		s.controlRollback(c, st, inTx)
	case sqltext.Savepoint:
		s.emitBlockOnly(c, "SAVEPOINT")
	case sqltext.Release:
		s.emitBlockOnly(c, "RELEASE SAVEPOINT")
	case sqltext.RollbackTo:
		s.controlRollbackTo(c, st)
	case sqltext.SetTransaction:
		s.controlModes(c, st)
	case sqltext.PrepareTransaction:
		s.emitError(c, &pgproto3.ErrorResponse{
			Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "0A000",
			Message: "txiso: PREPARE TRANSACTION cannot run inside a transaction that is rolled back",
			Hint:    "Give this test a private database with real commits: Clone.",
		})
	}
	return false
}

// controls reports whether st must not reach the server as it is, given what c is in.
func (s *Session) controls(c *conn, st sqltext.Statement) bool {
	switch st.Kind {
	case sqltext.Commit, sqltext.Rollback, sqltext.PrepareTransaction:
		return true
	case sqltext.Begin:
		return s.status(c) != 'E'
	case sqltext.Savepoint, sqltext.Release:
		return s.status(c) == 'I'
	case sqltext.RollbackTo:
		return s.tx.owner != c
	case sqltext.SetTransaction:
		return s.status(c) != 'E' && st.Mode != (sqltext.Mode{}) // that of a snapshot is the server's to refuse
	}
	return false
}

func (s *Session) controlBegin(c *conn, st sqltext.Statement, text string, inTx bool) {
	if inTx {
		s.emit(c, pgWarning("25001", "there is already a transaction in progress")) // the modes count all the same
	}
	if e := s.modes(c).change(st.Mode, s.nested(c)); e != nil {
		s.emitError(c, e)
		return
	}
	if !inTx {
		if s.tx.owner != nil && !s.makeWay(c) {
			return
		}
		s.begin(c, s.ex.modes)
		s.tx.began = c.site
	}
	tag := "BEGIN"
	if text[0] == 's' || text[0] == 'S' {
		tag = "START TRANSACTION"
	}
	s.emitComplete(c, tag)
}

// makeWay ends another connection's transaction that yields. One that does not is still open when c's statement could not be seen to begin
// one before it was sent: in a pipeline whose first statements have been flushed.
func (s *Session) makeWay(c *conn) bool {
	if s.tx.failed && s.tx.yields {
		s.zombify()
		return true
	}
	s.emitError(c, &pgproto3.ErrorResponse{
		Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "55P03",
		Message: fmt.Sprintf("txiso: a transaction cannot begin here while the one begun at %v is still open", s.tx.began), Hint: oneAfterTheOther,
	})
	return false
}

const oneAfterTheOther = "The transactions of one test run one after the other. End the first one before the second begins, or give this test a database of its own: Clone."

// begin opens an app transaction of c.
func (s *Session) begin(c *conn, modes txModes) {
	s.tx = appTx{owner: c, modes: modes, began: s.tx.began, settings: c.settings}
	if s.ex.behind == ownGuard { // in a string of several statements: those ahead of it belong to it
		s.ex.behind = transaction
		s.tx.wrote = s.ex.writes
		s.tx.effects, s.ex.locals = s.ex.effects, locals{}
	}
	s.ex.modes = txModes{}
}

func (s *Session) controlCommit(c *conn, st sqltext.Statement, inTx bool) (waits bool) {
	switch {
	case !inTx && st.Chain:
		s.emitError(c, pgError("25P01", "COMMIT AND CHAIN can only be used in transaction blocks"))
	case !inTx:
		return s.commitAhead(c)
	case s.status(c) == 'E':
		s.controlRollback(c, st, inTx)
	case s.guard == guardRunning && s.mustCheck(s.tx.wrote, &s.tx.effects):
		s.ready(c) // another connection may have spoken since, and failed
		s.ex.commit = &commit{chain: st.Chain}
		s.releaseSavepoints(c)
		s.checkNow()
		return true
	default:
		if len(s.tx.locals.names) > 0 && s.settings.of != c {
			s.ready(c) // its settings are to be restored, not those of who has spoken since
		}
		s.committed(c, st.Chain)
	}
	return false
}

// releaseSavepoints does what a COMMIT does ahead of the deferred checks (CommitTransactionCommand in src/backend/access/transam/xact.c):
// what was made read only behind a savepoint is not so for them.
func (s *Session) releaseSavepoints(c *conn) {
	if !s.nested(c) || s.tx.modes.Access == s.tx.savepoints[0].modes.Access {
		return
	}
	s.tx.modes.setup = s.tx.savepoints[0].modes.setup
	for _, sp := range slices.Backward(s.tx.savepoints) {
		s.aside("RELEASE " + pgx.Identifier{sp.name}.Sanitize())
	}
}

// commitAhead answers a COMMIT outside a transaction, which in a string of several statements ends what is ahead of it.
func (s *Session) commitAhead(c *conn) (waits bool) {
	s.emit(c, pgWarning("25P01", "there is no transaction in progress"))
	if s.implicit() && s.wantsCheck(c) {
		s.ex.commit = &commit{implicit: true}
		s.checkNow()
		return true
	}
	s.committedAhead(c)
	return false
}

func (s *Session) committedAhead(c *conn) {
	s.settleNames()
	s.endExchange()
	s.endAhead(c, guardDone)
	s.emitComplete(c, "COMMIT")
}

// endAhead ends the transaction that the statements so far of c's exchange are.
func (s *Session) endAhead(c *conn, state guardState) {
	s.end(state)
	s.ex.effects, s.ex.aborted, s.ex.pipelined, s.ex.modes = effects{}, false, false, txModes{}
	c.endPortals()
}

// committed ends c's app transaction successfully.
func (s *Session) committed(c *conn, chain bool) {
	s.settleNames() // whatever else is in the exchange
	if s.guard == guardRunning {
		s.guard = guardDone
		s.endLocals(&s.tx.effects)
	}
	s.endTx(c, chain)
	s.emitComplete(c, "COMMIT")
}

func (s *Session) controlRollback(c *conn, st sqltext.Statement, inTx bool) {
	switch {
	case !inTx && st.Chain:
		s.emitError(c, pgError("25P01", "ROLLBACK AND CHAIN can only be used in transaction blocks"))
		return
	case !inTx:
		s.endAhead(c, guardFailed) // in a string of several statements: it undoes those ahead of it
		s.emit(c, pgWarning("25P01", "there is no transaction in progress"))
	case c.zombie && st.Chain && s.tx.owner != nil && !s.makeWay(c):
		return
	default:
		s.endFailed(c, st.Chain)
	}
	s.emitComplete(c, "ROLLBACK")
}

// endFailed ends c's app transaction and undoes what it did.
func (s *Session) endFailed(c *conn, chain bool) {
	if c.zombie {
		c.zombie = false
		s.endAhead(c, guardFailed)
		if chain {
			s.begin(c, chainedModes(c.chained))
		}
		return
	}
	if s.tx.reported && !s.tx.failed && s.settings.of != c {
		s.ready(c) // the server tells of what comes back only if it has the values that c was told of
	}
	s.undo()
	s.endTx(c, chain)
}

// rollback undoes the app transaction that is open and ends it.
func (s *Session) rollback() {
	s.undo()
	s.endTx(s.tx.owner, false)
}

func (s *Session) undo() {
	if s.guard == guardRunning { // else it has not begun on the server, and what was kept since is not its own
		s.failGuard()
		s.tx.owner.settings = s.tx.settings
	}
	if s.foreign != guardNone {
		s.foreign, s.cleanupForeign = guardNone, "" // the return to the guard takes it along
	}
	if s.nested(s.tx.owner) {
		s.tx.modes.restore(s.tx.savepoints[0].modes)
	}
	s.forgetSchema()
	s.loseForeign(s.tx.foreignWrites, "rolled back")
}

// noteSavepoints keeps account of the savepoints of c's app transaction, ahead of statements of c.
func (s *Session) noteSavepoints(c *conn, statements []sqltext.Statement) {
	for _, st := range statements {
		s.noteSavepoint(c, st)
	}
}

func changesSavepoints(k sqltext.Kind) bool {
	return k == sqltext.Savepoint || k == sqltext.Release || k == sqltext.RollbackTo
}

func (s *Session) noteSavepoint(c *conn, st sqltext.Statement) {
	tx := &s.tx
	if tx.owner != c || tx.failed && st.Kind != sqltext.RollbackTo { // nothing else can be done there
		return
	}
	if st.Kind == sqltext.Savepoint {
		tx.savepoints = append(tx.savepoints, savepoint{strings.Clone(st.Name), tx.foreignWrites, tx.modes})
		return
	}
	if !changesSavepoints(st.Kind) {
		return
	}
	for i, to := range slices.Backward(tx.savepoints) {
		if to.name != st.Name {
			continue
		}
		tx.modes.restore(to.modes)
		if tx.savepoints = tx.savepoints[:i]; st.Kind == sqltext.RollbackTo {
			tx.savepoints = tx.savepoints[:i+1]
			s.loseForeign(tx.foreignWrites-to.foreignWrites, "rolled back to a savepoint")
			tx.foreignWrites = to.foreignWrites
		}
		return
	}
}

// restoresModes reports that a statement ends the modes that were set behind a savepoint: what follows has to be told them again.
func restoresModes(st sqltext.Statement) bool {
	return st.Kind == sqltext.RollbackTo || st.Kind == sqltext.Release
}

// nested reports that c is behind a savepoint of its app transaction.
func (s *Session) nested(c *conn) bool { return s.tx.owner == c && len(s.tx.savepoints) > 0 }

// left are the modes that a transaction has left for AND CHAIN. What fails loses its own modes then and there, but behind a
// savepoint only that fails.
func (tx *appTx) left(failed bool) sqltext.Mode {
	if failed && len(tx.savepoints) == 0 {
		return tx.modes.chained
	}
	return tx.modes.Mode
}

func (s *Session) endTx(c *conn, chain bool) {
	if s.ex.behind == transaction {
		s.ex.behind = nothing
	}
	modes := s.tx.left(s.tx.failed)
	s.ex.tell = s.ex.tell || s.tx.reported
	s.tx = appTx{}
	c.endPortals()
	if chain {
		s.begin(c, chainedModes(modes))
	}
}

// failTx makes c's app transaction fail on the server, too.
func (s *Session) failTx(c *conn) {
	s.ready(c)
	s.sendFailure()
	if s.ex.open {
		s.bind()
	}
	s.tx.failed = true
}

// zombify ends c's failed app transaction on the server although c does not know yet, so that others can go on.
func (s *Session) zombify() {
	c := s.tx.owner
	s.undo()
	c.zombie, c.chained = true, s.tx.left(true)
	s.endTx(c, false)
}

func (s *Session) controlRollbackTo(c *conn, st sqltext.Statement) {
	if !c.zombie {
		s.emitBlockOnly(c, "ROLLBACK TO SAVEPOINT")
		return
	}
	s.emitError(c, &pgproto3.ErrorResponse{
		Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "3B001",
		Message: fmt.Sprintf("savepoint %q does not exist", st.Name),
		Detail:  "txiso: another connection ran a statement while this transaction had failed, and its savepoints are gone.",
		Hint:    "Roll back to the savepoint before other connections are used, or give this test a database of its own: Clone.",
	})
}

// controlModes answers SET TRANSACTION.
func (s *Session) controlModes(c *conn, st sqltext.Statement) {
	s.warnOutside(c, st)
	if e := s.modes(c).change(st.Mode, s.nested(c)); e != nil {
		s.emitError(c, e)
		return
	}
	s.emitComplete(c, "SET")
}

// inBlock reports that c is in a transaction block, as a string of several statements is, too, and a pipeline.
func (s *Session) inBlock(c *conn) bool {
	return s.status(c) != 'I' || s.ex.strings.several || s.ex.pipelined
}

// warnOutside warns of a statement whose effect ends with the transaction where that ends with the statement.
func (s *Session) warnOutside(c *conn, st sqltext.Statement) {
	if what := localOnly(st); what != "" && !s.inBlock(c) {
		s.emit(c, pgWarning("25P01", what+" can only be used in transaction blocks"))
	}
}

// obstructed reports that c waits for something that the code under test must do first: a BEGIN for the end of another
// connection's app transaction, anything for the end of one that is doomed, the data of another connection's COPY or the Sync of its
// pipeline. Such a wait has an end.
func (s *Session) obstructed(c *conn) bool {
	return !s.eligible(c) || s.idling(c)
}

// copying reports that another connection is in the middle of a COPY FROM STDIN.
func (s *Session) copying(c *conn) bool { return s.owner != nil && s.owner != c && s.ex.copyIn }

func (s *Session) waitLimit(c *conn) time.Time {
	if c.waitsSince.IsZero() {
		c.waitsSince = time.Now()
	}
	limit := s.opts.BeginTimeout
	switch {
	case s.eligible(c):
	case !c.out.batches[0].begins: // the transaction is doomed
		limit = min(limit, doomedPatience)
	case c.site.sameGoroutine(s.tx.began) && !s.tx.owner.givenUp() && !s.doomed():
		limit = min(limit, selfBeginTimeout)
	}
	return c.waitsSince.Add(limit)
}

// givenUp reports that c's client has no time left, as after the end of a context: pgx closes the connection, on a goroutine of
// its own.
func (c *conn) givenUp() bool { return past(c.readDeadline) }

// waitExpired gives up on what has waited long enough.
func (s *Session) waitExpired(c *conn) bool {
	if time.Now().Before(s.waitLimit(c)) {
		return false
	}
	if !s.eligible(c) && !s.idling(c) {
		switch {
		case !c.out.batches[0].begins:
			s.tx.spared = true
			return true
		case s.tx.failed: // nothing can be done in it but to end it
			s.tx.yields = true
			return true
		}
	}
	message := fmt.Sprintf("txiso: the transaction begun at %v waits for the one begun at %v, which is still open", c.site, s.tx.began)
	hint := oneAfterTheOther
	if s.idling(c) {
		what, end := "a pipeline", "Send its Sync"
		if s.copying(c) {
			what, end = "a COPY FROM STDIN", "End the COPY"
		}
		message = fmt.Sprintf("txiso: a statement waits for %s of another connection, which is still under way", what)
		hint = fmt.Sprintf("The connections of one test are one session on the server. %s before other connections are used, or give this test a database of its own: Clone.", end)
	}
	c.waitsSince = time.Time{}
	s.answerUnsent(c, &pgproto3.ErrorResponse{
		Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "55P03", Message: message, Hint: hint,
	})
	return true
}
