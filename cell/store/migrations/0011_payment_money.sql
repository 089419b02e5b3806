-- What an entry of the ledger is about, for the organizers' statements. Postings
-- are only ever inserted.
ALTER TABLE payment.posting ADD COLUMN IF NOT EXISTS kind text NOT NULL DEFAULT '';
CREATE INDEX IF NOT EXISTS posting_by_account ON payment.posting (account, currency, kind);

-- Who sells, and where the provider hands his share on to: fixed when the order is
-- made, so that the same call with the same key stays the same call.
ALTER TABLE payment.payment ADD COLUMN IF NOT EXISTS organizer_id text NOT NULL DEFAULT '';
ALTER TABLE payment.payment ADD COLUMN IF NOT EXISTS destination text NOT NULL DEFAULT '';
ALTER TABLE payment.payment ADD COLUMN IF NOT EXISTS fee bigint NOT NULL DEFAULT 0;
-- Attempts that the buyer's bank declined: who tries many cards at one order tests them.
ALTER TABLE payment.payment ADD COLUMN IF NOT EXISTS declines bigint NOT NULL DEFAULT 0;
-- Whether what the provider kept of it is in the books.
ALTER TABLE payment.payment ADD COLUMN IF NOT EXISTS fee_booked boolean NOT NULL DEFAULT false;
CREATE INDEX IF NOT EXISTS payment_unbooked ON payment.payment (next_check_at) WHERE settled AND NOT fee_booked AND received > 0;
ALTER TABLE payment.refund ADD COLUMN IF NOT EXISTS organizer_id text NOT NULL DEFAULT '';
ALTER TABLE payment.refund ADD COLUMN IF NOT EXISTS reverse bigint NOT NULL DEFAULT 0;

-- An organizer's own account at the provider, connected to this cell's.
CREATE TABLE IF NOT EXISTS payment.payee (
	organizer_id text PRIMARY KEY,
	account text NOT NULL,
	country text NOT NULL,
	currency text NOT NULL,
	updated_at timestamptz NOT NULL DEFAULT now()
);

-- What becomes of tickets while their payment is disputed, where the organizer
-- wants it other than the cell.
CREATE TABLE IF NOT EXISTS payment.policy (
	event_id text PRIMARY KEY,
	on_dispute text NOT NULL CHECK (on_dispute IN ('block', 'keep'))
);

CREATE TABLE IF NOT EXISTS payment.dispute (
	dispute_id text PRIMARY KEY,
	order_id text NOT NULL,
	event_id text NOT NULL,
	intent_id text NOT NULL,
	amount bigint NOT NULL CHECK (amount >= 0),
	currency text NOT NULL,
	state text NOT NULL CHECK (state IN ('warning', 'open', 'won', 'lost', 'closed')),
	reason text NOT NULL,
	due_at timestamptz,
	blocked text[] NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS dispute_by_order ON payment.dispute (order_id);

-- What became of a notice: done, ignored (nobody here is meant, or the type says
-- nothing to us), or waiting for something that comes first and looked at again.
ALTER TABLE payment.notice ADD COLUMN IF NOT EXISTS outcome text NOT NULL DEFAULT 'done';
ALTER TABLE payment.notice ADD COLUMN IF NOT EXISTS attempts bigint NOT NULL DEFAULT 0;
ALTER TABLE payment.notice ADD COLUMN IF NOT EXISTS next_look_at timestamptz;
CREATE INDEX IF NOT EXISTS notice_waiting ON payment.notice (next_look_at) WHERE outcome = 'waiting';
