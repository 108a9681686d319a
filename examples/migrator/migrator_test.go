// Package migrator_test is for schemas that goose does not make: here it is one file of SQL, but the same few lines run any
// other tool. A seed makes what all tests start with, and nested subtests share what their parent has built.
package migrator_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	_ "embed"
	"fmt"
	"testing"

	"github.com/txiso/txiso-go/txiso"
)

//go:embed schema.sql
var schema string

// schemaFile is a txiso.Migrator.
type schemaFile struct{}

// Fingerprint changes with the file, so a changed schema makes a new template.
func (schemaFile) Fingerprint() (string, error) {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(schema))), nil
}

func (schemaFile) Migrate(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, schema)
	return err
}

var iso = txiso.New(txiso.Config{
	Migrator: schemaFile{},
	Seed:     txiso.Seed{Version: "two products", Run: products},
	Strict:   true, // db where tx was meant fails a test
})

func products(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, `INSERT INTO products (name, cents) VALUES ('tea', 450), ('coffee', 790)`)
	return err
}

// order orders a product in a transaction, all of whose statements are sent on it.
func order(ctx context.Context, db *sql.DB, product string, amount int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing behind Commit
	var id int64
	if err := tx.QueryRowContext(ctx, `SELECT id FROM products WHERE name = $1`, product).Scan(&id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO orders (product_id, amount) VALUES ($1, $2)`, id, amount); err != nil {
		return err
	}
	return tx.Commit()
}

func expectTotal(t *testing.T, db *sql.DB, want int) {
	t.Helper()
	var got int
	err := db.QueryRowContext(t.Context(), `SELECT coalesce(sum(amount * cents), 0) FROM orders JOIN products ON products.id = product_id`).Scan(&got)
	if err != nil || got != want {
		t.Errorf("all orders are %d, %v; want %d", got, err, want)
	}
}

func TestEveryTestStartsWithTheSeed(t *testing.T) {
	for _, product := range []string{"tea", "coffee"} {
		t.Run(product, func(t *testing.T) {
			t.Parallel()
			db := iso.DB(t)
			if _, err := db.ExecContext(t.Context(), `DELETE FROM products WHERE name <> $1`, product); err != nil {
				t.Fatal(err)
			}
			if err := order(t.Context(), db, product, 1); err != nil {
				t.Error(err)
			}
		})
	}
}

// The parent's orders are made once; each subtest starts from them and is rolled back to them.
func TestSubtestsStartFromWhatTheirParentHasDone(t *testing.T) {
	t.Parallel()
	parent, db := t, iso.DB(t)
	if err := order(t.Context(), db, "tea", 2); err != nil {
		t.Fatal(err)
	}
	t.Run("another order", func(t *testing.T) {
		iso.Nested(t, parent)
		db := iso.DB(t)
		if err := order(t.Context(), db, "coffee", 1); err != nil {
			t.Fatal(err)
		}
		expectTotal(t, db, 2*450+790)
	})
	t.Run("no order", func(t *testing.T) {
		iso.Nested(t, parent)
		db := iso.DB(t)
		if _, err := db.ExecContext(t.Context(), `DELETE FROM orders`); err != nil {
			t.Fatal(err)
		}
		expectTotal(t, db, 0)
	})
	expectTotal(t, db, 2*450)
}
