package booking

import (
	"time"

	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/internal/kind"
)

// Stock is an event's stock as one transaction sees it, its rows locked. The
// methods decide and count in memory; the store writes what changed.
type Stock struct {
	Event
	Now     time.Time // the database's clock, read after the locks were taken
	HoldTTL time.Duration
	Holds   map[id.Hold]*Hold // those the caller named, those that are due, and new ones
	DueLeft bool              // more holds may be due than were loaded
	Aside   Aside             // the allocations that were named, and those the loaded holds came from

	Log      []Entry  // what this transaction did to stock, in order
	Counters Counters // of codes and buyers
	Seats    *Seats   // nil for an event without a seating plan

	sweptAt time.Time // Now does not move in a batch, so one sweep is enough for all of it
}

// Left says how much of a ticket type there still is, in a refusal.
type Left struct {
	TicketType string `json:"ticket_type_id"`
	Left       int64  `json:"left"`
}

// Grant keeps tickets aside for a buyer. Due holds are swept before anybody is
// told "sold out". P2: held + sold + allocated <= size, for every quota drawn on.
func (s *Stock) Grant(want Request) (*Hold, error) {
	if err := s.Fence(); err != nil {
		return nil, err
	}
	s.Sweep()
	s.SeenAt = s.Now
	access, err := s.access(want)
	if err != nil {
		return nil, err
	}
	need, err := s.check(want.Lines, access)
	if err != nil {
		return nil, err
	}
	seats, err := s.pickNamed(want.Lines)
	if err != nil {
		return nil, err
	}
	for _, d := range need {
		if d.quota.Free() < d.n {
			return nil, s.withOwn(s.soldOut(want.Lines), want)
		}
	}
	if err := s.pickBest(seats, want.Lines); err != nil {
		return nil, err
	}
	items, total, err := s.offer(want, access)
	if err == nil { // nobody is led to a checkout that must refuse him
		err = money.Chargeable(total)
	}
	if err == nil {
		seats.deal(items, want.Lines)
		err = s.take(items)
	}
	if err != nil {
		return nil, s.refuse(err, want)
	}
	hold := &Hold{ID: want.Hold, State: HoldActive, CreatedAt: s.Now, ExpiresAt: s.Now.Add(s.HoldTTL), GrantedUntil: s.Now.Add(s.HoldTTL), Asked: want.Asked, Items: items, Total: total}
	s.book(EntryHold, hold.ID.String(), need, func(q *Quota, n int64) { q.Held += n })
	s.claim(hold.ID, seats.all(), SeatHeld)
	s.Holds[hold.ID] = hold
	if want.Buyer != "" {
		s.Counters.remember(want.Buyer, hold)
	}
	return hold, nil
}

// GrantOnce is Grant for a request whose hold has the id that its key gives: a
// hold that is there was granted to the same request before, and is answered as
// it was then (P5).
func (s *Stock) GrantOnce(want Request) (h Hold, replayed bool, err error) {
	if first := s.Holds[want.Hold]; first != nil {
		if first.Asked != want.Asked {
			return Hold{}, false, ErrKeyReused.With("this Idempotency-Key was used with another body")
		}
		return first.asGranted(), true, nil
	}
	made, err := s.Grant(want)
	if err != nil {
		return Hold{}, false, err
	}
	return *made, false, nil
}

// draw is what is taken from one quota.
type draw struct {
	quota *Quota
	n     int64
}

// draws collects draws, one for each quota.
type draws []draw

func (d draws) add(q *Quota, n int64) draws {
	for i := range d {
		if d[i].quota == q {
			d[i].n += n
			return d
		}
	}
	return append(d, draw{q, n})
}

// check holds the lines to the rules and answers how much each quota must give.
func (s *Stock) check(lines []Line, access *Code) (draws, error) {
	need := make(draws, 0, len(lines)+1)
	var all int64
	for i, line := range lines {
		at := func(field string) string { return at(i, field) }
		t := s.Type(line.Type)
		if t == nil || !access.shows(t) { // nor is it said that there is a hidden one
			return nil, ErrTicketType.At(at("ticket_type_id"), "the event has no such ticket type")
		}
		if line.Quantity < 1 {
			return nil, ErrQuantity.At(at("quantity"), "must be at least 1")
		}
		if err := s.OnSale(t, s.Now); err != nil {
			return nil, err
		}
		if limit := min(t.MaxPerOrder, MaxTicketsPerOrder); line.Quantity > limit-ofType(lines[:i], t.ID) {
			return nil, ErrTooMany.At(at("quantity"), "at most %d tickets of %q in one order", limit, t.Name).Field("limit", limit)
		}
		if line.Quantity > MaxTicketsPerOrder-all {
			return nil, ErrTooMany.At(at("quantity"), "at most %d tickets in one order", MaxTicketsPerOrder).Field("limit", int64(MaxTicketsPerOrder))
		}
		all += line.Quantity
		for _, q := range t.Quotas {
			need = need.add(s.Quota(q), line.Quantity)
		}
	}
	for _, line := range lines {
		if t := s.Type(line.Type); ofType(lines, t.ID) < t.MinPerOrder {
			return nil, ErrTooFew.With("at least %d tickets of %q in one order", t.MinPerOrder, t.Name).Field("limit", t.MinPerOrder)
		}
	}
	return need, s.addOns(lines, access)
}

