package checkout_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/payment"
	"guichet/internal/txn"
)

func cents(n int64) money.Money { return money.Money{Amount: n, Currency: "EUR"} }

// terms gives the floor of the town's event other terms.
func (tw *town) terms(t *testing.T, d booking.DraftTerms) {
	t.Helper()
	if _, err := tw.box.Change(t.Context(), txn.None, tw.shop.ID, tw.shop.Organizer, 0, func(e *booking.Event, _ time.Time) error {
		u := e.Type(tw.floor)
		return u.Revise(e, booking.DraftType{Name: u.Name, Price: u.Price, Fees: &u.Fees, Terms: d})
	}); err != nil {
		t.Fatal(err)
	}
}

func (tw *town) code(t *testing.T, c booking.Code) {
	t.Helper()
	if _, err := tw.stores[0].PutCode(t.Context(), txn.None, tw.shop.ID, c.Code, func(e *booking.Event, before *booking.Code) (booking.Code, error) {
		return c, c.Check(e, before)
	}); err != nil {
		t.Fatal(err)
	}
}

func (tw *town) wantUses(t *testing.T, code string, uses, spent int64) {
	t.Helper()
	c, err := tw.stores[1].Code(t.Context(), txn.None, tw.shop.ID, code)
	if err != nil || c.Uses != uses || c.Spent != spent {
		t.Errorf("%v: %d uses and %d spent of %s, want %d and %d", err, c.Uses, c.Spent, code, uses, spent)
	}
}

func (tw *town) request(n int64) booking.Request {
	return booking.Request{Hold: id.NewHold(tw.shop.ID), Lines: []booking.Line{{Type: tw.floor, Quantity: n}}}
}

func TestRegression11_priceStepEndsBetweenHoldAndPayment(t *testing.T) {
	t.Parallel()
	for name, over := range map[string]func(tw *town) []booking.DraftTier{
		"by quantity": func(tw *town) []booking.DraftTier {
			tw.hold(t, tw.floor, 1) // the last of the first step
			return nil
		},
		"by date": func(*town) []booking.DraftTier { // its time has come, by the database's clock
			return []booking.DraftTier{{Name: "Early", Price: cents(1000), Quantity: 3}, {Name: "Late", Price: cents(3000), StartsAt: new(time.Now().Add(-time.Minute).Truncate(time.Second))}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tw := openTown(t, 10)
			steps := []booking.DraftTier{{Name: "Early", Price: cents(1000), Quantity: 3}, {Name: "Late", Price: cents(3000)}}
			tw.terms(t, booking.DraftTerms{Tiers: &steps})
			h := tw.hold(t, tw.floor, 2)
			if h.Total != cents(2*1250) {
				t.Fatalf("held for %s", h.Total)
			}
			if after := over(tw); after != nil {
				tw.terms(t, booking.DraftTerms{Tiers: &after})
			}
			if next := tw.hold(t, tw.floor, 1); next.Total != cents(3250) {
				t.Fatalf("the step has not ended: %s", next.Total)
			}
			_, err := tw.desks[1].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer, Shown: new(cents(2 * 3250))})
			wantErr(t, err, checkout.ErrPriceChanged)
			o, err := tw.desks[1].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer, Shown: &h.Total})
			if err != nil {
				t.Fatal(err)
			}
			if o, err = tw.desks[0].Prepare(t.Context(), o.ID); err != nil {
				t.Fatal(err)
			}
			tw.mustConfirm(t, o, visa)
			o = tw.await(t, o.ID, checkout.Paid)
			if o.Payment.Received != 2500 || o.Fees != 500 || len(o.Items) != 1 || o.Items[0].AllIn != cents(1250) || o.Items[0].TierName != "Early" {
				t.Errorf("%d was charged: %+v", o.Payment.Received, o)
			}
		})
	}
}

func TestRegression05_limitOfAPromoCodeHoldsWhenManyOpenHoldsArePaid(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 40)
	const limit = 4
	tw.code(t, booking.Code{Code: "HALF", Kind: booking.PromoCode, MaxUses: new(int64(limit)), Terms: booking.CodeTerms{Percent: 5000}})
	other := &booking.Service{Store: tw.stores[1], Cell: cellID, Region: "eu-west-3", Now: time.Now, Desks: &booking.Desks{Store: tw.stores[1], HoldTTL: ttl, Patience: time.Minute, Now: time.Now}}
	boxes := []*booking.Service{tw.box, other}
	var mu sync.Mutex
	var held []booking.Hold
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			want := tw.request(1)
			want.Promo = "half"
			h, err := boxes[i%2].Hold(t.Context(), want)
			if err != nil {
				wantErr(t, err, booking.ErrCodeUsedUp)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			held = append(held, h)
		})
	}
	all.Wait()
	if len(held) != limit {
		t.Fatalf("%d open holds with a code for %d", len(held), limit)
	}
	var paid []checkout.Order
	for i, h := range held {
		if h.Total != cents(2250) {
			t.Errorf("held for %s", h.Total)
		}
		o, err := tw.desks[i%2].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer, Shown: &h.Total})
		if err != nil {
			t.Fatal(err)
		}
		if o, err = tw.desks[i%2].Prepare(t.Context(), o.ID); err != nil {
			t.Fatal(err)
		}
		tw.mustConfirm(t, o, visa)
		paid = append(paid, tw.await(t, o.ID, checkout.Paid))
	}
	tw.wantUses(t, "HALF", limit, limit*2000)
	// Regression 4: what a canceled order had used comes back, once.
	for range 3 {
		if _, err := tw.desks[0].Cancel(t.Context(), txn.None, paid[0].ID, payment.ByBuyer); err != nil {
			t.Fatal(err)
		}
	}
	tw.wantUses(t, "HALF", limit-1, (limit-1)*2000)
	want := tw.request(2)
	want.Promo = "HALF"
	if _, err := tw.box.Hold(t.Context(), want); !errors.Is(err, booking.ErrCodeUsedUp) {
		t.Errorf("two more: %v", err)
	}
	want = tw.request(1)
	want.Promo = "HALF"
	h, err := tw.box.Hold(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	o, err := tw.desks[1].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // unpaid, it is given back too
		if _, err := tw.desks[1].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer); err != nil {
			t.Fatal(err)
		}
	}
	tw.wantUses(t, "HALF", limit-1, (limit-1)*2000)
	tw.mustReconcile(t)
	for _, o := range paid[1:] {
		if now := tw.look(t, o.ID); now.State != checkout.Paid || now.Payment.State != payment.Captured {
			t.Errorf("%+v", now)
		}
	}
}

