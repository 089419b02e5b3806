package booking_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
)

// model is the naive box office: it keeps no counters, it adds up who has what
// each time it is asked. The stock must always agree with it.
type model struct {
	holds []*modelHold
}

type modelHold struct {
	hold     *booking.Hold // the stock's own, to act on
	state    booking.HoldState
	expires  time.Time
	made     time.Time
	paying   bool
	tickets  map[id.TicketType]int64
	returned map[id.TicketType]int64
}

// used is what holds and tickets take from a quota.
func (m *model) used(s shop, q id.Quota) (held, sold int64) {
	for _, h := range m.holds {
		for tid, n := range h.tickets {
			for _, of := range s.Type(tid).Quotas {
				if of != q {
					continue
				}
				switch h.state {
				case booking.HoldActive:
					held += n
				case booking.HoldConverted:
					sold += n - h.returned[tid]
				case booking.HoldExpired, booking.HoldReleased:
				}
			}
		}
	}
	return held, sold
}

func (m *model) expireDue(now time.Time) {
	for _, h := range m.holds {
		if h.state == booking.HoldActive && !h.paying && !now.Before(h.expires) {
			h.state = booking.HoldExpired
		}
	}
}

// fits says whether the tickets fit into every quota beside what is used.
func (m *model) fits(s shop, tickets map[id.TicketType]int64) bool {
	for _, q := range s.Quotas {
		held, sold := m.used(s, q.ID)
		free := q.Size - q.Allocated - held - sold
		for tid, n := range tickets {
			for _, of := range s.Type(tid).Quotas {
				if of == q.ID {
					free -= n
				}
			}
		}
		if free < 0 {
			return false
		}
	}
	return true
}

// agree holds the stock to the model and to P2.
func (m *model) agree(t *testing.T, s shop, after string) {
	t.Helper()
	for _, q := range s.Quotas {
		held, sold := m.used(s, q.ID)
		if q.Held != held || q.Sold != sold {
			t.Fatalf("after %s: quota %s has held %d, sold %d; the model says %d, %d", after, q.Name, q.Held, q.Sold, held, sold)
		}
		if q.Held < 0 || q.Sold < 0 || q.Held+q.Sold+q.Allocated > q.Size {
			t.Fatalf("after %s: P2 is broken: %+v", after, q)
		}
	}
	for _, h := range m.holds {
		if got := s.Holds[h.hold.ID]; got.State != h.state || !got.ExpiresAt.Equal(h.expires) {
			t.Fatalf("after %s: hold is %s until %s; the model says %s until %s", after, got.State, got.ExpiresAt, h.state, h.expires)
		}
	}
}

// any picks a hold, or none when there are none yet.
func (m *model) any(r *rand.Rand) *modelHold {
	if len(m.holds) == 0 {
		return nil
	}
	return m.holds[r.IntN(len(m.holds))]
}

