-- How often the links to an order, or to a ticket, were withdrawn: a token of an older
-- generation admits to nothing any more.
ALTER TABLE checkout.orders ADD COLUMN IF NOT EXISTS access_generation bigint NOT NULL DEFAULT 0;
ALTER TABLE checkout.ticket ADD COLUMN IF NOT EXISTS access_generation bigint NOT NULL DEFAULT 0;
