-- A hold is its own first answer (P5): its id comes from the event's secret and the
-- key it was made under; what was asked, and until when it was first granted, stand
-- in its row. Null where there was no key, and in rows of before.
ALTER TABLE booking.hold ADD COLUMN IF NOT EXISTS asked_mark bytea;
ALTER TABLE booking.hold ADD COLUMN IF NOT EXISTS granted_until timestamptz;
-- 244 random bits that never change and go with the event.
ALTER TABLE booking.event ADD COLUMN IF NOT EXISTS hold_secret text NOT NULL DEFAULT gen_random_uuid()::text || gen_random_uuid()::text;
