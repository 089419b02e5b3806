package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/cell/store"
	"guichet/internal/txn"
)

var transferTests = map[string]func(t *testing.T, s *store.Store){
	"Transfer_putsATicketInThePlaceOfAnother":    transferReadsBack,
	"Transfer_idDiesOnceWithEveryLockRemoved":    transferConstraint,
	"Transfer_isPartOfTheTransactionItHappensIn": transferInTx,
	"Transfer_policyIsAllowedUntilItIsSet":       transferPolicy,
	"Transfer_addressReachesWhatItHasStill":      transferReach,
}

// transferredAt is what the caller's clock says.
var transferredAt = time.Unix(1_800_000_000, 0)

// issued is an order with its tickets, of general admission.
func (b shop) issued(t *testing.T, n int64) []checkout.Ticket {
	t.Helper()
	o := b.order(t, n)
	tickets := make([]checkout.Ticket, n)
	for i := range tickets {
		tid := id.NewTicket(b.event.ID)
		tickets[i] = checkout.Ticket{ID: tid, Order: o.ID, Type: b.floor, Name: "Floor", Attendee: "Ada", State: checkout.TicketValid, Barcode: "code of " + tid.String()}
	}
	if err := b.store.InsertTickets(t.Context(), txn.None, tickets, o.CreatedAt); err != nil {
		t.Fatal(err)
	}
	return tickets
}

// nextOf is a ticket as somebody else has it.
func nextOf(k checkout.Ticket, name string) checkout.Ticket {
	k.ID = id.NewTicket(k.ID.Event())
	k.Attendee, k.Barcode, k.Transfers = name, "code of "+k.ID.String(), k.Transfers+1
	k.Holder = checkout.Holder{Email: name + "@example.org", Locale: "fr", By: "Ada"}
	return k
}

func transferReadsBack(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	tickets := b.issued(t, 3)
	at := transferredAt
	first := nextOf(tickets[1], "bob")
	second := nextOf(first, "cy")
	for _, step := range []struct{ old, now checkout.Ticket }{{tickets[1], first}, {first, second}} {
		if err := s.TransferTicket(t.Context(), txn.None, step.old.ID, step.now, at); err != nil {
			t.Fatal(err)
		}
	}
	o, err := abroad(t, s, "Pacific/Marquesas").Order(t.Context(), txn.None, tickets[0].Order)
	if err != nil || len(o.Tickets) != 3 || o.Tickets[0] != tickets[0] || o.Tickets[2] != tickets[2] {
		t.Fatalf("%+v, %v", o.Tickets, err)
	}
	got := o.Tickets[1]
	if gone := got.Gone; gone.ID != tickets[1].ID || gone.To != "bob" || !gone.At.Equal(at) {
		t.Errorf("its buyer is told %+v", gone)
	}
	one, err := s.Ticket(t.Context(), txn.None, second.ID)
	if err != nil || one != got {
		t.Errorf("%+v, %v", one, err)
	}
	if got.Gone = (checkout.Given{}); got != second {
		t.Errorf("%+v, want %+v", got, second)
	}
	for _, old := range []struct {
		id   id.Ticket
		told string
	}{{tickets[1].ID, "bob"}, {first.ID, "cy"}} {
		k, err := s.Ticket(t.Context(), txn.None, old.id)
		if err != nil || !k.Dead() || k.State != checkout.TicketCanceled || k.Barcode != "" || k.Attendee != "" || k.Gone.To != old.told || k.Order != o.ID || k.Name != "Floor" || k.Type != b.floor {
			t.Errorf("%+v, %v", k, err)
		}
	}
	list, _, _, err := s.Revocations(t.Context(), b.event.ID, 0, 100)
	if err != nil || len(list) != 2 {
		t.Errorf("%d barcodes are revoked, %v", len(list), err)
	}
	if err := s.CancelSome(t.Context(), txn.None, o.ID, []id.Ticket{second.ID}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, s.TransferTicket(t.Context(), txn.None, second.ID, nextOf(second, "dee"), at), checkout.ErrTransferred)
	if _, sold, _, err := s.Counts(t.Context(), txn.None, b.event.ID); err != nil || sold[b.floor.String()] != 2 {
		t.Errorf("%v, %v", sold, err)
	}
}

