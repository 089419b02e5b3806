package checkout_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/cell/ticket"
	"guichet/control-plane/topology"
	"guichet/internal/txn"
)

var bob = checkout.Recipient{Name: "Bob", Email: "bob@example.org", Locale: "de"}

// give gives a ticket on and reads the order again; the ticket stands where it stood.
func (tw *town) give(t *testing.T, o checkout.Order, at int, to checkout.Recipient) checkout.Order {
	t.Helper()
	given, err := tw.desks[at%2].Transfer(t.Context(), txn.None, o.Tickets[at].ID, to)
	if err != nil || given.ID != o.Tickets[at].ID || given.To != to.Name || given.At.IsZero() {
		t.Fatalf("%+v, %v", given, err)
	}
	return tw.look(t, o.ID)
}

// wantOnList: the barcode is on the gates' list so many times.
func (tw *town) wantOnList(t *testing.T, barcode string, want int) {
	t.Helper()
	list, _, _, err := tw.stores[0].Revocations(t.Context(), tw.shop.ID, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	list = slices.DeleteFunc(list, func(r checkout.Revocation) bool { return r.Mark != ticket.Mark(barcode) })
	if len(list) != want {
		t.Errorf("the barcode is on the list of revocations %d times, want %d", len(list), want)
	}
}

// wantPost: the mails of a kind about an order go to these addresses, sorted.
func (tw *town) wantPost(t *testing.T, o checkout.Order, kind notify.Kind, want ...string) {
	t.Helper()
	rows, err := tw.stores[0].DB.Pool.Query(t.Context(), `SELECT address FROM notify.message WHERE order_id = $1 AND kind = $2 ORDER BY address`, o.ID.String(), string(kind))
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s goes to %v, want %v; %v", kind, got, want, err)
	}
}

// A ticket that was given on is refunded: alone by the organizer, with its order by the
// buyer, or with its event. The money goes to the payment that it came from, the
// present holder's barcode dies and he is told, and the place comes back once.
func TestRegression17_refundOfATransferredTicketGoesToThePayerAndVoidsTheHoldersBarcode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end    func(t *testing.T, tw *town, o checkout.Order) error
		by     payment.Source
		amount int64
		sold   int64
	}{
		"the ticket, by the organizer": {func(t *testing.T, tw *town, o checkout.Order) error {
			t.Helper()
			_, err := tw.desks[1].RefundTickets(t.Context(), txn.None, o.ID, []id.Ticket{o.Tickets[1].ID}, payment.ByOrganizer, "")
			return err
		}, payment.ByOrganizer, 4250, 2},
		"the order, by its buyer": {func(t *testing.T, tw *town, o checkout.Order) error {
			t.Helper()
			if o = tw.look(t, o.ID); o.State == checkout.Paid { // who has the ticket agrees
				_, err := tw.desks[0].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer)
				wantErr(t, err, checkout.ErrTransferred)
				if _, err := tw.desks[0].ConsentToRefund(t.Context(), txn.None, o.Tickets[1].ID, true); err != nil {
					t.Fatal(err)
				}
			}
			_, err := tw.desks[1].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer)
			return err
		}, payment.ByBuyer, 12750, 0},
		"the event": {func(t *testing.T, tw *town, _ checkout.Order) error {
			t.Helper()
			if !tw.eventCanceled.Load() {
				tw.cancelEvent(t)
			}
			return nil
		}, payment.ByEventCancellation, 12750, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tw := openTown(t, 10)
			tw.apart()
			o := tw.paid(t, tw.floor, 3)
			first := o.Tickets[1]
			o = tw.give(t, o, 1, checkout.Recipient{Name: "Ada", Email: "ada@example.org"})
			o = tw.give(t, o, 1, bob)
			tw.wantStock(t, 0, 3)
			last := o.Tickets[1]
			if last.Attendee != "Bob" || last.Holder != (checkout.Holder{Email: bob.Email, Locale: "de", By: "Ada"}) || last.Transfers != 2 || last.State != checkout.TicketValid {
				t.Fatalf("%+v", last)
			}
			tw.wantOnList(t, first.Barcode, 1)
			tw.wantOnList(t, last.Barcode, 0)
			for range 2 { // again changes nothing
				if err := c.end(t, tw, o); err != nil && !errors.Is(err, checkout.ErrState) {
					t.Fatal(err)
				}
				tw.mustReconcile(t)
			}
			tw.mustReconcile(t)
			tw.wantRefunds(t, o, c.by, c.amount)
			tw.wantStock(t, 0, c.sold)
			if times, places := tw.returned(t, o.ID); times != 1 || places != 3-c.sold {
				t.Errorf("%d places came back in %d entries", places, times)
			}
			tw.wantOnList(t, last.Barcode, 1)
			if now := tw.look(t, o.ID).Tickets[1]; now.ID != last.ID || now.State != checkout.TicketCanceled {
				t.Errorf("the holder's ticket is %s", now.State)
			}
			tw.wantPost(t, o, notify.TicketVoid, bob.Email)
			tw.wantPost(t, o, notify.TicketReceived, "ada@example.org", bob.Email)
			tw.wantPost(t, o, notify.TicketGiven, "ada@example.org", buyer.Email)
			_, err := tw.desks[0].Transfer(t.Context(), txn.None, last.ID, checkout.Recipient{Name: "C", Email: "c@example.org"})
			wantErr(t, err, checkout.ErrState)
		})
	}
}

