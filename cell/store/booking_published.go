package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/converge"
	"guichet/cell/id"
	"guichet/cell/search"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

var _ converge.Own = (*Store)(nil)

// CatalogueRetention is how long after its end an event stays in the copies of the
// catalogue: its home does not list it any more, so the other cells take it away.
const CatalogueRetention = 400 * 24 * time.Hour

const (
	// selectHomeEntries reads its page in order of the key, whatever it finds there.
	selectHomeEntries = `SELECT event_id, version, state = 'published' AND COALESCE(ends_at, starts_at + INTERVAL '24 hours') > statement_timestamp() - $5::float8 * INTERVAL '1 second'
		FROM booking.event WHERE event_id > $1 AND event_id >= $2 AND event_id <= $3 ORDER BY event_id LIMIT $4`

	selectAllEntries = `SELECT event_id, version, state = 'published' AND COALESCE(ends_at, starts_at + INTERVAL '24 hours') > statement_timestamp() - $3::float8 * INTERVAL '1 second'
		FROM booking.event WHERE event_id > $1 ORDER BY event_id LIMIT $2`
)

// Entries implements converge.Own.
func (s *Store) Entries(ctx context.Context, bucket, after string, limit int) (entries []converge.Entry, next string, err error) {
	old := CatalogueRetention.Seconds()
	var rows pgx.Rows
	if low, high, ok := converge.Bounds(bucket); ok {
		rows, err = s.DB.Pool.Query(ctx, selectHomeEntries, after, low, high, limit, old) //nolint:rowserrcheck // ForEachRow checks
	} else {
		rows, err = s.DB.Pool.Query(ctx, selectAllEntries, after, limit, old) //nolint:rowserrcheck // ForEachRow checks
	}
	if err != nil {
		return nil, "", fmt.Errorf("list published events: %w", sqldb.Classify(err))
	}
	var e converge.Entry
	var published bool
	read := 0
	if _, err := pgx.ForEachRow(rows, []any{&e.Event, &e.Version, &published}, func() error {
		if read, next = read+1, e.Event; published && (bucket == "" || converge.BucketOf(e.Event) == bucket) {
			entries = append(entries, e)
		}
		return nil
	}); err != nil {
		return nil, "", fmt.Errorf("list published events: %w", sqldb.Classify(err))
	}
	if read < limit {
		next = ""
	}
	return entries, next, nil
}

// PublishedDocuments implements converge.Own with what Announce would tell the bus.
func (s *Store) PublishedDocuments(ctx context.Context, events []string) ([]search.Document, error) {
	ids := make([]id.Event, 0, len(events))
	for _, event := range events {
		eid, err := id.ParseEvent(event)
		if err != nil {
			return nil, err
		}
		ids = append(ids, eid)
	}
	all, err := s.Events(ctx, txn.None, ids)
	if err != nil || s.Announce == nil {
		return nil, err
	}
	docs := make([]search.Document, 0, len(all))
	for i := range all {
		if all[i].State != booking.Published {
			continue
		}
		payload, err := s.Announce(all[i])
		if err != nil {
			return nil, fmt.Errorf("make document of %s: %w", all[i].ID, err)
		}
		d, err := search.ParseDocument(payload)
		if err != nil {
			return nil, err
		}
		docs = append(docs, d)
	}
	return docs, nil
}
