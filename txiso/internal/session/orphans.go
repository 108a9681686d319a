package session

import (
	"slices"
	"strings"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// Temporary tables, views and sequences end with the connection that has created them, and so do the names of PREPARE. The server
// would keep them until the end of its own connection, so the session drops what a closed one has left ahead of the next
// statement outside an app transaction. Whose something is was noted with its CREATE, in a setting, because settings are
// rolled back with what is created: what functions have created stays for the rest of the test.

// names are what a connection has made that no transaction undoes.
type names struct {
	prepared []string // statements, by SQL's PREPARE
	cursors  []string // WITH HOLD
}

// noteNames is called ahead of a statement of c.
func (c *conn) noteNames(st sqltext.Statement) {
	given := func(name string) bool { return st.All || name == st.Name }
	gave := &c.s.ex.gave
	switch {
	case st.Kind == sqltext.Prepare && !slices.Contains(c.made.prepared, st.Name):
		c.made.prepared = append(c.made.prepared, strings.Clone(st.Name))
	case st.Kind == sqltext.Close:
		c.made.cursors, gave.cursors = split(c.made.cursors, gave.cursors, given)
	case st.Kind == sqltext.Deallocate:
		c.made.prepared, gave.prepared = split(c.made.prepared, gave.prepared, given)
	}
}

// split moves what goes from stay to gone.
func split(stay, gone []string, goes func(string) bool) (stayed, went []string) {
	for _, name := range stay {
		if goes(name) {
			gone = append(gone, name)
		}
	}
	return slices.DeleteFunc(stay, goes), gone
}

// takeBack is called when an exchange of c has failed: what it was to give up may be there yet. c may have been closed meanwhile.
func (c *conn) takeBack(gave names) {
	c.made.prepared = append(c.made.prepared, gave.prepared...)
	c.made.cursors = append(c.made.cursors, gave.cursors...)
	if c.closed != nil {
		c.leavePortals()
		c.orphan()
	}
}

// orphan is called when c is closed.
func (c *conn) orphan() {
	if (c.temporary || len(c.made.prepared) > 0) && !slices.Contains(c.s.orphans, c) {
		c.s.orphans = append(c.s.orphans, c)
	}
}

// dropOrphans drops what closed connections have left, except inside an app transaction, whose rollback would bring it back, and
// inside a level that has started from it.
func (s *Session) dropOrphans() {
	if len(s.orphans) == 0 || s.guard == guardRunning {
		return
	}
	var owners, prepared []string
	s.orphans = slices.DeleteFunc(s.orphans, func(c *conn) bool {
		if s.covered(c) {
			return false
		}
		owners, prepared = append(owners, c.number()), append(prepared, c.made.prepared...)
		return true
	})
	if len(owners) == 0 {
		return
	}
	for _, c := range s.conns { // has it, or has found out that another's is in its way
		prepared = slices.DeleteFunc(prepared, func(name string) bool { return slices.Contains(c.made.prepared, name) })
	}
	s.closeGuard() // so that a return to the next one does not bring them back
	s.internalQuery(s.unhindered(dropOrphansSQL(owners, prepared)))
	s.ddl = true
	s.forgetSchema()
}

// dropOrphansSQL drops what there is of them. What cannot be dropped is in nobody's way but by its name.
func dropOrphansSQL(owners, prepared []string) string {
	return "DO " + literal(`DECLARE drop text;
BEGIN
	FOR drop IN SELECT pg_catalog.format('DROP %s IF EXISTS pg_temp.%I CASCADE', CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, relname)
		FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema() AND relkind IN ('r', 'p', 'v', 'S')
		AND pg_catalog.current_setting(pg_catalog.concat('`+ownerSetting+`', pg_catalog.encode(pg_catalog.convert_to(relname::text, 'UTF8'), 'hex')), true) = ANY (`+array(owners)+`)
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
