package sqltext_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// kinds writes the statements of sql as "Begin Select".
func kinds(sql string) string {
	var names []string
	for _, s := range sqltext.Statements(nil, sql) {
		names = append(names, s.Kind.String())
	}
	return strings.Join(names, " ")
}

func TestKinds(t *testing.T) {
	for _, c := range []struct{ sql, want string }{
		// nothing
		{"", ""}, {" \t\r\n\f\v", ""}, {";;;", ""}, {"-- BEGIN", ""}, {"/* BEGIN */ ; /* /* */ ; */", ""}, {"/*", ""}, {"/* /* */ BEGIN", ""},

		// transaction control in every spelling
		{"BEGIN", "Begin"}, {"begin;", "Begin"}, {"bEgIn work", "Begin"}, {"BEGIN TRANSACTION", "Begin"}, {"START TRANSACTION", "Begin"},
		{"BEGIN--x\nWORK", "Begin"}, {"BEGIN/**/TRANSACTION", "Begin"}, {"\fBEGIN\r\n", "Begin"}, {"/* /* */ */BEGIN", "Begin"}, {"--\rBEGIN", "Begin"},
		{"BEGIN READ ONLY READ WRITE", "Begin"}, {"BEGIN READ ONLY, NOT DEFERRABLE", "Begin"}, {"START TRANSACTION ISOLATION LEVEL REPEATABLE READ,READ ONLY", "Begin"},
		{"COMMIT", "Commit"}, {"END", "Commit"}, {"COMMIT WORK", "Commit"}, {"end transaction and no chain", "Commit"}, {"COMMIT AND CHAIN", "Commit"},
		{"ROLLBACK", "Rollback"}, {"ABORT", "Rollback"}, {"abort work and chain", "Rollback"}, {"ROLLBACK TRANSACTION", "Rollback"},
		{"SAVEPOINT a", "Savepoint"}, {"SAVEPOINT savepoint", "Savepoint"}, {"RELEASE a", "Release"}, {"RELEASE SAVEPOINT a", "Release"},
		{"RELEASE savepoint", "Release"}, {"ROLLBACK TO a", "RollbackTo"}, {"ROLLBACK WORK TO SAVEPOINT a", "RollbackTo"},
		{"ROLLBACK TO savepoint", "RollbackTo"}, {"rollback/**/to/**/a", "RollbackTo"}, {"ROLLBACK TO \"to\"", "RollbackTo"},
		{"PREPARE TRANSACTION 'x'", "PrepareTransaction"}, {"COMMIT PREPARED 'x'", "CommitPrepared"}, {"ROLLBACK PREPARED $$x$$", "RollbackPrepared"},
		{"SET TRANSACTION READ ONLY", "SetTransaction"}, {"SET LOCAL TRANSACTION READ ONLY", "SetTransaction"}, {"SET SESSION TRANSACTION READ ONLY", "SetTransaction"},
		{"SET TRANSACTION SNAPSHOT '1'", "SetTransaction"}, {"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SetSessionCharacteristics"},
		{"SET LOCAL SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SetSessionCharacteristics"},
		{"SET CONSTRAINTS ALL DEFERRED", "SetConstraints"}, {"set constraints a, b immediate", "SetConstraints"},

		// what the server rejects is passed on
		{"BEGIN foo", "Other"}, {"BEGIN TRANSACTION WORK", "Other"}, {"BEGIN READ ONLY,", "Other"}, {"BEGIN , READ ONLY", "Other"}, {"BEGIN READ", "Other"},
		{"BEGIN ISOLATION LEVEL \"serializable\"", "Other"}, {"BEGIN ISOLATION LEVEL", "Other"}, {"BEGIN READ ONLY,, READ ONLY", "Other"}, {"BEGIN AND CHAIN", "Other"},
		{"START", "Other"}, {"START WORK", "Other"}, {"START SLAVE", "Other"}, {"COMMIT foo", "Other"}, {"COMMIT AND", "Other"}, {"COMMIT NO CHAIN", "Other"},
		{"END PREPARED 'x'", "Other"}, {"COMMIT PREPARED x", "Other"}, {"COMMIT WORK PREPARED 'x'", "Other"}, {"ABORT TO a", "Other"}, {"ABORT PREPARED 'x'", "Other"},
		{"SAVEPOINT", "Other"}, {"SAVEPOINT select", "Other"}, {"SAVEPOINT left", "Other"}, {"SAVEPOINT a b", "Other"}, {"SAVEPOINT \"\"", "Other"}, {"SAVEPOINT 'a'", "Other"},
		{"SAVEPOINT a.b", "Other"}, {`SAVEPOINT U&"\0000"`, "Other"}, {`SAVEPOINT U&"\D83D"`, "Other"}, {`SAVEPOINT U&"a" UESCAPE 'f'`, "Other"}, {"RELEASE", "Other"}, {"ROLLBACK TO", "Other"}, {"ROLLBACK TO a AND CHAIN", "Other"}, {"ROLLBACK foo", "Other"},
		{"SET TRANSACTION", "Other"}, {"SET TRANSACTION foo", "Other"}, {"SET", "Other"}, {"SET a", "Other"}, {"(BEGIN)", "Select"}, {"\"begin\"", "Other"}, {"U&\"begin\"", "Other"},
		{"BEGIN$$", "Other"}, {"BEGIN1", "Other"}, {"BEGIN\xa0", "Other"}, {"BEGIN\x00", "Other"}, {"'BEGIN'", "Other"}, {"1BEGIN", "Other"}, {"SET LOCAL CONSTRAINTS ALL DEFERRED", "SetLocal"},

		// settings
		{"SET a = 1", "Set"}, {"SET SESSION a TO b", "Set"}, {"SET LOCAL a.b = c", "SetLocal"}, {"SET local = 1", "Set"}, {"SET local.x = 1", "Set"},
		{"SET session.x = 1", "Set"}, {"SET transaction.x = 1", "Set"}, {"SET transaction = 1", "Set"}, {"SET LOCAL transaction TO 1", "SetLocal"}, {"SET constraints = 1", "Set"},
		{"SET TIME ZONE 'UTC'", "Set"}, {"SET LOCAL ROLE x", "SetLocal"}, {"SET SESSION AUTHORIZATION x", "Set"}, {"RESET ALL", "Set"}, {"RESET a.b", "Set"},

		// the rest by its first words
		{"SELECT 1", "Select"}, {"(SELECT 1)", "Select"}, {"values (1)", "Select"}, {"TABLE t", "Select"}, {"EXPLAIN SELECT 1", "Select"}, {"SHOW a", "Show"},
		{"WITH a AS (SELECT 1) INSERT INTO t TABLE a", "With"}, {"INSERT INTO t VALUES (1)", "Write"}, {"MERGE INTO t", "Write"}, {"COPY t FROM STDIN", "Copy"},
		{"PREPARE p AS SELECT 1", "Prepare"}, {"PREPARE transaction AS SELECT 1", "Prepare"}, {"EXECUTE p(1)", "Execute"}, {"DEALLOCATE ALL", "Deallocate"},
		{"DEALLOCATE PREPARE p", "Deallocate"}, {"DISCARD TEMPORARY", "Discard"}, {"DECLARE c CURSOR FOR SELECT 1", "Declare"}, {"MOVE c", "Fetch"}, {"CLOSE ALL", "Close"},
		{"LISTEN a", "Listen"}, {"UNLISTEN *", "Unlisten"}, {"NOTIFY a, 'b'", "Notify"}, {"LOCK t", "Lock"}, {"CALL p()", "Call"}, {"DO $$BEGIN COMMIT; END$$", "Do"},
		{"VACUUM", "Other"}, {"TRUNCATE t", "DDL"}, {"selectx 1", "Other"}, {"sel/**/ect 1", "Other"},
	} {
		if got := kinds(c.sql); got != c.want {
			t.Errorf("%q: got %q, want %q", c.sql, got, c.want)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		sql  string
		want []string
	}{
		{" ; SELECT 1 ;; -- x\n COMMIT /* ; */ ; ", []string{"SELECT 1", "COMMIT"}},
		{"SELECT ';'; BEGIN", []string{"SELECT ';'", "BEGIN"}},
		{"SELECT ''';'; BEGIN", []string{"SELECT ''';'", "BEGIN"}},
		{`SELECT '\'; BEGIN`, []string{`SELECT '\'`, "BEGIN"}},
		{`SELECT E'\';'; BEGIN`, []string{`SELECT E'\';'`, "BEGIN"}},
		{`SELECT 1E'\';'; BEGIN`, []string{`SELECT 1E'\';'`, "BEGIN"}},
		{`SELECT e'\\'; BEGIN`, []string{`SELECT e'\\'`, "BEGIN"}},
		{`SELECT note'\'; BEGIN`, []string{`SELECT note'\'`, "BEGIN"}},
		{"SELECT E'a'\n'\\';'; BEGIN", []string{"SELECT E'a'\n'\\';'", "BEGIN"}},
		{"SELECT E'a' -- '\n '\\';'; BEGIN", []string{"SELECT E'a' -- '\n '\\';'", "BEGIN"}},
		{"SELECT E'a' '\\'; BEGIN", []string{"SELECT E'a' '\\'", "BEGIN"}},
		{"SELECT E'a' /*\n*/ '\\'; BEGIN", []string{"SELECT E'a' /*\n*/ '\\'", "BEGIN"}},
		{`SELECT U&'\'; BEGIN`, []string{`SELECT U&'\'`, "BEGIN"}},
		{`SELECT B'\', X'\', N'\'; BEGIN`, []string{`SELECT B'\', X'\', N'\'`, "BEGIN"}},
		{`SELECT 1 AS "a"";"; BEGIN`, []string{`SELECT 1 AS "a"";"`, "BEGIN"}},
		{`SELECT 1 AS "\"; BEGIN`, []string{`SELECT 1 AS "\"`, "BEGIN"}},
		{"SELECT $$;$$; BEGIN", []string{"SELECT $$;$$", "BEGIN"}},
		{"SELECT $a$;$$;$b$;$a$; BEGIN", []string{"SELECT $a$;$$;$b$;$a$", "BEGIN"}},
		{"SELECT $a$;$a$$;$b$a$; BEGIN", []string{"SELECT $a$;$a$$", "$b$a$; BEGIN"}},
		{"SELECT $A$;$a$;$A$; BEGIN", []string{"SELECT $A$;$a$;$A$", "BEGIN"}},
		{"SELECT a$b$; BEGIN; $b$", []string{"SELECT a$b$", "BEGIN", "$b$"}},
		{"SELECT $1; BEGIN", []string{"SELECT $1", "BEGIN"}},
		{"SELECT $1a$; BEGIN", []string{"SELECT $1a$", "BEGIN"}},
		{"SELECT é$é$; BEGIN; SELECT $é$;$é$", []string{"SELECT é$é$", "BEGIN", "SELECT $é$;$é$"}},
		{"SELECT 5 --1; BEGIN\n; COMMIT", []string{"SELECT 5", "COMMIT"}},
		{"SELECT 5 +-1; BEGIN", []string{"SELECT 5 +-1", "BEGIN"}},
		{"SELECT 5 +--1;\n 2; BEGIN", []string{"SELECT 5 +--1;\n 2", "BEGIN"}},
		{"SELECT 5*/*;*/2; BEGIN", []string{"SELECT 5*/*;*/2", "BEGIN"}},
		{"SELECT a/*b;/*;*/;*/; BEGIN", []string{"SELECT a", "BEGIN"}},
		{"SELECT /*/;*/ 1; BEGIN", []string{"SELECT /*/;*/ 1", "BEGIN"}},
		{"SELECT /* -- */ 1; BEGIN", []string{"SELECT /* -- */ 1", "BEGIN"}},
		{"SELECT /* ' */ 1; BEGIN", []string{"SELECT /* ' */ 1", "BEGIN"}},
		{"CREATE RULE r AS ON INSERT TO t DO (a; b); BEGIN", []string{"CREATE RULE r AS ON INSERT TO t DO (a; b)", "BEGIN"}},
		{"SELECT 1); BEGIN", []string{"SELECT 1)", "BEGIN"}},
		{"SELECT (1; BEGIN", []string{"SELECT (1; BEGIN"}},
		{"SELECT 'a; BEGIN", []string{"SELECT 'a; BEGIN"}},
		{`SELECT "a; BEGIN`, []string{`SELECT "a; BEGIN`}},
		{`SELECT E'\`, []string{`SELECT E'\`}},
		{"SELECT $a$; BEGIN", []string{"SELECT $a$; BEGIN"}},
		{"SELECT 1 /* ; BEGIN", []string{"SELECT 1"}},

		// SQL-standard routine bodies
		{"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; BEGIN",
			[]string{"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END", "BEGIN"}},
		{"create or replace procedure f() begin/**/atomic; ;end; BEGIN", []string{"create or replace procedure f() begin/**/atomic; ;end", "BEGIN"}},
		{"CREATE FUNCTION f() BEGIN ATOMIC END; BEGIN", []string{"CREATE FUNCTION f() BEGIN ATOMIC END", "BEGIN"}},
		{"CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 1 end; SELECT t.case; END; BEGIN",
			[]string{"CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 1 end; SELECT t.case; END", "BEGIN"}},
		{"CREATE FUNCTION f(begin int) BEGIN ATOMIC SELECT begin; SELECT begin atomic; END; BEGIN",
			[]string{"CREATE FUNCTION f(begin int) BEGIN ATOMIC SELECT begin; SELECT begin atomic; END", "BEGIN"}},
		{"CREATE FUNCTION f() BEGIN ATOMIC CREATE FUNCTION g() BEGIN ATOMIC SELECT 1; END; END; BEGIN",
			[]string{"CREATE FUNCTION f() BEGIN ATOMIC CREATE FUNCTION g() BEGIN ATOMIC SELECT 1; END; END", "BEGIN"}},
		{"CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; BEGIN; COMMIT", []string{"CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; BEGIN; COMMIT"}},
		{"CREATE FUNCTION f() RETURN 1; END; BEGIN", []string{"CREATE FUNCTION f() RETURN 1", "END", "BEGIN"}},
		{"CREATE TABLE begin (atomic int); END; BEGIN", []string{"CREATE TABLE begin (atomic int)", "END", "BEGIN"}},
		{"SELECT (1; END); BEGIN", []string{"SELECT (1; END)", "BEGIN"}},
		{"CREATE FUNCTION f(begin atomic) RETURNS int RETURN 1; BEGIN", []string{"CREATE FUNCTION f(begin atomic) RETURNS int RETURN 1", "BEGIN"}},
		{"SELECT begin atomic; END; BEGIN", []string{"SELECT begin atomic", "END", "BEGIN"}},
		{"CREATE VIEW function AS SELECT begin atomic; END", []string{"CREATE VIEW function AS SELECT begin atomic", "END"}},
	} {
		var got []string
		for _, s := range sqltext.Statements(nil, c.sql) {
			got = append(got, s.Text(c.sql))
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q:\n got %q\nwant %q", c.sql, got, c.want)
		}
	}
}

func TestBackslashQuotes(t *testing.T) {
	const sql = `SELECT '\'; BEGIN; --'`
	if got := kinds(sql); got != "Select Begin" {
		t.Errorf("standard strings: got %s", got)
	}
	off := sqltext.Lexer{BackslashQuotes: true}
	if got := off.Statements(nil, sql); len(got) != 1 || got[0].Text(sql) != sql {
		t.Errorf("backslash quotes: got %+v", got)
	}
	if _, single := off.Simple(`SELECT N'\'; --'`); !single {
		t.Error("backslash quotes: N'...' should have escapes")
	}
	for _, sql := range []string{`SELECT X'\'; BEGIN`, `SELECT B'\'; BEGIN`, `SELECT U&'\'; BEGIN`} {
		if _, single := off.Simple(sql); single {
			t.Errorf("backslash quotes: %s has escapes", sql)
		}
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("x", 62)
	for _, c := range []struct{ sql, want string }{
		{"SAVEPOINT a", "a"}, {"SAVEPOINT Ab$1_é", "ab$1_é"}, {"SAVEPOINT ÉA", "Éa"}, {`SAVEPOINT "Ab"`, "Ab"}, {`SAVEPOINT "a""B"`, `a"B`},
		{`SAVEPOINT U&"d\0061t\+000061"`, "data"}, {`SAVEPOINT U&"d!0061t\a!!" UESCAPE '!'`, `dat\a!`}, {`SAVEPOINT u&"\D83D\DE00"`, "😀"},
		{`SAVEPOINT U&"\+01F600\\"`, `😀\`}, {"SAVEPOINT " + long + "éa", long}, {"SAVEPOINT " + long + "AB", long + "a"}, {`SAVEPOINT "` + long + `AB"`, long + "A"},
		{"RELEASE SAVEPOINT A", "a"}, {"RELEASE SavePoint", "savepoint"}, {"ROLLBACK WORK TO B", "b"},
		{"PREPARE P (int) AS SELECT $1", "p"}, {"EXECUTE P", "p"}, {"DEALLOCATE prepare", "prepare"}, {"DEALLOCATE PREPARE P", "p"}, {`DEALLOCATE "all"`, "all"},
		{"PREPARE TRANSACTION 'it''s'", "it's"}, {`COMMIT PREPARED E'a\'\x41\101\n\u00e9\U0001F600'`, "a'AA\né😀"}, {"ROLLBACK PREPARED $q$a'$b$q$", "a'$b"},
		{"PREPARE TRANSACTION 'a' -- '\n'b'", "ab"}, {`COMMIT PREPARED U&'\0061'`, "a"}, {`COMMIT PREPARED ''`, ""}, {`COMMIT PREPARED '\a'`, `\a`},
		{"SET TRANSACTION SNAPSHOT '00-1'", "00-1"}, {`SET "Search_Path" = x`, "search_path"}, {`SET "É".A = x`, "É.a"}, {"SET Txiso . X TO 1", "txiso.x"}, {"SET TIME ZONE LOCAL", "timezone"},
		{"SET LOCAL role = x", "role"}, {"SET ROLE x", "role"}, {"SET SESSION AUTHORIZATION x", "session_authorization"}, {"SET SCHEMA 'x'", "search_path"},
		{"SET NAMES 'UTF8'", "client_encoding"}, {"SET XML OPTION DOCUMENT", "xmloption"}, {"RESET TRANSACTION ISOLATION LEVEL", "transaction_isolation"},
		{"RESET SESSION AUTHORIZATION", "session_authorization"}, {"SET a FROM CURRENT", "a"}, {"DISCARD TEMPORARY", "temp"}, {"LISTEN A", "a"}, {"NOTIFY A, 'B'", "a"},
		{`DECLARE "C" NO SCROLL CURSOR FOR SELECT 1`, "C"}, {"DECLARE cursor CURSOR FOR SELECT 1", "cursor"}, {"CLOSE C", "c"}, {"BEGIN", ""},
	} {
		got := sqltext.Statements(nil, c.sql)
		if len(got) != 1 || got[0].Kind == sqltext.Other || got[0].Name != c.want {
			t.Errorf("%q: got %+v, want the name %q", c.sql, got, c.want)
		}
	}
}

func TestModes(t *testing.T) {
	const tail = "ISOLATION LEVEL SERIALIZABLE, READ ONLY DEFERRABLE"
	all := sqltext.Mode{Isolation: sqltext.Serializable, Access: sqltext.ReadOnly, Deferrable: sqltext.IsDeferrable}
	for _, c := range []struct {
		sql  string
		want sqltext.Mode
	}{
		{"BEGIN", sqltext.Mode{}}, {"BEGIN " + tail, all}, {"BEGIN WORK " + tail, all}, {"START TRANSACTION " + tail, all}, {"SET TRANSACTION " + tail, all},
		{"SET SESSION CHARACTERISTICS AS TRANSACTION " + tail, all}, {"SET LOCAL TRANSACTION " + tail, all},
		{"BEGIN ISOLATION LEVEL READ COMMITTED", sqltext.Mode{Isolation: sqltext.ReadCommitted}}, {"BEGIN ISOLATION LEVEL READ UNCOMMITTED", sqltext.Mode{Isolation: sqltext.ReadUncommitted}},
		{"BEGIN ISOLATION LEVEL REPEATABLE READ", sqltext.Mode{Isolation: sqltext.RepeatableRead}},
		{"BEGIN READ ONLY READ WRITE NOT DEFERRABLE", sqltext.Mode{Access: sqltext.ReadWrite, Deferrable: sqltext.NotDeferrable}},
	} {
		got := sqltext.Statements(nil, c.sql)
		if len(got) != 1 || got[0].Kind == sqltext.Other || got[0].Mode != c.want {
			t.Errorf("%q: got %+v, want the mode %+v", c.sql, got, c.want)
		}
	}
}

func TestFlags(t *testing.T) {
	for sql, want := range map[string]string{
		"COMMIT AND CHAIN": "chain", "COMMIT AND NO CHAIN": "", "ROLLBACK WORK AND CHAIN": "chain", "COMMIT": "",
		"SET LOCAL a = 1": "local", "SET a = 1": "", "SET LOCAL TRANSACTION READ ONLY": "local", "SET SESSION TRANSACTION READ ONLY": "",
		"DEALLOCATE ALL": "all", "DEALLOCATE PREPARE ALL": "all", `DEALLOCATE "all"`: "", "DISCARD ALL": "all", "DISCARD PLANS": "", "RESET ALL": "all", "UNLISTEN *": "all", "CLOSE ALL": "all",
		"SET CONSTRAINTS ALL DEFERRED": "all", "SET CONSTRAINTS a DEFERRED": "", "DECLARE c CURSOR WITH HOLD FOR SELECT 1": "hold", "DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1": "",
	} {
		s := sqltext.Statements(nil, sql)[0]
		got := ""
		for name, set := range map[string]bool{"chain": s.Chain, "local": s.Local, "all": s.All, "hold": s.Hold} {
			if set {
				got += name
			}
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", sql, got, want)
		}
	}
}

func TestSimple(t *testing.T) {
	for _, c := range []struct{ sql, want string }{
		{"", "None true"}, {";;--x", "None true"}, {"SELECT 1", "Select true"}, {"SELECT 1;", "Select true"}, {"SELECT 1; ;\n", "Select true"}, {"SELECT 1; -- x", "Select true"},
		{"SELECT 1; SELECT 2", "Select false"}, {"SELECT ';'", "Select true"}, {"SELECT ';'; ", "Select true"}, {"SELECT ';'; x", "Select false"}, {";BEGIN", "Begin true"},
		{"BEGIN; COMMIT", "Begin false"}, {"COMMIT PREPARED 'x'", "CommitPrepared true"}, {"DO $$;$$ ", "Do true"}, {"SELECT 1 -- ; x", "Select true"},
	} {
		kind, single := sqltext.Simple(c.sql)
		if got := fmt.Sprint(kind, " ", single); got != c.want {
			t.Errorf("%q: got %q, want %q", c.sql, got, c.want)
		}
	}
}

func TestSimpleDoesNotAllocate(t *testing.T) {
	for _, sql := range []string{"SELECT 1", "insert into t values (';')", "SELECT 1; SELECT ';'", "BEGIN READ ONLY", "SAVEPOINT a", "/* x */ COMMIT;"} {
		if n := testing.AllocsPerRun(100, func() { sqltext.Simple(sql) }); n != 0 {
			t.Errorf("%q: %v allocations", sql, n)
		}
	}
}
