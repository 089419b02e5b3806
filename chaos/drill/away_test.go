package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/stripe/sandbox"
)

const (
	// awayName says for how long the provider is away; ten minutes is the drill at full
	// scale, a few seconds are the same drill on every day.
	awayName  = "GUICHET_AWAY"
	awayShort = 12 * time.Second

	awayBuyers   = 6
	awayPaid     = 8 // orders paid at the provider while nobody can hear of it
	awayIdle     = 4 // orders that could be paid, and are not
	awayEnded    = 3 // of either, how many more outlive their holds
	settleLimit  = time.Minute
	politeWithin = 30 * time.Second // for one answer, on a machine of tests

	// grace is how long an order with a payment waits for the provider behind its window,
	// and lateLimit how late a decision may be: a poll, a second, a call, a slow machine.
	grace     = 5 * time.Minute
	lateLimit = 10 * time.Second
)

func awayFor(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv(awayName)
	if text == "" {
		return awayShort
	}
	d, err := time.ParseDuration(text)
	must(t, err)
	return max(d, awayShort)
}

const (
	// undecided counts an event's orders that are pending beyond their deadline.
	undecided = `SELECT count(*) FROM checkout.orders AS o JOIN payment.payment AS p ON p.order_id = o.order_id
		WHERE o.event_id = $1 AND o.state = 'pending'
		AND clock_timestamp() > o.expires_at + (CASE WHEN p.intent_id = '' THEN 0 ELSE $2::float8 END + $3::float8) * INTERVAL '1 second'`
	decidedAlone = `SELECT count(*) FROM checkout.orders WHERE event_id = $1 AND state = 'expired'`
	toBeFound    = `SELECT count(*) FROM checkout.orders AS o JOIN payment.payment AS p ON p.order_id = o.order_id
		WHERE o.event_id = $1 AND o.state = 'expired' AND NOT p.settled`
	// unsettled are the orders whose windows had closed at a time and which are not
	// settled with the provider, and those that can still not be paid.
	unsettled = `SELECT count(*) FROM checkout.orders AS o JOIN payment.payment AS p ON p.order_id = o.order_id WHERE o.event_id = $1
		AND (o.expires_at <= $2 AND (o.state = 'pending' OR NOT p.settled) OR o.state = 'pending' AND p.intent_id = '')`
	everything = `SELECT (SELECT count(*) FROM saga.run WHERE status = 'running' AND event_id = $1 AND place <> 'Over')
		+ (SELECT count(*) FROM checkout.orders WHERE state = 'pending' AND event_id = $1)`
	latest = `SELECT coalesce(max(extract(epoch FROM m.at - o.expires_at) * 1000), 0)::bigint FROM checkout.orders AS o
		JOIN checkout.moment AS m ON m.order_id = o.order_id AND m.what = 'expired'
		JOIN payment.payment AS p ON p.order_id = o.order_id AND p.intent_id = '' WHERE o.event_id = $1`
)

