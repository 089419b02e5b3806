package booking_test

import (
	"errors"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
)

// bazaar is a shop with all terms at once, and what a naive bookkeeper knows of
// it: the holds, and what was returned of each. He counts by adding up.
type bazaar struct {
	shop
	codes    map[string]booking.Code // their limits
	holds    []*booking.Hold
	returned map[id.Hold]map[id.TicketType]int64
}

var bazaarBuyers = []booking.Buyer{"", "kann", "kbob", "kcat"}

func newBazaar(r *rand.Rand) *bazaar {
	b := &bazaar{shop: newShop(20+r.Int64N(60), 5+r.Int64N(20)), codes: map[string]booking.Code{}, returned: map[id.Hold]map[id.TicketType]int64{}}
	second, third := noon.Add(time.Duration(r.IntN(60))*time.Minute), noon.Add(2*time.Hour)
	b.with(b.floor, booking.Terms{MaxPerBuyer: 1 + r.Int64N(12), Tax: booking.Tax{BasisPoints: r.Int64N(3000), OnTop: r.IntN(2) == 0}, Tiers: []booking.Tier{
		{Name: "Early", Price: 1000, Fees: 10, Quantity: 1 + r.Int64N(12)},
		{Name: "Middle", Price: 2000, StartsAt: &second, Quantity: 1 + r.Int64N(12)},
		{Name: "Then", Price: 2500, Quantity: 1 + r.Int64N(12)},
		{Name: "Late", Price: 3000, StartsAt: &third, Quantity: r.Int64N(20)},
	}})
	b.with(b.gallery, booking.Terms{Hidden: true, Tiers: []booking.Tier{{Name: "Early", Price: 700, Quantity: 1 + r.Int64N(10)}, {Name: "Late", Price: 900}}})
	b.with(b.free, booking.Terms{Requires: b.floor})
	uses, budget, doors := r.Int64N(15), r.Int64N(9000), r.Int64N(12)
	for _, c := range []booking.Code{
		{Code: "TENTH", Kind: booking.PromoCode, MaxUses: &uses, Terms: booking.CodeTerms{Percent: 1000}},
		{Code: "OFF", Kind: booking.PromoCode, Budget: &budget, Terms: booking.CodeTerms{Off: 300, Types: []id.TicketType{b.floor}}},
		{Code: "DOOR", Kind: booking.AccessCode, MaxUses: &doors, Terms: booking.CodeTerms{Types: []id.TicketType{b.gallery}}},
	} {
		b.codes[c.Code] = c
		b.code(c)
	}
	return b
}

// recount adds up what holds and tickets take from every counter.
func (b *bazaar) recount() (tiers map[booking.TierKey]int64, codes map[string]booking.Use, bought map[booking.Bought]int64) {
	tiers, codes, bought = map[booking.TierKey]int64{}, map[string]booking.Use{}, map[booking.Bought]int64{}
	for _, h := range b.holds {
		if h.State != booking.HoldActive && h.State != booking.HoldConverted {
			continue
		}
		for _, i := range h.Items {
			n := i.Quantity - i.Returned
			tiers[booking.TierKey{Type: i.Type, Tier: i.Tier}] += n
			bought[booking.Bought{Buyer: i.Buyer, Type: i.Type}] += n
			codes[i.Promo] = booking.Use{Uses: codes[i.Promo].Uses + n, Spent: codes[i.Promo].Spent + n*i.Saved}
			codes[i.Access] = booking.Use{Uses: codes[i.Access].Uses + n, Spent: codes[i.Access].Spent}
		}
	}
	return tiers, codes, bought
}

// agree holds every counter, and what would be written of it, to the recount and
// to its limit.
func (b *bazaar) agree(t *testing.T, after string) {
	t.Helper()
	tiers, codes, bought := b.recount()
	moved := b.Counters.Moved
	for i := range b.Types {
		u := &b.Types[i]
		for j, tier := range u.Terms.Tiers {
			key := booking.TierKey{Type: u.ID, Tier: int64(j + 1)}
			if tier.Used != tiers[key] || moved.Tiers[key] != tiers[key] || tier.Used < 0 || tier.Quantity > 0 && tier.Used > tier.Quantity {
				t.Fatalf("after %s: tier %d of %s has %d used (%d moved) of %d; the holds have %d", after, j+1, u.Name, tier.Used, moved.Tiers[key], tier.Quantity, tiers[key])
			}
		}
	}
	for name, c := range b.Counters.Codes {
		use := booking.Use{Uses: c.Uses, Spent: c.Spent}
		if use != codes[name] || moved.Codes[name] != use || c.MaxUses != nil && c.Uses > *c.MaxUses || c.Budget != nil && c.Spent > *c.Budget || c.Uses < 0 {
			t.Fatalf("after %s: code %s has %+v (%+v moved); the holds have %+v", after, name, use, moved.Codes[name], codes[name])
		}
	}
	for _, who := range bazaarBuyers[1:] {
		key := booking.Bought{Buyer: who, Type: b.floor}
		if n := b.Counters.Bought[key]; n != bought[key] || moved.Bought[key] != n || n > b.Type(b.floor).Terms.MaxPerBuyer || n < 0 {
			t.Fatalf("after %s: buyer %s has %d (%d moved); the holds have %d", after, who, n, moved.Bought[key], bought[key])
		}
	}
	for _, h := range b.holds {
		for tid, n := range b.returned[h.ID] {
			var given int64
			for _, i := range h.Items {
				if i.Type == tid {
					given += i.Returned
				}
			}
			if given != n {
				t.Fatalf("after %s: %d tickets came back, the counters got %d", after, n, given)
			}
		}
	}
	for _, q := range b.Quotas {
		if q.Held < 0 || q.Sold < 0 || q.Free() < 0 {
			t.Fatalf("after %s: P2 is broken: %+v", after, q)
		}
	}
}

