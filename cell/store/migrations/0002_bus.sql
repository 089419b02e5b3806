-- The bus's side of every business transaction: what is to be told (outbox),
-- what was heard (inbox), and what nobody could digest (parked).
CREATE SCHEMA IF NOT EXISTS bus;

-- One counter row per bucket, raised in the transaction that writes the rows: its
-- lock makes the order of commits the order of seq.
CREATE TABLE IF NOT EXISTS bus.bucket (
	bucket bigint NOT NULL PRIMARY KEY,
	last_seq bigint NOT NULL DEFAULT 0 CHECK (last_seq >= 0)
);
INSERT INTO bus.bucket (bucket) VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15)
ON CONFLICT (bucket) DO NOTHING;

CREATE TABLE IF NOT EXISTS bus.outbox (
	bucket bigint NOT NULL,
	seq bigint NOT NULL,
	event_key text NOT NULL,
	subject text NOT NULL,
	message_id text NOT NULL,
	payload bytea NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (bucket, seq)
);

-- How far each bucket was relayed.
CREATE TABLE IF NOT EXISTS bus.relay_cursor (
	bucket bigint NOT NULL PRIMARY KEY,
	seq bigint NOT NULL DEFAULT 0 CHECK (seq >= 0)
);
INSERT INTO bus.relay_cursor (bucket) VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15)
ON CONFLICT (bucket) DO NOTHING;

CREATE TABLE IF NOT EXISTS bus.inbox (
	consumer text NOT NULL,
	message_id text NOT NULL,
	seen_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (consumer, message_id)
);
CREATE INDEX IF NOT EXISTS inbox_by_age ON bus.inbox (seen_at);

CREATE TABLE IF NOT EXISTS bus.parked (
	consumer text NOT NULL,
	message_id text NOT NULL,
	subject text NOT NULL,
	payload bytea NOT NULL,
	reason text NOT NULL,
	deliveries bigint NOT NULL,
	parked_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (consumer, message_id)
);
CREATE INDEX IF NOT EXISTS parked_by_age ON bus.parked (parked_at);
