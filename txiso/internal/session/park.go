package session

import (
	"fmt"
	"slices"
	"strings"
)

// The server ends a session that is idle in a transaction, or in one at all, for longer than some settings say; and here it
// always is in one. So these settings are parked: as soon as the statement is over that has set one, its value goes into a
// setting of the session's own and it becomes 0. It has its value for the time of a statement that may look at it.

var parkable = []string{"idle_in_transaction_session_timeout", "idle_session_timeout", "transaction_timeout"}

// lastsAs is the setting in which the value of a setting lasts.
func lastsAs(setting string) string {
	if slices.Contains(parkable, setting) {
		return parkedSetting + setting
	}
	return setting
}

const parkedSetting = "txiso.parked_"

// looksAtParked reports that a statement may look at settings that are parked.
func looksAtParked(sql string) bool {
	sql = strings.ToLower(sql)
	return strings.Contains(sql, "_timeout") || strings.Contains(sql, "setting") || strings.HasPrefix(strings.TrimSpace(sql), "show")
}

// unpark is called ahead of a statement of c.
func (s *Session) unpark(c *conn, sql string) {
	if len(s.settings.parked) == 0 || s.ex.aborted || s.tx.owner == c && s.tx.failed || !looksAtParked(sql) {
		return
	}
	s.ex.park = append(s.ex.park, s.settings.parked...)
	for _, name := range s.settings.parked {
		s.aside(fmt.Sprintf("SELECT pg_catalog.set_config('%s', parked, false) FROM pg_catalog.current_setting('%s', true) parked WHERE parked <> ''",
			name, lastsAs(name)))
	}
}

// park is called behind a statement. A server that is too old for a setting does not know it. What a failed exchange had set may have been
// taken back with it: 0 is what was there.
func (s *Session) park(c *conn) {
	sql := parkSQL(c.unparked, "('', '0')") + parkSQL(s.ex.park, "('')")
	for _, name := range append(c.unparked, s.ex.park...) {
		if !slices.Contains(s.settings.parked, name) {
			s.settings.parked = append(s.settings.parked, name)
		}
	}
	s.ex.park, c.unparked = nil, nil
	s.internalQuery(sql)
}

// parkSQL parks settings, each once, that do not have one of the values in empty.
func parkSQL(names []string, empty string) string {
	var sql strings.Builder
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		fmt.Fprintf(&sql, "SELECT pg_catalog.set_config('%s', value, false), pg_catalog.set_config('%s', '0', false) FROM pg_catalog.current_setting('%[2]s', true) value WHERE value NOT IN %[3]s;",
			lastsAs(name), name, empty)
	}
	return sql.String()
}
