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
)

// Whatever the parts in which an order is given back, the credit notes add up to
// the invoice, at every rate.
func TestPortions_ofAllPartsAreTheWhole(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		var all []checkout.PaperTaxes
		whole := int64(0)
		for range 1 + r.IntN(4) {
			gross := 1 + r.Int64N(1_000_000)
			all = append(all, checkout.PaperTaxes{BasisPoints: r.Int64N(3000), Gross: gross, Tax: r.Int64N(gross)})
			whole += gross
		}
		sums := make([]checkout.PaperTaxes, len(all))
		for given := int64(0); given < whole; {
			amount := min(1+r.Int64N(whole/3+1), whole-given)
			gross := int64(0)
			for i, p := range checkout.Portions(all, given, amount, whole) {
				if p.Tax < 0 || p.BasisPoints != all[i].BasisPoints {
					t.Fatalf("seed %d: %+v", seed, p)
				}
				gross += p.Gross
				sums[i].Gross, sums[i].Tax, sums[i].BasisPoints = sums[i].Gross+p.Gross, sums[i].Tax+p.Tax, p.BasisPoints
			}
			if gross != amount {
				t.Fatalf("seed %d: %d of %d is on the note", seed, gross, amount)
			}
			given += amount
		}
		if !slices.Equal(sums, all) {
			t.Fatalf("seed %d: %+v, want %+v", seed, sums, all)
		}
	}
}

func TestInvoice_namesTheTaxOfEachRateAndCreditNotesTakeItBack(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	eur := func(cents int64) money.Money { return money.Money{Amount: cents, Currency: "EUR"} }
	taxed := func(points int64, onTop bool) booking.DraftTerms {
		return booking.DraftTerms{Tax: &booking.Tax{BasisPoints: points, OnTop: onTop}}
	}
	e, err := tw.box.DraftEvent(t.Context(), tw.shop.Organizer, booking.Draft{
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
	o, err := tw.desks[0].Create(t.Context(), checkout.Request{Hold: h.ID, Buyer: buyer})
	if err == nil {
		o, err = tw.desks[0].Prepare(t.Context(), o.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	tw.mustConfirm(t, o, visa)
	tw.await(t, o.ID, checkout.Paid)
	invoice, err := tw.desks[1].Paper(t.Context(), o.ID, checkout.Invoice, 1)
	want := []checkout.PaperTaxes{{BasisPoints: 1900, Gross: 2380, Tax: 380}, {BasisPoints: 550, Gross: 1055, Tax: 55}}
	if err != nil || !slices.Equal(invoice.Content.Taxes, want) || invoice.Title() != "EUW3-I-000001" || invoice.Content.Seller.Name != e.Organizer.String() {
		t.Fatalf("%+v, %v", invoice, err)
	}
	for _, amount := range []int64{1000, 0} {
		if _, err := tw.desks[1].Refund(t.Context(), o.ID, amount, payment.ByOrganizer, "late"); err != nil {
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
