package checkout_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/payment"
	"guichet/cell/stripe/sandbox"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

func TestPurchase_fromHoldToTickets(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	h := tw.hold(t, tw.floor, 2)
	o, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{
		Hold: h.ID, Buyer: buyer, Attendees: []checkout.Attendee{{Name: "Ada", Email: "ada@example.org"}}, Shown: &h.Total,
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.State != checkout.Pending || o.Total.Amount != 8500 || o.Fees != 500 || len(o.Code) != 7 || !o.ExpiresAt.Equal(o.CreatedAt.Add(checkout.DefaultWindow)) {
		t.Errorf("%+v", o)
	}
	if o, err = tw.desks[0].Prepare(t.Context(), o.ID); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(o.Payment.ClientSecret, o.Payment.IntentID+"_secret_") || o.Payment.State != payment.Pending || o.Payment.Provider != "stripe" {
		t.Errorf("%+v", o.Payment)
	}
	tw.wantStock(t, 2, 0)
	tw.mustConfirm(t, o, visa)
	o = tw.await(t, o.ID, checkout.Paid)
	tw.wantStock(t, 0, 2)
	if len(o.Tickets) != 2 || o.Tickets[0].Attendee != "Ada" || o.Tickets[1].Attendee != "" || o.Tickets[0].Name != "Floor" || o.Refund != checkout.NoRefund {
		t.Errorf("%+v", o.Tickets)
	}
	if o.Payment.State != payment.Captured || !o.Payment.Settled || o.Payment.Received != 8500 {
		t.Errorf("%+v", o.Payment)
	}
	wantMoments(t, o, "created", "paid")
	one, same, err := tw.desks[1].Ticket(t.Context(), o.Tickets[1].ID)
	if err != nil || one != o.Tickets[1] || same.ID != o.ID {
		t.Errorf("%v: %+v of %s", err, one, same.ID)
	}
	_, _, err = tw.desks[1].Ticket(t.Context(), id.NewTicket(tw.shop.ID))
	wantErr(t, err, checkout.ErrTicketNotFound)
	if rev, err := tw.stores[0].Revenue(t.Context(), txn.None, tw.shop.ID); err != nil || rev != 8500 {
		t.Errorf("revenue %d, %v", rev, err)
	}
	_, err = tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer})
	wantErr(t, err, booking.ErrHoldExpired) // it has been sold
}

func TestPurchase_freeTicketsAreThereAtOnce(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: tw.hold(t, tw.free, 3).ID, Buyer: buyer})
	if err != nil || o.State != checkout.Paid || len(o.Tickets) != 3 {
		t.Fatalf("%v: %+v", err, o)
	}
	o, err = tw.desks[1].Prepare(t.Context(), o.ID)
	if err != nil || o.Payment != nil || o.State != checkout.Paid || len(tw.intents(t)) != 0 {
		t.Fatalf("%v: a free order has a payment: %+v", err, o)
	}
	tw.wantStock(t, 0, 3)
	for range 2 {
		if o, err = tw.desks[1].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer); err != nil || o.State != checkout.Canceled || o.Refund != checkout.NoRefund {
			t.Fatalf("%v: %+v", err, o)
		}
	}
	tw.wantStock(t, 0, 0)
}

func TestPurchase_declinedCardLeavesTheOrderOpenForAnother(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o := tw.order(t, tw.floor, 1)
	tw.mustConfirm(t, o, declined)
	eventually(t, "word of the decline", func() bool { return tw.look(t, o.ID).Payment.State == payment.Failed })
	if now := tw.look(t, o.ID); now.State != checkout.Pending || now.Payment.Settled {
		t.Errorf("%+v, %+v", now, now.Payment)
	}
	tw.mustReconcile(t) // asks, and hears nothing new
	tw.wantStock(t, 1, 0)
	tw.mustConfirm(t, o, visa)
	wantMoments(t, tw.await(t, o.ID, checkout.Paid), "created", "payment_failed", "paid")
}

// Regression 11: a price changes between hold and order. What was shown is what is
// charged, and who was shown something else is asked again.
func TestPurchase_chargesWhatWasShown(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	h := tw.hold(t, tw.floor, 2)
	if _, err := tw.box.Change(t.Context(), txn.None, tw.shop.ID, tw.shop.Organizer, 0, func(e *booking.Event, _ time.Time) error {
		return e.Type(tw.floor).Revise(e, booking.DraftType{Name: "Floor", Price: money.Money{Amount: 9000, Currency: "EUR"}})
	}); err != nil {
		t.Fatal(err)
	}
	for _, shown := range []money.Money{{Amount: 18000, Currency: "EUR"}, {Amount: 8500, Currency: "USD"}} {
		_, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer, Shown: &shown})
		wantErr(t, err, checkout.ErrPriceChanged)
		if e := kind.As(err); e == nil || e.Fields["total"] != h.Total {
			t.Errorf("the right total is not named: %v", err)
		}
	}
	// The refusals left nothing behind: the hold can still become an order, or be given back.
	o, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer, Shown: &h.Total})
	if err != nil || o.Total.Amount != 8500 {
		t.Fatalf("%v: %+v", err, o)
	}
	_, err = tw.desks[1].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer})
	wantErr(t, err, booking.ErrHoldInCheckout)
	if e := kind.As(err); e == nil || e.Fields["order_id"] != o.ID.String() {
		t.Errorf("the order is not named: %v", err)
	}
	if o, err = tw.desks[0].Prepare(t.Context(), o.ID); err != nil {
		t.Fatal(err)
	}
	tw.mustConfirm(t, o, visa)
	tw.await(t, o.ID, checkout.Paid)
}

