-- The cell's copy of the world's published catalogue, from which every process
-- fills its own index, and what the cells' beats said about availability.
CREATE SCHEMA IF NOT EXISTS search;

-- One row: raised in the transaction that writes a document, so the order of
-- commits is the order of seq. Source names this catalogue: an index that was
-- filled from another one is filled again.
CREATE TABLE IF NOT EXISTS search.counter (
	one bigint NOT NULL PRIMARY KEY CHECK (one = 1),
	seq bigint NOT NULL CHECK (seq >= 0),
	source text NOT NULL DEFAULT gen_random_uuid()::text
);
INSERT INTO search.counter (one, seq) VALUES (1, 0) ON CONFLICT (one) DO NOTHING;

-- doc is JSON in text, byte for byte as it came: jsonb would refuse \u0000.
CREATE TABLE IF NOT EXISTS search.document (
	event_id text NOT NULL PRIMARY KEY,
	version bigint NOT NULL CHECK (version > 0),
	seq bigint NOT NULL,
	doc text NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS document_seq ON search.document (seq);

-- What an event's cell last said of its stock, true at as_of by that cell's clock.
CREATE TABLE IF NOT EXISTS search.availability (
	event_id text NOT NULL PRIMARY KEY,
	cell text NOT NULL,
	class text NOT NULL CHECK (class IN ('available', 'few', 'none', 'unknown')),
	as_of timestamptz NOT NULL
);

-- The newest beat of each cell. heard_at is as_of, or the time of receipt when the
-- cell's clock is ahead: such a cell must not look fresh for longer.
CREATE TABLE IF NOT EXISTS search.freshness (
	cell text NOT NULL PRIMARY KEY,
	as_of timestamptz NOT NULL,
	heard_at timestamptz NOT NULL
);
