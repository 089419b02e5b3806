-- Sagas under way and those that ended lately. Rows are keyed by their event, so
-- that they move with it; leases go by this database's clock.
CREATE SCHEMA IF NOT EXISTS saga;

-- The text of every definition that a run here began with: runs finish with theirs.
CREATE TABLE IF NOT EXISTS saga.definition (
	name text NOT NULL,
	version text NOT NULL,
	body text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (name, version)
);

-- taken grows with every claim: who was stalled and comes back has a lower one.
-- A wake_at of NULL is never: the run waits for a signal only.
CREATE TABLE IF NOT EXISTS saga.run (
	run_id text PRIMARY KEY,
	event_id text NOT NULL,
	name text NOT NULL,
	version text NOT NULL,
	status text NOT NULL CHECK (status IN ('running', 'succeeded', 'failed')),
	place text NOT NULL,
	position jsonb NOT NULL,
	input jsonb NOT NULL,
	output jsonb,
	steps bigint NOT NULL,
	error text NOT NULL DEFAULT '',
	cause text NOT NULL DEFAULT '',
	started_at timestamptz NOT NULL,
	deadline timestamptz,
	wake_at timestamptz,
	ended_at timestamptz,
	lease_owner text NOT NULL DEFAULT '',
	lease_until timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00',
	taken bigint NOT NULL DEFAULT 0,
	CONSTRAINT run_ended CHECK ((status = 'running') = (ended_at IS NULL))
);
CREATE INDEX IF NOT EXISTS run_due ON saga.run (wake_at) WHERE status = 'running';
CREATE INDEX IF NOT EXISTS run_ended_at ON saga.run (ended_at) WHERE status <> 'running';
CREATE INDEX IF NOT EXISTS run_by_event ON saga.run (event_id, run_id);
CREATE INDEX IF NOT EXISTS run_failed ON saga.run (started_at, run_id) WHERE status = 'failed';
CREATE INDEX IF NOT EXISTS run_started ON saga.run (started_at, run_id);

-- What was asked of the outside: written before, and completed with what came of it.
CREATE TABLE IF NOT EXISTS saga.step (
	run_id text NOT NULL,
	step_key text NOT NULL,
	event_id text NOT NULL,
	state text NOT NULL,
	tries bigint NOT NULL,
	result jsonb,
	error text NOT NULL DEFAULT '',
	started_at timestamptz NOT NULL DEFAULT now(),
	finished_at timestamptz,
	PRIMARY KEY (run_id, step_key)
);
CREATE INDEX IF NOT EXISTS step_by_event ON saga.step (event_id);

-- Signals, which may come before anybody waits for them. They stay when they were
-- taken, so that the same one is not heard twice.
CREATE TABLE IF NOT EXISTS saga.signal (
	run_id text NOT NULL,
	handler text NOT NULL,
	signal_id text NOT NULL,
	event_id text NOT NULL,
	payload jsonb NOT NULL,
	at timestamptz NOT NULL DEFAULT now(),
	taken boolean NOT NULL DEFAULT false,
	PRIMARY KEY (run_id, handler, signal_id)
);
CREATE INDEX IF NOT EXISTS signal_by_event ON saga.signal (event_id);
