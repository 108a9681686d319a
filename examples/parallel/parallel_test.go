// Package parallel_test runs its tests at the same time and lets all of them use the same keys:
// the same addresses, labels and references. None waits for another, and none sees another's rows.
package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/txiso/txiso-go/examples/bank"
	"github.com/txiso/txiso-go/examples/bank/banktest"
	"github.com/txiso/txiso-go/migrations"
	"github.com/txiso/txiso-go/txiso"
)

var iso = txiso.New(txiso.Config{Migrations: migrations.FS})

// Where tests share a database, one of these would succeed and the others would wait for it or fail.
func TestThirtyTestsInsertTheSameCustomer(t *testing.T) {
	for i := range 30 {
		t.Run(fmt.Sprintf("test %d", i+1), func(t *testing.T) {
			t.Parallel()
			db := iso.DB(t)
			banktest.Customer(t, db, "ann@example.com", "Ann")
			banktest.ExpectRows(t, db, map[string]int{"customers": 1, "accounts": 0})
		})
	}
}

func TestBookings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		book     func(ctx context.Context, s *bank.Store, from, to int64) error
		err      error
		from, to int64 // balances afterwards
	}{
		{"a transfer moves money", transfer(30_00), nil, 70_00, 30_00},
		{"a transfer may empty an account", transfer(100_00), nil, 0, 100_00},
		{"a transfer beyond the balance is refused", transfer(100_01), bank.ErrInsufficientFunds, 100_00, 0},
		{"a transfer of nothing is refused", transfer(0), bank.ErrAmountNotPositive, 100_00, 0},
		{"a transfer of less than nothing is refused", transfer(-1), bank.ErrAmountNotPositive, 100_00, 0},
		{"a withdrawal takes cash", withdraw(20_00), nil, 80_00, 0},
		{"a withdrawal beyond the balance is refused", withdraw(100_01), bank.ErrInsufficientFunds, 100_00, 0},
		{"a withdrawal of less than nothing is refused", withdraw(-1), bank.ErrAmountNotPositive, 100_00, 0},
		{"an overdraft is used up to its limit", overdrawn(50_00, 150_00), nil, -50_00, 150_00},
		{"an overdraft is not exceeded", overdrawn(50_00, 150_01), bank.ErrInsufficientFunds, 100_00, 0},
		{"a reference is booked once", twice(30_00), bank.ErrAlreadyBooked, 70_00, 30_00},
		{"an unbalanced posting is refused at commit", unbalanced, bank.ErrUnbalanced, 100_00, 0},
		{"a closed account takes nothing", closed, bank.ErrUnknownAccount, 100_00, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := iso.DB(t)
			from, to := banktest.TwoAccounts(t, db)
			if err := tt.book(t.Context(), bank.New(db), from, to); !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			banktest.ExpectBalance(t, db, from, tt.from)
			banktest.ExpectBalance(t, db, to, tt.to)
			banktest.ExpectRows(t, db, map[string]int{"customers": 1, "accounts": 2})
		})
	}
}

type booking = func(ctx context.Context, s *bank.Store, from, to int64) error

func transfer(amount int64) booking {
	return func(ctx context.Context, s *bank.Store, from, to int64) error {
		return s.Transfer(ctx, from, to, amount, "rent")
	}
}

func withdraw(amount int64) booking {
	return func(ctx context.Context, s *bank.Store, from, _ int64) error {
		return s.Withdraw(ctx, from, amount, "cash")
	}
}

func overdrawn(limit, amount int64) booking {
	return func(ctx context.Context, s *bank.Store, from, to int64) error {
		if _, err := s.GrantOverdraft(ctx, from, limit); err != nil {
			return err
		}
		return s.Transfer(ctx, from, to, amount, "rent")
	}
}

func twice(amount int64) booking {
	return func(ctx context.Context, s *bank.Store, from, to int64) error {
		if err := s.Transfer(ctx, from, to, amount, "rent"); err != nil {
			return err
		}
		return s.Transfer(ctx, from, to, amount, "rent")
	}
}

func unbalanced(ctx context.Context, s *bank.Store, from, to int64) error {
	return s.Post(ctx, bank.Posting{
		Kind: "transfer", Reference: "rent", Entries: []bank.Entry{{AccountID: from, Amount: -1_00}, {AccountID: to, Amount: 2_00}},
	})
}

func closed(ctx context.Context, s *bank.Store, from, to int64) error {
	if err := s.CloseAccount(ctx, to); err != nil {
		return err
	}
	return s.Transfer(ctx, from, to, 1_00, "rent")
}

// A timeout in one test ends nothing in the tests beside it.
func TestATimeoutEndsOneStatement(t *testing.T) {
	for i := range 4 {
		t.Run(fmt.Sprintf("test %d", i+1), func(t *testing.T) {
			t.Parallel()
			db := iso.DB(t)
			from, _ := banktest.TwoAccounts(t, db)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()

			_, err := db.ExecContext(ctx, `SELECT pg_sleep(60)`)

			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v, want %v", err, context.DeadlineExceeded)
			}
			banktest.ExpectBalance(t, db, from, 100_00)
		})
	}
}

// One test's own goroutines share its database, and their transactions take turns.
func TestGoroutinesOfOneTestTransferAtTheSameTime(t *testing.T) {
	t.Parallel()
	db := iso.DB(t)
	from, to := banktest.TwoAccounts(t, db)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			there, back := fmt.Sprintf("there %d", i), fmt.Sprintf("back %d", i)
			if err := bank.New(db).Transfer(t.Context(), from, to, 10_00, there); err != nil {
				t.Error(err)
			}
			if err := bank.New(db).Transfer(t.Context(), to, from, 5_00, back); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	banktest.ExpectBalance(t, db, from, 60_00)
	banktest.ExpectBalance(t, db, to, 40_00)
}

// Both databases are in use at the same moment: the test's own row is there before, while and after
// its subtest inserts the same one.
func TestATestAndItsSubtestHaveDatabasesOfTheirOwn(t *testing.T) {
	t.Parallel()
	outer := iso.DB(t)
	banktest.TwoAccounts(t, outer)
	t.Run("subtest", func(t *testing.T) {
		inner := iso.DB(t)
		banktest.ExpectRows(t, inner, map[string]int{"customers": 0, "accounts": 0})
		banktest.TwoAccounts(t, inner)
		banktest.ExpectRows(t, inner, map[string]int{"customers": 1, "accounts": 2})
		banktest.ExpectRows(t, outer, map[string]int{"customers": 1, "accounts": 2})
	})
	banktest.ExpectRows(t, outer, map[string]int{"customers": 1, "accounts": 2})
}
