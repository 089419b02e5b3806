-- When the event's description was last changed. With the version it names one description:
-- a database that was set back to an earlier state gives a version a second time, never the time.
ALTER TABLE booking.event ADD COLUMN IF NOT EXISTS described_at timestamptz NOT NULL DEFAULT now();