func TestOrder_isForTheBuyerThatTheTicketsAreHeldFor(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	tw.terms(t, booking.DraftTerms{MaxPerBuyer: new(int64(2))})
	who, err := booking.BuyerOf(tw.shop.ID, "Zoe+1@example.org")
	if err != nil {
		t.Fatal(err)
	}
	want := tw.request(2)
	want.Buyer = who
	h, err := tw.box.Hold(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	thief := buyer
	thief.Email = "ada@example.org"
	_, err = tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: thief})
	wantErr(t, err, booking.ErrBuyerMismatch)
	o, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer})
	if err != nil {
		t.Fatal(err)
	}
	again := func() error {
		want.Hold, want.Lines = id.NewHold(tw.shop.ID), []booking.Line{{Type: tw.floor, Quantity: 1}}
		_, err := tw.box.Hold(t.Context(), want)
		return err
	}
	wantErr(t, again(), booking.ErrBuyerLimit)
	if o, err = tw.desks[0].Prepare(t.Context(), o.ID); err != nil {
		t.Fatal(err)
	}
	tw.mustConfirm(t, o, visa)
	tw.await(t, o.ID, checkout.Paid)
	wantErr(t, again(), booking.ErrBuyerLimit)
	if _, err := tw.desks[1].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer); err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Errorf("the order was canceled: %v", err)
	}
}

// What a hold was made of, its order is made of.
func TestOrder_saysWhatItsPriceIsMadeOf(t *testing.T) {
	t.Parallel()
	for i, onTop := range []bool{false, true} {
		tw := openTown(t, 10)
		tw.terms(t, booking.DraftTerms{Tax: &booking.Tax{BasisPoints: 1900, OnTop: onTop}})
		tw.code(t, booking.Code{Code: "TENTH", Kind: booking.PromoCode, Terms: booking.CodeTerms{Percent: 1000}})
		want := tw.request(2)
		want.Promo = "tenth"
		h, err := tw.box.Hold(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		o, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer, Shown: &h.Total})
		if err != nil {
			t.Fatal(err)
		}
		item := tw.look(t, o.ID).Items[0]
		got := fmt.Sprint(item.AllIn.Amount, item.Price().Amount, item.Fees, item.Tax, item.TaxOnTop, item.Saved, o.Total.Amount, o.Fees)
		if want := []string{"3850 3600 250 615 false 400 7700 500", "4582 3600 250 732 true 476 9164 500"}[i]; got != want { // 614.7 and 731.5
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// A key of the buyer's own making limits nobody: what he orders counts for his address.
func TestOrder_countsForItsAddressWhateverKeyTheTicketsAreHeldFor(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	tw.terms(t, booking.DraftTerms{MaxPerBuyer: new(int64(2))})
	hold := func(key string) (booking.Hold, error) {
		who, err := booking.BuyerOf(tw.shop.ID, key)
		if err != nil {
			t.Fatal(err)
		}
		want := tw.request(1)
		want.Buyer = who
		return tw.box.Hold(t.Context(), want)
	}
	order := func(key, email string) (checkout.Order, error) {
		h, err := hold(key)
		if err != nil {
			t.Fatal(err)
		}
		b := buyer
		b.Email = email
		return tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: b})
	}
	first, err := order("key-1", "zoe@example.org")
	if err != nil {
		t.Fatal(err)
	}
	second, err := order("key-2", "Zoe+2@Example.org")
	if err != nil {
		t.Fatal(err)
	}
	_, err = order("key-3", "zoe@example.org")
	wantErr(t, err, booking.ErrBuyerLimit)
	_, err = hold("zoe@example.org")
	wantErr(t, err, booking.ErrBuyerLimit)
	if _, err := order("key-4", "ada@example.org"); err != nil {
		t.Error(err)
	}
	if first, err = tw.desks[0].Prepare(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	tw.mustConfirm(t, first, visa)
	tw.await(t, first.ID, checkout.Paid)
	_, err = order("key-5", "zoe@example.org") // what is sold counts on
	wantErr(t, err, booking.ErrBuyerLimit)
	for _, o := range []checkout.Order{first, second} { // paid, and unpaid
		if _, err := tw.desks[1].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"key-6", "key-7"} {
		if _, err := order(key, "zoe@example.org"); err != nil {
			t.Errorf("her orders were canceled: %v", err)
		}
	}
	_, err = order("key-8", "zoe@example.org")
	wantErr(t, err, booking.ErrBuyerLimit)
}
