package checkout_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/payment"
	"guichet/internal/txn"
)

// sellSeats puts an event with one row of so many seats on sale in place of the
// town's.
func (tw *town) sellSeats(t *testing.T, n int) {
	t.Helper()
	row := booking.PlanRow{Name: "A"}
	for i := range n {
		row.Seats = append(row.Seats, booking.PlanSeat{ID: booking.SeatID(fmt.Sprintf("A-%d", i+1)), Number: strconv.Itoa(i + 1), At: booking.Point{X: float64(25 * i)}, Category: "Stalls"})
	}
	e, err := tw.box.DraftEvent(t.Context(), txn.None, tw.shop.Organizer, booking.Draft{
		Name: "Récital", Venue: booking.Venue{Name: "Salle", City: "Paris", Country: "FR"}, TimeZone: "Europe/Paris", Currency: "EUR",
		StartsAt: time.Now().AddDate(0, 1, 0).Truncate(time.Second), Quotas: []booking.DraftQuota{{Name: "hall"}},
		Types: []booking.DraftType{{Name: "Stalls", Price: money.Money{Amount: 4000, Currency: "EUR"}, Quotas: []string{"hall"}}},
		Seating: &booking.DraftSeating{
			Plan:       booking.DraftPlan{Categories: []booking.PlanCategory{{Name: "Stalls"}}, Zones: []booking.PlanZone{{Name: "Ground", Rows: []booking.PlanRow{row}}}},
			Categories: []booking.DraftSeatCategory{{Category: "Stalls", Types: []string{"Stalls"}}},
		},
	}, true)
	if err != nil {
		t.Fatal(err)
	}
	tw.shop, tw.floor = e, e.Types[0].ID
}

// wantSeats: so many are held and sold, by the seats, the quota and the ledger.
func (tw *town) wantSeats(t *testing.T, held, sold int64) {
	t.Helper()
	tw.wantStock(t, held, sold)
	m, err := tw.stores[0].SeatMap(t.Context(), tw.shop.ID)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := tw.stores[0].Ledger(t.Context(), tw.shop.ID, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	tally := &booking.Tally{}
	for _, r := range rows {
		if err := tally.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	seats, told := map[booking.SeatState]int64{}, map[booking.SeatState]int64{}
	for i := range m.Plan.Seats {
		seats[m.Plan.Seats[i].State]++
	}
	for _, c := range tally.Seats {
		told[c.State]++
	}
	if seats[booking.SeatHeld] != held || seats[booking.SeatSold] != sold || told[booking.SeatHeld] != held || told[booking.SeatSold] != sold {
		t.Errorf("the seats say %v, the ledger %v, want %d held and %d sold", seats, told, held, sold)
	}
}

func TestSeats_ofACanceledOrderAreFreeAgainOnce(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 1)
	tw.sellSeats(t, 4)
	o := tw.paid(t, tw.floor, 2)
	if len(o.Tickets) != 2 || o.Tickets[0].Seat.Row != "A" || o.Tickets[0].Seat == o.Tickets[1].Seat {
		t.Fatalf("%+v", o.Tickets)
	}
	tw.wantSeats(t, 0, 2)
	for range 2 {
		if _, err := tw.desks[0].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer); err != nil {
			t.Fatal(err)
		}
		tw.wantSeats(t, 0, 0)
	}
	tw.paid(t, tw.floor, 4)
	if _, err := tw.desks[1].Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer); err != nil {
		t.Fatal(err)
	}
	tw.wantSeats(t, 0, 4)
}

// Stock that was confirmed and is given back before there are tickets.
func TestSeats_ofACaptureThatIsRefusedAreFreeAgain(t *testing.T) {
	t.Parallel()
	tw := openManual(t, 1)
	tw.sellSeats(t, 2)
	o := tw.order(t, tw.floor, 2)
	tw.wantSeats(t, 2, 0)
	tw.mustConfirm(t, o, visa)
	eventually(t, "the authorization", func() bool { return tw.look(t, o.ID).Payment.State == payment.Authorized })
	tw.wantSeats(t, 0, 2)
	if _, err := tw.processor().CancelIntent(t.Context(), o.Payment.IntentID, "by hand"); err != nil {
		t.Fatal(err)
	}
	tw.awaitWorking(t, o, checkout.Expired)
	tw.settleAll(t)
	tw.wantSeats(t, 0, 0)
	tw.awaitWorking(t, tw.confirmed(t, tw.order(t, tw.floor, 2)), checkout.Paid)
	tw.wantSeats(t, 0, 2)
}

// Late money takes the very seats again.
func TestSeats_lateMoneyBuysTheSameSeats(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 1)
	tw.sellSeats(t, 4)
	o := tw.order(t, tw.floor, 2)
	if err := tw.stores[0].WithStock(t.Context(), txn.None, tw.shop.ID, ttl, []id.Hold{o.Hold}, func(s *booking.Stock) error {
		s.End(s.Holds[o.Hold], booking.HoldExpired)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	tw.wantSeats(t, 0, 0)
	tw.mustConfirm(t, o, visa)
	o = tw.await(t, o.ID, checkout.Paid)
	if len(o.Tickets) != 2 || o.Tickets[0].Seat != o.Items[0].Seats[0] || o.Tickets[1].Seat != o.Items[0].Seats[1] {
		t.Errorf("%+v, items %+v", o.Tickets, o.Items)
	}
	tw.wantSeats(t, 0, 2)
}
