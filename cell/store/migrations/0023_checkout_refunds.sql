-- The policy that was stated when the order was made; NULL for orders from before there were any.
-- And what the organizer kept of tickets that the buyer gave back, in minor units.
ALTER TABLE checkout.orders ADD COLUMN IF NOT EXISTS refund_policy jsonb,
	ADD COLUMN IF NOT EXISTS kept bigint NOT NULL DEFAULT 0 CHECK (kept >= 0);
-- When who was given the ticket said that its money may go back to who paid; NULL for not.
ALTER TABLE checkout.ticket ADD COLUMN IF NOT EXISTS refund_consent timestamptz;
