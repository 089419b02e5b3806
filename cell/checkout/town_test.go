package checkout_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/cell/saga"
	"guichet/cell/store"
	"guichet/cell/stripe"
	"guichet/cell/stripe/sandbox"
	"guichet/cell/ticket"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
	"guichet/internal/txn"
)

const (
	cellID = topology.CellID("euw3")
	// patience bounds every wait of these tests.
	patience = 60 * time.Second
	ttl      = 10 * time.Minute

	visa     = "pm_card_visa"
	declined = "pm_card_visa_chargeDeclined"
)

func migrate(ctx context.Context, dsn string) error {
	db, err := sqldb.Open(ctx, dsn, "test")
	if err != nil {
		return err
	}
	defer db.Close()
	return store.New(db, cellID).Migrate(ctx)
}

// town is a cell of two processes on one real database, and the real sandbox,
// whose webhooks reach one process or the other by turns.
type town struct {
	stores   [2]*store.Store
	desks    [2]*checkout.Service
	box      *booking.Service
	signer   *ticket.Signer
	provider *sandbox.Sandbox
	url      string // of the sandbox
	shop     booking.Event
	floor    id.TicketType // 40.00 and 2.50 of fees
	odd      id.TicketType // 33.33 and 1.01 of fees
	free     id.TicketType // nothing

	heard    atomic.Int64 // webhooks that were taken
	inFlight atomic.Int64 // webhooks that are being taken
	turn     atomic.Int64
	manual   bool // cards are authorized first

	eventCanceled atomic.Bool // by its organizer
	unaudited     bool        // the test leaves books that cannot balance, and says why

	mu      sync.Mutex // guards the field below
	notices []notice
}

// notice is a webhook as it came.
type notice struct {
	body      []byte
	signature string
}

// openTown puts an event with so many places on sale. When the test ends, the
// books must balance (P4).
func openTown(t *testing.T, places int64) *town {
	t.Helper()
	tw := &town{}
	dsn := testdb.New(t, migrate)
	endpoint := httptest.NewServer(http.HandlerFunc(tw.webhook))
	t.Cleanup(endpoint.Close)
	var err error
	if tw.provider, err = sandbox.Open(sandbox.Config{
		StateDir: t.TempDir(), RetryBase: time.Millisecond, Now: time.Now, Accounts: []sandbox.Account{sandbox.AccountOf(string(cellID), endpoint.URL)},
	}); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(tw.provider.Handler())
	tw.url = front.URL
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := tw.provider.Close(ctx); err != nil {
			t.Error(err)
		}
		front.Close()
	})
	if tw.signer, err = ticket.NewSigner("euw3-1", bytes.Repeat([]byte{7}, ticket.SeedSize)); err != nil {
		t.Fatal(err)
	}
	for i := range tw.stores {
		db, err := sqldb.Open(context.WithoutCancel(t.Context()), dsn, "test")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(db.Close)
		tw.stores[i] = store.New(db, cellID)
	}
	tw.box = &booking.Service{Store: tw.stores[0], Cell: cellID, Region: "eu-west-3", Desks: &booking.Desks{Store: tw.stores[0], HoldTTL: ttl, Patience: time.Minute, Now: time.Now}, Now: time.Now}
	for i := range tw.stores {
		tw.desks[i] = tw.desk(t, tw.stores[i], tw.processor())
	}
	tw.sell(t, places)
	t.Cleanup(func() { tw.audit(t) })
	return tw
}

func (tw *town) processor() *stripe.Processor {
	return stripe.New(stripe.Config{
		SecretKey: "sk_test_sandbox_euw3", PublishableKey: "pk_test_sandbox_euw3", WebhookSecret: "whsec_sandbox_euw3", BaseURL: tw.url, Timeout: 5 * time.Second,
	})
}

// desk is a process's checkout. Nobody works on its sagas but who calls Reconcile.
func (tw *town) desk(t *testing.T, s checkout.Store, p payment.Processor) *checkout.Service {
	t.Helper()
	d := &checkout.Service{
		Store: s, Processor: p, Signer: tw.signer, Notifier: &notify.Service{Queue: tw.stores[0]}, Window: checkout.DefaultWindow, HoldTTL: ttl, Desks: tw.box.Desks, Manual: tw.manual,
		Runs: &saga.Runner{Store: tw.stores[0], Owner: rand.Text()},
	}
	if err := d.Register(); err != nil {
		t.Fatal(err)
	}
	return d
}

