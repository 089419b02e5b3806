package drill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"guichet/cell/client"
	"guichet/internal/pgproxy"
)

const lostBuyers, lostRounds = 12, 15

// Drill 10: the answers of COMMITs are dropped between the cell and its database,
// and some COMMITs before they arrive. Whoever repeats with his key gets exactly
// one hold and one order.
func TestDrill10_commitWhoseReplyIsDroppedIsOneHoldAndOneOrderPerKey(t *testing.T) {
	t.Parallel()
	var dropped, never atomic.Int64
	var armed atomic.Bool
	seed := killSeed(t)
	random := rand.New(rand.NewPCG(seed, 10))
	var mu sync.Mutex // guards random
	drop := func(c *pgproxy.Conn, m []byte) []byte {
		if !c.Commits(m) || !armed.Load() {
			return m
		}
		mu.Lock()
		n := random.IntN(100)
		mu.Unlock()
		switch {
		case n < replyPercent:
			dropped.Add(1)
			c.LoseAnswers()
		case n < replyPercent+replyPercent/2:
			never.Add(1)
			return nil
		}
		return m
	}
	p := openPair(t, 100_000, func(int) pgproxy.Hook { return drop }, nil)
	armed.Store(true)
	l := p.buyers(t.Context(), 0)
	var orders sync.Map // of keys
	var faults sync.Map
	var all sync.WaitGroup
	for i := range lostBuyers {
		all.Go(func() {
			for round := range lostRounds {
				if err := l.purchase(t.Context(), fmt.Sprintf("%d-%d", i, round), (i+round)%2, &orders); err != nil {
					faults.Store(i, err)
					return
				}
			}
		})
	}
	all.Wait()
	armed.Store(false)
	faults.Range(func(_, err any) bool { t.Error(err); return true })
	acks := l.finish(t)
	p.wantOnce(t, acks)
	var told int64
	orders.Range(func(any, any) bool { told++; return true })
	kept, paid := p.number(t, `SELECT count(*) FROM checkout.orders WHERE event_id = $1`, p.event.ID), p.number(t, `SELECT count(*) FROM checkout.orders WHERE event_id = $1 AND state = 'paid'`, p.event.ID)
	tickets := p.number(t, `SELECT count(*) FROM checkout.ticket WHERE event_id = $1`, p.event.ID)
	if told != lostBuyers*lostRounds || kept != told || paid != told || tickets != told {
		t.Errorf("%d orders were asked for and %d told; %d are kept, %d paid, with %d tickets", lostBuyers*lostRounds, told, kept, paid, tickets)
	}
	t.Logf("%d replies and %d commits were dropped among %d holds and %d orders", dropped.Load(), never.Load(), len(acks), told)
	if dropped.Load() < 10 || never.Load() < 5 {
		t.Error("too few were dropped to prove anything")
	}
}

// purchase holds one free ticket and orders it, each with a key, and asks for both
// again afterwards: the answer must be the same.
func (l *load) purchase(ctx context.Context, name string, door int, orders *sync.Map) error {
	if err := l.hold(ctx, "hold-"+name, door); err != nil {
		return err
	}
	first, _, err := l.again(ctx, name, door)
	if err != nil {
		return err
	}
	second, hold, err := l.again(ctx, name, door+1)
	if err != nil {
		return err
	}
	if first != second {
		return fmt.Errorf("one key, two orders: %s and %s (of hold %s)", first, second, hold)
	}
	if other, twice := orders.LoadOrStore(first, name); twice {
		return fmt.Errorf("order %s was given to the keys %v and %s", first, other, name)
	}
	return nil
}

// again asks for the hold and the order with their keys, as often as it takes.
func (l *load) again(ctx context.Context, name string, door int) (order, hold string, err error) {
	err = insisting(ctx, func(ctx context.Context) error {
		door++
		h, _, err := l.doors[door%2].CreateHold(ctx, l.p.event.ID, l.want(), "hold-"+name)
		if err != nil {
			return err
		}
		if hold != "" && h.ID != hold {
			return errors.New("one key, two holds: " + hold + " and " + h.ID)
		}
		hold = h.ID
		o, _, err := l.doors[door%2].CreateOrder(ctx, client.NewOrder{HoldID: h.ID, Buyer: client.Buyer{Email: "aino@example.org", Name: "Aino"}, ShownTotal: &h.Total}, "order-"+name)
		order = o.ID
		return err
	})
	if err != nil {
		err = fmt.Errorf("order %s: %w", name, err)
	}
	return order, hold, err
}
