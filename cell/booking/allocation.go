package booking

import (
	"strings"
	"time"

	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/walltime"
)

// Limits of allocations.
const (
	// MaxAllocations is how many an event may ever have; those that were given back
	// stay for the record.
	MaxAllocations = 5000
	// MaxOpenAllocations is how many an event may have at a time: its desk reads them
	// with every batch.
	MaxOpenAllocations = 200
	// MaxNamedHold is how long tickets may be kept for a named buyer.
	MaxNamedHold = 14 * 24 * time.Hour
	maxEmail     = 254 // RFC 5321
)

// Allocation is stock of one quota that staff set aside (a house hold). Never mix
// it with a hold: nobody is in checkout, and it does not expire.
type Allocation struct {
	ID        id.Allocation
	Quota     id.Quota
	Name      string
	Asked     int64     // how much was set aside at first
	Quantity  int64     // how much is still set aside; part of the quota's Allocated
	Closed    bool      // staff gave up the rest: nothing comes back to it
	CreatedAt time.Time // the database's clock
}

// Aside are the allocations of an event that a transaction has at hand.
type Aside map[id.Allocation]*Allocation

// NamedBuyer is for whom staff keep tickets.
type NamedBuyer struct {
	Name  string
	Email string // may be empty
}

// Named says for whom a hold was made from an allocation.
type Named struct {
	Hold  id.Hold
	From  id.Allocation
	Buyer NamedBuyer
}

// NamedHold is a hold with its buyer.
type NamedHold struct {
	Hold  Hold
	Buyer NamedBuyer
}

// Check holds the buyer to the rules; errors point at the JSON field.
func (b NamedBuyer) Check() error {
	if err := textOf(ErrAllocInvalid, "/buyer/name", b.Name, 1, MaxName, false); err != nil {
		return err
	}
	if text("/buyer/email", b.Email, 0, maxEmail, false) != nil || b.Email != "" && !strings.Contains(b.Email, "@") {
		return ErrAllocInvalid.At("/buyer/email", "must be an e-mail address of at most %d characters", maxEmail)
	}
	return nil
}

// Allocate sets n of a quota aside under a name. Due holds are swept before
// anybody is told that there is not enough. P2: held + sold + allocated <= size.
func (s *Stock) Allocate(of id.Allocation, quota id.Quota, name string, n int64) (*Allocation, error) {
	if err := s.Fence(); err != nil {
		return nil, err
	}
	if err := textOf(ErrAllocInvalid, "/name", name, 1, MaxName, false); err != nil {
		return nil, err
	}
	if n < 1 || n > MaxQuotaSize {
		return nil, ErrQuantity.At("/quantity", "must be 1 to %d", MaxQuotaSize)
	}
	q := s.Quota(quota)
	if q == nil {
		return nil, ErrQuotaNotFound.At("/quota_id", "the event has no such quota")
	}
	if s.State == Canceled {
		return nil, ErrState.With("the event is %s", s.State).Field("state", string(s.State))
	}
	s.Sweep()
	if q.Free() < n {
		return nil, ErrNotEnough.With("quota %q has %d left", q.Name, q.Free()).Field("left", q.Free())
	}
	a := &Allocation{ID: of, Quota: quota, Name: name, Asked: n, Quantity: n, CreatedAt: s.Now}
	s.book(EntryAllocate, of.String(), draws{{q, n}}, func(q *Quota, n int64) { q.Allocated += n })
	if s.Aside == nil {
		s.Aside = Aside{}
	}
	s.Aside[of] = a
	return a, nil
}

// Close gives all that is left of an allocation back to the public, for good.
// Closing again changes nothing.
func (s *Stock) Close(of id.Allocation) (*Allocation, error) {
	if err := s.Fence(); err != nil {
		return nil, err
	}
	a := s.Aside[of]
	if a == nil {
		return nil, ErrAllocNotFound
	}
	if a.Closed = true; a.Quantity == 0 {
		return a, nil
	}
	return s.Deallocate(of, a.Quantity)
}

// Deallocate gives n of an allocation back to the public.
func (s *Stock) Deallocate(of id.Allocation, n int64) (*Allocation, error) {
	if err := s.Fence(); err != nil {
		return nil, err
	}
	a := s.Aside[of]
	if a == nil {
		return nil, ErrAllocNotFound
	}
	switch {
	case n < 1:
		return nil, ErrQuantity.At("/quantity", "must be at least 1")
	case n > a.Quantity:
		return nil, ErrAllocTooSmall.With("%d are set aside", a.Quantity).Field("left", a.Quantity)
	}
	s.book(EntryDeallocate, of.String(), draws{{s.Quota(a.Quota), n}}, func(q *Quota, n int64) { q.Allocated -= n })
	a.Quantity -= n
	return a, nil
}

// NamedRequest asks for tickets out of an allocation for a named buyer.
type NamedRequest struct {
	From     id.Allocation
	Hold     id.Hold // its id, chosen by the caller
	Type     id.TicketType
	Quantity int64
	Until    *time.Time // when the hold ends; nil for the usual time
}

