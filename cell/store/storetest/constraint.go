package storetest

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/payment"
	"guichet/cell/store"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

// These tests go around every lock and every rule of the code: the database's own
// constraints must still refuse (P2, P3; regression 15 for quotas).
var constraintTests = map[string]func(t *testing.T, s *store.Store){
	"Constraint_quotaIsNotOversoldWithoutAnyLock": quotaConstraint,
	"Constraint_oneSetOfTicketsPerOrder":          ticketConstraint,
	"Constraint_oneOrderPerHoldAndPerPayment":     orderConstraint,
	"Constraint_statesAreTheDomains":              stateConstraint,
	"Constraint_ledgersAreInsertOnlyForTheCell":   ledgerConstraint,
}

// What the ledgers tell stays told, whatever the code above does wrong.
func ledgerConstraint(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	b.mustHold(t, b.floor, 1)
	if s.DB.Confined() != store.AppRole {
		t.Fatalf("these tests work as %q", s.DB.Confined())
	}
	before := b.number(t, `SELECT count(*) FROM booking.ledger`)
	for _, sql := range []string{
		`UPDATE booking.ledger SET hash = ''`, `DELETE FROM booking.ledger`, `UPDATE payment.posting SET amount = 0`, `DELETE FROM payment.posting`,
		`TRUNCATE booking.ledger`, `TRUNCATE payment.posting`, `DROP TABLE booking.ledger`, `INSERT INTO booking.ledger (event_id, first_entry, at, entries, prev, hash)
			SELECT event_id, first_entry, at, entries, prev, hash FROM booking.ledger ON CONFLICT (event_id, first_entry) DO UPDATE SET hash = ''`,
	} {
		if _, err := s.DB.Pool.Exec(t.Context(), sql); sqldb.SQLState(err) != "42501" {
			t.Errorf("%s: %v", sql, err)
		}
	}
	b.mustHold(t, b.floor, 1)
	if n := b.number(t, `SELECT count(*) FROM booking.ledger`); n != before+1 {
		t.Errorf("%d rows in the ledger, want %d", n, before+1)
	}
}

const sellOne = `UPDATE booking.quota SET sold = sold + 1 WHERE quota_id = $1`

