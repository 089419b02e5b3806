-- Series of events. draft is what the organizer said; made and told are how far
-- its occurrences were made and published.
CREATE TABLE IF NOT EXISTS booking.series (
	series_id text PRIMARY KEY,
	organizer_id text NOT NULL,
	name text NOT NULL,
	state text NOT NULL CHECK (state IN ('making', 'draft', 'publishing', 'published')),
	publish boolean NOT NULL,
	total bigint NOT NULL CHECK (total > 0),
	made bigint NOT NULL DEFAULT 0,
	draft bytea NOT NULL,
	told_at timestamptz NOT NULL,
	told_event text NOT NULL,
	key text NOT NULL,
	fingerprint text NOT NULL,
	created_at timestamptz NOT NULL,
	CONSTRAINT series_made CHECK (made >= 0 AND made <= total),
	CONSTRAINT series_key UNIQUE (organizer_id, key)
);
CREATE INDEX IF NOT EXISTS series_unfinished ON booking.series (created_at) WHERE state IN ('making', 'publishing');

-- Of an occurrence; null in events that stand alone.
ALTER TABLE booking.event ADD COLUMN IF NOT EXISTS series_id text;
ALTER TABLE booking.event ADD COLUMN IF NOT EXISTS slot text;
CREATE INDEX IF NOT EXISTS event_by_series ON booking.event (series_id, starts_at, event_id) WHERE series_id IS NOT NULL;
