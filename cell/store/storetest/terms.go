package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/store"
	"guichet/internal/kind"
	"guichet/internal/sqldb"
)

var termsTests = map[string]func(t *testing.T, s *store.Store){
	"Terms_readBackAsTheyWereStored":                    termsReadBack,
	"Terms_countersAddUpInEveryOrderOfEvents":           termsAddUp,
	"Terms_lateSaleCountsAgainOrIsRefused":              termsLate,
	"Terms_plainEventsBatchesReadAndWriteNothingOfThem": termsPlain,
	"Tier_lastTicketsAreSoldOnceByTwoProcesses":         tierRace,
	"Code_limitHoldsWhoeverHoldsFirst":                  codeLimit,
	"Code_isChangedNeverBelowWhatIsUsed":                codeChanged,
	"Code_dueHoldsAreSweptBeforeItIsUsedUp":             codeBehindDue,
	"Buyer_limitHoldsAcrossTwoProcesses":                buyerLimit,
	"Buyer_seesHisOwnHoldAsHis":                         buyerOwn,
	"Constraint_ofTiersCodesAndBuyersWithoutAnyLock":    termsConstraints,
}

// bazaar is an event with all terms: "floor" has tiers of 5, 5 and no end and at
// most 6 for a buyer, "gallery" is hidden.
func openBazaar(t *testing.T, s *store.Store, places int64) shop {
	t.Helper()
	d := draft(places, places)
	steps := []booking.DraftTier{{Name: "Early", Price: eur(1000), Quantity: 5}, {Name: "Middle", Price: eur(2000), Fees: new(eur(0)), Quantity: 5}, {Name: "Late", Price: eur(3000)}}
	d.Types[0].Terms = booking.DraftTerms{Tiers: &steps, MaxPerBuyer: new(int64(6)), Tax: &booking.Tax{BasisPoints: 1000, OnTop: true}}
	d.Types[1].Terms = booking.DraftTerms{Hidden: new(true)}
	box := service(s)
	e, err := box.DraftEvent(t.Context(), id.NewOrganizer(s.Cell), d, true)
	if err != nil {
		t.Fatal(err)
	}
	return shop{box, s, e, e.Types[0].ID, e.Types[1].ID, e.Quotas[0].ID, e.Quotas[1].ID}
}

func (b shop) putCode(t *testing.T, c booking.Code) {
	t.Helper()
	if err := b.tryCode(t, c); err != nil {
		t.Fatal(err)
	}
}

func (b shop) tryCode(t *testing.T, c booking.Code) error {
	t.Helper()
	_, err := b.store.PutCode(t.Context(), b.event.ID, c.Code, func(e *booking.Event, before *booking.Code) (booking.Code, error) {
		return c, c.Check(e, before)
	})
	return err
}

