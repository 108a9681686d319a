package provision_test

import (
	"strings"
	"testing"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

// CREATE DATABASE does not copy what ALTER DATABASE SET has set: tests ran without, and nothing said so.
func TestSettingsOfTheTemplateAreThoseOfItsClones(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Migrator = provision.Goose(migrations("00001_settings.sql", strings.ReplaceAll(`-- +goose Up
-- +goose StatementBegin
DO $$ BEGIN
EXECUTE format('ALTER DATABASE %I SET search_path TO "$user", "a ""b, c", "Odd", public', current_database());
EXECUTE format('ALTER DATABASE %I SET temp_tablespaces TO ''''', current_database());
EXECUTE format('ALTER DATABASE %I SET "TimeZone" TO ''Asia/Tokyo''', current_database());
EXECUTE format('ALTER DATABASE %I SET TABLE.motto TO ''it''''s = \, "so"''', current_database());
END $$;
-- +goose StatementEnd
`, "TABLE", uniqueTable())))
	p := open(t, cfg)
	first := lease(t, p)
	copied, err := provision.OpenCopy(t.Context(), cfg.DSN, p.Template())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := copied.Drop(cleanup(t)); err != nil {
			t.Error(err)
		}
	})
	want := settingsOf(t, p.Template())
	for what, name := range map[string]string{"worker": first.Name(), "clone": clone(t, p).Name(), "copy": copied.Name, "second worker": lease(t, p).Name()} {
		if got := settingsOf(t, name); got != want {
			t.Errorf("the %s has the settings %s, want %s", what, got, want)
		}
	}
	var path string
	if err := connect(t, first.Config()).QueryRow(t.Context(), "SHOW search_path").Scan(&path); err != nil || path != `"$user", "a ""b, c", "Odd", public` {
		t.Errorf("the search path is %s, %v", path, err)
	}
}

// settingsOf is all that a database sets, as the server has it.
func settingsOf(t *testing.T, name string) (settings string) {
	t.Helper()
	err := server(t).QueryRow(t.Context(), "SELECT setconfig::text FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE datname = $1", name).Scan(&settings)
	if err != nil {
		t.Errorf("the settings of %s: %v", name, err)
	}
	return settings
}