// Nobody holds the event's lock: the row's own condition and the key of the ids that
// died let one of many have the ticket.
func transferConstraint(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	k := b.issued(t, 1)[0]
	var won atomic.Int64
	var racing sync.WaitGroup
	for i, process := range slices.Repeat([]*store.Store{s, twin(t, s)}, 8) {
		racing.Go(func() {
			err := retried(t, func(int) error {
				return process.TransferTicket(t.Context(), txn.None, k.ID, nextOf(k, "p"+strconv.Itoa(i)), transferredAt)
			})
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, checkout.ErrTransferred) {
				t.Error(err)
			}
		})
	}
	racing.Wait()
	o, err := s.Order(t.Context(), txn.None, k.Order)
	if err != nil || won.Load() != 1 || len(o.Tickets) != 1 || o.Tickets[0].Transfers != 1 {
		t.Errorf("%d won, %+v, %v", won.Load(), o.Tickets, err)
	}
}

func transferInTx(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	k := b.issued(t, 1)[0]
	failed := errors.New("the mail could not be queued")
	wantErr(t, s.InTx(t.Context(), func(ctx context.Context, tx txn.Tx) error {
		return errors.Join(s.TransferTicket(ctx, tx, k.ID, nextOf(k, "bob"), transferredAt), failed)
	}), failed)
	if got, err := s.Ticket(t.Context(), txn.None, k.ID); err != nil || got != k {
		t.Errorf("%+v, %v", got, err)
	}
	if list, _, _, err := s.Revocations(t.Context(), b.event.ID, 0, 100); err != nil || len(list) != 0 {
		t.Errorf("%d barcodes are revoked, %v", len(list), err)
	}
}

func transferPolicy(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	want := checkout.TransfersAllowed
	for _, set := range []checkout.TransferPolicy{checkout.TransfersForbidden, checkout.TransfersAllowed, checkout.TransfersForbidden} {
		if got, err := s.TransferPolicy(t.Context(), txn.None, b.event.ID); err != nil || got != want {
			t.Errorf("%s, want %s; %v", got, want, err)
		}
		if err := s.SetTransferPolicy(t.Context(), txn.None, b.event.ID, set); err != nil {
			t.Fatal(err)
		}
		want = set
	}
}

func transferReach(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	tickets := b.issued(t, 2)
	mail := func(k notify.Kind, part, to string) {
		t.Helper()
		for range 2 { // once, whoever tells it twice
			if err := s.Enqueue(t.Context(), txn.None, notify.Message{Kind: k, Order: tickets[0].Order, Part: part, To: to}); err != nil {
				t.Fatal(err)
			}
		}
	}
	reach := func(address string, want ...id.Ticket) {
		t.Helper()
		got, err := s.TicketsReached(t.Context(), notify.AddressHash(address), 10)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s reaches %v, want %v; %v", address, got, want, err)
		}
	}
	bob := rand.Text() + "@example.org"
	for _, k := range tickets {
		mail(notify.TicketReceived, k.ID.String(), bob)
	}
	mail(notify.TicketReceived, tickets[0].ID.String()+".du_1", bob)
	reach(bob, tickets[1].ID, tickets[0].ID)
	mail(notify.TicketGiven, tickets[1].ID.String(), bob)
	reach(bob, tickets[0].ID)
	wantErr(t, s.Enqueue(t.Context(), txn.None, notify.Message{Kind: notify.TicketReceived, Order: tickets[0].Order, Part: "none", To: bob}), notify.ErrInvalid)
}
