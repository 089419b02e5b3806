-- Barcodes that must not be let in any more, by their marks, numbered per event
-- behind the event's lock.
CREATE TABLE IF NOT EXISTS checkout.revocation (
	event_id text NOT NULL,
	seq bigint NOT NULL CHECK (seq > 0),
	mark text NOT NULL,
	at timestamptz NOT NULL,
	PRIMARY KEY (event_id, seq),
	CONSTRAINT revocation_once UNIQUE (event_id, mark)
);
