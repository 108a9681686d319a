package bank

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Connect opens the database a configuration names, with limits fit for a service, and makes sure that it answers.
// The caller closes it.
func Connect(ctx context.Context, driver, dsn string) (*sql.DB, error) {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, fmt.Errorf("bank: open: %w", err)
	}
	db.SetMaxOpenConns(10)
	db.SetMaxIdleConns(2)
	db.SetConnMaxIdleTime(time.Minute)
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close() // the ping says what is wrong
		return nil, fmt.Errorf("bank: connect: %w", err)
	}
	return db, nil
}
