CREATE SCHEMA IF NOT EXISTS registry;
CREATE SCHEMA IF NOT EXISTS placement;

-- One row: the map's version. Its lock makes changes of the map one after the other.
CREATE TABLE IF NOT EXISTS registry.map (
	only_row bool NOT NULL PRIMARY KEY CHECK (only_row),
	version bigint NOT NULL CHECK (version >= 0)
);
INSERT INTO registry.map (only_row, version) VALUES (true, 0) ON CONFLICT (only_row) DO NOTHING;

CREATE TABLE IF NOT EXISTS registry.cell (
	cell text NOT NULL PRIMARY KEY,
	region text NOT NULL,
	residency text NOT NULL,
	keys jsonb NOT NULL,
	has_left bool NOT NULL,
	joined_at timestamptz NOT NULL,
	weight bigint NOT NULL CHECK (weight BETWEEN 0 AND 100),
	target bigint NOT NULL CHECK (target BETWEEN 0 AND 100),
	stepped_at timestamptz NOT NULL,
	reason text NOT NULL,
	expires_at timestamptz,
	CHECK (target = 100 OR expires_at IS NOT NULL)
);

CREATE TABLE IF NOT EXISTS registry.process (
	cell text NOT NULL REFERENCES registry.cell (cell),
	url text NOT NULL,
	last_beat timestamptz NOT NULL,
	PRIMARY KEY (cell, url)
);

CREATE TABLE IF NOT EXISTS placement.event (
	event_id text NOT NULL PRIMARY KEY,
	home text NOT NULL,
	epoch bigint NOT NULL CHECK (epoch > 1),
	state text NOT NULL CHECK (state IN ('serving', 'sealed', 'moving')),
	changed_at timestamptz NOT NULL
);

-- What was asked and what came of it; never changed afterwards.
CREATE TABLE IF NOT EXISTS placement.operation (
	operation_id text NOT NULL PRIMARY KEY,
	event_id text NOT NULL,
	to_cell text NOT NULL,
	seen_epoch bigint NOT NULL,
	home text NOT NULL,
	epoch bigint NOT NULL,
	done_at timestamptz NOT NULL,
	UNIQUE (event_id, epoch)
);
CREATE INDEX IF NOT EXISTS operation_by_age ON placement.operation (done_at);
