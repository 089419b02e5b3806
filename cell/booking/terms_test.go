package booking_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/internal/kind"
)

// with gives a ticket type terms.
func (s shop) with(of id.TicketType, t booking.Terms) shop {
	t.Tiers = slices.Clone(t.Tiers) // they hold counters
	s.Type(of).Terms = &t
	return s
}

// code makes a code known to the transaction at hand.
func (s shop) code(c booking.Code) {
	if s.Counters.Codes == nil {
		s.Counters.Codes = map[string]*booking.Code{}
	}
	s.Counters.Codes[c.Code] = &c
}

func (s shop) buyer(t *testing.T, key string) booking.Buyer {
	t.Helper()
	b, err := booking.BuyerOf(s.ID, key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s shop) request(of id.TicketType, n int64) booking.Request {
	return booking.Request{Hold: id.NewHold(s.ID), Lines: []booking.Line{{Type: of, Quantity: n}}}
}

func (s shop) must(t *testing.T, want booking.Request) *booking.Hold {
	t.Helper()
	h, err := s.Grant(want)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (s shop) steps() []booking.Tier {
	second, third := noon.Add(time.Hour), noon.Add(2*time.Hour)
	return []booking.Tier{
		{Name: "Early", Price: 1000, Fees: 100, Quantity: 3},
		{Name: "Middle", Price: 2000, Quantity: 2, StartsAt: &second},
		{Name: "Late", Price: 3000, StartsAt: &third},
	}
}

func prices(h *booking.Hold) (each []int64) {
	for _, i := range h.Items {
		for range i.Quantity {
			each = append(each, i.AllIn.Amount)
		}
	}
	return each
}

func wantPrices(t *testing.T, h *booking.Hold, want ...int64) {
	t.Helper()
	got := prices(h)
	var sum int64
	for i := range got {
		sum += got[i]
		if i >= len(want) || got[i] != want[i] {
			t.Fatalf("prices %v, want %v", got, want)
		}
	}
	if len(got) != len(want) || h.Total != eur(sum) {
		t.Errorf("prices %v, want %v; total %s", got, want, h.Total)
	}
}

func TestTier_nextOneBeginsWhenOneIsHeldOrItsTimeHasCome(t *testing.T) {
	t.Parallel()
	s := newShop(100, 10)
	s.with(s.floor, booking.Terms{Tiers: s.steps()})
	wantPrices(t, s.must(t, s.request(s.floor, 2)), 1100, 1100)
	across := s.must(t, s.request(s.floor, 3)) // one of the first step is left, two of the next
	wantPrices(t, across, 1100, 2000, 2000)
	if p := s.Type(s.floor).PriceAt(s.Now); p.TierName != "Late" || p.AllIn != 3000 || p.Tier != 3 {
		t.Errorf("now %+v", p)
	}
	wantPrices(t, s.must(t, s.request(s.floor, 1)), 3000)
	if err := s.Release(across); err != nil {
		t.Fatal(err)
	}
	if err := s.Release(across); err != nil { // exactly once
		t.Fatal(err)
	}
	wantPrices(t, s.must(t, s.request(s.floor, 2)), 1100, 2000)
	s.later(time.Hour) // the holds are due, and the first step is over for good
	wantPrices(t, s.must(t, s.request(s.floor, 3)), 2000, 2000, 3000)
	s.later(time.Hour)
	wantPrices(t, s.must(t, s.request(s.floor, 1)), 3000)
}

func TestTier_typesOwnPriceHoldsBeforeTheFirst(t *testing.T) {
	t.Parallel()
	s := newShop(100, 10)
	first := noon.Add(time.Minute)
	s.with(s.floor, booking.Terms{Tiers: []booking.Tier{{Name: "Only", Price: 100, StartsAt: &first, Quantity: 2}}})
	wantPrices(t, s.must(t, s.request(s.floor, 3)), 4250, 4250, 4250)
	s.later(time.Minute)
	if free := s.Free(s.Type(s.floor)); free != 97 {
		t.Errorf("the event was seen before the step began: %d free", free)
	}
	wantPrices(t, s.must(t, s.request(s.floor, 1)), 100)
	_, err := s.Grant(s.request(s.floor, 2)) // the hall has room, the last step has not
	wantErr(t, err, booking.ErrSoldOut)
	if left, ok := field(t, err, "left").([]booking.Left); !ok || len(left) != 1 || left[0].Left != 1 {
		t.Errorf("left %v", field(t, err, "left"))
	}
	s.wantCounters(t, [6]int64{4, 0, 96, 0, 0, 10})
	s.must(t, s.request(s.floor, 1))
	if got := s.Availability(s.Type(s.floor)); got != booking.None {
		t.Errorf("the last step is used up: %s", got)
	}
}

func TestTax_isRoundedHalfUpForEachTicket(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		price, fees int64
		tax         booking.Tax
		each, allIn int64
	}{
		{1000, 0, booking.Tax{BasisPoints: 1900}, 160, 1000}, // 1000 − 1000/1.19 = 159.66
		{1000, 0, booking.Tax{BasisPoints: 1900, OnTop: true}, 190, 1190},
		{4000, 250, booking.Tax{BasisPoints: 550, OnTop: true}, 234, 4484}, // 233.75
		{110, 0, booking.Tax{BasisPoints: 500, OnTop: true}, 6, 116},       // 5.5
		{110, 0, booking.Tax{BasisPoints: 499, OnTop: true}, 5, 115},
		{101, 0, booking.Tax{BasisPoints: 10_000}, 51, 101}, // 50.5
		{0, 0, booking.Tax{BasisPoints: 1900, OnTop: true}, 0, 0},
		{16_666_666, 16_666_667, booking.Tax{BasisPoints: 10_000}, 16_666_667, 33_333_333}, // three of them are the most that one payment takes
	} {
		s := newShop(100, 10)
		f := s.Type(s.floor)
		f.Price, f.Fees, f.Terms = eur(c.price), eur(c.fees), &booking.Terms{Tax: c.tax}
		h := s.must(t, s.request(s.floor, 3))
		i := h.Items[0]
		if i.Tax != c.each || i.AllIn != eur(c.allIn) || h.Total != eur(3*c.allIn) || i.Price() != eur(c.price) || i.Fees != c.fees || i.TaxOnTop != c.tax.OnTop {
			t.Errorf("%+v: %+v, total %s", c, i, h.Total)
		}
	}
}

func TestHiddenType_isThereForWhoHasTheCodeOnly(t *testing.T) {
	t.Parallel()
	s := newShop(100, 10)
	s.with(s.floor, booking.Terms{Hidden: true})
	_, unknown := s.Grant(s.request(id.NewTicketType(s.ID), 1))
	_, err := s.Grant(s.request(s.floor, 1))
	wantErr(t, err, booking.ErrTicketType)
	if err.Error() != unknown.Error() {
		t.Errorf("a hidden type is told from none: %q, %q", err, unknown)
	}
	two := int64(2)
	until := noon.Add(time.Hour)
	s.code(booking.Code{Code: "VIP", Kind: booking.AccessCode, MaxUses: &two, Terms: booking.CodeTerms{Types: []id.TicketType{s.floor}, EndsAt: &until}})
	s.code(booking.Code{Code: "ELSE", Kind: booking.AccessCode, Terms: booking.CodeTerms{Types: []id.TicketType{s.gallery}}})
	ask := func(code string, n int64) (*booking.Hold, error) {
		want := s.request(s.floor, n)
		want.Access = code
		return s.Grant(want)
	}
	for code, want := range map[string]error{"NO": booking.ErrAccessCode, "ELSE": booking.ErrTicketType, "\x00": booking.ErrAccessCode} {
		_, err := ask(code, 1)
		wantErr(t, err, want)
	}
	h, err := ask(" vip ", 2)
	if err != nil || h.Items[0].Access != "VIP" {
		t.Fatal(h, err)
	}
	_, err = ask("VIP", 1)
	wantErr(t, err, booking.ErrCodeUsedUp)
	s.wantCounters(t, [6]int64{2, 0, 98, 0, 0, 10})
	s.End(h, booking.HoldExpired)
	if _, err = ask("VIP", 2); err != nil {
		t.Error(err)
	}
	s.later(time.Hour)
	_, err = ask("VIP", 1)
	wantErr(t, err, booking.ErrCodeNotValid)
	if p := s.PriceFrom(); p == nil || *p != eur(0) {
		t.Errorf("price from %v", p)
	}
	s.with(s.gallery, booking.Terms{Hidden: true}).with(s.free, booking.Terms{Hidden: true})
	if p := s.PriceFrom(); p != nil || s.OverallAvailability() != booking.Unknown {
		t.Errorf("what nobody may see is shown: %v, %s", p, s.OverallAvailability())
	}
}

func TestPromoCode_changesTheFaceValueOnly(t *testing.T) {
	t.Parallel()
	fixed, none, dear := int64(1000), int64(0), int64(9000)
	for _, c := range []struct {
		terms booking.CodeTerms
		tax   booking.Tax
		allIn int64 // of 40.00 and 2.50 of fees
		err   error
	}{
		{booking.CodeTerms{Percent: 1000}, booking.Tax{}, 3850, nil},
		{booking.CodeTerms{Percent: 333}, booking.Tax{}, 4117, nil}, // 133.2 off
		{booking.CodeTerms{Percent: 1000}, booking.Tax{BasisPoints: 1000, OnTop: true}, 4235, nil},
		{booking.CodeTerms{Percent: 10_000}, booking.Tax{}, 0, nil}, // free tickets have no fees
		{booking.CodeTerms{Off: 1500}, booking.Tax{}, 2750, nil},
		{booking.CodeTerms{Off: 99_999}, booking.Tax{}, 0, nil},
		{booking.CodeTerms{Fixed: &fixed}, booking.Tax{}, 1250, nil},
		{booking.CodeTerms{Fixed: &none}, booking.Tax{}, 0, nil},
		{booking.CodeTerms{Fixed: &dear}, booking.Tax{}, 0, booking.ErrCodeNotValid}, // never dearer
	} {
		s := newShop(100, 10)
		s.Type(s.floor).Terms = &booking.Terms{Tax: c.tax}
		s.code(booking.Code{Code: "SPRING", Kind: booking.PromoCode, Terms: c.terms})
		want := s.request(s.floor, 2)
		want.Promo = "Spring"
		full := s.Type(s.floor).PriceAt(s.Now).AllIn
		h, err := s.Grant(want)
		wantErr(t, err, c.err)
		if c.err != nil {
			continue
		}
		wantPrices(t, h, c.allIn, c.allIn)
		code := s.Counters.Codes["SPRING"]
		if h.Items[0].Saved != full-c.allIn || code.Uses != 2 || code.Spent != 2*(full-c.allIn) {
			t.Errorf("%+v: saved %d each; %+v", c.terms, h.Items[0].Saved, code)
		}
	}
}

func TestPromoCode_isForItsTypesWithinItsWindowAndLimits(t *testing.T) {
	t.Parallel()
	s := newShop(100, 10)
	uses, budget, from := int64(3), int64(1000), noon.Add(time.Second)
	s.code(booking.Code{Code: "A", Kind: booking.PromoCode, MaxUses: &uses, Terms: booking.CodeTerms{Off: 100, Types: []id.TicketType{s.floor}}})
	s.code(booking.Code{Code: "B", Kind: booking.PromoCode, Budget: &budget, Terms: booking.CodeTerms{Off: 400}})
	s.code(booking.Code{Code: "SOON", Kind: booking.PromoCode, Terms: booking.CodeTerms{Off: 1, StartsAt: &from}})
	s.code(booking.Code{Code: "DOOR", Kind: booking.AccessCode, Terms: booking.CodeTerms{Types: []id.TicketType{s.floor}}})
	ask := func(code string, lines ...booking.Line) (*booking.Hold, error) {
		return s.Grant(booking.Request{Hold: id.NewHold(s.ID), Lines: lines, Promo: code})
	}
	floor, gallery, child := booking.Line{Type: s.floor, Quantity: 2}, booking.Line{Type: s.gallery, Quantity: 2}, booking.Line{Type: s.free, Quantity: 2}
	for code, want := range map[string]error{"NONE": booking.ErrPromoCode, "DOOR": booking.ErrPromoCode, "SOON": booking.ErrCodeNotValid} {
		_, err := ask(code, floor)
		wantErr(t, err, want)
	}
	_, err := ask("A", gallery)
	wantErr(t, err, booking.ErrCodeNotValid)
	_, err = ask("B", child)
	wantErr(t, err, booking.ErrCodeNotValid) // nothing to save on what is free
	h, err := ask("A", gallery, floor)
	if err != nil || h.Items[0].Promo != "" || h.Items[1].Promo != "A" || s.Counters.Codes["A"].Uses != 2 {
		t.Fatal(h, err)
	}
	_, err = ask("A", floor)
	wantErr(t, err, booking.ErrCodeUsedUp)
	if _, err = ask("B", floor); err != nil {
		t.Fatal(err)
	}
	_, err = ask("B", floor)
	wantErr(t, err, booking.ErrCodeUsedUp)
	if a, b := s.Counters.Codes["A"], s.Counters.Codes["B"]; a.Uses != 2 || a.Spent != 200 || b.Uses != 2 || b.Spent != 800 {
		t.Errorf("a refusal counts: %+v, %+v", a, b)
	}
	s.wantCounters(t, [6]int64{6, 0, 94, 2, 0, 8})
}

func TestAddOn_neverExceedsWhatItRequires(t *testing.T) {
	t.Parallel()
	s := newShop(100, 10)
	s.with(s.free, booking.Terms{Requires: s.floor})
	for _, c := range []struct {
		floor, addOn int64
		err          error
	}{{0, 1, booking.ErrRequires}, {1, 2, booking.ErrRequires}, {2, 2, nil}, {3, 1, nil}} {
		lines := []booking.Line{{Type: s.free, Quantity: c.addOn}}
		if c.floor > 0 {
			lines = append(lines, booking.Line{Type: s.floor, Quantity: c.floor})
		}
		_, err := s.ask(lines...)
		wantErr(t, err, c.err)
	}
	_, err := s.ask(booking.Line{Type: s.free, Quantity: 1}, booking.Line{Type: s.floor, Quantity: 1}, booking.Line{Type: s.free, Quantity: 1})
	wantErr(t, err, booking.ErrRequires) // two lines of it are two of it
}

func TestAddOn_doesNotNameAHiddenTypeThatItRequires(t *testing.T) {
	t.Parallel()
	s := newShop(100, 10)
	s.with(s.floor, booking.Terms{Hidden: true}).with(s.free, booking.Terms{Requires: s.floor})
	s.code(booking.Code{Code: "VIP", Kind: booking.AccessCode, Terms: booking.CodeTerms{Types: []id.TicketType{s.floor}}})
	s.code(booking.Code{Code: "ELSE", Kind: booking.AccessCode, Terms: booking.CodeTerms{Types: []id.TicketType{s.gallery}}})
	for code, named := range map[string]bool{"": false, "ELSE": false, "VIP": true} {
		want := s.request(s.free, 1)
		want.Access = code
		_, err := s.Grant(want)
		wantErr(t, err, booking.ErrRequires)
		said := field(t, err, "requires") != nil || strings.Contains(err.Error(), "Floor") || strings.Contains(fmt.Sprint(kind.As(err).Fields), s.floor.String())
		if said != named {
			t.Errorf("with %q: %v %v", code, err, kind.As(err).Fields)
		}
	}
	want := s.request(s.free, 1)
	want.Access, want.Lines = "VIP", append(want.Lines, booking.Line{Type: s.floor, Quantity: 1})
	s.must(t, want)
}

// "Paid but expired", rule 3: what the hold had counted for must have room again.
func TestLateSale_isRefusedWhenItsTermsAreUsedUp(t *testing.T) {
	t.Parallel()
	one := int64(1)
	for name, c := range map[string]struct {
		terms booking.Terms
		want  func(r *booking.Request)
	}{
		"tier":   {booking.Terms{Tiers: []booking.Tier{{Name: "Early", Price: 100, Quantity: 1}, {Name: "Then", Price: 200}}}, func(*booking.Request) {}},
		"promo":  {booking.Terms{}, func(r *booking.Request) { r.Promo = "ONE" }},
		"access": {booking.Terms{Hidden: true}, func(r *booking.Request) { r.Access = "DOOR" }},
		"buyer":  {booking.Terms{MaxPerBuyer: 1}, func(r *booking.Request) { r.Buyer = "kzoe" }},
	} {
		for _, taken := range []bool{false, true} {
			s := newShop(100, 10)
			s.with(s.floor, c.terms)
			s.code(booking.Code{Code: "ONE", Kind: booking.PromoCode, MaxUses: &one, Terms: booking.CodeTerms{Off: 1}})
			s.code(booking.Code{Code: "DOOR", Kind: booking.AccessCode, MaxUses: &one, Terms: booking.CodeTerms{Types: []id.TicketType{s.floor}}})
			want := s.request(s.floor, 1)
			c.want(&want)
			h := s.must(t, want)
			s.End(h, booking.HoldExpired)
			if taken {
				want.Hold = id.NewHold(s.ID)
				s.must(t, want)
			}
			before := s.counters()
			err := s.Convert(h)
			if !taken {
				wantErr(t, err, nil)
				continue
			}
			wantErr(t, err, booking.ErrSoldOut)
			if h.State != booking.HoldExpired || s.counters() != before {
				t.Errorf("%s: a refused sale changes %v to %v", name, before, s.counters())
			}
		}
	}
}

func TestTerms_areCheckedWithPointers(t *testing.T) {
	t.Parallel()
	yes, ten, none, floor, nobody := true, int64(10), int64(-1), "Floor", "Nobody"
	early, late := noon, noon.Add(time.Hour)
	tiers := func(t ...booking.DraftTier) booking.DraftTerms { return booking.DraftTerms{Tiers: &t} }
	step := booking.DraftTier{Name: "A", Price: eur(100), Quantity: 1}
	for want, terms := range map[string]booking.DraftTerms{
		"":                                       {Hidden: &yes, Tax: &booking.Tax{BasisPoints: 10_000, OnTop: true}, MaxPerBuyer: &ten},
		"/ticket_types/1/tax/basis_points":       {Tax: &booking.Tax{BasisPoints: 10_001}},
		"/ticket_types/1/max_per_buyer":          {MaxPerBuyer: &none},
		"/ticket_types/1/requires":               {Requires: &nobody},
		"/ticket_types/1/tiers":                  tiers(make([]booking.DraftTier, booking.MaxTiers+1)...),
		"/ticket_types/1/tiers/0/name":           tiers(booking.DraftTier{Price: eur(100)}),
		"/ticket_types/1/tiers/0/price/currency": tiers(booking.DraftTier{Name: "A"}),
		"/ticket_types/1/tiers/0/price/amount":   tiers(booking.DraftTier{Name: "A", Price: eur(-1)}),
		"/ticket_types/1/tiers/0/fees/amount":    tiers(booking.DraftTier{Name: "A", Price: eur(100), Fees: new(eur(math.MaxInt64))}),
		"/ticket_types/1/tiers/0/quantity":       tiers(booking.DraftTier{Name: "A", Price: eur(100), Quantity: -1}),
		"/ticket_types/1/tiers/1/starts_at":      tiers(booking.DraftTier{Name: "A", Price: eur(100)}, step), // nothing ends the first
		"/ticket_types/1/tiers/2/starts_at":      tiers(booking.DraftTier{Name: "A", Price: eur(100), StartsAt: &late, Quantity: 1}, step, booking.DraftTier{Name: "B", Price: eur(100), StartsAt: &early}),
		"/ticket_types/1/tax":                    {Tax: &booking.Tax{BasisPoints: 10_000, OnTop: true}, Tiers: &[]booking.DraftTier{{Name: "A", Price: eur(money.Max / 100), Fees: new(eur(1))}}},
		"/ticket_types/0/requires":               {Requires: &floor}, // the first is that very type
	} {
		d := booking.Draft{
			Name: "Fête", Venue: booking.Venue{Name: "Salle", City: "Paris", Country: "FR"}, TimeZone: "Europe/Paris", Currency: "EUR", StartsAt: noon.AddDate(0, 1, 0),
			Quotas: []booking.DraftQuota{{Name: "hall", Size: 10}},
			Types:  []booking.DraftType{{Name: "Floor", Price: eur(100), Quotas: []string{"hall"}}, {Name: "Drink", Price: eur(100), Quotas: []string{"hall"}}},
		}
		d.Types[1].Terms = terms
		if want == "/ticket_types/0/requires" {
			d.Types[0].Terms = terms
		}
		e, err := d.Event("euw3", id.NewOrganizer("euw3"), noon)
		if want == "" {
			if err != nil || e.Types[0].Terms != nil || !e.Types[1].Hidden() {
				t.Errorf("%v: %+v", err, e.Types)
			}
			continue
		}
		wantErr(t, err, booking.ErrInvalidEvent)
		if err == nil || !strings.Contains(err.Error(), want+":") {
			t.Errorf("%v does not point at %s", err, want)
		}
	}
}

func TestRevise_keepsTermsThatAreNotSaidAnew(t *testing.T) {
	t.Parallel()
	s := newShop(100, 10)
	revise := func(of id.TicketType, d booking.DraftTerms) error {
		u := s.Type(of)
		return u.Revise(&s.Event, booking.DraftType{Name: u.Name, Price: u.Price, Terms: d})
	}
	yes, no, floor, child := true, false, "Floor", "Child"
	steps := []booking.DraftTier{{Name: "Early", Price: eur(10), Quantity: 3}, {Name: "Late", Price: eur(20)}}
	if err := revise(s.free, booking.DraftTerms{Hidden: &yes, Requires: &floor, Tiers: &steps, Tax: &booking.Tax{BasisPoints: 100}}); err != nil {
		t.Fatal(err)
	}
	if err := revise(s.free, booking.DraftTerms{}); err != nil {
		t.Fatal(err)
	}
	got := s.Type(s.free).Terms
	if got == nil || !got.Hidden || got.Requires != s.floor || len(got.Tiers) != 2 || got.Tax.BasisPoints != 100 {
		t.Fatalf("%+v", got)
	}
	wantErr(t, revise(s.gallery, booking.DraftTerms{Requires: &child}), booking.ErrInvalidEvent) // it is an add-on itself
	wantErr(t, revise(s.floor, booking.DraftTerms{Requires: new("Gallery")}), booking.ErrInvalidEvent)
	got.Tiers[0].Used = 2
	smaller := []booking.DraftTier{{Name: "Early", Price: eur(10), Quantity: 1}, {Name: "Late", Price: eur(20)}}
	wantErr(t, revise(s.free, booking.DraftTerms{Tiers: &smaller}), booking.ErrTierTooSmall)
	wantErr(t, revise(s.free, booking.DraftTerms{Tiers: &[]booking.DraftTier{}}), booking.ErrTierTooSmall)
	fewer := []booking.DraftTier{{Name: "Early", Price: eur(15), Quantity: 2}}
	if err := revise(s.free, booking.DraftTerms{Tiers: &fewer}); err != nil || s.Type(s.free).Terms.Tiers[0].Used != 2 {
		t.Fatal(err)
	}
	s.Type(s.free).Terms.Tiers[0].Used = 0
	if err := revise(s.free, booking.DraftTerms{Hidden: &no, Requires: new(""), Tiers: &[]booking.DraftTier{}, Tax: &booking.Tax{}}); err != nil || s.Type(s.free).Terms != nil {
		t.Errorf("%v: %+v", err, s.Type(s.free).Terms)
	}
}

func FuzzCodeOf(f *testing.F) {
	for _, s := range []string{"", " spring-24 ", "VIP_1", "ÄÖ", "a b", "\x00", strings.Repeat("A", 41)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		code := booking.CodeOf(text)
		if code != booking.CodeOf(code) || code != strings.ToUpper(code) || len(code) > booking.MaxCode {
			t.Errorf("%q is %q, which is %q", text, code, booking.CodeOf(code))
		}
	})
}

