// Package quickstart_test tests a small bank. Every test below starts with the same migrated and
// empty database, and none sees what another one did, in whatever order they run.
//
// This is the file to start from: one variable, and iso.DB(t) wherever a test wants a database.
package quickstart_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/txiso/txiso-go/examples/bank"
	"github.com/txiso/txiso-go/examples/bank/banktest"
	"github.com/txiso/txiso-go/migrations"
	"github.com/txiso/txiso-go/txiso"
)

var iso = txiso.New(txiso.Config{Migrations: migrations.FS})

// The first two tests fail in either order where tests share a database: both want the same
// address, and each expects to be alone.

func TestAnnIsTheOnlyCustomer(t *testing.T) {
	db := iso.DB(t)
	banktest.Customer(t, db, "first@example.com", "Ann")
	banktest.ExpectCustomers(t, db, "Ann")
}

func TestBobIsTheOnlyCustomerThoughHeHasTheSameAddress(t *testing.T) {
	db := iso.DB(t)
	banktest.Customer(t, db, "first@example.com", "Bob")
	banktest.ExpectCustomers(t, db, "Bob")
}

func TestEveryTestStartsWithEmptyTables(t *testing.T) {
	db := iso.DB(t)
	banktest.ExpectRows(t, db, map[string]int{"customers": 0, "accounts": 0, "postings": 0, "entries": 0})
}

func TestATransferMovesMoney(t *testing.T) {
	db := iso.DB(t)
	from, to := banktest.TwoAccounts(t, db)

	err := bank.New(db).Transfer(t.Context(), from, to, 30_00, "rent")

	if err != nil {
		t.Fatal(err)
	}
	banktest.ExpectBalance(t, db, from, 70_00)
	banktest.ExpectBalance(t, db, to, 30_00)
}

func TestATransferWithoutFundsBooksNothing(t *testing.T) {
	db := iso.DB(t)
	from, to := banktest.TwoAccounts(t, db)

	err := bank.New(db).Transfer(t.Context(), from, to, 100_01, "rent")

	if !errors.Is(err, bank.ErrInsufficientFunds) {
		t.Fatalf("got %v, want %v", err, bank.ErrInsufficientFunds)
	}
	banktest.ExpectBalance(t, db, from, 100_00)
	banktest.ExpectBalance(t, db, to, 0)
}

func TestATransferToAnUnknownAccountBooksNothing(t *testing.T) {
	db := iso.DB(t)
	from, _ := banktest.TwoAccounts(t, db)

	err := bank.New(db).Transfer(t.Context(), from, -1, 5_00, "typo")

	if !errors.Is(err, bank.ErrUnknownAccount) {
		t.Fatalf("got %v, want %v", err, bank.ErrUnknownAccount)
	}
	banktest.ExpectBalance(t, db, from, 100_00)
}

// A unique violation fails one statement, not the test: the next statement works as it does in production.
func TestAnAddressBelongsToOneCustomerHoweverItIsWritten(t *testing.T) {
	db := iso.DB(t)
	store := bank.New(db)
	banktest.Customer(t, db, "ann@example.com", "Ann")

	_, err := store.CreateCustomer(t.Context(), "Ann@Example.com", "Impostor")

	if !errors.Is(err, bank.ErrEmailTaken) {
		t.Fatalf("got %v, want %v", err, bank.ErrEmailTaken)
	}
	if violation, ok := errors.AsType[*pgconn.PgError](err); !ok || violation.Code != "23505" {
		t.Errorf("got %#v, want PostgreSQL's own unique_violation", err)
	}
	banktest.ExpectCustomers(t, db, "Ann")
}

func TestATakenAddressIsAnsweredByAnUpdate(t *testing.T) {
	db := iso.DB(t)
	first := banktest.Customer(t, db, "ann@example.com", "Ann")

	again, err := bank.New(db).EnsureCustomer(t.Context(), "ann@example.com", "Ann Miller")

	if err != nil {
		t.Fatal(err)
	}
	if again.ID != first.ID {
		t.Errorf("got customer %d, want the one who has the address: %d", again.ID, first.ID)
	}
	banktest.ExpectCustomers(t, db, "Ann Miller")
}

func TestATakenLabelIsAnsweredByTheNextFreeOne(t *testing.T) {
	db := iso.DB(t)
	ann := banktest.Customer(t, db, "ann@example.com", "Ann")
	for _, want := range []string{"savings", "savings 2", "savings 3"} {
		account, err := bank.New(db).OpenAccount(t.Context(), ann.ID, "savings", "EUR")
		if err != nil {
			t.Fatal(err)
		}
		if account.Label != want {
			t.Errorf("got label %q, want %q", account.Label, want)
		}
	}
}

