package sqltext_test

import "strings"

// generate makes SQL from bytes: fragments in any order, nearly all of them wrong, or sentences, most of them right.
func generate(bytes []byte, sentences bool, version int) string {
	c := &choices{bytes: bytes}
	var b strings.Builder
	for len(c.bytes) > 0 {
		if sentences {
			c.sentence(&b)
		} else {
			b.WriteString(c.of(fragments))
		}
	}
	if version < 17 { // not whitespace before
		return strings.ReplaceAll(b.String(), "\v", " ")
	}
	return b.String()
}

// choices are bytes to decide by. When they are used up the first of everything is chosen.
type choices struct{ bytes []byte }

func (c *choices) next() int {
	if len(c.bytes) == 0 {
		return 0
	}
	b := c.bytes[0]
	c.bytes = c.bytes[1:]
	return int(b)
}

func (c *choices) of(list []string) string { return list[c.next()%len(list)] }

// sentence writes a statement and its ';'. Now and then a word of it is lost, doubled or replaced.
func (c *choices) sentence(b *strings.Builder) {
	space, slip := c.next(), c.next()
	words := strings.Fields(c.of(templates))
	for i, w := range words {
		times := 1
		if slip%64 == i+1 {
			times = slip / 64 % 3
			w = c.slipped(w, slip)
		}
		for range times {
			b.WriteString(c.word(w))
			b.WriteString(c.space(space))
		}
	}
	b.WriteString(c.of(ends))
}

func (c *choices) slipped(w string, slip int) string {
	if slip/64 == 1 {
		return c.of(fragments)
	}
	return w
}

// space is one blank in three of four sentences, so that choices last longer.
func (c *choices) space(style int) string {
	if style%4 != 3 {
		return " "
	}
	return c.of(spaces)
}

// word replaces the words of templates that stand for others.
func (c *choices) word(w string) string {
	switch w {
	case "NAME":
		return c.of(names)
	case "STRING":
		return c.of(literals)
	case "EXPR":
		return c.of(expressions)
	case "MODE":
		return c.of(modes)
	case "WORK":
		return c.of([]string{"", "WORK", "transaction"})
	case "CHAIN":
		return c.of([]string{"", "AND CHAIN", "AND NO CHAIN", "and/**/chain"})
	}
	return w
}

var templates = []string{
	"BEGIN WORK", "BEGIN WORK MODE", "BEGIN WORK MODE , MODE", "BEGIN MODE MODE", "START TRANSACTION MODE", "start transaction", "COMMIT WORK CHAIN", "END WORK CHAIN", "ROLLBACK WORK CHAIN", "ABORT WORK CHAIN",
	"SAVEPOINT NAME", "RELEASE NAME", "RELEASE SAVEPOINT NAME", "ROLLBACK WORK TO NAME", "ROLLBACK WORK TO SAVEPOINT NAME", "rollback to a", "release savepoint a", "PREPARE TRANSACTION STRING",
	"COMMIT PREPARED STRING", "ROLLBACK PREPARED STRING", "SET TRANSACTION MODE", "SET LOCAL TRANSACTION MODE", "SET SESSION TRANSACTION MODE , MODE", "SET SESSION CHARACTERISTICS AS TRANSACTION MODE",
	"SET LOCAL SESSION CHARACTERISTICS AS TRANSACTION MODE MODE", "SET TRANSACTION SNAPSHOT STRING", "SET CONSTRAINTS ALL DEFERRED", "SET CONSTRAINTS NAME IMMEDIATE", "SET x.NAME = STRING", "SET LOCAL x . NAME TO DEFAULT",
	"SET SESSION NAME . y = 1", "SET NAME . x TO 1", "SET NAME = 1", "SET TIME ZONE STRING", "SET LOCAL ROLE NONE", "SET SESSION AUTHORIZATION DEFAULT", "RESET ALL", "RESET NAME . x", "RESET TRANSACTION ISOLATION LEVEL", "RESET NAME",
	"PREPARE NAME AS SELECT EXPR", "PREPARE NAME (int) AS SELECT $1", "EXECUTE NAME", "EXECUTE p", "DEALLOCATE NAME", "DEALLOCATE PREPARE NAME", "DEALLOCATE ALL", "DISCARD PLANS", "DISCARD NAME",
	"DECLARE NAME CURSOR FOR SELECT EXPR", "DECLARE NAME NO SCROLL CURSOR WITH HOLD FOR SELECT 1", "DECLARE NAME BINARY INSENSITIVE CURSOR WITHOUT HOLD FOR SELECT 1", "FETCH c", "MOVE NAME", "CLOSE NAME", "CLOSE ALL",
	"LISTEN NAME", "UNLISTEN NAME", "UNLISTEN *", "NOTIFY NAME", "NOTIFY NAME , STRING", "SELECT EXPR", "SELECT EXPR", "SELECT EXPR , EXPR", "( SELECT EXPR )", "VALUES ( EXPR )", "TABLE t", "INSERT INTO t VALUES ( 1 )",
	"WITH NAME AS ( SELECT EXPR ) SELECT 1", "WITH x AS ( INSERT INTO t VALUES ( 1 ) RETURNING a ) TABLE x", "UPDATE t SET a = 1", "DELETE FROM t", "DO STRING", "EXPLAIN SELECT EXPR", "SHOW work_mem", "LOCK t",
	"CREATE TEMP TABLE NAME ( NAME int )", "CREATE TEMP VIEW NAME AS SELECT EXPR", "CREATE RULE NAME AS ON INSERT TO t DO ALSO ( SELECT EXPR ; SELECT EXPR ; )", "ALTER TABLE t ADD COLUMN NAME int", "TRUNCATE t",
	"CREATE FUNCTION pg_temp.NAME ( NAME int ) RETURNS int BEGIN ATOMIC SELECT 1 ; END", "CREATE OR REPLACE FUNCTION pg_temp.f ( ) RETURNS void BEGIN ATOMIC SELECT EXPR ; SELECT 1 AS NAME ; SELECT EXPR ; END",
	"CREATE PROCEDURE pg_temp.f ( ) BEGIN ATOMIC ; SELECT EXPR ; INSERT INTO t VALUES ( 1 ) ; ; END", "CREATE PROCEDURE pg_temp.NAME ( ) SET x.y TO NAME BEGIN ATOMIC END", "CREATE FUNCTION pg_temp.f ( ) RETURNS int RETURN EXPR",
	"CREATE FUNCTION pg_temp.f ( begin int ) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT begin atomic ; SELECT begin ; SELECT CASE begin WHEN 1 THEN 2 END end ; END", "CREATE FUNCTION pg_temp.f ( ) RETURNS int AS STRING LANGUAGE sql",
	"CREATE PROCEDURE pg_temp.f ( ) BEGIN ATOMIC CREATE FUNCTION g ( ) RETURNS int BEGIN ATOMIC SELECT 1 ; END ; END",
	"CREATE PROCEDURE pg_temp.f ( ) BEGIN ATOMIC CREATE RULE r AS ON INSERT TO t DO ALSO ( SELECT 1 ; SELECT 2 ) ; END", "COMMENT ON TABLE t IS STRING", "COPY ( SELECT EXPR ) TO STDOUT", "VACUUM", "",
}

