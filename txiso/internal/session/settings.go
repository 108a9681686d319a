package session

import (
	"slices"
	"strings"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// Settings are a connection's own, but the connections of a test share one backend. So the session keeps a list of the
// settings that any of them has made in this lease. When another one than the last speaks, what the last one had of those is
// read, and the other's are put in their place: with the statement that follows, at the price of no round trip, and only if
// the list is not empty.

// settings is what the session knows of them.
type settings struct {
	names []string // what may differ between connections
	of    *conn    // whose settings the server has; nil when nobody has spoken yet
	guard *conn    // whose it had when the guard was set, and has again when that is returned to
	keeps *conn    // whose settings are being read: what the server answers is needed when it speaks again

	saved    map[string]saved // at go-txdb's savepoints
	parked   []string         // see park.go
	doubtful []string         // of names, what was set in an exchange that has failed: there may be no such setting
	meaning  bool             // some of them change what a statement means
	wishes   []*wish          // that were granted
	readOnly bool             // default_transaction_read_only is on, or will be behind all that has been sent
}

// saved is what a return to a savepoint brings back. The server tells of it only when it has answered, which nobody waits for.
type saved struct {
	of       *conn // whose settings the server had
	readOnly bool
}

// forgetMeaning is called ahead of an exchange of c: what others have prepared means something else under its settings.
func (s *Session) forgetMeaning(c *conn) {
	if s.settings.meaning && s.settings.of != c {
		s.statements.invalidate()
	}
}

// adopt makes the server have c's settings.
func (s *Session) adopt(c *conn) {
	set := &s.settings
	if len(set.names) > 0 && !(s.tx.owner == c && s.tx.failed && !s.tx.unawares) {
		if s.guard != guardRunning {
			s.closeGuard() // so that a return to the next one leaves c's settings alone
		}
		s.keepSettings()
		s.internalQuery(c.settingsSQL(set.names, ifThere))
		s.steps.last().rows = func(row []byte) {
			if string(row) == roleGone && !c.roleless {
				c.roleless = true
				s.lose("%s", lostRole)
			}
		}
	}
	set.of = c
}

// keepSettings reads what the connection that spoke last has set, if it will need it again.
func (s *Session) keepSettings() {
	c := s.settings.of
	if c == nil || c.closed != nil || len(s.settings.names) == 0 {
		return
	}
	names := slices.Clone(s.settings.names)
	c.settings = make(map[string]string, len(names))
	s.settings.keeps = c
	rows := make([]string, len(names))
	for i, name := range names {
		rows[i] = "('=' OPERATOR(pg_catalog.||) pg_catalog.current_setting(" + literal(name) + ", true))"
	}
	s.wbuf = appendQuery(s.wbuf, "VALUES "+strings.Join(rows, ","))
	s.push(step{kind: 'Q', drop: true, quiet: true, rows: func(row []byte) {
		if len(row) > 0 { // NULL is a name that the backend does not know
			c.settings[names[0]] = string(row[1:])
		}
		if names = names[1:]; len(names) == 0 && s.settings.keeps == c {
			s.settings.keeps = nil
		}
	}})
}

// settingsSQL gives settings c's values. Roles are taken last, because other settings may need the rights of the session's
// own, which alone may take any; the session's ahead of the other, because it takes that back. take is how.
func (c *conn) settingsSQL(names []string, take func(set, role string) string) string {
	var sql strings.Builder
	var session, role string
	if slices.ContainsFunc(names, isRole) {
		sql.WriteString("RESET SESSION AUTHORIZATION;RESET ROLE;")
	}
	for _, name := range names {
		value, ok := c.setting(name)
		switch set := "SELECT pg_catalog.set_config(" + literal(name) + "," + literal(value) + ",false)"; {
		case isRole(name) && !ok:
		case name == "role":
			role = take(set, value) + ";"
		case isRole(name):
			session = take(set, value) + ";"
		case ok:
			sql.WriteString(set + ";")
		case slices.Contains(c.s.settings.doubtful, name):
			sql.WriteString("SELECT pg_catalog.set_config(name, reset_val, false) FROM pg_catalog.pg_settings WHERE name = " + literal(name) + ";")
		default:
			sql.WriteString("RESET " + quoteSetting(name) + ";")
		}
	}
	return sql.String() + session + role
}

// inAnyCase takes a role, or fails.
func inAnyCase(set, _ string) string { return set }

// ifThere takes a role again unless another connection has dropped it, or says that it is gone.
func ifThere(set, role string) string {
	there := "(" + literal(role) + " = 'none' OR EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = " + literal(role) + "))"
	return set + " WHERE " + there + ";SELECT '" + roleGone + "' WHERE NOT " + there
}

const (
	roleGone = "txiso: gone"
	lostRole = "txiso: another connection of the test dropped or renamed a role that a connection was in (PostgreSQL's DROP ROLE asks nobody), and what " +
		"that one ran afterwards ran as the session's own role: let it RESET ROLE first, or give this test a database of its own: Clone"
)

// setting is what c has set: since it is there, or with its startup message.
func (c *conn) setting(name string) (value string, ok bool) {
	if value, ok = c.settings[name]; !ok {
		value, ok = c.startup[name]
	}
	return value, ok
}

// savepoint notes a savepoint of go-txdb's, or the return to one.
func (set *settings) savepoint(sql string) {
	switch st := sqltext.Statements(nil, sql)[0]; st.Kind {
	case sqltext.Savepoint:
		if set.saved == nil {
			set.saved = make(map[string]saved)
		}
		set.saved[st.Name] = saved{set.of, set.readOnly}
	case sqltext.RollbackTo:
		was := set.saved[st.Name]
		set.of, set.readOnly = was.of, was.readOnly
	}
}

const sessionAuthorization = "session_authorization"

func isRole(setting string) bool { return setting == "role" || setting == sessionAuthorization }

// quoteSetting quotes the parts of a setting's name.
func quoteSetting(name string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(name, `"`, `""`), ".", `"."`) + `"`
}

