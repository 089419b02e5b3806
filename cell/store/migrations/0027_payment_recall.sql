-- How far a provider's events were looked through for what no webhook brought; one row
-- for each provider.
CREATE TABLE IF NOT EXISTS payment.recall (
	provider text PRIMARY KEY,
	from_at timestamptz NOT NULL,
	until_at timestamptz,
	after text NOT NULL DEFAULT '',
	next_at timestamptz NOT NULL
);
