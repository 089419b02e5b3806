-- What of an item's price is fees and tax, and what a promo code took off; minor units, each.
ALTER TABLE checkout.item ADD COLUMN IF NOT EXISTS fees bigint NOT NULL DEFAULT 0 CHECK (fees >= 0);
ALTER TABLE checkout.item ADD COLUMN IF NOT EXISTS tax bigint NOT NULL DEFAULT 0 CHECK (tax >= 0);
ALTER TABLE checkout.item ADD COLUMN IF NOT EXISTS tax_on_top bool NOT NULL DEFAULT false;
ALTER TABLE checkout.item ADD COLUMN IF NOT EXISTS saved bigint NOT NULL DEFAULT 0 CHECK (saved >= 0);
ALTER TABLE checkout.item ADD COLUMN IF NOT EXISTS tier_name text NOT NULL DEFAULT '';
