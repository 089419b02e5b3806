package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const insertOrders = `INSERT INTO checkout.orders (order_id, event_id, hold_id, code, state, refund_status, total, fees, currency,
	buyer, attendees, created_at, expires_at, refund_policy)
	SELECT n.order_id, n.event_id, n.hold_id, n.code, n.state, n.refund_status, n.total, n.fees, n.currency, n.buyer::jsonb, n.attendees::jsonb, n.created_at, n.expires_at, n.refund_policy::jsonb
	FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::text[],
		$12::timestamptz[], $13::timestamptz[], $14::text[])
		AS n (order_id, event_id, hold_id, code, state, refund_status, total, fees, currency, buyer, attendees, created_at, expires_at, refund_policy)
	ON CONFLICT (event_id, code) DO NOTHING RETURNING order_id`

const insertItems = `INSERT INTO checkout.item (order_id, position, ticket_type_id, name, quantity, all_in, fees, tax, tax_on_top, saved, tier_name, seats)
	SELECT n.order_id, n.position, n.ticket_type_id, n.name, n.quantity, n.all_in, n.fees, n.tax, n.tax_on_top, n.saved, n.tier_name, n.seats::jsonb
	FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bool[], $10::bigint[],
		$11::text[], $12::text[])
		AS n (order_id, position, ticket_type_id, name, quantity, all_in, fees, tax, tax_on_top, saved, tier_name, seats)`

const insertMoments = `INSERT INTO checkout.moment (order_id, what, at)
	SELECT n.order_id, n.what, n.at FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS n (order_id, what, at)
	ON CONFLICT (order_id, what) DO NOTHING`

// InsertOrder stores a new order with its items; a code that is taken stores nothing.
func (s *Store) InsertOrder(ctx context.Context, tx txn.Tx, o checkout.Order) error {
	buyer, err := json.Marshal(o.Buyer)
	if err != nil {
		return fmt.Errorf("describe buyer: %w", err)
	}
	attendees, err := json.Marshal(o.Attendees)
	if err != nil {
		return fmt.Errorf("describe attendees: %w", err)
	}
	policy, err := json.Marshal(o.Policy.Stated())
	if err != nil {
		return fmt.Errorf("describe policy: %w", err)
	}
	return s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error {
		stored, err := s.insertOne(ctx, tx, insertOrders, o.ID.String(), o.ID.Event().String(), o.Hold.String(), o.Code, string(o.State), string(o.Refund),
			o.Total.Amount, o.Fees, o.Total.Currency, buyer, attendees, o.CreatedAt, o.ExpiresAt, policy)
		if err != nil {
			return err
		}
		if !stored {
			return checkout.ErrCodeTaken
		}
		b := &pgx.Batch{}
		for i, item := range o.Items {
			seats, err := describeSeats(item)
			if err != nil {
				return err
			}
			b.Queue(insertItems, sqldb.Row(o.ID.String(), int64(i), item.Type.String(), item.Name, item.Quantity, item.AllIn.Amount,
				item.Fees, item.Tax, item.TaxOnTop, item.Saved, item.TierName, seats)...)
		}
		b.Queue(insertMoments, sqldb.Row(o.ID.String(), "created", o.CreatedAt)...)
		return s.putAll(ctx, tx, b)
	})
}

// describeSeats is nil for general admission.
func describeSeats(item booking.HoldItem) ([]byte, error) {
	if len(item.Seats) == 0 {
		return nil, nil
	}
	seats, err := json.Marshal(item.Seats)
	if err != nil {
		return nil, fmt.Errorf("describe seats: %w", err)
	}
	return seats, nil
}

// Orders are read by looking each id up, as holds are (selectHolds).
const selectOrders = `SELECT n.order_id, f.hold_id, f.code, f.state, f.refund_status, f.total, f.fees, f.currency, f.buyer, f.attendees, f.created_at, f.expires_at, f.access_generation, f.refund_policy, f.kept
	FROM unnest($1::text[]) AS n (order_id)
	CROSS JOIN LATERAL (SELECT o.hold_id, o.code, o.state, o.refund_status, o.total, o.fees, o.currency, o.buyer, o.attendees, o.created_at, o.expires_at, o.access_generation, o.refund_policy, o.kept
		FROM checkout.orders AS o WHERE o.order_id = n.order_id LIMIT 1) AS f`

