-- Who changed what: rows are only ever added (docs/database-role.md). Those past their
-- time are deleted by the tables' owner alone.
CREATE SCHEMA IF NOT EXISTS audit;

CREATE TABLE IF NOT EXISTS audit.entry (
	entry_id text PRIMARY KEY,
	at timestamptz NOT NULL,
	actor_kind text NOT NULL CHECK (actor_kind IN ('person', 'key', 'operator', 'system', 'buyer')),
	actor_id text NOT NULL,
	actor_name text NOT NULL,
	action text NOT NULL,
	object_kind text NOT NULL,
	object_id text NOT NULL,
	organizer_id text NOT NULL,
	event_id text NOT NULL,
	before jsonb,
	after jsonb,
	request_id text NOT NULL,
	address text NOT NULL
);
CREATE INDEX IF NOT EXISTS entry_at ON audit.entry (at, entry_id);
CREATE INDEX IF NOT EXISTS entry_of_organizer ON audit.entry (organizer_id, at, entry_id);
CREATE INDEX IF NOT EXISTS entry_of_event ON audit.entry (event_id, at, entry_id) WHERE event_id <> '';
CREATE INDEX IF NOT EXISTS entry_of_actor ON audit.entry (actor_id, at, entry_id);