func TestCreate_refusesWhatItCannotKeep(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	h := tw.hold(t, tw.floor, 2)
	long := strings.Repeat("x", 201)
	for pointer, r := range map[string]checkout.Request{
		"/buyer/email":         {Buyer: checkout.Buyer{Email: "Zoë <zoe@example.org>", Name: "Z"}},
		"/buyer/email ":        {Buyer: checkout.Buyer{Email: "", Name: "Z"}},
		"/buyer/email  ":       {Buyer: checkout.Buyer{Email: long + long + "@example.org", Name: "Z"}},
		"/buyer/name":          {Buyer: checkout.Buyer{Email: "z@example.org", Name: " "}},
		"/buyer/name ":         {Buyer: checkout.Buyer{Email: "z@example.org", Name: "a\x00b"}},
		"/buyer/name  ":        {Buyer: checkout.Buyer{Email: "z@example.org", Name: long}},
		"/buyer/locale":        {Buyer: checkout.Buyer{Email: "z@example.org", Name: "Z", Locale: "fr\n"}},
		"/attendees/1/name":    {Buyer: buyer, Attendees: []checkout.Attendee{{Name: "A"}, {Name: ""}}},
		"/attendees/0/email":   {Buyer: buyer, Attendees: []checkout.Attendee{{Name: "A", Email: "at"}}},
		"/attendees":           {Buyer: buyer, Attendees: []checkout.Attendee{{Name: "A"}, {Name: "B"}, {Name: "C"}}}, // of two tickets
		"/attendees (of many)": {Buyer: buyer, Attendees: make([]checkout.Attendee, booking.MaxTicketsPerOrder+1)},
	} {
		r.Hold = h.ID
		_, err := tw.desks[0].Create(t.Context(), txn.None, r)
		wantErr(t, err, checkout.ErrInvalidOrder)
		var faults []kind.Fault
		if e := kind.As(err); e != nil {
			faults, _ = e.Fields["errors"].([]kind.Fault)
		}
		if want, _, _ := strings.Cut(pointer, " "); len(faults) != 1 || faults[0].Pointer != want {
			t.Errorf("%s: %+v", pointer, faults)
		}
	}
	_, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: id.NewHold(tw.shop.ID), Buyer: buyer})
	wantErr(t, err, booking.ErrHoldNotFound)
	if _, err := tw.box.Release(t.Context(), h.ID); err != nil {
		t.Fatal(err)
	}
	_, err = tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer, Shown: &money.Money{Amount: 1, Currency: "EUR"}})
	wantErr(t, err, booking.ErrHoldExpired)
	_, err = tw.desks[0].Look(t.Context(), id.NewOrder(tw.shop.ID))
	wantErr(t, err, checkout.ErrOrderNotFound)
}

func TestCreate_drawsAnotherCodeWhenOneIsTaken(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	codes := []string{"SAME222", "SAME222", "SAME222", "OTHER22"}
	tw.desks[0].SetCodes(func() (code string) {
		code, codes = codes[0], codes[1:]
		return code
	})
	for _, want := range []string{"SAME222", "OTHER22"} {
		o, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: tw.hold(t, tw.free, 1).ID, Buyer: buyer})
		if err != nil || o.Code != want {
			t.Errorf("%v: code %s, want %s", err, o.Code, want)
		}
	}
}

