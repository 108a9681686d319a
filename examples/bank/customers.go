package bank

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
)

// A Customer owns accounts.
type Customer struct {
	ID          int64
	Email, Name string
	Status      string
	Preferences map[string]any
}

// CreateCustomer adds a customer. It returns [ErrEmailTaken] when the address, however capitalised, is in use.
func (s *Store) CreateCustomer(ctx context.Context, email, name string) (Customer, error) {
	row := s.db.QueryRowContext(ctx,
		`INSERT INTO customers (email, name) VALUES ($1, $2)
		 RETURNING id, email, name, status, preferences`, email, name)
	return scanCustomer(row)
}

// EnsureCustomer adds a customer or, when the address is in use, renames the one who has it.
func (s *Store) EnsureCustomer(ctx context.Context, email, name string) (Customer, error) {
	created, err := s.CreateCustomer(ctx, email, name)
	if !errors.Is(err, ErrEmailTaken) {
		return created, err
	}
	row := s.db.QueryRowContext(ctx,
		`UPDATE customers SET name = $2 WHERE email_key = lower($1)
		 RETURNING id, email, name, status, preferences`, email, name)
	return scanCustomer(row)
}

// CustomerByEmail finds a customer, or returns [ErrUnknownCustomer].
func (s *Store) CustomerByEmail(ctx context.Context, email string) (Customer, error) {
	row := s.db.QueryRowContext(ctx,
		`SELECT id, email, name, status, preferences FROM customers WHERE email_key = lower($1)`, email)
	return scanCustomer(row)
}

// SetPreference stores one preference of a customer and leaves the others as they are.
func (s *Store) SetPreference(ctx context.Context, customer int64, key string, value any) error {
	encoded, err := json.Marshal(map[string]any{key: value})
	if err != nil {
		return fmt.Errorf("bank: preference %q: %w", key, err)
	}
	result, err := s.db.ExecContext(ctx,
		`UPDATE customers SET preferences = preferences || $2 WHERE id = $1`, customer, encoded)
	if err != nil {
		return meaning(err)
	}
	if changed, err := result.RowsAffected(); err != nil || changed == 1 {
		return err
	}
	return ErrUnknownCustomer
}

// Freeze stops a customer's accounts from sending or receiving anything, until Unfreeze.
func (s *Store) Freeze(ctx context.Context, customer int64) error {
	return s.setStatus(ctx, customer, "frozen")
}

// Unfreeze ends a Freeze.
func (s *Store) Unfreeze(ctx context.Context, customer int64) error {
	return s.setStatus(ctx, customer, "active")
}

func (s *Store) setStatus(ctx context.Context, customer int64, status string) error {
	_, err := s.db.ExecContext(ctx, `UPDATE customers SET status = $2 WHERE id = $1`, customer, status)
	return err
}

func scanCustomer(row *sql.Row) (Customer, error) {
	var c Customer
	var preferences []byte
	err := row.Scan(&c.ID, &c.Email, &c.Name, &c.Status, &preferences)
	if errors.Is(err, sql.ErrNoRows) {
		return Customer{}, ErrUnknownCustomer
	}
	if err != nil {
		return Customer{}, meaning(err)
	}
	return c, json.Unmarshal(preferences, &c.Preferences)
}