func (tw *town) sell(t *testing.T, places int64) {
	t.Helper()
	eur := func(cents int64) money.Money { return money.Money{Amount: cents, Currency: "EUR"} }
	e, err := tw.box.DraftEvent(t.Context(), txn.None, id.NewOrganizer(cellID), booking.Draft{
		Name: "Fête", Venue: booking.Venue{Name: "Salle", City: "Paris", Country: "FR"}, TimeZone: "Europe/Paris", Currency: "EUR",
		StartsAt: time.Now().AddDate(0, 1, 0).Truncate(time.Second), Quotas: []booking.DraftQuota{{Name: "hall", Size: places}},
		Types: []booking.DraftType{
			{Name: "Floor", Price: eur(4000), Fees: new(eur(250)), Quotas: []string{"hall"}},
			{Name: "Odd", Price: eur(3333), Fees: new(eur(101)), Quotas: []string{"hall"}},
			{Name: "Child", Price: eur(0), Quotas: []string{"hall"}},
		},
	}, true)
	if err != nil {
		t.Fatal(err)
	}
	tw.shop, tw.floor, tw.odd, tw.free = e, e.Types[0].ID, e.Types[1].ID, e.Types[2].ID
}

// webhook takes a notice in at one of the processes, as the cell's API does.
func (tw *town) webhook(w http.ResponseWriter, r *http.Request) {
	tw.inFlight.Add(1)
	defer tw.inFlight.Add(-1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	n := notice{body, r.Header.Get("Stripe-Signature")}
	tw.mu.Lock()
	tw.notices = append(tw.notices, n)
	tw.mu.Unlock()
	if err := tw.hear(r.Context(), n); err != nil {
		w.WriteHeader(kind.Of(err).Status())
		return
	}
	tw.heard.Add(1)
}

func (tw *town) hear(ctx context.Context, n notice) error {
	return tw.desks[tw.turn.Add(1)%2].Hear(ctx, n.body, n.signature, time.Now())
}

func (tw *town) faults(t *testing.T, f sandbox.Faults) {
	t.Helper()
	if err := tw.provider.SetFaults("", f); err != nil {
		t.Fatal(err)
	}
}

func (tw *town) hold(t *testing.T, of id.TicketType, n int64) booking.Hold {
	t.Helper()
	h, err := tw.box.Hold(t.Context(), booking.Request{Hold: id.NewHold(tw.shop.ID), Lines: []booking.Line{{Type: of, Quantity: n}}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

var buyer = checkout.Buyer{Email: "zoe@example.org", Name: "Zoë «Z»", Locale: "fr"}

// order is a buyer who has ordered and not paid yet.
func (tw *town) order(t *testing.T, of id.TicketType, n int64) checkout.Order {
	t.Helper()
	h := tw.hold(t, of, n)
	o, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer, Shown: &h.Total})
	if err != nil {
		t.Fatal(err)
	}
	if o, err = tw.desks[1].Prepare(t.Context(), o.ID); err != nil {
		t.Fatal(err)
	}
	return o
}

// paid is an order that was paid with a good card.
func (tw *town) paid(t *testing.T, of id.TicketType, n int64) checkout.Order {
	t.Helper()
	o := tw.order(t, of, n)
	tw.mustConfirm(t, o, visa)
	return tw.await(t, o.ID, checkout.Paid)
}

// confirm is what the buyer's browser does; it answers the HTTP status.
func (tw *town) confirm(ctx context.Context, o checkout.Order, card string) (int, error) {
	form := url.Values{"payment_method": {card}, "client_secret": {o.Payment.ClientSecret}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, tw.url+"/v1/payment_intents/"+o.Payment.IntentID+"/confirm", strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer pk_test_sandbox_euw3")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

// atProvider does something there by hand, as who has the account may.
func (tw *town) atProvider(t *testing.T, path string, form url.Values) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tw.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer sk_test_sandbox_euw3")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v: %s", path, resp.Status, err, body)
	}
	return body
}

func (tw *town) mustConfirm(t *testing.T, o checkout.Order, card string) {
	t.Helper()
	want := http.StatusOK
	if card == declined {
		want = http.StatusPaymentRequired
	}
	if status, err := tw.confirm(t.Context(), o, card); err != nil || status != want {
		t.Fatalf("confirm with %s: %d, %v", card, status, err)
	}
}

func (tw *town) look(t *testing.T, order id.Order) checkout.Order {
	t.Helper()
	o, err := tw.desks[0].Look(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// await polls until the order is in the state.
func (tw *town) await(t *testing.T, order id.Order, want checkout.State) (o checkout.Order) {
	t.Helper()
	eventually(t, "the order to be "+string(want), func() bool {
		o = tw.look(t, order)
		return o.State == want
	})
	return o
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

// sagasDue lets every wait of sagas that rest end now, and the short lease of a caller
// who does not come.
const sagasDue = `UPDATE saga.run SET wake_at = clock_timestamp(), position = jsonb_set(position, '{until}', to_jsonb(clock_timestamp())),
	lease_owner = '', lease_until = clock_timestamp()
	WHERE status = 'running' AND (lease_owner = '' OR lease_until < clock_timestamp() + INTERVAL '3 seconds')`

// reconcile makes everything due and lets a process look after it.
func (tw *town) reconcile(ctx context.Context, process int) error {
	if _, err := tw.stores[process].DB.Pool.Exec(ctx, sagasDue); err != nil {
		return err
	}
	_, err := tw.desks[process].Reconcile(ctx)
	return err
}

func (tw *town) mustReconcile(t *testing.T) {
	t.Helper()
	for process := range tw.desks {
		if err := tw.reconcile(t.Context(), process); err != nil {
			t.Fatal(err)
		}
	}
}

const closeWindow = `UPDATE checkout.orders SET expires_at = clock_timestamp() WHERE order_id = $1`

// runOut lets an order's payment window end.
func (tw *town) runOut(t *testing.T, order id.Order) {
	t.Helper()
	tw.exec(t, closeWindow, order.String())
}

func (tw *town) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	tag, err := tw.stores[0].DB.Pool.Exec(t.Context(), sql, args...)
	if err != nil || tag.RowsAffected() == 0 {
		t.Fatalf("%s: %d rows, %v", sql, tag.RowsAffected(), err)
	}
}

// stock is held and sold of the hall.
func (tw *town) wantStock(t *testing.T, held, sold int64) {
	t.Helper()
	e, err := tw.stores[0].Event(t.Context(), txn.None, tw.shop.ID)
	if err != nil {
		t.Fatal(err)
	}
	if q := e.Quotas[0]; q.Held != held || q.Sold != sold {
		t.Errorf("held %d, sold %d; want %d, %d", q.Held, q.Sold, held, sold)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

func wantMoments(t *testing.T, o checkout.Order, want ...string) {
	t.Helper()
	var got []string
	for _, m := range o.Timeline {
		got = append(got, m.What)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("timeline %v, want %v", got, want)
	}
}

// list is all objects of the sandbox, newest first.
func list[T any](ctx context.Context, tw *town, what string) (all []T, err error) {
	for after := ""; ; {
		page, last, err := listed[T](ctx, tw, what, after)
		if all = append(all, page...); err != nil || last == "" {
			return all, err
		}
		after = "&starting_after=" + last
	}
}

// recent is its newest hundred.
func recent[T any](ctx context.Context, tw *town, what string) ([]T, error) {
	page, _, err := listed[T](ctx, tw, what, "")
	return page, err
}

// listed is a page; last is the id of its last object, if there are more.
func listed[T any](ctx context.Context, tw *town, what, after string) (all []T, last string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, tw.url+"/v1/"+what+"?limit=100"+after, http.NoBody)
	if err != nil {
		return nil, "", err
	}
	r.Header.Set("Authorization", "Bearer sk_test_sandbox_euw3")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	var page struct {
		Data    []json.RawMessage
		HasMore bool `json:"has_more"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil {
		return nil, "", err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, "", errors.New("the sandbox's list: " + resp.Status)
	}
	for _, text := range page.Data {
		var one T
		var its struct{ ID string }
		if err := errors.Join(json.Unmarshal(text, &one), json.Unmarshal(text, &its)); err != nil {
			return nil, "", err
		}
		all = append(all, one)
		if page.HasMore {
			last = its.ID
		}
	}
	return all, last, nil
}

type intent struct {
	ID             string
	Status         string
	AmountReceived int64 `json:"amount_received"`
	Metadata       map[string]string
	Fee            int64             `json:"application_fee_amount"`
	TransferData   map[string]string `json:"transfer_data"`
}

type disputeAtProvider struct {
	Movements []struct{ Net int64 } `json:"balance_transactions"`
}

type refunded struct {
	Amount        int64
	Status        string
	PaymentIntent string `json:"payment_intent"`
}

func (tw *town) intents(t *testing.T) []intent {
	t.Helper()
	all, err := list[intent](t.Context(), tw, "payment_intents")
	if err != nil {
		t.Fatal(err)
	}
	return all
}
