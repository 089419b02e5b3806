-- Money on its way. posting is append-only; its lines sum to zero per entry (P4).
CREATE SCHEMA IF NOT EXISTS payment;

CREATE TABLE IF NOT EXISTS payment.payment (
	payment_id text PRIMARY KEY,
	order_id text NOT NULL,
	event_id text NOT NULL,
	provider text NOT NULL,
	intent_id text NOT NULL DEFAULT '',
	client_secret text NOT NULL DEFAULT '',
	state text NOT NULL CHECK (state IN ('created', 'pending', 'authorized', 'captured', 'failed', 'canceled', 'disputed')),
	amount bigint NOT NULL CHECK (amount > 0),
	received bigint NOT NULL DEFAULT 0 CHECK (received >= 0),
	currency text NOT NULL,
	settled boolean NOT NULL DEFAULT false,
	attempts bigint NOT NULL DEFAULT 0,
	next_check_at timestamptz NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT payment_of_order UNIQUE (order_id)
);
CREATE INDEX IF NOT EXISTS payment_due ON payment.payment (next_check_at) WHERE NOT settled;
CREATE INDEX IF NOT EXISTS payment_by_intent ON payment.payment (intent_id) WHERE intent_id <> '';

-- What the provider told us, once per event id of theirs; unknown types are kept too.
CREATE TABLE IF NOT EXISTS payment.notice (
	notice_id text PRIMARY KEY,
	type text NOT NULL,
	order_id text NOT NULL,
	body bytea NOT NULL,
	created_at timestamptz NOT NULL,
	received_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS notice_age ON payment.notice (received_at);

CREATE TABLE IF NOT EXISTS payment.posting (
	entry_id text NOT NULL,
	line bigint NOT NULL,
	order_id text NOT NULL,
	event_id text NOT NULL,
	account text NOT NULL,
	amount bigint NOT NULL,
	currency text NOT NULL,
	at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (entry_id, line)
);
CREATE INDEX IF NOT EXISTS posting_by_event ON payment.posting (event_id, account);
CREATE INDEX IF NOT EXISTS posting_by_order ON payment.posting (order_id);

CREATE TABLE IF NOT EXISTS payment.refund (
	refund_id text PRIMARY KEY,
	order_id text NOT NULL,
	event_id text NOT NULL,
	amount bigint NOT NULL CHECK (amount > 0),
	currency text NOT NULL,
	state text NOT NULL CHECK (state IN ('created', 'in_transit', 'done', 'failed')),
	source text NOT NULL CHECK (source IN ('buyer', 'organizer', 'event_cancellation', 'late_payment', 'external')),
	reason text NOT NULL,
	provider_id text NOT NULL DEFAULT '',
	attempts bigint NOT NULL DEFAULT 0,
	next_check_at timestamptz NOT NULL DEFAULT now(),
	created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS refund_due ON payment.refund (next_check_at) WHERE state = 'created';
CREATE INDEX IF NOT EXISTS refund_by_order ON payment.refund (order_id);
