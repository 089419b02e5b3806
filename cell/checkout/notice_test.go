package checkout_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/cell/stripe/sandbox"
	"guichet/internal/txn"
)

// killed is a store of a process that dies after so many statements: what it had
// begun is rolled back, and nothing more comes from it.
type killed struct {
	checkout.Store
	mu   sync.Mutex // guards the field below
	left int
}

func (k *killed) alive() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.left--; k.left < 0 {
		return errCrash
	}
	return nil
}

func (k *killed) InsertNotice(ctx context.Context, tx txn.Tx, n payment.Notice, order string, body []byte) (bool, error) {
	if err := k.alive(); err != nil {
		return false, err
	}
	return k.Store.InsertNotice(ctx, tx, n, order, body)
}

func (k *killed) WithStock(ctx context.Context, tx txn.Tx, event id.Event, ttl time.Duration, holds []id.Hold, decide func(*booking.Stock) error) error {
	return k.Store.WithStock(ctx, tx, event, ttl, holds, func(s *booking.Stock) error {
		return errors.Join(k.alive(), decide(s), k.alive())
	})
}

func (k *killed) SetPayment(ctx context.Context, tx txn.Tx, p payment.Payment) error {
	return errors.Join(k.alive(), k.Store.SetPayment(ctx, tx, p))
}

func (k *killed) InsertTickets(ctx context.Context, tx txn.Tx, tickets []checkout.Ticket, at time.Time) error {
	return errors.Join(k.alive(), k.Store.InsertTickets(ctx, tx, tickets, at))
}

func (k *killed) Post(ctx context.Context, tx txn.Tx, e payment.Entry) error {
	return errors.Join(k.alive(), k.Store.Post(ctx, tx, e))
}

func (k *killed) SetOrder(ctx context.Context, tx txn.Tx, o checkout.Order, at time.Time, what string) error {
	return errors.Join(k.alive(), k.Store.SetOrder(ctx, tx, o, at, what))
}

const (
	momentsOf  = `SELECT count(*) FROM checkout.moment WHERE order_id = $1 AND what = 'paid'`
	noticesAll = `SELECT count(*) FROM payment.notice`
)

// Regression 7, all of it at once: every webhook comes five times, out of order,
// the first of them after three days, while the process that takes them is killed
// at one statement after another. One set of tickets, one booking, one line in the
// timeline, and each notice stored once.
func TestRegression07_webhooksFiveTimesOutOfOrderAfterThreeDaysWithTheProcessKilled(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	tw.faults(t, sandbox.Faults{WebhookBlackout: true})
	o := tw.order(t, tw.floor, 3)
	tw.mustConfirm(t, o, declined)
	tw.mustConfirm(t, o, visa)
	events := tw.events(t)
	if len(events) != 5 {
		t.Fatalf("%d events", len(events))
	}
	later := time.Now().AddDate(0, 0, 3)
	var copies []notice
	for range 5 {
		for _, body := range events {
			copies = append(copies, signed(body, later))
		}
	}
	r := rand.New(rand.NewPCG(7, 7))
	deaths := 0
	for at := 0; len(copies) > 0; at++ {
		r.Shuffle(len(copies), func(i, j int) { copies[i], copies[j] = copies[j], copies[i] })
		desk := tw.desk(t, &killed{Store: tw.stores[at%2], left: at % 6}, tw.processor())
		if at > 60 {
			desk = tw.desk(t, tw.stores[at%2], tw.processor())
		}
		n := copies[0]
		if err := desk.Hear(t.Context(), n.body, n.signature, later); err == nil {
			copies = copies[1:]
		} else if !errors.Is(err, errCrash) {
			t.Fatal(err)
		} else {
			deaths++ // the provider was not answered, and sends it again
		}
	}
	if deaths < 8 {
		t.Errorf("the process was killed %d times only", deaths)
	}
	now := tw.look(t, o.ID)
	if now.State != checkout.Paid || len(now.Tickets) != 3 {
		t.Errorf("%s with %d tickets", now.State, len(now.Tickets))
	}
	if n := tw.postings(t, o.ID); n != 3 {
		t.Errorf("%d postings, want one entry of 3", n)
	}
	for sql, want := range map[string]int64{momentsOf: 1, noticesAll: 5} {
		var n int64
		args := []any{}
		if sql == momentsOf {
			args = append(args, o.ID.String())
		}
		if err := tw.stores[0].DB.Pool.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil || n != want {
			t.Errorf("%s: %d, %v, want %d", sql, n, err, want)
		}
	}
	tw.wantStock(t, 0, 3)
}

