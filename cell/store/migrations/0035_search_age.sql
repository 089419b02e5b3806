-- Hints that nobody tells any more are swept by their age.
CREATE INDEX IF NOT EXISTS availability_age ON search.availability (as_of);
