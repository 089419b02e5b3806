package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/store"
	"guichet/internal/kind"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

func tierRace(t *testing.T, s *store.Store) {
	b := openBazaar(t, s, 60)
	boxes := []shop{b, b.at(twin(t, s))}
	paid := map[int64]*atomic.Int64{1375: {}, 2200: {}, 3575: {}} // with 10 % on top
	var all sync.WaitGroup
	for i := range 20 {
		who := b.buyer(t, fmt.Sprintf("buyer%d@example.org", i))
		all.Go(func() {
			err := retried(t, func(try int) error {
				h, err := boxes[(i+try)%2].Hold(t.Context(), b.wantAs(who, 1, ""))
				if err == nil {
					paid[h.Total.Amount].Add(1)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if early, middle, late := paid[1375].Load(), paid[2200].Load(), paid[3575].Load(); early != 5 || middle != 5 || late != 10 {
		t.Errorf("%d early, %d middle, %d late of 5, 5 and the rest", early, middle, late)
	}
	b.wantTermsToAddUp(t)
}

// Regression 5, the desk's side: many open holds at two processes; the limit of
// the code holds when they are made, so it holds when all of them are paid.
func codeLimit(t *testing.T, s *store.Store) {
	b := openShop(t, s, 200, 4)
	const limit = 7
	b.putCode(t, booking.Code{Code: "SPRING", Kind: booking.PromoCode, MaxUses: new(int64(limit)), Terms: booking.CodeTerms{Percent: 5000}})
	boxes := []shop{b, b.at(twin(t, s))}
	var mu sync.Mutex
	var holds []booking.Hold
	var refused atomic.Int64
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			err := retried(t, func(try int) error {
				h, err := boxes[(i+try)%2].Hold(t.Context(), b.wantAs("", 1, "spring"))
				if err == nil {
					mu.Lock()
					holds = append(holds, h)
					mu.Unlock()
				}
				return err
			})
			switch {
			case errors.Is(err, booking.ErrCodeUsedUp):
				refused.Add(1)
			case err != nil:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(holds) != limit || refused.Load() != 60-limit {
		t.Fatalf("%d of %d held with the code, %d refused", len(holds), limit, refused.Load())
	}
	for i, h := range holds {
		all.Go(func() {
			if err := retried(t, func(int) error {
				return boxes[i%2].store.WithStock(t.Context(), txn.None, b.event.ID, ttl, []id.Hold{h.ID}, func(stock *booking.Stock) error {
					held := stock.Holds[h.ID]
					if held.Order.IsZero() {
						if err := stock.Enter(held, id.NewOrder(b.event.ID), stock.Now.Add(time.Hour)); err != nil {
							return err
						}
					}
					return stock.Convert(held)
				})
			}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if c := b.codeNow(t, "SPRING"); c.Uses != limit || c.Spent != limit*2000 {
		t.Errorf("%+v", c)
	}
	_, err := b.Hold(t.Context(), b.wantAs("", 1, "SPRING"))
	wantErr(t, err, booking.ErrCodeUsedUp)
	b.wantTermsToAddUp(t)
}

func codeChanged(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	code := booking.Code{Code: "OFF", Kind: booking.PromoCode, Budget: new(int64(1000)), MaxUses: new(int64(5)), Terms: booking.CodeTerms{Off: 300, Types: []id.TicketType{b.floor}}}
	b.putCode(t, code)
	h, err := b.Hold(t.Context(), b.wantAs("", 2, "off"))
	if err != nil || h.Total != eur(2*3950) {
		t.Fatal(h.Total, err)
	}
	if got := b.codeNow(t, "OFF"); got.Uses != 2 || got.Spent != 600 || *got.Budget != 1000 || len(got.Terms.Types) != 1 {
		t.Errorf("%+v", got)
	}
	for _, change := range []func(c *booking.Code){
		func(c *booking.Code) { c.MaxUses = new(int64(1)) }, func(c *booking.Code) { c.Budget = new(int64(599)) },
	} {
		less := code
		change(&less)
		wantErr(t, b.tryCode(t, less), booking.ErrCodeTooSmall)
	}
	code.MaxUses, code.Budget = new(int64(2)), new(int64(600))
	b.putCode(t, code)
	_, err = b.Hold(t.Context(), b.wantAs("", 1, "off"))
	wantErr(t, err, booking.ErrCodeUsedUp)
	other := code
	other.Kind = booking.AccessCode
	wantErr(t, b.tryCode(t, other), booking.ErrInvalidCode)
	b.putCode(t, booking.Code{Code: "A", Kind: booking.AccessCode, Terms: booking.CodeTerms{Types: []id.TicketType{b.floor}}})
	list, err := s.Codes(t.Context(), b.event.ID, "", 10)
	if err != nil || len(list) != 2 || list[0].Code != "A" || list[1].Uses != 2 {
		t.Errorf("%v: %+v", err, list)
	}
	if list, err = s.Codes(t.Context(), b.event.ID, "A", 10); err != nil || len(list) != 1 {
		t.Errorf("%v: %+v", err, list)
	}
	_, err = s.Code(t.Context(), txn.None, openShop(t, s, 1, 1).event.ID, "OFF")
	wantErr(t, err, booking.ErrAccessCode) // it is another event's
	_, err = s.PutCode(t.Context(), txn.None, id.NewEvent(s.Cell), "X", nil)
	wantErr(t, err, booking.ErrEventNotFound)
}

// codeBehindDue: what holds a code's uses may be due beyond one sweep (P9).
func codeBehindDue(t *testing.T, s *store.Store) {
	const crowd = 230
	b := openShop(t, s, 2*crowd, 4)
	b.putCode(t, booking.Code{Code: "ONE", Kind: booking.PromoCode, MaxUses: new(int64(1)), Terms: booking.CodeTerms{Off: 1}})
	if err := s.WithStock(t.Context(), txn.None, b.event.ID, ttl, nil, func(stock *booking.Stock) error {
		for range crowd {
			if _, err := stock.Grant(b.want(b.floor, 1)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	last, err := b.Hold(t.Context(), b.wantAs("", 1, "one"))
	if err != nil {
		t.Fatal(err)
	}
	b.exec(t, makeDue, b.event.ID.String(), float64(60), int64(4250))
	b.expire(t, last.ID, 0)
	if _, err := b.Hold(t.Context(), b.wantAs("", 1, "one")); err != nil {
		t.Errorf("the only use is due: %v", err)
	}
	b.wantTermsToAddUp(t)
}

func buyerLimit(t *testing.T, s *store.Store) {
	b := openBazaar(t, s, 60)
	boxes := []shop{b, b.at(twin(t, s))}
	ana := b.buyer(t, "ana@example.org")
	var held atomic.Int64
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			err := retried(t, func(try int) error {
				_, err := boxes[(i+try)%2].Hold(t.Context(), b.wantAs(ana, 1, ""))
				return err
			})
			switch {
			case err == nil:
				held.Add(1)
			case !errors.Is(err, booking.ErrBuyerLimit):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if held.Load() != 6 {
		t.Errorf("a buyer has %d tickets of 6", held.Load())
	}
	b.wantTermsToAddUp(t)
	_, err := b.Hold(t.Context(), b.wantAs(ana, 1, ""))
	if own := ownHolds(err); len(own) != 6 {
		t.Errorf("%v: own holds %v", err, own)
	}
	_, err = b.Hold(t.Context(), b.want(b.floor, 1))
	wantErr(t, err, booking.ErrBuyerRequired)
}

func ownHolds(err error) []booking.OwnHold {
	if e := kind.As(err); e != nil {
		own, _ := e.Fields["own_holds"].([]booking.OwnHold)
		return own
	}
	return nil
}

// Regression 3: a buyer who comes back sees the tickets he holds as his, at
// whatever process, also of an event without terms.
func buyerOwn(t *testing.T, s *store.Store) {
	b := openShop(t, s, 4, 4)
	other := b.at(twin(t, s))
	ana, bob := b.buyer(t, "Ana@example.org"), b.buyer(t, "bob@example.org")
	mine, err := b.Hold(t.Context(), b.wantAs(ana, 3, ""))
	if err != nil {
		t.Fatal(err)
	}
	refusal := func(who booking.Buyer) []booking.OwnHold {
		t.Helper()
		_, err := other.Hold(t.Context(), b.wantAs(who, 2, ""))
		wantErr(t, err, booking.ErrSoldOut)
		return ownHolds(err)
	}
	if own := refusal(b.buyer(t, "ana+again@EXAMPLE.org")); len(own) != 1 || own[0].ID != mine.ID.String() || !own[0].ExpiresAt.Equal(mine.ExpiresAt) {
		t.Errorf("own holds %v", own)
	}
	if own := refusal(bob); own != nil {
		t.Errorf("told of another's holds: %v", own)
	}
	var refused []error
	var ops []*booking.Op
	for range 2 { // twice in one batch
		ops = append(ops, &booking.Op{Asked: booking.Asked{Buyers: []booking.Buyer{ana}}, Decide: func(stock *booking.Stock) error {
			_, err := stock.Grant(b.wantAs(ana, 2, ""))
			refused = append(refused, err)
			return err
		}})
	}
	if err := s.Batch(t.Context(), ttl, []*booking.Group{{Event: b.event.ID, Ops: ops}}); err != nil {
		t.Fatal(err)
	}
	for _, err := range refused {
		if own := ownHolds(err); len(own) != 1 {
			t.Errorf("%v: own holds %v", err, own)
		}
	}
	if seen, err := other.Look(t.Context(), mine.ID); err != nil || seen.State != booking.HoldActive { // and his hold is there
		t.Errorf("%v: %+v", err, seen)
	}
	o := id.NewOrder(b.event.ID)
	if err := s.WithStock(t.Context(), txn.None, b.event.ID, ttl, []id.Hold{mine.ID}, func(stock *booking.Stock) error {
		return stock.Enter(stock.Holds[mine.ID], o, stock.Now.Add(time.Hour))
	}); err != nil {
		t.Fatal(err)
	}
	if own := refusal(ana); len(own) != 1 || own[0].Order != o.String() {
		t.Errorf("own holds %v", own)
	}
	if err := s.WithStock(t.Context(), txn.None, b.event.ID, ttl, []id.Hold{mine.ID}, func(stock *booking.Stock) error {
		return stock.Convert(stock.Holds[mine.ID])
	}); err != nil {
		t.Fatal(err)
	}
	if own := refusal(ana); own != nil {
		t.Errorf("what is sold is no hold: %v", own)
	}
	b.wantTermsToAddUp(t)
}

func termsConstraints(t *testing.T, s *store.Store) {
	b := openBazaar(t, s, 60)
	b.putCode(t, booking.Code{Code: "OFF", Kind: booking.PromoCode, Budget: new(int64(10)), MaxUses: new(int64(2)), Terms: booking.CodeTerms{Off: 1}})
	if _, err := b.Hold(t.Context(), b.wantAs(b.buyer(t, "ana"), 1, "off")); err != nil {
		t.Fatal(err)
	}
	for sql, want := range map[string]string{
		`UPDATE booking.tier SET used = 6 WHERE event_id = $1 AND position = 1`: "tier_not_oversold",
		`UPDATE booking.tier SET used = -1 WHERE event_id = $1`:                 "",
		`UPDATE booking.code SET uses = 3 WHERE event_id = $1`:                  "code_not_overused",
		`UPDATE booking.code SET spent = 11 WHERE event_id = $1`:                "code_within_budget",
		`UPDATE booking.code SET uses = -1 WHERE event_id = $1`:                 "",
		`UPDATE booking.code SET spent = -1 WHERE event_id = $1`:                "",
		`UPDATE booking.code SET kind = 'gift' WHERE event_id = $1`:             "",
		`UPDATE booking.buyer_tally SET bought = -1 WHERE event_id = $1`:        "",
	} {
		_, err := s.DB.Pool.Exec(t.Context(), sql, b.event.ID.String())
		if sqldb.SQLState(err) != "23514" || want != "" && !sqldb.Violates(err, want) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	// A lock that was not taken: the desk's own sums would pass the limit.
	err := s.WithStock(context.WithoutCancel(t.Context()), txn.None, b.event.ID, ttl, nil, func(stock *booking.Stock) error {
		stock.Counters.Moved.Codes = map[string]booking.Use{"OFF": {Uses: 2}}
		return nil
	})
	wantErr(t, err, booking.ErrCodeUsedUp)
	err = s.WithStock(t.Context(), txn.None, b.event.ID, ttl, nil, func(stock *booking.Stock) error {
		stock.Counters.Moved.Tiers = map[booking.TierKey]int64{{Type: b.floor, Tier: 1}: 5}
		return nil
	})
	wantErr(t, err, booking.ErrSoldOut)
	b.wantTermsToAddUp(t)
}