func (b shop) codeNow(t *testing.T, code string) booking.Code {
	t.Helper()
	c, err := b.store.Code(t.Context(), b.event.ID, code)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (b shop) buyer(t *testing.T, key string) booking.Buyer {
	t.Helper()
	who, err := booking.BuyerOf(b.event.ID, key)
	if err != nil {
		t.Fatal(err)
	}
	return who
}

// open says "by whom" and "with what": a request for floor tickets of a buyer.
func (b shop) wantAs(who booking.Buyer, n int64, promo string) booking.Request {
	want := b.want(b.floor, n)
	want.Buyer, want.Promo = who, promo
	return want
}

func termsReadBack(t *testing.T, s *store.Store) {
	b := openBazaar(t, s, 100)
	e, err := s.Event(t.Context(), b.event.ID)
	if err != nil {
		t.Fatal(err)
	}
	got := e.Types[0].Terms
	if got == nil || len(got.Tiers) != 3 || got.Tiers[0].Fees != 250 || got.Tiers[1].Fees != 0 || got.MaxPerBuyer != 6 || got.Tax != (booking.Tax{BasisPoints: 1000, OnTop: true}) {
		t.Fatalf("%+v", got)
	}
	if !e.Types[1].Hidden() || e.SeenAt.Year() < 2020 {
		t.Errorf("hidden %t, seen at %s", e.Types[1].Hidden(), e.SeenAt)
	}
	h, err := b.Hold(t.Context(), b.wantAs(b.buyer(t, "ana@example.org"), 6, ""))
	if err != nil {
		t.Fatal(err)
	}
	back, err := twin(t, s).Hold(t.Context(), h.ID)
	if err != nil || len(back.Items) != 2 || back.Items[0] != h.Items[0] || back.Items[1] != h.Items[1] || back.Total != eur(5*1375+2200) {
		t.Errorf("%v: %+v", err, back)
	}
	// A change of the description keeps the counters, and a step that is begun its number.
	fewer := []booking.DraftTier{{Name: "First", Price: eur(900), Quantity: 5}, {Name: "Second", Price: eur(1900), Quantity: 1}}
	change := func(tiers []booking.DraftTier) error {
		_, err := b.Change(t.Context(), b.event.ID, b.event.Organizer, 0, func(e *booking.Event, _ time.Time) error {
			u := e.Type(b.floor)
			return u.Revise(e, booking.DraftType{Name: u.Name, Price: u.Price, Max: 50, Terms: booking.DraftTerms{Tiers: &tiers}})
		})
		return err
	}
	if err := change(fewer); err != nil {
		t.Fatal(err)
	}
	wantErr(t, change(fewer[:1]), booking.ErrTierTooSmall)
	if e, err = s.Event(t.Context(), b.event.ID); err != nil || len(e.Types[0].Terms.Tiers) != 2 || e.Types[0].Terms.Tiers[0].Used != 5 || e.Free(&e.Types[0]) != 0 {
		t.Errorf("%v: %+v", err, e.Types[0].Terms)
	}
	_, err = b.Hold(t.Context(), b.wantAs(b.buyer(t, "bob@example.org"), 1, ""))
	wantErr(t, err, booking.ErrSoldOut)
	if _, err := b.Release(t.Context(), h.ID); err != nil {
		t.Fatal(err)
	}
	if err := change(fewer[:1]); err != nil {
		t.Error(err)
	}
	b.wantTermsToAddUp(t)
}

// wantTermsToAddUp recounts tiers, codes and buyers from the holds' own items.
func (b shop) wantTermsToAddUp(t *testing.T) {
	t.Helper()
	for what, sql := range recounts {
		if n := b.number(t, sql, b.event.ID.String()); n != 0 {
			t.Errorf("%d counters of %s are not what the holds add up to", n, what)
		}
	}
}

// live is the items of an event's live and sold holds.
const live = `(SELECT h.hold_id, h.state, i.item->>'type' AS type, coalesce((i.item->>'tier')::bigint, 0) AS tier, coalesce(i.item->>'promo', '') AS promo,
	coalesce(i.item->>'access', '') AS access, coalesce(i.item->>'buyer', '') AS buyer, i.item->>'tallied' AS tallied,
	(i.item->>'quantity')::bigint - coalesce((i.item->>'returned')::bigint, 0) AS n, coalesce((i.item->>'saved')::bigint, 0) AS saved
	FROM booking.hold AS h CROSS JOIN LATERAL jsonb_array_elements(h.items) AS i (item)
	WHERE h.event_id = $1 AND h.state IN ('active', 'converted')) AS l`

var recounts = map[string]string{
	"tiers": `SELECT count(*) FROM booking.tier AS t WHERE t.event_id = $1
		AND t.used <> (SELECT coalesce(sum(l.n), 0) FROM ` + live + ` WHERE l.type = t.ticket_type_id AND l.tier = t.position)`,
	"codes": `SELECT count(*) FROM booking.code AS c WHERE c.event_id = $1
		AND (c.uses <> (SELECT coalesce(sum(l.n), 0) FROM ` + live + ` WHERE l.promo = c.code OR l.access = c.code)
		OR c.spent <> (SELECT coalesce(sum(l.n * l.saved), 0) FROM ` + live + ` WHERE l.promo = c.code))`,
	"buyers": `SELECT count(*) FROM booking.buyer_tally AS t WHERE t.event_id = $1
		AND (t.bought = 0 OR t.bought <> (SELECT coalesce(sum(l.n), 0) FROM ` + live + ` WHERE l.buyer = t.buyer AND l.type = t.ticket_type_id AND l.tallied = 'true'))`,
	"buyers that are missing": `SELECT count(*) FROM ` + live + ` WHERE l.tallied = 'true' AND l.n > 0
		AND NOT EXISTS (SELECT 1 FROM booking.buyer_tally AS t WHERE t.event_id = $1 AND t.buyer = l.buyer AND t.ticket_type_id = l.type)`,
	"live holds": `SELECT abs((SELECT count(DISTINCT l.hold_id) FROM ` + live + ` WHERE l.state = 'active' AND l.buyer <> '')
		- (SELECT count(*) FROM booking.buyer_hold AS o JOIN booking.hold AS h ON h.hold_id = o.hold_id WHERE o.event_id = $1 AND h.state = 'active'))`,
	"holds that ended": `SELECT count(*) FROM booking.buyer_hold AS o JOIN booking.hold AS h ON h.hold_id = o.hold_id WHERE o.event_id = $1 AND h.state <> 'active'`,
}

// termsAddUp lets two processes do everything at once, and adds up again and again.
func termsAddUp(t *testing.T, s *store.Store) {
	b := openBazaar(t, s, 60)
	b.putCode(t, booking.Code{Code: "TENTH", Kind: booking.PromoCode, MaxUses: new(int64(12)), Terms: booking.CodeTerms{Percent: 1000}})
	b.putCode(t, booking.Code{Code: "OFF", Kind: booking.PromoCode, Budget: new(int64(2000)), Terms: booking.CodeTerms{Off: 150}})
	b.putCode(t, booking.Code{Code: "DOOR", Kind: booking.AccessCode, MaxUses: new(int64(9)), Terms: booking.CodeTerms{Types: []id.TicketType{b.gallery}}})
	boxes := []shop{b, b.at(twin(t, s))}
	var mu sync.Mutex
	var known []id.Hold
	var granted, ended atomic.Int64
	for round := range uint64(4) {
		var all sync.WaitGroup
		for worker := range uint64(6) {
			all.Go(func() {
				r := rand.New(rand.NewPCG(round, worker))
				for range 12 {
					box := boxes[r.IntN(2)]
					mu.Lock()
					var hold id.Hold
					if len(known) > 0 {
						hold = known[r.IntN(len(known))]
					}
					mu.Unlock()
					if hold.IsZero() || r.IntN(2) == 0 {
						h, err := box.Hold(t.Context(), b.anything(t, r))
						if err == nil {
							granted.Add(1)
							mu.Lock()
							known = append(known, h.ID)
							mu.Unlock()
						} else if k := kind.Of(err); k != kind.Conflict && k != kind.Unprocessable {
							t.Error(err)
						}
						continue
					}
					if box.anyEnd(t, r, hold) {
						ended.Add(1)
					}
				}
			})
		}
		all.Wait()
		b.wantTermsToAddUp(t)
		e, err := s.Event(t.Context(), b.event.ID)
		if err != nil {
			t.Fatal(err)
		}
		b.wantHoldsToAddUp(t, e)
		b.wantLedgerToAddUp(t, e)
	}
	if granted.Load() < 20 || ended.Load() < 20 {
		t.Errorf("%d holds and %d ends: the test tries nothing", granted.Load(), ended.Load())
	}
}

func (b shop) anything(t *testing.T, r *rand.Rand) booking.Request {
	t.Helper()
	want := b.wantAs(b.buyer(t, fmt.Sprintf("buyer-%d", r.IntN(9))), 1+r.Int64N(4), []string{"", "tenth", "off"}[r.IntN(3)])
	if r.IntN(3) == 0 {
		want.Lines, want.Access = append(want.Lines, booking.Line{Type: b.gallery, Quantity: 1 + r.Int64N(2)}), "door"
	}
	return want
}

// anyEnd ends, sells, cancels or sells late a hold.
func (b shop) anyEnd(t *testing.T, r *rand.Rand, hold id.Hold) bool {
	t.Helper()
	how := r.IntN(3)
	err := b.store.WithStock(t.Context(), b.event.ID, ttl, []id.Hold{hold}, func(stock *booking.Stock) error {
		h := stock.Holds[hold]
		switch {
		case how == 0:
			stock.End(h, booking.HoldReleased)
		case h.State == booking.HoldConverted:
			sold := map[id.TicketType]int64{}
			for _, i := range h.Items {
				sold[i.Type] += i.Quantity - i.Returned
			}
			if sold[b.floor] > 0 {
				stock.Return(h.Order, map[id.TicketType]int64{b.floor: 1})
			}
		default:
			if h.Order.IsZero() {
				if err := stock.Enter(h, id.NewOrder(b.event.ID), stock.Now.Add(time.Hour)); err != nil {
					return err
				}
			}
			return stock.Convert(h)
		}
		return nil
	})
	if err != nil && !errors.Is(err, booking.ErrSoldOut) && !errors.Is(err, booking.ErrHoldExpired) {
		t.Error(err)
	}
	return err == nil
}

// termsLate: a payment that comes after the hold ended counts for tier, code and
// buyer again, if they have room.
func termsLate(t *testing.T, s *store.Store) {
	b := openBazaar(t, s, 60)
	b.putCode(t, booking.Code{Code: "TWO", Kind: booking.PromoCode, MaxUses: new(int64(2)), Terms: booking.CodeTerms{Off: 100}})
	ana, bob := b.buyer(t, "ana@example.org"), b.buyer(t, "bob@example.org")
	sell := func(hold id.Hold) error {
		return s.WithStock(t.Context(), b.event.ID, ttl, []id.Hold{hold}, func(stock *booking.Stock) error {
			h := stock.Holds[hold]
			if h.State == booking.HoldActive {
				if err := stock.Enter(h, id.NewOrder(b.event.ID), stock.Now.Add(time.Hour)); err != nil {
					return err
				}
				stock.End(h, booking.HoldExpired)
				return nil
			}
			return stock.Convert(h)
		})
	}
	late := func(taken bool) error {
		h, err := b.Hold(t.Context(), b.wantAs(ana, 2, "two"))
		if err != nil {
			t.Fatal(err)
		}
		if err := sell(h.ID); err != nil { // it ends while it is paid
			t.Fatal(err)
		}
		if taken {
			if _, err := b.Hold(t.Context(), b.wantAs(bob, 1, "two")); err != nil {
				t.Fatal(err)
			}
		}
		return sell(h.ID)
	}
	wantErr(t, late(true), booking.ErrSoldOut)
	b.wantTermsToAddUp(t)
	if c := b.codeNow(t, "TWO"); c.Uses != 1 {
		t.Errorf("%d uses", c.Uses)
	}
	if err := b.tryCode(t, booking.Code{Code: "TWO", Kind: booking.PromoCode, MaxUses: new(int64(3)), Terms: booking.CodeTerms{Off: 100}}); err != nil {
		t.Fatal(err)
	}
	if err := late(false); err != nil {
		t.Error(err)
	}
	b.wantTermsToAddUp(t)
	if c := b.codeNow(t, "TWO"); c.Uses != 3 {
		t.Errorf("%d uses", c.Uses)
	}
}

// termsPlain: what an event without terms is sold with costs it nothing of this.
func termsPlain(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	b.mustHold(t, b.gallery, 2)
	e, err := s.Event(t.Context(), b.event.ID)
	if err != nil || e.Types[0].Terms != nil || !e.SeenAt.IsZero() {
		t.Errorf("%v: %+v", err, e.Types[0].Terms)
	}
	for _, table := range []string{"booking.tier", "booking.code", "booking.buyer_tally", "booking.buyer_hold"} {
		if n := b.number(t, `SELECT count(*) FROM `+table); n != 0 {
			t.Errorf("%s has %d rows", table, n)
		}
	}
	if _, err := b.Hold(t.Context(), b.wantAs("", 1, "anything")); !errors.Is(err, booking.ErrPromoCode) {
		t.Error(err)
	}
}

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
				return boxes[i%2].store.WithStock(t.Context(), b.event.ID, ttl, []id.Hold{h.ID}, func(stock *booking.Stock) error {
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
	_, err = s.Code(t.Context(), openShop(t, s, 1, 1).event.ID, "OFF")
	wantErr(t, err, booking.ErrAccessCode) // it is another event's
	_, err = s.PutCode(t.Context(), id.NewEvent(s.Cell), "X", nil)
	wantErr(t, err, booking.ErrEventNotFound)
}

// codeBehindDue: what holds a code's uses may be due beyond one sweep (P9).
func codeBehindDue(t *testing.T, s *store.Store) {
	const crowd = 230
	b := openShop(t, s, 2*crowd, 4)
	b.putCode(t, booking.Code{Code: "ONE", Kind: booking.PromoCode, MaxUses: new(int64(1)), Terms: booking.CodeTerms{Off: 1}})
	if err := s.WithStock(t.Context(), b.event.ID, ttl, nil, func(stock *booking.Stock) error {
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
	if seen, err := other.Look(t.Context(), mine.ID); err != nil || seen.State != booking.HoldActive { // and his hold is there
		t.Errorf("%v: %+v", err, seen)
	}
	o := id.NewOrder(b.event.ID)
	if err := s.WithStock(t.Context(), b.event.ID, ttl, []id.Hold{mine.ID}, func(stock *booking.Stock) error {
		return stock.Enter(stock.Holds[mine.ID], o, stock.Now.Add(time.Hour))
	}); err != nil {
		t.Fatal(err)
	}
	if own := refusal(ana); len(own) != 1 || own[0].Order != o.String() {
		t.Errorf("own holds %v", own)
	}
	if err := s.WithStock(t.Context(), b.event.ID, ttl, []id.Hold{mine.ID}, func(stock *booking.Stock) error {
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
	err := s.WithStock(context.WithoutCancel(t.Context()), b.event.ID, ttl, nil, func(stock *booking.Stock) error {
		stock.Counters.Moved.Codes = map[string]booking.Use{"OFF": {Uses: 2}}
		return nil
	})
	wantErr(t, err, booking.ErrCodeUsedUp)
	err = s.WithStock(t.Context(), b.event.ID, ttl, nil, func(stock *booking.Stock) error {
		stock.Counters.Moved.Tiers = map[booking.TierKey]int64{{Type: b.floor, Tier: 1}: 5}
		return nil
	})
	wantErr(t, err, booking.ErrSoldOut)
	b.wantTermsToAddUp(t)
}
