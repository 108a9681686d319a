package sqltext_test

import (
	"math/rand/v2"
	"testing"
)

// TestAgainstServer: what the server does with hand-picked strings is what sqltext says.
func TestAgainstServer(t *testing.T) {
	o := newOracle(t)
	for _, sql := range serverStrings {
		if err := o.check(sql); err != nil {
			t.Errorf("%q: %v", sql, err)
		}
	}
}

// TestRandomAgainstServer: the same for random strings, the same ones in every run.
func TestRandomAgainstServer(t *testing.T) {
	o := newOracle(t)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 1000 {
		bytes := make([]byte, 1+r.IntN(30))
		for i := range bytes {
			bytes[i] = byte(r.IntN(256))
		}
		sql := generate(bytes, i%2 == 0, o.version)
		if err := o.check(sql); err != nil {
			t.Errorf("%q: %v", sql, err)
		}
	}
}

var serverStrings = []string{
	"", ";;", "BEGIN", "begin work; select 1; end", "SELECT 1; SELECT 2;", "BEGIN; SAVEPOINT A; RELEASE a; COMMIT", "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY DEFERRABLE",
	"START TRANSACTION READ WRITE READ ONLY", "BEGIN READ ONLY,", "BEGIN foo", "COMMIT AND CHAIN", "BEGIN; COMMIT AND CHAIN", "BEGIN; ROLLBACK AND CHAIN; ABORT", "SET LOCAL TRANSACTION READ ONLY",
	"SET SESSION TRANSACTION READ ONLY", "SET LOCAL SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET SESSION SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
	"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY DEFERRABLE", "SET SESSION characteristics.x = 1", "SET session.x = 1", "SET transaction.x TO 1",
	"SET LOCAL local.x = 1", "SET constraints.x = 1", "SET CONSTRAINTS ALL DEFERRED", "SET TIME ZONE LOCAL", "SET time.zone = 1", "SET role.x = 1", "SET names.x = 1", "SET schema.x = 1", "SET schema = x",
	"RESET TRANSACTION ISOLATION LEVEL", "RESET transaction.x", "RESET ALL", "RESET TIME ZONE", "RESET SESSION AUTHORIZATION", "SET ROLE NONE", "SET SESSION AUTHORIZATION DEFAULT", "SET NAMES", "SET XML OPTION CONTENT",
	"PREPARE transaction AS SELECT 1", "PREPARE P (int) AS SELECT $1", "PREPARE prepare AS SELECT 1; DEALLOCATE prepare", "DEALLOCATE PREPARE", "DEALLOCATE PREPARE ALL", "PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'It''s'",
	`ROLLBACK PREPARED E'a\'b\x41'`, "COMMIT PREPARED U&'!0061' UESCAPE '!'", "COMMIT PREPARED 'a'\n'b'", "COMMIT PREPARED $q$a$q$", `SAVEPOINT U&"\D83D\DE00"`, `SAVEPOINT "a""B"`, `SAVEPOINT ""`, `SAVEPOINT Été`,
	"SAVEPOINT abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijéa", "SAVEPOINT \"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijéa\"", "SAVEPOINT select", "SAVEPOINT between",
	"RELEASE savepoint", "ROLLBACK TO savepoint", "RELEASE SAVEPOINT savepoint", "LISTEN A", "PREPARE abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmno AS SELECT 1", "UNLISTEN *", "UNLISTEN **", "NOTIFY a, 'x'", "DECLARE C CURSOR WITH HOLD FOR SELECT 1", "DECLARE cursor NO SCROLL CURSOR FOR SELECT 1", "CLOSE ALL", "CLOSE c", "FETCH c", "DISCARD ALL", "DISCARD TEMPORARY", "LOCK t",
	"SELECT 'a'\n'b;c'; BEGIN", `SELECT E'a'` + "\n" + `'\';'; BEGIN`, `SELECT E'a' --';` + "\n" + `'\';'; BEGIN`, "SELECT a$b$; BEGIN; SELECT 1 $b$", "SELECT 1 AS a$b$; BEGIN", "SELECT $a$;$a$; BEGIN", "SELECT 5 --1;\n; BEGIN",
	"SELECT 5 +--;\n 1; BEGIN", "SELECT 5*/*;*/2; BEGIN", "SELECT 5 +-1; BEGIN", "/* /* ; */ ; */ BEGIN", "--x\rBEGIN", "\fBEGIN\f", "BEGIN/**/WORK--x", "SELECT U&'\\0061;'; BEGIN", "SELECT B'1', X'1', N';'; BEGIN",
	"CREATE FUNCTION pg_temp.f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; BEGIN", "CREATE FUNCTION pg_temp.f(begin int) RETURNS int BEGIN ATOMIC SELECT begin atomic; SELECT begin; END; BEGIN; END",
	"CREATE FUNCTION pg_temp.f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 1 end; SELECT 1 AS case; END; BEGIN", "CREATE OR REPLACE PROCEDURE pg_temp.f() BEGIN ATOMIC END; BEGIN",
	"CREATE PROCEDURE pg_temp.f() BEGIN ATOMIC ;;; END; BEGIN", "CREATE FUNCTION pg_temp.f() RETURNS int RETURN 1; BEGIN", "CREATE TEMP TABLE u (a int); CREATE RULE r AS ON INSERT TO u DO ALSO (SELECT 1; SELECT 2); BEGIN",
	"CREATE PROCEDURE pg_temp.f() SET x.y TO begin BEGIN ATOMIC SELECT 1; END; BEGIN", "SELECT 1 end; BEGIN", "CREATE TEMP TABLE begin (atomic int); BEGIN", "(SELECT 1); BEGIN", "SELECT (1; BEGIN", "SELECT 1); BEGIN",
}
