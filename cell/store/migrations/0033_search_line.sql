-- Which of a cell's beats were heard: a gap makes its hints unknown until the cell
-- has told everything again (P9). Hints of before are unknown until the next round.
ALTER TABLE search.freshness ADD COLUMN IF NOT EXISTS run text NOT NULL DEFAULT '',
	ADD COLUMN IF NOT EXISTS first_seq bigint NOT NULL DEFAULT 0,
	ADD COLUMN IF NOT EXISTS last_seq bigint NOT NULL DEFAULT 0,
	ADD COLUMN IF NOT EXISTS whole boolean NOT NULL DEFAULT false;
