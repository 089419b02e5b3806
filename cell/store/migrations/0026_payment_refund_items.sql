-- The tickets that a refund took back, where tickets were named and not an amount.
ALTER TABLE payment.refund ADD COLUMN IF NOT EXISTS tickets text[] NOT NULL DEFAULT ARRAY[]::text[];
