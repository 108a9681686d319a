-- +goose Up
CREATE TABLE accounts (
    id          bigserial PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers (id),
    label       text NOT NULL,
    currency    char(3) NOT NULL,
    -- Amounts are whole minor units (cents).
    balance     bigint NOT NULL DEFAULT 0,
    overdraft   bigint NOT NULL DEFAULT 0,
    available   bigint GENERATED ALWAYS AS (balance + overdraft) STORED,
    opened_at   timestamptz NOT NULL DEFAULT now(),
    closed_at   timestamptz,
    CONSTRAINT accounts_currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT accounts_overdraft_not_negative CHECK (overdraft >= 0),
    CONSTRAINT accounts_within_overdraft CHECK (balance + overdraft >= 0),
    CONSTRAINT accounts_closed_empty CHECK (closed_at IS NULL OR balance = 0)
);

-- A label may be used again once its account is closed.
CREATE UNIQUE INDEX accounts_open_label_unique ON accounts (customer_id, label) WHERE closed_at IS NULL;

-- +goose Down
DROP TABLE accounts;
