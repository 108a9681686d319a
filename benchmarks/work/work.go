// Package work is what the benchmarks' tests do with their databases.
package work

import (
	"context"
	"fmt"
	"strconv"

	"github.com/txiso/txiso-go/benchmarks/measure"
	"github.com/txiso/txiso-go/benchmarks/strategy"
)

// Statements are an insert, a query that counts the row and an update of it, each with the row's key as its argument. All
// of them find the row through an index.
type Statements struct{ Insert, Count, Update string }

// Plain is for the first table of a schema.Schema, which has no deferrable constraint.
var Plain = Statements{
	Insert: `INSERT INTO t000 (name, amount) VALUES ($1, 1)`,
	Count:  `SELECT count(*) FROM t000 WHERE name = $1`,
	Update: `UPDATE t000 SET amount = amount + 1 WHERE name = $1`,
}

// Sample is for the repository's sample schema, which has initially deferred constraints, though not on this table.
var Sample = Statements{
	Insert: `INSERT INTO customers (email, name) VALUES ($1, 'Ann')`,
	Count:  `SELECT count(*) FROM customers WHERE email_key = $1`,
	Update: `UPDATE customers SET name = 'Bob' WHERE email_key = $1`,
}

// Shared is how many tests with subsequent numbers write different rows. Tests that are further apart write the same
// keys, as tests of an application do.
const Shared = 100

// Mixed is a test of n statements outside transactions: an insert, a query that must see it, an update of it, and again.
func (s Statements) Mixed(n int) measure.Test {
	return func(ctx context.Context, db strategy.DB, number int) error {
		for i := range n {
			if err := s.one(ctx, db, i%3, key(number, i/3)); err != nil {
				return err
			}
		}
		return nil
	}
}

func (s Statements) one(ctx context.Context, db strategy.DB, kind int, key string) error {
	switch kind {
	case 0:
		return db.Exec(ctx, s.Insert, key)
	case 1:
		rows, err := db.QueryInt(ctx, s.Count, key)
		if err == nil && rows != 1 {
			err = fmt.Errorf("a test sees %d rows of its own, want 1", rows)
		}
		return err
	default:
		return db.Exec(ctx, s.Update, key)
	}
}

// Inserts is a test of n inserts outside transactions.
func (s Statements) Inserts(n int) measure.Test { return repeat(s.Insert, n) }

// Updates is a test of n updates outside transactions that find nothing.
func (s Statements) Updates(n int) measure.Test { return repeat(s.Update, n) }

// Counts is a test of n queries outside transactions.
func (s Statements) Counts(n int) measure.Test { return repeat(s.Count, n) }

func repeat(sql string, n int) measure.Test {
	return func(ctx context.Context, db strategy.DB, number int) error {
		for i := range n {
			if err := db.Exec(ctx, sql, key(number, i)); err != nil {
				return err
			}
		}
		return nil
	}
}

// key is the same for every test of the same number modulo Shared.
func key(number, i int) string {
	return "key" + strconv.Itoa(number%Shared) + "-" + strconv.Itoa(i) + "@example.com"
}