func quotaConstraint(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	other := twin(t, s)
	var all sync.WaitGroup
	var sold, refused atomic.Int64
	for i := range 40 {
		db := []*sqldb.DB{s.DB, other.DB}[i%2]
		all.Go(func() {
			err := retried(t, func(int) error {
				_, err := db.Pool.Exec(t.Context(), sellOne, b.hall.String())
				return sqldb.Classify(err)
			})
			switch {
			case err == nil:
				sold.Add(1)
			case sqldb.Violates(err, "quota_not_oversold"):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if sold.Load() != 10 || refused.Load() != 30 {
		t.Errorf("%d of 10 were sold, %d refused", sold.Load(), refused.Load())
	}
	for _, sql := range []string{
		`UPDATE booking.quota SET size = 9 WHERE quota_id = $1`,
		`UPDATE booking.quota SET held = 1 WHERE quota_id = $1`,
		`UPDATE booking.quota SET allocated = 1 WHERE quota_id = $1`,
	} {
		if _, err := s.DB.Pool.Exec(t.Context(), sql, b.hall.String()); !sqldb.Violates(err, "quota_not_oversold") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	for _, counter := range []string{"held", "sold", "allocated"} {
		sql := `UPDATE booking.quota SET ` + counter + ` = -1 WHERE quota_id = $1`
		if _, err := s.DB.Pool.Exec(t.Context(), sql, b.upper.String()); sqldb.SQLState(err) != "23514" {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

func ticketConstraint(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	o := b.order(t, 2)
	set := func() []checkout.Ticket {
		var tickets []checkout.Ticket
		for range 2 {
			made := id.NewTicket(b.event.ID)
			tickets = append(tickets, checkout.Ticket{
				ID: made, Order: o.ID, Type: b.floor, Name: "Floor", Attendee: "Zoë", State: checkout.TicketValid, Barcode: made.String(),
			})
		}
		return tickets
	}
	first := set()
	if err := s.InsertTickets(t.Context(), txn.None, first, o.CreatedAt); err != nil {
		t.Fatal(err)
	}
	if err := twin(t, s).InsertTickets(t.Context(), txn.None, set(), o.CreatedAt); !sqldb.Violates(err, "ticket_once") {
		t.Errorf("a second set of tickets: %v", err)
	}
	got, err := s.Order(t.Context(), txn.None, o.ID)
	if err != nil || len(got.Tickets) != 2 || got.Tickets[0] != first[0] || got.Tickets[1] != first[1] {
		t.Errorf("%v: %+v, want %+v", err, got.Tickets, first)
	}
	one, err := s.Ticket(t.Context(), txn.None, first[1].ID)
	if err != nil || one != first[1] {
		t.Errorf("%v: %+v", err, one)
	}
	_, err = s.Ticket(t.Context(), txn.None, id.NewTicket(b.event.ID))
	wantErr(t, err, checkout.ErrTicketNotFound)
	for range 2 {
		if err := s.CancelTickets(t.Context(), txn.None, o.ID); err != nil {
			t.Fatal(err)
		}
	}
	if one, err = s.Ticket(t.Context(), txn.None, first[0].ID); err != nil || one.State != checkout.TicketCanceled {
		t.Errorf("%v: %s", err, one.State)
	}
}

func orderConstraint(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	o := b.order(t, 1)
	second := o
	second.ID, second.Code = id.NewOrder(b.event.ID), "ANOTHER"
	if err := s.InsertOrder(t.Context(), txn.None, second); !sqldb.Violates(err, "orders_of_hold") {
		t.Errorf("a second order of the hold: %v", err)
	}
	pay := func() error {
		return s.InsertPayment(t.Context(), txn.None, payment.Payment{
			ID: id.NewPayment(b.event.ID), Order: o.ID, Provider: "stripe", State: payment.Created, Amount: o.Total,
		})
	}
	if err := pay(); err != nil {
		t.Fatal(err)
	}
	if err := pay(); !sqldb.Violates(err, "payment_of_order") {
		t.Errorf("a second payment of the order: %v", err)
	}
}

func stateConstraint(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	o := b.order(t, 1)
	for sql, args := range map[string][]any{
		`UPDATE booking.hold SET state = 'kept' WHERE hold_id = $1`:                        {o.Hold.String()},
		`UPDATE booking.event SET placement = 'here' WHERE event_id = $1`:                  {b.event.ID.String()},
		`UPDATE checkout.orders SET state = 'done' WHERE order_id = $1`:                    {o.ID.String()},
		`UPDATE checkout.orders SET refund_status = 'some' WHERE order_id = $1`:            {o.ID.String()},
		`UPDATE booking.hold SET items = '{}' WHERE hold_id = $1`:                          {o.Hold.String()},
		`UPDATE booking.ticket_type SET max_per_order = 0 WHERE ticket_type_id = $1`:       {b.floor.String()},
		`UPDATE checkout.orders SET total = -1 WHERE order_id = $1`:                        {o.ID.String()},
		`UPDATE booking.event SET epoch = 0 WHERE event_id = $1 AND state = 'published'`:   {b.event.ID.String()},
		`UPDATE booking.event SET version = 0 WHERE event_id = $1 AND state = 'published'`: {b.event.ID.String()},
	} {
		if _, err := s.DB.Pool.Exec(t.Context(), sql, args...); sqldb.SQLState(err) != "23514" {
			t.Errorf("%s: %v", strings.TrimSpace(sql), err)
		}
	}
}

// order is a pending order of so many floor tickets, its hold bound to it.
func (b shop) order(t *testing.T, n int64) checkout.Order {
	t.Helper()
	h := b.mustHold(t, b.floor, n)
	o := checkout.Order{
		ID: id.NewOrder(b.event.ID), Hold: h.ID, Code: strings.ToUpper(h.ID.String()[len(h.ID.String())-7:]), State: checkout.Pending, Refund: checkout.NoRefund,
		Total: h.Total, Fees: 250 * n, Buyer: checkout.Buyer{Email: "zoë@example.org", Name: "Zoë «Z»", Locale: "fr"},
		Attendees: []checkout.Attendee{{Name: "Ada"}}, Items: h.Items, CreatedAt: h.CreatedAt, ExpiresAt: h.ExpiresAt,
		Policy: booking.RefundPolicy{Kind: booking.RefundUntil, UntilHours: 48, FeeAmount: 100, FeeBasisPoints: 250},
	}
	if err := b.store.InsertOrder(t.Context(), txn.None, o); err != nil {
		t.Fatal(err)
	}
	return o
}

func (b shop) pay(t *testing.T, o checkout.Order) payment.Payment {
	t.Helper()
	p := payment.Payment{ID: id.NewPayment(b.event.ID), Order: o.ID, Provider: "stripe", State: payment.Created, Amount: money.Money{Amount: o.Total.Amount, Currency: "EUR"}}
	if err := b.store.InsertPayment(t.Context(), txn.None, p); err != nil {
		t.Fatal(err)
	}
	return p
}
