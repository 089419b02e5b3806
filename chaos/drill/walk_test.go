package drill

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/money"
	"guichet/cell/saga"
	"guichet/cell/stripe/sandbox"
	"guichet/chaos/world"
)

const (
	// walkName is set to "all" to walk every moment; otherwise one in walkShare is
	// drawn, by the seed that GUICHET_DRILL_SEED repeats.
	walkName  = "GUICHET_WALK"
	walkShare = 10
)

// tills is how many processes walk at once, as many as tests: they mostly wait.
func tills(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(flag.Lookup("test.parallel").Value.String())
	must(t, err)
	return max(n, 2)
}

// journey is a flow of a buyer's order that passes the tasks it names.
type journey struct {
	name   string
	moods  []mood
	tasks  []string // saga:state
	late   []string // the same where no webhook comes; nil when that changes nothing
	atOnce bool     // the money is taken at once, without an authorization first
	play   func(t *testing.T, k *till, e client.Event) (orderID string)
	want   end
}

// end is where a journey ends, whenever its process died.
type end struct {
	state, refund string
	valid         int
	took, gave    int64
	mails         []string // kinds, sorted; each exists once
	sold          int64
	owed          bool // the provider refused to give money back: people must look
}

const ticketPrice = 4250

var journeys = []journey{
	{
		name: "paid", moods: []mood{answers, fails, late}, play: pays,
		tasks: []string{"purchase:ExtendHold", "purchase:CreateIntent", "purchase:WaitPayment", "purchase:Settle", "purchase:Capture", "purchase:IssueTickets", "purchase:NotifyPaid"},
		late:  []string{"purchase:ExtendHold", "purchase:CreateIntent", "purchase:Look", "purchase:ReadBack", "purchase:Settle", "purchase:Capture", "purchase:IssueTickets", "purchase:NotifyPaid"},
		want:  end{state: "paid", refund: "none", valid: 1, took: ticketPrice, mails: []string{"order_paid"}, sold: 1},
	},
	{
		name: "free", moods: []mood{answers}, play: takesFree,
		tasks: []string{"purchase:ExtendHold", "purchase:IssueTickets", "purchase:NotifyPaid"},
		want:  end{state: "paid", refund: "none", valid: 1, mails: []string{"order_paid"}, sold: 1},
	},
	{
		name: "canceled unpaid", moods: []mood{answers, fails, late}, play: cancelsUnpaid,
		tasks: []string{"cancel:EndOrder", "cancel:StopPurchase", "cancel:NotifyCanceled", "purchase:WaitPayment", "purchase:Look", "purchase:CancelIntent", "purchase:Settle"},
		want:  end{state: "canceled", refund: "none"},
	},
	{
		name: "canceled paid", moods: []mood{answers, fails, late}, play: cancelsPaid,
		tasks: []string{"cancel:EndOrder", "cancel:StartRefund", "cancel:NotifyCanceled", "refund:Decide", "refund:SendRefund", "refund:BookRefund"},
		want:  end{state: "canceled", refund: "full", took: ticketPrice, gave: ticketPrice, mails: []string{"order_canceled", "order_paid"}},
	},
	{
		name: "window closed", moods: []mood{answers, fails, late}, play: lapses,
		tasks: []string{"purchase:Look", "purchase:Withdraw", "purchase:Settle", "purchase:NotifyExpired"},
		want:  end{state: "expired", refund: "none", mails: []string{"order_expired"}},
	},
	{
		name: "window closed, nobody there to ask", moods: []mood{answers, fails, late}, play: lapsesAway,
		tasks: []string{
			"purchase:CreateIntent", "purchase:LookAtClock", "purchase:Look", "purchase:LetGo", "purchase:NotifyLetGo", "purchase:FindIntent",
			"purchase:Retract", "purchase:Settle",
		},
		want: end{state: "expired", refund: "none", mails: []string{"order_expired"}},
	},
	{
		name: "hold ended, nobody there to ask", moods: []mood{answers, fails, late}, play: outlivesItsHold,
		tasks: []string{
			"purchase:Look", "purchase:Withdraw", "purchase:LookAtClock", "purchase:LetGo", "purchase:NotifyLetGo", "purchase:FindIntent",
			"purchase:Retract", "purchase:Settle",
		},
		want: end{state: "expired", refund: "none", mails: []string{"order_expired"}},
	},
	{
		name: "canceled, nobody there to ask", moods: []mood{answers, fails, late}, play: cancelsAway,
		tasks: []string{
			"cancel:EndOrder", "cancel:StopPurchase", "cancel:NotifyCanceled", "purchase:WaitProvider", "purchase:Look", "purchase:LetGo", "purchase:FindIntent",
			"purchase:Retract", "purchase:Settle",
		},
		want: end{state: "canceled", refund: "none"},
	},
	{
		name: "authorization withdrawn", moods: []mood{answers, fails, late}, play: isWithdrawn,
		tasks: []string{"purchase:Capture", "purchase:GiveStockBack", "purchase:CancelIntent", "purchase:NotifyExpired"},
		want:  end{state: "expired", refund: "none", mails: []string{"order_expired"}},
	},
	{
		name: "money came too late", moods: []mood{answers, fails, late}, play: paysTooLate, atOnce: true,
		tasks: []string{"purchase:CancelIntent", "purchase:Settle", "purchase:StartRefund", "purchase:NotifyLate", "refund:Decide", "refund:SendRefund", "refund:BookRefund"},
		want:  end{state: "canceled", refund: "full", took: ticketPrice, gave: ticketPrice, mails: []string{"late_payment_refund"}},
	},
	{
		name: "event canceled", moods: []mood{answers, fails, late}, play: isCalledOff,
		tasks: []string{"event-cancellation:CancelEvent", "event-cancellation:EndOrders", "refund:Decide", "refund:SendRefund", "refund:BookRefund"},
		want:  end{state: "canceled", refund: "full", took: ticketPrice, gave: ticketPrice, mails: []string{"event_canceled", "order_paid"}},
	},
	{
		name: "event moved", moods: []mood{answers}, play: isMoved,
		tasks: []string{"event-reschedule:RescheduleEvent", "event-reschedule:TellBuyers"},
		want:  end{state: "paid", refund: "none", valid: 1, took: ticketPrice, mails: []string{"event_rescheduled", "order_paid"}, sold: 1},
	},
	{
		name: "refunded in part", moods: []mood{answers, fails, late}, play: refunds(1000),
		tasks: []string{"refund:Decide", "refund:NotifyRefund", "refund:SendRefund", "refund:BookRefund"},
		want:  end{state: "paid", refund: "partial", valid: 1, took: ticketPrice, gave: 1000, mails: []string{"order_paid", "refund"}, sold: 1},
	},
	{
		name: "refunded", moods: []mood{answers, fails, late}, play: refunds(ticketPrice),
		tasks: []string{"refund:Decide", "refund:NotifyCanceled", "refund:SendRefund", "refund:BookRefund"},
		want:  end{state: "canceled", refund: "full", took: ticketPrice, gave: ticketPrice, mails: []string{"order_canceled", "order_paid"}},
	},
	{
		name: "refund refused", moods: []mood{answers, fails, late}, play: isRefusedHisMoney,
		tasks: []string{"refund:SendRefund", "refund:StaysOwed"},
		want:  end{state: "canceled", refund: "full", took: ticketPrice, mails: []string{"order_canceled", "order_paid"}, owed: true},
	},
}

