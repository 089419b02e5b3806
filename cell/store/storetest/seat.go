package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/store"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

var seatTests = map[string]func(t *testing.T, s *store.Store){
	"Seat_twoBuyersOneSeatEveryLockRemoved":          seatWithoutLocks,
	"Seat_aHundredBuyersOfTwoProcessesAtTheSameFew":  seatRace,
	"Seat_bestAvailableFillsTheHouseAndNotOneMore":   seatBest,
	"Seat_isKilledOrSoldAndNeverBoth":                seatKillRace,
	"Seat_ofADueHoldIsNotSaidToBeTaken":              seatDue,
	"Seat_soldLateOnlyWhenItIsFreeAndReturnedOnce":   seatLate,
	"Seat_plansAreLaidOutForDraftsAndReadBack":       seatPlan,
	"Seat_aPlainEventLoadsNone":                      seatNone,
	"Seat_aLongListIsCutAtWholeRowsAndNeverSoldOut":  seatPool,
	"Seat_isGivenToWhomStaffHoldTicketsFor":          seatAside,
	"Seat_constraintsHoldTheStatesToTheDomainsWords": seatConstraints,
}

// seatedDraft is the shop's draft with rows of seats: Floor sells those of the
// hall, Gallery those of its own.
func seatedDraft(rows, perRow int) booking.Draft {
	d := draft(1, 1)
	d.Source = nil
	d.Types[1].Quotas = []string{"gallery"}
	zone := func(name, category string, rows int, y float64) booking.PlanZone {
		z := booking.PlanZone{Name: name, At: booking.Point{Y: y}}
		for r := range rows {
			row := booking.PlanRow{Name: strconv.Itoa(r + 1), At: booking.Point{Y: float64(25 * r)}}
			for i := range perRow {
				row.Seats = append(row.Seats, booking.PlanSeat{
					ID: booking.SeatID(fmt.Sprintf("%s-%d-%d", category, r+1, i+1)), Number: strconv.Itoa(i + 1), At: booking.Point{X: float64(25 * i)}, Category: category,
				})
			}
			z.Rows = append(z.Rows, row)
		}
		return z
	}
	d.Seating = &booking.DraftSeating{
		Plan: booking.DraftPlan{
			Name: "Salle", Size: booking.Point{X: 100, Y: 50}, Drawing: []byte(`[{"color": "#FFFFFF"}]`),
			Categories: []booking.PlanCategory{{Name: "one", Color: "#112233"}, {Name: "two"}},
			Zones:      []booking.PlanZone{zone("Stalls", "one", rows, 0), zone("Circle", "two", 1, 900)},
		},
		Categories: []booking.DraftSeatCategory{{Category: "one", Types: []string{"Floor"}}, {Category: "two", Types: []string{"Gallery"}}},
	}
	return d
}

func openSeated(t *testing.T, s *store.Store, rows, perRow int, change ...func(d *booking.DraftSeating)) shop {
	t.Helper()
	box := service(s)
	d := seatedDraft(rows, perRow)
	for _, c := range change {
		c(d.Seating)
	}
	e, err := box.DraftEvent(t.Context(), txn.None, id.NewOrganizer(s.Cell), d, true)
	if err != nil {
		t.Fatal(err)
	}
	return shop{box, s, e, e.Types[0].ID, e.Types[1].ID, e.Quotas[0].ID, e.Quotas[1].ID}
}

func gaps(d *booking.DraftSeating) { d.AllowGaps = true }

func (b shop) wantOf(of id.TicketType, seats ...booking.SeatID) booking.Request {
	r := b.want(of, int64(len(seats)))
	r.Lines[0].Seats = seats
	return r
}

func (b shop) sit(ctx context.Context, of id.TicketType, seats ...booking.SeatID) (booking.Hold, error) {
	return b.Hold(ctx, b.wantOf(of, seats...))
}

