package session

import (
	"fmt"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// What the session has to know of something that may be rolled back is noted in settings, which are rolled back with it. RESET ALL would
// forget these, too: so they are read ahead of it, and written again as soon as it is done.

const (
	ownerSetting    = "txiso.owner_"     // whose something temporary is; its name follows in hexadecimal digits
	onCommitSetting = "txiso.on_commit_" // what commits do to a temporary table; likewise
	preparedSetting = "txiso.prepared"   // what the statements of SQL's PREPARE were when a level began
)

func resetsAll(st sqltext.Statement) bool { return st.Kind == sqltext.Set && st.All }

// notes are the session's own.
func (s *Session) notes() (notes []string) {
	for _, name := range s.temporary.names {
		notes = append(notes, noteOf(ownerSetting, name), noteOf(onCommitSetting, name))
	}
	if s.prepared {
		notes = append(notes, preparedSetting)
	}
	return notes
}

// keepNotes is called ahead of a RESET ALL, with those that are to outlast it.
func (s *Session) keepNotes(notes []string) {
	if s.ex.aborted || s.tx.owner == s.owner && s.tx.failed { // it will not be done
		return
	}
	if len(notes) == 0 {
		return
	}
	s.asideRows("SELECT pg_catalog.string_agg(pg_catalog.format('(%L, %L)', name, value), ',') FROM pg_catalog.unnest("+array(notes)+") name, "+
		"pg_catalog.current_setting(name, true) value WHERE value <> ''", func(row []byte) { s.ex.notes = string(row) })
}

// writeNotes is called when the server has answered. What an error has taken back, a rollback brings back. What was noted behind the RESET
// ALL stays.
func (s *Session) writeNotes() {
	if s.ex.notes != "" && !s.ex.failed {
		s.aside("SELECT pg_catalog.set_config(name, value, false) FROM (VALUES " + s.ex.notes + ") notes (name, value) " +
			"WHERE coalesce(pg_catalog.current_setting(name, true), '') = ''")
	}
	s.ex.notes = ""
}

// noteOf is the setting for a note about something with this name.
func noteOf(prefix, name string) string { return fmt.Sprintf("%s%x", prefix, name) }
