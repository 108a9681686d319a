package session

import (
	"slices"
	"strings"
)

// Some statements of the session's own need the rights of its own user, whatever role or session authorization the test is in.

const (
	takeRole = "SELECT pg_catalog.set_config('txiso.role', pg_catalog.current_setting('role'), false), pg_catalog.set_config('role', 'none', false)"
	giveRole = "SELECT pg_catalog.set_config('role', pg_catalog.current_setting('txiso.role'), false)"

	takeAuthorization = "SELECT pg_catalog.set_config('txiso.authorization', pg_catalog.current_setting('session_authorization'), false)"
	giveAuthorization = "SELECT pg_catalog.set_config('session_authorization', pg_catalog.current_setting('txiso.authorization'), false)"
)

// takeRights are the statements that go ahead of one that needs rights, giveRights those that follow it.
func (s *Session) takeRights() []string {
	if !s.sets(sessionAuthorization) {
		return []string{takeRole}
	}
	return []string{takeRole, takeAuthorization, "RESET SESSION AUTHORIZATION"}
}

func (s *Session) giveRights() []string {
	if !s.sets(sessionAuthorization) {
		return []string{giveRole}
	}
	return []string{giveAuthorization, giveRole} // the role last: the other takes it back
}

// withRights sends what f sends with those rights, and by send what they take.
func (s *Session) withRights(send func(sql string), f func()) {
	if !s.hasRoles() {
		f()
		return
	}
	for _, sql := range s.takeRights() {
		send(sql)
	}
	f()
	for _, sql := range s.giveRights() {
		send(sql)
	}
}

// rightful is a statement with what it takes to give it those rights.
func (s *Session) rightful(sql string) string {
	return strings.Join(slices.Concat(s.takeRights(), []string{sql}, s.giveRights()), ";")
}

// sets reports that a setting may have been made by this test.
func (s *Session) sets(setting string) bool {
	return slices.Contains(s.settings.names, setting) || slices.Contains(s.ex.sets, setting)
}

// hasRoles reports that a role other than the session's own may be in force.
func (s *Session) hasRoles() bool { return s.sets("role") || s.sets(sessionAuthorization) }

// unhindered is a statement of the session's own that neither a statement_timeout nor a role of the test may keep from what it
// does: outside a guard, what fails takes everything with it. The timeout of a statement begins with it, in a string of several, too.
func (s *Session) unhindered(sql string) string {
	return endTimeout + ";" + s.rightful(sql) + ";" + resumeTimeout
}

const (
	endTimeout = "SELECT pg_catalog.set_config('txiso.statement_timeout', pg_catalog.current_setting('statement_timeout'), false), " +
		"pg_catalog.set_config('statement_timeout', '0', false)"
	resumeTimeout = "SELECT pg_catalog.set_config('statement_timeout', pg_catalog.current_setting('txiso.statement_timeout'), false)"
)
