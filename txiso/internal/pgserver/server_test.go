//go:build unix

package pgserver

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestStartGivesTheSameServerTwice(t *testing.T) {
	first, err := Start(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), first.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	second, err := Start(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	if *second != *first {
		t.Errorf("second Start gave %q, first %q", second.DSN(), first.DSN())
	}
}
