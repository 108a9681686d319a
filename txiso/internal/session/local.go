package session

import (
	"fmt"
	"slices"
	"strings"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// What PostgreSQL ends with a transaction, but not with the release of a savepoint, is ended here when an app transaction
// commits: settings of SET LOCAL, and cursors.

// noteState is called ahead of statements of c.
func (s *Session) noteState(c *conn, statements []sqltext.Statement) {
	for _, st := range statements {
		s.noteSettings(c, st)
		s.noteLocal(c, st)
		s.noteTemporary(c, st)
		c.noteNames(st)
	}
}

// noteLocal keeps a setting's value ahead of a SET LOCAL, in a setting of its own.
func (s *Session) noteLocal(c *conn, st sqltext.Statement) {
	if st.Kind == sqltext.Declare && st.Hold {
		c.made.cursors = append(c.made.cursors, strings.Clone(st.Name))
	}
	l := &s.tx.locals
	switch {
	case s.tx.owner != c && s.ex.behind != transaction && !s.ex.aborted:
		l = &s.ex.locals
	case s.tx.owner != c || s.tx.failed:
		return
	}
	switch st.Kind {
	case sqltext.Declare:
		s.tx.cursors = s.tx.cursors || !st.Hold && s.tx.owner == c
	case sqltext.Set: // outlives the transaction, whatever was local before, unless it is taken back by a savepoint
		for _, name := range l.names {
			if st.All || name == lastsAs(st.Name) || name == "role" && lastsAs(st.Name) == sessionAuthorization {
				s.aside("SELECT pg_catalog.set_config(" + l.keptAs(name) + ", '', true)")
			}
		}
	case sqltext.SetSessionCharacteristics:
		for _, name := range characteristics {
			if st.Local {
				s.keepLocal(l, name)
			}
		}
	case sqltext.SetLocal:
		if st.Name == "" || isCall(st.Name) {
			return
		}
		s.keepLocal(l, lastsAs(strings.Clone(st.Name)))
	}
}

// locals are the settings of SET LOCAL of a transaction, which an exchange outside of any is, too.
type locals struct {
	names   []string
	mark    int  // differs from that of every other transaction
	foreign bool // it is an exchange inside another connection's app transaction, which may have its own
}

// report tells that a parameter which the server reports is one of the settings, or follows one.
func (l *locals) report(parameter string) bool {
	return slices.ContainsFunc(l.names, func(name string) bool {
		return name == parameter || isRole(name) && (parameter == "is_superuser" || isRole(parameter))
	})
}

// keepLocal keeps a setting's value unless this transaction has. What a savepoint has taken back is to be kept again.
func (s *Session) keepLocal(l *locals, name string) {
	if name == sessionAuthorization { // which takes the role back
		s.keepLocal(l, "role")
	}
	if len(l.names) == 0 {
		s.locals++
		l.mark, l.foreign = s.locals, s.ex.behind == foreignGuard
	}
	if !slices.Contains(l.names, name) {
		l.names = append(l.names, name)
	}
	s.aside(fmt.Sprintf("SELECT pg_catalog.set_config(%[1]s, pg_catalog.concat(%[2]s, pg_catalog.current_setting(%[3]s, true)), true) "+
		"WHERE NOT pg_catalog.starts_with(coalesce(pg_catalog.current_setting(%[1]s, true), ''), %[2]s)", l.keptAs(name), l.begins(), literal(name)))
}

func (l *locals) keptAs(setting string) string {
	if l.foreign {
		return fmt.Sprintf("'txiso.foreign_%x'", setting)
	}
	return fmt.Sprintf("'txiso.local_%x'", setting)
}

// begins is what a value begins with that is kept for this transaction.
func (l *locals) begins() string { return fmt.Sprintf("'%d='", l.mark) }

// restoreSQL gives the settings the values back that were kept. It is one string, because the server reports at the end of one what
// has changed (manual 55.2.7): no role is reported that is only passed by.
func (l *locals) restoreSQL(s *Session) string {
	var sql, last []string
	for _, name := range l.names {
		restore := fmt.Sprintf("SELECT pg_catalog.set_config(%s, pg_catalog.substr(kept, pg_catalog.length(%s) + 1), false) "+
			"FROM pg_catalog.current_setting(%s, true) kept WHERE pg_catalog.starts_with(kept, %[2]s)", literal(name), l.begins(), l.keptAs(name))
		switch {
		case name == sessionAuthorization: // which takes the role back, that may have been set for longer
			sql = slices.Insert(sql, 0, takeRole, restore, giveRole)
		case name == "role":
			last = append(last, restore)
		case s.hasRoles(): // a commit asks for no rights
			sql = append(sql, s.rightful(restore))
		default:
			sql = append(sql, restore)
		}
	}
	return strings.Join(append(sql, last...), ";")
}

// closeCursors closes what DECLARE or a function has opened without HOLD and nothing has closed since.
const closeCursors = `DO $$ DECLARE names text[] := (SELECT pg_catalog.array_agg(name) FROM pg_catalog.pg_cursors WHERE NOT is_holdable); n text; ` +
	`BEGIN FOREACH n IN ARRAY coalesce(names, '{}') LOOP EXECUTE 'CLOSE ' || pg_catalog.quote_ident(n); END LOOP; END $$`

// endLocals notes what is to be done at the end of a transaction that commits, before anything else is: the app transaction, or an
// exchange outside.
func (s *Session) endLocals(e *effects) {
	if sql := e.locals.restoreSQL(s); sql != "" {
		s.cleanup = append(s.cleanup, sql)
	}
	if e.cursors {
		s.cleanup = append(s.cleanup, s.unhindered(closeCursors))
	}
	s.temporary.due = len(s.temporary.tables) > 0
	if s.temporary.due && s.temporary.drops || slices.ContainsFunc(e.locals.names, changesMeaning) {
		s.statements.invalidate() // what was parsed before means something else
	}
}

// endExchange does so for an exchange that was a transaction by itself.
func (s *Session) endExchange() {
	switch s.ex.behind {
	case ownGuard:
		s.endLocals(&s.ex.effects)
	case foreignGuard:
		s.cleanupForeign = s.ex.locals.restoreSQL(s)
	}
}

// runCleanup sends it.
func (s *Session) runCleanup() {
	for _, sql := range s.cleanup {
		s.internalQuery(sql)
	}
	s.cleanup = nil
}

// localNotes are those of the app transaction of another connection, inside which the statement runs: what was kept ahead of SET LOCAL.
func (s *Session) localNotes() (notes []string) {
	if s.ex.behind == foreignGuard {
		for _, name := range s.tx.locals.names {
			notes = append(notes, strings.Trim(s.tx.locals.keptAs(name), "'"))
		}
	}
	return notes
}
