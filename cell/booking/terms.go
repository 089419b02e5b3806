package booking

import (
	"errors"
	"time"

	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/internal/kind"
)

// Limits of a ticket type's terms.
const (
	MaxTiers    = 20
	MaxPerBuyer = 10_000
	wholeBP     = 10_000 // basis points of the whole
)

// What terms can refuse. The codes are part of the API.
var (
	ErrRequires      = kind.Unprocessable.New("requires_other_ticket")
	ErrTierTooSmall  = kind.Conflict.New("tier_too_small")
	errTermsSoldLate = ErrSoldOut.With("the hold had ended, and its price step, its code or its buyer's limit is used up")
)

// Terms are what a ticket type says of price and buyers beyond a face value. They
// are nil for a plain type, which costs the desk nothing.
type Terms struct {
	Hidden      bool          `json:"hidden,omitempty"` // only an access code opens it
	Tax         Tax           `json:"tax,omitzero"`
	Requires    id.TicketType `json:"requires,omitzero"`      // an add-on: never more of it than of that type in the same hold
	MaxPerBuyer int64         `json:"max_per_buyer,omitzero"` // tickets of one buyer in all holds and orders of the event; 0 for no limit
	Tiers       []Tier        `json:"tiers,omitempty"`        // in the order in which they are sold
}

// Tax is a share of face value and fees, reckoned for each ticket and rounded half
// up to a minor unit.
type Tax struct {
	BasisPoints int64 `json:"basis_points"` // 1900 is 19 %
	OnTop       bool  `json:"on_top"`       // added to the price; otherwise it is in there already
}

// plain: there is nothing in it that a type without terms does not have.
func (t *Terms) plain() bool {
	return !t.Hidden && t.Tax == Tax{} && t.Requires.IsZero() && t.MaxPerBuyer == 0 && len(t.Tiers) == 0
}

// of is the tax on a price; included, it is what is in there: price − price/(1+rate).
func (t Tax) of(price int64) int64 {
	if t.OnTop {
		return halfUp(price*t.BasisPoints, wholeBP)
	}
	return halfUp(price*t.BasisPoints, wholeBP+t.BasisPoints)
}

// halfUp is a/b rounded half up; neither is negative, and both are far from overflow.
func halfUp(a, b int64) int64 { return (2*a + b) / (2 * b) }

// Price is what one ticket costs, in minor units of the event's currency.
type Price struct {
	Face, Fees int64
	Tax        int64
	OnTop      bool   // Tax comes on top of Face and Fees; otherwise it is in them
	AllIn      int64  // what the buyer pays and is shown
	Tier       int64  // number of the price tier, from 1; 0 when the type's own price holds
	TierName   string // "" without a tier
}

// priced is the price of a ticket of the type with such a face value and fees.
func (t *TicketType) priced(face, fees int64) Price {
	p := Price{Face: face, Fees: fees, AllIn: face + fees}
	if t.Terms != nil && t.Terms.Tax.BasisPoints > 0 {
		p.Tax, p.OnTop = t.Terms.Tax.of(p.AllIn), t.Terms.Tax.OnTop
		if p.OnTop { // what is paid is in steps that cards know
			step := money.CardStep(t.Price.Currency)
			p.Tax = halfUp((face+fees)*t.Terms.Tax.BasisPoints, wholeBP*step) * step
			p.AllIn += p.Tax
		}
	}
	return p
}

// PriceAt is what the next ticket of the type costs at a time.
func (t *TicketType) PriceAt(now time.Time) Price { return t.priceOf(t.tierAt(now)) }

// Hidden says that only an access code opens the type.
func (t *TicketType) Hidden() bool { return t.Terms != nil && t.Terms.Hidden }

// Shown is the price of a type as it was when the event was read: of its current tier.
func (e *Event) Shown(t *TicketType) Price { return t.PriceAt(e.SeenAt) }

// offer is what a request would get: its items with their prices, fixed. Nothing
// is counted yet. access is the request's access code, nil for none.
func (s *Stock) offer(want Request, access *Code) ([]HoldItem, money.Money, error) {
	total := money.Money{Currency: s.Currency}
	promo, err := s.promo(want)
	if err != nil {
		return nil, total, err
	}
	items := make([]HoldItem, 0, len(want.Lines))
	for _, line := range want.Lines {
		if items, err = s.offerLine(items, s.Type(line.Type), line.Quantity, want, access); err != nil {
			return nil, total, err
		}
	}
	if promo != nil && !s.discount(items, promo) {
		return nil, total, ErrCodeNotValid.At("/promo_code", "saves nothing on these tickets")
	}
	for i := range items {
		sum, err := items[i].AllIn.Times(items[i].Quantity)
		if err == nil {
			total, err = total.Add(sum)
		}
		if err != nil {
			return nil, total, err
		}
	}
	return items, total, nil
}

// offerLine adds a line's items: one, or one for each price tier it reaches into.
func (s *Stock) offerLine(items []HoldItem, t *TicketType, n int64, want Request, access *Code) ([]HoldItem, error) {
	item := HoldItem{Type: t.ID, Name: t.Name, Buyer: want.Buyer}
	if t.Terms == nil {
		return append(items, item.at(t.priced(t.Price.Amount, t.Fees.Amount), s.Currency, n)), nil
	}
	if t.Terms.MaxPerBuyer > 0 {
		if want.Buyer == "" {
			return nil, ErrBuyerRequired.At("/buyer_key", "must name the buyer: %q has a limit per buyer", t.Name).Field("limit", t.Terms.MaxPerBuyer)
		}
		item.Tallied = true
	}
	if access != nil && t.Terms.Hidden {
		item.Access = access.Code
	}
	for n > 0 {
		tier, room := t.nextTier(s.Now, items)
		if room <= 0 {
			return nil, s.soldOut(want.Lines)
		}
		part := min(n, room)
		items = append(items, item.at(t.priceOf(tier), s.Currency, part))
		n -= part
	}
	return items, nil
}

// at is the item with a price and a quantity.
func (i HoldItem) at(p Price, currency string, n int64) HoldItem {
	i.Quantity, i.AllIn = n, money.Money{Amount: p.AllIn, Currency: currency}
	i.Fees, i.Tax, i.TaxOnTop, i.Tier, i.TierName = p.Fees, p.Tax, p.OnTop, p.Tier, p.TierName
	return i
}

// addOns holds the lines to what their types require of each other. A type that the
// request may not know of is not named.
func (s *Stock) addOns(lines []Line, access *Code) error {
	for i, line := range lines {
		t := s.Type(line.Type)
		if t.Terms == nil || t.Terms.Requires.IsZero() {
			continue
		}
		need := s.Type(t.Terms.Requires)
		if need == nil {
			continue
		}
		switch limit := ofType(lines, need.ID); {
		case ofType(lines, t.ID) <= limit:
		case !access.shows(need):
			return ErrRequires.At(linePointer(i, "quantity"), "%q is not sold alone", t.Name).Field("limit", limit)
		default:
			return ErrRequires.At(linePointer(i, "quantity"), "at most as many of %q as of %q in the same hold", t.Name, need.Name).
				Field("requires", need.ID.String()).Field("limit", limit)
		}
	}
	return nil
}

// refuse says in a refusal what the buyer has of it already.
func (s *Stock) refuse(err error, want Request) error {
	if errors.Is(err, ErrSoldOut) || errors.Is(err, ErrBuyerLimit) {
		return s.withOwn(kind.As(err), want)
	}
	return err
}