const selectItems = `SELECT n.order_id, f.ticket_type_id, f.name, f.quantity, f.all_in, f.fees, f.tax, f.tax_on_top, f.saved, f.tier_name, f.seats
	FROM unnest($1::text[]) AS n (order_id)
	CROSS JOIN LATERAL (SELECT i.position, i.ticket_type_id, i.name, i.quantity, i.all_in, i.fees, i.tax, i.tax_on_top, i.saved, i.tier_name, i.seats
		FROM checkout.item AS i WHERE i.order_id = n.order_id OFFSET 0) AS f ORDER BY n.order_id, f.position`

const selectTickets = `SELECT n.order_id, f.ticket_id, f.order_id, f.ticket_type_id, f.name, f.attendee, f.state, f.barcode,
	f.seat_id, f.seat_section, f.seat_row, f.seat_number, f.transfers, f.holder_email, f.holder_locale, f.given_by, f.first_id, f.given_to, f.given_at, f.access_generation, f.refund_consent
	FROM unnest($1::text[]) AS n (order_id)
	CROSS JOIN LATERAL (SELECT t.position, t.ticket_id, t.order_id, t.ticket_type_id, t.name, t.attendee, t.state, t.barcode,
		t.seat_id, t.seat_section, t.seat_row, t.seat_number, t.transfers, t.holder_email, t.holder_locale, t.given_by, t.first_id, t.given_to, t.given_at, t.access_generation, t.refund_consent
		FROM checkout.ticket AS t WHERE t.order_id = n.order_id OFFSET 0) AS f ORDER BY n.order_id, f.position`

const selectMoments = `SELECT n.order_id, f.what, f.at FROM unnest($1::text[]) AS n (order_id)
	CROSS JOIN LATERAL (SELECT m.what, m.at FROM checkout.moment AS m WHERE m.order_id = n.order_id OFFSET 0) AS f ORDER BY n.order_id, f.at, f.what`

// Brief reads an order with its payment, and nothing else of it.
func (s *Store) Brief(ctx context.Context, tx txn.Tx, order id.Order) (checkout.Order, error) {
	o := checkout.Order{ID: order}
	b := &pgx.Batch{}
	queueBrief(b, &o)
	if err := s.ask(ctx, tx, b); err != nil {
		return checkout.Order{ID: order}, sqldb.Classify(err)
	}
	return o, nil
}

func queueBrief(b *pgx.Batch, o *checkout.Order) {
	order := o.ID
	sqldb.FindOne(b, selectOrders, func(row pgx.Row) error {
		*o = checkout.Order{ID: order} // the batch may be sent again
		return scanOrder(row, o)
	}, order.String())
	sqldb.FindOne(b, selectPayments, func(row pgx.Row) (err error) {
		o.Payment, err = scanPayment(row, order)
		return err
	}, order.String())
}

// Order reads an order with its payment, tickets and timeline, in one message to
// the database. The order's row is read first: what it says is there (a paid
// order's tickets) is there.
func (s *Store) Order(ctx context.Context, tx txn.Tx, order id.Order) (checkout.Order, error) {
	o := checkout.Order{ID: order}
	b := &pgx.Batch{}
	queueOrder(b, &o)
	if err := s.ask(ctx, tx, b); err != nil {
		return checkout.Order{ID: order}, sqldb.Classify(err)
	}
	return o, nil
}

// queueOrder queues the reads that make an order, whose id it has.
func queueOrder(b *pgx.Batch, o *checkout.Order) {
	order := o.ID.String()
	queueBrief(b, o)
	sqldb.FindEach(b, selectItems, func(row pgx.Row) error { return scanItem(row, o) }, order)
	sqldb.FindEach(b, selectTickets, func(row pgx.Row) error {
		t, err := scanTicket(row)
		o.Tickets = append(o.Tickets, t)
		return err
	}, order)
	sqldb.FindEach(b, selectMoments, func(row pgx.Row) error {
		var m checkout.Moment
		err := row.Scan(&m.What, &m.At)
		o.Timeline = append(o.Timeline, m)
		return err
	}, order)
}

func scanOrder(row pgx.Row, o *checkout.Order) error {
	var hold, state, refund string
	var buyer, attendees, policy []byte
	err := row.Scan(&hold, &o.Code, &state, &refund, &o.Total.Amount, &o.Fees, &o.Total.Currency, &buyer, &attendees, &o.CreatedAt, &o.ExpiresAt, &o.Access, &policy, &o.Kept)
	if errors.Is(err, pgx.ErrNoRows) {
		return checkout.ErrOrderNotFound
	}
	if err != nil {
		return err
	}
	o.State, o.Refund = checkout.State(state), checkout.RefundStatus(refund)
	if o.Hold, err = id.ParseHold(hold); err != nil {
		return corrupt(err)
	}
	if err := errors.Join(json.Unmarshal(buyer, &o.Buyer), json.Unmarshal(attendees, &o.Attendees)); err != nil {
		return corrupt(err)
	}
	if o.Policy = booking.FormerRefundPolicy(); len(policy) > 0 {
		o.Policy = booking.RefundPolicy{}
		if err := json.Unmarshal(policy, &o.Policy); err != nil {
			return corrupt(err)
		}
	}
	return nil
}

