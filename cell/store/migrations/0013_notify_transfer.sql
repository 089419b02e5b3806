-- Which single tickets an address was given, by its hash: "find my tickets" for who has
-- a ticket of somebody else's order.
CREATE TABLE IF NOT EXISTS notify.reach_ticket (
	address_hash text NOT NULL,
	ticket_id text NOT NULL,
	event_id text NOT NULL,
	at timestamptz NOT NULL,
	PRIMARY KEY (address_hash, ticket_id)
);
CREATE INDEX IF NOT EXISTS reach_ticket_by_event ON notify.reach_ticket (event_id, ticket_id);
