package sqltext_test

import (
	"strings"
	"testing"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

var texts = []struct{ name, sql string }{
	{"select60", "SELECT id, name, balance FROM accounts WHERE id = $1 LIMIT 10"},
	{"begin", "begin"},
	{"savepoint", "SAVEPOINT sp_1"},
	{"insert5k", "INSERT INTO t (a, b, c) VALUES " + strings.Repeat("($1, 'it''s; text', $2), ", 200) + "(1, 2, 3)"},
	{"insert5kplain", "INSERT INTO t (a, b, c) VALUES " + strings.Repeat("($1, 'it''s: text', $2), ", 200) + "(1, 2, 3)"},
	{"literal1M", "SELECT '" + strings.Repeat("txiso; ", 1<<20/7) + "'"},
	{"script", strings.Repeat("INSERT INTO t VALUES (1, 'a;b'); -- comment\n", 100)},
}

func BenchmarkSimple(b *testing.B) {
	for _, text := range texts {
		b.Run("text="+text.name, func(b *testing.B) {
			b.SetBytes(int64(len(text.sql)))
			b.ReportAllocs()
			for b.Loop() {
				sqltext.Simple(text.sql)
			}
		})
	}
}

func BenchmarkStatements(b *testing.B) {
	for _, text := range texts {
		b.Run("text="+text.name, func(b *testing.B) {
			b.SetBytes(int64(len(text.sql)))
			b.ReportAllocs()
			var dst []sqltext.Statement
			for b.Loop() {
				dst = sqltext.Statements(dst[:0], text.sql)
			}
		})
	}
}
