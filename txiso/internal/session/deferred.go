package session

import (
	"bytes"
	"slices"
	"strings"
)

// deferredConstraints knows what has to be checked where a commit would check it.
type deferredConstraints struct {
	stale     bool
	initially bool     // there are initially deferred ones
	others    []string // the deferrable ones that are initially immediate, qualified and quoted
	temporary bool     // some are of temporary tables
	distrust  bool     // what looks like reading may write
	cursors   bool     // there are functions that may open some
	altering  []string // the names of functions that may change the schema
	triggers  bool     // some of triggers may
	compiled  bool     // there are functions with variables, see compiled.go
	changed   bool     // since the statements that restore the modes were prepared
}

// listDeferrable lists the deferrable constraints: D and the name of one that is initially deferred, I and the name of one that is not.
// Constraint triggers are in pg_constraint, too (manual 53.13). V tells that what looks like reading may write, by a function
// of the schema: only a volatile one may (manual 38.7), which can have the name of a harmless one, be called like a column, or
// belong to a cast or a domain; and whatever a view, a policy or an operator calls is not trusted, either, nor a view of a
// sequence, which may be that of a nextval. A and its name tell that a function may change the schema, by itself or by one that
// it calls, T that one of triggers may; C that there are functions that open cursors, P that there are some with variables.
// Functions below 16384 are as old as the database cluster (manual, "System Catalog Initial Data"): PostgreSQL's own.
const listDeferrable = `WITH altering AS MATERIALIZED (SELECT oid, lower(proname) AS name FROM pg_catalog.pg_proc ` +
	`WHERE oid >= 16384 AND prosrc ~* '\m((create|alter|drop)\s+\w|(set_config\s*\(\s*''|set\s+(local\s+|session\s+)?)search_path)') ` +
	`SELECT format('%s%I.%I', CASE WHEN c.condeferred THEN 'D' ELSE 'I' END, n.nspname, c.conname) ` +
	`FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace WHERE c.condeferrable ` +
	`UNION ALL SELECT 'V' WHERE EXISTS (SELECT FROM pg_catalog.pg_depend WHERE ` +
	`classid IN ('pg_catalog.pg_rewrite'::regclass, 'pg_catalog.pg_policy'::regclass, 'pg_catalog.pg_operator'::regclass) ` +
	`AND (refclassid = 'pg_catalog.pg_proc'::regclass AND refobjid >= 16384 ` +
	`OR refclassid = 'pg_catalog.pg_class'::regclass AND refobjid IN (SELECT oid FROM pg_catalog.pg_class WHERE relkind = 'S'))) ` +
	`OR EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE p.oid >= 16384 ` +
	`AND p.provolatile = 'v' AND p.prokind <> 'p' AND l.lanname NOT IN ('c', 'internal') ` +
	`AND p.prorettype NOT IN ('pg_catalog.trigger'::regtype, 'pg_catalog.event_trigger'::regtype)) ` +
	`UNION ALL SELECT CASE WHEN p.prorettype = 'pg_catalog.trigger'::regtype THEN 'T' ELSE 'A' || lower(p.proname) END FROM pg_catalog.pg_proc p ` +
	`WHERE p.oid >= 16384 AND EXISTS (SELECT FROM altering q WHERE q.oid = p.oid OR position(q.name IN lower(p.prosrc)) > 0) ` +
	`UNION ALL SELECT 'C' WHERE EXISTS (SELECT FROM pg_catalog.pg_proc WHERE oid >= 16384 AND prosrc ~* '\mopen\M' AND (prosrc ILIKE '%cursor%' ` +
	`OR 'pg_catalog.refcursor'::regtype = ANY (coalesce(proallargtypes, proargtypes::pg_catalog.oid[]) || prorettype))) ` +
	`UNION ALL SELECT 'P' WHERE EXISTS (SELECT ` + fromFunctionsWithVariables + `)`

func (d *deferredConstraints) add(row []byte) {
	switch row[0] {
	case 'V':
		d.distrust = true
	case 'A':
		d.altering = append(d.altering, string(row[1:]))
	case 'T':
		d.triggers = true
	case 'C':
		d.cursors = true
	case 'P':
		d.compiled = true
	case 'I':
		d.others = append(d.others, string(row[1:]))
		d.temporary = d.temporary || isTemporary(row[1:])
	case 'D':
		d.initially = true
		d.temporary = d.temporary || isTemporary(row[1:])
	}
}

// isTemporary reports that a constraint is one of a temporary table.
func isTemporary(constraint []byte) bool { return bytes.HasPrefix(constraint, []byte("pg_temp")) }

// noteWrites notes that a statement is sent that changes data by the look of it, or not. By the look of it only: a view
// may call a function that does.
func (s *Session) noteWrites(writes bool) {
	may := writes || s.deferred.suspects()
	s.touched = s.touched || may
	s.ex.wrote = s.ex.wrote || writes
	s.ex.writes = s.ex.writes || may
}

