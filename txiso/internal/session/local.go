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
		s.noteSettings(st)
		s.noteLocal(c, st)
		s.noteTemporary(c, st)
		c.noteNames(st)
	}
}

// noteLocal keeps a setting's value ahead of a SET LOCAL, in a setting of its own.
func (s *Session) noteLocal(c *conn, st sqltext.Statement) {
	if st.Kind == sqltext.Declare && st.Hold {
		c.cursors = append(c.cursors, strings.Clone(st.Name))
	}
	locals := &s.tx.locals
	switch {
	case s.tx.owner != c && s.ex.behind == ownGuard && !s.ex.aborted:
		locals = &s.ex.locals
	case s.tx.owner != c || s.tx.failed:
		return
	}
	switch st.Kind {
	case sqltext.Savepoint:
		s.modes(c).nested = true
	case sqltext.Declare:
		s.tx.cursors = s.tx.cursors || !st.Hold && s.tx.owner == c
	case sqltext.Set: // outlives the transaction, whatever was local before
		*locals = slices.DeleteFunc(*locals, func(name string) bool { return st.All || name == lastsAs(st.Name) })
	case sqltext.SetLocal:
		if st.Name == "" || isCall(st.Name) {
			return
		}
		if slices.Contains(parkable, st.Name) {
			s.ex.park = append(s.ex.park, strings.Clone(st.Name))
		}
		s.keepLocal(locals, lastsAs(strings.Clone(st.Name)))
	}
}

// keepLocal keeps a setting's value unless this transaction has. What a savepoint has taken back is to be kept again.
func (s *Session) keepLocal(locals *[]string, name string) {
	if len(*locals) == 0 {
		s.locals++
	}
	if !slices.Contains(*locals, name) {
		*locals = append(*locals, name)
	}
	s.internalQuery(fmt.Sprintf("SELECT pg_catalog.set_config(%[1]s, pg_catalog.concat(%[2]s, pg_catalog.current_setting(%[3]s, true)), true) "+
		"WHERE NOT pg_catalog.starts_with(coalesce(pg_catalog.current_setting(%[1]s, true), ''), %[2]s)", keptAs(name), s.localMark(), literal(name)))
}

func keptAs(setting string) string { return fmt.Sprintf("'txiso.local_%x'", setting) }

// localMark begins what is kept for the transaction that was the last to begin with that.
func (s *Session) localMark() string { return fmt.Sprintf("'%d='", s.locals) }

// closeCursors closes what DECLARE has opened without HOLD and nothing has closed since.
const closeCursors = `DO $$ DECLARE names text[] := (SELECT pg_catalog.array_agg(name) FROM pg_catalog.pg_cursors WHERE NOT is_holdable); n text; ` +
	`BEGIN FOREACH n IN ARRAY coalesce(names, '{}') LOOP EXECUTE 'CLOSE ' || pg_catalog.quote_ident(n); END LOOP; END $$`

// endLocals notes what is to be done at the end of the app transaction that commits, before anything else is.
func (s *Session) endLocals(locals []string) {
	for _, name := range locals {
		s.cleanup = append(s.cleanup, fmt.Sprintf("SELECT pg_catalog.set_config(%s, pg_catalog.substr(kept, pg_catalog.length(%s) + 1), false) "+
			"FROM pg_catalog.current_setting(%s, true) kept WHERE pg_catalog.starts_with(kept, %[2]s)", literal(name), s.localMark(), keptAs(name)))
	}
	if s.tx.cursors {
		s.cleanup = append(s.cleanup, closeCursors)
	}
	s.temporary.due = len(s.temporary.tables) > 0
}

// runCleanup sends it.
func (s *Session) runCleanup() {
	for _, sql := range s.cleanup {
		s.internalQuery(sql)
	}
	s.cleanup = nil
}