// The old id tells that the ticket is gone, and nothing by which one could come in or
// find who has it. Both addresses reach what is theirs.
func TestTransfer_leavesNothingUsableBehind(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	before := tw.paid(t, tw.floor, 2)
	o := tw.give(t, before, 0, bob)
	old, now := before.Tickets[0], o.Tickets[0]
	if now.ID == old.ID || now.Barcode == old.Barcode || now.Type != old.Type || o.Tickets[1] != before.Tickets[1] {
		t.Errorf("%+v, was %+v", now, old)
	}
	if c, err := ticket.Verify(now.Barcode, ticket.KeysOf([]topology.Key{tw.signer.Public()})); err != nil || c.Ticket != now.ID {
		t.Errorf("%+v, %v", c, err)
	}
	if now.Gone != (checkout.Given{ID: old.ID, To: "Bob", At: now.Gone.At}) || now.Gone.At.IsZero() || now.Holder.By != buyer.Name {
		t.Errorf("%+v", now)
	}
	dead, of, err := tw.desks[1].Ticket(t.Context(), old.ID)
	if err != nil || !dead.Dead() || dead.State != checkout.TicketCanceled || dead.Barcode != "" || dead.Attendee != "" || dead.Gone.To != "Bob" || dead.Name != "Floor" || of.ID != o.ID {
		t.Errorf("%+v, %v", dead, err)
	}
	_, err = tw.desks[0].Transfer(t.Context(), txn.None, old.ID, bob)
	wantErr(t, err, checkout.ErrTransferred)
	held, err := tw.stores[0].TicketsReached(t.Context(), notify.AddressHash("BOB@example.org"), 10)
	if err != nil || !slices.Equal(held, []id.Ticket{now.ID}) {
		t.Errorf("Bob reaches %v, %v", held, err)
	}
	if orders, err := tw.stores[0].OrdersReached(t.Context(), notify.AddressHash(bob.Email), 10); err != nil || len(orders) != 0 {
		t.Errorf("Bob reaches the order: %v, %v", orders, err)
	}
	tw.give(t, o, 0, checkout.Recipient{Name: "Cy", Email: "cy@example.org"})
	if held, err := tw.stores[0].TicketsReached(t.Context(), notify.AddressHash(bob.Email), 10); err != nil || len(held) != 0 {
		t.Errorf("Bob has none any more, and reaches %v, %v", held, err)
	}
	if orders, sold, _, err := tw.stores[0].Counts(t.Context(), txn.None, tw.shop.ID); err != nil || orders["paid"] != 1 || sold[tw.floor.String()] != 2 {
		t.Errorf("%v, %v, %v", orders, sold, err)
	}
}

// One ticket, many who are given it at once, at two processes: one is.
func TestTransfer_ofOneTicketManyTimesAtOnceHasOneWinner(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	tw.apart()
	o := tw.paid(t, tw.floor, 1)
	var won atomic.Int64
	tw.crowd(24, func(i int, desk *checkout.Service) {
		_, err := desk.Transfer(t.Context(), txn.None, o.Tickets[0].ID, checkout.Recipient{Name: "P", Email: fmt.Sprintf("p%d@example.org", i)})
		if err == nil {
			won.Add(1)
		} else if !errors.Is(err, checkout.ErrTransferred) {
			t.Error(err)
		}
	})
	now := tw.look(t, o.ID)
	if won.Load() != 1 || len(now.Tickets) != 1 || now.Tickets[0].Transfers != 1 {
		t.Errorf("%d won, %+v", won.Load(), now.Tickets)
	}
	tw.wantPost(t, o, notify.TicketReceived, now.Tickets[0].Holder.Email)
	tw.wantOnList(t, o.Tickets[0].Barcode, 1)
	tw.wantStock(t, 0, 1)
}