// mayAlter reports that a statement may change the schema although it is no DDL: by what it calls, or what it fires.
func (d *deferredConstraints) mayAlter(t traits, sql string) bool {
	if !t.writes || len(d.altering) == 0 && !d.triggers {
		return false
	}
	sql = strings.ToLower(sql)
	return d.triggers && t.data || slices.ContainsFunc(d.altering, func(name string) bool { return strings.Contains(sql, name) })
}

// suspects reports that a statement may change data whatever it looks like.
func (d *deferredConstraints) suspects() bool { return d.stale || d.distrust }

// mustCheck reports whether a transaction that ends now may have left deferred checks to be done. What is not deferred initially
// can be by SET CONSTRAINTS, also in a function, or in a block.
func (s *Session) mustCheck(wrote bool, e *effects) bool {
	d := &s.deferred
	return e.constraints || wrote && (d.stale || d.initially || len(d.others) > 0 && (d.distrust || e.blocks))
}

// restoreModes sets the constraints' modes as a new transaction finds them: SET CONSTRAINTS in a savepoint outlives its release. Naming
// constraints makes the server look them up, for which a role needs rights, so that is done only if need be. Those that are to be immediate
// are named, because what is to be deferred must not share its name with anything that cannot be (AfterTriggerSetState in
// src/backend/commands/trigger.c).
func (s *Session) restoreModes(st step) {
	s.runStep(s.names.restore, st)
	if !s.deferred.initially || len(s.deferred.others) == 0 {
		return
	}
	quiet := st
	quiet.quiet = true
	s.withRights(func(sql string) { s.asideStep(sql, quiet) }, func() { s.runStep(s.names.others, st) })
}

// appendCheck appends the statements that run the deferred checks and deferred triggers and set the modes back. They are
// prepared ones for the reasons given at ready. A Sync must follow.
func (s *Session) appendCheck() {
	s.ex.checks = true
	s.bind()
	s.prepareRestore()
	if m := s.modes(s.owner); m.setup != "" {
		s.asideStep(s.takeSetup(m), step{drop: true, tell: true, quiet: !s.ex.tell}) // what is deferred is refused in what has become read only
	}
	timed := s.sets("statement_timeout")
	if timed { // a commit is none
		s.asideStep(endTimeout, step{drop: true, tell: true, quiet: true})
	}
	s.runStep(s.names.check, step{drop: true, tell: true})
	s.restoreModes(step{drop: true, tell: true})
	if timed {
		s.asideStep(resumeTimeout, step{drop: true, tell: true, quiet: true})
	}
}

// checkReady reports that the check can be sent ahead of time behind a Query: the server knows its statements. It could not
// be made to know them any more when the Query fails.
func (s *Session) checkReady() bool {
	return !s.deferred.stale && !s.deferred.changed && s.names.prepared
}

func (s *Session) prepareRestore() {
	s.prepareGuards()
	if s.deferred.changed {
		s.deferred.changed = false
		all := "SET CONSTRAINTS ALL IMMEDIATE"
		if s.deferred.initially {
			all = "SET CONSTRAINTS ALL DEFERRED"
		}
		s.prepareInternal(s.names.restore, all)
		if len(s.deferred.others) > 0 {
			s.prepareInternal(s.names.others, "SET CONSTRAINTS "+strings.Join(s.deferred.others, ",")+" IMMEDIATE")
		}
	}
}

// checkNow sends the check behind what the server has answered already; c's ReadyForQuery waits for it.
func (s *Session) checkNow() {
	switch {
	case s.ex.cancelled:
		s.cancelRest()
		return
	case s.deferred.stale:
		s.list()
		return
	}
	s.appendCheck()
	s.endInternal()
}

// list asks the server what is deferrable. What was to be done with the answer goes on in listed.
func (s *Session) list() {
	s.deferred = deferredConstraints{changed: true}
	s.ex.collect = s.deferred.add
	s.bind()
	s.recompile()
	s.asideStep(listDeferrable, step{drop: true, collect: true})
	s.endInternal()
}

// listed goes on when the list is there. Inside an app transaction there is nothing to check, but constraints that it has
// made have the mode that the check before it left behind, not their own.
func (s *Session) listed(c *conn) {
	s.ex.collect = nil
	if s.ex.commit != nil || s.tx.owner != c {
		s.checkNow()
		return
	}
	s.ex.ddl = false
	if s.tx.constraints || !s.deferred.initially {
		s.finishOrCheck(c)
		return
	}
	s.bind()
	s.prepareRestore()
	s.restoreModes(step{drop: true})
	s.endInternal()
}

// endInternal waits for the answers to what the session has sent by itself.
func (s *Session) endInternal() {
	s.bind()
	s.wbuf = append(s.wbuf, syncMessage...)
	s.push(step{kind: 'S', drop: true, end: true})
}
