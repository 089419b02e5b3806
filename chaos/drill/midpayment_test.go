package drill

import (
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/stripe/sandbox"
)

const (
	// settledWithin is P4's promise, by the database's clock, from the restart on.
	settledWithin = 60 * time.Second
	payers        = 6
)

// P4: the site is killed with kill -9 while buyers pay, and no webhook ever comes.
// The orders are where a killed process leaves them: one under the dead one's lease in
// mid-capture or between money and tickets, others on their buyers' way back from the
// bank, some paid while nobody was there. After the restart, with nothing hurried, no
// order whose money was given stays pending for longer than 60 s.
func TestRegression09_noPaidOrderStaysPendingAfterAKillInMidPayment(t *testing.T) {
	t.Parallel()
	needDatabases(t)
	for _, at := range []string{"purchase:Settle:before", "purchase:Capture:after", "purchase:IssueTickets:after"} {
		t.Run("killed at "+at, func(t *testing.T) {
			t.Parallel()
			k := openTill(t, "GUICHET_CAPTURE_LATER=true")
			k.front.set(answers)
			must(t, k.provider.SetFaults("", sandbox.Faults{WebhookBlackout: true}))
			e := k.stage(t, 2*payers)
			orders := make([]client.Order, payers)
			for i := range orders {
				orders[i] = k.order(t, e, 0)
			}
			k.arm(t, at)
			for _, o := range orders[:payers/2] {
				k.pay(t, o)
			}
			until(t, time.Minute, "the process is dead", k.cell.Gone)
			for _, o := range orders[payers/2:] {
				k.pay(t, o)
			}
			var restarted time.Time
			must(t, k.db.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&restarted))
			must(t, k.cell.Restart(t.Context()))
			k.awaitPaid(t, e, orders, restarted)
			want := end{state: "paid", refund: "none", valid: 1, took: ticketPrice, mails: []string{"order_paid"}, sold: payers}
			for _, o := range orders {
				want.check(t, k, e, o.ID)
			}
		})
	}
}

const (
	openPayments = `SELECT count(*) FROM checkout.orders WHERE event_id = $1 AND state = 'pending'`
	lastSettled  = `SELECT max(m.at) FROM checkout.moment AS m JOIN checkout.orders AS o ON o.order_id = m.order_id WHERE o.event_id = $1 AND m.what = 'paid'`
	openSagas    = `SELECT count(*) FROM saga.run WHERE event_id = $1 AND status = 'running'`
)

// awaitPaid holds the last order's payment to the promise.
func (k *till) awaitPaid(t *testing.T, e client.Event, orders []client.Order, restarted time.Time) {
	t.Helper()
	late := restarted.Add(settledWithin)
	until(t, 2*settledWithin, "all orders are paid", func() bool {
		var now time.Time
		must(t, k.db.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&now))
		open := k.number(t, openPayments, e.ID)
		if open > 0 && now.After(late) {
			t.Fatalf("%d of %d orders that were paid are pending %s after the restart\n%s", open, len(orders), settledWithin, k.cell.Log())
		}
		return open == 0
	})
	var last time.Time
	must(t, k.db.QueryRow(t.Context(), lastSettled, e.ID).Scan(&last))
	if took := last.Sub(restarted); took > settledWithin {
		t.Errorf("the last order was paid %s after the restart", took)
	} else {
		t.Logf("the last of %d orders was paid %s after the restart", len(orders), took.Round(time.Millisecond))
	}
	until(t, time.Minute, "the sagas are over", func() bool { return k.number(t, openSagas, e.ID) == 0 })
}
