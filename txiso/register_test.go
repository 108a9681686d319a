package txiso_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/txiso/txiso-go/txiso"
)

// open opens a database of the registered driver. It does not close it.
func open(t *testing.T, name string) *sql.DB {
	t.Helper()
	db, err := sql.Open("txiso", name)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func closeDB(t *testing.T, db *sql.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestTheSameNameIsTheSameSession(t *testing.T) {
	t.Parallel()
	one, two := open(t, t.Name()), open(t, t.Name())
	defer closeDB(t, two)
	insertCustomer(t, one, "ann@example.com")
	if n := customers(t, two); n != 1 {
		t.Errorf("%d customers, want 1", n)
	}
	closeDB(t, one)
	if n := customers(t, two); n != 1 {
		t.Errorf("%d customers after the other was closed, want 1", n)
	}
}

func TestOtherNamesAreOtherData(t *testing.T) {
	t.Parallel()
	one, two := open(t, t.Name()+"/one"), open(t, t.Name()+"/two")
	defer closeDB(t, one)
	defer closeDB(t, two)
	insertCustomer(t, one, "ann@example.com")
	if n := customers(t, two); n != 0 {
		t.Errorf("%d customers under another name", n)
	}
	insertCustomer(t, two, "ann@example.com")
}

func TestAnAddressIsNotTheNameOfASession(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"postgres://ann:s3cret@localhost/shop", "postgresql:///shop", "host=localhost dbname=shop", " dbname = shop", "service=shop"} {
		_, err := sql.Open("txiso", name)
		if err == nil || !strings.Contains(err.Error(), "open t.Name()") || !strings.Contains(err.Error(), "Config.DSN") {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the password is told: %v", err)
		}
	}
	closeDB(t, open(t, t.Name()+"/host=localhost"))
}

func TestAReopenedNameStartsClean(t *testing.T) {
	t.Parallel()
	for range 3 {
		db := open(t, t.Name())
		if n := customers(t, db); n != 0 {
			t.Errorf("%d customers", n)
		}
		insertCustomer(t, db, "ann@example.com")
		closeDB(t, db)
		if err := db.Ping(); err == nil {
			t.Error("Ping works after Close")
		}
	}
}

func TestClosingADatabaseThatWasNeverUsedEndsNothing(t *testing.T) {
	t.Parallel()
	used, unused := open(t, t.Name()), open(t, t.Name())
	defer closeDB(t, used)
	insertCustomer(t, used, "ann@example.com")
	closeDB(t, unused)
	closeDB(t, unused) // twice is once
	if n := customers(t, used); n != 1 {
		t.Errorf("%d customers, want 1", n)
	}
}

func TestDatabasesOfOneNameOpenedAtOnceShareItsSession(t *testing.T) {
	t.Parallel()
	const handles = 6
	var group sync.WaitGroup
	dbs := make([]*sql.DB, handles)
	for i := range dbs {
		dbs[i] = open(t, t.Name())
		group.Go(func() { insertCustomer(t, dbs[i], string(rune('a'+i))+"@example.com") })
	}
	group.Wait()
	for _, db := range dbs {
		if n := customers(t, db); n != handles {
			t.Errorf("%d customers, want %d", n, handles)
		}
	}
	for _, db := range dbs {
		closeDB(t, db)
	}
}

// The pool of database/sql may close all its connections; the session is there until the database is closed.
func TestTheSessionOutlivesItsConnections(t *testing.T) {
	t.Parallel()
	db := open(t, t.Name())
	defer closeDB(t, db)
	db.SetMaxIdleConns(0)
	insertCustomer(t, db, "ann@example.com")
	if n := customers(t, db); n != 1 {
		t.Errorf("%d customers, want 1", n)
	}
}

func TestClosingTellsWhatTheTestCouldNotHaveSeen(t *testing.T) {
	t.Parallel()
	db := open(t, t.Name())
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("INSERT INTO customers (email, name) VALUES ('ann@example.com', 'Ann')"); err != nil {
		t.Fatal(err)
	}
	insertCustomer(t, db, "bob@example.com")
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	err = db.Close()
	if err == nil {
		t.Fatal("Close says nothing about the statement that was undone with another connection's transaction")
	}
	expectError(t, err.Error(), "1 statement(s) ran on another connection", "register_test.go:", "Clone")
}

func TestAWrongConfigIsToldByOpen(t *testing.T) {
	t.Parallel()
	_, err := sql.Open("txiso-unusable", t.Name())
	if err == nil {
		t.Fatal("sql.Open accepts a Config with Migrations and Migrator")
	}
	expectError(t, err.Error(), "both Migrations and Migrator", "set one of them")
}

func TestADriverNameCannotBeTakenTwice(t *testing.T) {
	t.Parallel()
	defer func() {
		if got, _ := recover().(string); !strings.Contains(got, "twice") {
			t.Errorf("Register of a name that is taken: panic %q", got)
		}
	}()
	txiso.Register("txiso", txiso.Config{})
}

// TestMain closes the driver of the other tests and then counts goroutines.
func TestAfterItsDriverIsClosedADatabaseSaysSo(t *testing.T) {
	t.Parallel()
	name := "txiso-closed-" + unique(t)
	if !slices.Contains(sql.Drivers(), name) { // as with -count=2
		txiso.Register(name, txiso.Config{})
	}
	if err := closeDriver(name); err != nil {
		t.Error(err)
	}
	db, err := sql.Open(name, t.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB(t, db)
	err = db.PingContext(t.Context())
	if err == nil {
		t.Fatal("a closed driver gives connections")
	}
	expectError(t, err.Error(), "Close was called", "no database can be had after it")
}

func TestADriverGivesNoConnectionsWithoutADatabase(t *testing.T) {
	t.Parallel()
	db := open(t, t.Name())
	defer closeDB(t, db)
	_, err := db.Driver().Open("x")
	if err == nil {
		t.Fatal("Driver.Open gives a connection that nothing ends")
	}
	expectError(t, err.Error(), "use sql.Open")
}

func TestAClosedDatabaseIsClosedAsDatabaseSQLSays(t *testing.T) {
	t.Parallel()
	db := open(t, t.Name())
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err == nil || !strings.Contains(err.Error(), "a connection was not given back") {
		t.Errorf("Close with a connection in use: %v", err)
	}
	if err := db.PingContext(t.Context()); err == nil || err.Error() != "sql: database is closed" {
		t.Errorf("Ping after Close: %v", err)
	}
	if _, err := conn.ExecContext(t.Context(), "SELECT 1"); err == nil {
		t.Error("a connection of a closed database runs a statement")
	}
	if err := conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		t.Log(err)
	}
}

// database/sql closes a connector while its connections are being opened.
func TestConnectingWhileTheDatabaseIsClosedHoldsNoSession(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := open(t, t.Name())
	defer closeDB(t, db)
	drv := db.Driver().(driver.DriverContext)
	for range 200 {
		connector, err := drv.OpenConnector(t.Name())
		if err != nil {
			t.Fatal(err)
		}
		var conn driver.Conn
		var connecting sync.WaitGroup
		connecting.Go(func() { conn, _ = connector.Connect(ctx) })
		_ = connector.(io.Closer).Close() // database/sql would have closed the connection
		connecting.Wait()
		if conn == nil {
			continue
		}
		if _, err := conn.(driver.ExecerContext).ExecContext(ctx, "SELECT 1", nil); err == nil {
			t.Fatal("a connection works whose database is closed")
		}
		_ = conn.Close() // it was ended with its session
	}
}

// The variable that code takes its data source name from is not set: all its tests would share one session.
func TestAnEmptyNameIsRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", " "} {
		db := open(t, name)
		defer closeDB(t, db)
		err := db.PingContext(t.Context())
		if err == nil {
			t.Fatal("it is accepted")
		}
		expectError(t, err.Error(), "the data source name is empty", "open t.Name()")
	}
}

