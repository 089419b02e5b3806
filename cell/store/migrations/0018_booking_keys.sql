-- An organizer's keys are in account.api_key now. The column goes once no process reads it.
ALTER TABLE booking.organizer ALTER COLUMN key_hash SET DEFAULT '';
