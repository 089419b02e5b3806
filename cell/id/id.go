// Package id holds the identities that carry the route. An event's id names the
// cell where it was born and 60 random bits; whatever belongs to the event
// carries that key and adds 80 bits of its own, so the home of any id is known
// without a look-up. The hint is advice: a placement wins, the cell's own
// database decides (architecture, "Ids carry the route").
package id

import (
	"crypto/rand"
	"fmt"

	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// ErrMalformed is returned for text that is not an id of the kind asked for.
var ErrMalformed = kind.Invalid.New("invalid_id")

// Prefix tells the kinds of id apart in the type system.
type Prefix interface{ prefix() string }

type (
	event      struct{}
	organizer  struct{}
	hold       struct{}
	order      struct{}
	ticket     struct{}
	payment    struct{}
	refund     struct{}
	ticketType struct{}
	quota      struct{}
	allocation struct{}
	series     struct{}
)

func (event) prefix() string      { return "evt" }
func (organizer) prefix() string  { return "org" }
func (hold) prefix() string       { return "hld" }
func (order) prefix() string      { return "ord" }
func (ticket) prefix() string     { return "tkt" }
func (payment) prefix() string    { return "pay" }
func (refund) prefix() string     { return "ref" }
func (ticketType) prefix() string { return "typ" }
func (quota) prefix() string      { return "quo" }
func (allocation) prefix() string { return "alc" }
func (series) prefix() string     { return "ser" }

// Root is an id that stands by itself: it has a key and nothing more.
type Root[P Prefix] struct{ key topology.EventKey }

// Member is an id that belongs to an event.
type Member[P Prefix] struct {
	key topology.EventKey
	own string
}

// The kinds of id.
type (
	Event      = Root[event]
	Organizer  = Root[organizer]
	Series     = Root[series]
	Hold       = Member[hold]
	Order      = Member[order]
	Ticket     = Member[ticket]
	Payment    = Member[payment]
	Refund     = Member[refund]
	TicketType = Member[ticketType]
	Quota      = Member[quota]
	Allocation = Member[allocation]
)

// newRoot makes an id born at cell; NewEvent and NewOrganizer name the kinds.
func newRoot[P Prefix](cell topology.CellID) Root[P] {
	return Root[P]{key: topology.EventKey{Birth: cell, Rand: random(topology.EventRandLen)}}
}

// NewEvent makes an event born at cell.
func NewEvent(cell topology.CellID) Event { return newRoot[event](cell) }

// NewOrganizer makes an organizer whose account lives at cell.
func NewOrganizer(cell topology.CellID) Organizer { return newRoot[organizer](cell) }

// NewSeries makes a series whose occurrences are at home at cell.
func NewSeries(cell topology.CellID) Series { return newRoot[series](cell) }

func newMember[P Prefix](of Event) Member[P] {
	return Member[P]{key: of.key, own: random(topology.MemberRandLen)}
}

// NewHold makes the id of a hold of the event.
func NewHold(of Event) Hold { return newMember[hold](of) }

// HoldFrom makes the id of a hold of the event from at least 16 bytes of a digest,
// the same from the same.
func HoldFrom(of Event, digest []byte) Hold {
	return Hold{key: of.key, own: spell(digest[:topology.MemberRandLen])}
}

// NewOrder makes the id of an order of the event.
func NewOrder(of Event) Order { return newMember[order](of) }

// NewTicket makes the id of a ticket of the event.
func NewTicket(of Event) Ticket { return newMember[ticket](of) }

// NewPayment makes the id of a payment of the event.
func NewPayment(of Event) Payment { return newMember[payment](of) }

// NewRefund makes the id of a refund of the event.
func NewRefund(of Event) Refund { return newMember[refund](of) }

// NewTicketType makes the id of a ticket type of the event.
func NewTicketType(of Event) TicketType { return newMember[ticketType](of) }

// NewQuota makes the id of a quota of the event.
func NewQuota(of Event) Quota { return newMember[quota](of) }

// NewAllocation makes the id of an allocation of the event.
func NewAllocation(of Event) Allocation { return newMember[allocation](of) }

func parseRoot[P Prefix](s string) (Root[P], error) {
	var p P
	ref, ok := topology.ParseRef(s)
	if !ok || ref.Kind != p.prefix() || ref.Own != "" {
		return Root[P]{}, ErrMalformed.With("%.60q is not an id like %s_euw3_k3v9x2m4q7rt", s, p.prefix())
	}
	return Root[P]{key: ref.Key}, nil
}

func parseMember[P Prefix](s string) (Member[P], error) {
	var p P
	ref, ok := topology.ParseRef(s)
	if !ok || ref.Kind != p.prefix() || ref.Own == "" {
		return Member[P]{}, ErrMalformed.With("%.60q is not an id like %s_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v", s, p.prefix())
	}
	return Member[P]{key: ref.Key, own: ref.Own}, nil
}

// ParseEvent accepts exactly what String gives, like all the parsers here.
func ParseEvent(s string) (Event, error) { return parseRoot[event](s) }

// ParseOrganizer parses an organizer's id.
func ParseOrganizer(s string) (Organizer, error) { return parseRoot[organizer](s) }

// ParseSeries parses a series' id.
func ParseSeries(s string) (Series, error) { return parseRoot[series](s) }

// ParseAllocation parses an allocation's id.
func ParseAllocation(s string) (Allocation, error) { return parseMember[allocation](s) }

// ParseHold parses a hold's id.
func ParseHold(s string) (Hold, error) { return parseMember[hold](s) }

// ParseOrder parses an order's id.
func ParseOrder(s string) (Order, error) { return parseMember[order](s) }

// ParseTicket parses a ticket's id.
func ParseTicket(s string) (Ticket, error) { return parseMember[ticket](s) }

// ParsePayment parses a payment's id.
func ParsePayment(s string) (Payment, error) { return parseMember[payment](s) }

// ParseRefund parses a refund's id.
func ParseRefund(s string) (Refund, error) { return parseMember[refund](s) }

// ParseTicketType parses a ticket type's id.
func ParseTicketType(s string) (TicketType, error) { return parseMember[ticketType](s) }

// ParseQuota parses a quota's id.
func ParseQuota(s string) (Quota, error) { return parseMember[quota](s) }

// Birth is the cell where the thing was born: the hint of where it is at home.
func (r Root[P]) Birth() topology.CellID { return r.key.Birth }

// Key is the routing part.
func (r Root[P]) Key() topology.EventKey { return r.key }

// IsZero reports whether the id was never set.
func (r Root[P]) IsZero() bool { return r.key.Rand == "" }

func (r Root[P]) String() string {
	if r.IsZero() {
		return ""
	}
	var p P
	return p.prefix() + "_" + r.key.String()
}

// MarshalText makes the id its text in JSON; the zero id is empty.
func (r Root[P]) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText accepts the empty text for the zero id and else parses strictly.
func (r *Root[P]) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*r = Root[P]{}
		return nil
	}
	v, err := parseRoot[P](string(b))
	*r = v
	return err
}

// Event is the event the thing belongs to.
func (m Member[P]) Event() Event { return Event{key: m.key} }

// Key is the routing part.
func (m Member[P]) Key() topology.EventKey { return m.key }

// IsZero reports whether the id was never set.
func (m Member[P]) IsZero() bool { return m.own == "" }

func (m Member[P]) String() string {
	if m.IsZero() {
		return ""
	}
	var p P
	return p.prefix() + "_" + m.key.String() + "_" + m.own
}

// MarshalText makes the id its text in JSON; the zero id is empty.
func (m Member[P]) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText accepts the empty text for the zero id and else parses strictly.
func (m *Member[P]) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*m = Member[P]{}
		return nil
	}
	v, err := parseMember[P](string(b))
	*m = v
	return err
}

// random gives n characters of 5 random bits each.
func random(n int) string {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic(fmt.Sprintf("the system has no randomness: %v", err)) // never returns an error since Go 1.24
	}
	return spell(b)
}

// spell writes the low five bits of each byte as a character.
func spell(bytes []byte) string {
	text := make([]byte, len(bytes))
	for i, b := range bytes {
		text[i] = topology.Alphabet[b&31]
	}
	return string(text)
}