// P2 under random sequences of everything that can happen to an event's stock.
func TestStock_agreesWithANaiveModelInEveryOrderOfEvents(t *testing.T) {
	t.Parallel()
	const games, moves = 400, 150
	did := map[string]int{}
	for seed := range uint64(games) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := newShop(1+r.Int64N(30), r.Int64N(12))
		s.Quota(s.hall).Allocated = r.Int64N(s.Quota(s.hall).Size)
		m := &model{}
		for range moves {
			what := m.move(t, r, s)
			did[what]++
			m.agree(t, s, what)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
	for _, what := range []string{
		"grant", "refused grant", "time", "sweep", "release", "extend", "refused extend", "enter", "refused enter",
		"convert", "late convert", "refused convert", "end", "return", "resize", "refused resize",
	} {
		if did[what] < games/4 {
			t.Errorf("%q happened %d times in %d games: the test does not try it", what, did[what], games)
		}
	}
}

// move makes one random move in the stock and in the model and says which.
func (m *model) move(t *testing.T, r *rand.Rand, s shop) string {
	t.Helper()
	h := m.any(r)
	switch n := r.IntN(20); {
	case n < 5 || h == nil:
		return m.grant(t, r, s)
	case n < 8:
		s.later(time.Duration(r.Int64N(int64(6 * time.Minute))))
		return "time"
	case n < 9:
		s.Sweep()
		m.expireDue(s.Now)
		return "sweep"
	case n < 11:
		if err := s.Release(h.hold); err == nil && h.state == booking.HoldActive {
			h.state = booking.HoldReleased
		} else if refuse := h.state == booking.HoldConverted || h.state == booking.HoldActive && h.paying; refuse != (err != nil) {
			t.Fatalf("release of a %s hold: %v", h.state, err)
		}
		return "release"
	case n < 13:
		return m.extend(t, s, h)
	case n < 15:
		return m.enter(t, r, s, h)
	case n < 17:
		return m.convert(t, s, h)
	case n < 18:
		s.End(h.hold, booking.HoldExpired)
		if h.state == booking.HoldActive {
			h.state = booking.HoldExpired
		}
		return "end"
	case n < 19:
		back := map[id.TicketType]int64{}
		for tid, n := range h.tickets {
			if h.state == booking.HoldConverted {
				back[tid] = r.Int64N(n - h.returned[tid] + 1)
				h.returned[tid] += back[tid]
			}
		}
		s.Return(id.NewOrder(s.ID), back)
		return "return"
	default:
		return m.resize(t, r, s)
	}
}

func (m *model) grant(t *testing.T, r *rand.Rand, s shop) string {
	t.Helper()
	want := booking.Request{Hold: id.NewHold(s.ID)}
	tickets := map[id.TicketType]int64{}
	for _, tid := range []id.TicketType{s.floor, s.gallery, s.free} {
		if r.IntN(2) == 0 {
			n := 2 + r.Int64N(4)
			want.Lines = append(want.Lines, booking.Line{Type: tid, Quantity: n})
			tickets[tid] = n
		}
	}
	if len(want.Lines) == 0 {
		want.Lines = []booking.Line{{Type: s.free, Quantity: 1}}
		tickets[s.free] = 1
	}
	m.expireDue(s.Now)
	fits := m.fits(s, tickets)
	h, err := s.Grant(want)
	if fits != (err == nil) || err != nil && !errors.Is(err, booking.ErrSoldOut) {
		t.Fatalf("grant of %v: %v; the model says it fits: %t", tickets, err, fits)
	}
	if err != nil {
		return "refused grant"
	}
	m.holds = append(m.holds, &modelHold{
		hold: h, state: booking.HoldActive, made: s.Now, expires: s.Now.Add(ttl), tickets: tickets, returned: map[id.TicketType]int64{},
	})
	return "grant"
}

func (m *model) extend(t *testing.T, s shop, h *modelHold) string {
	t.Helper()
	until := s.Now.Add(ttl)
	last := h.made.Add(booking.MaxHoldLife)
	if until.After(last) {
		until = last
	}
	live := h.state == booking.HoldActive && s.Now.Before(h.expires) && !h.paying
	err := s.Extend(h.hold)
	if (live && (until.After(h.expires) || h.expires.Before(last))) != (err == nil) {
		t.Fatalf("extend of a %s hold to %s: %v", h.state, until, err)
	}
	if err == nil {
		if until.After(h.expires) {
			h.expires = until
		}
		return "extend"
	}
	m.expireRefused(s, h)
	return "refused extend"
}

func (m *model) enter(t *testing.T, r *rand.Rand, s shop, h *modelHold) string {
	t.Helper()
	until := s.Now.Add(time.Duration(r.Int64N(int64(30 * time.Minute))))
	live := h.state == booking.HoldActive && s.Now.Before(h.expires)
	err := s.Enter(h.hold, id.NewOrder(s.ID), until)
	if (live && !h.paying) != (err == nil) {
		t.Fatalf("enter with a %s hold: %v", h.state, err)
	}
	if err == nil {
		h.paying = true
		if until.After(h.expires) {
			h.expires = until
		}
		return "enter"
	}
	return "refused enter" // which changes nothing
}

// expireRefused: whoever touches a due hold expires it.
func (m *model) expireRefused(s shop, h *modelHold) {
	if h.state == booking.HoldActive && !h.paying && !s.Now.Before(h.expires) {
		h.state = booking.HoldExpired
	}
}

func (m *model) convert(t *testing.T, s shop, h *modelHold) string {
	t.Helper()
	if h.state == booking.HoldActive || h.state == booking.HoldConverted {
		if err := s.Convert(h.hold); err != nil {
			t.Fatal(err)
		}
		h.state = booking.HoldConverted
		return "convert"
	}
	m.expireDue(s.Now)
	fits := m.fits(s, h.tickets)
	err := s.Convert(h.hold)
	if fits != (err == nil) || err != nil && !errors.Is(err, booking.ErrSoldOut) {
		t.Fatalf("late convert: %v; the model says it fits: %t", err, fits)
	}
	if err != nil {
		return "refused convert"
	}
	h.state = booking.HoldConverted
	return "late convert"
}

func (m *model) resize(t *testing.T, r *rand.Rand, s shop) string {
	t.Helper()
	q := s.Quota(s.hall)
	held, sold := m.used(s, s.hall)
	size := r.Int64N(40)
	err := s.Resize(s.hall, "hall", size)
	if (size >= held+sold+q.Allocated) != (err == nil) {
		t.Fatalf("resize to %d with %d held, %d sold, %d allocated: %v", size, held, sold, q.Allocated, err)
	}
	if err != nil {
		return "refused resize"
	}
	return "resize"
}