// ofType is how many tickets of a type the lines ask for together.
func ofType(lines []Line, tid id.TicketType) (n int64) {
	for _, l := range lines {
		if l.Type == tid {
			n += l.Quantity
		}
	}
	return n
}

func (s *Stock) soldOut(lines []Line) *kind.Error {
	var left []Left
	for i, line := range lines {
		n := s.Free(s.Type(line.Type))
		if line.Accessible {
			n = s.leftAmong(s.Seats.pool(s.Type(line.Type), &lines[i]), &lines[i])
		}
		left = append(left, Left{line.Type.String(), n})
	}
	return ErrSoldOut.With("there are not that many left").Field("left", left)
}

// Sweep expires every loaded hold that is due and not being paid. A hold that is
// being paid is ended by its order, which first reads the payment back. Behind the
// fence nothing moves: the event's next home sweeps (P1).
func (s *Stock) Sweep() (expired int) {
	if s.sweptAt.Equal(s.Now) || s.Fence() != nil {
		return 0
	}
	s.sweptAt = s.Now
	for _, h := range s.Holds {
		if h.State == HoldActive && h.Order.IsZero() && !s.Now.Before(h.ExpiresAt) {
			s.give(h, HoldExpired)
			expired++
		}
	}
	return expired
}

// Release gives a hold's stock back; releasing again changes nothing.
func (s *Stock) Release(h *Hold) error {
	if err := s.Fence(); err != nil {
		return err
	}
	if h.State == HoldConverted {
		return ErrState.With("the hold has become an order; cancel the order instead")
	}
	if h.State == HoldActive && !h.Order.IsZero() {
		return ErrHoldInCheckout.With("an order is being paid from this hold; cancel the order instead").Field("order_id", h.Order.String())
	}
	if h.State == HoldActive {
		s.give(h, HoldReleased)
	}
	return nil
}

// End gives the stock of a hold whose order ended unpaid back, exactly once.
func (s *Stock) End(h *Hold, as HoldState) {
	if h.State == HoldActive {
		s.give(h, as)
	}
}

// Extend moves a hold's expiry to one TTL from now, never past MaxHoldLife. Once
// an order is being paid from it, the order's window counts, which nobody extends.
func (s *Stock) Extend(h *Hold) error {
	if err := s.live(h); err != nil {
		return err
	}
	if !h.Order.IsZero() {
		return ErrHoldInCheckout.With("an order is being paid from this hold; its window is not extended").Field("order_id", h.Order.String())
	}
	until, last := s.Now.Add(s.HoldTTL), h.CreatedAt.Add(MaxHoldLife)
	if until.After(last) {
		until = last
	}
	switch {
	case until.After(h.ExpiresAt):
		h.ExpiresAt = until
		return nil
	case h.ExpiresAt.Before(last): // somebody else extended it just now: it lasts as long as was asked
		return nil
	case h.ExpiresAt.Equal(last):
		return ErrExtendLimit.With("a hold lives at most %s", MaxHoldLife).Field("limit", int64(MaxHoldLife.Seconds())).Field("expires_at", h.ExpiresAt)
	}
	// Its organizer may have let it last longer than anybody can extend one.
	return ErrExtendLimit.With("an extension would not make the hold last longer than it does").Field("expires_at", h.ExpiresAt)
}

// Enter binds a hold to the order that is being paid from it and extends it
// until the payment's deadline, once ("Paid but expired", rule 1). Nobody is asked
// to pay for an event that was canceled meanwhile.
func (s *Stock) Enter(h *Hold, order id.Order, until time.Time) error {
	if err := s.MayEnter(h); err != nil {
		return err
	}
	h.Order = order
	if until.After(h.ExpiresAt) {
		h.ExpiresAt = until
	}
	return nil
}

// MayEnter says why an order cannot be made from a hold; it changes nothing.
func (s *Stock) MayEnter(h *Hold) error {
	if err := s.Fence(); err != nil {
		return err
	}
	if h.Order.IsZero() { // an event that is over or canceled ends its holds: that is the reason to be told
		if err := s.usable(s.Now); err != nil {
			return err
		}
	}
	if h.State != HoldActive || h.Order.IsZero() && !s.Now.Before(h.ExpiresAt) {
		return errHoldOver(h, s.Now)
	}
	if !h.Order.IsZero() {
		return ErrHoldInCheckout.With("an order is already being paid from this hold").Field("order_id", h.Order.String())
	}
	return nil
}

