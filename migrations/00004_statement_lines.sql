-- +goose Up
CREATE VIEW statement_lines AS
SELECT e.id,
       e.account_id,
       p.reference,
       p.kind,
       e.amount,
       sum(e.amount) OVER (PARTITION BY e.account_id ORDER BY e.id)::bigint AS balance,
       p.booked_at
  FROM entries e
  JOIN postings p ON p.id = e.posting_id;

-- +goose Down
DROP VIEW statement_lines;
