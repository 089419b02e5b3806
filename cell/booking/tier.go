package booking

import (
	"fmt"
	"math"
	"time"

	"guichet/cell/id"
	"guichet/cell/money"
)

// Tier is a price step of a ticket type. It begins at its time, or when the one
// before it is used up, whichever comes first; an earlier one never comes back
// once a later one's time has come. The type's own price holds before the first
// has begun.
type Tier struct {
	Name     string     `json:"name"`
	Price    int64      `json:"price"` // face value, minor units
	Fees     int64      `json:"fees,omitempty"`
	StartsAt *time.Time `json:"starts_at,omitempty"`
	Quantity int64      `json:"quantity,omitempty"` // tickets; 0 for no limit but the quotas'
	Used     int64      `json:"-"`                  // held and sold: a counter, beside the terms
}

// room is how many tickets of the tier are left.
func (t *Tier) room() int64 {
	if t.Quantity == 0 {
		return math.MaxInt64
	}
	return t.Quantity - t.Used
}

// begun is the last tier whose time has come, by its index; −1 before the first.
func (t *TicketType) begun(now time.Time) int {
	at := -1
	for i := range t.Terms.Tiers {
		if starts := t.Terms.Tiers[i].StartsAt; starts == nil && i == 0 || starts != nil && !now.Before(*starts) {
			at = i
		}
	}
	return at
}

// nextTier is the tier of the next ticket behind those that a request gets
// already, by its number, and its room. No room means that the last is used up.
func (t *TicketType) nextTier(now time.Time, taken []HoldItem) (tier, room int64) {
	if len(t.Terms.Tiers) == 0 {
		return 0, math.MaxInt64
	}
	at := t.begun(now)
	if at < 0 {
		return 0, math.MaxInt64
	}
	for i := at; i < len(t.Terms.Tiers); i++ {
		tier, room = int64(i)+1, t.Terms.Tiers[i].room()
		for _, item := range taken {
			if item.Type == t.ID && item.Tier == tier && room < math.MaxInt64 {
				room -= item.Quantity
			}
		}
		if room > 0 {
			break
		}
	}
	return tier, room
}

// tierAt is the number of the current tier, the last when all are used up.
func (t *TicketType) tierAt(now time.Time) int64 {
	if t.Terms == nil {
		return 0
	}
	tier, _ := t.nextTier(now, nil)
	return tier
}

// priceOf is the price in a tier, by its number.
func (t *TicketType) priceOf(tier int64) Price {
	if tier == 0 {
		return t.priced(t.Price.Amount, t.Fees.Amount)
	}
	step := &t.Terms.Tiers[tier-1]
	p := t.priced(step.Price, step.Fees)
	p.Tier, p.TierName = tier, step.Name
	return p
}

// tiersLeft is how many tickets the tiers still have; MaxInt64 without a limit.
func (t *TicketType) tiersLeft(now time.Time) int64 {
	if t.Terms == nil || len(t.Terms.Tiers) == 0 {
		return math.MaxInt64
	}
	at := t.begun(now)
	if at < 0 {
		return math.MaxInt64
	}
	var left int64
	for i := at; i < len(t.Terms.Tiers); i++ {
		room := t.Terms.Tiers[i].room()
		if room == math.MaxInt64 {
			return room
		}
		left += max(room, 0)
	}
	return left
}

// DraftTier is a price tier as an organizer says it.
type DraftTier struct {
	Name     string
	Price    money.Money
	Fees     *money.Money // default: the ticket type's
	StartsAt *time.Time
	Quantity int64 // 0 means no limit
}

// tiersOf checks tiers and carries over what is used of those there were: holds
// and tickets are counted by a tier's number.
func (t *TicketType) tiersOf(e *Event, draft []DraftTier, fees money.Money, at string) ([]Tier, error) {
	if len(draft) > MaxTiers {
		return nil, ErrInvalidEvent.At(at+"/tiers", "must be at most %d tiers", MaxTiers)
	}
	var before []Tier
	if t.Terms != nil {
		before = t.Terms.Tiers
	}
	var tiers []Tier
	for i, d := range draft {
		here := fmt.Sprintf("%s/tiers/%d", at, i)
		if err := d.check(e, here); err != nil {
			return nil, err
		}
		made := Tier{Name: d.Name, Price: d.Price.Amount, Fees: fees.Amount, StartsAt: d.StartsAt, Quantity: d.Quantity}
		if d.Fees != nil {
			made.Fees = d.Fees.Amount
		}
		if i > 0 && d.StartsAt == nil && tiers[i-1].Quantity == 0 {
			return nil, ErrInvalidEvent.At(here+"/starts_at", "must be given: the tier before has no quantity that could be used up")
		}
		for j := i - 1; j >= 0 && d.StartsAt != nil; j-- {
			if prior := tiers[j].StartsAt; prior != nil && !prior.Before(*d.StartsAt) {
				return nil, ErrInvalidEvent.At(here+"/starts_at", "must be after those of the tiers before it")
			}
		}
		if i < len(before) {
			made.Used = before[i].Used
		}
		if made.room() < 0 {
			return nil, ErrTierTooSmall.At(here+"/quantity", "%d tickets of this tier are held or sold", made.Used).Field("limit", made.Used)
		}
		tiers = append(tiers, made)
	}
	for i := len(tiers); i < len(before); i++ {
		if before[i].Used > 0 {
			return nil, ErrTierTooSmall.At(at+"/tiers", "tier %d cannot go: %d of its tickets are held or sold", i+1, before[i].Used).Field("limit", before[i].Used)
		}
	}
	return tiers, nil
}

func (d *DraftTier) check(e *Event, at string) error {
	if err := text(at+"/name", d.Name, 1, MaxName, false); err != nil {
		return err
	}
	if err := e.checkPrice(at+"/price", d.Price); err != nil {
		return err
	}
	if d.Fees != nil {
		if err := e.checkPrice(at+"/fees", *d.Fees); err != nil {
			return err
		}
	}
	if d.Quantity < 0 || d.Quantity > MaxQuotaSize {
		return ErrInvalidEvent.At(at+"/quantity", "must be 1 to %d, or left out", MaxQuotaSize)
	}
	return inBounds(at+"/starts_at", d.StartsAt)
}

// TierKey names a tier's counter.
type TierKey struct {
	Type id.TicketType
	Tier int64 // its number, from 1
}