// A price at which nobody could ever be charged is refused when it is set: the fewest
// tickets of one order count, and an add-on is never alone.
func TestDraft_refusesAPriceThatNobodyCanBeCharged(t *testing.T) {
	t.Parallel()
	floor := "Floor"
	draft := func(currency string, typ booking.DraftType) error {
		in := func(m money.Money) money.Money { m.Currency = currency; return m }
		typ.Name, typ.Quotas, typ.Price = "Cheap", []string{"hall"}, in(typ.Price)
		d := booking.Draft{
			Name: "Fête", Venue: booking.Venue{Name: "Salle", City: "Paris", Country: "FR"}, TimeZone: "Europe/Paris", Currency: currency, StartsAt: noon.AddDate(0, 1, 0),
			Quotas: []booking.DraftQuota{{Name: "hall", Size: 10}},
			Types:  []booking.DraftType{{Name: floor, Price: in(eur(20_000)), Quotas: []string{"hall"}}, typ},
		}
		_, err := d.Event("euw3", id.NewOrganizer("euw3"), noon)
		return err
	}
	for name, c := range map[string]struct {
		currency string
		typ      booking.DraftType
		at       string // "" is taken
	}{
		"free":                       {"EUR", booking.DraftType{}, ""},
		"the least":                  {"EUR", booking.DraftType{Price: eur(50)}, ""},
		"less":                       {"EUR", booking.DraftType{Price: eur(49)}, "/ticket_types/1/price"},
		"less, but never one alone":  {"EUR", booking.DraftType{Price: eur(49), Min: 2}, ""},
		"less, but only with others": {"EUR", booking.DraftType{Price: eur(10), Terms: booking.DraftTerms{Requires: &floor}}, ""},
		"a step that is less":        {"EUR", booking.DraftType{Price: eur(500), Terms: booking.DraftTerms{Tiers: &[]booking.DraftTier{{Name: "A", Price: eur(20)}}}}, "/ticket_types/1/tiers/0/price"},
		"less of a weak currency":    {"HUF", booking.DraftType{Price: eur(17_499)}, "/ticket_types/1/price"},
		"more":                       {"EUR", booking.DraftType{Price: eur(100_000_000)}, "/ticket_types/1/price"},
		"more of the provider's own": {"ISK", booking.DraftType{Price: eur(1_000_000)}, "/ticket_types/1/price"},
		"as much of a weak currency": {"IDR", booking.DraftType{Price: eur(1_000_000_000)}, ""},
		"off the step":               {"KWD", booking.DraftType{Price: eur(1_234)}, "/ticket_types/1/price/amount"},
	} {
		err := draft(c.currency, c.typ)
		if c.at == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !errors.Is(err, money.ErrNotChargeable) || !strings.Contains(err.Error(), c.at+":") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a code leaves of a price may be less than anybody is charged with: the hold is
// refused, and takes nothing.
func TestHold_ofLessThanAnybodyIsChargedWithIsRefused(t *testing.T) {
	t.Parallel()
	s := newShop(100, 10)
	s.code(booking.Code{Code: "NEARLY", Kind: booking.PromoCode, Terms: booking.CodeTerms{Off: 3_970}})
	s.Type(s.floor).Fees = eur(0)
	for n, want := range map[int64]error{1: money.ErrNotChargeable, 2: nil} {
		r := s.request(s.floor, n) // 40.00 each
		r.Promo = "NEARLY"
		before := s.Free(s.Type(s.floor))
		_, err := s.Grant(r)
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%d tickets: %v", n, err)
		}
		if after := s.Free(s.Type(s.floor)); want != nil && after != before {
			t.Errorf("%d are free, were %d", after, before)
		}
	}
}
