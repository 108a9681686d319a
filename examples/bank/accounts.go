package bank

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// An Account holds money in one currency.
type Account struct {
	ID, CustomerID  int64
	Label, Currency string
	Balance         int64
	Available       int64 // the balance and the overdraft granted on top of it
}

const accountColumns = `id, customer_id, label, currency, balance, available`

// OpenAccount opens an account. A label that the customer uses already gets a number: "savings", "savings 2", …
func (s *Store) OpenAccount(ctx context.Context, customer int64, label, currency string) (Account, error) {
	for attempt := 1; ; attempt++ {
		account, err := s.insertAccount(ctx, customer, numbered(label, attempt), currency)
		if !errors.Is(err, errLabelTaken) {
			return account, err
		}
	}
}

func numbered(label string, attempt int) string {
	if attempt == 1 {
		return label
	}
	return fmt.Sprintf("%s %d", label, attempt)
}

func (s *Store) insertAccount(ctx context.Context, customer int64, label, currency string) (Account, error) {
	row := s.db.QueryRowContext(ctx,
		`INSERT INTO accounts (customer_id, label, currency) VALUES ($1, $2, $3) RETURNING `+accountColumns,
		customer, label, currency)
	return scanAccount(row)
}

// Account returns an account as it is now, or [ErrUnknownAccount].
func (s *Store) Account(ctx context.Context, id int64) (Account, error) {
	return scanAccount(s.db.QueryRowContext(ctx, `SELECT `+accountColumns+` FROM accounts WHERE id = $1`, id))
}

// GrantOverdraft lets an account go down to minus limit.
// It returns [ErrInsufficientFunds] when the account is further down already.
func (s *Store) GrantOverdraft(ctx context.Context, id, limit int64) (Account, error) {
	row := s.db.QueryRowContext(ctx,
		`UPDATE accounts SET overdraft = $2 WHERE id = $1 RETURNING `+accountColumns, id, limit)
	return scanAccount(row)
}

// CloseAccount closes an empty account and sets its label free.
func (s *Store) CloseAccount(ctx context.Context, id int64) error {
	_, err := s.db.ExecContext(ctx, `UPDATE accounts SET closed_at = now() WHERE id = $1`, id)
	return meaning(err)
}

// A Line of an account's statement.
type Line struct {
	Reference, Kind string
	Amount          int64
	Balance         int64 // after this line
	BookedAt        time.Time
}

// Statement returns the newest lines of an account, at most limit, newest first.
func (s *Store) Statement(ctx context.Context, account int64, limit int) ([]Line, error) {
	rows, err := s.db.QueryContext(ctx,
		`SELECT reference, kind, amount, balance, booked_at FROM statement_lines
		  WHERE account_id = $1 ORDER BY id DESC LIMIT $2`, account, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close() // rows.Err says what went wrong
	var lines []Line
	for rows.Next() {
		var l Line
		if err := rows.Scan(&l.Reference, &l.Kind, &l.Amount, &l.Balance, &l.BookedAt); err != nil {
			return nil, err
		}
		lines = append(lines, l)
	}
	return lines, rows.Err()
}

func scanAccount(row *sql.Row) (Account, error) {
	var a Account
	err := row.Scan(&a.ID, &a.CustomerID, &a.Label, &a.Currency, &a.Balance, &a.Available)
	if errors.Is(err, sql.ErrNoRows) {
		return Account{}, ErrUnknownAccount
	}
	return a, meaning(err)
}
