-- +goose Up
CREATE TYPE customer_status AS ENUM ('active', 'frozen', 'closed');

CREATE TABLE customers (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email       text NOT NULL,
    -- Who owns an address does not depend on how it is capitalised.
    email_key   text GENERATED ALWAYS AS (lower(email)) STORED,
    name        text NOT NULL,
    status      customer_status NOT NULL DEFAULT 'active',
    preferences jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT customers_email_unique UNIQUE (email_key),
    CONSTRAINT customers_email_shape CHECK (email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    CONSTRAINT customers_name_given CHECK (btrim(name) <> ''),
    CONSTRAINT customers_preferences_object CHECK (jsonb_typeof(preferences) = 'object')
);

-- +goose Down
DROP TABLE customers;
DROP TYPE customer_status;
