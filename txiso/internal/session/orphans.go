package session

import (
	"slices"
	"strings"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// Temporary tables, views and sequences end with the connection that has created them, and so do the names of PREPARE. The server
// would keep them until the end of its own connection, so the session drops what a closed one has left ahead of the next
// statement outside an app transaction. It goes by the text of the statements: what functions have created stays for the rest of
// the test.

// noteOwn is called ahead of a statement of c.
func (c *conn) noteOwn(st sqltext.Statement) {
	switch {
	case st.Temporary:
		c.temporary = withName(c.temporary, st.Name)
	case st.Kind == sqltext.Prepare:
		c.prepared = withName(c.prepared, st.Name)
	}
}

func withName(names []string, name string) []string {
	if slices.Contains(names, name) {
		return names
	}
	return append(names, strings.Clone(name))
}

// orphan is called when c is closed.
func (c *conn) orphan() {
	if c.temporary != nil || c.prepared != nil {
		c.s.orphans = append(c.s.orphans, c)
	}
}

// dropOrphans drops what closed connections have left, except inside an app transaction, whose rollback would bring it back, and
// inside a level that has started from it.
func (s *Session) dropOrphans() {
	if len(s.orphans) == 0 || s.guard == guardRunning {
		return
	}
	var temporary, prepared []string
	s.orphans = slices.DeleteFunc(s.orphans, func(c *conn) bool {
		if s.covered(c) {
			return false
		}
		temporary, prepared = append(temporary, c.temporary...), append(prepared, c.prepared...)
		return true
	})
	for _, c := range s.conns { // has, or has found out that another's is in its way
		temporary = slices.DeleteFunc(temporary, func(name string) bool { return slices.Contains(c.temporary, name) })
		prepared = slices.DeleteFunc(prepared, func(name string) bool { return slices.Contains(c.prepared, name) })
	}
	if len(temporary)+len(prepared) == 0 {
		return
	}
	s.closeGuard() // so that a return to the next one does not bring them back
	s.untimed(dropOrphansSQL(temporary, prepared))
	s.ddl = true
	s.forgetSchema()
}

// dropOrphansSQL drops what there is of these names. What cannot be dropped is in nobody's way but by its name.
func dropOrphansSQL(temporary, prepared []string) string {
	return "DO " + literal(`DECLARE drop text;
BEGIN
	FOR drop IN SELECT pg_catalog.format('DROP %s IF EXISTS pg_temp.%I CASCADE', CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, relname)
		FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema() AND relkind IN ('r', 'p', 'v', 'S') AND relname = ANY (`+array(temporary)+`)
		UNION ALL SELECT pg_catalog.format('DEALLOCATE %I', name) FROM pg_catalog.pg_prepared_statements WHERE from_sql AND name = ANY (`+array(prepared)+`)
	LOOP
		BEGIN EXECUTE drop; EXCEPTION WHEN OTHERS THEN NULL; END;
	END LOOP;
END`)
}

func array(texts []string) string {
	list := make([]string, len(texts))
	for i, t := range texts {
		list[i] = literal(t)
	}
	return "ARRAY[" + strings.Join(list, ",") + "]::pg_catalog.text[]"
}
