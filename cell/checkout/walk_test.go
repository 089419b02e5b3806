package checkout_test

import (
	"errors"
	"maps"
	"testing"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/cell/stripe/sandbox"
	"guichet/internal/txn"
)

// walk is a flow that is played once for each moment at which its process may die.
type walk struct {
	name   string
	manual bool
	moods  []string // of the provider
	// play does the flow's part at the process that dies; what it cannot finish is
	// asked again at its peer, as a buyer or the provider would.
	play func(t *testing.T, w *walker) checkout.Order
	// want holds the order to the documented end.
	want func(t *testing.T, w *walker, o checkout.Order)
}

type walker struct {
	*town
	mood         string
	dying, alive *checkout.Service
	life         *life
}

// P4, P5: a process dies before and after every transaction, commit and call to
// the provider of every flow, with a provider that answers, fails, and answers
// late. A peer takes over: one charge, one set of tickets, one letter, and books
// that balance.
func TestWalk_killedAtEveryStep(t *testing.T) {
	t.Parallel()
	moods := []string{"answers", "fails", "answers late"}
	for _, f := range []walk{
		{"purchase with capture", true, moods, purchase, wantPaid},
		{"purchase", false, moods, purchase, wantPaid},
		{"purchase for nothing", false, moods[:1], purchaseForNothing, wantFree},
		{"cancel before paying", true, moods, cancelUnpaid, wantCanceled},
		{"cancel after paying", true, moods[:2], cancelPaid, wantRefunded},
		{"window closes", true, moods[:2], windowCloses, wantExpired},
		{"window closes while the provider is away", true, moods[:2], windowClosesAway, wantExpired},
		{"hold ends while the provider is away", true, moods[:1], holdEndsAway, wantExpired},
		{"cancel while the provider is away", true, moods[:1], cancelAway, wantCanceled},
		{"event is canceled", false, moods[:1], eventCanceled, wantEventCanceled},
		{"ticket is given on", false, moods[:1], givesOn, wantGivenOn},
	} {
		for _, mood := range f.moods {
			t.Run(f.name+", the provider "+mood, func(t *testing.T) {
				t.Parallel()
				f.walkAll(t, mood)
			})
		}
	}
}

func (f walk) walkAll(t *testing.T, mood string) {
	t.Helper()
	tw := openTown(t, 400)
	tw.manual = f.manual
	tw.faults(t, sandbox.Faults{WebhookBlackout: true}) // the walk itself brings the news
	if _, err := tw.stores[0].DB.Pool.Exec(t.Context(), letters); err != nil {
		t.Fatal(err)
	}
	moments := map[string]int{}
	for k := 0; ; k++ {
		l := &life{left: k}
		w := &walker{town: tw, mood: mood, life: l}
		w.dying = tw.desk(t, mortal{tw.stores[0], l}, &moody{Processor: tw.processor(), life: l, failing: mood == "fails"})
		w.dying.Runs.Store = mortal{tw.stores[0], l}
		w.alive = tw.desk(t, tw.stores[1], &moody{Processor: tw.processor(), failing: mood == "fails"})
		w.dying.Notifier, w.alive.Notifier = postbox{tw.stores[0]}, postbox{tw.stores[1]}
		o := f.play(t, w)
		w.finish(t, o.ID)
		f.want(t, w, tw.look(t, o.ID))
		if t.Failed() {
			t.Fatalf("its process was killed %s (moment %d)", l.died(), k)
		}
		if l.died() == "" {
			t.Logf("%d moments of death: %v", k, moments)
			break
		}
		moments[l.died()]++
	}
	if len(moments) < 3 {
		t.Errorf("it died only %v", moments)
	}
}

const (
	leasesEnd = `UPDATE saga.run SET lease_owner = '', lease_until = clock_timestamp(), wake_at = clock_timestamp() WHERE status = 'running' AND lease_owner <> ''`
	openRuns  = `SELECT count(*) FROM saga.run WHERE status = 'running' AND event_id = $1`
)

// work lets the process that dies work on what is due.
func (w *walker) work(t *testing.T) {
	t.Helper()
	for range 12 {
		if _, err := w.stores[0].DB.Pool.Exec(t.Context(), sagasDue); err != nil {
			t.Fatal(err)
		}
		if n, err := w.dying.Runs.Pass(t.Context()); n == 0 && err == nil || w.life.died() != "" {
			return
		}
	}
}

