-- Mails that a stranger caused, so that no mailbox gets more of them than a limit says,
-- whatever he causes them by and whichever process he asks. limit_key is a hash of the
-- address without its tags. A row is of no use after a day.
CREATE TABLE IF NOT EXISTS notify.caused (
	limit_key text NOT NULL,
	message_id text NOT NULL,
	at timestamptz NOT NULL,
	PRIMARY KEY (limit_key, message_id)
);
CREATE INDEX IF NOT EXISTS caused_by_age ON notify.caused (at);