func TestTransfer_refusesWhatCannotBeGiven(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 20)
	refuses := func(want error, k checkout.Ticket, to checkout.Recipient) {
		t.Helper()
		_, err := tw.desks[0].Transfer(t.Context(), txn.None, k.ID, to)
		wantErr(t, err, want)
	}
	o := tw.paid(t, tw.floor, 4)
	for _, to := range []checkout.Recipient{
		{Name: "", Email: "b@example.org"}, {Name: "B", Email: "b"}, {Name: "B", Email: "b@example.org", Locale: "d\n"}, {Name: "Z", Email: "ZOE@example.org"},
	} {
		refuses(checkout.ErrInvalidOrder, o.Tickets[0], to)
	}
	_, err := tw.desks[0].Transfer(t.Context(), txn.None, id.NewTicket(tw.shop.ID), bob)
	wantErr(t, err, checkout.ErrTicketNotFound)
	for i, state := range []checkout.TicketState{checkout.TicketCheckedIn, checkout.TicketCanceled, checkout.TicketRevoked} {
		tw.exec(t, `UPDATE checkout.ticket SET state = $2 WHERE ticket_id = $1`, o.Tickets[i].ID.String(), string(state))
		refuses(checkout.ErrState, o.Tickets[i], bob)
		tw.exec(t, `UPDATE checkout.ticket SET state = 'valid' WHERE ticket_id = $1`, o.Tickets[i].ID.String())
	}
	for n := range checkout.MaxTransfers {
		o = tw.give(t, o, 3, checkout.Recipient{Name: "N", Email: fmt.Sprintf("n%d@example.org", n)})
	}
	refuses(checkout.ErrTransferLimit, o.Tickets[3], bob)
	if err := tw.stores[0].SetTransferPolicy(t.Context(), txn.None, tw.shop.ID, checkout.TransfersForbidden); err != nil {
		t.Fatal(err)
	}
	refuses(checkout.ErrTransferNotAllowed, o.Tickets[0], bob)
	if err := tw.stores[0].SetTransferPolicy(t.Context(), txn.None, tw.shop.ID, checkout.TransfersAllowed); err != nil {
		t.Fatal(err)
	}
	tw.exec(t, place, tw.shop.ID.String(), "sealed")
	refuses(booking.ErrMoved, o.Tickets[0], bob)
	tw.exec(t, place, tw.shop.ID.String(), "serving")
	tw.exec(t, `UPDATE booking.event SET starts_at = clock_timestamp() - INTERVAL '2 days' WHERE event_id = $1`, tw.shop.ID.String())
	refuses(checkout.ErrEventOver, o.Tickets[0], bob)
	tw.wantPost(t, o, notify.TicketGiven, "n0@example.org", "n1@example.org", "n2@example.org", "n3@example.org", buyer.Email)
}

// A bank has the payment in question: the tickets are blocked, who has them by transfer
// included. When it decides for us, each is sent its new barcode, and a ticket that was
// given on is still its holder's.
func TestTransfer_survivesADisputeOfItsOrder(t *testing.T) {
	t.Parallel()
	for name, all := range map[string]bool{"of one of two tickets": false, "of all tickets": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tw := openTown(t, 10)
			tw.unaudited = true // the dispute is told by hand, the provider knows none
			o := tw.paid(t, tw.floor, 2)
			o = tw.give(t, o, 0, bob)
			paid := []string{buyer.Email, buyer.Email}
			if all {
				o, paid = tw.give(t, o, 1, checkout.Recipient{Name: "Cy", Email: "cy@example.org"}), paid[:1]
			}
			tw.tellDispute(t, o, "dp_1", "created", "needs_response", 8500)
			blocked := tw.look(t, o.ID)
			wantTickets(t, blocked, checkout.TicketRevoked, checkout.TicketRevoked)
			tw.wantOnList(t, o.Tickets[0].Barcode, 1)
			_, err := tw.desks[0].Transfer(t.Context(), txn.None, o.Tickets[0].ID, checkout.Recipient{Name: "D", Email: "d@example.org"})
			wantErr(t, err, payment.ErrDisputed)
			tw.tellDispute(t, o, "dp_1", "closed", "won", 8500)
			now := tw.look(t, o.ID)
			wantTickets(t, now, checkout.TicketValid, checkout.TicketValid)
			k := now.Tickets[0]
			if k.ID != o.Tickets[0].ID || k.Barcode == o.Tickets[0].Barcode || k.Holder != o.Tickets[0].Holder || k.Attendee != "Bob" || k.Gone.To != "Bob" {
				t.Errorf("%+v, was %+v", k, o.Tickets[0])
			}
			tw.wantOnList(t, k.Barcode, 0)
			tw.wantPost(t, o, notify.OrderPaid, paid...)
			got := []string{bob.Email, bob.Email}
			if all {
				got = append(got, "cy@example.org", "cy@example.org")
			}
			tw.wantPost(t, o, notify.TicketReceived, got...)
		})
	}
}

// A seat stays its ticket's, whoever has that.
func TestTransfer_ofASeatKeepsItSold(t *testing.T) {
	t.Parallel()
	tw := openManual(t, 1)
	tw.sellSeats(t, 6)
	o := tw.order(t, tw.floor, 3)
	tw.mustConfirm(t, o, visa)
	o = tw.awaitWorking(t, o, checkout.Paid)
	seat := o.Tickets[1].Seat
	o = tw.give(t, o, 1, bob)
	tw.wantSeats(t, 0, 3)
	if o.Tickets[1].Seat != seat || seat.ID == "" {
		t.Errorf("%+v, was %+v", o.Tickets[1].Seat, seat)
	}
	if _, err := tw.desks[0].RefundTickets(t.Context(), txn.None, o.ID, []id.Ticket{o.Tickets[1].ID}, payment.ByOrganizer, ""); err != nil {
		t.Fatal(err)
	}
	tw.wantSeats(t, 0, 2)
	tw.mustReconcile(t)
}