func scanItem(row pgx.Row, o *checkout.Order) error {
	item := booking.HoldItem{}
	item.AllIn.Currency = o.Total.Currency
	var tid string
	var seats []byte
	if err := row.Scan(&tid, &item.Name, &item.Quantity, &item.AllIn.Amount, &item.Fees, &item.Tax, &item.TaxOnTop, &item.Saved, &item.TierName, &seats); err != nil {
		return err
	}
	if len(seats) > 0 {
		if err := json.Unmarshal(seats, &item.Seats); err != nil {
			return corrupt(err)
		}
	}
	var err error
	if item.Type, err = id.ParseTicketType(tid); err != nil {
		return corrupt(err)
	}
	o.Items = append(o.Items, item)
	return nil
}

func scanTicket(row pgx.Row) (checkout.Ticket, error) {
	var t checkout.Ticket
	var kid, oid, tid, state, seat, first string
	var givenAt, consented *time.Time
	if err := row.Scan(&kid, &oid, &tid, &t.Name, &t.Attendee, &state, &t.Barcode, &seat, &t.Seat.Section, &t.Seat.Row, &t.Seat.Number,
		&t.Transfers, &t.Holder.Email, &t.Holder.Locale, &t.Holder.By, &first, &t.Gone.To, &givenAt, &t.Access, &consented); err != nil {
		return t, err
	}
	if err := goneOf(&t, first, givenAt); err != nil {
		return t, err
	}
	if consented != nil {
		t.Consented = *consented
	}
	t.Seat.ID = booking.SeatID(seat)
	t.State = checkout.TicketState(state)
	var err error
	if t.ID, err = id.ParseTicket(kid); err != nil {
		return t, corrupt(err)
	}
	if t.Order, err = id.ParseOrder(oid); err != nil {
		return t, corrupt(err)
	}
	if t.Type, err = id.ParseTicketType(tid); err != nil {
		return t, corrupt(err)
	}
	return t, nil
}

const updateOrders = `UPDATE checkout.orders SET state = n.state, refund_status = n.refund_status, kept = n.kept, changed_at = statement_timestamp()
	FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS n (order_id, state, refund_status, kept)
	WHERE checkout.orders.order_id = n.order_id AND checkout.orders.order_id = ANY($1)`

// SetOrder stores an order's state and a moment; the caller holds the event's lock.
func (s *Store) SetOrder(ctx context.Context, tx txn.Tx, o checkout.Order, at time.Time, what string) error {
	b := &pgx.Batch{}
	b.Queue(updateOrders, sqldb.Row(o.ID.String(), string(o.State), string(o.Refund), o.Kept)...)
	b.Queue(insertMoments, sqldb.Row(o.ID.String(), what, at)...)
	return s.putAll(ctx, tx, b)
}

const touchOrders = `UPDATE checkout.orders SET changed_at = statement_timestamp() FROM unnest($1::text[]) AS n (order_id)
	WHERE checkout.orders.order_id = n.order_id AND checkout.orders.order_id = ANY($1)`

// Note adds a moment to the timeline, once per word. A moment on the way of a payment
// does not make the order a changed one: what it comes to does.
func (s *Store) Note(ctx context.Context, tx txn.Tx, order id.Order, at time.Time, what string) error {
	if !strings.HasPrefix(what, "payment_") {
		if err := s.put(ctx, tx, touchOrders, sqldb.Row(order.String())...); err != nil {
			return err
		}
	}
	return s.put(ctx, tx, insertMoments, sqldb.Row(order.String(), what, at)...)
}

const insertTickets = `INSERT INTO checkout.ticket (ticket_id, order_id, event_id, position, ticket_type_id, name, attendee, state, barcode, issued_at,
	seat_id, seat_section, seat_row, seat_number)
	SELECT t.ticket_id, t.order_id, t.event_id, t.position, t.ticket_type_id, t.name, t.attendee, t.state, t.barcode, t.issued_at, t.seat_id, t.section, t.row_name, t.number
	FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::timestamptz[],
		$11::text[], $12::text[], $13::text[], $14::text[])
		AS t (ticket_id, order_id, event_id, position, ticket_type_id, name, attendee, state, barcode, issued_at, seat_id, section, row_name, number)`

