package drill

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/stripe/sandbox"
)

// The outage of the drill is scaled: nothing in the flows counts how long the
// provider is away, they ask again at most 20 s apart for as long as it takes. So
// seconds stand for ten minutes only because no deadline depends on them: windows
// that close meanwhile are part of the drill.
const (
	awayFor      = 8 * time.Second
	awayBuyers   = 6
	awayPaid     = 8 // orders paid at the provider while nobody can hear of it
	awayIdle     = 4 // orders that nobody pays, whose windows close meanwhile
	settleLimit  = time.Minute
	politeWithin = 30 * time.Second // for one answer, on a machine of tests
)

// P4 with the provider away, 500s and black holes by turns and no webhooks, under
// load: buyers are told so politely, nothing is lost, and once it is back every order
// has its decision within 60 s, money and tickets agreeing.
func TestAway_everyOrderIsDecidedWithinAMinuteOfTheProvidersReturn(t *testing.T) {
	t.Parallel()
	k := openTill(t)
	k.front.set(answers)
	e := k.stage(t, 10_000)
	var pays, idle []client.Order
	for range awayPaid {
		pays = append(pays, k.order(t, e, 0))
	}
	for range awayIdle {
		idle = append(idle, k.order(t, e, 0))
	}

	must(t, k.provider.SetFaults("", sandbox.Faults{WebhookBlackout: true}))
	k.front.set(away)
	for _, o := range pays {
		k.pay(t, o)
	}
	for _, o := range idle {
		k.sql(t, `UPDATE checkout.orders SET expires_at = clock_timestamp() WHERE order_id = $1`, o.ID)
	}
	told := k.crowdWhileAway(t, e)
	if told == 0 {
		t.Error("nobody was told that the provider is away")
	}
	unprepared := k.number(t, `SELECT count(*) FROM payment.payment WHERE event_id = $1 AND intent_id = ''`, e.ID)
	if unprepared == 0 {
		t.Error("no order was made while the provider was away")
	}
	// Their buyers have gone: these windows close before the provider is back.
	k.sql(t, `UPDATE checkout.orders SET expires_at = clock_timestamp() WHERE event_id = $1 AND order_id IN (SELECT order_id FROM payment.payment WHERE intent_id = '')`, e.ID)

	k.front.set(answers)
	must(t, k.provider.SetFaults("", sandbox.Faults{}))
	back := time.Now()
	until(t, settleLimit, "every order is decided", func() bool {
		return k.number(t, `SELECT (SELECT count(*) FROM saga.run WHERE status = 'running' AND event_id = $1 AND place <> 'Over')
			+ (SELECT count(*) FROM checkout.orders WHERE state = 'pending' AND event_id = $1)`, e.ID) == 0
	})
	t.Logf("away for %s (scaled) and %d times said so; %d orders without a payment, %d paid, %d idle; all decided %s after its return",
		awayFor, told, unprepared, len(pays), len(idle), time.Since(back).Round(time.Millisecond))
	paid := end{state: "paid", refund: "none", valid: 1, took: ticketPrice, mails: []string{"order_paid"}, sold: awayPaid}
	for _, o := range pays {
		paid.check(t, k, e, o.ID)
	}
	lapsed := end{state: "expired", refund: "none", mails: []string{"order_expired"}, sold: awayPaid}
	for _, o := range idle {
		lapsed.check(t, k, e, o.ID)
	}
	if n := k.number(t, `SELECT count(*) FROM checkout.orders WHERE event_id = $1 AND state = 'paid'`, e.ID); n != awayPaid {
		t.Errorf("%d orders are paid, want %d", n, awayPaid)
	}
}

// crowdWhileAway lets buyers order for as long as the provider is away, and says how
// often they were refused. A refusal is 503 with a code and a time to come back, and
// holds and looks go on.
func (k *till) crowdWhileAway(t *testing.T, e client.Event) (told int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), awayFor)
	defer cancel()
	var mu sync.Mutex
	var crowd sync.WaitGroup
	for range awayBuyers {
		crowd.Go(func() {
			for ctx.Err() == nil {
				err := k.tryToOrder(t.Context(), e)
				mu.Lock()
				told++
				mu.Unlock()
				var p *client.ProblemError
				if !errors.As(err, &p) || p.Status != 503 || p.Code != "payment_provider_unavailable" || p.RetryAfter <= 0 {
					t.Errorf("a buyer is told %v", err)
					return
				}
				if pause(ctx, min(p.RetryAfter, time.Second)) != nil {
					return
				}
			}
		})
	}
	crowd.Wait()
	return told
}

func (k *till) tryToOrder(ctx context.Context, e client.Event) error {
	ctx, cancel := context.WithTimeout(ctx, politeWithin)
	defer cancel()
	hold, _, err := k.cell.Client().CreateHold(ctx, e.ID, client.NewHold{Items: []client.HoldItem{{TicketTypeID: e.TicketTypes[0].ID, Quantity: 1}}}, key("hold"))
	if err != nil {
		return err
	}
	_, _, err = k.cell.Client().CreateOrder(ctx, orderOf(hold), key("order"))
	return err
}
