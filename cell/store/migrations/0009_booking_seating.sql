-- Reserved seating. A plain event has none of it and pays nothing for it.
ALTER TABLE booking.event ADD COLUMN IF NOT EXISTS seated boolean NOT NULL DEFAULT false;
ALTER TABLE booking.event ADD COLUMN IF NOT EXISTS allow_gaps boolean NOT NULL DEFAULT false;

-- Names of the categories of seats that the type sells; none: general admission.
ALTER TABLE booking.ticket_type ADD COLUMN IF NOT EXISTS seat_categories text[];

-- What a page draws: the plan without its seats.
CREATE TABLE IF NOT EXISTS booking.seating (
	event_id text PRIMARY KEY,
	plan jsonb NOT NULL
);

-- Seats are only ever written behind their event's lock, like holds.
CREATE TABLE IF NOT EXISTS booking.seat (
	event_id text NOT NULL,
	seat_id text NOT NULL,
	section text NOT NULL,
	row_name text NOT NULL,
	number text NOT NULL,
	category text NOT NULL,
	kind text NOT NULL CHECK (kind IN ('standard', 'accessible', 'companion')),
	companion_of text NOT NULL DEFAULT '',
	x float8 NOT NULL,
	y float8 NOT NULL,
	row_no bigint NOT NULL,
	place bigint NOT NULL,
	row_rank bigint NOT NULL,
	cost bigint NOT NULL,
	row_floor bigint NOT NULL,
	state text NOT NULL CHECK (state IN ('free', 'held', 'sold', 'killed', 'house')),
	hold_id text NOT NULL DEFAULT '',
	PRIMARY KEY (event_id, seat_id),
	CONSTRAINT seat_has_a_hold CHECK ((state IN ('held', 'sold')) = (hold_id <> '')),
	CONSTRAINT seat_companion CHECK ((kind = 'companion') = (companion_of <> ''))
);
CREATE INDEX IF NOT EXISTS seat_by_row ON booking.seat (event_id, row_no, place);
CREATE INDEX IF NOT EXISTS seat_free ON booking.seat (event_id, category, row_rank, place) WHERE state = 'free';

-- Who has a seat: a hold, a ticket, or staff. P2 for seats is its primary key: even
-- with every lock of the code taken away, the second claim is refused.
CREATE TABLE IF NOT EXISTS booking.seat_claim (
	event_id text NOT NULL,
	seat_id text NOT NULL,
	state text NOT NULL CHECK (state IN ('held', 'sold', 'killed', 'house')),
	hold_id text NOT NULL,
	CONSTRAINT seat_claimed_once PRIMARY KEY (event_id, seat_id)
);
