package migrations_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
	"github.com/txiso/txiso-go/migrations"
	"github.com/txiso/txiso-go/txiso"
)

// Migrations commit, so every test here works on a clone: a private database with all of them applied.
var iso = txiso.New(txiso.Config{Migrations: migrations.FS})

func TestEveryMigrationGoesDownAndUpAgain(t *testing.T) {
	db := iso.Clone(t).DB
	provider := newProvider(t, db)
	complete := objects(t, db)
	for range migrationFiles(t) {
		if _, err := provider.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := provider.UpByOne(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := provider.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if left := objects(t, db); len(left) != 0 {
		t.Errorf("the Down parts leave %q", left)
	}
	if _, err := provider.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := objects(t, db); !slices.Equal(again, complete) {
		t.Errorf("got  %q\nwant %q", again, complete)
	}
}

func TestAnEntryMayComeBeforeItsPosting(t *testing.T) {
	err := commit(t, newBank(t),
		`INSERT INTO entries (posting_id, account_id, amount) VALUES (7, 1, 5)`,
		`INSERT INTO postings (id, kind, reference, cash) VALUES (7, 'deposit', 'early', 5)`)
	if err != nil {
		t.Error(err)
	}
}

func TestWhatTheSchemaRefusesAtCommit(t *testing.T) {
	tests := []struct{ name, statement, code, constraint string }{
		{"an entry without a posting", `INSERT INTO entries (posting_id, account_id, amount) VALUES (7, 1, 5)`, "23503", "entries_posting_id_fkey"},
		{"a posting without entries", `INSERT INTO postings (kind, reference) VALUES ('transfer', 'empty')`, "23514", "postings_balanced"},
		{"an entry too many", `INSERT INTO entries (posting_id, account_id, amount) VALUES (1, 2, 5)`, "23514", "entries_balanced"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expectViolation(t, commit(t, newBank(t), tt.statement), tt.code, tt.constraint)
		})
	}
}

func TestWhatTheSchemaRefusesAtOnce(t *testing.T) {
	tests := []struct{ name, statement, code, constraint string }{
		{"an address in use", `INSERT INTO customers (email, name) VALUES ('ANN@example.com', 'A')`, "23505", "customers_email_unique"},
		{"no address at all", `INSERT INTO customers (email, name) VALUES ('ann', 'A')`, "23514", "customers_email_shape"},
		{"a blank name", `INSERT INTO customers (email, name) VALUES ('a@example.com', ' ')`, "23514", "customers_name_given"},
		{"preferences that are a list", `UPDATE customers SET preferences = '[]'`, "23514", "customers_preferences_object"},
		{"an unknown status", `UPDATE customers SET status = 'gone'`, "22P02", ""},
		{"a label in use", `INSERT INTO accounts (customer_id, label, currency) VALUES (1, 'giro', 'EUR')`, "23505", "accounts_open_label_unique"},
		{"an account of nobody", `INSERT INTO accounts (customer_id, label, currency) VALUES (9, 'giro', 'EUR')`, "23503", "accounts_customer_id_fkey"},
		{"a currency that is none", `UPDATE accounts SET currency = 'eur'`, "23514", "accounts_currency_code"},
		{"an overdraft below zero", `UPDATE accounts SET overdraft = -1`, "23514", "accounts_overdraft_not_negative"},
		{"a balance beyond the overdraft", `UPDATE accounts SET balance = -1`, "23514", "accounts_within_overdraft"},
		{"closing an account with money on it", `UPDATE accounts SET closed_at = now()`, "23514", "accounts_closed_empty"},
		{"a written generated column", `UPDATE accounts SET available = 9`, "428C9", ""},
		{"a reference in use", `INSERT INTO postings (kind, reference) VALUES ('transfer', 'opening')`, "23505", "postings_reference_unique"},
		{"a deposit without cash", `INSERT INTO postings (kind, reference) VALUES ('deposit', 'none')`, "23514", "postings_cash_fits_kind"},
		{"a changed entry", `UPDATE entries SET amount = 1`, "23000", "entries_append_only"},
		{"a deleted entry", `DELETE FROM entries`, "23000", "entries_append_only"},
	}
	db := newBank(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := db.ExecContext(t.Context(), tt.statement)
			expectViolation(t, err, tt.code, tt.constraint)
		})
	}
}

func newProvider(t *testing.T, db *sql.DB) *goose.Provider {
	t.Helper()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, migrations.FS)
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

func migrationFiles(t *testing.T) []string {
	t.Helper()
	files, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %q and %v, want the migrations", files, err)
	}
	return files
}

// newBank returns a database with one customer, two accounts and a deposit of 5 on the first of them.
func newBank(t *testing.T) *sql.DB {
	t.Helper()
	db := iso.Clone(t).DB
	err := commit(t, db,
		`INSERT INTO customers (email, name) VALUES ('ann@example.com', 'Ann')`,
		`INSERT INTO accounts (customer_id, label, currency) VALUES (1, 'giro', 'EUR'), (1, 'savings', 'EUR')`,
		`INSERT INTO postings (kind, reference, cash) VALUES ('deposit', 'opening', 5)`,
		`INSERT INTO entries (posting_id, account_id, amount) VALUES (1, 1, 5)`)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// commit executes the statements, each of which must succeed, and returns what their commit says.
func commit(t *testing.T, db *sql.DB, statements ...string) error {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() // without effect after Commit
	for _, statement := range statements {
		if _, err := tx.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return tx.Commit()
}

func expectViolation(t *testing.T, err error, code, constraint string) {
	t.Helper()
	violation, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || violation.Code != code || violation.ConstraintName != constraint {
		t.Errorf("got %v, want code %s of constraint %q", err, code, constraint)
	}
}

// objects lists the relations, types and functions of the schema, but not goose's own.
func objects(t *testing.T, db *sql.DB) (names []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `
		SELECT concat(kind, ' ', name) FROM (
			SELECT 'relation ' || relkind::text, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
			UNION ALL SELECT 'type', typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
			UNION ALL SELECT 'function', proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
		) AS object (kind, name) WHERE name NOT LIKE '%goose_db_version%' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() // rows.Err says what went wrong
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}
