package txiso_test

import (
	"database/sql"
	"slices"
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
func TestFunctionsAreCompiledAnewInATestThatChangesTheSchemaAndInTheNext(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: compiled})
	var pids []int
	play := func(f func(db *sql.DB)) {
		playTest(t, func(tb *fakeTB) {
			var pid int
			db := private.DB(tb)
			if err := db.QueryRow("SELECT pg_backend_pid()").Scan(&pid); err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
			f(db)
		}).expectPass(t)
	}
	for range 2 {
		play(asMigrated(t))
		play(func(db *sql.DB) { changeTypes(t, db) })
		play(asMigrated(t))
		play(func(db *sql.DB) {
			changeTypes(t, db)
			expectCalls(t, db, "copied('007')", "7", "felt('new')", "new")
		})
		play(asMigrated(t))
		play(func(db *sql.DB) {
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			changeTypes(t, tx)
			expectCalls(t, tx, "copied('007')", "7", "felt('new')", "new")
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
			asMigrated(t)(db)
			changeTypes(t, db)
			expectCalls(t, db, "copied('007')", "7", "felt('new')", "new")
		})
	}
	if len(slices.Compact(pids)) != 1 {
		t.Errorf("the tests did not share a connection, which says nothing: %v", pids)
	}
}

// The sample schema has such a function, which the test's role may not change.
func TestFunctionsAreCompiledAnewWhateverTheRole(t *testing.T) {
	t.Parallel()
	db := iso.DB(t)
	execute(t, db, "CREATE FUNCTION theirs() RETURNS int LANGUAGE plpgsql AS 'DECLARE i int := 1; BEGIN RETURN i; END'; "+
		"CREATE ROLE compiled_owner; ALTER FUNCTION theirs() OWNER TO compiled_owner; SET ROLE compiled_owner; CREATE TEMP TABLE x (i int)")
	expectCalls(t, db, "theirs()", "1")
}

func asMigrated(t *testing.T) func(db *sql.DB) {
	return func(db *sql.DB) {
		t.Helper()
		expectCalls(t, db, "copied('abc')", "abc", "felt('ok')", "ok")
	}
}

type execer interface {
	Exec(query string, args ...any) (sql.Result, error)
	QueryRow(query string, args ...any) *sql.Row
}

func changeTypes(t *testing.T, on execer) {
	t.Helper()
	for _, change := range []string{"ALTER TABLE notes ALTER v TYPE int USING NULL", "ALTER TYPE mood RENAME TO old; CREATE TYPE mood AS ENUM ('new')"} {
		if _, err := on.Exec(change); err != nil {
			t.Fatal(err)
		}
	}
}

// expectCalls takes pairs of a call and its result.
func expectCalls(t *testing.T, on execer, calls ...string) {
	t.Helper()
	t.Helper()
	for pair := range slices.Chunk(calls, 2) {
		var got string
		if err := on.QueryRow("SELECT " + pair[0]).Scan(&got); err != nil || got != pair[1] {
			t.Errorf("%s = %q, %v, want %q", pair[0], got, err, pair[1])
		}
	}
}
