package checkout_test

import (
	"context"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/notify"
	"guichet/internal/txn"
)

// move puts the event off by a day, as the cell's API does.
func (tw *town) move(t *testing.T) {
	t.Helper()
	err := tw.stores[0].InTx(t.Context(), func(ctx context.Context, tx txn.Tx) error {
		e, err := tw.box.Change(ctx, tx, tw.shop.ID, tw.shop.Organizer, 0, func(e *booking.Event, _ time.Time) error {
			e.StartsAt = e.StartsAt.AddDate(0, 0, 1)
			return nil
		})
		if err != nil {
			return err
		}
		if !e.JustRescheduled() {
			t.Errorf("%+v", e.Rescheduled)
		}
		return tw.desks[0].RescheduleEvent(ctx, tx, e.ID, *e.Rescheduled)
	})
	if err != nil {
		t.Fatal(err)
	}
}

const toldOf = `SELECT count(*), count(DISTINCT order_id), coalesce(max(n), 0) FROM (
	SELECT order_id, count(*) AS n FROM notify.message WHERE kind = 'event_rescheduled' AND part = $1 GROUP BY order_id) AS m`

// A process dies at every third moment of telling the buyers of an event that was moved. Its
// peer goes on, and each is told once: the queue would not show that one was told twice,
// so the asking is counted too.
func TestReschedule_tellsEveryBuyerOnceWhoeverDies(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 100)
	if _, err := tw.stores[0].DB.Pool.Exec(t.Context(), letters); err != nil {
		t.Fatal(err)
	}
	var orders []checkout.Order
	for range 30 { // more than one page
		o, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: tw.hold(t, tw.free, 1).ID, Buyer: buyer})
		if err != nil {
			t.Fatal(err)
		}
		orders = append(orders, o)
	}
	given := tw.give(t, orders[7], 0, bob)
	unpaid := tw.order(t, tw.floor, 1) // he is told with his tickets, should he pay
	moments := 0
	for k := 0; ; k += 3 { // there are some hundred moments
		l := &life{left: k}
		w := &walker{town: tw, life: l, mood: "answers"}
		w.dying = tw.desk(t, mortal{tw.stores[0], l}, tw.processor())
		w.dying.Runs.Store = mortal{tw.stores[0], l}
		w.alive = tw.desk(t, tw.stores[1], tw.processor())
		w.dying.Notifier, w.alive.Notifier = postbox{tw.stores[0]}, postbox{tw.stores[1]}
		if k == 0 {
			tw.move(t)
		} else if err := tw.desks[0].RescheduleEvent(t.Context(), txn.None, tw.shop.ID, booking.Reschedule{Number: int64(k + 1), At: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err) // more often than an organizer may
		}
		part := checkout.ReschedulePart(int64(k + 1))
		w.work(t)
		w.told(t, part)
		var rows, buyers, most int
		if err := tw.stores[0].DB.Pool.QueryRow(t.Context(), toldOf, part).Scan(&rows, &buyers, &most); err != nil || buyers != len(orders) || most != 1 {
			t.Fatalf("killed %s (moment %d): %d of %d buyers are told, one %d times; %v", l.died(), k, buyers, len(orders), most, err)
		}
		if l.died() == "" {
			break
		}
		moments++
	}
	if moments < 3 {
		t.Errorf("it died only at %d moments", moments)
	}
	var asked, held int
	if err := tw.stores[0].DB.Pool.QueryRow(t.Context(), `SELECT n, (SELECT count(*) FROM booking.reschedule WHERE event_id = $2) FROM letter WHERE what = 'event_rescheduled' AND order_id = $1`,
		orders[0].ID.String(), tw.shop.ID.String()).Scan(&asked, &held); err != nil || asked != moments+1 || held != 1 {
		t.Errorf("told of %d moves, %d kept, %d mails: %v", moments+1, held, asked, err)
	}
	tw.wantPost(t, unpaid, notify.EventRescheduled)
	var his int
	if err := tw.stores[0].DB.Pool.QueryRow(t.Context(), `SELECT count(*) FROM notify.message WHERE kind = 'ticket_rescheduled' AND address = $1 AND order_id = $2`, bob.Email, given.ID.String()).Scan(&his); err != nil || his != moments+1 {
		t.Errorf("who was given a ticket is told %d times, %v", his, err)
	}
}

const openReschedules = `SELECT count(*) FROM saga.run WHERE status <> 'succeeded' AND name = 'event-reschedule'`

// told lets the peer of the dead work until all are told.
func (w *walker) told(t *testing.T, part string) {
	t.Helper()
	for range 40 {
		for _, sql := range []string{leasesEnd, sagasDue} {
			if _, err := w.stores[1].DB.Pool.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.alive.Runs.Pass(t.Context()); err != nil {
			t.Error(err)
		}
		var open int
		if err := w.stores[1].DB.Pool.QueryRow(t.Context(), openReschedules).Scan(&open); err != nil {
			t.Fatal(err)
		}
		if open == 0 {
			return
		}
	}
	t.Fatalf("%s does not come to an end", part)
}
