package property_test

import (
	"fmt"
	"strings"
)

// control is transaction control as text.
func (g *gen) control() string {
	sql := g.plainControl()
	switch g.IntN(8) {
	case 0:
		sql = strings.ToUpper(sql)
	case 1:
		sql = "/* a; comment */ " + sql + " ;"
	case 2:
		sql = "-- to the end\n\t" + sql + " -- commit"
	case 3:
		sql = ";; " + sql + ";"
	}
	return sql
}

func (g *gen) plainControl() string {
	switch n := g.IntN(20); {
	case n < 5:
		return g.beginText()
	case n < 9:
		return pick(g, "commit", "end", "commit work", "end transaction", "commit and no chain", "commit")
	case n < 12:
		return pick(g, "rollback", "abort", "rollback work", "abort transaction", "rollback")
	case n < 13:
		return pick(g, "commit and chain", "end and chain", "rollback and chain", "abort work and chain")
	case n < 15:
		return "savepoint " + g.savepoint()
	case n < 17:
		return pick(g, "rollback to ", "rollback to savepoint ", "rollback work to ") + g.savepoint()
	case n < 18:
		return pick(g, "release ", "release savepoint ") + g.savepoint()
	case n < 19:
		return "set transaction " + pick(g, "read only", "read write", "read only", "isolation level serializable", "isolation level read committed", "deferrable")
	}
	return pick(g, "set local search_path = pg_catalog, public", "set local work_mem = 4096")
}

func (g *gen) beginText() string {
	begin := pick(g, "begin", "begin work", "start transaction", "begin transaction", "begin")
	if g.together {
		return begin
	}
	return begin + pick(g, "", "", "", " read only", " read write", " isolation level serializable", " isolation level repeatable read, read only")
}

func (g *gen) savepoint() string { return pick(g, "a", "b", `"A"`, `"it's ""one"""`) }

// several is a string of several statements, with or without transaction control.
func (g *gen) several() string {
	parts := make([]string, 2+g.IntN(4))
	for i := range parts {
		parts[i], _ = g.statement(true)
		if g.has("text") && g.IntN(2) == 0 {
			parts[i] = g.control()
		}
	}
	return strings.Join(parts, pick(g, ";", "; ", ";\n"))
}

// wholeTransaction is a string that leaves no transaction open.
func (g *gen) wholeTransaction() string {
	inner, _ := g.statement(true)
	return g.beginText() + ";" + inner + ";" + pick(g, "commit", "rollback")
}

// role changes whose rights the session has, or asks whose.
func (g *gen) role() string {
	return pick(g,
		"set role pg_read_all_data", "set role pg_signal_backend", "set local role pg_read_all_data", "set session authorization pg_read_all_data",
		"set local session authorization pg_signal_backend", "reset role", "set role none", "reset session authorization", "select current_user, session_user")
}

// own is something that only the connection has which has made it: on several the limits say what differs.
func (g *gen) own() string {
	return pick(g,
		"prepare q1 (int) as select id, name from items where id >= $1 order by id", "execute q1 (1)", "execute q1 (3)", "deallocate q1",
		"prepare q2 as insert into parents values (40) returning id", "execute q2", "select name, from_sql from pg_prepared_statements where name like 'q_' order by 1",
		"create temp table tt (a int)", "create temporary table tt on commit drop as select 1 as a", "create temp table tt (a int) on commit delete rows",
		"insert into tt values (1), (2)", "select count(*) from tt", "select * from tt order by 1", "drop table tt", "drop table if exists tt", "truncate tt",
		"create temp view tv as select count(*) from items", "select * from tv", "discard temp", "truncate items cascade")
}

// setting changes the session, or asks it.
func (g *gen) setting() string {
	if g.conns == 1 && g.IntN(3) == 0 {
		return g.own()
	}
	switch g.IntN(11) {
	case 0:
		return pick(g, "set ", "set session ", "set local ") + "datestyle = " + pick(g, "german", "iso")
	case 1:
		return "set local search_path = " + pick(g, "public", "pg_catalog", "nowhere, public")
	case 2:
		return "reset " + pick(g, "datestyle", "search_path", "all")
	case 3:
		return fmt.Sprintf("select set_config('work_mem', '%dMB', %s)", 1+g.IntN(5), pick(g, "true", "false"))
	case 4:
		return "select current_setting('work_mem'), current_date - current_date, current_setting('search_path'), current_setting('datestyle')"
	case 5:
		return "declare " + pick(g, "c1", "c2") + " cursor " + pick(g, "", "with hold ") + "for select i from generate_series(1, 9) i"
	case 6:
		return "fetch " + pick(g, "1", "2", "all") + " from " + pick(g, "c1", "c2")
	case 7, 8:
		return g.role()
	case 9:
		return "deallocate " + pick(g, "w1", "w2", "all")
	}
	return "close " + pick(g, "c1", "all")
}
