package drill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/chaos/world"
)

// books are what the buyers of a drill were told: every acknowledged hold and
// order, to be held against what the town says later.
type books struct {
	w     *world.World
	event concert
	c     *client.Client
	ended chan struct{} // closed by finish: buyers start nothing new

	mu        sync.Mutex
	purchases []*purchase // guarded by mu, and so are their fields
	faults    []error
}

// purchase is one buyer's way as far as it was acknowledged.
type purchase struct {
	hold      client.Hold
	want      []client.HoldItem
	released  bool
	releasing bool // asked for; no answer yet
	order     string
	paying    bool // the buyer has begun to pay
	confirmed bool // the provider has acknowledged the money
}

func (p *purchase) tickets() (n int64) {
	for _, item := range p.want {
		n += item.Quantity
	}
	return n
}

func newBooks(w *world.World, e concert, c *client.Client) *books {
	return &books{w: w, event: e, c: c, ended: make(chan struct{})}
}

func (b *books) finish() { close(b.ended) }

func (b *books) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return errors.Join(b.faults...)
}

// known is what is acknowledged by now; the buyers may go on with it.
func (b *books) known() []*purchase {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.purchases)
}

// now is a purchase as it stands.
func (b *books) now(p *purchase) purchase {
	b.mu.Lock()
	defer b.mu.Unlock()
	return *p
}

