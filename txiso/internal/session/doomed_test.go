package session_test

import (
	"context"
	"database/sql"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/txiso/txiso-go/txiso/internal/session"
)

// busy keeps all processors busy, so that no goroutine gets its turn at once.
func busy() (stop func()) {
	over, running := new(atomic.Bool), new(sync.WaitGroup)
	for range 4 * runtime.GOMAXPROCS(0) {
		running.Go(func() {
			for !over.Load() {
			}
		})
	}
	return func() { over.Store(true); running.Wait() }
}

// A transaction whose context has ended is rolled back by a goroutine of database/sql. A statement that came before
// that, to see whether nothing was stored, saw all of it.
func TestATransactionWhoseContextHasEndedIsNotSeen(t *testing.T) {
	s := open(t, session.Options{Strict: true})
	clean(t, s, func(*sql.DB) {
		db := sql.OpenDB(s.Connector())
		defer db.Close()
		exec(t, db, "INSERT INTO items VALUES (0, 'before')")
		spare, err := db.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer spare.Close()
		defer busy()()
		for range 50 {
			ctx, cancel := context.WithCancel(context.Background())
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			exec(t, tx, "INSERT INTO items VALUES (1, 'a')")
			cancel()
			expect(t, "rows", value(t, spare, "SELECT count(*) FROM items"), "1")
		}
	})
}

// A context that is not the transaction's must keep nobody waiting for long.
func TestATransactionWhoseContextGoesOnIsNotWaitedForForever(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		db := sql.OpenDB(s.Connector())
		defer db.Close()
		ctx, cancel := context.WithCancel(context.Background())
		conn, err := db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		cancel()
		tx, err := conn.BeginTx(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		exec(t, tx, "INSERT INTO items VALUES (1, 'a')")
		expect(t, "rows", value(t, db, "SELECT count(*) FROM items"), "1")
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
	})
}
