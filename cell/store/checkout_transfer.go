package store

import (
	"context"
	"time"

	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const giveTicket = `UPDATE checkout.ticket AS t SET ticket_id = $2, attendee = $3, barcode = $4, issued_at = $5, transfers = t.transfers + 1,
	holder_email = $6, holder_locale = $7, given_by = $8, refund_consent = NULL,
	first_id = CASE WHEN t.transfers = 0 THEN t.ticket_id ELSE t.first_id END,
	given_to = CASE WHEN t.transfers = 0 THEN $3 ELSE t.given_to END,
	given_at = CASE WHEN t.transfers = 0 THEN $5 ELSE t.given_at END
	WHERE t.ticket_id = $1 AND t.state = 'valid' RETURNING t.order_id, t.position, t.transfers`

const selectBarcode = `SELECT barcode FROM checkout.ticket WHERE ticket_id = $1`

const insertTransfer = `INSERT INTO checkout.transfer (ticket_id, event_id, order_id, position, number, to_name, at)
	VALUES ($1, $2, $3, $4, $5, $6, $7)`

// TransferTicket puts another ticket in the place of one that is valid, revokes the old
// barcode and remembers the old id, which the primary key lets die only once; the
// caller holds the event's lock.
func (s *Store) TransferTicket(ctx context.Context, tx txn.Tx, old id.Ticket, now checkout.Ticket, at time.Time) error {
	return s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error {
		var barcode, order string
		var position, number int64
		err := tx.QueryRow(ctx, selectBarcode, old.String()).Scan(&barcode)
		if err == nil {
			err = tx.QueryRow(ctx, giveTicket, old.String(), now.ID.String(), now.Attendee, now.Barcode, at,
				now.Holder.Email, now.Holder.Locale, now.Holder.By).Scan(&order, &position, &number)
		}
		if noRows(err) {
			return checkout.ErrTransferred
		}
		if err != nil {
			return sqldb.Classify(err)
		}
		if _, err := tx.Exec(ctx, insertTransfer, old.String(), old.Event().String(), order, position, number, now.Attendee, at); err != nil {
			return sqldb.Classify(err)
		}
		return s.Revoke(ctx, tx, old.Event(), []string{barcode})
	})
}

const selectDead = `SELECT f.to_name, f.at, t.order_id, t.ticket_type_id, t.name, t.seat_id, t.seat_section, t.seat_row, t.seat_number
	FROM checkout.transfer AS f JOIN checkout.ticket AS t ON t.order_id = f.order_id AND t.position = f.position WHERE f.ticket_id = $1`

// deadTicket is what is left of an id that was given away: nothing that admits, and
// nothing of who has it now but the name that he who had this id gave.
func (s *Store) deadTicket(ctx context.Context, tx txn.Tx, ticket id.Ticket) (checkout.Ticket, error) {
	t := checkout.Ticket{ID: ticket, State: checkout.TicketCanceled, Gone: checkout.Given{ID: ticket}}
	var order, kind string
	err := s.on(tx).QueryRow(ctx, selectDead, ticket.String()).Scan(&t.Gone.To, &t.Gone.At, &order, &kind, &t.Name,
		&t.Seat.ID, &t.Seat.Section, &t.Seat.Row, &t.Seat.Number)
	if noRows(err) {
		return checkout.Ticket{}, checkout.ErrTicketNotFound
	}
	if err != nil {
		return checkout.Ticket{}, sqldb.Classify(err)
	}
	if t.Order, err = id.ParseOrder(order); err != nil {
		return checkout.Ticket{}, corrupt(err)
	}
	if t.Type, err = id.ParseTicketType(kind); err != nil {
		return checkout.Ticket{}, corrupt(err)
	}
	return t, nil
}

// goneOf is what a ticket's buyer is told of it once he gave it away.
func goneOf(t *checkout.Ticket, first string, at *time.Time) (err error) {
	if first == "" {
		return nil
	}
	if at != nil {
		t.Gone.At = *at
	}
	if t.Gone.ID, err = id.ParseTicket(first); err != nil {
		return corrupt(err)
	}
	return nil
}

const selectTransferPolicy = `SELECT transfers FROM checkout.policy WHERE event_id = $1`

// TransferPolicy is what the organizer lets holders do, TransfersAllowed where he said nothing.
func (s *Store) TransferPolicy(ctx context.Context, tx txn.Tx, event id.Event) (p checkout.TransferPolicy, err error) {
	err = s.on(tx).QueryRow(ctx, selectTransferPolicy, event.String()).Scan(&p)
	if noRows(err) {
		return checkout.TransfersAllowed, nil
	}
	return p, sqldb.Classify(err)
}

const upsertTransferPolicy = `INSERT INTO checkout.policy (event_id, transfers) VALUES ($1, $2)
	ON CONFLICT (event_id) DO UPDATE SET transfers = excluded.transfers`

// SetTransferPolicy stores what the organizer lets holders do.
func (s *Store) SetTransferPolicy(ctx context.Context, tx txn.Tx, event id.Event, p checkout.TransferPolicy) error {
	_, err := s.on(tx).Exec(ctx, upsertTransferPolicy, event.String(), string(p))
	return sqldb.Classify(err)
}
