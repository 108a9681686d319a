// Package otherclients is for code whose driver is not pgx. A driver that can be given a dialer works: the dialer comes from
// iso.Pool(t), whose connections end in the test's process.
package otherclients_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/lib/pq"

	"github.com/txiso/txiso-go/migrations"
	"github.com/txiso/txiso-go/txiso"
)

var iso = txiso.New(txiso.Config{Migrations: migrations.FS})

// dialer is what lib/pq wants: it dials the session of one test, whatever the address.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

func (d dialer) Dial(network, addr string) (net.Conn, error) {
	return d(context.Background(), network, addr)
}

func (d dialer) DialTimeout(network, addr string, _ time.Duration) (net.Conn, error) {
	return d(context.Background(), network, addr)
}

func (d dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d(ctx, network, addr)
}

// open is iso.DB for lib/pq. There is nothing to encrypt within a process, hence sslmode=disable.
func open(t *testing.T) *sql.DB {
	t.Helper()
	cfg := iso.Pool(t).Config().ConnConfig
	connector, err := pq.NewConnector(fmt.Sprintf("host=localhost sslmode=disable user=%s dbname=%s", cfg.User, cfg.Database))
	if err != nil {
		t.Fatal(err)
	}
	connector.Dialer(dialer(cfg.DialFunc))
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

const insert = `INSERT INTO customers (email, name) VALUES ($1, $2)`

func count(t *testing.T, db interface {
	QueryRow(string, ...any) *sql.Row
}) (n int) {
	t.Helper()
	if err := db.QueryRow(`SELECT count(*) FROM customers`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestLibPQSeesItsTestAndPgxTheSame(t *testing.T) {
	t.Parallel()
	db := open(t)
	if _, err := db.Exec(insert, "ann@example.com", "Ann"); err != nil {
		t.Fatal(err)
	}
	if n, same := count(t, db), count(t, iso.DB(t)); n != 1 || same != 1 {
		t.Errorf("%d customers, pgx sees %d", n, same)
	}
}

func TestLibPQGoesOnBehindAFailedStatement(t *testing.T) {
	t.Parallel()
	db := open(t)
	for i := range 2 {
		_, err := db.Exec(insert, "ann@example.com", "Ann")
		var failed *pq.Error
		if i == 1 && (!errors.As(err, &failed) || failed.Code != "23505") {
			t.Errorf("the second is %v, want 23505", err)
		}
	}
	if n := count(t, db); n != 1 {
		t.Errorf("%d customers", n)
	}
}

func TestLibPQRollsBackItsTransaction(t *testing.T) {
	t.Parallel()
	db := open(t)
	tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(insert, "ann@example.com", "Ann"); err != nil {
		t.Fatal(err)
	}
	if n := count(t, tx); n != 1 {
		t.Errorf("%d customers in the transaction", n)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db); n != 0 {
		t.Errorf("%d customers behind it", n)
	}
}

func TestLibPQCopiesIn(t *testing.T) {
	t.Parallel()
	db := open(t)
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	stmt, err := tx.Prepare(`COPY customers (email, name) FROM STDIN`)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if _, err := stmt.Exec(fmt.Sprintf("c%d@example.com", i), "C"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stmt.Exec(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(stmt.Close(), tx.Commit()); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db); n != 100 {
		t.Errorf("%d customers", n)
	}
}

func TestLibPQsCancelledContextEndsItsStatementOnly(t *testing.T) {
	t.Parallel()
	db := open(t)
	if _, err := db.Exec(insert, "ann@example.com", "Ann"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := db.ExecContext(ctx, `SELECT pg_sleep(60)`); err == nil {
		t.Error("it slept for a minute")
	}
	if n := count(t, db); n != 1 {
		t.Errorf("%d customers", n)
	}
}
