-- The box office. Constraints repeat the promises: P2 is the CHECK of quota.
CREATE SCHEMA IF NOT EXISTS booking;

CREATE TABLE IF NOT EXISTS booking.organizer (
	organizer_id text PRIMARY KEY,
	name text NOT NULL,
	home_region text NOT NULL,
	key_hash text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now()
);

-- epoch and placement are the fence: the transaction that changes stock reads them under its lock (P1).
CREATE TABLE IF NOT EXISTS booking.event (
	event_id text PRIMARY KEY,
	organizer_id text NOT NULL,
	name text NOT NULL,
	summary text NOT NULL,
	category text NOT NULL,
	venue jsonb NOT NULL,
	starts_at timestamptz NOT NULL,
	ends_at timestamptz,
	time_zone text NOT NULL,
	currency text NOT NULL,
	state text NOT NULL CHECK (state IN ('draft', 'published', 'canceled')),
	source jsonb,
	source_key text NOT NULL DEFAULT '',
	version bigint NOT NULL CHECK (version > 0),
	epoch bigint NOT NULL CHECK (epoch > 0),
	placement text NOT NULL CHECK (placement IN ('serving', 'sealed', 'moving')),
	stock_version bigint NOT NULL DEFAULT 0,
	stock_changed_at timestamptz NOT NULL DEFAULT now(),
	ledger_next bigint NOT NULL DEFAULT 1,
	ledger_hash text NOT NULL DEFAULT '',
	created_at timestamptz NOT NULL DEFAULT now()
);
-- An organizer's event of a foreign catalogue exists once, however often it is imported.
CREATE UNIQUE INDEX IF NOT EXISTS event_of_source ON booking.event (organizer_id, source_key) WHERE source_key <> '';
CREATE INDEX IF NOT EXISTS event_stock_changed ON booking.event (stock_changed_at, event_id);
CREATE INDEX IF NOT EXISTS event_by_organizer ON booking.event (organizer_id, event_id);

CREATE TABLE IF NOT EXISTS booking.quota (
	quota_id text PRIMARY KEY,
	event_id text NOT NULL REFERENCES booking.event (event_id),
	position bigint NOT NULL,
	name text NOT NULL,
	size bigint NOT NULL,
	held bigint NOT NULL DEFAULT 0 CONSTRAINT quota_held_check CHECK (held >= 0),
	sold bigint NOT NULL DEFAULT 0 CHECK (sold >= 0),
	allocated bigint NOT NULL DEFAULT 0 CHECK (allocated >= 0),
	CONSTRAINT quota_not_oversold CHECK (held + sold + allocated <= size),
	CONSTRAINT quota_name UNIQUE (event_id, name)
);

CREATE TABLE IF NOT EXISTS booking.ticket_type (
	ticket_type_id text PRIMARY KEY,
	event_id text NOT NULL REFERENCES booking.event (event_id),
	position bigint NOT NULL,
	name text NOT NULL,
	price bigint NOT NULL CHECK (price >= 0),
	fees bigint NOT NULL CHECK (fees >= 0),
	min_per_order bigint NOT NULL CHECK (min_per_order >= 1),
	max_per_order bigint NOT NULL CHECK (max_per_order >= min_per_order),
	sales_start timestamptz,
	sales_end timestamptz,
	quotas text[] NOT NULL
);
CREATE INDEX IF NOT EXISTS ticket_type_by_event ON booking.ticket_type (event_id, position);

-- A hold is only ever written behind its event's lock, so it needs no foreign key
-- to be checked for every row of a batch.
CREATE TABLE IF NOT EXISTS booking.hold (
	hold_id text PRIMARY KEY,
	event_id text NOT NULL,
	state text NOT NULL CHECK (state IN ('active', 'converted', 'expired', 'released')),
	created_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	order_id text NOT NULL DEFAULT '',
	total bigint NOT NULL CHECK (total >= 0),
	currency text NOT NULL,
	items jsonb NOT NULL CHECK (jsonb_typeof(items) = 'array')
);
CREATE INDEX IF NOT EXISTS hold_due ON booking.hold (expires_at, event_id) WHERE state = 'active' AND order_id = '';

-- What was done to each event's stock, one row per transaction, chained by hash.
-- Rows are only ever inserted.
CREATE TABLE IF NOT EXISTS booking.ledger (
	event_id text NOT NULL REFERENCES booking.event (event_id),
	first_entry bigint NOT NULL,
	at timestamptz NOT NULL,
	entries bytea NOT NULL,
	prev text NOT NULL,
	hash text NOT NULL,
	PRIMARY KEY (event_id, first_entry)
);

-- First answers by idempotency key (P5), written in the transaction of the effect.
CREATE TABLE IF NOT EXISTS booking.answer (
	scope text NOT NULL,
	key text NOT NULL,
	fingerprint text NOT NULL,
	status bigint NOT NULL,
	body bytea NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (scope, key)
);
CREATE INDEX IF NOT EXISTS answer_age ON booking.answer (created_at);
