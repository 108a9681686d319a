// Package bank is a small bank on PostgreSQL, written with database/sql alone: the code under test
// of the example suites beside it. Nothing in it knows how it is tested.
//
// Amounts are whole minor units (cents). All methods of [Store] may be called from many goroutines.
package bank

import "database/sql"

// Store keeps customers, accounts and the ledger. It does not own its database and never closes it.
type Store struct {
	db *sql.DB
}

// New returns a store on db, whose schema is that of the migrations folder.
func New(db *sql.DB) *Store { return &Store{db: db} }
