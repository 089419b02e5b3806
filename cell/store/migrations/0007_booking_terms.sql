-- Commercial terms: price tiers, hidden types, tax, limits per buyer, codes.
-- NULL is a plain type: the desk reads nothing more for it.
ALTER TABLE booking.ticket_type ADD COLUMN IF NOT EXISTS terms jsonb;

-- The counter of a price tier; its price and its name are in its type's terms.
CREATE TABLE IF NOT EXISTS booking.tier (
	ticket_type_id text NOT NULL,
	position bigint NOT NULL CHECK (position > 0),
	event_id text NOT NULL,
	quantity bigint CHECK (quantity > 0),
	used bigint NOT NULL DEFAULT 0 CHECK (used >= 0),
	CONSTRAINT tier_not_oversold CHECK (quantity IS NULL OR used <= quantity),
	PRIMARY KEY (ticket_type_id, position)
);

-- Promo and access codes. A use is one ticket, counted when it is held.
CREATE TABLE IF NOT EXISTS booking.code (
	event_id text NOT NULL,
	code text NOT NULL,
	kind text NOT NULL CHECK (kind IN ('promo', 'access')),
	terms jsonb NOT NULL,
	max_uses bigint CHECK (max_uses >= 0),
	budget bigint CHECK (budget >= 0),
	uses bigint NOT NULL DEFAULT 0 CHECK (uses >= 0),
	spent bigint NOT NULL DEFAULT 0 CHECK (spent >= 0),
	created_at timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT code_not_overused CHECK (max_uses IS NULL OR uses <= max_uses),
	CONSTRAINT code_within_budget CHECK (budget IS NULL OR spent <= budget),
	PRIMARY KEY (event_id, code)
);

-- How many tickets of a limited type a buyer holds and has. buyer is a hash that
-- is good for this event only. A row that comes down to none is deleted.
CREATE TABLE IF NOT EXISTS booking.buyer_tally (
	event_id text NOT NULL,
	buyer text NOT NULL,
	ticket_type_id text NOT NULL,
	bought bigint NOT NULL CHECK (bought >= 0),
	PRIMARY KEY (event_id, buyer, ticket_type_id)
);

-- The live holds of buyers who said who they are, so that they are told of them.
CREATE TABLE IF NOT EXISTS booking.buyer_hold (
	event_id text NOT NULL,
	buyer text NOT NULL,
	hold_id text NOT NULL,
	PRIMARY KEY (event_id, buyer, hold_id)
);
