package session

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// RESET gives a setting the value that the connection has begun with. The server's own connection may have begun with another one
// than a virtual connection, whose startup message has asked for more: so that is set behind the RESET, ahead of all that follows.

// restart is a setting that gets the value of its connection's startup.
type restart struct {
	name  string
	local bool // until the end of the transaction
}

// restarts returns those of a statement of c. RESET ALL leaves roles alone (manual, RESET).
func (c *conn) restarts(st sqltext.Statement) (list []restart) {
	if !st.Default || st.Kind != sqltext.Set && st.Kind != sqltext.SetLocal {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(c.startup)) {
		if st.All && !isRole(name) || !st.All && name == lastsAs(st.Name) {
			list = append(list, restart{name, st.Kind == sqltext.SetLocal})
		}
	}
	return list
}

func (c *conn) restartsOf(statements []sqltext.Statement) (list []restart) {
	for _, st := range statements {
		list = append(list, c.restarts(st)...)
	}
	return list
}

// restart is sent behind what has reset the settings. What is parked is so again at the end of the exchange.
func (s *Session) restart(c *conn, list []restart) {
	var others, roles []string
	for _, r := range list {
		name := strings.TrimPrefix(r.name, parkedSetting)
		set := fmt.Sprintf("pg_catalog.set_config(%s, %s, %v)", literal(name), literal(c.startup[r.name]), r.local)
		if isRole(name) {
			roles = append(roles, set)
		} else {
			others = append(others, set)
		}
	}
	if len(others) > 0 {
		s.withRights(func(sql string) { s.asideTold(sql, true) }, func() { s.asideTold("SELECT "+strings.Join(others, ", "), false) }) // a RESET asks for none
	}
	if len(roles) > 0 {
		s.asideTold("SELECT "+strings.Join(roles, ", "), false)
	}
}
