package client

import (
	"time"

	"guichet/cell/money"
)

// Tax is a share of price and fees, reckoned for each ticket and rounded half up
// to a minor unit. The all-in price always has it.
type Tax struct {
	BasisPoints int64 `json:"basis_points"`     // 1900 is 19 %
	OnTop       bool  `json:"on_top,omitempty"` // added to price and fees; otherwise they include it
}

// TicketTax is the tax on one ticket.
type TicketTax struct {
	Tax
	Amount money.Money `json:"amount"`
}

// NewTier is a price step of a ticket type. It begins at starts_at or when the one
// before it is used up, whichever comes first. The type's own price holds before
// the first has begun.
type NewTier struct {
	Name     string       `json:"name"`
	Price    money.Money  `json:"price"`
	Fees     *money.Money `json:"fees,omitempty"` // default: the ticket type's
	StartsAt *time.Time   `json:"starts_at,omitempty"`
	Quantity int64        `json:"quantity,omitempty"` // tickets; left out, the quotas are the only limit
}

// Tier is a price step with its counter, for the organizer.
type Tier struct {
	NewTier
	Used int64 `json:"used"` // tickets held and sold
}

// Terms are the terms of a ticket type.
type Terms struct {
	Tax         *TicketTax `json:"tax,omitempty"`
	Tier        string     `json:"tier,omitempty"` // name of the price step that price is of
	Hidden      bool       `json:"hidden,omitempty"`
	Requires    string     `json:"requires,omitempty"` // id of a ticket type; left out when that is hidden from who asks
	AddOn       bool       `json:"add_on,omitempty"`   // it is not sold alone
	MaxPerBuyer int64      `json:"max_per_buyer,omitempty"`
	Tiers       []Tier     `json:"tiers,omitempty"` // for the organizer only
}

// ItemPrice is what the all-in price of an order's item is made of, each; left out
// when that is all there is.
type ItemPrice struct {
	Price    *money.Money `json:"price,omitempty"` // face value, less what a promo code took off
	Fees     *money.Money `json:"fees,omitempty"`
	Tax      *money.Money `json:"tax,omitempty"`
	TaxOnTop bool         `json:"tax_on_top,omitempty"` // tax is beside price and fees; otherwise they include it
	Saved    *money.Money `json:"saved,omitempty"`      // by the promo code, of the all-in price
	Tier     string       `json:"tier,omitempty"`
}

// OwnHold is a live hold of the buyer who is refused what he holds already. It is named
// only to who sends its token with the request.
type OwnHold struct {
	ID        string    `json:"id,omitempty"`
	ExpiresAt time.Time `json:"expires_at"`
	OrderID   string    `json:"order_id,omitempty"` // that is being paid from it
}

// NewCode is a promo code (exactly one of basis_points, amount_off and
// fixed_price) or an access code (ticket_types are the hidden ones it opens). A
// use is one ticket; it counts when held and is given back when the hold ends
// unsold or the ticket is canceled.
type NewCode struct {
	Kind        string       `json:"kind"`                   // promo or access
	BasisPoints int64        `json:"basis_points,omitempty"` // off the face value: 1000 is 10 %
	AmountOff   *money.Money `json:"amount_off,omitempty"`
	FixedPrice  *money.Money `json:"fixed_price,omitempty"` // instead of the face value, where that is more
	TicketTypes []string     `json:"ticket_types,omitempty"`
	MaxUses     *int64       `json:"max_uses,omitempty"` // tickets
	Budget      *money.Money `json:"budget,omitempty"`   // that all uses together may save
	StartsAt    *time.Time   `json:"starts_at,omitempty"`
	EndsAt      *time.Time   `json:"ends_at,omitempty"`
}

// Code is a code with its counters.
type Code struct {
	Code string `json:"code"`
	NewCode
	Uses  int64       `json:"uses"`  // tickets held and sold
	Spent money.Money `json:"spent"` // what they saved
}