// walk is one journey in which the process dies once.
type walk struct {
	journey
	mood mood
	at   string // saga:state:when
}

func (w walk) String() string {
	return fmt.Sprintf("%s, the provider %s, killed at %s", w.name, w.mood, w.at)
}

func allWalks() (all []walk) {
	for _, j := range journeys {
		for _, m := range j.moods {
			tasks := j.tasks
			if m == late && j.late != nil {
				tasks = j.late
			}
			for _, task := range tasks {
				for _, when := range []saga.When{saga.Before, saga.After, saga.Stored} {
					all = append(all, walk{j, m, task + ":" + string(when)})
				}
			}
		}
	}
	return all
}

// Every task of every flow is on some journey, or nobody dies there.
func TestWalk_journeysPassEveryTaskOfEveryFlow(t *testing.T) {
	t.Parallel()
	passed := map[string]bool{}
	for _, w := range allWalks() {
		passed[w.at] = true
	}
	for _, flow := range []string{checkout.PurchaseFlow, checkout.CancelFlow, checkout.RefundFlow, checkout.CancellationFlow, checkout.RescheduleFlow} {
		text, err := checkout.Flow(flow)
		must(t, err)
		m, err := saga.Parse(text)
		must(t, err)
		for name, state := range m.States {
			if at := flow + ":" + name; state.Type == saga.Task && !passed[at+":after"] {
				t.Errorf("no journey passes %s", at)
			}
		}
	}
}

