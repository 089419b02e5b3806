package checkout_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/payment"
	"guichet/internal/txn"
)

// Whatever goes back in whatever order, tickets by themselves or amounts, the credit
// notes add up to the invoice at every rate, and none has more tax than it takes.
func TestCreditNotes_addUpToTheInvoiceAtEveryRateInWhateverOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		var all, tickets []checkout.PaperTaxes
		whole := int64(0)
		for rate := range int64(1 + r.IntN(4)) {
			sum := checkout.PaperTaxes{BasisPoints: rate * 550}
			for range 1 + r.IntN(5) {
				one := checkout.PaperTaxes{BasisPoints: sum.BasisPoints, Gross: 1 + r.Int64N(10_000)}
				one.Tax = r.Int64N(one.Gross)
				tickets = append(tickets, one)
				sum.Gross, sum.Tax = sum.Gross+one.Gross, sum.Tax+one.Tax
			}
			all, whole = append(all, sum), whole+sum.Gross
		}
		r.Shuffle(len(tickets), func(i, j int) { tickets[i], tickets[j] = tickets[j], tickets[i] })
		left, byAmount := slices.Clone(all), false
		for given := int64(0); given < whole; {
			var items []checkout.PaperTaxes
			amount := min(1+r.Int64N(whole/3+1), whole-given)
			if n := min(r.IntN(3), len(tickets)); n > 0 {
				items, tickets = tickets[:n], tickets[n:]
				worth := int64(0)
				for _, item := range items {
					worth += item.Gross
				}
				amount = min(worth, whole-given)
			}
			byAmount = byAmount || items == nil
			note := checkout.TakeBack(left, items, amount)
			gross := int64(0)
			for _, p := range note {
				if p.Tax < 0 || p.Tax > p.Gross {
					t.Fatalf("seed %d: a note takes %+v", seed, p)
				}
				gross += p.Gross
				at := slices.IndexFunc(left, func(x checkout.PaperTaxes) bool { return x.BasisPoints == p.BasisPoints })
				left[at].Gross, left[at].Tax = left[at].Gross-p.Gross, left[at].Tax-p.Tax
				if left[at].Tax < 0 || left[at].Tax > left[at].Gross {
					t.Fatalf("seed %d: %+v is left", seed, left[at])
				}
			}
			if gross != amount {
				t.Fatalf("seed %d: %d of %d is on the note", seed, gross, amount)
			}
			if !byAmount && !sameTaxes(note, items) {
				t.Fatalf("seed %d: %+v goes back for %+v", seed, note, items)
			}
			given += amount
		}
		for _, p := range left {
			if p.Gross != 0 || p.Tax != 0 {
				t.Fatalf("seed %d: the invoice still stands for %+v", seed, left)
			}
		}
	}
}

// sameTaxes says whether a note takes what tickets cost, rate by rate.
func sameTaxes(note, items []checkout.PaperTaxes) bool {
	sums := map[int64]checkout.PaperTaxes{}
	for _, i := range items {
		was := sums[i.BasisPoints]
		sums[i.BasisPoints] = checkout.PaperTaxes{BasisPoints: i.BasisPoints, Gross: was.Gross + i.Gross, Tax: was.Tax + i.Tax}
	}
	for _, p := range note {
		if sums[p.BasisPoints] != p {
			return false
		}
	}
	return len(note) == len(sums)
}

