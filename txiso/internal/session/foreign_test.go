package session_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/txiso/txiso-go/txiso/internal/session"
)

// What a function does beside a transaction does not show in the text of its call, nor in the server's answer.
func TestACallLostWithAnothersTransactionIsReportedIfItHasWritten(t *testing.T) {
	s := open(t, session.Options{})
	for what, c := range map[string]struct {
		sql  string
		lost string // of three calls
	}{
		"a function that writes":   {"SELECT keep(id) FROM generate_series(1, 3) id", "3"},
		"the same, without a row":  {"SELECT keep(id) FROM generate_series(1, 3) id WHERE id > 3", ""},
		"a function that reads":    {"SELECT seen()", ""},
		"a value of a sequence":    {"SELECT nextval('counter')", ""},
		"an advisory lock":         {"SELECT pg_advisory_lock(1), pg_advisory_unlock(1)", ""},
		"a block that writes":      {"DO 'BEGIN DELETE FROM lists WHERE id = 1; INSERT INTO lists VALUES (1); END'", "3"},
		"a string of two":          {"SELECT seen(); INSERT INTO items VALUES (nextval('counter'), 'x')", "3"},
		"an UPDATE of no rows":     {"UPDATE items SET name = 'x' WHERE id = -1", ""},
		"a block that wrote, once": {"DO 'BEGIN INSERT INTO lists VALUES (-1) ON CONFLICT DO NOTHING; EXCEPTION WHEN OTHERS THEN END'", "1"},
	} {
		findings := lease(t, s, func(db *sql.DB) {
			exec(t, db, "CREATE SEQUENCE counter")
			exec(t, db, "CREATE TABLE lists (id int PRIMARY KEY)")
			exec(t, db, "CREATE FUNCTION seen() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM items'")
			exec(t, db, "CREATE FUNCTION keep(int) RETURNS void LANGUAGE sql AS 'INSERT INTO items VALUES (nextval(''counter''), ''x'')'")
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			exec(t, tx, "INSERT INTO lists VALUES (1)")
			exec(t, tx, "SAVEPOINT mine")
			for range 3 {
				exec(t, db, c.sql)
				exec(t, tx, "INSERT INTO lists VALUES (2); DELETE FROM lists WHERE id = 2")
			}
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
		})
		if told := strings.Join(findings, "\n"); c.lost == "" && told != "" || !strings.Contains(told, c.lost+" statement(s) ran on another connection") && c.lost != "" {
			t.Errorf("%s: %q", what, findings)
		}
	}
}
