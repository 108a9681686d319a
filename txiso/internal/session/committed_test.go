package session_test

import (
	"database/sql"
	"database/sql/driver"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/txiso/txiso-go/txiso/internal/session"
)

// commitOuter ends the outer transaction of the session that was opened last as no statement of a test can: by the driver that
// go-txdb runs on.
func commitOuter(t *testing.T) {
	t.Helper()
	registry, err := sql.Open("txiso-control", "")
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	var newest driver.Conn
	for id := range 10_000 {
		if conn, err := registry.Driver().Open(strconv.Itoa(id)); err == nil { // else that one is closed
			newest = conn
		}
	}
	if err := newest.(driver.Tx).Commit(); err == nil {
		t.Error("the session has survived the end of its outer transaction")
	}
}

func TestTheEndOfTheOuterTransactionIsToldOnce(t *testing.T) {
	told := 0
	s := open(t, session.Options{Committed: func() { told++ }})
	clean(t, s, func(db *sql.DB) { exec(t, db, "INSERT INTO items VALUES (1)") })
	if told != 0 {
		t.Fatal("a lease that was rolled back is told as committed")
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*s.Config())
	defer db.Close()
	exec(t, db, "INSERT INTO items VALUES (1)")
	commitOuter(t)
	if told != 1 || !s.Dirty() {
		t.Errorf("told %d times, dirty: %v", told, s.Dirty())
	}
	if _, err := db.Exec("INSERT INTO items VALUES (2)"); err == nil || !strings.Contains(err.Error(), "the outer transaction was ended") {
		t.Errorf("the next statement: %v", err)
	}
	_, _ = s.End(time.Minute)
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}
