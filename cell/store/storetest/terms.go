package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/store"
	"guichet/internal/kind"
	"guichet/internal/txn"
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
	e, err := box.DraftEvent(t.Context(), txn.None, id.NewOrganizer(s.Cell), d, true)
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
	_, err := b.store.PutCode(t.Context(), txn.None, b.event.ID, c.Code, func(e *booking.Event, before *booking.Code) (booking.Code, error) {
		return c, c.Check(e, before)
	})
	return err
}

func (b shop) codeNow(t *testing.T, code string) booking.Code {
	t.Helper()
	c, err := b.store.Code(t.Context(), txn.None, b.event.ID, code)
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
	e, err := s.Event(t.Context(), txn.None, b.event.ID)
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
	if err != nil || len(back.Items) != 2 || !reflect.DeepEqual(back.Items[:2], h.Items[:2]) || back.Total != eur(5*1375+2200) {
		t.Errorf("%v: %+v", err, back)
	}
	// A change of the description keeps the counters, and a step that is begun its number.
	fewer := []booking.DraftTier{{Name: "First", Price: eur(900), Quantity: 5}, {Name: "Second", Price: eur(1900), Quantity: 1}}
	change := func(tiers []booking.DraftTier) error {
		_, err := b.Change(t.Context(), txn.None, b.event.ID, b.event.Organizer, 0, func(e *booking.Event, _ time.Time) error {
			u := e.Type(b.floor)
			return u.Revise(e, booking.DraftType{Name: u.Name, Price: u.Price, Max: 50, Terms: booking.DraftTerms{Tiers: &tiers}})
		})
		return err
	}
	if err := change(fewer); err != nil {
		t.Fatal(err)
	}
	wantErr(t, change(fewer[:1]), booking.ErrTierTooSmall)
	if e, err = s.Event(t.Context(), txn.None, b.event.ID); err != nil || len(e.Types[0].Terms.Tiers) != 2 || e.Types[0].Terms.Tiers[0].Used != 5 || e.Free(&e.Types[0]) != 0 {
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
				r := rand.New(rand.NewPCG(round, worker)) //nolint:gosec // it picks moves of a test
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
		e, err := s.Event(t.Context(), txn.None, b.event.ID)
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
	err := b.store.WithStock(t.Context(), txn.None, b.event.ID, ttl, []id.Hold{hold}, func(stock *booking.Stock) error {
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
		return s.WithStock(t.Context(), txn.None, b.event.ID, ttl, []id.Hold{hold}, func(stock *booking.Stock) error {
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
	e, err := s.Event(t.Context(), txn.None, b.event.ID)
	if err != nil || e.Types[0].Terms != nil || e.SeenAt.IsZero() {
		t.Errorf("%v: %+v, seen at %s", err, e.Types[0].Terms, e.SeenAt)
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
