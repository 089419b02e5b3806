-- When an order's state, refunds or tickets last changed. It has no index: a row that
-- becomes paid is then still written in place. Rows of before count as changed when the column came.
ALTER TABLE checkout.orders ADD COLUMN IF NOT EXISTS changed_at timestamptz NOT NULL DEFAULT now();
-- An event's orders, newest first, and those of one buyer's address.
CREATE INDEX IF NOT EXISTS orders_newest ON checkout.orders (event_id, created_at, order_id);
CREATE INDEX IF NOT EXISTS orders_of_address ON checkout.orders (event_id, lower(buyer->>'Email'));
