-- What the copy of the town's catalogue is compared by with each home (ADR 012), and
-- how long what is not published any more is remembered. doc ends as the store writes it.
ALTER TABLE search.document ADD COLUMN IF NOT EXISTS home text NOT NULL DEFAULT '',
	ADD COLUMN IF NOT EXISTS published boolean NOT NULL DEFAULT true,
	ADD COLUMN IF NOT EXISTS changed_at timestamptz NOT NULL DEFAULT now();
UPDATE search.document SET home = substr(event_id, 5, length(event_id) - 17), published = doc LIKE '%"published":true}' WHERE home = '';
CREATE INDEX IF NOT EXISTS document_by_home ON search.document (home, event_id, version) WHERE published;
CREATE INDEX IF NOT EXISTS document_gone ON search.document (changed_at) WHERE NOT published;
