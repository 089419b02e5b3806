package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/bus"
	"guichet/cell/id"
	"guichet/cell/store"
	"guichet/internal/txn"
)

var groupTests = map[string]func(t *testing.T, s *store.Store){
	"a batch decides each event by its own stock":               groupsApart,
	"a batch leaves out what is locked elsewhere, or not there": groupLeftOut,
	"a batch that fails stores nothing of any event":            groupFails,
	"batches of many events from two processes end":             groupsMeet,
	"batches and publishers lock buckets in one order":          groupBuckets,
	"a batch finds each event's codes, buyers and due holds":    groupTerms,
	"a batch looks late for the holds that it makes":            groupLooksLate,
	"a batch stores holds of many kinds as they were granted":   groupKinds,
}

// grant is an op that asks for n tickets.
func (b shop) grant(of id.TicketType, n int64) *booking.Op {
	want := b.want(of, n)
	return &booking.Op{Decide: func(s *booking.Stock) error {
		_, err := s.Grant(want)
		return err
	}}
}

func groupsApart(t *testing.T, s *store.Store) {
	shops := []shop{openShop(t, s, 10, 4), openShop(t, s, 3, 1), openShop(t, s, 5, 5)}
	shops[2].exec(t, seal, shops[2].event.ID.String())
	told := shops[0].number(t, `SELECT count(*) FROM bus.outbox`)
	groups := []*booking.Group{
		{Event: shops[0].event.ID, Ops: []*booking.Op{shops[0].grant(shops[0].floor, 2), shops[0].grant(shops[0].gallery, 3)}},
		{Event: shops[1].event.ID, Ops: []*booking.Op{shops[1].grant(shops[1].gallery, 2), shops[1].grant(shops[1].floor, 3)}},
		{Event: shops[2].event.ID, Ops: []*booking.Op{shops[2].grant(shops[2].floor, 1)}},
	}
	if err := s.Batch(t.Context(), ttl, groups); err != nil {
		t.Fatal(err)
	}
	wantErr(t, errors.Join(groups[0].Ops[0].Err, groups[0].Ops[1].Err, groups[1].Ops[1].Err), nil)
	wantErr(t, groups[1].Ops[0].Err, booking.ErrSoldOut)
	wantErr(t, groups[2].Ops[0].Err, booking.ErrMoved)
	shops[0].wantCounters(t, [4]int64{5, 0, 3, 0})
	shops[1].wantCounters(t, [4]int64{3, 0, 0, 0})
	shops[2].wantCounters(t, [4]int64{0, 0, 0, 0})
	if n := shops[0].number(t, `SELECT count(*) FROM bus.outbox`) - told; n != 0 {
		t.Errorf("the world was told %d times of a batch that is nobody's business", n)
	}
}

