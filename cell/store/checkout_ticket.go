package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const (
	cancelSome = `UPDATE checkout.ticket SET state = 'canceled' WHERE order_id = $1 AND ticket_id = ANY($2::text[])
	AND state IN ('valid', 'checked_in') RETURNING barcode`
	cancelSomeBlocked = `UPDATE checkout.ticket SET state = 'canceled' WHERE order_id = $1 AND ticket_id = ANY($2::text[]) AND state = 'revoked'`
)

// CancelSome voids single tickets of an order and puts them on the event's list of
// revocations, unless they are there; the caller holds the event's lock.
func (s *Store) CancelSome(ctx context.Context, tx txn.Tx, order id.Order, tickets []id.Ticket) error {
	return s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, cancelSomeBlocked, order.String(), texts(tickets)); err != nil {
			return sqldb.Classify(err)
		}
		return s.revoking(ctx, tx, order, cancelSome, order.String(), texts(tickets))
	})
}

// revoking runs a statement that answers barcodes and revokes them.
func (s *Store) revoking(ctx context.Context, tx *sqldb.Tx, order id.Order, sql string, args ...any) error {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return sqldb.Classify(err)
	}
	barcodes, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return sqldb.Classify(err)
	}
	return s.Revoke(ctx, tx, order.Event(), barcodes)
}

const blockTickets = `UPDATE checkout.ticket SET state = 'revoked' WHERE order_id = $1 AND state = 'valid' RETURNING ticket_id, barcode`

// BlockTickets revokes the valid tickets of an order and says which. They are on the
// event's list of revocations for good; the caller holds the event's lock.
func (s *Store) BlockTickets(ctx context.Context, tx txn.Tx, order id.Order) (tickets []id.Ticket, err error) {
	err = s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error {
		rows, err := tx.Query(ctx, blockTickets, order.String())
		if err != nil {
			return sqldb.Classify(err)
		}
		var barcodes []string
		tickets, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (id.Ticket, error) {
			var text, barcode string
			if err := row.Scan(&text, &barcode); err != nil {
				return id.Ticket{}, err
			}
			barcodes = append(barcodes, barcode)
			return id.ParseTicket(text)
		})
		if err != nil {
			return sqldb.Classify(err)
		}
		return s.Revoke(ctx, tx, order.Event(), barcodes)
	})
	return tickets, err
}

const unblockTicket = `UPDATE checkout.ticket SET state = 'valid', barcode = $2 WHERE ticket_id = $1 AND state = 'revoked'`

// UnblockTickets makes those that are still revoked valid again, with new barcodes.
func (s *Store) UnblockTickets(ctx context.Context, tx txn.Tx, tickets []checkout.Ticket) error {
	b := &pgx.Batch{}
	for _, t := range tickets {
		b.Queue(unblockTicket, t.ID.String(), t.Barcode)
	}
	return s.ask(ctx, tx, b)
}