var ends = []string{";", ";", ";", "; ", ";;", " ;\n", "; -- ;\n", ";/*;*/", "", "\n"}

var spaces = []string{" ", "\n", "\t", "\r", "\f", "\v", "\r\n", "/**/", "/*;*/", "/* /*;*/ ' */", "--\n", "-- ;'\n", "--\r", "  ", " /*/;*/ ", "/***/", "/* \" $$ */"}

var names = []string{
	"a", "A", "p", "c", "t", "savepoint", "begin", "end", "atomic", "case", "transaction", "local", "session", "time", "role", "names", "schema", "constraints", "characteristics", "prepare", "all", "to", "snapshot",
	"select", "left", "between", "cursor", "work", "no", "scroll", "hold", "uescape", "read", "function", "create", "nchar", "e", "u", "x", "b", "temp", "plans", "values", "merge",
	`"a"`, `"A"`, `"a""B"`, `""`, `";"`, `"a;b"`, `"select"`, `"all"`, `"--"`, `U&"\0061"`, `u&"!0061" UESCAPE '!'`, `U&"\\"`, `U&"\+01F600"`, `U&"\D83D\DE00"`, `U&"\D83D"`, `U&"\00"`, `U&"\0000"`, `U&"x" UESCAPE 'a'`, `U&"a""\0062"`,
	"é", "Éa", "a$b$", "_1", "a1", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ01234567890123456789", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123456789é",
	`"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789é"`, "a.b", "1", "'a'",
}

var literals = []string{
	"'a'", "''", "';'", "'it''s'", `'\'`, "'a'\n'b;'", "'a'--;'\n  'b'", "'a' 'b'", "'a'/*\n*/'b'", `E'a'`, `e'\';'`, `E'\\'`, `E'a'` + "\n" + `'\';'`, `E'\x41\101\n\u0061\U0001F600'`, `E'\u006'`, `E'\xg\8'`, `E'\uD83D\uDE00'`,
	"$$a$$", "$$;$$", "$$$$", "$a$;$$;$b$;$a$", "$é$;$é$", "$A$;$a$;$A$", "$a$$a$", `U&'\0061'`, `U&'!0061;' UESCAPE '!'`, `U&'\'`, `U&'a'` + "\n" + `'\0062'`, "N'a'", "X'1F'", "B'01'", "1", "DEFAULT", "$1", "'",
}

var expressions = []string{
	"1", "';'", `E'\';'`, "$$;$$", "$a$;$$;$a$", "1 --;\n", "1 /*;/*;*/;*/", "'a'\n';'", `E'a'` + "\n" + `'\';'`, `1 ";"`, "5*/*;*/2", "5 +-1", "5+-+1", "5 - -1", "5 --1\n", `U&'\0061;'`, "N';'", "5::text", "'5'::int", "'a'--;'\n'b;'",
	"(1)", "CASE WHEN true THEN ';' END", "CASE 1 WHEN 1 THEN 2 END end", "1E0", "1.5", "1.", ".5", "1 AS a$b$", "1 AS é$b$", "1 a$$", `1 AS "a"";"`, "1 end", "1 AS end", "1 AS case", "1 AS begin", "1 begin", "1 atomic", "X'1F'", "B'01'",
	`'\'`, `'\'';'`, "ARRAY[1,2]", "(SELECT ';')", "@-1", "1 <>/*;*/2", "2^-1", "-/*;*/1", "1=-1", "'a'||';'", "1 AS transaction", "now()", `'a'"b"`, "1\"b;\"", "2%-1", "1 -- ;\r", "1/1", "1 */**/ 1", "/**/1", "1 AS savepoint", "|/4", "||/8", "~-1",
}

var modes = []string{
	"ISOLATION LEVEL SERIALIZABLE", "ISOLATION LEVEL REPEATABLE READ", "ISOLATION LEVEL READ COMMITTED", "isolation level read uncommitted", "READ ONLY", "read write", "DEFERRABLE", "NOT DEFERRABLE", "READ/**/ONLY", "",
	"ISOLATION LEVEL", "READ", "NOT", "ISOLATION LEVEL READ", "WRITE",
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
