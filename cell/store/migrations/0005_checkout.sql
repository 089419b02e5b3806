-- Orders and the tickets they became.
CREATE SCHEMA IF NOT EXISTS checkout;

CREATE TABLE IF NOT EXISTS checkout.orders (
	order_id text PRIMARY KEY,
	event_id text NOT NULL,
	hold_id text NOT NULL,
	code text NOT NULL,
	state text NOT NULL CHECK (state IN ('pending', 'paid', 'expired', 'canceled')),
	refund_status text NOT NULL DEFAULT 'none' CHECK (refund_status IN ('none', 'partial', 'full')),
	total bigint NOT NULL CHECK (total >= 0),
	fees bigint NOT NULL CHECK (fees >= 0),
	currency text NOT NULL,
	buyer jsonb NOT NULL,
	attendees jsonb NOT NULL,
	created_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	CONSTRAINT orders_of_hold UNIQUE (hold_id),
	CONSTRAINT orders_code UNIQUE (event_id, code)
);
CREATE INDEX IF NOT EXISTS orders_by_event ON checkout.orders (event_id, order_id);

CREATE TABLE IF NOT EXISTS checkout.item (
	order_id text NOT NULL REFERENCES checkout.orders (order_id),
	position bigint NOT NULL,
	ticket_type_id text NOT NULL,
	name text NOT NULL,
	quantity bigint NOT NULL CHECK (quantity > 0),
	all_in bigint NOT NULL CHECK (all_in >= 0),
	PRIMARY KEY (order_id, position)
);

CREATE TABLE IF NOT EXISTS checkout.ticket (
	ticket_id text PRIMARY KEY,
	order_id text NOT NULL REFERENCES checkout.orders (order_id),
	event_id text NOT NULL,
	position bigint NOT NULL,
	ticket_type_id text NOT NULL,
	name text NOT NULL,
	attendee text NOT NULL,
	state text NOT NULL CHECK (state IN ('valid', 'checked_in', 'canceled', 'revoked')),
	barcode text NOT NULL,
	issued_at timestamptz NOT NULL,
	CONSTRAINT ticket_once UNIQUE (order_id, position)
);
CREATE INDEX IF NOT EXISTS ticket_by_event ON checkout.ticket (event_id, ticket_id);

CREATE TABLE IF NOT EXISTS checkout.moment (
	order_id text NOT NULL REFERENCES checkout.orders (order_id),
	what text NOT NULL,
	at timestamptz NOT NULL,
	PRIMARY KEY (order_id, what)
);