// finish lets the leases of the dead run out, and its peer work until all is over.
func (w *walker) finish(t *testing.T, order id.Order) {
	t.Helper()
	for range 40 {
		for _, sql := range []string{leasesEnd, sagasDue} {
			if _, err := w.stores[1].DB.Pool.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.alive.Runs.Pass(t.Context()); err != nil && !errors.Is(err, payment.ErrProviderAway) {
			t.Error(err)
		}
		var open int
		if err := w.stores[1].DB.Pool.QueryRow(t.Context(), openRuns, order.Event().String()).Scan(&open); err != nil {
			t.Fatal(err)
		}
		if open == 0 {
			var broken int
			if err := w.stores[1].DB.Pool.QueryRow(t.Context(), brokenSagas).Scan(&broken); err != nil || broken != 0 {
				t.Errorf("%d sagas failed, %v", broken, err)
			}
			return
		}
	}
	t.Errorf("%s does not come to an end", order)
}

// create orders at the dying process; without an answer the buyer asks again.
func (w *walker) create(t *testing.T, of id.TicketType) checkout.Order {
	t.Helper()
	r := checkout.Request{Hold: w.hold(t, of, 1).ID, Buyer: buyer}
	o, err := w.dying.Create(t.Context(), txn.None, r)
	if err == nil {
		return o
	}
	if o, err = w.alive.Create(t.Context(), txn.None, r); err == nil {
		return o
	}
	h, lookErr := w.box.Look(t.Context(), r.Hold) // it was made, and nobody heard
	if lookErr != nil || h.Order.IsZero() || !errors.Is(err, booking.ErrHoldInCheckout) && !errors.Is(err, booking.ErrHoldExpired) {
		t.Fatal(err, lookErr)
	}
	return w.look(t, h.Order)
}

func (w *walker) prepare(t *testing.T, o checkout.Order) checkout.Order {
	t.Helper()
	if now, err := w.dying.Prepare(t.Context(), o.ID); err == nil {
		return now
	}
	for range 5 {
		w.sql(t, leasesEnd)
		now, err := w.alive.Prepare(t.Context(), o.ID)
		if err == nil {
			return now
		}
		if !errors.Is(err, payment.ErrProviderAway) {
			t.Fatal(err)
		}
	}
	t.Fatal("the payment is never prepared")
	return o
}

func (w *walker) sql(t *testing.T, sql string) {
	t.Helper()
	if _, err := w.stores[1].DB.Pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// pay confirms and brings the news, unless the provider's comes late.
func (w *walker) pay(t *testing.T, o checkout.Order) {
	t.Helper()
	w.mustConfirm(t, o, visa)
	if w.mood == "answers late" {
		return
	}
	in, err := w.processor().GetIntent(t.Context(), o.Payment.IntentID)
	if err != nil {
		t.Fatal(err)
	}
	if w.dying.Settle(t.Context(), o.ID, in) != nil {
		w.sql(t, leasesEnd)
		if err := w.alive.Settle(t.Context(), o.ID, in); err != nil { // it comes again
			t.Fatal(err)
		}
	}
}

func purchase(t *testing.T, w *walker) checkout.Order {
	t.Helper()
	o := w.prepare(t, w.create(t, w.floor))
	w.pay(t, o)
	w.work(t)
	return o
}

func purchaseForNothing(t *testing.T, w *walker) checkout.Order {
	t.Helper()
	return w.create(t, w.free)
}

func (w *walker) cancel(t *testing.T, o checkout.Order) {
	t.Helper()
	if _, err := w.dying.Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer); err != nil {
		if _, err := w.alive.Cancel(t.Context(), txn.None, o.ID, payment.ByBuyer); err != nil {
			t.Fatal(err)
		}
	}
}

func cancelUnpaid(t *testing.T, w *walker) checkout.Order {
	t.Helper()
	o := w.prepare(t, w.create(t, w.floor))
	w.cancel(t, o)
	w.work(t)
	return o
}

func cancelPaid(t *testing.T, w *walker) checkout.Order {
	t.Helper()
	left := w.life.left
	w.life.left = -1 // it lives until the order is paid
	o := w.prepare(t, w.create(t, w.floor))
	w.pay(t, o)
	w.finish(t, o.ID)
	w.life.left = left
	w.cancel(t, o)
	w.work(t)
	return o
}

func windowCloses(t *testing.T, w *walker) checkout.Order {
	t.Helper()
	o := w.prepare(t, w.create(t, w.floor))
	w.runOut(t, o.ID)
	w.work(t)
	return o
}

// decided lets an order be decided while the provider is away, and him come back.
func (w *walker) decided(t *testing.T, o checkout.Order, want checkout.State) {
	t.Helper()
	w.workAway(t)
	for range 8 {
		if w.look(t, o.ID).State == want {
			break
		}
		w.sql(t, leasesEnd)
		w.sql(t, sagasDue)
		if _, err := w.alive.Runs.Pass(t.Context()); err != nil && !errors.Is(err, payment.ErrProviderAway) {
			t.Error(err)
		}
	}
	if now := w.look(t, o.ID); now.State != want {
		t.Errorf("while the provider is away it is %s", now.State)
	}
	w.wantStock(t, 0, 0)
	w.faults(t, sandbox.Faults{WebhookBlackout: true})
	w.work(t)
}

// workAway is work while the provider is away: it would not come to an end.
func (w *walker) workAway(t *testing.T) {
	t.Helper()
	for range 2 {
		if w.life.died() == "" {
			w.sql(t, sagasDue)
			if _, err := w.dying.Runs.Pass(t.Context()); err != nil && !errors.Is(err, payment.ErrProviderAway) && w.life.died() == "" {
				t.Error(err)
			}
		}
	}
}

// orderAway orders while the provider is away.
func (w *walker) orderAway(t *testing.T) checkout.Order {
	t.Helper()
	w.faults(t, isAway)
	o := w.create(t, w.floor)
	_, err := w.dying.Prepare(t.Context(), o.ID)
	if w.life.died() == "" {
		wantErr(t, err, payment.ErrProviderAway)
	}
	return o
}

func windowClosesAway(t *testing.T, w *walker) checkout.Order {
	t.Helper()
	o := w.orderAway(t)
	w.runOut(t, o.ID)
	w.decided(t, o, checkout.Expired)
	return o
}

func holdEndsAway(t *testing.T, w *walker) checkout.Order {
	t.Helper()
	o := w.prepare(t, w.create(t, w.floor))
	w.faults(t, isAway)
	w.exec(t, pastGrace, o.ID.String())
	w.decided(t, o, checkout.Expired)
	return o
}

func cancelAway(t *testing.T, w *walker) checkout.Order {
	t.Helper()
	o := w.orderAway(t)
	w.cancel(t, o)
	w.decided(t, o, checkout.Canceled)
	return o
}

func eventCanceled(t *testing.T, w *walker) checkout.Order {
	t.Helper()
	left := w.life.left
	w.life.left = -1
	w.sell(t, 5) // an event of its own
	o := w.prepare(t, w.create(t, w.floor))
	w.pay(t, o)
	w.finish(t, o.ID)
	w.prepare(t, w.create(t, w.floor)) // another, unpaid
	w.life.left = left
	w.cancelEvent(t) // by a process that lives
	w.work(t)
	return o
}

func givesOn(t *testing.T, w *walker) checkout.Order {
	t.Helper()
	left := w.life.left
	w.life.left = -1
	o := w.prepare(t, w.create(t, w.floor))
	w.pay(t, o)
	w.finish(t, o.ID)
	w.life.left = left
	ticket := w.look(t, o.ID).Tickets[0].ID
	if _, err := w.dying.Transfer(t.Context(), txn.None, ticket, bob); err != nil {
		if _, err := w.alive.Transfer(t.Context(), txn.None, ticket, bob); err != nil && !errors.Is(err, checkout.ErrTransferred) { // it was, and nobody heard
			t.Fatal(err)
		}
	}
	return o
}

// wantEnd: the order's state, how many tickets are valid, how much the provider
// took and gave back, and each letter once.
func (w *walker) wantEnd(t *testing.T, o checkout.Order, state checkout.State, valid int, took, gave int64, told ...notify.Kind) {
	t.Helper()
	if o.State != state || o.Payment != nil && !o.Payment.Settled {
		t.Errorf("%s is %s, %+v", o.ID, o.State, o.Payment)
	}
	for _, k := range o.Tickets {
		if k.State == checkout.TicketValid {
			valid--
		}
	}
	if valid != 0 {
		t.Errorf("%d tickets are missing of %+v", valid, o.Tickets)
	}
	if o.Payment != nil {
		var intents int
		for _, in := range w.recentIntents(t) {
			if in.Metadata["order_id"] == o.ID.String() {
				intents++
				took -= in.AmountReceived
			}
		}
		for _, r := range w.recentRefunds(t) {
			if r.PaymentIntent == o.Payment.IntentID {
				gave -= r.Amount
			}
		}
		if intents != 1 || took != 0 || gave != 0 {
			t.Errorf("%d intents; %d were not taken, %d not given back", intents, took, gave)
		}
	}
	got := w.letters(t, o.ID)
	want := map[notify.Kind]int{}
	for _, what := range told {
		want[what] = 1
	}
	if !maps.Equal(got, want) {
		t.Errorf("letters %v, want %v", got, want)
	}
}

// letters are what an order's buyer was told, and how often.
func (tw *town) letters(t *testing.T, order id.Order) map[notify.Kind]int {
	t.Helper()
	rows, err := tw.stores[1].DB.Pool.Query(t.Context(), written, order.String())
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got := map[notify.Kind]int{}
	for rows.Next() {
		var what string
		var n int
		if err := rows.Scan(&what, &n); err != nil {
			t.Fatal(err)
		}
		got[notify.Kind(what)] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return got
}

func wantPaid(t *testing.T, w *walker, o checkout.Order) {
	t.Helper()
	w.wantEnd(t, o, checkout.Paid, 1, 4250, 0, notify.OrderPaid)
	if n := w.postings(t, o.ID); n != 3 {
		t.Errorf("%d postings, want one entry of 3", n)
	}
}

func wantFree(t *testing.T, w *walker, o checkout.Order) {
	t.Helper()
	w.wantEnd(t, o, checkout.Paid, 1, 0, 0, notify.OrderPaid)
}

func wantCanceled(t *testing.T, w *walker, o checkout.Order) {
	t.Helper()
	w.wantEnd(t, o, checkout.Canceled, 0, 0, 0)
	w.wantStock(t, 0, 0)
}

func wantRefunded(t *testing.T, w *walker, o checkout.Order) {
	t.Helper()
	w.wantEnd(t, o, checkout.Canceled, 0, 4250, 4250, notify.OrderPaid, notify.OrderCanceled)
	w.wantStock(t, 0, 0)
}

func wantExpired(t *testing.T, w *walker, o checkout.Order) {
	t.Helper()
	w.wantEnd(t, o, checkout.Expired, 0, 0, 0, notify.OrderExpired)
	w.wantStock(t, 0, 0)
}

func wantEventCanceled(t *testing.T, w *walker, o checkout.Order) {
	t.Helper()
	w.wantEnd(t, o, checkout.Canceled, 0, 4250, 4250, notify.OrderPaid, notify.EventCanceled)
	w.wantStock(t, 0, 0)
}

func wantGivenOn(t *testing.T, w *walker, o checkout.Order) {
	t.Helper()
	w.wantEnd(t, o, checkout.Paid, 1, 4250, 0, notify.OrderPaid, notify.TicketGiven, notify.TicketReceived)
	if k := o.Tickets[0]; k.Transfers != 1 || k.Attendee != bob.Name {
		t.Errorf("%+v", k)
	}
}

// recentIntents are the newest hundred, which a walk's order is among.
func (w *walker) recentIntents(t *testing.T) []intent {
	t.Helper()
	all, err := recent[intent](t.Context(), w.town, "payment_intents")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (w *walker) recentRefunds(t *testing.T) []refunded {
	t.Helper()
	all, err := recent[refunded](t.Context(), w.town, "refunds")
	if err != nil {
		t.Fatal(err)
	}
	return all
}
