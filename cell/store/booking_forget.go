package store

import (
	"context"
	"fmt"
	"time"

	"guichet/internal/sqldb"
)

// HoldRetention is how long a hold that ended unsold is kept: buyers and staff may ask
// what became of it. One from which an order was made is kept with the event.
const HoldRetention = 30 * 24 * time.Hour

// holdsPerStep bounds the holds that one step looks at.
const holdsPerStep = 2000

// forgetHolds looks at a page in order of the key and deletes what ended unsold long ago.
// An index of ended holds would cost each hold that ends; a walk costs the sale nothing.
// Holds for named buyers stay, their allocation lists them.
const forgetHolds = `WITH part AS (
		SELECT h.hold_id, h.state IN ('expired', 'released') AND h.order_id = '' AND h.expires_at < statement_timestamp() - $3::float8 * INTERVAL '1 second' AS past
		FROM booking.hold AS h WHERE h.hold_id > $1 ORDER BY h.hold_id LIMIT $2),
	gone AS (DELETE FROM booking.hold WHERE hold_id IN (SELECT p.hold_id FROM part AS p WHERE p.past
		AND NOT EXISTS (SELECT 1 FROM booking.named_hold AS n WHERE n.hold_id = p.hold_id)) RETURNING hold_id)
	SELECT COALESCE((SELECT max(p.hold_id) FROM part AS p), ''), (SELECT count(*) FROM part), (SELECT count(*) FROM gone)`

// ForgetHolds takes one step through the holds, behind after, and answers where the next
// step begins ("" when the walk is over) and how many holds were deleted.
func (s *Store) ForgetHolds(ctx context.Context, after string) (next string, deleted int64, err error) {
	var seen int64
	if err := s.DB.Pool.QueryRow(ctx, forgetHolds, after, holdsPerStep, HoldRetention.Seconds()).Scan(&next, &seen, &deleted); err != nil {
		return after, 0, fmt.Errorf("forget holds: %w", sqldb.Classify(err))
	}
	if seen < holdsPerStep {
		next = ""
	}
	return next, deleted, nil
}
