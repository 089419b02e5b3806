package store

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/sqldb"
)

const selectLedger = `SELECT first_entry, at, entries, prev, hash FROM booking.ledger
	WHERE event_id = $1 AND first_entry > $2 ORDER BY first_entry LIMIT $3`

// Ledger reads the rows of an event's ledger whose first entry lies behind after.
func (s *Store) Ledger(ctx context.Context, event id.Event, after int64, limit int) ([]booking.LedgerRow, error) {
	rows, err := s.DB.Pool.Query(ctx, selectLedger, event.String(), after, limit)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (booking.LedgerRow, error) {
		r := booking.LedgerRow{Event: event}
		var entries []byte
		err := row.Scan(&r.First, &r.At, &entries, &r.Prev, &r.Hash)
		r.Entries, r.At = json.RawMessage(entries), r.At.UTC()
		return r, err
	})
	return out, sqldb.Classify(err)
}
