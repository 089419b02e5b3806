package booking_test

import (
	"strings"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

func TestFree_isTheLeastOfTheQuotas(t *testing.T) {
	t.Parallel()
	s := newShop(10, 3)
	if f := s.Free(s.Type(s.gallery)); f != 3 {
		t.Errorf("free %d", f)
	}
	if n := s.Size(s.Type(s.gallery)); n != 3 {
		t.Errorf("size %d", n)
	}
	s.mustHold(t, s.floor, 8)
	if f := s.Free(s.Type(s.gallery)); f != 2 {
		t.Errorf("free %d", f)
	}
	if f := s.Free(&booking.TicketType{}); f != 0 {
		t.Errorf("a type without quotas has %d", f)
	}
}

func TestAvailability_isFewFromATenthOfTheStockOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size, sold int64
		want       booking.Class
	}{
		{100, 0, booking.Available},
		{100, 89, booking.Available},
		{100, 90, booking.Few},
		{100, 99, booking.Few},
		{100, 100, booking.None},
		{0, 0, booking.None},
		{5, 4, booking.Available}, // a fifth is left
	} {
		s := newShop(c.size, 0)
		s.Quota(s.hall).Sold = c.sold
		if got := s.Availability(s.Type(s.floor)); got != c.want {
			t.Errorf("%d of %d sold: %s, want %s", c.sold, c.size, got, c.want)
		}
		if got := s.Availability(s.Type(s.gallery)); got != booking.None {
			t.Errorf("no place in the gallery: %s", got)
		}
		if got := s.OverallAvailability(); got != c.want { // the best of the types'
			t.Errorf("%d of %d sold, overall: %s, want %s", c.sold, c.size, got, c.want)
		}
	}
}

func TestAvailability_isNoneOfAnEventThatIsCanceledOrOver(t *testing.T) {
	t.Parallel()
	end := noon.AddDate(0, 1, 0).Add(3 * time.Hour)
	for name, c := range map[string]struct {
		state booking.State
		ends  *time.Time
		seen  time.Time
		want  booking.Class
	}{
		"to come":            {booking.Published, &end, noon, booking.Available},
		"just going on":      {booking.Published, &end, end.Add(-time.Microsecond), booking.Available},
		"over":               {booking.Published, &end, end, booking.None},
		"a day, not said":    {booking.Published, nil, noon.AddDate(0, 1, 1).Add(-time.Microsecond), booking.Available},
		"over, end not said": {booking.Published, nil, noon.AddDate(0, 1, 1), booking.None},
		"canceled":           {booking.Canceled, &end, noon, booking.None},
		"draft":              {booking.Drafted, &end, noon, booking.Available}, // what it will have
	} {
		s := newShop(100, 10)
		s.State, s.EndsAt, s.SeenAt = c.state, c.ends, c.seen
		if got, all := s.Availability(s.Type(s.floor)), s.OverallAvailability(); got != c.want || all != c.want {
			t.Errorf("%s: %s, overall %s, want %s", name, got, all, c.want)
		}
		s.Types = nil // none that the public sees: as little of what is over
		if got := s.OverallAvailability(); (got == booking.None) != (c.want == booking.None) {
			t.Errorf("%s, nothing listed: %s", name, got)
		}
	}
}

func TestPriceFrom_isTheLeastAllInPrice(t *testing.T) {
	t.Parallel()
	s := newShop(1, 1)
	if p := s.PriceFrom(); p == nil || *p != eur(0) {
		t.Error(p)
	}
	s.Types = s.Types[:1]
	if p := s.PriceFrom(); p == nil || *p != eur(4250) {
		t.Error(p)
	}
	s.Types = nil
	if p := s.PriceFrom(); p != nil {
		t.Error(p)
	}
}

