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

-- Invoices and credit notes. Numbers are consecutive per organizer, kind and series,
-- which is the cell that writes: the counter's row is raised in the transaction
-- that writes the paper. What is on a paper is kept with it and never changes.
CREATE TABLE IF NOT EXISTS checkout.paper_counter (
	organizer_id text NOT NULL,
	kind text NOT NULL CHECK (kind IN ('invoice', 'credit_note')),
	series text NOT NULL,
	last bigint NOT NULL CHECK (last > 0),
	PRIMARY KEY (organizer_id, kind, series)
);

CREATE TABLE IF NOT EXISTS checkout.paper (
	order_id text NOT NULL,
	kind text NOT NULL CHECK (kind IN ('invoice', 'credit_note')),
	cause text NOT NULL,
	event_id text NOT NULL,
	organizer_id text NOT NULL,
	series text NOT NULL,
	number bigint NOT NULL CHECK (number > 0),
	amount bigint NOT NULL CHECK (amount > 0),
	currency text NOT NULL,
	issued_at timestamptz NOT NULL,
	content jsonb NOT NULL,
	PRIMARY KEY (order_id, kind, cause),
	CONSTRAINT paper_number UNIQUE (organizer_id, kind, series, number)
);
CREATE INDEX IF NOT EXISTS paper_by_event ON checkout.paper (event_id);

-- What an event asks of its buyers, and who sells.
CREATE TABLE IF NOT EXISTS checkout.form (
	event_id text PRIMARY KEY,
	version bigint NOT NULL CHECK (version > 0),
	seller jsonb NOT NULL,
	questions jsonb NOT NULL CHECK (jsonb_typeof(questions) = 'array'),
	consents jsonb NOT NULL CHECK (jsonb_typeof(consents) = 'array')
);

-- Every text that somebody may have agreed to; rows are only ever inserted.
CREATE TABLE IF NOT EXISTS checkout.consent_text (
	event_id text NOT NULL,
	consent_id text NOT NULL,
	version bigint NOT NULL CHECK (version > 0),
	body text NOT NULL,
	at timestamptz NOT NULL,
	PRIMARY KEY (event_id, consent_id, version)
);

-- What a buyer answered and agreed to.
CREATE TABLE IF NOT EXISTS checkout.answer (
	order_id text PRIMARY KEY,
	event_id text NOT NULL,
	answers jsonb NOT NULL,
	consents jsonb NOT NULL,
	at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS answer_by_event ON checkout.answer (event_id, order_id);