// Counters equal the recount from the holds in every order of events.
func TestTerms_countersAreWhatTheHoldsAddUpTo(t *testing.T) {
	t.Parallel()
	const games, moves = 300, 120
	did := map[string]int{}
	for seed := range uint64(games) {
		r := rand.New(rand.NewPCG(seed, 7))
		b := newBazaar(r)
		for range moves {
			what := b.move(t, r)
			did[what]++
			b.agree(t, what)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
	for _, what := range []string{
		"grant", "split grant", "sold_out", "code_used_up", "buyer_limit", "buyer_required", "requires_other_ticket", "unknown_ticket_type",
		"time", "release", "enter", "convert", "late convert", "refused convert", "end", "return", "unsell",
	} {
		if did[what] < games/10 {
			t.Errorf("%q happened %d times in %d games: the test does not try it", what, did[what], games)
		}
	}
}

func (b *bazaar) move(t *testing.T, r *rand.Rand) string {
	t.Helper()
	if len(b.holds) == 0 || r.IntN(10) < 4 {
		return b.grant(t, r)
	}
	h := b.holds[r.IntN(len(b.holds))]
	switch r.IntN(10) {
	case 0:
		b.later(time.Duration(r.IntN(5)) * time.Minute)
		b.Sweep()
		return "time"
	case 1:
		if h.State != booking.HoldConverted && h.Order.IsZero() {
			_ = b.Release(h)
		}
		return "release"
	case 2, 3:
		_ = b.Enter(h, id.NewOrder(b.ID), b.Now.Add(20*time.Minute))
		return "enter"
	case 4, 5, 6:
		return b.convert(t, h)
	case 7:
		b.End(h, booking.HoldExpired)
		return "end"
	case 8:
		if h.State != booking.HoldConverted || b.returned[h.ID] != nil {
			return "nothing"
		}
		b.Unsell(h)
		return "unsell"
	default:
		return b.giveBack(r, h)
	}
}

func (b *bazaar) grant(t *testing.T, r *rand.Rand) string {
	t.Helper()
	want := booking.Request{Hold: id.NewHold(b.ID), Buyer: bazaarBuyers[r.IntN(len(bazaarBuyers))], Promo: []string{"", "", "tenth", "off"}[r.IntN(4)]}
	for _, tid := range []id.TicketType{b.floor, b.gallery, b.free} {
		if r.IntN(3) > 0 {
			want.Lines = append(want.Lines, booking.Line{Type: tid, Quantity: 2 + r.Int64N(4)})
		}
	}
	if r.IntN(4) > 0 {
		want.Access = "DOOR"
	}
	if len(want.Lines) == 0 {
		return "nothing"
	}
	h, err := b.Grant(want)
	for _, known := range []error{
		booking.ErrSoldOut, booking.ErrCodeUsedUp, booking.ErrBuyerLimit, booking.ErrBuyerRequired, booking.ErrRequires, booking.ErrTicketType, booking.ErrCodeNotValid,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	var n, total int64
	for _, i := range h.Items {
		n, total = n+i.Quantity, total+i.Quantity*i.AllIn.Amount
	}
	for _, line := range want.Lines {
		n -= line.Quantity
	}
	if n != 0 || h.Total != eur(total) {
		t.Fatalf("the items are %d tickets too many; total %s of %d", n, h.Total, total)
	}
	b.holds = append(b.holds, h)
	if len(h.Items) > len(want.Lines) {
		return "split grant"
	}
	return "grant"
}

func (b *bazaar) convert(t *testing.T, h *booking.Hold) string {
	t.Helper()
	was := h.State
	if h.Order.IsZero() && was == booking.HoldActive {
		return "nothing"
	}
	err := b.Convert(h)
	switch {
	case err == nil && (was == booking.HoldExpired || was == booking.HoldReleased):
		if h.Order.IsZero() {
			h.Order = id.NewOrder(b.ID)
		}
		return "late convert"
	case err == nil:
		return "convert"
	case errors.Is(err, booking.ErrSoldOut) && h.State == was:
		return "refused convert"
	}
	t.Fatal(err)
	return ""
}

// giveBack cancels some of the tickets of a sold hold.
func (b *bazaar) giveBack(r *rand.Rand, h *booking.Hold) string {
	if h.State != booking.HoldConverted {
		return "nothing"
	}
	back, gone := map[id.TicketType]int64{}, b.returned[h.ID]
	if gone == nil {
		gone = map[id.TicketType]int64{}
	}
	for _, i := range h.Items {
		back[i.Type] += i.Quantity
	}
	maps.DeleteFunc(back, func(tid id.TicketType, _ int64) bool { return b.Type(tid).Name == "Child" }) // has no counter of its own
	for tid, n := range back {
		back[tid] = r.Int64N(n - gone[tid] + 1)
		gone[tid] += back[tid]
	}
	b.Return(h.Order, back)
	b.returned[h.ID] = gone
	return "return"
}
