-- Stock that staff set aside, and series of events.

-- Written behind its event's lock only, so it needs no foreign key. quantity is
-- part of the quota's allocated; rows stay after they were closed.
CREATE TABLE IF NOT EXISTS booking.allocation (
	allocation_id text PRIMARY KEY,
	event_id text NOT NULL,
	quota_id text NOT NULL,
	name text NOT NULL,
	asked bigint NOT NULL CHECK (asked > 0),
	quantity bigint NOT NULL CHECK (quantity >= 0),
	closed boolean NOT NULL DEFAULT false,
	created_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS allocation_by_event ON booking.allocation (event_id, allocation_id);
CREATE INDEX IF NOT EXISTS allocation_open ON booking.allocation (event_id) WHERE NOT closed;

-- For whom staff keep the tickets of a hold.
CREATE TABLE IF NOT EXISTS booking.named_hold (
	hold_id text PRIMARY KEY,
	event_id text NOT NULL,
	allocation_id text NOT NULL,
	buyer_name text NOT NULL,
	buyer_email text NOT NULL,
	created_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS named_hold_by_allocation ON booking.named_hold (allocation_id, created_at, hold_id);