// One hold, many orders at once at both processes: one wins, P3.
func TestCreate_makesOneOrderOfAHold(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	h := tw.hold(t, tw.floor, 1)
	var all sync.WaitGroup
	made := make(chan id.Order, 40)
	for i := range 40 {
		all.Go(func() {
			o, err := tw.desks[i%2].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer})
			if err == nil {
				made <- o.ID
			} else if !errors.Is(err, booking.ErrHoldInCheckout) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(made) != 1 {
		t.Errorf("%d orders", len(made))
	}
}

// A process dies between the order's commit and the provider's call, or the
// provider's answer is lost: asking again makes no second intent (P5).
func TestPrepare_repeatedMakesOneIntent(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: tw.hold(t, tw.floor, 1).ID, Buyer: buyer})
	if err != nil {
		t.Fatal(err)
	}
	tw.faults(t, sandbox.Faults{TimeoutAfterEffectPercent: 100})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = tw.desks[0].Prepare(ctx, o.ID)
	wantErr(t, err, payment.ErrProviderAway)
	eventually(t, "the intent whose answer is lost", func() bool { return len(tw.intents(t)) == 1 })
	tw.faults(t, sandbox.Faults{})

	var all sync.WaitGroup
	secrets := make(chan string, 20)
	for i := range 20 {
		all.Go(func() {
			o, err := tw.desks[i%2].Prepare(t.Context(), o.ID)
			switch {
			case err == nil:
				secrets <- o.Payment.ClientSecret
			case !errors.Is(err, payment.ErrProviderAway): // the key is under way
				t.Error(err)
			}
		})
	}
	all.Wait()
	close(secrets)
	first := tw.look(t, o.ID).Payment
	for s := range secrets {
		if s != first.ClientSecret || s == "" {
			t.Errorf("secrets %q and %q", s, first.ClientSecret)
		}
	}
	if all := tw.intents(t); len(all) != 1 || all[0].ID != first.IntentID {
		t.Errorf("%+v, ours is %s", all, first.IntentID)
	}
	tw.mustConfirm(t, tw.look(t, o.ID), visa)
	tw.await(t, o.ID, checkout.Paid)
}

// The provider is away: the order stands, the answer is a 503 that says so, and
// later everything goes on (P6, P9).
func TestPrepare_whileTheProviderIsAway(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	tw.faults(t, sandbox.Faults{Error500Percent: 100})
	o, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: tw.hold(t, tw.floor, 1).ID, Buyer: buyer})
	if err != nil {
		t.Fatalf("an order waits for the provider: %v", err)
	}
	_, err = tw.desks[0].Prepare(t.Context(), o.ID)
	wantErr(t, err, payment.ErrProviderAway)
	if kind.Of(err) != kind.Unavailable {
		t.Errorf("%v is %d", err, kind.Of(err).Status())
	}
	abandoned := tw.hold(t, tw.floor, 1)
	other, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: abandoned.ID, Buyer: buyer})
	if err != nil {
		t.Fatal(err)
	}
	tw.runOut(t, other.ID)
	if err := tw.reconcile(t.Context(), 0); !errors.Is(err, payment.ErrProviderAway) {
		t.Errorf("reconcile: %v", err)
	}
	// Whether the abandoned one has an intent nobody can say: its stock does not wait for that.
	tw.await(t, other.ID, checkout.Expired)
	tw.wantStock(t, 1, 0)
	tw.faults(t, sandbox.Faults{})
	if o, err = tw.desks[1].Prepare(t.Context(), o.ID); err != nil {
		t.Fatal(err)
	}
	tw.mustConfirm(t, o, visa)
	tw.await(t, o.ID, checkout.Paid)
	tw.mustReconcile(t)
	tw.await(t, other.ID, checkout.Expired)
	tw.wantStock(t, 0, 1)
}

// The organizer's own account takes no payments: the order is refused by the provider,
// and its stock comes back when the window closes although there never is an intent.
func TestPrepare_refusedForGoodGivesTheStockBackInTheEnd(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	dinars, err := tw.box.DraftEvent(t.Context(), txn.None, tw.shop.Organizer, booking.Draft{
		Name: "Haflah", Venue: booking.Venue{Name: "Hall", City: "Kuwait", Country: "KW"}, TimeZone: "Asia/Kuwait", Currency: "KWD",
		StartsAt: time.Now().AddDate(0, 1, 0).Truncate(time.Second), Quotas: []booking.DraftQuota{{Name: "hall", Size: 5}},
		Types: []booking.DraftType{{Name: "Floor", Price: money.Money{Amount: 1230, Currency: "KWD"}, Quotas: []string{"hall"}}},
	}, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := tw.stores[0].SetPayee(t.Context(), txn.None, tw.shop.Organizer, payment.Payee{Account: "acct_gone", Country: "KW", Currency: "KWD"}); err != nil {
		t.Fatal(err)
	}
	h, err := tw.box.Hold(t.Context(), booking.Request{Hold: id.NewHold(dinars.ID), Lines: []booking.Line{{Type: dinars.Types[0].ID, Quantity: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer})
	if err != nil {
		t.Fatal(err)
	}
	_, err = tw.desks[0].Prepare(t.Context(), o.ID)
	wantErr(t, err, payment.ErrRefusedByProvider)
	tw.mustReconcile(t)
	if now := tw.look(t, o.ID); now.State != checkout.Pending {
		t.Errorf("within its window it is %s", now.State)
	}
	tw.runOut(t, o.ID)
	tw.mustReconcile(t)
	if now := tw.look(t, o.ID); now.State != checkout.Expired || !now.Payment.Settled {
		t.Errorf("%s, %+v", now.State, now.Payment)
	}
	e, err := tw.stores[0].Event(t.Context(), txn.None, dinars.ID)
	if err != nil || e.Quotas[0].Held != 0 {
		t.Errorf("%v: %d are still held", err, e.Quotas[0].Held)
	}
}
