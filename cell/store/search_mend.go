package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/converge"
	"guichet/cell/search"
	"guichet/control-plane/topology"
	"guichet/internal/sqldb"
)

var _ converge.Copy = (*Store)(nil)

const (
	selectCopied = `SELECT event_id, version FROM search.document
		WHERE home = $1 AND published AND event_id > $2 AND event_id >= $3 AND event_id <= $4 ORDER BY event_id LIMIT $5`

	selectAllCopied = `SELECT event_id, version FROM search.document WHERE home = $1 AND published AND event_id > $2 ORDER BY event_id LIMIT $3`

	sweepGone = `DELETE FROM search.document WHERE event_id IN (SELECT d.event_id FROM search.document AS d
		WHERE NOT d.published AND d.changed_at < statement_timestamp() - $1::float8 * INTERVAL '1 second' ORDER BY d.changed_at LIMIT $2)`

	sweepHints = `DELETE FROM search.availability WHERE event_id IN (SELECT a.event_id FROM search.availability AS a
		WHERE a.as_of < statement_timestamp() - $1::float8 * INTERVAL '1 second' ORDER BY a.as_of LIMIT $2)`

	lockCounter = `SELECT seq FROM search.counter WHERE one = 1 FOR UPDATE`

	// selectCopies says of a tombstone whether it is settled: nothing that was fetched
	// before it came is still on its way.
	selectCopies = `SELECT event_id, version, home, published, doc, changed_at < now() - INTERVAL '10 minutes' FROM search.document WHERE event_id = ANY($1)`

	// mendDocuments is upsertDocuments for what was compared before, under the counter's
	// lock: the home's word counts, of an older version too.
	mendDocuments = `INSERT INTO search.document (event_id, version, seq, doc, home, published)
		SELECT event_id, version, seq, doc, home, published
		FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::boolean[]) AS d (event_id, version, seq, doc, home, published)
		ON CONFLICT (event_id) DO UPDATE SET version = excluded.version, seq = excluded.seq, doc = excluded.doc,
			home = excluded.home, published = excluded.published, changed_at = now()`
)

const (
	// TombstoneRetention outlives every stream from which an older version could come.
	TombstoneRetention = 30 * 24 * time.Hour
	// HintRetention is longer than a live event's hint goes without being written anew.
	HintRetention = 7 * 24 * time.Hour
)

// SweepCatalogue deletes tombstones and hints that are past their time, in bounded
// batches, and answers how many rows went.
func (s *Store) SweepCatalogue(ctx context.Context) (int64, error) {
	gone, err := s.DB.Pool.Exec(ctx, sweepGone, TombstoneRetention.Seconds(), sweepBatch)
	if err != nil {
		return 0, fmt.Errorf("sweep tombstones: %w", sqldb.Classify(err))
	}
	hints, err := s.DB.Pool.Exec(ctx, sweepHints, HintRetention.Seconds(), sweepBatch)
	if err != nil {
		return gone.RowsAffected(), fmt.Errorf("sweep hints: %w", sqldb.Classify(err))
	}
	return gone.RowsAffected() + hints.RowsAffected(), nil
}

// Copied implements converge.Copy.
func (s *Store) Copied(ctx context.Context, home topology.CellID, bucket, after string, limit int) ([]converge.Entry, error) {
	var rows pgx.Rows
	var err error
	if low, high, ok := converge.Bounds(bucket); ok {
		rows, err = s.DB.Pool.Query(ctx, selectCopied, string(home), after, low, high, limit)
	} else {
		rows, err = s.DB.Pool.Query(ctx, selectAllCopied, string(home), after, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("list the copy: %w", sqldb.Classify(err))
	}
	entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e converge.Entry, err error) {
		return e, row.Scan(&e.Event, &e.Version)
	})
	return entries, sqldb.Classify(err)
}

// Mend implements converge.Copy. The counter's lock keeps every other writer out, so
// what is compared with what was read before is what is there.
func (s *Store) Mend(ctx context.Context, home topology.CellID, docs []search.Document, was map[string]int64, gone []converge.Entry) (changed int, err error) {
	var ids []string
	for i := range docs {
		if err := docs[i].Validate(); err != nil {
			return 0, err
		}
		ids = append(ids, docs[i].ID())
	}
	for _, e := range gone {
		ids = append(ids, e.Event)
	}
	if len(ids) == 0 {
		return 0, nil
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		var seq int64
		if err := tx.QueryRow(ctx, lockCounter).Scan(&seq); err != nil {
			return fmt.Errorf("lock catalogue's counter: %w", err)
		}
		now, err := copiesOf(ctx, tx, home, ids)
		if err != nil {
			return err
		}
		var rows documentRows
		for i := range docs {
			if event := docs[i].ID(); now[event].mayBecome(&docs[i], was[event]) && !slices.Contains(rows.ids, event) {
				if err := rows.add(&docs[i]); err != nil {
					return err
				}
			}
		}
		for _, e := range gone {
			if c := now[e.Event]; c.version == e.Version && c.published && !slices.Contains(rows.ids, e.Event) {
				if err := rows.addGone(c); err != nil {
					return err
				}
			}
		}
		if changed = len(rows.ids); changed == 0 {
			return nil
		}
		return rows.put(ctx, tx, mendDocuments)
	})
	return changed, sqldb.Classify(err)
}

// addGone takes in a copied document as one that is not published any more.
func (r *documentRows) addGone(c copied) error {
	var d search.Document
	if err := json.Unmarshal([]byte(c.doc), &d); err != nil {
		return fmt.Errorf("decode a copied document: %w", err)
	}
	d.Published = false
	return r.add(&d)
}

// copied is what the copy has of an event.
type copied struct {
	version            int64 // 0: nothing of the cell in question
	published, settled bool
	doc                string
}

// mayBecome says whether the home's document may take the copy's place, which had the
// version was when both were compared; 0 is none that is published.
func (c copied) mayBecome(d *search.Document, was int64) bool {
	if c.version == 0 || c.published {
		return c.version == was
	}
	return was == 0 && (c.settled || d.Version >= c.version)
}

// copiesOf reads what the copy has of these events from the cell; a row that a process
// of an older release wrote names no home, and is written anew.
func copiesOf(ctx context.Context, tx *sqldb.Tx, home topology.CellID, ids []string) (map[string]copied, error) {
	rows, err := tx.Query(ctx, selectCopies, ids) //nolint:rowserrcheck // ForEachRow checks
	if err != nil {
		return nil, fmt.Errorf("read copies: %w", err)
	}
	out := make(map[string]copied, len(ids))
	var event, from string
	var c copied
	if _, err := pgx.ForEachRow(rows, []any{&event, &c.version, &from, &c.published, &c.doc, &c.settled}, func() error {
		if from == string(home) {
			out[event] = c
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read copies: %w", err)
	}
	return out, nil
}
