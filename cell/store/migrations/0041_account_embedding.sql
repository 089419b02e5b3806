-- On whose pages the shop of an organizer's events may be shown in a frame. It is kept by
-- each home of his events, as his payment account is; account.organizer is at one of them.
CREATE TABLE IF NOT EXISTS account.embedding (
	organizer_id text PRIMARY KEY,
	origins text[] NOT NULL,
	updated_at timestamptz NOT NULL DEFAULT now()
);
