package store

import (
	"context"
	"time"

	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const setRefundConsent = `UPDATE checkout.ticket SET refund_consent = $2 WHERE ticket_id = $1 AND transfers > 0 AND state <> 'canceled'`

// SetRefundConsent stores that who was given a ticket agreed to its refund, or with the
// zero time that he does not any more; the caller holds the event's lock.
func (s *Store) SetRefundConsent(ctx context.Context, tx txn.Tx, ticket id.Ticket, at time.Time) error {
	var when *time.Time
	if !at.IsZero() {
		when = &at
	}
	tag, err := s.on(tx).Exec(ctx, setRefundConsent, ticket.String(), when)
	if err == nil && tag.RowsAffected() == 0 {
		return checkout.ErrTransferred
	}
	return sqldb.Classify(err)
}