// An add-on is not sold alone: with the floor gone, its places buy nobody a ticket.
func TestListing_countsWhatIsSoldAloneOnly(t *testing.T) {
	t.Parallel()
	s := newShop(100, 0)
	s.with(s.free, booking.Terms{Requires: s.floor})
	s.Type(s.gallery).Price = eur(5000)
	if p := s.PriceFrom(); p == nil || *p != eur(4250) {
		t.Errorf("price from %v", p)
	}
	s.with(s.floor, booking.Terms{Tiers: []booking.Tier{{Name: "Only", Price: 4000, Fees: 250, Quantity: 1, Used: 1}}})
	if got := s.Availability(s.Type(s.free)); got != booking.Available {
		t.Fatalf("the add-on: %s", got)
	}
	if got := s.OverallAvailability(); got != booking.None {
		t.Errorf("with the floor gone: %s", got)
	}
	s.Types = s.Types[2:] // the add-on alone
	if p := s.PriceFrom(); p != nil || s.OverallAvailability() != booking.Unknown {
		t.Errorf("nothing is sold alone: %v, %s", p, s.OverallAvailability())
	}
}

func TestPublish_onlyDraftsOfWhatIsStillToCome(t *testing.T) {
	t.Parallel()
	end := noon.Add(-time.Minute)
	for name, c := range map[string]struct {
		state booking.State
		ends  *time.Time
		want  error
	}{
		"draft":     {state: booking.Drafted},
		"again":     {state: booking.Published},
		"canceled":  {state: booking.Canceled, want: booking.ErrState},
		"past":      {state: booking.Drafted, ends: &end, want: booking.ErrState},
		"published": {state: booking.Published, ends: &end},
	} {
		s := newShop(1, 1)
		s.State, s.EndsAt = c.state, c.ends
		err := s.Publish(noon)
		if c.want != nil {
			wantErr(t, err, c.want)
			continue
		}
		if err != nil || s.State != booking.Published {
			t.Errorf("%s: %v, %s", name, err, s.State)
		}
	}
}

func TestCancel_endsTheSaleButNotADraft(t *testing.T) {
	t.Parallel()
	s := newShop(1, 1)
	for _, want := range []error{nil, booking.ErrUnchanged} {
		if wantErr(t, s.Cancel(), want); s.State != booking.Canceled {
			t.Fatal(s.State)
		}
	}
	s.State = booking.Drafted
	wantErr(t, s.Cancel(), booking.ErrState)
}

// P2: a quota never goes below what is held, sold and allocated.
func TestResize_neverBelowWhatIsUsed(t *testing.T) {
	t.Parallel()
	s := newShop(10, 10)
	q := s.Quota(s.hall)
	q.Held, q.Sold, q.Allocated = 1, 2, 3
	err := s.Resize(s.hall, "hall", 5)
	wantErr(t, err, booking.ErrQuotaTooSmall)
	if field(t, err, "limit") != int64(6) || q.Size != 10 {
		t.Errorf("limit %v, size %d", field(t, err, "limit"), q.Size)
	}
	if err := s.Resize(s.hall, "Saal", 6); err != nil || q.Size != 6 || q.Name != "Saal" || q.Free() != 0 {
		t.Errorf("%v, %+v", err, q)
	}
	wantErr(t, s.Resize(id.NewQuota(s.ID), "hall", 5), booking.ErrQuotaNotFound)
	wantErr(t, s.Resize(s.hall, "", 6), booking.ErrInvalidEvent)
	wantErr(t, s.Resize(s.hall, "hall", -1), booking.ErrInvalidEvent)
	wantErr(t, s.Resize(s.hall, "hall", booking.MaxQuotaSize+1), booking.ErrInvalidEvent)
}

func TestFence_opensOnlyAtTheServingHome(t *testing.T) {
	t.Parallel()
	for _, p := range []topology.PlacementState{topology.Sealed, topology.Moving, ""} {
		err := (&booking.Event{Placement: p}).Fence()
		wantErr(t, err, booking.ErrMoved)
		if e := kind.As(err); e == nil || e.Retry <= 0 {
			t.Errorf("%q does not say when to come back (P9)", p)
		}
	}
	if err := (&booking.Event{Placement: topology.Serving}).Fence(); err != nil {
		t.Error(err)
	}
}

