package deskbench

import (
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/internal/txn"
)

// withTerms compares a plain ticket type with one that draws on two quotas, one of
// them shared, has three price tiers, and is asked for with a promo code.
func withTerms(b *testing.B, r *report) {
	b.Helper()
	s := open(b, nil)
	shop := newHouse(b, s)
	plain, rich := shop.event(b, size), shop.richEvent(b)
	path, _ := holdRequest(rich)
	all := []variant{deskVariant("plain", shop.handler, plain, s), deskVariant("shared quotas, tiers, promo code", shop.handler, rich, s)}
	all[1].request = fixed(path, `{"items":[{"ticket_type_id":"`+rich.Types[0].ID.String()+`","quantity":1}],"promo_code":"SPRING"}`)
	all[0].sane, all[1].sane = nil, nil // two quotas, one of them shared: they do not count one type's holds alone
	samples := compare(b, all, 256)
	audit(b, all, []int64{samples[0].granted, samples[1].granted})
	var used int64
	if err := s.DB.Pool.QueryRow(b.Context(), `SELECT uses FROM booking.code WHERE event_id = $1`, rich.ID.String()).Scan(&used); err != nil || used != samples[1].granted {
		b.Errorf("the code counts %d uses of %d holds (%v)", used, samples[1].granted, err)
	}
	r.line("## One event with terms\n\nOne ticket of a plain type, and of one with two quotas, three price tiers and a promo code, 256 clients.\n")
	r.line("| ticket type | holds/s | p50 ms | p99 ms | of the plain one |\n|---|--:|--:|--:|--:|")
	for i, v := range all {
		r.line("| %s | %.0f | %s | %s | %.2f |", v.name, samples[i].rate(), ms(samples[i].at(50)), ms(samples[i].at(99)), samples[i].rate()/samples[0].rate())
	}
	r.line("")
}

// richEvent is an event with all of it.
func (h *house) richEvent(b *testing.B) booking.Event {
	b.Helper()
	eur := func(cents int64) money.Money { return money.Money{Amount: cents, Currency: "EUR"} }
	tiers := []booking.DraftTier{{Name: "early", Price: eur(3000), Quantity: 1000}, {Name: "regular", Price: eur(4250), Quantity: 1_000_000}, {Name: "late", Price: eur(5500)}}
	e, err := h.box.DraftEvent(b.Context(), txn.None, id.NewOrganizer("euw3"), booking.Draft{
		Name: "With terms", Venue: booking.Venue{Name: "Hall", City: "Paris", Country: "FR"}, StartsAt: time.Now().AddDate(0, 1, 0).Truncate(time.Second), TimeZone: "Europe/Paris", Currency: "EUR",
		Quotas: []booking.DraftQuota{{Name: "hall", Size: size}, {Name: "floor", Size: size}},
		Types: []booking.DraftType{
			{Name: "Floor", Price: eur(5500), Quotas: []string{"hall", "floor"}, Terms: booking.DraftTerms{Tiers: &tiers}},
			{Name: "Gallery", Price: eur(2500), Quotas: []string{"hall"}},
		},
	}, true)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := h.store.PutCode(b.Context(), txn.None, e.ID, "SPRING", func(*booking.Event, *booking.Code) (booking.Code, error) {
		return booking.Code{Code: "SPRING", Kind: booking.PromoCode, Terms: booking.CodeTerms{Percent: 1000}}, nil
	}); err != nil {
		b.Fatal(err)
	}
	return e
}
