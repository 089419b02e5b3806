-- The mail room. A mail exists once for (order_id, kind, part); a search for
-- tickets has the hash of the address in place of an order. Rows are written in
-- the transaction of what they tell about, so they need no foreign key.
CREATE SCHEMA IF NOT EXISTS notify;

CREATE TABLE IF NOT EXISTS notify.message (
	message_id text PRIMARY KEY,
	event_id text NOT NULL,
	order_id text NOT NULL,
	kind text NOT NULL,
	part text NOT NULL,
	address text NOT NULL,
	name text NOT NULL,
	locale text NOT NULL,
	state text NOT NULL CHECK (state IN ('queued', 'sent', 'parked', 'unsent')),
	reason text NOT NULL DEFAULT '',
	attempts bigint NOT NULL DEFAULT 0 CHECK (attempts >= 0),
	next_at timestamptz NOT NULL,
	created_at timestamptz NOT NULL,
	ended_at timestamptz,
	CONSTRAINT message_once UNIQUE (order_id, kind, part),
	CONSTRAINT message_ended CHECK ((state = 'queued') = (ended_at IS NULL))
);
CREATE INDEX IF NOT EXISTS message_due ON notify.message (next_at) WHERE state = 'queued';
CREATE INDEX IF NOT EXISTS message_unsent ON notify.message (created_at) WHERE state = 'unsent';
CREATE INDEX IF NOT EXISTS message_known ON notify.message (ended_at) WHERE state <> 'queued' AND address <> '';
CREATE INDEX IF NOT EXISTS message_search ON notify.message (created_at) WHERE event_id = '';

-- Which orders an address was told about, by its hash.
CREATE TABLE IF NOT EXISTS notify.reach (
	address_hash text NOT NULL,
	order_id text NOT NULL,
	event_id text NOT NULL,
	at timestamptz NOT NULL,
	PRIMARY KEY (address_hash, order_id)
);
CREATE INDEX IF NOT EXISTS reach_by_event ON notify.reach (event_id);
