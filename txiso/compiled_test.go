package txiso_test

import (
	"database/sql"
	"testing"
	"testing/fstest"

	"github.com/txiso/txiso-go/txiso"
)

// compiled has functions whose variables have types of the schema, which a connection looks up when it calls them first.
var compiled = fstest.MapFS{"00001_compiled.sql": {Data: []byte(`-- +goose Up
create type mood as enum ('ok');
create table notes (v text);
-- +goose StatementBegin
create function copied(x text) returns text language plpgsql as $$ declare v notes.v%type; begin v := x; return v; end $$;
create function felt(x text) returns text language plpgsql as $$ declare m mood; begin m := x; return m; end $$;
-- +goose StatementEnd
`)}}

// A test that changes types must neither meet what a test before has compiled, nor leave it to the next.
func TestFunctionsAreCompiledAnewBehindATestThatHasChangedTheSchema(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: compiled})
	called := func(db *sql.DB, call, want string) {
		t.Helper()
		var got string
		if err := db.QueryRow("SELECT " + call).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %q, %v, want %q", call, got, err, want)
		}
	}
	for range 2 {
		playTest(t, func(tb *fakeTB) {
			db := private.DB(tb)
			called(db, "copied('abc')", "abc")
			called(db, "felt('ok')", "ok")
			execute(t, db, "CREATE TEMP TABLE load (id int)")
		}).expectPass(t)
		playTest(t, func(tb *fakeTB) {
			db := private.DB(tb)
			execute(t, db, "ALTER TABLE notes ALTER v TYPE int USING NULL")
			execute(t, db, "ALTER TYPE mood RENAME TO old; CREATE TYPE mood AS ENUM ('new')")
		}).expectPass(t)
	}
	playTest(t, func(tb *fakeTB) {
		db := private.DB(tb)
		execute(t, db, "ALTER TABLE notes ALTER v TYPE int USING NULL")
		execute(t, db, "ALTER TYPE mood RENAME TO old; CREATE TYPE mood AS ENUM ('new')")
		called(db, "copied('007')", "7")
		called(db, "felt('new')", "new")
	}).expectPass(t)
	playTest(t, func(tb *fakeTB) {
		db := private.DB(tb)
		called(db, "copied('abc')", "abc")
		called(db, "felt('ok')", "ok")
	}).expectPass(t)
}

// It costs a connection, so it happens only then.
func TestAConnectionServesOnBehindTemporaryTablesAndWhereNothingIsCompiled(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		schema fstest.MapFS
		sql    string
		stays  bool
	}{
		"a temporary table":    {compiled, "CREATE TEMP TABLE load (id int); CREATE TEMP TABLE more AS SELECT 1", true},
		"a table":              {compiled, "CREATE TABLE load (id int)", false},
		"a table of rows":      {compiled, "CREATE TABLE load AS SELECT 1", false},
		"nothing compiled":     {fstest.MapFS{"00001_t.sql": {Data: []byte("-- +goose Up\ncreate table notes (v text);\n")}}, "ALTER TABLE notes ADD w int", true},
		"rows, and a function": {compiled, "INSERT INTO notes VALUES (copied('a'))", true},
	} {
		private := fresh(t, txiso.Config{Migrations: c.schema})
		var pids [2]int
		for i := range pids {
			playTest(t, func(tb *fakeTB) {
				db := private.DB(tb)
				if err := db.QueryRow("SELECT pg_backend_pid()").Scan(&pids[i]); err != nil {
					t.Fatal(err)
				}
				execute(t, db, c.sql)
			}).expectPass(t)
		}
		if (pids[0] == pids[1]) != c.stays {
			t.Errorf("%s: backends %v", what, pids)
		}
	}
}
