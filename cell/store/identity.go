package store

import (
	"context"
	"time"

	"guichet/internal/sqldb"
)

const insertUsedLink = `INSERT INTO identity.used_link (mark, until_at) VALUES ($1, $2) ON CONFLICT (mark) DO NOTHING`

// UseLink remembers that a mailed link was used, and says whether that was the first time.
func (s *Store) UseLink(ctx context.Context, mark string, until time.Time) (first bool, err error) {
	tag, err := s.DB.Pool.Exec(ctx, insertUsedLink, mark, until)
	return err == nil && tag.RowsAffected() == 1, sqldb.Classify(err)
}

const forgetBatch = 1000

const deleteUsedLinks = `DELETE FROM identity.used_link WHERE mark IN (SELECT u.mark FROM identity.used_link AS u
	WHERE u.until_at < statement_timestamp() ORDER BY u.until_at LIMIT $1)`

// ForgetLinks drops links that have ended anyway.
func (s *Store) ForgetLinks(ctx context.Context) (int64, error) {
	tag, err := s.DB.Pool.Exec(ctx, deleteUsedLinks, forgetBatch)
	return tag.RowsAffected(), sqldb.Classify(err)
}
