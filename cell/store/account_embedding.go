package store

import (
	"context"

	"guichet/cell/id"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const selectEmbedding = `SELECT origins FROM account.embedding WHERE organizer_id = $1`

// EmbeddingOf is on which origins' pages the shop of an organizer's events at home here may
// be shown; none where he said nothing.
func (s *Store) EmbeddingOf(ctx context.Context, tx txn.Tx, org id.Organizer) (origins []string, err error) {
	err = s.on(tx).QueryRow(ctx, selectEmbedding, org.String()).Scan(&origins)
	if noRows(err) {
		return nil, nil
	}
	return origins, sqldb.Classify(err)
}

const upsertEmbedding = `INSERT INTO account.embedding (organizer_id, origins) VALUES ($1, $2)
	ON CONFLICT (organizer_id) DO UPDATE SET origins = excluded.origins, updated_at = now()`

// SetEmbedding stores them in place of those before.
func (s *Store) SetEmbedding(ctx context.Context, tx txn.Tx, org id.Organizer, origins []string) error {
	_, err := s.on(tx).Exec(ctx, upsertEmbedding, org.String(), origins)
	return sqldb.Classify(err)
}
