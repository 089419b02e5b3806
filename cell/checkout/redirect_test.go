package checkout_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/checkout"
	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/cell/stripe"
	"guichet/cell/stripe/sandbox"
)

// redirecting is a provider that offers methods which send the buyer to his bank's page.
func (tw *town) redirecting() *stripe.Processor {
	return stripe.New(stripe.Config{
		SecretKey: "sk_test_sandbox_euw3", PublishableKey: "pk_test_sandbox_euw3", WebhookSecret: "whsec_sandbox_euw3", BaseURL: tw.url, Timeout: 5 * time.Second,
		Methods: []string{"card", "ideal", "bancontact"},
	})
}

// leave sends an order's buyer to his bank, and answers the page he is to say yes on.
func (tw *town) leave(t *testing.T, o checkout.Order, method string) (bank string) {
	t.Helper()
	form := url.Values{"client_secret": {o.Payment.ClientSecret}, "payment_method_data[type]": {method}, "return_url": {"https://shop.example/back"}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tw.url+"/v1/payment_intents/"+o.Payment.IntentID+"/confirm", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer pk_test_sandbox_euw3")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var in struct {
		Status string
		Next   struct {
			Redirect struct{ URL string } `json:"redirect_to_url"`
		} `json:"next_action"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&in); err != nil || in.Status != "requires_action" || in.Next.Redirect.URL == "" {
		t.Fatalf("%+v, %v", in, err)
	}
	return in.Next.Redirect.URL
}

// agree is the buyer who says yes at his bank; it answers the HTTP status.
func (tw *town) agree(t *testing.T, bank string) int {
	t.Helper()
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.PostForm(bank, url.Values{"answer": {"approve"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// A buyer goes to his bank's page and never comes back. Meanwhile his places are
// kept; when the window is over the payment is canceled, the order is expired, the
// places are back, and nobody is told that anything was paid.
func TestRegression10_abandonedRedirectGivesItsStockBack(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"ideal", "bancontact"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			tw := openTown(t, 2)
			for i := range tw.desks {
				tw.desks[i] = tw.desk(t, tw.stores[i], tw.redirecting())
			}
			o := tw.order(t, tw.floor, 2)
			bank := tw.leave(t, o, method)
			tw.mustReconcile(t)
			if now := tw.look(t, o.ID); now.State != checkout.Pending {
				t.Fatalf("within the window it is %s", now.State)
			}
			tw.wantStock(t, 2, 0)
			tw.runOut(t, o.ID)
			now := tw.awaitWorkingDue(t, o, checkout.Expired)
			wantMoments(t, now, "created", "expired")
			if now.State != checkout.Expired || now.Payment.State != payment.Canceled || !now.Payment.Settled {
				t.Errorf("it is %s, %+v", now.State, now.Payment)
			}
			if all := tw.intents(t); len(all) != 1 || all[0].Status != "canceled" {
				t.Errorf("%+v", all)
			}
			tw.wantStock(t, 0, 0)
			tw.wantMails(t, o, notify.OrderExpired)
			if status := tw.agree(t, bank); status != http.StatusNotFound {
				t.Errorf("he comes back to his bank's page, and it is there: %d", status)
			}
			tw.paid(t, tw.floor, 2) // the next buyer has them
		})
	}
}

// The bank says yes after all, though it had said that the payment was canceled:
// tickets while there are any, else the money goes back ("Paid but expired", rules 3
// and 4). Each is told once.
func TestRegression10_abandonedRedirectThatIsPaidAfterAll(t *testing.T) {
	t.Parallel()
	for name, others := range map[string]int64{"the stock is there": 0, "the stock is gone": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tw := openTown(t, 2)
			for i := range tw.desks {
				tw.desks[i] = tw.desk(t, tw.stores[i], tw.redirecting())
			}
			o := tw.order(t, tw.floor, 2)
			bank := tw.leave(t, o, "ideal")
			tw.runOut(t, o.ID)
			early := tw.desk(t, tw.stores[0], hasty{tw.redirecting()})
			eventually(t, "the order to be expired", func() bool { // word that the buyer was sent away may be under way
				if _, err := tw.stores[0].DB.Pool.Exec(t.Context(), sagasDue); err != nil {
					t.Fatal(err)
				}
				if _, err := early.Reconcile(t.Context()); err != nil {
					t.Fatal(err)
				}
				return tw.look(t, o.ID).State == checkout.Expired
			})
			tw.wantStock(t, 0, 0)
			if others > 0 {
				tw.paid(t, tw.floor, others)
			}
			if status := tw.agree(t, bank); status != http.StatusSeeOther {
				t.Fatalf("the bank answers %d", status)
			}
			if others == 0 {
				tw.wantSoldOnce(t, tw.await(t, o.ID, checkout.Paid), "created", "expired", "paid")
				tw.mustReconcile(t)
				tw.wantMails(t, o, notify.OrderExpired, notify.OrderPaid)
				return
			}
			eventually(t, "the refund to be decided", func() bool { return tw.look(t, o.ID).Refund == checkout.FullRefund })
			tw.faults(t, sandbox.Faults{})
			tw.mustReconcile(t)
			wantMoments(t, tw.look(t, o.ID), "created", "expired", "late_payment_refunded", "refund_sent")
			tw.wantRefunds(t, o, payment.ByLatePayment, 8500)
			tw.wantStock(t, 0, others)
			tw.wantMails(t, o, notify.LatePaymentRefund, notify.OrderExpired)
		})
	}
}

// wantMails: the kinds of an order's mails, sorted, each as often as it is there.
func (tw *town) wantMails(t *testing.T, o checkout.Order, want ...notify.Kind) {
	t.Helper()
	rows, err := tw.stores[0].DB.Pool.Query(t.Context(), `SELECT kind FROM notify.message WHERE order_id = $1 ORDER BY kind`, o.ID.String())
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[notify.Kind])
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("mails %v, want %v; %v", got, want, err)
	}
}
