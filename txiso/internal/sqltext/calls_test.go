package sqltext

import "testing"

func TestOnlyReads(t *testing.T) {
	for sql, want := range map[string]bool{
		"SELECT 1": true,
		"select count(*) from t where id in ($1,2)":   true,
		"SELECT COALESCE (max(a), (select 1)) FROM t": true,
		"SELECT ((1))":                                                         true,
		"SELECT $1::varchar(10)":                                               true,
		"select post_transfer($1, $2)":                                         false,
		"SELECT public.count(*) FROM t":                                        false,
		`SELECT "count"(*) FROM t`:                                             false,
		"SELECT setval('s', 1)":                                                false,
		"SELECT f --count\n(1)":                                                false,
		"SELECT f/* */(1)":                                                     false,
		"-- name: Items :many\nSELECT count(*) FROM items":                     true,
		"/* app='shop' */ -- (\n select f(1)":                                  false,
		"-- into\nSELECT 1 INTO t":                                             false,
		"-- SELECT 1":                                                          true,
		"SELECT averyveryverylongfunctionname(1)":                              false,
		"EXPLAIN SELECT 1":                                                     true,
		"EXPLAIN ANALYZE UPDATE t SET a = 1":                                   false,
		"explain (analyse, buffers) delete from t":                             false,
		"SELECT * INTO backup FROM t":                                          false,
		"select 1 as v\ninto temp t":                                           false,
		"SELECT a FROM t FOR UPDATE":                                           true,
		"SELECT * FROM intoxicated, t_into":                                    true,
		"(with d as (delete from t returning id) select * from d)":             false,
		"(WITH d AS ( INSERT INTO t VALUES (1) RETURNING id) SELECT * FROM d)": false,
		"SELECT (updated) FROM t":                                              true,
	} {
		if got := OnlyReads(sql); got != want {
			t.Errorf("OnlyReads(%q) = %v", sql, got)
		}
	}
}

func TestCreates(t *testing.T) {
	for sql, want := range map[string]bool{
		"":         false,
		"SELECT 1": false,
		"WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x":         false,
		"with x as (merge\n into t using u on true) select 1":        false,
		"WITH x AS (SELECT 1) SELECT * INTO t FROM x":                true,
		"WITH a AS (SELECT 1) -- store them\nINSERT INTO t SELECT 1": false,
		"EXPLAIN INSERT INTO t SELECT 1":                             false,
		"SELECT 1 INTO t":                                            true,
		"SELECT op AS insert INTO ops FROM log":                      true,
		"SELECT 1 merge INTO t":                                      true,
		"WITH x AS (SELECT 1) (INSERT INTO t SELECT 1)":              false,
		"EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1":                 true,
		"SELECT 'it''s into' FROM t WHERE a = $1":                    false,
		"SELECT 'a', 'b' INTO t":                                     true,
		"SELECT 'a''' INTO t":                                        true,
		`SELECT E'\'' INTO t -- '`:                                   true,
		`SELECT E'into\''`:                                           true,
		"SELECT $$'$$ INTO t":                                        true,
		`SELECT 1 AS "'" INTO t`:                                     true,
		"SELECT 'unterminated into":                                  true,
	} {
		if got := Creates(sql); got != want {
			t.Errorf("Creates(%q) = %v", sql, got)
		}
	}
}

func TestSaysNow(t *testing.T) {
	for sql, want := range map[string]bool{
		"SELECT now()": false, "SELECT now(), 'x'": false, "SELECT 'now'": true, "SELECT ' NOW '::timestamptz": true, "SELECT $$now$$": true,
		"SELECT $x$10:00 tomorrow$x$": true, `SELECT E'\tnow'`: true, "SELECT 'unknown', 'snow', 'nowhere'": false, "SELECT /* it's */ 'now'": true,
		`SELECT E'it\'s', 'today'`: true, `SELECT 1 AS "it's", 'yesterday'`: true, `SELECT "id", 'x' FROM t WHERE a < now ()`: false,
		"SELECT 'now()'": true, "SELECT $1, 'now ( )' /* it */": true, `SELECT "a" < now(), 'x', now()`: false, "SELECT $1 + 1": false, "SELECT 'now2'": true,
	} {
		if got := SaysNow(sql); got != want {
			t.Errorf("SaysNow(%q) = %v", sql, got)
		}
	}
}
