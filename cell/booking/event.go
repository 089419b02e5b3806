// Package booking is the box office: events, ticket types, quotas and holds, and
// the decisions about them. Decisions are pure: they take facts and the time and
// change the facts in memory; the store gives them rows it has locked and writes
// what they changed in the same transaction. Nobody else may change stock (P2).
package booking

import (
	"time"

	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/control-plane/topology"
)

// State is where an event stands in its life (domain.md).
type State string

// The states of an event that are stored; on sale and ended follow from times.
const (
	Drafted   State = "draft"
	Published State = "published"
	Canceled  State = "canceled"
)

// Event is one thing sold with its own rules.
type Event struct {
	ID          id.Event
	Organizer   id.Organizer
	Name        string
	Summary     string
	Category    string
	Venue       Venue
	StartsAt    time.Time
	EndsAt      *time.Time
	TimeZone    string // IANA
	Currency    string // ISO 4217
	State       State
	Source      *Source
	Types       []TicketType
	Quotas      []Quota
	Version     int64 // grows with every change; the ETag
	Epoch       topology.Epoch
	Placement   topology.PlacementState
	Series      id.Series // of an occurrence
	Slot        string    // the occurrence's time slot; may be empty
	SeenAt      time.Time // the database's clock when it was read
	Seated      bool      // it has a seating plan; ticket types with categories sell its seats
	AllowGaps   bool      // buyers may leave single seats behind
	Seating     *Seating  // a plan that is to be laid out with the event; nil otherwise
	Refunds     RefundPolicy
	Rescheduled *Reschedule // nil while it takes place as it was first sold
}

// Venue is the place of an event.
type Venue struct {
	Name     string
	Address  string
	City     string
	Country  string // ISO 3166-1 alpha-2
	Lat, Lon float64
	Located  bool  // whether Lat and Lon are known
	Capacity int64 // persons; 0 when unsaid
}

// Source credits where an event's facts come from.
type Source struct {
	Name, ID, Licence, Credit, URL string
	Shifted                        bool
}

// SourceKey names the event in the catalogue it came from, "" when it came from
// none: an organizer has it once, however often it is imported.
func (e *Event) SourceKey() string {
	if e.Source == nil || e.Source.ID == "" {
		return ""
	}
	key := e.Source.Name + "\n" + e.Source.ID
	if e.Source.Shifted { // its next showing is another event
		key += "\n" + e.StartsAt.UTC().Format(time.RFC3339)
	}
	return key
}

// TicketType is what can be bought.
type TicketType struct {
	ID          id.TicketType
	Name        string
	Price       money.Money // face value
	Fees        money.Money // mandatory fees on top
	Quotas      []id.Quota  // every one of them must have room
	MinPerOrder int64
	MaxPerOrder int64
	SalesStart  *time.Time
	SalesEnd    *time.Time
	Terms       *Terms   // nil for a plain type
	Categories  []string // of the seats it sells; none: general admission
}

// Quota is a limit on how many may be sold, with its counters.
type Quota struct {
	ID                    id.Quota
	Name                  string
	Size                  int64
	Held, Sold, Allocated int64
}

// Free is what is left to hold: size − held − sold − allocated.
func (q *Quota) Free() int64 { return q.Size - q.Held - q.Sold - q.Allocated }

// Free is what is left of the ticket type: the least of its quotas and its tiers.
func (e *Event) Free(t *TicketType) int64 {
	free := int64(-1)
	for _, qid := range t.Quotas {
		if q := e.Quota(qid); q != nil && (free < 0 || q.Free() < free) {
			free = q.Free()
		}
	}
	return max(min(free, t.tiersLeft(e.SeenAt)), 0)
}

// Size is the least size of the ticket type's quotas.
func (e *Event) Size(t *TicketType) int64 {
	size := int64(-1)
	for _, qid := range t.Quotas {
		if q := e.Quota(qid); q != nil && (size < 0 || q.Size < size) {
			size = q.Size
		}
	}
	return max(size, 0)
}

