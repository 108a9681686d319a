package provision_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

// CREATE DATABASE copies neither what ALTER DATABASE SET and ALTER ROLE IN DATABASE SET have set, nor privileges: tests ran
// without, and nothing said so.
func TestSettingsOfTheTemplateAreThoseOfItsClones(t *testing.T) {
	t.Parallel()
	app := uniqueTable() + ` "b`
	execute(t, server(t), "CREATE ROLE "+pgx.Identifier{app}.Sanitize())
	t.Cleanup(func() { execute(t, server(t), "DROP ROLE "+pgx.Identifier{app}.Sanitize()) })
	cfg := config(t)
	cfg.Migrator = provision.Goose(migrations("00001_settings.sql", strings.NewReplacer("TABLE", uniqueTable(), "APP", app).Replace(`-- +goose Up
-- +goose StatementBegin
DO $$ BEGIN
EXECUTE format('ALTER DATABASE %I SET search_path TO "$user", "a ""b, c", "Odd", public', current_database());
EXECUTE format('ALTER DATABASE %I SET temp_tablespaces TO ''''', current_database());
EXECUTE format('ALTER DATABASE %I SET "TimeZone" TO ''Asia/Tokyo''', current_database());
EXECUTE format('ALTER DATABASE %I SET TABLE.motto TO ''it''''s = \, "so"''', current_database());
EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path TO app, public', 'APP', current_database());
EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', current_database());
EXECUTE format('GRANT CONNECT, CREATE ON DATABASE %I TO %I WITH GRANT OPTION', current_database(), 'APP');
END $$;
-- +goose StatementEnd
`)))
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

// settingsOf is all that a database sets and grants, as the server has it.
func settingsOf(t *testing.T, name string) (settings string) {
	t.Helper()
	err := server(t).QueryRow(t.Context(), "SELECT concat((SELECT array_agg((setrole, setconfig) ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid), "+
		"(SELECT array_agg(a ORDER BY a) FROM unnest(datacl::text[]) a)) FROM pg_database d WHERE datname = $1", name).Scan(&settings)
	if err != nil {
		t.Errorf("the settings of %s: %v", name, err)
	}
	return settings
}