// P4 with the provider away, 500s and black holes by turns and no webhooks, under
// load: buyers are told so politely, no order is beyond its deadline without a decision
// while it lasts, nothing is lost, and once he is back everything is settled within
// 60 s, money and tickets agreeing.
func TestAway_everyOrderIsDecidedInTimeAndSettledWithinAMinuteOfTheProvidersReturn(t *testing.T) {
	t.Parallel()
	lasts := awayFor(t)
	window := min(lasts/3, 3*time.Minute) // on every day shorter than a call and its answer may take: some orders end meanwhile
	k := openTill(t, "GUICHET_PAYMENT_WINDOW="+window.String())
	k.front.set(answers)
	e := k.stage(t, 100_000)
	order := func(n int) (all []client.Order) {
		for range n {
			all = append(all, k.order(t, e, 0))
		}
		return all
	}
	pays, idle := order(awayPaid), order(awayIdle)
	paysEnded, idleEnded := order(awayEnded), order(awayEnded)

	must(t, k.provider.SetFaults("", sandbox.Faults{WebhookBlackout: true}))
	k.front.set(away)
	began := time.Now()
	for _, o := range append(pays, paysEnded...) {
		k.pay(t, o)
	}
	for _, o := range append(paysEnded, idleEnded...) { // as if their windows had closed long ago
		k.sql(t, `UPDATE checkout.orders SET expires_at = clock_timestamp() - INTERVAL '5 minutes' WHERE order_id = $1`, o.ID)
	}
	k.hurry = true
	k.nudge(t)
	told := k.crowdWhileAway(t, e, lasts)
	if told == 0 {
		t.Error("nobody was told that the provider is away")
	}
	unprepared := k.number(t, `SELECT count(*) FROM payment.payment WHERE event_id = $1 AND intent_id = ''`, e.ID)
	alone := k.number(t, decidedAlone, e.ID)
	if unprepared == 0 || alone <= 2*awayEnded {
		t.Errorf("%d orders were made and %d decided while the provider was away", unprepared, alone)
	}
	open := k.number(t, toBeFound, e.ID)
	late := time.Duration(k.number(t, latest, e.ID)) * time.Millisecond

	k.front.set(answers)
	must(t, k.provider.SetFaults("", sandbox.Faults{}))
	back := time.Now()
	left := int64(0)
	t.Cleanup(func() { t.Logf("%d orders were not settled when last seen", left) })
	until(t, settleLimit, "everything is settled", func() bool {
		left = k.number(t, unsettled, e.ID, back)
		return left == 0
	})
	settled := time.Since(back)
	until(t, window+settleLimit, "the windows of the others have closed", func() bool { return k.number(t, everything, e.ID) == 0 })
	t.Logf("away for %s, %d times buyers were told so; windows of %s; %d orders without a payment; of all %d decided while he was away, at most %s after their windows, %d with a payment left to be looked for; all settled %s after his return",
		back.Sub(began).Round(time.Second), told, window, unprepared, alone, late, open, settled.Round(time.Millisecond))

	sold := int64(awayPaid + awayEnded)
	paid := end{state: "paid", refund: "none", valid: 1, took: ticketPrice, mails: []string{"order_paid"}, sold: sold}
	ended := paid
	ended.mails = []string{"order_expired", "order_paid"} // their stock was there still
	lapsed := end{state: "expired", refund: "none", mails: []string{"order_expired"}, sold: sold}
	if lasts > window+grace {
		paid = ended
	}
	for want, orders := range map[*end][]client.Order{&paid: pays, &ended: paysEnded, &lapsed: append(idle, idleEnded...)} {
		for _, o := range orders {
			want.check(t, k, e, o.ID)
		}
	}
	if n := k.number(t, `SELECT count(*) FROM checkout.orders WHERE event_id = $1 AND state = 'paid'`, e.ID); n != sold {
		t.Errorf("%d orders are paid, want %d", n, sold)
	}
	if n := k.number(t, `SELECT count(*) FROM (SELECT order_id FROM notify.message WHERE order_id IN (SELECT order_id FROM checkout.orders WHERE event_id = $1)
		GROUP BY order_id, kind HAVING count(*) > 1) AS m`, e.ID); n != 0 {
		t.Errorf("%d mails exist twice", n)
	}
}

// crowdWhileAway lets buyers order for as long as the provider is away, and says how
// often they were refused. A refusal is 503 with a code and a time to come back, 429 from
// a machine that has too much to do, or 409 when the order's time ran out before there
// was a payment, and holds and looks go on. All the while no order is beyond its deadline.
func (k *till) crowdWhileAway(t *testing.T, e client.Event, lasts time.Duration) (told int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	var mu sync.Mutex
	var crowd sync.WaitGroup
	for range awayBuyers {
		crowd.Go(func() {
			for ctx.Err() == nil {
				err := k.tryToOrder(t.Context(), e)
				var p *client.ProblemError
				if !errors.As(err, &p) {
					t.Errorf("a buyer is told %v", err)
					return
				}
				wait := p.RetryAfter
				switch said := fmt.Sprint(p.Status, " ", p.Code); {
				case said == "503 payment_provider_unavailable" && wait > 0:
					mu.Lock()
					told++
					mu.Unlock()
				case said == "429 busy" && wait > 0:
				case said == "409 hold_expired": // a window of seconds closed while the provider was asked
					wait = time.Second
				default:
					t.Errorf("a buyer is told %v", err)
					return
				}
				if pause(ctx, wait) != nil {
					return
				}
			}
		})
	}
	worst := int64(0)
	for pause(ctx, 500*time.Millisecond) == nil {
		worst = max(worst, k.number(t, undecided, e.ID, grace.Seconds(), lateLimit.Seconds()))
	}
	if worst != 0 {
		t.Errorf("%d orders at once were more than %s beyond their deadlines without a decision", worst, lateLimit)
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
