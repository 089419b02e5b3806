-- Links that were mailed to sign somebody in and have been used: each is good for one
-- time, at whatever process of the cell.
CREATE SCHEMA IF NOT EXISTS identity;

CREATE TABLE IF NOT EXISTS identity.used_link (
	mark text PRIMARY KEY,
	until_at timestamptz NOT NULL
);

CREATE INDEX IF NOT EXISTS used_link_until ON identity.used_link (until_at);
