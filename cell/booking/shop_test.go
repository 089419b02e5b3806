package booking_test

import (
	"errors"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// noon is when the shop opens; the event starts a month later.
var noon = time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC)

const ttl = 10 * time.Minute

func eur(cents int64) money.Money { return money.Money{Amount: cents, Currency: "EUR"} }

// shop is an event with two quotas and three ticket types that share them:
// "floor" draws on the hall, "gallery" on the hall and the gallery, "free" on the hall.
type shop struct {
	*booking.Stock
	hall, upper          id.Quota
	floor, gallery, free id.TicketType
}

// newShop opens a shop with so many places in the hall and in its gallery.
func newShop(hall, gallery int64) shop {
	event := id.NewEvent("euw3")
	s := shop{
		hall: id.NewQuota(event), upper: id.NewQuota(event),
		floor: id.NewTicketType(event), gallery: id.NewTicketType(event), free: id.NewTicketType(event),
	}
	s.Stock = &booking.Stock{
		Now: noon, HoldTTL: ttl, Holds: map[id.Hold]*booking.Hold{},
		Event: booking.Event{
			ID: event, Organizer: id.NewOrganizer("euw3"), Name: "Fête", Category: "music", Currency: "EUR", TimeZone: "Europe/Paris",
			Venue: booking.Venue{Name: "Salle", City: "Paris", Country: "FR"}, State: booking.Published, Placement: topology.Serving,
			StartsAt: noon.AddDate(0, 1, 0), Version: 1, Epoch: 1,
			Quotas: []booking.Quota{{ID: s.hall, Name: "hall", Size: hall}, {ID: s.upper, Name: "gallery", Size: gallery}},
			Types: []booking.TicketType{
				{ID: s.floor, Name: "Floor", Price: eur(4000), Fees: eur(250), Quotas: []id.Quota{s.hall}, MinPerOrder: 1, MaxPerOrder: 10},
				{ID: s.gallery, Name: "Gallery", Price: eur(2500), Fees: eur(0), Quotas: []id.Quota{s.hall, s.upper}, MinPerOrder: 2, MaxPerOrder: 6},
				{ID: s.free, Name: "Child", Price: eur(0), Fees: eur(0), Quotas: []id.Quota{s.hall}, MinPerOrder: 1, MaxPerOrder: 1000},
			},
		},
	}
	return s
}

func (s shop) ask(lines ...booking.Line) (*booking.Hold, error) {
	return s.Grant(booking.Request{Hold: id.NewHold(s.ID), Lines: lines})
}

func (s shop) mustHold(t *testing.T, of id.TicketType, n int64) *booking.Hold {
	t.Helper()
	h, err := s.ask(booking.Line{Type: of, Quantity: n})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (s shop) later(d time.Duration) { s.Now = s.Now.Add(d) }

// counters are held, sold, free of the hall and of the gallery.
func (s shop) counters() [6]int64 {
	h, g := s.Quota(s.hall), s.Quota(s.upper)
	return [6]int64{h.Held, h.Sold, h.Free(), g.Held, g.Sold, g.Free()}
}

func (s shop) wantCounters(t *testing.T, want [6]int64) {
	t.Helper()
	if got := s.counters(); got != want {
		t.Errorf("held, sold, free of hall and gallery: %v, want %v", got, want)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

// field is a member of the error's problem document.
func field(t *testing.T, err error, name string) any {
	t.Helper()
	e := kind.As(err)
	if e == nil {
		t.Fatalf("%v has no kind", err)
	}
	return e.Fields[name]
}