// GrantAside turns part of an allocation into a hold for a named buyer: allocated
// becomes held in one step, so the public never sees it free (P2). Staff are not
// bound by sales windows or a type's own maximum, only by what one order can hold.
// Other quotas that the type draws on must have room.
func (s *Stock) GrantAside(want NamedRequest) (*Hold, error) {
	if err := s.Fence(); err != nil {
		return nil, err
	}
	a, t := s.Aside[want.From], s.Type(want.Type)
	switch {
	case a == nil:
		return nil, ErrAllocNotFound
	case t == nil:
		return nil, ErrTicketType.At("/ticket_type_id", "the event has no such ticket type")
	case want.Quantity < 1:
		return nil, ErrQuantity.At("/quantity", "must be at least 1")
	case want.Quantity > MaxTicketsPerOrder:
		return nil, ErrTooMany.At("/quantity", "at most %d tickets in one order", MaxTicketsPerOrder).Field("limit", int64(MaxTicketsPerOrder))
	}
	if err := s.usable(s.Now); err != nil {
		return nil, err
	}
	until, err := s.namedUntil(want.Until)
	if err != nil {
		return nil, err
	}
	s.Sweep()
	need, err := s.drawAside(a, t, want.Quantity)
	if err != nil {
		return nil, err
	}
	lines := []Line{{Type: t.ID, Quantity: want.Quantity}}
	seats, err := s.pickNamed(lines)
	if err == nil {
		err = s.pickBest(seats, lines)
	}
	if err != nil {
		return nil, err
	}
	item := houseItem(t, want.Quantity, a.ID, s.Now, s.Currency)
	total, err := item.AllIn.Times(want.Quantity)
	if err == nil {
		total, err = money.Money{Currency: s.Currency}.Add(total)
	}
	if err == nil {
		err = money.Chargeable(total)
	}
	if err != nil {
		return nil, err
	}
	hold := &Hold{ID: want.Hold, State: HoldActive, CreatedAt: s.Now, ExpiresAt: until, GrantedUntil: until, Total: total, Items: []HoldItem{item}}
	seats.deal(hold.Items, lines)
	s.book(EntryAllocationHold, hold.ID.String(), need, func(q *Quota, n int64) {
		q.Held += n
		if q.ID == a.Quota {
			q.Allocated -= n
		}
	})
	s.claim(hold.ID, seats.all(), SeatHeld)
	a.Quantity -= want.Quantity
	s.Holds[hold.ID] = hold
	return hold, nil
}

// houseItem is an allocation's tickets at the price of the moment. They are staff's
// to give away, so they use up no price tier and no buyer's limit.
func houseItem(t *TicketType, n int64, from id.Allocation, now time.Time, currency string) HoldItem {
	item := HoldItem{Type: t.ID, Name: t.Name, Allocation: from}.at(t.PriceAt(now), currency, n)
	item.Tier = 0
	return item
}

// namedUntil is when a named buyer's hold ends.
func (s *Stock) namedUntil(asked *time.Time) (time.Time, error) {
	if asked == nil {
		return s.Now.Add(s.HoldTTL), nil
	}
	if !asked.After(s.Now) || asked.After(s.Now.Add(MaxNamedHold)) {
		return time.Time{}, ErrAllocInvalid.At("/expires_at", "must lie ahead, at most %d days", int(MaxNamedHold.Hours()/24))
	}
	if !walltime.Kept(*asked) {
		return time.Time{}, ErrAllocInvalid.At("/expires_at", tooFine)
	}
	return *asked, nil
}

// drawAside is what n tickets of t take from each quota when a gives its part.
func (s *Stock) drawAside(a *Allocation, t *TicketType, n int64) (draws, error) {
	var need draws
	ofIt := false
	for _, q := range t.Quotas {
		need = need.add(s.Quota(q), n)
		ofIt = ofIt || q == a.Quota
	}
	if !ofIt {
		return nil, ErrAllocMismatch.At("/ticket_type_id", "%q does not draw on the quota of the allocation", t.Name)
	}
	if a.Quantity < n {
		return nil, ErrAllocTooSmall.With("%d are set aside", a.Quantity).Field("left", a.Quantity)
	}
	for _, d := range need {
		if d.quota.ID != a.Quota && d.quota.Free() < d.n {
			return nil, ErrNotEnough.With("quota %q has %d left", d.quota.Name, d.quota.Free()).Field("left", d.quota.Free())
		}
	}
	return need, nil
}

// asideShare is what part of a hold came, or comes again, from an allocation. A
// hold for a named buyer has one item and comes from one allocation.
type asideShare struct {
	from *Allocation // nil: no part
	n    int64
}

// of is how much of a quota the share is.
func (a asideShare) of(q id.Quota) int64 {
	if a.from == nil || a.from.Quota != q {
		return 0
	}
	return a.n
}

// cameFrom is what of the hold goes back to its allocation when it ends unsold.
// What came from one that staff have closed since is the public's.
func (s *Stock) cameFrom(h *Hold) asideShare {
	for _, item := range h.Items {
		if a := s.Aside[item.Allocation]; a != nil && !a.Closed {
			return asideShare{a, item.Quantity}
		}
	}
	return asideShare{}
}

// canGive is what its allocation can still give to a hold that had ended.
func (s *Stock) canGive(h *Hold) asideShare {
	share := s.cameFrom(h)
	if share.from != nil {
		share.n = min(share.n, share.from.Quantity)
	}
	return share
}

// setAside moves n of the share's allocation; negative takes it out.
func (a asideShare) setAside(n int64) {
	if a.from != nil {
		a.from.Quantity += n
	}
}
