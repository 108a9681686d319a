package provision

import (
	"context"
	"slices"
	"strings"
)

// Migrations may give their database settings of its own (ALTER DATABASE … SET). CREATE DATABASE does not copy those. A
// spare slot is without, because what is done to it behind its creation could be missing: who takes it gives it the settings
// in the transaction that makes it something else.

// settings reads what a database sets for all roles, as name=value.
func (l *link) settings(ctx context.Context, name string) (settings []string, err error) {
	results, err := l.exec(ctx, "SELECT unnest(setconfig) FROM pg_catalog.pg_db_role_setting WHERE setrole = 0 AND "+
		"setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = "+literal(name)+")")
	if err != nil {
		return nil, err
	}
	for i := range results[0].Rows {
		settings = append(settings, text(results[0], i, 0))
	}
	return settings, nil
}

// alter returns statements that give a database the settings of its template, each with a semicolon.
func (m *marker) alter(database string) string {
	var b strings.Builder
	for _, setting := range m.Settings {
		name, value, _ := strings.Cut(setting, "=")
		b.WriteString("ALTER DATABASE " + database + " SET " + identifier(name) + " TO " + settingValue(name, value) + "; ")
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
