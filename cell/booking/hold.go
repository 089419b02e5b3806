package booking

import (
	"slices"
	"time"

	"guichet/cell/id"
	"guichet/cell/money"
)

// HoldState is where a hold stands; it ends in one of the last three.
type HoldState string

// The states of a hold.
const (
	HoldActive    HoldState = "active"
	HoldConverted HoldState = "converted"
	HoldExpired   HoldState = "expired"
	HoldReleased  HoldState = "released"
)

// Hold is a short reservation for a buyer in checkout.
type Hold struct {
	ID        id.Hold
	State     HoldState
	CreatedAt time.Time // the database's clock, like every time here
	ExpiresAt time.Time
	Order     id.Order // set once an order is being paid from it
	Items     []HoldItem
	Total     money.Money // all-in, fixed when held

	GrantedUntil time.Time // its first expiry
	Asked        Mark      // of the request it was made by; zero when that had no key
}

// asGranted is the hold as its maker was first told of it.
func (h Hold) asGranted() Hold {
	h.State, h.ExpiresAt, h.Order = HoldActive, h.GrantedUntil, id.Order{}
	return h
}

// HoldItem is one line of a hold; its price is fixed when held.
type HoldItem struct {
	Type     id.TicketType `json:"type"`
	Name     string        `json:"name"`
	Quantity int64         `json:"quantity"`
	AllIn    money.Money   `json:"all_in"`          // each
	Seats    []HeldSeat    `json:"seats,omitempty"` // one for each of Quantity, in this order; none for general admission

	// Allocation is where staff took the item from; it goes back there when the hold ends unsold.
	Allocation id.Allocation `json:"allocation,omitzero"`

	// Of AllIn, in minor units, each.
	Fees     int64 `json:"fees,omitempty"`
	Tax      int64 `json:"tax,omitempty"`
	TaxOnTop bool  `json:"tax_on_top,omitempty"` // Tax is beside price and fees; otherwise it is in them
	Saved    int64 `json:"saved,omitempty"`      // by the promo code, all-in

	// What the tickets are counted for, beside the quotas.
	Tier     int64  `json:"tier,omitempty"` // number of the price tier, from 1
	TierName string `json:"tier_name,omitempty"`
	Promo    string `json:"promo,omitempty"`
	Access   string `json:"access,omitempty"`
	Buyer    Buyer  `json:"buyer,omitempty"`
	Payer    Buyer  `json:"payer,omitempty"`    // who orders it, where Buyer is a key that says nothing of him
	Tallied  bool   `json:"tallied,omitempty"`  // counts for the limits of Buyer and Payer
	Returned int64  `json:"returned,omitempty"` // tickets that these counters got back after the sale
}

// Same says whether two items without seats are alike in everything. Items with
// seats never are.
func (i *HoldItem) Same(o *HoldItem) bool {
	return len(i.Seats) == 0 && len(o.Seats) == 0 && i.Type == o.Type && i.Name == o.Name && i.Quantity == o.Quantity && i.AllIn == o.AllIn &&
		i.Allocation == o.Allocation && i.Fees == o.Fees && i.Tax == o.Tax && i.TaxOnTop == o.TaxOnTop && i.Saved == o.Saved &&
		i.Tier == o.Tier && i.TierName == o.TierName && i.Promo == o.Promo && i.Access == o.Access &&
		i.Buyer == o.Buyer && i.Payer == o.Payer && i.Tallied == o.Tallied && i.Returned == o.Returned
}

// Price is the face value of one ticket, less what a promo code took off.
func (i *HoldItem) Price() money.Money {
	p := i.AllIn
	p.Amount -= i.Fees
	if i.TaxOnTop {
		p.Amount -= i.Tax
	}
	return p
}

// Request asks for tickets to be kept aside.
type Request struct {
	Hold   id.Hold // its id, chosen by the caller
	Asked  Mark    // of the request, when the id comes from its key
	Lines  []Line
	Promo  string // a promo code as it was typed, "" for none
	Access string // an access code as it was typed, "" for none
	Buyer  Buyer  // who asks, "" when that is not said
}

// Line is so many tickets of one type.
type Line struct {
	Type     id.TicketType
	Quantity int64

	Seats      []SeatID // the very seats, as many as Quantity; none: the best available
	Section    string   // of the best available; "" for any
	Accessible bool     // one of the best available is an accessible seat
}

// wantsSeats says whether the line makes sense only where there are seats.
func (l *Line) wantsSeats() bool { return len(l.Seats) > 0 || l.Accessible || l.Section != "" }

// Limits of holds.
const (
	DefaultHoldTTL     = 10 * time.Minute
	MaxHoldLife        = 45 * time.Minute // from its making, however often it is extended before an order is made
	MaxLines           = 20
	MaxTicketsPerOrder = 50 // whatever maximum a ticket type has of its own
)

// NeedsCounters says that more than quotas must be known to go on with the hold: it
// has ended, and who sells it all the same counts its codes and buyers again; or it is
// to be ordered, and who orders has a limit that its buyer's key does not keep.
func (h *Hold) NeedsCounters() bool {
	return h.State == HoldActive && h.Order.IsZero() && h.keyed() || (h.State == HoldExpired || h.State == HoldReleased) && slices.ContainsFunc(h.Items, func(i HoldItem) bool { return i.counted() })
}

// Differs says whether something about the hold was changed that is stored.
func (h *Hold) Differs(now *Hold) bool {
	return now.State != h.State || now.Order != h.Order || !now.ExpiresAt.Equal(h.ExpiresAt) || now.Returned() != h.Returned() || now.Payer() != h.Payer()
}

// Payer is who orders it, "" where that is its Buyer or does not matter.
func (h *Hold) Payer() Buyer {
	for i := range h.Items {
		if h.Items[i].Payer != "" {
			return h.Items[i].Payer
		}
	}
	return ""
}

// Returned is how many of the hold's tickets were given back one by one.
func (h *Hold) Returned() (n int64) {
	for i := range h.Items {
		n += h.Items[i].Returned
	}
	return n
}