// P4 and P5: kill -9 of a real process before a task, after it and after its commit,
// with a provider that answers, fails and answers late. The process comes back, and
// the order ends as documented: one charge, one set of tickets, each mail once, books
// that sum to zero, counters that are what tickets say.
func TestWalk_killNineAtEveryMomentEndsAsDocumented(t *testing.T) {
	t.Parallel()
	needDatabases(t)
	walks := allWalks()
	all := len(walks)
	if os.Getenv(walkName) != "all" {
		random := rand.New(rand.NewPCG(killSeed(t), 2))
		random.Shuffle(all, func(i, j int) { walks[i], walks[j] = walks[j], walks[i] })
		walks = walks[:all/walkShare]
	}
	walked := openWalked(t)
	walks = slices.DeleteFunc(walks, walked.has)
	began := time.Now()
	lines := [2]chan walk{make(chan walk, all), make(chan walk, all)} // by whether the money is taken at once
	for _, w := range walks {
		line := 0
		if w.atOnce {
			line = 1
		}
		lines[line] <- w
	}
	close(lines[0])
	close(lines[1])
	t.Run("tills", func(t *testing.T) {
		for i := range tills(t) {
			line, env := 0, "GUICHET_CAPTURE_LATER=true"
			if i == 0 {
				line, env = 1, "GUICHET_CAPTURE_LATER=false"
			}
			t.Run(fmt.Sprintf("till %d", i), func(t *testing.T) {
				t.Parallel()
				if len(lines[line]) == 0 {
					return
				}
				k := openTill(t, env)
				for w := range lines[line] {
					good := t.Run(w.String(), func(t *testing.T) {
						w.run(t, k)
						walked.add(t, w)
					})
					if !good {
						return // its process may be anywhere
					}
				}
			})
		}
	})
	t.Logf("%d of %d moments (%s=all walks all) in %s", len(walks), all, walkName, time.Since(began).Round(time.Second))
}

// run walks once and looks at the end.
func (w walk) run(t *testing.T, k *till) {
	t.Helper()
	k.deaths, k.hurry, k.mood = 0, w.mood == late, w.mood
	k.front.set(w.mood)
	must(t, k.provider.SetFaults("", sandbox.Faults{WebhookBlackout: w.mood == late}))
	e := k.stage(t, 10)
	k.arm(t, w.at)
	order := w.play(t, k, e)
	k.finish(t, e.ID)
	if k.disarm(t); k.deaths != 1 {
		t.Errorf("the process died %d times", k.deaths)
	}
	w.want.check(t, k, e, order)
}

// finish waits until no saga of an event runs.
func (k *till) finish(t *testing.T, event string) {
	t.Helper()
	nudged := time.Now()
	until(t, time.Minute, "all sagas are over", func() bool {
		k.revive(t)
		if k.number(t, `SELECT count(*) FROM saga.run WHERE status = 'running' AND event_id = $1`, event) == 0 {
			return !k.doomed(t)
		}
		if time.Since(nudged) > 200*time.Millisecond {
			nudged = time.Now()
			k.nudge(t)
		}
		return false
	})
}

