package sqltext_test

import (
	"strings"
	"testing"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// FuzzStatements: no input panics, offsets are in range and ordered, a statement's own text is that statement again, Simple agrees.
func FuzzStatements(f *testing.F) {
	for _, sql := range []string{
		"BEGIN; SELECT ';' ; COMMIT AND CHAIN", `SELECT E'\'' 'a'` + "\n'b'", "SELECT $a$ ; $a$ -- x", `SAVEPOINT U&"a\0062" UESCAPE '!'`, "/* /* */ */ SET LOCAL a = 1",
		"CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN a THEN b END; END; END", "DECLARE c NO SCROLL CURSOR WITH HOLD FOR VALUES (1)", `COMMIT PREPARED E'\x41\101\u0041'`,
		"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY NOT DEFERRABLE", "CREATE RULE r AS ON INSERT TO t DO (a; b); END",
	} {
		f.Add(sql, false)
		f.Add(sql, true)
	}
	f.Fuzz(func(t *testing.T, sql string, backslashQuotes bool) {
		lexer := sqltext.Lexer{BackslashQuotes: backslashQuotes}
		statements := lexer.Statements(nil, sql)
		end := 0
		for _, s := range statements {
			if s.Start < end || s.End <= s.Start || s.End > len(sql) {
				t.Fatalf("%q: offsets %+v after %d", sql, s, end)
			}
			end = s.End
			sameAlone(t, lexer, sql, s)
		}
		sameSimple(t, lexer, sql, statements)
	})
}

func sameAlone(t *testing.T, lexer sqltext.Lexer, sql string, s sqltext.Statement) {
	t.Helper()
	text := s.Text(sql)
	again := lexer.Statements(nil, text)
	s.Start, s.End = 0, len(text)
	if len(again) != 1 || again[0] != s {
		t.Fatalf("%q alone: %+v, in %q: %+v", text, again, sql, s)
	}
}

func sameSimple(t *testing.T, lexer sqltext.Lexer, sql string, statements []sqltext.Statement) {
	t.Helper()
	kind, single := lexer.Simple(sql)
	want := sqltext.None
	if len(statements) > 0 {
		want = statements[0].Kind
	}
	if kind != want || single != (len(statements) <= 1) {
		t.Fatalf("%q: Simple says %v %v, but the statements are %+v", sql, kind, single, statements)
	}
}

// FuzzAgainstServer: the server understands what sqltext understands. Inputs are not SQL but a choice of fragments, one a byte, so that most
// strings get far and none does harm.
func FuzzAgainstServer(f *testing.F) {
	o := newOracle(f)
	for _, seed := range oracleSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		if len(choices) > 40 {
			return
		}
		sql := assemble(choices, o.version)
		if err := o.check(sql); err != nil {
			t.Fatalf("%q: %v", sql, err)
		}
	})
}

var oracleSeeds = []string{"", "\x00\x01\x02", "abcdefgh", "0123456789", "\x80\x90\xa0\xb0", "zyxwvu", "\x10\xff\x20\xfe\x30"}

// assemble joins the fragments that choices pick, the first half of them with a space before.
func assemble(choices []byte, version int) string {
	var b strings.Builder
	for _, c := range choices {
		f := fragments[int(c)%len(fragments)]
		if strings.Contains(f, "\v") && version < 16 {
			f = " "
		}
		b.WriteString(f)
	}
	return b.String()
}

// fragments are pieces of transaction control, of what may surround it, and of everything that hides a ';'.
var fragments = []string{
	// statements and their ends
	"; ", ";", " ; ", ";BEGIN;", ";COMMIT;", "SELECT 1", "SELECT 1;", "SELECT ';'", "TABLE t", "VALUES (1)", "(SELECT 1)", "INSERT INTO t VALUES (1)", "DELETE FROM t",
	"WITH x AS (SELECT 1) SELECT * FROM x", "SHOW work_mem", "DO $$BEGIN END$$", "DO ", "EXPLAIN SELECT 1", "SELECT ", "CREATE TEMP TABLE u ()", "CREATE TEMP VIEW v AS ",
	"CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)", "CREATE RULE r AS ON INSERT TO t DO ALSO (",
	// transaction control
	"BEGIN ", "BEGIN", "START ", "TRANSACTION ", "TRANSACTION", "WORK ", "WORK", "COMMIT ", "COMMIT", "END ", "END", "ROLLBACK ", "ROLLBACK", "ABORT ", "AND CHAIN", "AND NO CHAIN ", "AND ", "NO ",
	"SAVEPOINT ", "SAVEPOINT", "RELEASE ", "TO ", "PREPARED ", "PREPARE ", "EXECUTE ", "DEALLOCATE ", "ALL", "DISCARD ", "PLANS", "TEMP", "ISOLATION LEVEL ", "SERIALIZABLE ",
	"REPEATABLE READ ", "READ ", "ONLY ", "WRITE", "COMMITTED ", "UNCOMMITTED ", "NOT ", "DEFERRABLE ", ", ", ",", "READ ONLY", "SET ", "RESET ", "LOCAL ", "SESSION ",
	"SESSION CHARACTERISTICS AS TRANSACTION ", "CHARACTERISTICS ", "AS ", "CONSTRAINTS ", "DEFERRED", "IMMEDIATE", "SNAPSHOT ", "x.y", "x.y = 1", "= 1", "= ", "TO DEFAULT",
	"TIME ZONE ", "ROLE NONE", "AUTHORIZATION ", "DEFAULT", "FROM CURRENT", "DECLARE ", "CURSOR ", "WITH HOLD ", "WITHOUT HOLD ", "FOR SELECT 1", "FETCH ", "MOVE ", "CLOSE ",
	"LISTEN ", "UNLISTEN ", "NOTIFY ", "*", "AS SELECT 1", "(int) AS SELECT $1",
	// names
	"a", "A", "a ", "p", "c", "t", "savepoint", "begin", "\"a\"", "\"a\"\"B\"", "\"\"", "U&\"\\0061\"", "U&\"!0061\" UESCAPE '!'", " UESCAPE '!'", "u&\"\\", "select", "left", "between",
	"é", "Éa", "a$b$", "_1", "a1", "end", "case", "atomic", "\"begin\"", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijé", "0123456789",
	// strings, comments, whitespace
	"'", "''", "'a'", "'a;b'", "E'", "e'\\'", "E'\\';'", "\\", "\\'", "'\n'", "'\n--x\n'", "U&'", "U&'\\0061'", "X'1'", "B'", "N'a'", "$$", "$a$", "$", "$1", "$a", "$b$;$b$",
	"\"", "--", "-- x;\n", "--\r", "/*", "*/", "/*;*/", "/", "/**/", "-", "+", "+-", "+-- ;\n", "*/*", "::", "::text", " ", "  ", "\n", "\r", "\t", "\f", "\v", "1", "5 -", "1E", ".", "(", ")", "( ", "[",
	// routine bodies
	"CREATE FUNCTION pg_temp.f() RETURNS int ", "CREATE OR REPLACE FUNCTION pg_temp.f(begin int) RETURNS int ", "CREATE PROCEDURE pg_temp.f() ", "LANGUAGE sql ", "BEGIN ATOMIC ", "BEGIN ATOMIC",
	"END;", " END", "; END;", "SELECT 1; END", "CASE WHEN true THEN 1 END", "CASE ", "SELECT 1 AS end;", "SELECT 1 end;", "SELECT begin;", "SELECT begin atomic;", "RETURN 1", "AS $f$SELECT 1;$f$ ", "x",
}
