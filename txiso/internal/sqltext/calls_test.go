package sqltext

import "testing"

func TestOnlyReads(t *testing.T) {
	for sql, want := range map[string]bool{
		"SELECT 1": true,
		"select count(*) from t where id in ($1,2)":   true,
		"SELECT COALESCE (max(a), (select 1)) FROM t": true,
		"SELECT ((1))":                            true,
		"SELECT $1::varchar(10)":                  true,
		"select post_transfer($1, $2)":            false,
		"SELECT public.count(*) FROM t":           false,
		`SELECT "count"(*) FROM t`:                false,
		"SELECT setval('s', 1)":                   false,
		"SELECT f --count\n(1)":                   false,
		"SELECT f/* */(1)":                        false,
		"SELECT averyveryverylongfunctionname(1)": false,
	} {
		if got := OnlyReads(sql); got != want {
			t.Errorf("OnlyReads(%q) = %v", sql, got)
		}
	}
}
