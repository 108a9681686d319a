package session

import (
	"strings"
)

// deferredConstraints knows what has to be checked where a commit would check it.
type deferredConstraints struct {
	stale   bool
	names   []string // the initially deferred constraints, qualified and quoted
	others  bool     // there are deferrable ones that are initially immediate
	changed bool     // since the statements that check were prepared
}

// listDeferrable lists the deferrable constraints: D and the name of one that is initially deferred, I of one that is not.
// Constraint triggers are in pg_constraint, too (manual 53.13).
const listDeferrable = `SELECT CASE WHEN c.condeferred THEN format('D%I.%I', n.nspname, c.conname) ELSE 'I' END ` +
	`FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace WHERE c.condeferrable`

func (d *deferredConstraints) add(row []byte) {
	if row[0] == 'I' {
		d.others = true
		return
	}
	d.names = append(d.names, string(row[1:]))
}

// mustCheck reports whether a transaction that ends now may have left deferred checks to be done.
func (s *Session) mustCheck(wrote, setConstraints bool) bool {
	return setConstraints || wrote && (s.deferred.stale || len(s.deferred.names) > 0)
}

// restoreSQL sets the constraints' modes as a new transaction finds them: SET CONSTRAINTS in a savepoint outlives its
// release. Naming the constraints makes the server look them up, so that is done only if need be.
func (d *deferredConstraints) restoreSQL() string {
	switch {
	case len(d.names) == 0:
		return "SET CONSTRAINTS ALL IMMEDIATE"
	case !d.others:
		return "SET CONSTRAINTS ALL DEFERRED"
	}
	return "SET CONSTRAINTS " + strings.Join(d.names, ",") + " DEFERRED"
}

// appendCheck appends the statements that run the deferred checks and deferred triggers and set the modes back. They are
// prepared ones for the reasons given at ready. A Sync must follow.
func (s *Session) appendCheck() {
	s.ex.checks = true
	s.bind()
	s.prepareGuards()
	if s.deferred.changed {
		s.deferred.changed = false
		s.prepareInternal(s.names.restore, s.deferred.restoreSQL())
	}
	s.runStep(s.names.check, step{drop: true, check: true})
	s.runStep(s.names.restore, step{drop: true, check: true})
}

// checkNow sends the check behind what the server has answered already; c's ReadyForQuery waits for it.
func (s *Session) checkNow() {
	if s.deferred.stale {
		s.deferred = deferredConstraints{changed: true}
		s.ex.collect = s.deferred.add
		s.bind()
		s.wbuf = appendQuery(s.wbuf, listDeferrable)
		s.statements.unnamed = nil
		s.push(step{kind: 'Q', drop: true, collect: true, end: true})
		return
	}
	s.appendCheck()
	s.wbuf = append(s.wbuf, syncMessage...)
	s.push(step{kind: 'S', end: true})
}
