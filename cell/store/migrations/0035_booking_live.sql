-- What an event has in live holds is read by its organizer and before a type is changed:
-- the holds of an event that ended long ago are most of the table.
CREATE INDEX IF NOT EXISTS hold_live ON booking.hold (event_id) WHERE state = 'active';
