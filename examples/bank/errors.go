package bank

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// What a caller may want to branch on. Every other error is PostgreSQL's or the context's, wrapped.
var (
	ErrEmailTaken        = errors.New("bank: e-mail address is taken")
	ErrUnknownCustomer   = errors.New("bank: no such customer")
	ErrUnknownAccount    = errors.New("bank: no such open account")
	ErrCurrencyMismatch  = errors.New("bank: accounts differ in currency")
	ErrAmountNotPositive = errors.New("bank: amount is not positive")
	ErrInsufficientFunds = errors.New("bank: insufficient funds")
	ErrAlreadyBooked     = errors.New("bank: reference is already booked")
	ErrUnbalanced        = errors.New("bank: posting does not balance")
)

// byConstraint says what the violation of a constraint means to a caller.
var byConstraint = map[string]error{
	"customers_email_unique":     ErrEmailTaken,
	"accounts_customer_id_fkey":  ErrUnknownCustomer,
	"entries_account_id_fkey":    ErrUnknownAccount,
	"postings_cash_fits_kind":    ErrAmountNotPositive,
	"accounts_within_overdraft":  ErrInsufficientFunds,
	"postings_reference_unique":  ErrAlreadyBooked,
	"postings_balanced":          ErrUnbalanced,
	"entries_balanced":           ErrUnbalanced,
	"accounts_open_label_unique": errLabelTaken,
}

// errLabelTaken never leaves the package: OpenAccount answers it with another label.
var errLabelTaken = errors.New("bank: account label is taken")

// meaning joins the sentinel of a violated constraint to err, which stays reachable by errors.As.
func meaning(err error) error {
	violation, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	if known := byConstraint[violation.ConstraintName]; known != nil {
		return &constraintError{meaning: known, violation: violation}
	}
	return err
}

// constraintError reads as what it means and unwraps to that and to PostgreSQL's own error.
type constraintError struct {
	meaning   error
	violation *pgconn.PgError
}

func (e *constraintError) Error() string   { return e.meaning.Error() + ": " + e.violation.Message }
func (e *constraintError) Unwrap() []error { return []error{e.meaning, e.violation} }
