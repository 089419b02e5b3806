package checkout_test

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/payment"
	"guichet/cell/store"
	"guichet/cell/stripe/sandbox"
	"guichet/internal/sqldb"
)

// The database's clock goes wrong against everybody's by being shadowed: an
// unqualified clock_timestamp() of a session with this search path is the skewed one.
const (
	shadows = `CREATE SCHEMA skew`
	shadow  = `CREATE FUNCTION skew.%[1]s() RETURNS timestamptz LANGUAGE sql %[2]s
		AS $$ SELECT pg_catalog.%[1]s() + %[3]d * INTERVAL '1 second' $$`
	shadowPath = "skew,pg_catalog,public"
)

// skewed lets the database's clock be off from that of the processes by so many
// seconds, the processes' own desks be off from each other, and each session live in
// another time zone.
func (tw *town) skewed(t *testing.T, seconds int, zones [2]string) {
	t.Helper()
	for _, sql := range []string{shadows, fmt.Sprintf(shadow, "clock_timestamp", "VOLATILE", seconds), fmt.Sprintf(shadow, "statement_timestamp", "STABLE", seconds)} {
		if _, err := tw.stores[0].DB.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	at := tw.stores
	for i, zone := range zones {
		tw.stores[i] = tw.abroad(t, zone)
		off := time.Duration(i*2-1) * time.Duration(seconds) * time.Second
		clock := func() time.Time { return time.Now().Add(off) }
		desks := &booking.Desks{Store: tw.stores[i], HoldTTL: ttl, Patience: time.Minute, Now: clock}
		if i == 0 {
			tw.box = &booking.Service{Store: tw.stores[0], Cell: cellID, Region: "eu-west-3", Desks: desks, Now: clock}
		}
		tw.desks[i] = tw.desk(t, tw.stores[i], tw.processor())
		tw.desks[i].Desks, tw.desks[i].Runs.Store = desks, tw.stores[i]
	}
	t.Cleanup(func() {
		tw.audit(t) // while these sessions last
		tw.stores = at
	})
}

func (tw *town) abroad(t *testing.T, zone string) *store.Store {
	t.Helper()
	u, err := url.Parse(tw.stores[0].DB.Pool.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("timezone", zone)
	q.Set("search_path", shadowPath)
	u.RawQuery = q.Encode()
	db, err := sqldb.Open(context.WithoutCancel(t.Context()), u.String(), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return store.New(db, cellID)
}

const moveWindow = `UPDATE checkout.orders SET expires_at = clock_timestamp() + $2 * INTERVAL '1 second' WHERE order_id = $1`

// closesIn lets an order's payment window end so many seconds from now, by the
// database's clock; before that if negative.
func (tw *town) closesIn(t *testing.T, o checkout.Order, seconds int) {
	t.Helper()
	tw.exec(t, moveWindow, o.ID.String(), seconds)
}

// The clocks of processes and database are apart by more than what an order's window
// is open still, or has been closed for: the database's alone decides, and both ends
// of the window keep the rules of "Paid but expired".
func TestRegression08_paymentJustBeforeAndJustAfterExpiryWithSkewedClocks(t *testing.T) {
	t.Parallel()
	zones := [2]string{"Pacific/Kiritimati", "Pacific/Marquesas"} // 23.5 hours apart
	for _, seconds := range []int{30, -30} {
		t.Run(fmt.Sprintf("the database's clock is off by %d s", seconds), func(t *testing.T) {
			t.Parallel()
			t.Run("just before: tickets", func(t *testing.T) {
				t.Parallel()
				tw := openTown(t, 2)
				tw.skewed(t, seconds, zones)
				tw.paidJustBefore(t)
			})
			t.Run("just after, and nobody has looked yet: tickets", func(t *testing.T) {
				t.Parallel()
				tw := openTown(t, 2)
				tw.skewed(t, seconds, zones)
				tw.paidBeforeAnybodyLooked(t)
			})
			t.Run("just after, the stock is there: tickets", func(t *testing.T) {
				t.Parallel()
				tw := openTown(t, 2)
				tw.skewed(t, seconds, zones)
				tw.paidJustAfter(t, 0)
			})
			t.Run("just after, the stock is gone: the money goes back", func(t *testing.T) {
				t.Parallel()
				tw := openTown(t, 2)
				tw.skewed(t, seconds, zones)
				tw.paidJustAfter(t, 1)
			})
		})
	}
}

// paidJustBefore: the window is open for 15 s more. Nobody ends the order, whatever
// his own clock says; the money buys the tickets.
func (tw *town) paidJustBefore(t *testing.T) {
	t.Helper()
	o := tw.order(t, tw.floor, 2)
	if got := o.ExpiresAt.Sub(o.CreatedAt); got != checkout.DefaultWindow {
		t.Errorf("the window is %s", got)
	}
	tw.closesIn(t, o, 15)
	tw.mustReconcile(t)
	if now := tw.look(t, o.ID); now.State != checkout.Pending {
		t.Fatalf("with seconds left it is %s", now.State)
	}
	tw.wantStock(t, 2, 0)
	tw.mustConfirm(t, o, visa)
	tw.wantSoldOnce(t, tw.await(t, o.ID, checkout.Paid), "created", "paid")
}

// paidBeforeAnybodyLooked: the money comes when the window has been closed for 15 s
// and the hold is kept still.
func (tw *town) paidBeforeAnybodyLooked(t *testing.T) {
	t.Helper()
	tw.faults(t, sandbox.Faults{WebhookBlackout: true})
	o := tw.order(t, tw.floor, 2)
	tw.closesIn(t, o, -15)
	tw.mustConfirm(t, o, visa)
	tw.mustReconcile(t)
	tw.wantSoldOnce(t, tw.await(t, o.ID, checkout.Paid), "created", "paid")
}

// paidJustAfter: the window has been closed for 15 s, the order is expired and its
// stock is back; somebody else buys so many. Then the bank says yes after all.
func (tw *town) paidJustAfter(t *testing.T, others int64) {
	t.Helper()
	o := tw.order(t, tw.floor, 2)
	tw.closesIn(t, o, -15)
	if _, err := tw.stores[0].DB.Pool.Exec(t.Context(), sagasDue); err != nil {
		t.Fatal(err)
	}
	for i := range tw.desks { // at both, whose turn it is
		says := tw.desk(t, tw.stores[i], hasty{tw.processor()})
		says.Desks, says.Runs.Store = tw.desks[i].Desks, tw.stores[i]
		if _, err := says.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if now := tw.look(t, o.ID); now.State != checkout.Expired {
		t.Fatalf("with the window over it is %s", now.State)
	}
	tw.wantStock(t, 0, 0)
	if others > 0 {
		tw.paid(t, tw.floor, others)
	}
	tw.mustConfirm(t, o, visa)
	if others == 0 {
		tw.wantSoldOnce(t, tw.await(t, o.ID, checkout.Paid), "created", "expired", "paid")
		return
	}
	eventually(t, "the refund to be decided", func() bool { return tw.look(t, o.ID).Refund == checkout.FullRefund })
	tw.faults(t, sandbox.Faults{})
	tw.mustReconcile(t)
	now := tw.look(t, o.ID)
	wantMoments(t, now, "created", "expired", "late_payment_refunded", "refund_sent")
	if now.State != checkout.Expired || len(now.Tickets) != 0 {
		t.Errorf("%s with %d tickets", now.State, len(now.Tickets))
	}
	tw.wantRefunds(t, o, payment.ByLatePayment, 8500)
	tw.wantStock(t, 0, others)
}

// wantSoldOnce: two tickets, one entry in the books, nothing given back. The mails are
// counted by the audit.
func (tw *town) wantSoldOnce(t *testing.T, o checkout.Order, moments ...string) {
	t.Helper()
	if n := tw.postings(t, o.ID); len(o.Tickets) != 2 || n != 3 || o.Refund != checkout.NoRefund {
		t.Errorf("%d tickets, %d postings, refund %s", len(o.Tickets), n, o.Refund)
	}
	wantMoments(t, o, moments...)
	tw.wantStock(t, 0, 2)
}