// taxedOrder is a paid order of two seats at 11.90 with 1.90 of tax in each, and of a
// meal at 10.55 with 0.55 of tax in it.
func taxedOrder(t *testing.T) (*town, checkout.Order) {
	t.Helper()
	tw := openTown(t, 10)
	eur := func(cents int64) money.Money { return money.Money{Amount: cents, Currency: "EUR"} }
	taxed := func(points int64, onTop bool) booking.DraftTerms {
		return booking.DraftTerms{Tax: &booking.Tax{BasisPoints: points, OnTop: onTop}}
	}
	e, err := tw.box.DraftEvent(t.Context(), txn.None, tw.shop.Organizer, booking.Draft{
		Name: "Taxed", Venue: booking.Venue{Name: "Salle", City: "Paris", Country: "FR"}, TimeZone: "Europe/Paris", Currency: "EUR", StartsAt: time.Now().AddDate(0, 1, 0).Truncate(time.Second),
		Quotas: []booking.DraftQuota{{Name: "hall", Size: 10}},
		Types: []booking.DraftType{
			{Name: "Seat", Price: eur(1190), Quotas: []string{"hall"}, Terms: taxed(1900, false)},
			{Name: "Meal", Price: eur(1000), Quotas: []string{"hall"}, Terms: taxed(550, true)},
		},
	}, true)
	if err != nil {
		t.Fatal(err)
	}
	tw.shop = e
	h, err := tw.box.Hold(t.Context(), booking.Request{Hold: id.NewHold(e.ID), Lines: []booking.Line{{Type: e.Types[0].ID, Quantity: 2}, {Type: e.Types[1].ID, Quantity: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer})
	if err == nil {
		o, err = tw.desks[0].Prepare(t.Context(), o.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	tw.mustConfirm(t, o, visa)
	return tw, tw.await(t, o.ID, checkout.Paid)
}

func TestInvoice_namesTheTaxOfEachRateAndCreditNotesTakeItBack(t *testing.T) {
	t.Parallel()
	tw, o := taxedOrder(t)
	invoice, err := tw.desks[1].Paper(t.Context(), o.ID, checkout.Invoice, 1)
	want := []checkout.PaperTaxes{{BasisPoints: 1900, Gross: 2380, Tax: 380}, {BasisPoints: 550, Gross: 1055, Tax: 55}}
	if err != nil || !slices.Equal(invoice.Content.Taxes, want) || invoice.Title() != "EUW3-I-000001" || invoice.Content.Seller.Name != tw.shop.Organizer.String() {
		t.Fatalf("%+v, %v", invoice, err)
	}
	for _, amount := range []int64{1000, 0} {
		if _, err := tw.desks[1].Refund(t.Context(), txn.None, o.ID, amount, payment.ByOrganizer, "late"); err != nil {
			t.Fatal(err)
		}
	}
	back := slices.Clone(want)
	for n := 1; n <= 2; n++ {
		note, err := tw.desks[0].Paper(t.Context(), o.ID, checkout.CreditNote, n)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range note.Content.Taxes {
			back[i].Gross, back[i].Tax = back[i].Gross-p.Gross, back[i].Tax-p.Tax
		}
	}
	if !slices.Equal(back, []checkout.PaperTaxes{{BasisPoints: 1900}, {BasisPoints: 550}}) {
		t.Errorf("after both refunds the invoice still stands for %+v", back)
	}
}

// A ticket that is named takes its own net, tax and rate back, not a part of everything;
// what comes after takes what is left at each rate, and the books say the same tax.
func TestRefundTickets_takesTheTicketsOwnRateAndTaxBack(t *testing.T) {
	t.Parallel()
	tw, o := taxedOrder(t)
	var meal, seat checkout.Ticket
	for _, k := range o.Tickets {
		if k.Type == o.Items[0].Type {
			seat = k
		} else {
			meal = k
		}
	}
	give := func(tickets ...id.Ticket) checkout.Paper {
		t.Helper()
		now, err := tw.desks[0].RefundTickets(t.Context(), txn.None, o.ID, tickets, payment.ByOrganizer, "")
		if err != nil {
			t.Fatal(err)
		}
		notes, err := tw.stores[0].Papers(t.Context(), txn.None, o.ID, checkout.CreditNote)
		if err != nil {
			t.Fatal(err)
		}
		if last := now.Refunds[len(now.Refunds)-1]; last.Amount != notes[len(notes)-1].Total {
			t.Errorf("the refund is of %s, its note of %s", last.Amount, notes[len(notes)-1].Total)
		}
		return notes[len(notes)-1]
	}
	tax := payment.TaxOf(tw.shop.Organizer)
	note := give(meal.ID)
	if !slices.Equal(note.Content.Taxes, []checkout.PaperTaxes{{BasisPoints: 550, Gross: 1055, Tax: 55}}) ||
		!slices.Equal(note.Content.Lines, []checkout.PaperLine{{Name: "Meal", Quantity: 1, Each: 1055}}) {
		t.Errorf("the meal's note: %+v", note.Content)
	}
	if got := -tw.balance(t, tax); got != 380 {
		t.Errorf("%d of tax in the books, want the seats' 380", got)
	}
	if _, err := tw.desks[1].Refund(t.Context(), txn.None, o.ID, 1000, payment.ByOrganizer, "cold"); err != nil {
		t.Fatal(err)
	}
	note = give(seat.ID)
	if !slices.Equal(note.Content.Taxes, []checkout.PaperTaxes{{BasisPoints: 1900, Gross: 1190, Tax: 190}}) {
		t.Errorf("the seat's note: %+v", note.Content.Taxes)
	}
	if _, err := tw.desks[1].Refund(t.Context(), txn.None, o.ID, 0, payment.ByOrganizer, "rain"); err != nil {
		t.Fatal(err)
	}
	tw.mustReconcile(t)
	if got := tw.balance(t, tax); got != 0 {
		t.Errorf("%d of tax is left in the books", got)
	}
}

// What a lost dispute takes back has tax in it like any other refund.
func TestDispute_lostTakesItsTaxBack(t *testing.T) {
	t.Parallel()
	tw, o := taxedOrder(t)
	tw.press(t, o, "dispute")
	tw.awaitPayment(t, o.ID, payment.Disputed)
	tw.press(t, o, "lose")
	tw.await(t, o.ID, checkout.Canceled)
	tw.awaitInQuestion(t, 0)
	if got := tw.balance(t, payment.TaxOf(tw.shop.Organizer)); got != 0 {
		t.Errorf("%d of tax is left in the books", got)
	}
}

// An order is not given back in more parts than anybody looks through; what is left can
// always go back.
func TestRefund_inMorePartsThanTheLimitIsRefusedAndTheRestGoesBack(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o := tw.paid(t, tw.odd, 1)
	for range checkout.MaxRefunds {
		if _, err := tw.desks[0].Refund(t.Context(), txn.None, o.ID, 1, payment.ByOrganizer, ""); err != nil {
			t.Fatal(err)
		}
	}
	_, err := tw.desks[0].Refund(t.Context(), txn.None, o.ID, 1, payment.ByOrganizer, "")
	wantErr(t, err, checkout.ErrRefundLimit)
	if now, err := tw.desks[0].Refund(t.Context(), txn.None, o.ID, 0, payment.ByOrganizer, ""); err != nil || now.Refund != checkout.FullRefund {
		t.Errorf("%s, %v", now.Refund, err)
	}
	eventually(t, "all to be sent", func() bool {
		tw.mustReconcile(t)
		return tw.balance(t, payment.OwedToBuyer) == 0
	})
}
