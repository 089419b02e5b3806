-- A ticket that was given to somebody else. Its row is the present holder's: with a new
-- id and a new barcode, at the same place of the order. first_id is the id under which
-- the buyer had it, given_to and given_at what he is told of it; given_by is who gave
-- it to the holder.
ALTER TABLE checkout.ticket ADD COLUMN IF NOT EXISTS transfers bigint NOT NULL DEFAULT 0 CHECK (transfers >= 0);
ALTER TABLE checkout.ticket ADD COLUMN IF NOT EXISTS holder_email text NOT NULL DEFAULT '';
ALTER TABLE checkout.ticket ADD COLUMN IF NOT EXISTS holder_locale text NOT NULL DEFAULT '';
ALTER TABLE checkout.ticket ADD COLUMN IF NOT EXISTS given_by text NOT NULL DEFAULT '';
ALTER TABLE checkout.ticket ADD COLUMN IF NOT EXISTS first_id text NOT NULL DEFAULT '';
ALTER TABLE checkout.ticket ADD COLUMN IF NOT EXISTS given_to text NOT NULL DEFAULT '';
ALTER TABLE checkout.ticket ADD COLUMN IF NOT EXISTS given_at timestamptz;

-- Ids that died of a transfer, each once: what is left to be told of them.
CREATE TABLE IF NOT EXISTS checkout.transfer (
	ticket_id text PRIMARY KEY,
	event_id text NOT NULL,
	order_id text NOT NULL,
	position bigint NOT NULL,
	number bigint NOT NULL CHECK (number > 0),
	to_name text NOT NULL,
	at timestamptz NOT NULL,
	CONSTRAINT transfer_once UNIQUE (order_id, position, number)
);
CREATE INDEX IF NOT EXISTS transfer_by_event ON checkout.transfer (event_id, ticket_id);

-- What holders may do with an event's tickets, where its organizer said something.
CREATE TABLE IF NOT EXISTS checkout.policy (
	event_id text PRIMARY KEY,
	transfers text NOT NULL CHECK (transfers IN ('allowed', 'forbidden'))
);
