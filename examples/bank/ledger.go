package bank

import (
	"context"
	"database/sql"
	"fmt"
)

// A Posting is one booking: entries that are written together or not at all.
// Its entries sum to its cash, which is zero unless money crosses the counter.
type Posting struct {
	Kind      string // "deposit", "withdrawal" or "transfer"
	Reference string // the client's own; each is booked once
	Cash      int64
	Entries   []Entry
}

// An Entry adds to an account, or takes from it when Amount is negative.
type Entry struct {
	AccountID, Amount int64
}

// Deposit books cash onto an account.
func (s *Store) Deposit(ctx context.Context, account, amount int64, reference string) error {
	return s.Post(ctx, Posting{"deposit", reference, amount, []Entry{{account, amount}}})
}

// Withdraw books cash off an account.
func (s *Store) Withdraw(ctx context.Context, account, amount int64, reference string) error {
	return s.Post(ctx, Posting{"withdrawal", reference, -amount, []Entry{{account, -amount}}})
}

// Transfer moves an amount from one account to another.
func (s *Store) Transfer(ctx context.Context, from, to, amount int64, reference string) error {
	if amount <= 0 {
		return ErrAmountNotPositive
	}
	return s.Post(ctx, Posting{"transfer", reference, 0, []Entry{{from, -amount}, {to, amount}}})
}

// Post books p in one transaction. When it returns an error nothing was booked: [ErrUnknownAccount],
// [ErrCurrencyMismatch], [ErrAmountNotPositive], [ErrInsufficientFunds], [ErrAlreadyBooked],
// [ErrUnbalanced] (found at commit), or the context's or PostgreSQL's own.
func (s *Store) Post(ctx context.Context, p Posting) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("bank: begin: %w", err)
	}
	defer tx.Rollback() // without effect after Commit
	if err := checkAccounts(ctx, tx, p.Entries); err != nil {
		return err
	}
	if err := write(ctx, tx, p); err != nil {
		return meaning(err)
	}
	return meaning(tx.Commit())
}

// write inserts p; a trigger moves the balances.
func write(ctx context.Context, tx *sql.Tx, p Posting) error {
	var id int64
	err := tx.QueryRowContext(ctx,
		`INSERT INTO postings (kind, reference, cash) VALUES ($1, $2, $3) RETURNING id`,
		p.Kind, p.Reference, p.Cash).Scan(&id)
	if err != nil {
		return err
	}
	for _, e := range p.Entries {
		_, err := tx.ExecContext(ctx,
			`INSERT INTO entries (posting_id, account_id, amount) VALUES ($1, $2, $3)`, id, e.AccountID, e.Amount)
		if err != nil {
			return err
		}
	}
	return nil
}

// checkAccounts locks the accounts of a posting until the transaction ends and says what speaks against it.
func checkAccounts(ctx context.Context, tx *sql.Tx, entries []Entry) error {
	accounts, err := lockAccounts(ctx, tx, entries)
	if err != nil {
		return err
	}
	currency := ""
	for _, e := range entries {
		account, ok := accounts[e.AccountID]
		switch {
		case !ok:
			return fmt.Errorf("%w: %d", ErrUnknownAccount, e.AccountID)
		case currency != "" && account.Currency != currency:
			return fmt.Errorf("%w: %s and %s", ErrCurrencyMismatch, currency, account.Currency)
		case account.Available+e.Amount < 0:
			return fmt.Errorf("%w: account %d has %d, needs %d", ErrInsufficientFunds, e.AccountID, account.Available, -e.Amount)
		}
		currency = account.Currency
	}
	return nil
}

// lockAccounts always locks in the order of ids, so that opposite transfers cannot deadlock.
func lockAccounts(ctx context.Context, tx *sql.Tx, entries []Entry) (map[int64]Account, error) {
	ids := make([]int64, len(entries))
	for i, e := range entries {
		ids[i] = e.AccountID
	}
	rows, err := tx.QueryContext(ctx,
		`SELECT a.id, a.currency, a.available FROM accounts a JOIN customers c ON c.id = a.customer_id
		  WHERE a.id = ANY ($1) AND a.closed_at IS NULL AND c.status = 'active'
		  ORDER BY a.id FOR UPDATE OF a`, ids)
	if err != nil {
		return nil, err
	}
	defer rows.Close() // rows.Err says what went wrong
	accounts := make(map[int64]Account, len(ids))
	for rows.Next() {
		var a Account
		if err := rows.Scan(&a.ID, &a.Currency, &a.Available); err != nil {
			return nil, err
		}
		accounts[a.ID] = a
	}
	return accounts, rows.Err()
}
