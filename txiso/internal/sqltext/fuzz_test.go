package sqltext_test

import (
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

// FuzzAgainstServer: the server understands what sqltext understands. An input is not SQL but the choices of a generator, so that most strings
// get far and none does harm.
func FuzzAgainstServer(f *testing.F) {
	o := newOracle(f)
	for _, seed := range []string{"", "\x00\x01\x02", "abcdefgh", "0123456789", "\x80\x90\xa0\xb0", "\x10\xff\x20\xfe\x30\xfd\x40\xfc\x50"} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, bytes []byte, sentences bool) {
		if len(bytes) > 100 {
			return
		}
		sql := generate(bytes, sentences, o.version)
		if err := o.check(sql); err != nil {
			t.Fatalf("%q: %v", sql, err)
		}
	})
}