func draft() booking.Draft {
	return booking.Draft{
		Name: "Fête", Summary: "Deux\nlignes", Venue: booking.Venue{Name: "Salle", City: "Paris", Country: "FR", Lat: 48.8, Lon: 2.3, Located: true},
		StartsAt: noon.AddDate(0, 1, 0), TimeZone: "Europe/Paris", Currency: "EUR",
		Quotas: []booking.DraftQuota{{"hall", 10}, {"gallery", 4}},
		Types:  []booking.DraftType{{Name: "Floor", Price: eur(100), Quotas: []string{"hall"}}, {Name: "Up", Price: eur(50), Quotas: []string{"hall", "gallery", "hall"}}},
	}
}

func TestDraft_becomesAnEventBornHere(t *testing.T) {
	t.Parallel()
	org := id.NewOrganizer("euw3")
	e, err := draft().Event("apn1", org, noon)
	if err != nil {
		t.Fatal(err)
	}
	if e.ID.Birth() != "apn1" || e.Organizer != org || e.State != booking.Drafted || e.Placement != topology.Serving || e.Version != 1 || e.Epoch != 1 || e.Category != "other" {
		t.Errorf("%+v", e)
	}
	if up := e.Types[1]; len(up.Quotas) != 2 || up.Quotas[0] != e.Quotas[0].ID || up.Quotas[1] != e.Quotas[1].ID {
		t.Errorf("a quota that was named twice counts once: %v", up.Quotas)
	}
	if floor := e.Types[0]; floor.MinPerOrder != 1 || floor.MaxPerOrder != 10 || floor.Fees != eur(0) {
		t.Errorf("%+v", floor)
	}
}

