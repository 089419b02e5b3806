-- Where an event's stock stands is carried by its first quota: nearly every change of stock
-- writes that row, and so no other row of the event. In other quotas it is null. A process of before
-- finds no head in the event's row any more and fails, which is better than a head of its own.
ALTER TABLE booking.quota ADD COLUMN IF NOT EXISTS ledger_next bigint;
ALTER TABLE booking.quota ADD COLUMN IF NOT EXISTS ledger_hash text;
ALTER TABLE booking.quota ADD COLUMN IF NOT EXISTS stock_version bigint;
ALTER TABLE booking.quota ADD COLUMN IF NOT EXISTS stock_changed_at timestamptz;
UPDATE booking.quota SET ledger_next = e.ledger_next, ledger_hash = e.ledger_hash, stock_version = e.stock_version, stock_changed_at = e.stock_changed_at
	FROM booking.event AS e WHERE e.event_id = booking.quota.event_id AND booking.quota.position = 0;
CREATE INDEX IF NOT EXISTS quota_stock_changed ON booking.quota (stock_changed_at, event_id) WHERE position = 0;
DROP INDEX IF EXISTS booking.event_stock_changed;
ALTER TABLE booking.event DROP COLUMN IF EXISTS ledger_next;
ALTER TABLE booking.event DROP COLUMN IF EXISTS ledger_hash;
ALTER TABLE booking.event DROP COLUMN IF EXISTS stock_version;
ALTER TABLE booking.event DROP COLUMN IF EXISTS stock_changed_at;
