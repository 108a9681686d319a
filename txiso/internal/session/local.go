package session

import (
	"fmt"
	"slices"
	"strings"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// What PostgreSQL ends with a transaction, but not with the release of a savepoint, is ended here when an app transaction
// commits: settings of SET LOCAL, and cursors.

// noteLocal is called ahead of a statement of c. Before a SET LOCAL it keeps the setting's value, in a setting of its own.
func (s *Session) noteLocal(c *conn, st sqltext.Statement) {
	locals := &s.tx.locals
	switch {
	case s.tx.owner != c && s.ex.behind == ownGuard:
		locals = &s.ex.locals
	case s.tx.owner != c || s.tx.failed:
		return
	}
	switch st.Kind {
	case sqltext.Declare:
		s.tx.cursors = s.tx.cursors || !st.Hold && s.tx.owner == c
	case sqltext.SetLocal:
		if st.Name == "" || strings.HasPrefix(st.Name, "transaction_") || slices.Contains(*locals, st.Name) {
			return
		}
		*locals = append(*locals, st.Name)
		s.internalQuery(fmt.Sprintf("SELECT pg_catalog.set_config('%s', coalesce(pg_catalog.current_setting(%s, true), ''), true)",
			keptAs(st.Name), literal(st.Name)))
	}
}

func keptAs(setting string) string { return fmt.Sprintf("txiso.local_%x", setting) }

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// closeCursors closes what DECLARE has opened without HOLD and nothing has closed since.
const closeCursors = `DO $$ DECLARE names text[] := (SELECT pg_catalog.array_agg(name) FROM pg_catalog.pg_cursors WHERE NOT is_holdable); n text; ` +
	`BEGIN FOREACH n IN ARRAY coalesce(names, '{}') LOOP EXECUTE 'CLOSE ' || pg_catalog.quote_ident(n); END LOOP; END $$`

// endLocals notes what is to be done at the end of the app transaction that commits, before anything else is.
func (s *Session) endLocals(locals []string) {
	for _, name := range locals {
		s.cleanup = append(s.cleanup, fmt.Sprintf("SELECT pg_catalog.set_config(%s, pg_catalog.current_setting('%s'), false)", literal(name), keptAs(name)))
	}
	if s.tx.cursors {
		s.cleanup = append(s.cleanup, closeCursors)
	}
}

// runCleanup sends it.
func (s *Session) runCleanup() {
	for _, sql := range s.cleanup {
		s.internalQuery(sql)
	}
	s.cleanup = nil
}
