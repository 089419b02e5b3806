-- What an organizer promises buyers who give tickets back; NULL is the default of the program.
-- And the last change of time or place after the sale had begun; NULL for none.
ALTER TABLE booking.event ADD COLUMN IF NOT EXISTS refund_policy jsonb,
	ADD COLUMN IF NOT EXISTS rescheduled jsonb;

-- Every move of an event that had buyers: when and where it was, and is. Rows are only
-- ever inserted, at most 20 an event.
CREATE TABLE IF NOT EXISTS booking.reschedule (
	event_id text NOT NULL REFERENCES booking.event (event_id),
	number bigint NOT NULL CHECK (number > 0),
	at timestamptz NOT NULL,
	was jsonb NOT NULL,
	became jsonb NOT NULL,
	PRIMARY KEY (event_id, number)
);
