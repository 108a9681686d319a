package session

import (
	"fmt"
	"slices"
	"strings"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// ON COMMIT DROP and ON COMMIT DELETE ROWS happen at a commit, and the release of a savepoint is none. So the session does to
// temporary tables what an app transaction's commit, or the end of a statement outside, would do. The catalog does not say
// what that is: it is read from the text of CREATE TABLE, and noted in a setting for each name, because settings are rolled back
// with whatever rolls the table back.

// temporary knows what a lease has created, and the tables to which commits do something.
type temporary struct {
	names  []string // of everything that was noted
	tables []string // the names of those, in pg_temp
	drops  bool     // it drops some of them
	due    bool     // there was a commit
}

// noteTemporary notes ahead of a CREATE of something temporary what commits do to it, and whose it is (see orphans.go). One that is
// there already stays what it is.
func (s *Session) noteTemporary(c *conn, st sqltext.Statement) {
	if !st.Temporary || s.ex.aborted || s.tx.owner == c && s.tx.failed { // it will not be created
		return
	}
	c.temporary = true
	s.ex.temporary++
	if !slices.Contains(s.temporary.names, st.Name) {
		s.temporary.names = append(s.temporary.names, strings.Clone(st.Name))
	}
	sql := fmt.Sprintf("SELECT pg_catalog.set_config('%s', '%d', false)", noteOf(ownerSetting, st.Name), c.id)
	known := slices.Contains(s.temporary.tables, st.Name)
	if acts := st.OnCommit == sqltext.DropTable || st.OnCommit == sqltext.DeleteRows; acts || known {
		sql += fmt.Sprintf(", pg_catalog.set_config('%s', '%s', false)", noteOf(onCommitSetting, st.Name), onCommitValues[st.OnCommit])
		s.temporary.drops = s.temporary.drops || st.OnCommit == sqltext.DropTable
		if !known {
			s.temporary.tables = append(s.temporary.tables, strings.Clone(st.Name))
		}
	}
	if st.IfNotExists {
		sql += fmt.Sprintf(" WHERE pg_catalog.to_regclass(pg_catalog.format('pg_temp.%%I', %s)) IS NULL", literal(st.Name))
	}
	s.aside(sql)
}

var onCommitValues = map[sqltext.OnCommit]string{
	sqltext.NotTemporary: "keep", // a view or a sequence
	sqltext.PreserveRows: "keep",
	sqltext.DeleteRows:   "empty",
	sqltext.DropTable:    "drop",
}

// commitTemporary does what a commit does to temporary tables, behind the release of the guard: what was read-only is so no more.
func (s *Session) commitTemporary() {
	if !s.temporary.due {
		return
	}
	s.temporary.due = false
	s.internalQuery(s.unhindered("DO " + literal(fmt.Sprintf(commitTemporary, array(s.temporary.tables), onCommitSetting))))
	s.deferred.stale = s.deferred.stale || s.deferred.temporary // it may be gone
}

// The tables of each kind go together, because they may refer to each other.
const commitTemporary = `DECLARE doomed text[]; emptied text[]; name text; ident text; setting text;
BEGIN
	FOREACH name IN ARRAY %s LOOP
		ident := pg_catalog.format('pg_temp.%%I', name);
		setting := pg_catalog.concat('%s', pg_catalog.encode(pg_catalog.convert_to(name, 'UTF8'), 'hex'));
		CONTINUE WHEN pg_catalog.to_regclass(ident) IS NULL;
		CASE pg_catalog.current_setting(setting, true)
		WHEN 'drop' THEN
			doomed := pg_catalog.array_append(doomed, ident);
			PERFORM pg_catalog.set_config(setting, '', false);
		WHEN 'empty' THEN emptied := pg_catalog.array_append(emptied, ident);
		ELSE
		END CASE;
	END LOOP;
	IF doomed IS NOT NULL THEN EXECUTE pg_catalog.format('DROP TABLE %%s CASCADE', pg_catalog.array_to_string(doomed, ',')); END IF;
	emptied := (SELECT pg_catalog.array_agg(t) FROM pg_catalog.unnest(emptied) t WHERE pg_catalog.to_regclass(t) IS NOT NULL); -- some may have gone with those
	IF emptied IS NOT NULL THEN EXECUTE pg_catalog.format('TRUNCATE %%s', pg_catalog.array_to_string(emptied, ',')); END IF;
EXCEPTION
	WHEN object_in_use THEN NULL; -- a cursor WITH HOLD reads one: another commit does it
	WHEN feature_not_supported THEN NULL; -- a table that stays refers to one that is emptied, with which no commit would succeed
END`
