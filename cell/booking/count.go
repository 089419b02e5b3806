package booking

import (
	"maps"
	"slices"

	"guichet/cell/id"
)

// Counters are what a transaction knows of an event's counters beside its quotas
// and tiers: codes and buyers, those that its requests name. Moved is what it
// changed, also of those it does not know.
type Counters struct {
	Codes  map[string]*Code
	Bought map[Bought]int64
	Own    map[Buyer][]*Hold // live holds of the buyers that are named

	Moved Moved
}

func (c *Counters) remember(b Buyer, h *Hold) {
	if c.Own == nil {
		c.Own = map[Buyer][]*Hold{}
	}
	c.Own[b] = append(c.Own[b], h)
}

// Bought names a counter: a buyer's tickets of a type with a limit per buyer.
type Bought struct {
	Buyer Buyer
	Type  id.TicketType
}

// Use is what a code's counters change by.
type Use struct{ Uses, Spent int64 }

// Moved is what is added to counters. Only sums that are not zero need be written.
type Moved struct {
	Tiers  map[TierKey]int64
	Codes  map[string]Use
	Bought map[Bought]int64
}

// Asked is what a request names that the batch must know of.
type Asked struct {
	Codes  []string
	Buyers []Buyer
}

// asked lists the codes and the buyer of a request.
func (r *Request) asked() (a Asked) {
	for _, text := range []string{r.Promo, r.Access} {
		if code := CodeOf(text); code != "" {
			a.Codes = append(a.Codes, code)
		}
	}
	if r.Buyer != "" {
		a.Buyers = append(a.Buyers, r.Buyer)
	}
	return a
}

// Ended lists what must be known to sell holds that had ended all the same: their
// codes and buyers count again, if there still is room.
func (s *Stock) Ended() (a Asked) {
	for _, h := range s.Holds {
		if h.State != HoldExpired && h.State != HoldReleased {
			continue
		}
		for i := range h.Items {
			item := &h.Items[i]
			for _, code := range []string{item.Promo, item.Access} {
				if code != "" && s.Counters.Codes[code] == nil {
					a.Codes = append(a.Codes, code)
				}
			}
			for _, who := range []Buyer{item.Buyer, item.Payer} {
				if _, known := s.Counters.Own[who]; item.Tallied && who != "" && !known {
					a.Buyers = append(a.Buyers, who)
				}
			}
		}
	}
	return a
}

// counted says whether any counter beside the quotas knows of the item.
func (i *HoldItem) counted() bool {
	return i.Tier > 0 || i.Promo != "" || i.Access != "" || i.Tallied
}

// count adds the items' tickets to their counters, or, with −1, takes them away.
// Together with book it is all that touches counters: what a hold took is given
// back by its own items, so exactly that.
func (s *Stock) count(items []HoldItem, sign int64) {
	for i := range items {
		if items[i].counted() {
			s.countItem(&items[i], sign*(items[i].Quantity-items[i].Returned))
		}
	}
}

func (s *Stock) countItem(item *HoldItem, n int64) {
	m := &s.Counters.Moved
	if item.Tier > 0 {
		if t := s.Type(item.Type); t != nil && t.Terms != nil && item.Tier <= int64(len(t.Terms.Tiers)) {
			t.Terms.Tiers[item.Tier-1].Used += n
		}
		add(&m.Tiers, TierKey{item.Type, item.Tier}, n)
	}
	if item.Promo != "" {
		s.countCode(item.Promo, n, n*item.Saved)
	}
	if item.Access != "" {
		s.countCode(item.Access, n, 0)
	}
	if item.Tallied {
		key := Bought{item.Buyer, item.Type}
		add(&s.Counters.Bought, key, n)
		add(&m.Bought, key, n)
		s.countPayer(item, n)
	}
}

func (s *Stock) countPayers(items []HoldItem, sign int64) {
	for i := range items {
		s.countPayer(&items[i], sign*(items[i].Quantity-items[i].Returned))
	}
}

func (s *Stock) countPayer(item *HoldItem, n int64) {
	if item.Payer == "" {
		return
	}
	key := Bought{item.Payer, item.Type}
	add(&s.Counters.Bought, key, n)
	add(&s.Counters.Moved.Bought, key, n)
}

func (s *Stock) countCode(code string, uses, spent int64) {
	if c := s.Counters.Codes[code]; c != nil {
		c.Uses, c.Spent = c.Uses+uses, c.Spent+spent
	}
	m := &s.Counters.Moved
	if m.Codes == nil {
		m.Codes = map[string]Use{}
	}
	u := m.Codes[code]
	m.Codes[code] = Use{u.Uses + uses, u.Spent + spent}
}

func add[K comparable](to *map[K]int64, key K, n int64) {
	if *to == nil {
		*to = map[K]int64{}
	}
	(*to)[key] += n
}

// take counts the items, or refuses and counts nothing: the first limit that
// would be passed says why.
func (s *Stock) take(items []HoldItem) error {
	s.count(items, 1)
	for i := range items {
		if err := s.over(&items[i]); err != nil {
			s.count(items, -1)
			return err
		}
	}
	return nil
}

// over says which limit that the item counts for is passed.
func (s *Stock) over(item *HoldItem) error {
	t := s.Type(item.Type)
	if item.Tier > 0 && (t == nil || t.Terms == nil || item.Tier > int64(len(t.Terms.Tiers)) || t.Terms.Tiers[item.Tier-1].room() < 0) {
		return ErrSoldOut.With("the price step %q is used up", item.TierName)
	}
	if item.Promo != "" {
		c := s.Counters.Codes[item.Promo]
		if c == nil {
			return errNoPromo
		}
		if err := c.over(promoPointer); err != nil {
			return err
		}
	}
	if item.Access != "" {
		c := s.Counters.Codes[item.Access]
		if c == nil {
			return errNoAccess
		}
		if err := c.over(accessPointer); err != nil {
			return err
		}
	}
	if item.Tallied {
		if err := s.overBuyer(item, item.Buyer); err != nil {
			return err
		}
		return s.overBuyer(item, item.Payer)
	}
	return nil
}

// overBuyer says that a buyer has more than his limit of an item's type.
func (s *Stock) overBuyer(item *HoldItem, who Buyer) error {
	t := s.Type(item.Type)
	if who == "" || t == nil || t.Terms == nil || t.Terms.MaxPerBuyer == 0 || s.Counters.Bought[Bought{who, item.Type}] <= t.Terms.MaxPerBuyer {
		return nil
	}
	return ErrBuyerLimit.With("at most %d tickets of %q for one buyer, in all his holds and orders", t.Terms.MaxPerBuyer, t.Name).
		Field("limit", t.Terms.MaxPerBuyer).Field("ticket_type_id", t.ID.String())
}

// giveBack takes canceled tickets of an order out of the counters that its hold
// took them into, the last price tier first. What was given back is remembered
// in the hold's items, so nothing is given back twice.
func (s *Stock) giveBack(order id.Order, sold map[id.TicketType]int64) {
	for _, h := range s.Holds {
		if h.Order != order || h.State != HoldConverted || !slices.ContainsFunc(h.Items, func(i HoldItem) bool { return i.counted() }) {
			continue
		}
		items := slices.Clone(h.Items) // the store compares with what it read
		left := maps.Clone(sold)
		for i := len(items) - 1; i >= 0; i-- {
			item := &items[i]
			n := min(left[item.Type], item.Quantity-item.Returned)
			if !item.counted() || n <= 0 {
				continue
			}
			s.countItem(item, -n)
			item.Returned += n
			left[item.Type] -= n
		}
		h.Items = items
	}
}
