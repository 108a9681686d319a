package session

import (
	"strings"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// A function of PL/pgSQL is compiled when a connection calls it first, and then the types of its variables are looked up (manual 43.11.2):
// one of %TYPE has that of the column as it was, and goes on having it, whatever becomes of the column, until the function itself is
// changed or the connection ends. On a database of its own a test has connections on which nothing was compiled before it. So behind
// a change of the schema the functions that have variables are changed, too, to what they are: whoever calls them compiles them anew,
// and so does the next test, for which they are again what they were.

// recompile is sent behind the first change of the schema, and the first behind a rollback, unless the functions are those of other
// tests, too, which would wait for this one, or the transaction is read-only, which only what is temporary can be changed in. Who
// calls a function between two changes has it stale where he would on his own database.
func (s *Session) recompile() {
	if s.altered && !s.recompiled && s.phys.deferred.compiled && !s.opts.Shared && s.modes(s.owner).Access != sqltext.ReadOnly {
		s.altered, s.recompiled = false, true
		s.internalQuery(s.unhindered("DO " + literal(changeFunctions)))
	}
}

const fromFunctionsWithVariables = `FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
	WHERE p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal', 'sql') AND p.prosrc ~* '\mdeclare\M'`

// A function of an extension knows its own types only. An event trigger would be told. Who may not change a function leaves it.
const changeFunctions = `DECLARE f record;
BEGIN
	FOR f IN SELECT p.oid::pg_catalog.regprocedure AS name, p.prosecdef ` + fromFunctionsWithVariables + `
		AND pg_catalog.pg_has_role(p.proowner, 'USAGE') AND NOT EXISTS (SELECT FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D')
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND objid = p.oid AND deptype = 'e')
	LOOP
		EXECUTE pg_catalog.format('ALTER ROUTINE %s SECURITY %s', f.name, CASE WHEN f.prosecdef THEN 'DEFINER' ELSE 'INVOKER' END);
	END LOOP;
END`

// noteAltered is called with the tag of what may have changed the schema. What is temporary has names of its own. What a function, DO or
// CALL does is not seen.
func (s *Session) noteAltered(tag string) {
	switch word, _, _ := strings.Cut(tag, " "); {
	case (word == "CREATE" || word == "SELECT") && s.ex.temporary > 0:
		s.ex.temporary--
	case word == "CREATE", word == "ALTER", word == "DROP", word == "SELECT":
		s.altered = true
	}
}
