-- Who may do what at an organizer. An account lives at the cell where its organizer was
-- born. The row of account.organizer is locked by every change, so that what must hold
-- over all rows of an account, like "one owner at least", is decided by one at a time.
CREATE SCHEMA IF NOT EXISTS account;

CREATE TABLE IF NOT EXISTS account.organizer (
	organizer_id text PRIMARY KEY,
	required_acr text NOT NULL DEFAULT ''
);

CREATE TABLE IF NOT EXISTS account.member (
	member_id text PRIMARY KEY,
	organizer_id text NOT NULL REFERENCES account.organizer (organizer_id),
	issuer text NOT NULL,
	subject text NOT NULL,
	email text NOT NULL,
	name text NOT NULL,
	role text NOT NULL CHECK (role IN ('owner', 'admin', 'events', 'orders', 'finance', 'door', 'reader')),
	added_at timestamptz NOT NULL,
	added_by text NOT NULL,
	removed_at timestamptz,
	removed_by text NOT NULL DEFAULT '',
	CONSTRAINT member_removed CHECK ((removed_at IS NULL) = (removed_by = ''))
);
CREATE UNIQUE INDEX IF NOT EXISTS member_once ON account.member (organizer_id, issuer, subject) WHERE removed_at IS NULL;
CREATE INDEX IF NOT EXISTS member_gone ON account.member (removed_at) WHERE removed_at IS NOT NULL;

-- The token in the mail is kept as its hash.
CREATE TABLE IF NOT EXISTS account.invitation (
	invitation_id text PRIMARY KEY,
	organizer_id text NOT NULL REFERENCES account.organizer (organizer_id),
	email text NOT NULL,
	role text NOT NULL CHECK (role IN ('owner', 'admin', 'events', 'orders', 'finance', 'door', 'reader')),
	locale text NOT NULL,
	token_hash text NOT NULL,
	invited_at timestamptz NOT NULL,
	invited_by text NOT NULL,
	inviter text NOT NULL,
	expires_at timestamptz NOT NULL,
	ended_at timestamptz,
	withdrawn_by text NOT NULL DEFAULT '',
	member_id text NOT NULL DEFAULT '',
	CONSTRAINT invitation_ended CHECK ((ended_at IS NULL) = (withdrawn_by = '' AND member_id = ''))
);
CREATE INDEX IF NOT EXISTS invitation_of ON account.invitation (organizer_id, invited_at);
CREATE INDEX IF NOT EXISTS invitation_past ON account.invitation (expires_at);

-- What a key says of itself is signed; this row says whether it still stands.
CREATE TABLE IF NOT EXISTS account.api_key (
	key_id text PRIMARY KEY,
	organizer_id text NOT NULL REFERENCES account.organizer (organizer_id),
	name text NOT NULL,
	role text NOT NULL,
	permissions text[] NOT NULL,
	key_hash text NOT NULL,
	created_at timestamptz NOT NULL,
	created_by text NOT NULL,
	expires_at timestamptz NOT NULL,
	ends_at timestamptz NOT NULL,
	replaced_by text NOT NULL DEFAULT '',
	revoked_by text NOT NULL DEFAULT '',
	CONSTRAINT api_key_ends CHECK (ends_at <= expires_at)
);
CREATE INDEX IF NOT EXISTS api_key_of ON account.api_key (organizer_id, created_at);
CREATE INDEX IF NOT EXISTS api_key_past ON account.api_key (expires_at);

-- What is refused everywhere from a moment on, until it would have expired anyway:
-- key:<id> and sid:<hash>.
CREATE TABLE IF NOT EXISTS account.revocation (
	subject text PRIMARY KEY,
	kind text NOT NULL CHECK (kind IN ('key', 'session')),
	from_at timestamptz NOT NULL,
	until_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS revocation_until ON account.revocation (until_at);