// InsertTickets stores the tickets of one order; the constraint ticket_once keeps
// a second set of them out, whatever happens (P3).
func (s *Store) InsertTickets(ctx context.Context, tx txn.Tx, tickets []checkout.Ticket, at time.Time) error {
	if len(tickets) == 0 {
		return nil
	}
	var rows sqldb.Rows
	for i, t := range tickets {
		rows.Add(t.ID.String(), t.Order.String(), t.Order.Event().String(), int64(i), t.Type.String(), t.Name, t.Attendee, string(t.State), t.Barcode, at,
			string(t.Seat.ID), t.Seat.Section, t.Seat.Row, t.Seat.Number)
	}
	return s.put(ctx, tx, insertTickets, rows...)
}

const (
	cancelTickets = `UPDATE checkout.ticket SET state = 'canceled' WHERE order_id = $1 AND state IN ('valid', 'checked_in') RETURNING barcode`
	cancelBlocked = `UPDATE checkout.ticket SET state = 'canceled' WHERE order_id = $1 AND state = 'revoked'`
)

// CancelTickets voids the tickets of an order and puts them on the event's list of
// revocations, unless they are there; the caller holds the event's lock.
func (s *Store) CancelTickets(ctx context.Context, tx txn.Tx, order id.Order) error {
	return s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, cancelBlocked, order.String()); err != nil {
			return sqldb.Classify(err)
		}
		return s.revoking(ctx, tx, order, cancelTickets, order.String())
	})
}

const selectTicket = `SELECT ticket_id, order_id, ticket_type_id, name, attendee, state, barcode,
	seat_id, seat_section, seat_row, seat_number, transfers, holder_email, holder_locale, given_by, first_id, given_to, given_at, access_generation, refund_consent
	FROM checkout.ticket WHERE ticket_id = $1`

// Ticket reads a ticket; of an id that was given away, what is left to be told.
func (s *Store) Ticket(ctx context.Context, tx txn.Tx, ticket id.Ticket) (checkout.Ticket, error) {
	t, err := scanTicket(s.on(tx).QueryRow(ctx, selectTicket, ticket.String()))
	if errors.Is(err, pgx.ErrNoRows) {
		return s.deadTicket(ctx, tx, ticket)
	}
	return t, sqldb.Classify(err)
}

// Clock is the database's.
func (s *Store) Clock(ctx context.Context, tx txn.Tx) (time.Time, error) {
	if w := sharedOf(tx); w != nil {
		return w.stock.stock.Now, nil
	}
	var now time.Time
	err := s.on(tx).QueryRow(ctx, selectClock).Scan(&now)
	return now, sqldb.Classify(err)
}

const countOrders = `SELECT state, count(*) FROM checkout.orders WHERE event_id = $1 GROUP BY state`

const countTickets = `SELECT ticket_type_id, count(*), count(*) FILTER (WHERE state = 'checked_in') FROM checkout.ticket
	WHERE event_id = $1 AND state <> 'canceled' GROUP BY ticket_type_id`

// Counts counts an event's orders and tickets.
func (s *Store) Counts(ctx context.Context, tx txn.Tx, event id.Event) (orders, sold map[string]int64, checkedIn int64, err error) {
	orders, sold = map[string]int64{}, map[string]int64{}
	b := &pgx.Batch{}
	b.Queue(countOrders, event.String()).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var state string
			var n int64
			if err := rows.Scan(&state, &n); err != nil {
				return err
			}
			orders[state] = n
		}
		return rows.Err()
	})
	b.Queue(countTickets, event.String()).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var tid string
			var n, in int64
			if err := rows.Scan(&tid, &n, &in); err != nil {
				return err
			}
			sold[tid] = n
			checkedIn += in
		}
		return rows.Err()
	})
	return orders, sold, checkedIn, s.ask(ctx, tx, b)
}

const selectOrdersOfEvent = `SELECT order_id FROM checkout.orders WHERE event_id = $1 AND order_id > $2 ORDER BY order_id LIMIT $3`

// OrdersOf lists an event's orders behind an id, in the order of their ids. It asks the
// database twice, however many they are.
func (s *Store) OrdersOf(ctx context.Context, tx txn.Tx, event id.Event, after string, limit int) ([]checkout.Order, error) {
	rows, err := s.on(tx).Query(ctx, selectOrdersOfEvent, event.String(), after, limit)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	return s.ordersByID(ctx, tx, ids, nil)
}