// doomed says whether the process is still to die: of the last commit it dies a
// moment after everybody can see it.
func (k *till) doomed(t *testing.T) bool {
	t.Helper()
	return k.armed && k.deaths == 0
}

func (k *till) pay(t *testing.T, o client.Order) {
	t.Helper()
	must(t, world.ConfirmAt(t.Context(), k.url, o, world.CardVisa))
}

func pays(t *testing.T, k *till, e client.Event) string {
	t.Helper()
	o := k.order(t, e, 0)
	k.pay(t, o)
	return o.ID
}

func takesFree(t *testing.T, k *till, e client.Event) string {
	t.Helper()
	return k.order(t, e, 1).ID
}

func (k *till) cancel(t *testing.T, order string) {
	t.Helper()
	again := key("cancel")
	k.ask(t, "the order is canceled", func(ctx context.Context) error {
		_, _, err := k.as(order).CancelOrder(ctx, order, again)
		return err
	})
}

func cancelsUnpaid(t *testing.T, k *till, e client.Event) string {
	t.Helper()
	o := k.order(t, e, 0)
	k.cancel(t, o.ID)
	return o.ID
}

// paid is an order that was paid before its process's hour has come.
func (k *till) paid(t *testing.T, e client.Event) client.Order {
	t.Helper()
	at, err := os.ReadFile(k.dieAt)
	must(t, err)
	k.disarm(t)
	o := k.order(t, e, 0)
	k.pay(t, o)
	k.finish(t, e.ID)
	k.arm(t, string(at))
	return o
}

func cancelsPaid(t *testing.T, k *till, e client.Event) string {
	t.Helper()
	o := k.paid(t, e)
	k.cancel(t, o.ID)
	return o.ID
}

func lapses(t *testing.T, k *till, e client.Event) string {
	t.Helper()
	o := k.order(t, e, 0)
	k.sql(t, `UPDATE checkout.orders SET expires_at = clock_timestamp() WHERE order_id = $1`, o.ID)
	k.hurry = true
	return o.ID
}

// isWithdrawn: somebody at the provider cancels the authorization just before the capture.
func isWithdrawn(t *testing.T, k *till, e client.Event) string {
	t.Helper()
	o := k.order(t, e, 0)
	k.front.first("POST payment_intents capture", func() { k.atProvider(t, o, "cancel") })
	k.pay(t, o)
	return o.ID
}

// paysTooLate: the buyer cancels, and pays just before the payment is canceled.
func paysTooLate(t *testing.T, k *till, e client.Event) string {
	t.Helper()
	o := k.order(t, e, 0)
	k.front.first("POST payment_intents cancel", func() { k.pay(t, o) })
	k.cancel(t, o.ID)
	return o.ID
}

func isCalledOff(t *testing.T, k *till, e client.Event) string {
	t.Helper()
	o := k.paid(t, e)
	again := key("cancel")
	k.ask(t, "the event is canceled", func(ctx context.Context) error {
		_, _, err := k.organizer().CancelEvent(ctx, e.ID, "", again)
		return err
	})
	return o.ID
}

func isMoved(t *testing.T, k *till, e client.Event) string {
	t.Helper()
	o := k.paid(t, e)
	later := e.StartsAt.AddDate(0, 0, 7)
	k.ask(t, "the event is moved", func(ctx context.Context) error {
		_, _, err := k.organizer().PatchEvent(ctx, e.ID, "*", client.PatchEvent{StartsAt: &later})
		return err
	})
	return o.ID
}

func refunds(amount int64) func(t *testing.T, k *till, e client.Event) string {
	return func(t *testing.T, k *till, e client.Event) string {
		t.Helper()
		o := k.paid(t, e)
		again := key("refund")
		k.ask(t, "the order is refunded", func(ctx context.Context) error {
			_, _, err := k.organizer().RefundOrder(ctx, o.ID, client.NewRefund{Amount: &money.Money{Amount: amount, Currency: "EUR"}}, again)
			return err
		})
		return o.ID
	}
}

