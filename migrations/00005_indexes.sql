-- +goose NO TRANSACTION

-- CREATE INDEX CONCURRENTLY cannot run inside a transaction, and a table in use is never locked for it.

-- +goose Up
CREATE INDEX CONCURRENTLY entries_account ON entries (account_id, id);
CREATE INDEX CONCURRENTLY postings_details ON postings USING gin (details jsonb_path_ops);

-- +goose Down
DROP INDEX CONCURRENTLY postings_details;
DROP INDEX CONCURRENTLY entries_account;
