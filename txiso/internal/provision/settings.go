package provision

import (
	"context"
	"slices"
	"strings"
)

// Migrations may give their database settings (ALTER DATABASE … SET, ALTER ROLE … IN DATABASE … SET) and privileges (GRANT …
// ON DATABASE). CREATE DATABASE copies neither. A spare slot is without, because what is done to it behind its creation could
// be missing: who takes it gives it both in the transaction that makes it something else.

// setting is what a database sets, for all roles or for one.
type setting struct {
	Role  string `json:"role,omitzero"`
	Value string `json:"value"` // name=value
}

// grant is a privilege on a database, of a role or of PUBLIC.
type grant struct {
	Role      string `json:"role,omitzero"`
	Privilege string `json:"privilege"`
	Option    bool   `json:"option,omitzero"`
}

// own reads into m what a database sets, and the privileges on it if they are not those of a new one.
func (l *link) own(ctx context.Context, m *marker, name string) error {
	results, err := l.exec(ctx, "SELECT coalesce(rolname, ''), unnest(setconfig) FROM pg_catalog.pg_db_role_setting "+
		"JOIN pg_catalog.pg_database d ON d.oid = setdatabase LEFT JOIN pg_catalog.pg_roles r ON r.oid = setrole WHERE datname = "+literal(name)+";"+
		"SELECT CASE WHEN grantee <> 0 THEN pg_catalog.pg_get_userbyid(grantee) ELSE '' END, privilege_type, is_grantable::int "+
		"FROM pg_catalog.pg_database, pg_catalog.aclexplode(datacl) WHERE datname = "+literal(name))
	if err != nil {
		return err
	}
	for i := range results[0].Rows {
		m.Settings = append(m.Settings, setting{text(results[0], i, 0), text(results[0], i, 1)})
	}
	for i := range results[1].Rows {
		m.Grants = append(m.Grants, grant{text(results[1], i, 0), text(results[1], i, 1), text(results[1], i, 2) == "1"})
	}
	return nil
}

// alter returns statements that give a database what is its template's own, each with a semicolon.
func (m *marker) alter(database string) string {
	var b strings.Builder
	for _, s := range m.Settings {
		whose := "DATABASE "
		if s.Role != "" {
			whose = "ROLE " + identifier(s.Role) + " IN DATABASE "
		}
		name, value, _ := strings.Cut(s.Value, "=")
		b.WriteString("ALTER " + whose + database + " SET " + identifier(name) + " TO " + settingValue(name, value) + "; ")
	}
	if len(m.Grants) > 0 {
		b.WriteString("REVOKE ALL ON DATABASE " + database + " FROM PUBLIC; ")
	}
	for _, g := range m.Grants {
		to, option := "PUBLIC", ""
		if g.Role != "" {
			to = identifier(g.Role)
		}
		if g.Option {
			option = " WITH GRANT OPTION"
		}
		b.WriteString("GRANT " + g.Privilege + " ON DATABASE " + database + " TO " + to + option + "; ")
	}
	return b.String()
}

// lists are the parameters whose values are lists of names, each quoted on its own (pg_dump knows them by name, too: GUC_LIST_QUOTE).
var lists = []string{
	"local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries",
	"temp_tablespaces", "unix_socket_directories",
}

// settingValue is what SET has to be told so that it stores value.
func settingValue(name, value string) string {
	if !slices.Contains(lists, strings.ToLower(name)) {
		return literal(value)
	}
	var names []string
	for _, name := range splitNames(value) {
		names = append(names, literal(name))
	}
	return strings.Join(names, ", ")
}

// splitNames splits a list such as `"$user", public`.
func splitNames(list string) (names []string) {
	var name strings.Builder
	quoted := false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '"' && quoted && strings.HasPrefix(list[i+1:], `"`):
			name.WriteByte(c)
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			names = append(names, name.String())
			name.Reset()
		case c != ' ' || quoted:
			name.WriteByte(c)
		}
	}
	return append(names, name.String())
}
