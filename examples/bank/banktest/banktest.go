// Package banktest holds what the example suites share: a bank with something in it, and what to expect of it.
// Each function ends the test when the database fails.
package banktest

import (
	"database/sql"
	"slices"
	"testing"

	"github.com/txiso/txiso-go/examples/bank"
)

// Customer creates a customer.
func Customer(tb testing.TB, db *sql.DB, email, name string) bank.Customer {
	tb.Helper()
	return must(bank.New(db).CreateCustomer(tb.Context(), email, name))(tb)
}

// TwoAccounts opens two accounts of one customer, the first one with 100.00 on it.
// Names, labels and references are the same in every test.
func TwoAccounts(tb testing.TB, db *sql.DB) (from, to int64) {
	tb.Helper()
	store := bank.New(db)
	ann := Customer(tb, db, "ann@example.com", "Ann")
	giro := must(store.OpenAccount(tb.Context(), ann.ID, "giro", "EUR"))(tb)
	savings := must(store.OpenAccount(tb.Context(), ann.ID, "savings", "EUR"))(tb)
	if err := store.Deposit(tb.Context(), giro.ID, 100_00, "opening"); err != nil {
		tb.Fatal(err)
	}
	return giro.ID, savings.ID
}

// Exec executes one statement.
func Exec(tb testing.TB, db *sql.DB, query string) {
	tb.Helper()
	must(db.ExecContext(tb.Context(), query))(tb)
}

// ExpectBalance compares the balance of an account.
func ExpectBalance(tb testing.TB, db *sql.DB, account, want int64) {
	tb.Helper()
	if got := must(bank.New(db).Account(tb.Context(), account))(tb); got.Balance != want {
		tb.Errorf("account %q has %d, want %d", got.Label, got.Balance, want)
	}
}

// ExpectCustomers compares the names of all customers there are, in the order of the alphabet.
func ExpectCustomers(tb testing.TB, db *sql.DB, want ...string) {
	tb.Helper()
	got := names(tb, db)
	tb.Logf("customers in this database: %q", got)
	if !slices.Equal(got, want) {
		tb.Errorf("got customers %q, want %q", got, want)
	}
}

func names(tb testing.TB, db *sql.DB) (names []string) {
	tb.Helper()
	rows, err := db.QueryContext(tb.Context(), `SELECT name FROM customers ORDER BY name`)
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close() // rows.Err says what went wrong
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			tb.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return names
}

// ExpectRows compares the number of rows in each of the tables.
func ExpectRows(tb testing.TB, db *sql.DB, want map[string]int) {
	tb.Helper()
	for table, rows := range want {
		var got int
		if err := db.QueryRowContext(tb.Context(), `SELECT count(*) FROM `+table).Scan(&got); err != nil {
			tb.Fatal(err)
		}
		if got != rows {
			tb.Errorf("%s has %d rows, want %d", table, got, rows)
		}
	}
}

// must is called with the results of a call, and what it returns with the test that an error ends.
func must[T any](value T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return value
	}
}
