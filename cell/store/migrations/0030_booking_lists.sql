-- What an organizer has, in the order of dates and in the order of changes.
CREATE INDEX IF NOT EXISTS event_of_organizer_by_start ON booking.event (organizer_id, starts_at, event_id);
CREATE INDEX IF NOT EXISTS event_of_organizer_by_change ON booking.event (organizer_id, described_at, event_id);
-- When a series was last said to be something else. Rows of before count as changed when the column came.
ALTER TABLE booking.series ADD COLUMN IF NOT EXISTS changed_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX IF NOT EXISTS series_of_organizer_by_birth ON booking.series (organizer_id, created_at, series_id);
CREATE INDEX IF NOT EXISTS series_of_organizer_by_change ON booking.series (organizer_id, changed_at, series_id);