// The violation happens inside the store's transaction: it is rolled back, and the next one is sound.
func TestAReferenceIsBookedOnce(t *testing.T) {
	db := iso.DB(t)
	store := bank.New(db)
	from, to := banktest.TwoAccounts(t, db)
	if err := store.Transfer(t.Context(), from, to, 30_00, "rent"); err != nil {
		t.Fatal(err)
	}

	err := store.Transfer(t.Context(), from, to, 30_00, "rent")

	if !errors.Is(err, bank.ErrAlreadyBooked) {
		t.Fatalf("got %v, want %v", err, bank.ErrAlreadyBooked)
	}
	if err := store.Transfer(t.Context(), from, to, 5_00, "parking"); err != nil {
		t.Fatal(err)
	}
	banktest.ExpectBalance(t, db, from, 65_00)
	banktest.ExpectBalance(t, db, to, 35_00)
}

// A deferred constraint is checked where production checks it: when the store commits.
func TestAPostingThatDoesNotBalanceIsRefusedAtCommit(t *testing.T) {
	db := iso.DB(t)
	from, to := banktest.TwoAccounts(t, db)

	err := bank.New(db).Post(t.Context(), bank.Posting{
		Kind: "transfer", Reference: "generous", Entries: []bank.Entry{{AccountID: from, Amount: -1_00}, {AccountID: to, Amount: 2_00}},
	})

	if !errors.Is(err, bank.ErrUnbalanced) {
		t.Fatalf("got %v, want %v", err, bank.ErrUnbalanced)
	}
	banktest.ExpectBalance(t, db, from, 100_00)
	banktest.ExpectBalance(t, db, to, 0)
}

// Even the schema may be changed: here every posting is made slow, in this test alone.
func TestABookingThatTakesTooLongIsCancelledAndNothingIsBooked(t *testing.T) {
	db := iso.DB(t)
	store := bank.New(db)
	from, to := banktest.TwoAccounts(t, db)
	banktest.Exec(t, db, `CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$`)
	banktest.Exec(t, db, `CREATE TRIGGER slow BEFORE INSERT ON postings FOR EACH ROW EXECUTE FUNCTION be_slow()`)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()

	err := store.Transfer(ctx, from, to, 30_00, "rent")

	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want %v", err, context.DeadlineExceeded)
	}
	banktest.Exec(t, db, `DROP TRIGGER slow ON postings`)
	banktest.ExpectBalance(t, db, from, 100_00)
	banktest.ExpectBalance(t, db, to, 0)
	if err := store.Transfer(t.Context(), from, to, 30_00, "rent"); err != nil {
		t.Errorf("the next transfer failed: %v", err)
	}
}

func TestAStatementShowsTheNewestLineFirstWithARunningBalance(t *testing.T) {
	db := iso.DB(t)
	store := bank.New(db)
	from, to := banktest.TwoAccounts(t, db)
	for _, reference := range []string{"january", "february"} {
		if err := store.Transfer(t.Context(), from, to, 40_00, reference); err != nil {
			t.Fatal(err)
		}
	}

	lines, err := store.Statement(t.Context(), from, 2)

	if err != nil {
		t.Fatal(err)
	}
	for i := range lines {
		lines[i].BookedAt = time.Time{} // the server's clock
	}
	want := []bank.Line{
		{Reference: "february", Kind: "transfer", Amount: -40_00, Balance: 20_00},
		{Reference: "january", Kind: "transfer", Amount: -40_00, Balance: 60_00},
	}
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("got  %v\nwant %v", lines, want)
	}
}

// Subtests that use the database of their test go on where the one before them stopped.
func TestSubtestsShareTheDatabaseOfTheirTest(t *testing.T) {
	db := iso.DB(t)
	store := bank.New(db)
	ann := banktest.Customer(t, db, "ann@example.com", "Ann")

	t.Run("preferences are set", func(t *testing.T) {
		if err := store.SetPreference(t.Context(), ann.ID, "language", "de"); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("and kept beside others", func(t *testing.T) {
		if err := store.SetPreference(t.Context(), ann.ID, "paper", false); err != nil {
			t.Fatal(err)
		}
		got, err := store.CustomerByEmail(t.Context(), "ann@example.com")
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string]any{"language": "de", "paper": false}; !reflect.DeepEqual(got.Preferences, want) {
			t.Errorf("got %v, want %v", got.Preferences, want)
		}
	})
}

// A clone is for what a transaction that is rolled back cannot give, such as a program of its own that connects.
func TestACloneIsAPrivateDatabaseThatAnyClientCanOpen(t *testing.T) {
	clone := iso.Clone(t)
	banktest.Customer(t, clone.DB, "ann@example.com", "Ann")

	other, err := bank.Connect(t.Context(), "pgx", clone.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()

	banktest.ExpectCustomers(t, other, "Ann")
	banktest.ExpectCustomers(t, iso.DB(t))
}
