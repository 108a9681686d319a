package sqltext_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

func TestSettingsOfSetConfig(t *testing.T) {
	for _, c := range []struct{ sql, want string }{
		{"SELECT 1", ""},
		{"SELECT set_config('My.Var', $1, true)", "SetLocal my.var"},
		{"SELECT SET_CONFIG('a', 'b', FALSE)", "Set a"},
		{"select pg_catalog . set_config ( E'a' , (1 + f(2, 3)) || array['x', 'y'][1] , true ) , set_config('b','',false)", "SetLocal a, Set b"},
		{"SELECT set_config('a', set_config('b', 'x', false), true)", "SetLocal a, Set b"},
		{"SELECT set_config($1, $2, true)", ""},
		{`SELECT pg_catalog."set_config"('a', 'b', true), "set_config"('c'::text, $1::text, 'f')`, "SetLocal a, Set c"},
		{"SELECT set_config('a'::pg_catalog.text, $1, true::bool), set_config('b', 'x', ' On '), set_config('c', 'x', '0'::boolean)", "SetLocal a, SetLocal b, Set c"},
		{"SELECT set_config('a', 'x', 'perhaps')", ""},
		{"SELECT set_config('a', 'x', $1)", ""},
		{"SELECT set_config('a', 'x'", ""},
		{"SELECT set_config('a', ) , true)", ""},
		{"SELECT 'set_config(''a'', ''x'', true)' -- set_config('a', 'x', true)", ""},
		{"UPDATE t SET set_config = 1", ""},
	} {
		var got []string
		for _, st := range sqltext.Settings(c.sql) {
			got = append(got, fmt.Sprint(st.Kind, " ", st.Name))
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s: %q, want %q", c.sql, text, c.want)
		}
	}
}

func TestSettingsThatGetTheirDefaults(t *testing.T) {
	for sql, want := range map[string]bool{
		"RESET a": true, "RESET ALL": true, "SET a TO DEFAULT": true, "SET a = default": true, "SET TIME ZONE DEFAULT": true, "SET TIME ZONE LOCAL": true, "SET timezone = local": false, "RESET TIME ZONE": true,
		"SET a = 'default'": false, "SET a TO b": false, "SET TIME ZONE 'UTC'": false,
	} {
		if got := sqltext.Statements(nil, sql)[0].Default; got != want {
			t.Errorf("%s: %v, want %v", sql, got, want)
		}
	}
}