// patient is a Migrator that takes its time.
type patient struct {
	name string
	runs *atomic.Int32
	wait chan struct{}
}

func (m patient) Fingerprint() (string, error) { return m.name, nil }

func (m patient) Migrate(ctx context.Context, _ *sql.DB) error {
	m.runs.Add(1)
	select {
	case <-m.wait:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// openPatient opens a database of a driver of its own whose migrations wait.
func openPatient(t *testing.T) (m patient, driver string, db *sql.DB) {
	t.Helper()
	m, driver = patient{unique(t), new(atomic.Int32), make(chan struct{})}, "txiso-"+unique(t)
	txiso.Register(driver, txiso.Config{Migrator: m})
	db, err := sql.Open(driver, t.Name())
	if err != nil {
		t.Fatal(err)
	}
	return m, driver, db
}

// The first query's deadline ended the migrations, as did the second's, and so on; and who had less time than the first waited as long.
func TestMigrationsOutliveTheFirstQuery(t *testing.T) {
	t.Parallel()
	m, name, db := openPatient(t)
	defer func() {
		closeDB(t, db)
		if err := closeDriver(name); err != nil {
			t.Error(err)
		}
	}()
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := db.PingContext(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while the migrations run: %v", err)
		}
		cancel()
	}
	close(m.wait)
	if err := db.PingContext(t.Context()); err != nil {
		t.Error(err)
	}
	if n := m.runs.Load(); n != 1 {
		t.Errorf("the migrations ran %d times", n)
	}
}

// Close waited for migrations that nobody needed any more, which might never end.
func TestCloseDoesNotWaitForMigrations(t *testing.T) {
	t.Parallel()
	_, name, db := openPatient(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := db.PingContext(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while the migrations run: %v", err)
	}
	closeDB(t, db)
	if err := closeDriver(name); err != nil {
		t.Error(err)
	}
}