func TestDraft_isHeldToTheRulesAndThePointerSaysWhere(t *testing.T) {
	t.Parallel()
	before, early := noon, noon.AddDate(0, 0, 1)
	for pointer, spoil := range map[string]func(d *booking.Draft){
		"/name":                              func(d *booking.Draft) { d.Name = " " },
		"/name ":                             func(d *booking.Draft) { d.Name = strings.Repeat("ä", booking.MaxName+1) },
		"/name  ":                            func(d *booking.Draft) { d.Name = "two\nlines" },
		"/summary":                           func(d *booking.Draft) { d.Summary = "bell\a" },
		"/category":                          func(d *booking.Draft) { d.Category = strings.Repeat("x", booking.MaxCategory+1) },
		"/venue/name":                        func(d *booking.Draft) { d.Venue.Name = "" },
		"/venue/city":                        func(d *booking.Draft) { d.Venue.City = "" },
		"/venue/address":                     func(d *booking.Draft) { d.Venue.Address = "a\x00b" },
		"/venue/country":                     func(d *booking.Draft) { d.Venue.Country = "fr" },
		"/venue/location":                    func(d *booking.Draft) { d.Venue.Lat = 90.1 },
		"/venue/capacity":                    func(d *booking.Draft) { d.Venue.Capacity = -1 },
		"/time_zone":                         func(d *booking.Draft) { d.TimeZone = "Local" },
		"/time_zone ":                        func(d *booking.Draft) { d.TimeZone = "Europe/Atlantis" },
		"/starts_at":                         func(d *booking.Draft) { d.StartsAt = time.Time{} },
		"/starts_at ":                        func(d *booking.Draft) { d.StartsAt = noon.AddDate(11, 0, 0) },
		"/ends_at":                           func(d *booking.Draft) { d.EndsAt = &before },
		"/currency":                          func(d *booking.Draft) { d.Currency = "XXX" },
		"/quotas":                            func(d *booking.Draft) { d.Quotas = nil },
		"/quotas/1/name":                     func(d *booking.Draft) { d.Quotas[1].Name = "hall" },
		"/quotas/0/size":                     func(d *booking.Draft) { d.Quotas[0].Size = -1 },
		"/ticket_types":                      func(d *booking.Draft) { d.Types = nil },
		"/ticket_types/0/name":               func(d *booking.Draft) { d.Types[0].Name = "" },
		"/ticket_types/0/quotas":             func(d *booking.Draft) { d.Types[0].Quotas = nil },
		"/ticket_types/1/quotas/1":           func(d *booking.Draft) { d.Types[1].Quotas[1] = "cellar" },
		"/ticket_types/0/price/amount":       func(d *booking.Draft) { d.Types[0].Price.Amount = -1 },
		"/ticket_types/0/price/amount ":      func(d *booking.Draft) { d.Types[0].Price.Amount = money.Max },
		"/ticket_types/0/price/currency":     func(d *booking.Draft) { d.Types[0].Price.Currency = "USD" },
		"/ticket_types/0/fees/currency":      func(d *booking.Draft) { d.Types[0].Fees = &money.Money{Amount: 1, Currency: "USD"} },
		"/ticket_types/0/max_per_order":      func(d *booking.Draft) { d.Types[0].Min, d.Types[0].Max = 5, 4 },
		"/ticket_types/0/max_per_order ":     func(d *booking.Draft) { d.Types[0].Max = booking.MaxPerOrder + 1 },
		"/ticket_types/0/min_per_order":      func(d *booking.Draft) { d.Types[0].Min, d.Types[0].Max = booking.MaxTicketsPerOrder+1, 1000 },
		"/ticket_types/0/sales_end":          func(d *booking.Draft) { d.Types[0].SalesStart, d.Types[0].SalesEnd = &early, &before },
		"/ticket_types/1/name":               func(d *booking.Draft) { d.Types[1].Name = strings.Repeat("x", booking.MaxName+1) },
		"/ticket_types/1/max_per_order     ": func(d *booking.Draft) { d.Types[1].Min = -1 },
	} {
		d := draft()
		spoil(&d)
		_, err := d.Event("euw3", id.NewOrganizer("euw3"), noon)
		wantErr(t, err, booking.ErrInvalidEvent)
		if err == nil {
			t.Errorf("%s passed", pointer)
			continue
		}
		faults, _ := field(t, err, "errors").([]kind.Fault)
		if len(faults) != 1 || faults[0].Pointer != strings.TrimSpace(pointer) {
			t.Errorf("%s: %+v", pointer, faults)
		}
	}
}

// What a ticket type draws on was counted there; revising it must not move it.
func TestRevise_keepsTheQuotas(t *testing.T) {
	t.Parallel()
	s := newShop(10, 10)
	typ := s.Type(s.gallery)
	if err := typ.Revise(&s.Event, booking.DraftType{Name: "Balcony", Price: eur(100), Quotas: []string{"hall"}, Min: 1, Max: 2}); err != nil {
		t.Fatal(err)
	}
	if typ.Name != "Balcony" || typ.Price != eur(100) || typ.MaxPerOrder != 2 || len(typ.Quotas) != 2 || typ.ID != s.gallery {
		t.Errorf("%+v", typ)
	}
}

func TestPriceFrom_isOfWhatCanStillBeBought(t *testing.T) {
	t.Parallel()
	s := newShop(10, 10)
	s.SeenAt = noon
	cheap, dear := s.Type(s.floor), s.Type(s.gallery)
	cheap.Price, dear.Price = eur(1000), eur(3000)
	if got := s.PriceFrom(); got == nil || got.Amount >= dear.Price.Amount {
		t.Fatalf("with all on sale it is %v", got)
	}
	over := noon
	for i := range s.Types {
		if t := &s.Types[i]; t.ID != s.gallery {
			t.SalesEnd = &over
		}
	}
	if got := s.PriceFrom(); got == nil || got.Amount < dear.Price.Amount {
		t.Errorf("with the sale of all others over it is %v", got)
	}
	for i := range s.Quotas {
		s.Quotas[i].Sold = s.Quotas[i].Size
	}
	if got := s.PriceFrom(); got != nil {
		t.Errorf("sold out it is %v", got)
	}
}
