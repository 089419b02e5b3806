package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/internal/sqldb"
)

const (
	insertReachTicket = `INSERT INTO notify.reach_ticket (address_hash, ticket_id, event_id, at) VALUES ($1, $2, $3, clock_timestamp())
	ON CONFLICT (address_hash, ticket_id) DO NOTHING`
	deleteReachTicket = `DELETE FROM notify.reach_ticket WHERE event_id = $1 AND ticket_id = $2`
)

// reachTicket remembers who was given a single ticket, and forgets who gave it on.
func reachTicket(b *pgx.Batch, m *notify.Message) error {
	if m.Kind != notify.TicketReceived && m.Kind != notify.TicketGiven {
		return nil
	}
	ticket, err := m.Ticket()
	if err != nil {
		return notify.ErrInvalid.With("%s is about a ticket", m.Kind)
	}
	if m.Kind == notify.TicketGiven {
		b.Queue(deleteReachTicket, ticket.Event().String(), ticket.String())
		return nil
	}
	b.Queue(insertReachTicket, notify.AddressHash(m.To), ticket.String(), ticket.Event().String())
	return nil
}

const selectReachTickets = `SELECT ticket_id FROM notify.reach_ticket WHERE address_hash = $1 ORDER BY at DESC, ticket_id LIMIT $2`

// TicketsReached lists single tickets that an address was given, youngest first.
func (s *Store) TicketsReached(ctx context.Context, addressHash string, limit int) ([]id.Ticket, error) {
	rows, err := s.DB.Pool.Query(ctx, selectReachTickets, addressHash, limit)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	tickets, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (id.Ticket, error) {
		var text string
		if err := row.Scan(&text); err != nil {
			return id.Ticket{}, err
		}
		return id.ParseTicket(text)
	})
	return tickets, sqldb.Classify(err)
}