// errHoldOver names the state that a hold is in, or would be if it had been swept.
func errHoldOver(h *Hold, now time.Time) error {
	state := h.State
	if state == HoldActive && h.Order.IsZero() && !now.Before(h.ExpiresAt) {
		state = HoldExpired
	}
	return ErrHoldExpired.With("the hold is no longer active").Field("state", string(state))
}

func (s *Stock) live(h *Hold) error {
	if err := s.Fence(); err != nil {
		return err
	}
	if h.State != HoldActive || h.Order.IsZero() && !s.Now.Before(h.ExpiresAt) {
		if h.State == HoldActive {
			s.give(h, HoldExpired)
		}
		return errHoldOver(h, s.Now)
	}
	return nil
}

// Convert sells what is held. When the hold was ended before the money came, the
// stock is taken again if it is still there ("Paid but expired", rule 3). What
// cannot be sold any more, gone or of no use, is refused and changes nothing.
func (s *Stock) Convert(h *Hold) error {
	if err := s.Fence(); err != nil {
		return err
	}
	switch h.State {
	case HoldConverted:
		return nil
	case HoldActive:
		if s.State != Published {
			return ErrNotOnSale.With("the event is %s", s.State)
		}
		s.book(EntrySale, h.ID.String(), s.drawn(h), func(q *Quota, n int64) { q.Held -= n; q.Sold += n })
		s.claim(h.ID, s.ofHold(h), SeatSold)
	default:
		if err := s.usable(s.Now); err != nil {
			return err
		}
		s.Sweep()
		need, aside := s.drawn(h), s.canGive(h)
		for _, d := range need {
			if d.quota.Free()+aside.of(d.quota.ID) < d.n {
				return ErrSoldOut.With("the hold had ended and its tickets are gone")
			}
		}
		if !s.seatsFree(h) {
			return ErrSoldOut.With("the hold had ended and its seats are gone")
		}
		if s.take(h.Items) != nil {
			return errTermsSoldLate
		}
		s.book(EntryLateSale, h.ID.String(), need, func(q *Quota, n int64) { q.Sold, q.Allocated = q.Sold+n, q.Allocated-aside.of(q.ID) })
		s.claim(h.ID, s.ofHold(h), SeatSold)
		aside.setAside(-aside.n)
	}
	h.State = HoldConverted
	return nil
}

// Return gives the sold tickets of an order back to the quotas of their types,
// and the seats of these tickets, which must be loaded: name the order's hold.
func (s *Stock) Return(order id.Order, sold map[id.TicketType]int64, seats ...SeatID) {
	var need draws
	for i := range s.Types {
		if t := &s.Types[i]; sold[t.ID] > 0 {
			for _, q := range t.Quotas {
				need = need.add(s.Quota(q), sold[t.ID])
			}
		}
	}
	s.giveBack(order, sold)
	s.book(EntryReturn, order.String(), need, func(q *Quota, n int64) { q.Sold -= n })
	s.returnSeats(seats)
}

// Unsell gives a sold hold, of which there are no tickets, back with all that it had
// taken: it has ended as one that was never sold, and like such a one may be sold late.
func (s *Stock) Unsell(h *Hold) {
	if h.State != HoldConverted {
		return
	}
	aside := s.cameFrom(h)
	s.book(EntryReturn, h.Order.String(), s.drawn(h), func(q *Quota, n int64) { q.Sold, q.Allocated = q.Sold-n, q.Allocated+aside.of(q.ID) })
	s.giveUp(h, aside, HoldReleased)
}

// ends names the ledger's word for each end of a hold.
var ends = map[HoldState]EntryKind{HoldExpired: EntryExpiry, HoldReleased: EntryRelease}

func (s *Stock) give(h *Hold, as HoldState) {
	aside := s.cameFrom(h)
	s.book(ends[as], h.ID.String(), s.drawn(h), func(q *Quota, n int64) { q.Held, q.Allocated = q.Held-n, q.Allocated+aside.of(q.ID) })
	s.giveUp(h, aside, as)
}

// giveUp ends a hold whose stock was just booked back.
func (s *Stock) giveUp(h *Hold, aside asideShare, as HoldState) {
	s.freeSeats(h)
	aside.setAside(aside.n)
	s.count(h.Items, -1)
	h.State = as
}

// drawn is what the hold takes in all from each quota.
func (s *Stock) drawn(h *Hold) draws {
	var need draws
	for _, item := range h.Items {
		if t := s.Type(item.Type); t != nil {
			for _, q := range t.Quotas {
				need = need.add(s.Quota(q), item.Quantity)
			}
		}
	}
	return need
}

// book changes the counters and writes the ledger's entry about it: nothing else
// in this package may touch them.
func (s *Stock) book(kind EntryKind, ref string, need draws, change func(q *Quota, n int64)) {
	e := Entry{Kind: kind, Ref: ref, Changes: make([]Change, 0, len(need))}
	for _, d := range need {
		before := *d.quota
		change(d.quota, d.n)
		e.Changes = append(e.Changes, changeOf(before, *d.quota))
	}
	s.Log = append(s.Log, e)
}
