// Package register_test is for code that opens its database itself: a driver name and a data source
// name are all it needs to be given. The name decides: the same name is the same isolated database.
package register_test

import (
	"database/sql"
	"errors"
	"os"
	"testing"

	"github.com/txiso/txiso-go/examples/bank"
	"github.com/txiso/txiso-go/examples/bank/banktest"
	"github.com/txiso/txiso-go/migrations"
	"github.com/txiso/txiso-go/txiso"
)

func TestMain(m *testing.M) {
	txiso.Register("txiso", txiso.Config{Migrations: migrations.FS})
	os.Exit(m.Run())
}

// open is what an application does with its configuration.
func open(t *testing.T, name string) *sql.DB {
	t.Helper()
	db, err := bank.Connect(t.Context(), "txiso", name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // a second Close does nothing
		if err := db.Close(); err != nil { // what the test has left open, what Strict has found
			t.Error(err)
		}
	})
	return db
}

func TestAnnIsTheOnlyCustomer(t *testing.T) {
	t.Parallel()
	db := open(t, t.Name())
	banktest.Customer(t, db, "first@example.com", "Ann")
	banktest.ExpectCustomers(t, db, "Ann")
}

func TestBobIsTheOnlyCustomerThoughHeHasTheSameAddress(t *testing.T) {
	t.Parallel()
	db := open(t, t.Name())
	banktest.Customer(t, db, "first@example.com", "Bob")
	banktest.ExpectCustomers(t, db, "Bob")
}

func TestTheSameNameIsTheSameDatabase(t *testing.T) {
	t.Parallel()
	application, test := open(t, t.Name()), open(t, t.Name())
	banktest.Customer(t, application, "ann@example.com", "Ann")
	banktest.ExpectCustomers(t, test, "Ann")
}

func TestAnotherNameIsAnotherDatabase(t *testing.T) {
	t.Parallel()
	here, there := open(t, t.Name()+"/here"), open(t, t.Name()+"/there")
	banktest.Customer(t, here, "ann@example.com", "Ann")
	banktest.ExpectCustomers(t, there)
	banktest.Customer(t, there, "ann@example.com", "Ann")
	banktest.ExpectCustomers(t, here, "Ann")
}

func TestCloseRollsEverythingBack(t *testing.T) {
	t.Parallel()
	db := open(t, t.Name())
	banktest.Customer(t, db, "ann@example.com", "Ann")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	banktest.ExpectCustomers(t, open(t, t.Name()))
}

func TestATransactionThatIsRolledBackLeavesWhatWasThereBefore(t *testing.T) {
	t.Parallel()
	db := open(t, t.Name())
	banktest.Customer(t, db, "ann@example.com", "Ann")
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), `DELETE FROM customers`); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	banktest.ExpectCustomers(t, db, "Ann")
}

func TestAFailedStatementIsNotTheEndOfTheTest(t *testing.T) {
	t.Parallel()
	db := open(t, t.Name())
	banktest.Customer(t, db, "ann@example.com", "Ann")
	_, err := bank.New(db).CreateCustomer(t.Context(), "ann@example.com", "Impostor")
	if !errors.Is(err, bank.ErrEmailTaken) {
		t.Fatalf("got %v, want %v", err, bank.ErrEmailTaken)
	}
	banktest.Customer(t, db, "bob@example.com", "Bob")
	banktest.ExpectCustomers(t, db, "Ann", "Bob")
}