func isRefusedHisMoney(t *testing.T, k *till, e client.Event) string {
	t.Helper()
	o := k.paid(t, e)
	k.front.refuses("POST refunds")
	k.cancel(t, o.ID)
	return o.ID
}

// check holds what there is to what must be.
func (want end) check(t *testing.T, k *till, e client.Event, order string) {
	t.Helper()
	if want.state == "canceled" && world.Keys.Token(order) == "" && len(want.mails) == 0 {
		want.mails = []string{"order_canceled"} // its buyer was told of nothing, so the organizer ended it, and the buyer is told of that
	}
	o, _, err := k.as(order).GetOrder(t.Context(), order)
	must(t, err)
	valid := 0
	for _, ticket := range o.Tickets {
		if ticket.State == "valid" {
			valid++
		}
	}
	intents, took, gave := k.intentsOf(t, order), int64(0), int64(0)
	for _, in := range intents {
		took += in.AmountReceived
		for _, r := range listed[refunded](t, k, "refunds") {
			if r.PaymentIntent == in.ID {
				gave += r.Amount
			}
		}
	}
	if len(intents) > 1 || o.Total.Amount > 0 && len(intents) != 1 {
		t.Errorf("%d payments at the provider", len(intents))
	}
	stats, _, err := k.organizer().Stats(t.Context(), e.ID)
	must(t, err)
	got := end{o.State, o.RefundStatus, valid, took, gave, k.mails(t, order), stats.Quotas[0].Sold, want.owed}
	if fmt.Sprint(got) != fmt.Sprint(want) || stats.Quotas[0].Held != 0 {
		t.Errorf("it ends as\n%+v, %d held, want\n%+v", got, stats.Quotas[0].Held, want)
	}
	k.audit(t, e.ID, order, want)
}

// mails are the kinds of an order's mails, sorted, each as often as it is there.
func (k *till) mails(t *testing.T, order string) (kinds []string) {
	t.Helper()
	rows, err := k.db.Query(t.Context(), `SELECT kind FROM notify.message WHERE order_id = $1`, order)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var kind string
		must(t, rows.Scan(&kind))
		kinds = append(kinds, kind)
	}
	must(t, rows.Err())
	slices.Sort(kinds)
	return kinds
}

// audit holds the rows of an event to each other and to the provider.
func (k *till) audit(t *testing.T, event, order string, want end) {
	t.Helper()
	for what, query := range map[string]string{
		"sagas failed":                   `SELECT count(*) FROM saga.run WHERE event_id = $1 AND status = 'failed'`,
		"entries do not sum to zero":     `SELECT count(*) FROM (SELECT entry_id FROM payment.posting WHERE event_id = $1 GROUP BY entry_id HAVING sum(amount) <> 0) AS e`,
		"tickets more than were counted": `SELECT abs((SELECT sum(sold) FROM booking.quota WHERE event_id = $1) - (SELECT count(*) FROM checkout.ticket WHERE event_id = $1 AND state IN ('valid', 'checked_in')))::bigint`,
		"payments are not settled":       `SELECT count(*) FROM payment.payment WHERE event_id = $1 AND NOT settled`,
		"refunds are on their way still": `SELECT count(*) FROM payment.refund WHERE event_id = $1 AND state = 'created'`,
	} {
		if n := k.number(t, query, event); n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
	booked := k.number(t, `SELECT coalesce(sum(amount), 0)::bigint FROM payment.posting WHERE order_id = $1 AND account IN ('provider', 'provider_fees')`, order)
	if booked != want.took-want.gave {
		t.Errorf("the books have %d at the provider, who has %d", booked, want.took-want.gave)
	}
	failed := k.number(t, `SELECT count(*) FROM payment.refund WHERE order_id = $1 AND state = 'failed'`, order)
	if (failed == 1) != want.owed {
		t.Errorf("%d refunds failed", failed)
	}
	if strings.Contains(k.cell.Log(), "panic") {
		t.Error("a process panicked")
	}
}
