package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const (
	selectOrderGeneration  = `SELECT access_generation FROM checkout.orders WHERE order_id = $1`
	selectTicketGeneration = `SELECT access_generation FROM checkout.ticket WHERE ticket_id = $1`
	selectTicketOrder      = `SELECT order_id FROM checkout.ticket WHERE ticket_id = $1 AND transfers = 0`
	selectGoneOrder        = `SELECT order_id FROM checkout.transfer WHERE ticket_id = $1`
	renewOrder             = `UPDATE checkout.orders SET access_generation = access_generation + 1 WHERE order_id = $1 RETURNING access_generation`
	renewTickets           = `UPDATE checkout.ticket SET access_generation = access_generation + 1 WHERE order_id = $1 AND transfers = 0`
)

// OrderGeneration is the generation that tokens of the order must have.
func (s *Store) OrderGeneration(ctx context.Context, order id.Order) (generation int64, err error) {
	err = s.DB.Pool.QueryRow(ctx, selectOrderGeneration, order.String()).Scan(&generation)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, checkout.ErrOrderNotFound
	}
	return generation, sqldb.Classify(err)
}

// TicketGeneration is the generation that tokens of the ticket must have. An id that
// died of a transfer keeps the first: its token shows only that it was given away.
func (s *Store) TicketGeneration(ctx context.Context, ticket id.Ticket) (generation int64, err error) {
	err = s.DB.Pool.QueryRow(ctx, selectTicketGeneration, ticket.String()).Scan(&generation)
	if errors.Is(err, pgx.ErrNoRows) {
		_, err := s.OrderOfTicket(ctx, ticket)
		return 0, err
	}
	return generation, sqldb.Classify(err)
}

// OrderOfTicket is the order whose buyer has, or had, the ticket under this id. Of one
// that somebody else was given there is none: it is not the buyer's to see.
func (s *Store) OrderOfTicket(ctx context.Context, ticket id.Ticket) (id.Order, error) {
	for _, sql := range []string{selectTicketOrder, selectGoneOrder} {
		var text string
		err := s.DB.Pool.QueryRow(ctx, sql, ticket.String()).Scan(&text)
		if errors.Is(err, pgx.ErrNoRows) {
			continue
		}
		if err != nil {
			return id.Order{}, sqldb.Classify(err)
		}
		order, err := id.ParseOrder(text)
		if err != nil {
			return id.Order{}, corrupt(err)
		}
		return order, nil
	}
	return id.Order{}, checkout.ErrTicketNotFound
}

// RenewAccess withdraws all links to an order and to those of its tickets that its
// buyer still has, and answers the new generation.
func (s *Store) RenewAccess(ctx context.Context, tx txn.Tx, order id.Order) (generation int64, err error) {
	err = s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error {
		err := tx.QueryRow(ctx, renewOrder, order.String()).Scan(&generation)
		if errors.Is(err, pgx.ErrNoRows) {
			return checkout.ErrOrderNotFound
		}
		if err != nil {
			return sqldb.Classify(err)
		}
		_, err = tx.Exec(ctx, renewTickets, order.String())
		return sqldb.Classify(err)
	})
	return generation, err
}