func (b shop) mustSit(t *testing.T, of id.TicketType, seats ...booking.SeatID) booking.Hold {
	t.Helper()
	h, err := b.sit(t.Context(), of, seats...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

const (
	disagree = `SELECT count(*) FROM booking.seat AS s LEFT JOIN booking.seat_claim AS c ON c.event_id = s.event_id AND c.seat_id = s.seat_id
		WHERE s.event_id = $1 AND (coalesce(c.state, 'free') <> s.state OR coalesce(c.hold_id, '') <> s.hold_id)`
	seatsIn     = `SELECT count(*) FROM booking.seat WHERE event_id = $1 AND state = $2`
	seatsOfHold = `SELECT count(*) FROM booking.hold AS h CROSS JOIN LATERAL jsonb_array_elements(h.items) AS i (item)
		CROSS JOIN LATERAL jsonb_array_elements(i.item->'seats') AS p (seat) JOIN booking.seat AS s ON s.event_id = h.event_id AND s.seat_id = p.seat->>'id'
		WHERE h.event_id = $1 AND h.state = 'active' AND s.hold_id = h.hold_id AND s.state = 'held'`
)

// wantSeatsToAddUp: seats, claims, holds, quotas and the ledger tell the same.
func (b shop) wantSeatsToAddUp(t *testing.T) {
	t.Helper()
	e, err := b.store.Event(t.Context(), txn.None, b.event.ID)
	if err != nil {
		t.Fatal(err)
	}
	b.wantLedgerToAddUp(t, e)
	if n := b.number(t, disagree, e.ID.String()); n != 0 {
		t.Errorf("%d seats and their claims do not agree", n)
	}
	tally := map[booking.SeatState]int64{}
	for _, c := range b.tally(t).Seats {
		tally[c.State]++
	}
	var held, sold, house, killed, size int64
	for _, q := range e.Quotas {
		held, sold, house, size = held+q.Held, sold+q.Sold, house+q.Allocated, size+q.Size
	}
	killed = b.number(t, seatsIn, e.ID.String(), "killed")
	for state, want := range map[booking.SeatState]int64{booking.SeatHeld: held, booking.SeatSold: sold, booking.SeatHouse: house, booking.SeatKilled: killed} {
		if n := b.number(t, seatsIn, e.ID.String(), string(state)); n != want || tally[state] != want {
			t.Errorf("%d seats are %s, the quotas say %d, the ledger %d", n, state, want, tally[state])
		}
	}
	if n := b.number(t, seatsOfHold, e.ID.String()); n != held {
		t.Errorf("live holds name %d seats of theirs, the quotas %d", n, held)
	}
	if n := b.number(t, `SELECT count(*) FROM booking.seat WHERE event_id = $1`, e.ID.String()); n != size+killed {
		t.Errorf("%d seats, the quotas have %d and %d are killed", n, size, killed)
	}
}

func (b shop) tally(t *testing.T) *booking.Tally {
	t.Helper()
	tally := &booking.Tally{}
	for after := int64(0); ; {
		rows, err := b.store.Ledger(t.Context(), b.event.ID, after, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if err := tally.Add(r); err != nil {
				t.Fatal(err)
			}
			after = r.First
		}
		if len(rows) == 0 {
			return tally
		}
	}
}

const (
	claimSeat = `INSERT INTO booking.seat_claim (event_id, seat_id, state, hold_id) VALUES ($1, $2, 'held', $3)`
	holdSeat  = `UPDATE booking.seat SET state = 'held', hold_id = $3 WHERE event_id = $1 AND seat_id = $2`
)

// Regression 15: two buyers, one seat, every application lock removed. First with
// nothing but the table, from two processes at once; then a buyer who has decided
// on what he read, while another, who takes no lock, has committed.
func seatWithoutLocks(t *testing.T, s *store.Store) {
	b := openSeated(t, s, 2, 8)
	other := twin(t, s)
	var all sync.WaitGroup
	var had, refused atomic.Int64
	for i := range 40 {
		db := []*sqldb.DB{s.DB, other.DB}[i%2]
		all.Go(func() {
			err := retried(t, func(int) error {
				_, err := db.Pool.Exec(t.Context(), claimSeat, b.event.ID.String(), "one-1-1", id.NewHold(b.event.ID).String())
				return sqldb.Classify(err)
			})
			switch {
			case err == nil:
				had.Add(1)
			case sqldb.Violates(err, "seat_claimed_once"):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if had.Load() != 1 || refused.Load() != 39 {
		t.Errorf("%d had the seat, %d were refused", had.Load(), refused.Load())
	}
	// The seat's own row says free: a desk that believes it is refused as well, and
	// of its batch only who wanted this seat.
	var together sync.WaitGroup
	var failed error
	var granted booking.Hold
	together.Go(func() { _, failed = b.sit(t.Context(), b.floor, "one-1-1") })
	together.Go(func() { granted = b.mustSit(t, b.floor, "one-2-1") })
	together.Wait()
	wantErr(t, failed, booking.ErrSeatTaken)
	b.wantState(t, granted.ID, booking.HoldActive)

	meanwhile := id.NewHold(b.event.ID)
	err := s.WithStock(t.Context(), txn.None, b.event.ID, ttl, nil, func(stock *booking.Stock) error {
		load(stock, "one-2-7", "one-2-8")
		if _, err := stock.Grant(b.wantOf(b.floor, "one-2-7", "one-2-8")); err != nil {
			return err
		}
		for _, sql := range []string{claimSeat, holdSeat} {
			if _, err := other.DB.Pool.Exec(t.Context(), sql, b.event.ID.String(), "one-2-8", meanwhile.String()); err != nil {
				return err
			}
		}
		return nil
	})
	wantErr(t, err, booking.ErrSeatTaken)
	if n := b.number(t, `SELECT count(*) FROM booking.seat_claim WHERE event_id = $1 AND seat_id IN ('one-2-7', 'one-2-8')`, b.event.ID.String()); n != 1 {
		t.Errorf("%d claims", n)
	}
}

// load makes seats known to a stock whose store was not told to read them.
func load(stock *booking.Stock, seats ...booking.SeatID) {
	for i, sid := range seats {
		stock.Seats.Load(booking.Seat{ID: sid, Category: "one", Kind: booking.SeatStandard, State: booking.SeatFree, RowNo: 2, Rank: 2, Place: int64(7 + i)})
	}
}

func seatRace(t *testing.T, s *store.Store) {
	b := openSeated(t, s, 3, 8, gaps)
	c := b.at(twin(t, s))
	var all sync.WaitGroup
	for i := range 100 {
		box := []shop{b, c}[i%2]
		all.Go(func() {
			seats := []booking.SeatID{booking.SeatID(fmt.Sprintf("one-%d-%d", 1+i%3, 1+i%8)), booking.SeatID(fmt.Sprintf("one-%d-%d", 1+i%3, 1+(i+1)%8))}
			h, err := box.sit(t.Context(), b.floor, seats...)
			if err != nil && !errors.Is(err, booking.ErrSeatTaken) {
				t.Error(err)
			}
			if err == nil && i%7 == 0 {
				if _, err := box.Release(t.Context(), h.ID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := b.number(t, seatsIn, b.event.ID.String(), "held"); n < 12 {
		t.Errorf("only %d of 24 seats are held", n)
	}
	b.wantSeatsToAddUp(t)
}

func seatBest(t *testing.T, s *store.Store) {
	b := openSeated(t, s, 5, 8)
	c := b.at(twin(t, s))
	var all sync.WaitGroup
	var granted, refused atomic.Int64
	for i := range 60 {
		box := []shop{b, c}[i%2]
		all.Go(func() {
			switch h, err := box.ask(t.Context(), b.floor, 2); {
			case err == nil && len(h.Items[0].Seats) == 2:
				granted.Add(1)
			case errors.Is(err, booking.ErrSoldOut):
				refused.Add(1)
			default:
				t.Errorf("%v, %+v", err, h.Items)
			}
		})
	}
	all.Wait()
	if granted.Load() != 20 || refused.Load() != 40 {
		t.Errorf("%d pairs of 20 were granted, %d refused", granted.Load(), refused.Load())
	}
	b.wantSeatsToAddUp(t)
}

func seatKillRace(t *testing.T, s *store.Store) {
	b := openSeated(t, s, 1, 10, gaps)
	c := b.at(twin(t, s))
	var all sync.WaitGroup
	var killed, held atomic.Int64
	for i := range 10 {
		seat := booking.SeatID(fmt.Sprintf("one-1-%d", i+1))
		all.Go(func() {
			if _, err := b.StaffOnce(t.Context(), b.event.ID, b.event.Organizer, booking.Kill([]booking.SeatID{seat}, true), nil,
				func(int64) (int, []byte, error) { return 200, nil, nil }); err == nil {
				killed.Add(1)
			} else if !errors.Is(err, booking.ErrSeatTaken) {
				t.Error(err)
			}
		})
		all.Go(func() {
			if _, err := c.sit(t.Context(), b.floor, seat); err == nil {
				held.Add(1)
			} else if !errors.Is(err, booking.ErrSeatTaken) && !errors.Is(err, booking.ErrSoldOut) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if killed.Load()+held.Load() != 10 {
		t.Errorf("%d killed, %d held, of 10", killed.Load(), held.Load())
	}
	b.wantSeatsToAddUp(t)
}

func seatDue(t *testing.T, s *store.Store) {
	b := openSeated(t, s, 1, 4)
	first := b.mustSit(t, b.floor, "one-1-1", "one-1-2")
	all := b.mustSit(t, b.floor, "one-1-3", "one-1-4")
	b.expire(t, first.ID, 0)
	b.mustSit(t, b.floor, "one-1-1", "one-1-2")
	b.expire(t, all.ID, 0)
	if _, err := b.ask(t.Context(), b.floor, 2); err != nil {
		t.Errorf("the best of what is due: %v", err)
	}
	b.wantState(t, first.ID, booking.HoldExpired)
	b.wantSeatsToAddUp(t)
}

func seatLate(t *testing.T, s *store.Store) {
	b := openSeated(t, s, 1, 4)
	h := b.mustSit(t, b.floor, "one-1-1", "one-1-2")
	on := func(hold id.Hold, do func(stock *booking.Stock, h *booking.Hold) error) error {
		return s.WithStock(t.Context(), txn.None, b.event.ID, ttl, []id.Hold{hold}, func(stock *booking.Stock) error { return do(stock, stock.Holds[hold]) })
	}
	convert := func(stock *booking.Stock, h *booking.Hold) error { return stock.Convert(h) }
	b.expire(t, h.ID, 0)
	next := b.mustSit(t, b.floor, "one-1-1", "one-1-2")
	wantErr(t, on(h.ID, convert), booking.ErrSoldOut)
	if _, err := b.Release(t.Context(), next.ID); err != nil {
		t.Fatal(err)
	}
	if err := on(h.ID, convert); err != nil {
		t.Fatal(err)
	}
	b.wantSeatsToAddUp(t)
	order := id.NewOrder(b.event.ID)
	give := func(n int64, seats ...booking.SeatID) {
		t.Helper()
		if err := on(h.ID, func(stock *booking.Stock, _ *booking.Hold) error {
			stock.Return(order, map[id.TicketType]int64{b.floor: n}, seats...)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		b.wantSeatsToAddUp(t)
	}
	give(1, "one-1-1")
	give(1, "one-1-2")
	again := b.mustSit(t, b.floor, "one-1-1", "one-1-2")
	give(0, "one-1-1", "one-1-2") // a return that comes twice does not touch the next buyer's seats
	b.wantState(t, again.ID, booking.HoldActive)
}

func seatPlan(t *testing.T, s *store.Store) {
	box := service(s)
	org := id.NewOrganizer(s.Cell)
	plain := seatedDraft(1, 4)
	plan := *plain.Seating
	plain.Seating = nil
	e, err := box.DraftEvent(t.Context(), txn.None, org, plain, false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.SeatMap(t.Context(), e.ID)
	wantErr(t, err, booking.ErrNoSeating)
	plan.House, plan.AllowGaps = []booking.SeatID{"two-1-1"}, true
	plan.Accessible, plan.Companions = []booking.SeatID{"one-1-1"}, []booking.DraftCompanion{{Seat: "one-1-2", With: "one-1-1"}}
	if e, err = box.LaySeats(t.Context(), e.ID, org, 0, plan); err != nil {
		t.Fatal(err)
	}
	_, err = box.LaySeats(t.Context(), e.ID, org, 0, plan)
	wantErr(t, err, booking.ErrState) // seats are set aside
	m, err := s.SeatMap(t.Context(), e.ID)
	if err != nil || m.Plan.Name != "Salle" || m.Plan.Size.X != 100 || len(m.Plan.Seats) != 8 || len(m.Plan.Categories) != 2 || string(m.Plan.Drawing) != `[{"color": "#FFFFFF"}]` || m.At.IsZero() {
		t.Fatalf("%v: %+v", err, m)
	}
	for i, want := range e.Seating.Seats {
		got := m.Plan.Seats[i]
		if got != want {
			t.Errorf("seat %+v\nwant %+v", got, want)
		}
	}
	read, err := s.Event(t.Context(), txn.None, e.ID)
	if err != nil || !read.Seated || !read.AllowGaps || len(read.Types[0].Categories) != 1 || read.Quotas[1].Size != 4 || read.Quotas[1].Allocated != 1 {
		t.Fatalf("%v: %+v", err, read)
	}
	if _, err := box.Change(t.Context(), txn.None, e.ID, org, 0, func(e *booking.Event, now time.Time) error { return e.Publish(now) }); err != nil {
		t.Fatal(err)
	}
	_, err = box.LaySeats(t.Context(), e.ID, org, 0, plan)
	wantErr(t, err, booking.ErrState)
	b := shop{box, s, read, read.Types[0].ID, read.Types[1].ID, read.Quotas[0].ID, read.Quotas[1].ID}
	b.wantSeatsToAddUp(t)
	other := openSeated(t, s, 1, 4) // the same ids in another event
	other.mustSit(t, other.floor, "one-1-1", "one-1-2")
	b.wantSeatsToAddUp(t)
}

func seatNone(t *testing.T, s *store.Store) {
	b := openShop(t, s, 4, 2)
	if err := s.WithStock(t.Context(), txn.None, b.event.ID, ttl, nil, func(stock *booking.Stock) error {
		if stock.Seats != nil {
			t.Error("seats were loaded for an event without any")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	_, err := b.sit(t.Context(), b.floor, "one-1-1")
	wantErr(t, err, booking.ErrNoSeating)
}

// seatPool asks one batch for more than the store reads ahead of what is asked.
func seatPool(t *testing.T, s *store.Store) {
	b := openSeated(t, s, 30, 50)
	offered, undone := 0, errors.New("undone")
	err := b.Desks.Do(t.Context(), b.event.ID, &booking.Op{Lines: b.want(b.floor, 2).Lines, Decide: func(stock *booking.Stock) error {
		for offered = 0; ; offered++ {
			if _, err := stock.Grant(b.want(b.floor, 50)); err != nil {
				break
			}
		}
		if _, err := stock.Grant(b.want(b.floor, 2)); err == nil {
			t.Error("a row that was read in part is offered")
		}
		return undone
	}})
	if !errors.Is(err, undone) || offered != 20 {
		t.Errorf("%v, %d rows were read ahead", err, offered)
	}
	b = openSeated(t, s, 30, 50) // what was undone in memory alone is not stored, but was decided
	var all sync.WaitGroup
	var granted atomic.Int64
	for range 32 {
		all.Go(func() {
			if _, err := b.ask(t.Context(), b.floor, 50); err == nil {
				granted.Add(50)
			} else if !errors.Is(err, booking.ErrSoldOut) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if granted.Load() != 1500 {
		t.Errorf("%d of 1500 seats were granted", granted.Load())
	}
	b.wantSeatsToAddUp(t)
}

func seatConstraints(t *testing.T, s *store.Store) {
	b := openSeated(t, s, 1, 4)
	for _, sql := range []string{
		`UPDATE booking.seat SET state = 'held' WHERE event_id = $1 AND seat_id = 'one-1-1'`,
		`UPDATE booking.seat SET hold_id = 'x' WHERE event_id = $1 AND seat_id = 'one-1-1'`,
		`UPDATE booking.seat SET state = 'gone' WHERE event_id = $1 AND seat_id = 'one-1-1'`,
		`UPDATE booking.seat SET kind = 'companion' WHERE event_id = $1 AND seat_id = 'one-1-1'`,
		`INSERT INTO booking.seat_claim (event_id, seat_id, state, hold_id) VALUES ($1, 'one-1-1', 'free', '')`,
	} {
		if _, err := s.DB.Pool.Exec(t.Context(), sql, b.event.ID.String()); sqldb.SQLState(err) != "23514" {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// Staff who hold tickets out of an allocation get seats as well, and what they
// sweep on the way gives its seats back.
func seatAside(t *testing.T, s *store.Store) {
	b := openSeated(t, s, 2, 8)
	org := b.event.Organizer
	due := b.mustSit(t, b.floor, "one-1-1", "one-1-2")
	b.expire(t, due.ID, 0)
	a, err := b.Allocate(t.Context(), txn.None, org, b.event.ID, b.hall, "press", 15)
	if err != nil {
		t.Fatal(err)
	}
	b.wantState(t, due.ID, booking.HoldExpired)
	if n := b.number(t, disagree, b.event.ID.String()) + b.number(t, seatsIn, b.event.ID.String(), "held"); n != 0 {
		t.Errorf("%d seats of an expired hold are not free", n)
	}
	h, err := b.HoldAside(t.Context(), txn.None, org, booking.NamedRequest{From: a.ID, Hold: id.NewHold(b.event.ID), Type: b.floor, Quantity: 3}, booking.NamedBuyer{Name: "Ana"})
	if err != nil || len(h.Items[0].Seats) != 3 {
		t.Fatalf("%v: %+v", err, h.Items)
	}
	if n := b.number(t, seatsOfHold, b.event.ID.String()); n != 3 {
		t.Errorf("the hold has %d seats", n)
	}
	b.tally(t)
}
