package session

import (
	"strings"
)

// deferredConstraints knows which constraints have to be checked where a commit would check them.
type deferredConstraints struct {
	stale bool
	names []string // initially deferred, qualified and quoted
}

// listDeferred lists them. Deferrable constraint triggers are in pg_constraint, too (manual 53.13).
const listDeferred = `SELECT format('%I.%I', n.nspname, c.conname) FROM pg_catalog.pg_constraint c ` +
	`JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace WHERE c.condeferred`

// mustCheck reports whether a transaction that ends now may have left deferred checks to be done.
func (s *Session) mustCheck(wrote, setConstraints bool) bool {
	return setConstraints || wrote && (s.deferred.stale || len(s.deferred.names) > 0)
}

// checkSQL runs the deferred checks and deferred triggers, then sets the constraints' modes as a new transaction finds
// them: SET CONSTRAINTS in a savepoint outlives its release.
func (d *deferredConstraints) checkSQL() string {
	sql := "SET CONSTRAINTS ALL IMMEDIATE"
	if len(d.names) > 0 {
		sql += ";SET CONSTRAINTS " + strings.Join(d.names, ",") + " DEFERRED"
	}
	return sql
}

// sendCheck sends the check of the exchange under way; c's ReadyForQuery waits for it.
func (s *Session) sendCheck(c *conn) {
	if s.deferred.stale {
		s.deferred = deferredConstraints{}
		s.ex.collect = func(row []byte) { s.deferred.names = append(s.deferred.names, string(row)) }
		s.ex.checks = true
		s.bind()
		s.wbuf = appendQuery(s.wbuf, listDeferred)
		s.statements.unnamed = nil
		s.push(step{kind: 'Q', drop: true, collect: true, end: true})
		return
	}
	s.pushCheck()
}

func (s *Session) pushCheck() {
	s.ex.checks = true
	s.bind()
	s.wbuf = appendQuery(s.wbuf, s.deferred.checkSQL())
	s.statements.unnamed = nil
	s.push(step{kind: 'Q', drop: true, check: true, end: true})
}