// literal quotes a string for every server setting of standard_conforming_strings.
func literal(s string) string {
	return "E'" + strings.NewReplacer("'", "''", `\`, `\\`).Replace(s) + "'"
}

// noteSettings notes ahead of a statement of c which settings it changes for the session.
func (s *Session) noteSettings(c *conn, st sqltext.Statement) {
	if !s.ex.open { // else behind the Execute
		s.ex.restarts = append(s.ex.restarts, c.restarts(st)...)
	}
	switch {
	case st.Kind == sqltext.SetSessionCharacteristics:
		s.ex.sets = append(s.ex.sets, characteristics...)
		return
	case st.Kind != sqltext.Set && (st.Kind != sqltext.SetLocal || st.Name == ""), isCall(st.Name):
		return
	case st.Kind == sqltext.SetLocal: // while the transaction is open, others do not have it
		s.ex.sets = append(s.ex.sets, lastsAs(strings.Clone(st.Name)))
	case resetsAll(st):
		s.keepNotes(append(s.localNotes(), s.notes()...))
		s.ex.resets = true
		s.ex.park = append(s.ex.park, parkable...) // also what the server's own connection has begun with
	default:
		s.ex.sets = append(s.ex.sets, lastsAs(strings.Clone(st.Name)))
	}
	if slices.Contains(parkable, st.Name) {
		s.ex.park = append(s.ex.park, strings.Clone(st.Name))
	}
	if st.All || changesMeaning(st.Name) {
		s.ddl = true
		s.statements.invalidate()
	}
}

// isCall reports that SET does something else than to change a setting.
func isCall(setting string) bool {
	switch setting {
	case "seed", "transaction_isolation", "transaction_read_only", "transaction_deferrable":
		return true
	}
	return false
}

// changesMeaning reports whether a setting may change what a prepared statement means, or what it was found to mean. Settings
// with names of one's own are read when the statement runs.
func changesMeaning(setting string) bool {
	switch setting {
	case "application_name", "client_min_messages", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
		"idle_session_timeout", "transaction_timeout", "work_mem", "maintenance_work_mem", "default_transaction_isolation", "default_transaction_read_only",
		"default_transaction_deferrable", "synchronous_commit", "extra_float_digits", "client_encoding", "jit", "row_security":
		return false
	}
	return !strings.Contains(setting, ".")
}

// characteristics are the settings of SET SESSION CHARACTERISTICS.
var characteristics = []string{"default_transaction_isolation", "default_transaction_read_only", "default_transaction_deferrable"}

// settleNames notes the settings of what has been done, or committed.
func (s *Session) settleNames() {
	set := &s.settings
	for _, name := range s.ex.sets {
		set.meaning = set.meaning || changesMeaning(name)
		if !slices.Contains(set.names, name) {
			set.names = append(set.names, name)
			if s.ex.failed {
				set.doubtful = append(set.doubtful, name)
			}
		}
	}
}
