package storetest

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/cell/store"
	"guichet/internal/txn"
)

var orderTests = map[string]func(t *testing.T, s *store.Store){
	"Order_readsBackAsItWasStored":           orderReadsBack,
	"Order_codeThatIsTakenStoresNothing":     orderCode,
	"Payment_keepsTheFirstIntent":            paymentIntent,
	"Payment_isLeasedToOneProcessAtATime":    paymentLease,
	"Refund_isLeasedToOneProcessAtATime":     refundLease,
	"Notice_isStoredOnce":                    noticeOnce,
	"Ledger_postsBalancedEntriesOnce":        ledger,
	"Ledger_isPartOfTheTransactionItBooksIn": ledgerInTx,
}

func orderReadsBack(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	o := b.order(t, 2)
	p := b.pay(t, o)
	got, err := abroad(t, s, "Pacific/Kiritimati").Order(t.Context(), txn.None, o.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !got.CreatedAt.Equal(o.CreatedAt) || !got.ExpiresAt.Equal(o.ExpiresAt) || len(got.Timeline) != 1 || got.Timeline[0].What != "created" {
		t.Errorf("%+v", got)
	}
	got.CreatedAt, got.ExpiresAt, got.Timeline = o.CreatedAt, o.ExpiresAt, nil
	o.Payment, o.Tickets = &p, got.Tickets
	if len(got.Tickets) != 0 || !reflect.DeepEqual(got, o) {
		t.Errorf("got  %+v\nwant %+v", got, o)
	}
	o.State, o.Refund, o.Kept = checkout.Paid, checkout.PartialRefund, 300
	for _, what := range []string{"paid", "paid"} { // a moment is one entry, whoever tells it twice
		if err := s.SetOrder(t.Context(), txn.None, o, o.CreatedAt.Add(time.Second), what); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Note(t.Context(), txn.None, o.ID, o.CreatedAt.Add(2*time.Second), "refund_sent"); err != nil {
		t.Fatal(err)
	}
	list, err := s.OrdersOf(t.Context(), txn.None, b.event.ID, "", 10)
	if err != nil || len(list) != 1 || list[0].State != checkout.Paid || list[0].Refund != checkout.PartialRefund || list[0].Kept != 300 || list[0].Policy != o.Policy {
		t.Fatalf("%v: %+v", err, list)
	}
	var told []string
	for _, m := range list[0].Timeline {
		told = append(told, m.What)
	}
	if !slices.Equal(told, []string{"created", "paid", "refund_sent"}) {
		t.Errorf("timeline %v", told)
	}
	_, err = s.Order(t.Context(), txn.None, id.NewOrder(b.event.ID))
	wantErr(t, err, checkout.ErrOrderNotFound)
	orders, sold, in, err := s.Counts(t.Context(), txn.None, b.event.ID)
	if err != nil || orders["paid"] != 1 || len(sold) != 0 || in != 0 {
		t.Errorf("counts %v %v %d, %v", orders, sold, in, err)
	}
}

// A short code may be drawn twice; the transaction must be able to draw again.
func orderCode(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	first := b.order(t, 1)
	next := first
	next.ID, next.Hold = id.NewOrder(b.event.ID), b.mustHold(t, b.floor, 1).ID
	if err := s.InTx(t.Context(), func(ctx context.Context, tx txn.Tx) error {
		wantErr(t, s.InsertOrder(ctx, tx, next), checkout.ErrCodeTaken)
		next.Code = "OTHERXX"
		return s.InsertOrder(ctx, tx, next)
	}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Order(t.Context(), txn.None, next.ID)
	if err != nil || got.Code != "OTHERXX" || len(got.Items) != 1 {
		t.Errorf("%v: %+v", err, got)
	}
	elsewhere := openShop(t, s, 10, 4)
	same := elsewhere.order(t, 1)
	same.ID, same.Hold, same.Code = id.NewOrder(elsewhere.event.ID), elsewhere.mustHold(t, elsewhere.floor, 1).ID, first.Code
	if err := s.InsertOrder(t.Context(), txn.None, same); err != nil {
		t.Errorf("a code is another event's too: %v", err)
	}
}

func paymentIntent(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	o := b.order(t, 1)
	p := b.pay(t, o)
	read := func() payment.Payment {
		t.Helper()
		got, err := s.Order(t.Context(), txn.None, o.ID)
		if err != nil || got.Payment == nil {
			t.Fatal(err)
		}
		return *got.Payment
	}
	for _, intent := range []string{"pi_1", "pi_2"} {
		p.IntentID, p.ClientSecret = intent, intent+"_secret_x"
		if err := s.SetIntent(t.Context(), txn.None, p); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(); got.IntentID != "pi_1" || got.ClientSecret != "pi_1_secret_x" || got.State != payment.Pending {
		t.Errorf("%+v", got)
	}
	p.State, p.IntentID, p.ClientSecret = payment.Failed, "", ""
	if err := s.SetPayment(t.Context(), txn.None, p); err != nil {
		t.Fatal(err)
	}
	if got := read(); got.IntentID != "pi_1" || got.ClientSecret != "pi_1_secret_x" || got.State != payment.Failed || got.Settled {
		t.Errorf("who knows no intent has wiped it: %+v", got)
	}
	p.State, p.IntentID, p.Received, p.Settled = payment.Captured, "pi_2", 4250, true
	if err := s.SetPayment(t.Context(), txn.None, p); err != nil {
		t.Fatal(err)
	}
	if got := read(); got.IntentID != "pi_2" || got.State != payment.Captured || got.Received != 4250 || !got.Settled {
		t.Errorf("%+v", got)
	}
}

const dueNow = `UPDATE payment.payment SET next_check_at = clock_timestamp() WHERE event_id = $1`

func paymentLease(t *testing.T, s *store.Store) {
	b := openShop(t, s, 50, 4)
	other := twin(t, s)
	const open = 20
	var settled id.Order
	for range open + 1 {
		o := b.order(t, 1)
		p := b.pay(t, o)
		if settled.IsZero() {
			settled = o.ID
			p.State, p.Settled = payment.Captured, true
			if err := s.SetPayment(t.Context(), txn.None, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	if orders, err := s.ClaimPayments(t.Context(), 100, time.Minute); err != nil || len(orders) != 0 {
		t.Errorf("claimed %d before their time, %v", len(orders), err)
	}
	b.exec(t, dueNow, b.event.ID.String())
	var all sync.WaitGroup
	claims := make(chan id.Order, 1000)
	for i := range 10 {
		all.Go(func() {
			err := retried(t, func(int) error {
				orders, err := []*store.Store{s, other}[i%2].ClaimPayments(t.Context(), 5, time.Hour)
				for _, o := range orders {
					claims <- o
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	close(claims)
	seen := map[id.Order]int{}
	for o := range claims {
		seen[o]++
		if seen[o] > 1 || o == settled {
			t.Errorf("%s was claimed %d times (settled: %t)", o, seen[o], o == settled)
		}
	}
	if len(seen) != open {
		t.Errorf("%d of %d were claimed", len(seen), open)
	}
	for o := range seen {
		if err := s.CheckLater(t.Context(), o, 0); err != nil {
			t.Fatal(err)
		}
		break
	}
	if err := s.CheckLater(t.Context(), settled, 0); err != nil {
		t.Fatal(err)
	}
	if orders, err := other.ClaimPayments(t.Context(), 100, time.Hour); err != nil || len(orders) != 1 {
		t.Errorf("%d are due again, want the one that was to be looked at, %v", len(orders), err)
	}
}

const expireLeases = `UPDATE payment.refund SET next_check_at = clock_timestamp() WHERE event_id = $1`

func refundLease(t *testing.T, s *store.Store) {
	b := openShop(t, s, 50, 4)
	other := twin(t, s)
	o := b.order(t, 1)
	back := payment.Back{
		ID: id.NewRefund(b.event.ID), Order: o.ID, Amount: eur(250), State: payment.RefundCreated, Source: payment.ByOrganizer, Reason: "«pardon»",
		Tickets: []id.Ticket{id.NewTicket(b.event.ID)}, CreatedAt: birthday,
	}
	if err := s.InsertRefund(t.Context(), txn.None, back); err != nil {
		t.Fatal(err)
	}
	claim := func(by *store.Store, want int) []payment.Back {
		t.Helper()
		backs, err := by.ClaimRefunds(t.Context(), 10, time.Hour)
		if err != nil || len(backs) != want {
			t.Fatalf("claimed %d, want %d (%v)", len(backs), want, err)
		}
		return backs
	}
	got := claim(s, 1)[0]
	if got.Attempts != 1 || got.Reason != back.Reason || got.Amount != back.Amount || got.Source != back.Source || !slices.Equal(got.Tickets, back.Tickets) || !got.CreatedAt.Equal(birthday) {
		t.Errorf("%+v", got)
	}
	claim(other, 0)
	b.exec(t, expireLeases, b.event.ID.String())
	got = claim(other, 1)[0]
	got.State, got.ProviderID = payment.RefundDone, "re_1"
	if err := other.SetRefund(t.Context(), txn.None, got); err != nil {
		t.Fatal(err)
	}
	b.exec(t, expireLeases, b.event.ID.String())
	claim(s, 0)
	if backs, err := s.Refunds(t.Context(), txn.None, o.ID); err != nil || len(backs) != 1 || !reflect.DeepEqual(backs[0], got) {
		t.Errorf("%v: %+v, want %+v", err, backs, got)
	}
}

func noticeOnce(t *testing.T, s *store.Store) {
	n := payment.Notice{ID: "evt_1", Type: "payment_intent.succeeded", Created: birthday}
	other := twin(t, s)
	var all sync.WaitGroup
	firsts := make(chan bool, 20)
	for i := range 20 {
		all.Go(func() {
			first, err := []*store.Store{s, other}[i%2].InsertNotice(t.Context(), txn.None, n, "", []byte(`{}`))
			if err != nil {
				t.Error(err)
			}
			firsts <- first
		})
	}
	all.Wait()
	close(firsts)
	stored := 0
	for first := range firsts {
		if first {
			stored++
		}
	}
	if stored != 1 {
		t.Errorf("stored %d times", stored)
	}
}

const (
	sumPostings   = `SELECT coalesce(sum(amount), 0)::bigint FROM payment.posting WHERE event_id = $1`
	countPostings = `SELECT count(*) FROM payment.posting WHERE event_id = $1`
)

// P4: every entry balances and is booked once.
func ledger(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	o := b.order(t, 2)
	ref, org := id.NewRefund(b.event.ID), b.event.Organizer
	for range 3 {
		for _, e := range []payment.Entry{
			payment.Sale(o.ID, org, o.Total, o.Fees), payment.Promise(ref, o.ID, org, eur(1000), 58), payment.Payback(ref, o.ID, eur(1000)),
			payment.Late(id.NewOrder(b.event.ID), eur(5)),
		} {
			if err := s.Post(t.Context(), txn.None, e); err != nil {
				t.Fatal(err)
			}
		}
	}
	if sum, n := b.number(t, sumPostings, b.event.ID.String()), b.number(t, countPostings, b.event.ID.String()); sum != 0 || n != 3+3+2+3*2 {
		t.Errorf("%d postings sum to %d", n, sum)
	}
	if revenue, err := s.Revenue(t.Context(), txn.None, b.event.ID); err != nil || revenue != 8500-1000 {
		t.Errorf("revenue %d, %v", revenue, err)
	}
	wrong := payment.Sale(id.NewOrder(b.event.ID), org, eur(100), 0)
	wrong.Postings[0].Amount++
	wantErr(t, s.Post(t.Context(), txn.None, wrong), payment.ErrUnbalanced)
	if sum := b.number(t, sumPostings, b.event.ID.String()); sum != 0 {
		t.Errorf("the postings sum to %d", sum)
	}
}

func ledgerInTx(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	o := b.order(t, 1)
	wantErr(t, s.InTx(t.Context(), func(ctx context.Context, tx txn.Tx) error {
		if err := s.Post(ctx, tx, payment.Sale(o.ID, b.event.Organizer, o.Total, 0)); err != nil {
			return err
		}
		return checkout.ErrState
	}), checkout.ErrState)
	if n := b.number(t, countPostings, b.event.ID.String()); n != 0 {
		t.Errorf("%d postings of a transaction that was rolled back", n)
	}
}