func groupLeftOut(t *testing.T, s *store.Store) {
	one, two := openShop(t, s, 10, 4), openShop(t, s, 10, 4)
	groups := []*booking.Group{
		{Event: one.event.ID, Ops: []*booking.Op{one.grant(one.floor, 1)}},
		{Event: two.event.ID, Ops: []*booking.Op{two.grant(two.floor, 1)}},
		{Event: id.NewEvent(s.Cell), Ops: []*booking.Op{{Decide: func(*booking.Stock) error { t.Error("decided for an event that there is none of"); return nil }}}},
	}
	if err := twin(t, s).InTx(t.Context(), func(ctx context.Context, tx txn.Tx) error {
		if _, err := two.within(ctx, tx, two.floor, 2); err != nil { // locked by another process until it is done
			return err
		}
		began := time.Now()                                       //nolint:forbidigo // how long it takes is what is tested
		if err := s.Batch(t.Context(), ttl, groups); err != nil { //nolint:contextcheck // it is another process
			return err
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it waited %s for another's lock", took)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if groups[0].Elsewhere || !groups[1].Elsewhere || !groups[2].Elsewhere {
		t.Errorf("left out: %v %v %v", groups[0].Elsewhere, groups[1].Elsewhere, groups[2].Elsewhere)
	}
	one.wantCounters(t, [4]int64{1, 0, 0, 0})
	groups[0].Ops[0] = one.grant(one.floor, 1)
	if err := s.Batch(t.Context(), ttl, groups[:2]); err != nil || groups[1].Elsewhere {
		t.Errorf("%v, left out again: %v", err, groups[1].Elsewhere)
	}
	two.wantCounters(t, [4]int64{3, 0, 0, 0})
	wantErr(t, s.Batch(t.Context(), ttl, groups[2:]), booking.ErrEventNotFound)
}

func groupFails(t *testing.T, s *store.Store) {
	one, two := openShop(t, s, 10, 4), openShop(t, s, 10, 4)
	bad := two.grant(two.floor, 1)
	decide := bad.Decide
	bad.Decide = func(stock *booking.Stock) error {
		err := decide(stock)
		stock.Quotas[0].Held = -1
		return err
	}
	groups := []*booking.Group{{Event: one.event.ID, Ops: []*booking.Op{one.grant(one.floor, 1)}}, {Event: two.event.ID, Ops: []*booking.Op{bad}}}
	if err := s.Batch(t.Context(), ttl, groups); err == nil {
		t.Error("a counter below zero was taken")
	}
	one.wantCounters(t, [4]int64{0, 0, 0, 0})
	desks := &booking.Desks{Store: s, HoldTTL: ttl, Patience: time.Minute, Now: time.Now} //nolint:forbidigo // it measures its pace
	var both sync.WaitGroup
	for _, ask := range []struct {
		b    shop
		op   *booking.Op
		fine bool
	}{{one, one.grant(one.floor, 1), true}, {two, bad, false}} {
		both.Go(func() {
			if err := desks.Do(t.Context(), ask.b.event.ID, ask.op); (err == nil) != ask.fine {
				t.Errorf("at the desk: %v", err)
			}
		})
	}
	both.Wait()
	one.wantCounters(t, [4]int64{1, 0, 0, 0})
	two.wantCounters(t, [4]int64{0, 0, 0, 0})
}

// groupsMeet lets two processes work on the same events in opposite orders: nobody
// waits for anybody, and what one leaves out the other decides.
func groupsMeet(t *testing.T, s *store.Store) {
	const events, rounds = 20, 15
	var shops []shop
	for range events {
		shops = append(shops, openShop(t, s, 1000, 4))
	}
	var all sync.WaitGroup
	for i, at := range []*store.Store{s, twin(t, s)} {
		order := slices.Clone(shops)
		if i == 1 {
			slices.Reverse(order)
		}
		all.Go(func() {
			for range rounds {
				for left := order; len(left) > 0; {
					var groups []*booking.Group
					for _, b := range left {
						groups = append(groups, &booking.Group{Event: b.event.ID, Ops: []*booking.Op{b.grant(b.floor, 1)}})
					}
					if err := at.Batch(t.Context(), ttl, groups); err != nil {
						t.Errorf("process %d: %v", i, err)
						return
					}
					var again []shop
					for k, g := range groups {
						if g.Elsewhere {
							again = append(again, left[k])
						}
					}
					left = again
				}
			}
		})
	}
	all.Wait()
	for _, b := range shops {
		b.wantCounters(t, [4]int64{2 * rounds, 0, 0, 0})
	}
}

// groupBuckets lets a batch and others who tell the world, of the same things from either
// end, meet at the counter rows of the outbox. Whoever waited in a circle would be told so
// by the database, and come again.
func groupBuckets(t *testing.T, s *store.Store) {
	if isCockroach(t, s) {
		t.Skip("SKIPPED: what is counted is PostgreSQL's")
	}
	var shops []shop
	var news []store.Outgoing
	for range 40 {
		b := openShop(t, s, 1000, 4)
		shops = append(shops, b)
		news = append(news, store.Outgoing{Key: b.event.ID.String(), Subject: bus.Catalog(s.Cell, b.event.ID.String()), Payload: []byte("{}")})
	}
	back := slices.Clone(news)
	slices.Reverse(back)
	batching, telling, too := twin(t, s), twin(t, s), twin(t, s)
	var all sync.WaitGroup
	all.Go(func() {
		for range 100 {
			var groups []*booking.Group
			for _, b := range shops {
				groups = append(groups, &booking.Group{Event: b.event.ID, Ops: []*booking.Op{b.grant(b.floor, 1)}})
			}
			if err := batching.Batch(t.Context(), ttl, groups); err != nil {
				t.Error(err)
			}
		}
	})
	for process, msgs := range map[*store.Store][]store.Outgoing{telling: news, too: back} {
		all.Go(func() {
			for range 200 {
				if err := process.InTx(t.Context(), func(ctx context.Context, tx txn.Tx) error { return process.Publish(ctx, tx, msgs...) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	too.DB.Close()
	batching.DB.Close() // sessions that end have counted
	telling.DB.Close()
	if n := shops[0].number(t, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`); n != 0 {
		t.Errorf("%d times somebody waited in a circle", n)
	}
}

func groupTerms(t *testing.T, s *store.Store) {
	one, two := openShop(t, s, 10, 4), openShop(t, s, 10, 4)
	for _, b := range []shop{one, two} {
		b.expire(t, b.mustHold(t, b.floor, 3).ID, 0)
	}
	if _, err := s.PutCode(t.Context(), txn.None, two.event.ID, "SPRING", func(*booking.Event, *booking.Code) (booking.Code, error) {
		return booking.Code{Code: "SPRING", Kind: booking.PromoCode, Terms: booking.CodeTerms{Percent: 1000}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	var groups []*booking.Group
	for _, b := range []shop{one, two} {
		want := b.want(b.floor, 10) // all there is, what is due included
		want.Promo = "spring"
		groups = append(groups, &booking.Group{Event: b.event.ID, Ops: []*booking.Op{{
			Asked: booking.Asked{Codes: []string{"SPRING"}},
			Decide: func(stock *booking.Stock) error {
				_, err := stock.Grant(want)
				return err
			},
		}}})
	}
	if err := s.Batch(t.Context(), ttl, groups); err != nil {
		t.Fatal(err)
	}
	wantErr(t, groups[0].Ops[0].Err, booking.ErrPromoCode)
	wantErr(t, groups[1].Ops[0].Err, nil)
	one.wantCounters(t, [4]int64{0, 0, 0, 0})
	two.wantCounters(t, [4]int64{10, 0, 0, 0})
}