// Quota finds a quota of the event.
func (e *Event) Quota(qid id.Quota) *Quota {
	for i := range e.Quotas {
		if e.Quotas[i].ID == qid {
			return &e.Quotas[i]
		}
	}
	return nil
}

// Type finds a ticket type of the event.
func (e *Event) Type(tid id.TicketType) *TicketType {
	for i := range e.Types {
		if e.Types[i].ID == tid {
			return &e.Types[i]
		}
	}
	return nil
}

// Fence refuses when the event is not decided here, or not now (P1).
func (e *Event) Fence() error {
	if e.Placement != topology.Serving {
		return ErrMoved.With("the event is being moved to another home").After(2 * time.Second)
	}
	return nil
}

// OnSale says whether the ticket type can be held now, and if not, why.
func (e *Event) OnSale(t *TicketType, now time.Time) error {
	if err := e.usable(now); err != nil {
		return err
	}
	switch {
	case t.SalesStart != nil && now.Before(*t.SalesStart):
		return ErrNotOnSale.With("sales of %q start at %s", t.Name, t.SalesStart.Format(time.RFC3339)).Field("sales_start", *t.SalesStart)
	case t.SalesEnd != nil && !now.Before(*t.SalesEnd):
		return ErrNotOnSale.With("sales of %q ended at %s", t.Name, t.SalesEnd.Format(time.RFC3339)).Field("sales_end", *t.SalesEnd)
	}
	return nil
}

// usable says whether a ticket that is sold now could still be used.
func (e *Event) usable(now time.Time) error {
	switch {
	case e.State != Published:
		return ErrNotOnSale.With("the event is %s", e.State)
	case !now.Before(e.end()):
		return ErrNotOnSale.With("the event is over")
	}
	return nil
}

// Over says that nobody can use a ticket any more, or ever.
func (e *Event) Over(now time.Time) bool { return e.usable(now) != nil }

// end is when nobody can use a ticket any more.
func (e *Event) end() time.Time {
	if e.EndsAt != nil {
		return *e.EndsAt
	}
	return e.StartsAt.Add(24 * time.Hour)
}

// Class is the public view of stock.
type Class string

// The public availabilities a home cell can state of a ticket type. Unknown is for
// those who cannot ask it (P9), and for an event of which the public sees no type.
const (
	Available Class = "available"
	Few       Class = "few"
	None      Class = "none"
	Unknown   Class = "unknown"
)

// fewShare: up to a tenth of the stock left is "few".
const fewShare = 10

// closed says that nobody can buy any more, as of when the event was read.
func (e *Event) closed() bool { return e.State == Canceled || !e.SeenAt.Before(e.end()) }

// Availability of a ticket type.
func (e *Event) Availability(t *TicketType) Class {
	free := e.Free(t)
	switch {
	case free <= 0 || e.closed():
		return None
	case free*fewShare <= e.Size(t):
		return Few
	}
	return Available
}

// listed says whether the public can see the ticket type and buy it alone.
func (t *TicketType) listed() bool {
	return t.Terms == nil || !t.Terms.Hidden && t.Terms.Requires.IsZero()
}

// OverallAvailability is the best of the listed ticket types', unknown without any.
func (e *Event) OverallAvailability() Class {
	best := Unknown
	if e.closed() {
		best = None
	}
	for i := range e.Types {
		if !e.Types[i].listed() {
			continue
		}
		switch class := e.Availability(&e.Types[i]); {
		case class == Available:
			return Available
		case class == Few || best == Unknown:
			best = class
		}
	}
	return best
}

// PriceFrom is the least all-in price of the listed ticket types that could still be
// bought when the event was read, nil without any.
func (e *Event) PriceFrom() *money.Money {
	var least *money.Money
	for i := range e.Types {
		t := &e.Types[i]
		if !t.listed() || e.Availability(t) == None || t.SalesEnd != nil && !e.SeenAt.Before(*t.SalesEnd) {
			continue
		}
		if p := e.Shown(&e.Types[i]).AllIn; least == nil || p < least.Amount {
			least = &money.Money{Amount: p, Currency: e.Currency}
		}
	}
	return least
}