// Card testing: the tenth declined card at one order ends it, and its intent.
func TestHear_tooManyDeclinesEndTheOrder(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o, other := tw.order(t, tw.floor, 1), tw.order(t, tw.floor, 1)
	for range checkout.MaxDeclines - 1 {
		tw.mustConfirm(t, o, declined)
		tw.mustConfirm(t, other, declined)
	}
	eventually(t, "all declines to be counted", func() bool {
		var n int64
		err := tw.stores[0].DB.Pool.QueryRow(t.Context(), `SELECT sum(declines) FROM payment.payment`).Scan(&n)
		return err == nil && n == 2*(checkout.MaxDeclines-1)
	})
	if now := tw.look(t, o.ID); now.State != checkout.Pending {
		t.Errorf("before the last one it is %s", now.State)
	}
	tw.mustConfirm(t, o, declined)
	tw.await(t, o.ID, checkout.Canceled)
	tw.settleAll(t) // at once, not when the purchase looks again
	if status, err := tw.confirm(t.Context(), o, visa); err != nil || status == 200 {
		t.Errorf("one more card was tried: %d, %v", status, err)
	}
	tw.mustConfirm(t, other, visa)
	tw.await(t, other.ID, checkout.Paid)
	tw.wantStock(t, 0, 1)
}

// What says nothing to us is kept, and counted once.
func TestHear_keepsAndCountsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 1)
	counted := map[payment.Outcome]int{}
	tw.desks[0].OnNotice = func(_ string, o payment.Outcome) { counted[o]++ }
	n := signed([]byte(`{"id":"evt_u","object":"event","created":1,"type":"quote.finalized","data":{"object":{"id":"qt_1"}}}`), time.Now())
	for range 3 {
		if err := tw.desks[0].Hear(t.Context(), n.body, n.signature, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	stored, ok, err := tw.stores[0].Notice(t.Context(), "evt_u")
	if err != nil || !ok || stored.Outcome != payment.Ignored || stored.Type != "quote.finalized" {
		t.Errorf("%+v, %t, %v", stored, ok, err)
	}
	if counted[payment.Ignored] != 1 || counted[payment.Repeated] != 2 {
		t.Errorf("counted %v", counted)
	}
}

// Replaying all that ever came changes nothing that was done already, and does what
// was not.
func TestReplay_doesOnlyWhatWasNotDone(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	start := time.Now().Add(-time.Hour)
	o := tw.paid(t, tw.floor, 2)
	disputed := tw.order(t, tw.floor, 1)
	tw.mustConfirm(t, disputed, cardOfDispute)
	tw.awaitPayment(t, disputed.ID, payment.Disputed)
	tw.awaitInQuestion(t, 4250)
	tw.faults(t, sandbox.Faults{WebhookBlackout: true})
	eventually(t, "the last webhook", func() bool { return tw.inFlight.Load() == 0 })
	before := []int64{tw.postings(t, o.ID), tw.postings(t, disputed.ID), tw.balance(t, payment.AtProvider)}
	for range 2 {
		done, err := tw.desks[1].Replay(t.Context(), "", start, "")
		if err != nil || len(done) < 6 {
			t.Fatalf("%d notices, %v", len(done), err)
		}
		for _, d := range done {
			if d.Err != nil || d.Became != d.Notice.Outcome {
				t.Errorf("%s of %s was %s and became %s: %v", d.Notice.ID, d.Notice.Type, d.Notice.Outcome, d.Became, d.Err)
			}
		}
	}
	if after := []int64{tw.postings(t, o.ID), tw.postings(t, disputed.ID), tw.balance(t, payment.AtProvider)}; !slices.Equal(before, after) {
		t.Errorf("postings and balance were %v and are %v", before, after)
	}
	_, err := tw.desks[0].Replay(t.Context(), "evt_none", time.Time{}, "")
	wantErr(t, err, checkout.ErrNoticeNotFound)

	// A notice that was stored without its effect, as by an older version that did not
	// know its type.
	late := tw.order(t, tw.floor, 1)
	tw.mustConfirm(t, late, visa)
	for _, body := range tw.events(t) {
		if !strings.Contains(string(body), late.Payment.IntentID) || !strings.Contains(string(body), "payment_intent.succeeded") {
			continue
		}
		n, err := tw.processor().ReadNotice(body)
		if err != nil {
			t.Fatal(err)
		}
		n.Intent = nil
		if first, err := tw.stores[0].InsertNotice(t.Context(), txn.None, n, "", body); err != nil || !first {
			t.Fatal(first, err)
		}
		done, err := tw.desks[0].Replay(t.Context(), n.ID, time.Time{}, "")
		if err != nil || len(done) != 1 || done[0].Err != nil || done[0].Became != payment.Done {
			t.Fatalf("%+v, %v", done, err)
		}
	}
	if now := tw.look(t, late.ID); now.State != checkout.Paid || len(now.Tickets) != 1 {
		t.Errorf("%s with %d tickets", now.State, len(now.Tickets))
	}
}