// note changes a purchase.
func (b *books) note(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// open lets buyers buy until finish; the channel closes when all have ended what
// they had begun. answers counts acknowledgements.
func (b *books) open(ctx context.Context, buyers int, seed uint64, answers *atomic.Int64) <-chan struct{} {
	var all sync.WaitGroup
	for i := range buyers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)+100))
			for {
				select {
				case <-b.ended:
					return
				default:
				}
				if err := b.purchase(ctx, random, answers); err != nil {
					b.note(func() { b.faults = append(b.faults, fmt.Errorf("buyer %d: %w", i, err)) })
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	return done
}

// insisting repeats a call until it is answered for good: nothing ends half known.
func insisting(ctx context.Context, do func(context.Context) error) error {
	return client.Retry(ctx, client.Patience{Attempts: 200, MaxWait: 500 * time.Millisecond}, do)
}

// purchase goes a random part of the way from hold to ticket.
func (b *books) purchase(ctx context.Context, random *rand.Rand, answers *atomic.Int64) error {
	p, err := b.hold(ctx, random)
	if err != nil {
		return err
	}
	answers.Add(1)
	switch random.IntN(4) {
	case 0: // the hold stays
		return nil
	case 1:
		return b.release(ctx, p)
	}
	order, err := b.order(ctx, p)
	if err != nil {
		return err
	}
	answers.Add(1)
	if random.IntN(2) == 0 {
		return nil // the order stays pending
	}
	return b.pay(ctx, p, order)
}

func (b *books) hold(ctx context.Context, random *rand.Rand) (*purchase, error) {
	types := b.event.TicketTypes
	want := []client.HoldItem{{TicketTypeID: types[random.IntN(2)].ID, Quantity: 1 + random.Int64N(3)}}
	if random.IntN(4) == 0 {
		want = []client.HoldItem{{TicketTypeID: types[0].ID, Quantity: 1}, {TicketTypeID: types[1].ID, Quantity: 2}}
	}
	p := &purchase{want: want}
	idem := key("hold")
	var hold client.Hold
	err := insisting(ctx, func(ctx context.Context) (err error) {
		hold, _, err = b.c.CreateHold(ctx, b.event.ID, client.NewHold{Items: want}, idem)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("hold: %w", err)
	}
	p.hold = hold
	b.note(func() { b.purchases = append(b.purchases, p) })
	return p, nil
}

func (b *books) release(ctx context.Context, p *purchase) error {
	b.note(func() { p.releasing = true })
	err := insisting(ctx, func(ctx context.Context) error {
		_, err := b.c.ReleaseHold(ctx, p.hold.ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	b.note(func() { p.released = true })
	return nil
}

func (b *books) order(ctx context.Context, p *purchase) (order client.Order, err error) {
	idem := key("order")
	err = insisting(ctx, func(ctx context.Context) (err error) {
		order, _, err = b.c.CreateOrder(ctx, orderOf(p.hold), idem)
		return err
	})
	if err != nil {
		return order, fmt.Errorf("order: %w", err)
	}
	b.note(func() { p.order = order.ID })
	return order, nil
}

func (b *books) pay(ctx context.Context, p *purchase, order client.Order) error {
	b.note(func() { p.paying = true })
	if err := b.w.Confirm(ctx, order, world.CardVisa); err != nil {
		return fmt.Errorf("pay %s: %w", order.ID, err)
	}
	b.note(func() { p.confirmed = true })
	return nil
}

// check finds every acknowledged purchase in the town, in a state that follows
// from what was acknowledged before we asked and begun before we were answered (P3).
func (b *books) check(t *testing.T, all []*purchase) {
	t.Helper()
	for _, p := range all {
		told := b.now(p)
		var h client.Hold
		must(t, insisting(t.Context(), func(ctx context.Context) (err error) {
			h, _, err = b.c.GetHold(ctx, told.hold.ID)
			return err
		}))
		if begun := b.now(p); h.Total != told.hold.Total || h.EventID != b.event.ID || !mayBe(h.State, told, begun) {
			t.Errorf("the hold was acknowledged as %+v and is %+v (released %v, paying %v)", told.hold, h, told.released, begun.paying)
		}
		if told.order != "" {
			b.checkOrder(t, p, told)
		}
	}
}

func mayBe(state string, told, begun purchase) bool {
	switch state {
	case "released":
		return begun.releasing
	case "active":
		return !told.released
	case "converted":
		return begun.paying
	}
	return false // nothing expires within a drill
}

func (b *books) checkOrder(t *testing.T, p *purchase, told purchase) {
	t.Helper()
	var o client.Order
	must(t, insisting(t.Context(), func(ctx context.Context) (err error) {
		o, _, err = b.c.GetOrder(ctx, told.order)
		return err
	}))
	begun := b.now(p)
	pending := o.State == "pending" && len(o.Tickets) == 0
	sold := o.State == "paid" && int64(len(o.Tickets)) == told.tickets() && begun.paying
	if o.HoldID != told.hold.ID || o.Total != told.hold.Total || !pending && !sold {
		t.Errorf("order %s of %d tickets is %s with %d tickets, total %s (paying %v)", o.ID, told.tickets(), o.State, len(o.Tickets), o.Total, begun.paying)
	}
}

// balance adds the purchases up: each quota's counters are exactly the tickets
// of live holds and of paid orders, and what was paid has its tickets (P2, P4).
func (b *books) balance(t *testing.T) {
	t.Helper()
	all := b.known()
	seen := map[string]bool{}
	for _, p := range all {
		if seen[p.hold.ID] {
			t.Errorf("hold %s was given to two buyers", p.hold.ID)
		}
		seen[p.hold.ID] = true
		if p.confirmed {
			o, err := paid(t.Context(), b.c, p.order)
			must(t, err)
			for _, ticket := range o.Tickets {
				if seen[ticket.ID] {
					t.Errorf("ticket %s was issued twice", ticket.ID)
				}
				seen[ticket.ID] = true
			}
		}
	}
	stats := b.event.stats(t)
	held, sold := b.expected(all)
	for i, q := range stats.Quotas {
		if q.Held != held[i] || q.Sold != sold[i] || q.Held+q.Sold+q.Allocated+q.Free != q.Size {
			t.Errorf("quota %s is held %d sold %d free %d of %d, want held %d sold %d", q.Name, q.Held, q.Sold, q.Free, q.Size, held[i], sold[i])
		}
	}
	var pending, sealed int64
	for _, p := range all {
		if p.confirmed {
			sealed++
		} else if p.order != "" {
			pending++
		}
	}
	if stats.Orders["paid"] != sealed || stats.Orders["pending"] != pending {
		t.Errorf("orders by state are %v, want %d paid and %d pending", stats.Orders, sealed, pending)
	}
	t.Logf("%d purchases; quotas %+v; orders %v", len(all), stats.Quotas, stats.Orders)
}

// expected are held and sold of the quotas floor and balcony, by the books.
func (b *books) expected(all []*purchase) (held, sold [2]int64) {
	for _, p := range all {
		counters := &held
		switch {
		case p.released:
			continue
		case p.confirmed:
			counters = &sold
		}
		for _, item := range p.want {
			counters[0] += item.Quantity // both types draw on the floor
			if item.TicketTypeID == b.event.TicketTypes[1].ID {
				counters[1] += item.Quantity
			}
		}
	}
	return held, sold
}
