package sqltext_test

import (
	"testing"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

func TestTemporaryTables(t *testing.T) {
	type table struct {
		name        string
		onCommit    sqltext.OnCommit
		ifNotExists bool
	}
	for _, c := range []struct {
		sql  string
		want table
	}{
		{"CREATE TABLE t (a int) ON COMMIT DROP", table{}}, // the server refuses it
		{"CREATE TEMP VIEW v AS SELECT 1", table{name: "v"}},
		{"create or replace local temporary view V as select 1", table{name: "v"}},
		{"create temp recursive view v (n) as select 1", table{name: "v"}},
		{"create view pg_temp.v as select 1", table{name: "v"}},
		{"create temp sequence if not exists s", table{name: "s", ifNotExists: true}},
		{"create view v as select 1", table{}},
		{"create sequence temp", table{}},
		{"create temp", table{}},
		{"CREATE TEMP TABLE select (a int) ON COMMIT DROP", table{}},
		{"ALTER TABLE t ADD a int", table{}},
		{"create temp table t (a int)", table{"t", sqltext.PreserveRows, false}},
		{"create temp table t", table{"t", sqltext.PreserveRows, false}},
		{"create temp table t (a int) on commit preserve rows", table{"t", sqltext.PreserveRows, false}},
		{"CREATE TEMPORARY TABLE T (a int) ON COMMIT DROP", table{"t", sqltext.DropTable, false}},
		{"create local temp table t (a int) on commit delete rows;", table{"t", sqltext.DeleteRows, false}},
		{`create global temporary table if not exists "A ""b" () inherits (x) with (a = 'on commit delete rows') on commit drop tablespace s`,
			table{`A "b`, sqltext.DropTable, true}},
		{"create table pg_temp.t (a int) on commit drop", table{"t", sqltext.DropTable, false}},
		{"create temp table pg_temp.t (a int) on commit drop", table{"t", sqltext.DropTable, false}},
		{"create table public.t (a int) on commit drop", table{}},
		{"create temp table t (a text default 'on commit drop', b int check (b > (1)))", table{"t", sqltext.PreserveRows, false}},
		{"create temp table t (a) on commit drop as select 1", table{"t", sqltext.DropTable, false}},
		{"create temp table t as select a from x join y on commit drop", table{"t", sqltext.PreserveRows, false}},
		{"create temp table t on/**/commit--\ndelete rows as table x with no data", table{"t", sqltext.DeleteRows, false}},
	} {
		st := sqltext.Statements(nil, c.sql)[0]
		if got := (table{st.Name, st.OnCommit, st.IfNotExists}); got != c.want || st.Kind != sqltext.DDL || st.Temporary != (c.want.name != "") {
			t.Errorf("%q: got %v %+v, want %+v", c.sql, st.Kind, got, c.want)
		}
	}
}

func TestTemporaryTablesOfAString(t *testing.T) {
	got := sqltext.Statements(nil, "create temp table a (b int); create temp table c () on commit drop; select 1")
	if len(got) != 3 || got[0].OnCommit != sqltext.PreserveRows || got[1].OnCommit != sqltext.DropTable || got[1].Name != "c" {
		t.Errorf("got %+v", got)
	}
}
