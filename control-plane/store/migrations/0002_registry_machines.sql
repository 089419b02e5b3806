-- Who was expelled comes back by a new invitation only. What a cell signed last, so that
-- an older statement changes nothing; and which keys and sessions it revoked.
ALTER TABLE registry.cell ADD COLUMN IF NOT EXISTS expelled_at timestamptz;
ALTER TABLE registry.cell ADD COLUMN IF NOT EXISTS signed_at timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00';
ALTER TABLE registry.cell ADD COLUMN IF NOT EXISTS revoked jsonb NOT NULL DEFAULT '[]';

-- An invitation's token is known by its hash only. A used one stays for a while, so that
-- who shows it again is told apart from who invents one.
CREATE TABLE IF NOT EXISTS registry.invitation (
	token_hash text NOT NULL PRIMARY KEY,
	cell text NOT NULL,
	region text NOT NULL,
	made_by text NOT NULL,
	made_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	used_at timestamptz
);
CREATE INDEX IF NOT EXISTS invitation_by_age ON registry.invitation (expires_at);

-- Tokens of operators that are worth nothing any more, until they would have ended anyway.
CREATE TABLE IF NOT EXISTS registry.revocation (
	id text NOT NULL PRIMARY KEY,
	until timestamptz NOT NULL,
	made_by text NOT NULL,
	made_at timestamptz NOT NULL
);
