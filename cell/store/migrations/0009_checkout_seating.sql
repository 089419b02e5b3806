-- Orders and tickets name their seats.
ALTER TABLE checkout.item ADD COLUMN IF NOT EXISTS seats jsonb;
ALTER TABLE checkout.ticket ADD COLUMN IF NOT EXISTS seat_id text NOT NULL DEFAULT '';
ALTER TABLE checkout.ticket ADD COLUMN IF NOT EXISTS seat_section text NOT NULL DEFAULT '';
ALTER TABLE checkout.ticket ADD COLUMN IF NOT EXISTS seat_row text NOT NULL DEFAULT '';
ALTER TABLE checkout.ticket ADD COLUMN IF NOT EXISTS seat_number text NOT NULL DEFAULT '';
-- P2 once more, where it is a person who stands at the seat.
CREATE UNIQUE INDEX IF NOT EXISTS ticket_of_seat ON checkout.ticket (event_id, seat_id) WHERE seat_id <> '' AND state IN ('valid', 'checked_in');
