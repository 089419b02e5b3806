package drill

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"guichet/cell/client"
	"guichet/cell/money"
	"guichet/cell/stripe/sandbox"
	"guichet/chaos/world"
	"guichet/internal/testdb"
)

// till is one real process of a cell at a database of its own, and the real
// sandbox, which it reaches past a front that a drill can put in a mood.
type till struct {
	cell     *world.Cell
	db       *pgxpool.Pool
	provider *sandbox.Sandbox
	front    *front
	url      string // of the sandbox, past the front: where buyers pay
	dieAt    string // the file that names the moment of death
	org      client.Organizer

	armed  bool // it is to die, or has
	deaths int  // of the walk at hand
	hurry  bool // nudges end the wait for the provider's news too
	mood   mood // of the provider, when it is not away
}

// openTill starts them; nothing is restarted but by revive.
func openTill(t *testing.T, env ...string) *till {
	t.Helper()
	needDatabases(t)
	built, err := programs()
	must(t, err)
	k := &till{}
	dsn := testdb.New(t, nil)
	var target *url.URL
	endpoint := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	t.Cleanup(endpoint.Close)
	account := sandbox.AccountOf("euw3", endpoint.URL+"/v1/payments/stripe/webhook")
	k.provider, err = sandbox.Open(sandbox.Config{StateDir: t.TempDir(), RetryBase: 20 * time.Millisecond, Now: time.Now, Accounts: []sandbox.Account{account}})
	must(t, err)
	direct := httptest.NewServer(k.provider.Handler())
	k.front = &front{inner: k.provider.Handler(), tries: map[string]int{}}
	fronted := httptest.NewServer(k.front)
	k.url = direct.URL
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := k.provider.Close(ctx); err != nil {
			t.Error(err)
		}
		fronted.CloseClientConnections()
		fronted.Close()
		direct.Close()
	})
	dir := t.TempDir()
	k.dieAt = filepath.Join(dir, "die-at")
	k.cell, err = world.OpenCell(t.Context(), built, world.CellOptions{
		Cell: "euw3", Region: "eu-west-3", Database: dsn, Dir: filepath.Join(dir, "cell"), Env: append([]string{
			"GUICHET_STRIPE_URL=" + fronted.URL, "GUICHET_STRIPE_SECRET_KEY=" + account.SecretKey, "GUICHET_STRIPE_PUBLISHABLE_KEY=" + account.PublishableKey,
			"GUICHET_STRIPE_WEBHOOK_SECRET=" + account.WebhookSecret, "GUICHET_DIE_AT=" + k.dieAt,
		}, env...),
	})
	must(t, err)
	t.Cleanup(func() {
		if err := k.cell.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	target, err = url.Parse(k.cell.URL)
	must(t, err)
	k.db, err = pgxpool.New(t.Context(), dsn)
	must(t, err)
	t.Cleanup(k.db.Close)
	k.org, _, err = k.cell.Client().CreateOrganizer(t.Context(), "eu-west-3", "Drill", key("org"))
	must(t, err)
	return k
}

// stage puts an event on sale: 40.00 with 2.50 of fees, or nothing.
func (k *till) stage(t *testing.T, places int64) client.Event {
	t.Helper()
	e, _, err := k.organizer().CreateEvent(t.Context(), k.org.ID, "", client.NewEvent{
		Name: unique("Till"), Category: "music", Venue: world.Venue("Salle", world.Paris), StartsAt: time.Now().AddDate(0, 3, 0).Truncate(time.Second), TimeZone: "Europe/Paris",
		Currency: "EUR", Quotas: []client.NewQuota{{Name: "floor", Size: places}}, Publish: true,
		TicketTypes: []client.NewTicketType{
			{Name: "Floor", Price: money.Money{Amount: 4000, Currency: "EUR"}, Fees: &money.Money{Amount: 250, Currency: "EUR"}, Quotas: []string{"floor"}},
			{Name: "Free", Price: money.Money{Currency: "EUR"}, Quotas: []string{"floor"}},
		},
	}, key("event"))
	must(t, err)
	return e
}

func (k *till) organizer() *client.Client { return k.cell.Client().As(k.org.APIKey) }

// as is who may act on an order: its buyer, and where he was never told of it, the organizer.
func (k *till) as(order string) *client.Client {
	if world.Keys.Token(order) == "" {
		return k.organizer()
	}
	return k.cell.Client()
}

const (
	leasesEnd = `UPDATE saga.run SET lease_owner = '', lease_until = clock_timestamp(), wake_at = clock_timestamp() WHERE status = 'running' AND lease_owner <> ''`
	// Waits of sagas that rest end now; that for the provider's news only when asked for.
	waitsEnd = `UPDATE saga.run SET wake_at = clock_timestamp(), position = jsonb_set(position, '{until}', to_jsonb(clock_timestamp()))
		WHERE status = 'running' AND lease_owner = '' AND (place <> 'WaitPayment' OR $1)`
)

// revive starts a process again that is dead. A peer would wait for the dead one's
// leases to run out; the drill spares itself these seconds.
func (k *till) revive(t *testing.T) {
	t.Helper()
	if !k.cell.Gone() {
		return
	}
	k.deaths++
	k.hurry = true
	k.sql(t, leasesEnd)
	must(t, k.cell.Restart(t.Context()))
}

// nudge ends the pauses between tries.
func (k *till) nudge(t *testing.T) {
	t.Helper()
	k.sql(t, waitsEnd, k.hurry)
}

func (k *till) sql(t *testing.T, statement string, args ...any) {
	t.Helper()
	_, err := k.db.Exec(t.Context(), statement, args...)
	must(t, err)
}

func (k *till) number(t *testing.T, query string, args ...any) (n int64) {
	t.Helper()
	must(t, k.db.QueryRow(t.Context(), query, args...).Scan(&n))
	return n
}

// ask repeats a call, as a buyer with an idempotency key does, until it is answered.
func (k *till) ask(t *testing.T, what string, call func(ctx context.Context) error) {
	t.Helper()
	var last error
	defer func() {
		if t.Failed() {
			t.Logf("%s: %v\n%s", what, last, k.cell.Log())
		}
	}()
	until(t, time.Minute, what, func() bool {
		k.revive(t)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if last = call(ctx); last == nil {
			return true
		}
		if !client.Retryable(last) && !k.cell.Gone() {
			t.Fatalf("%s: %v", what, last)
		}
		k.nudge(t)
		return false
	})
}

// order makes one of one ticket of a type, by its index, and brings it to where its buyer can pay.
func (k *till) order(t *testing.T, e client.Event, of int) (o client.Order) {
	t.Helper()
	var hold client.Hold
	again := key("hold")
	k.ask(t, "there is a hold", func(ctx context.Context) (err error) {
		hold, _, err = k.cell.Client().CreateHold(ctx, e.ID, client.NewHold{Items: []client.HoldItem{{TicketTypeID: e.TicketTypes[of].ID, Quantity: 1}}}, again)
		return err
	})
	again = key("order")
	k.ask(t, "there is an order", func(ctx context.Context) (err error) {
		o, _, err = k.cell.Client().CreateOrder(ctx, orderOf(hold), again)
		return err
	})
	return o
}

// front stands before the sandbox as the cell sees it.
type front struct {
	inner http.Handler

	mu     sync.Mutex
	mood   mood
	tries  map[string]int
	before map[string]func() // what somebody else does just before a call arrives
	refuse string            // the call that is answered with no
}

// mood is how the provider answers.
type mood string

const (
	answers mood = "answers"
	fails   mood = "fails"        // of four calls one does nothing, the next does its work without an answer
	late    mood = "answers late" // and its webhooks never arrive
	away    mood = "is away"      // 500s by turns with answers that never come
	down    mood = "is down"      // 500s, at once
)

// lateBy is how long a late answer takes.
const lateBy = 200 * time.Millisecond

func (f *front) set(m mood) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mood, f.tries, f.before, f.refuse = m, map[string]int{}, nil, ""
}

// first has somebody else do something just before a call arrives.
func (f *front) first(call string, do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = map[string]func(){call: do}
}

// refuses lets the provider say no to a call.
func (f *front) refuses(call string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = call
}

// atProvider does something to an order's payment by hand.
func (k *till) atProvider(t *testing.T, o client.Order, do string) {
	t.Helper()
	id, _, _ := strings.Cut(o.Payment.ClientSecret, "_secret_")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, k.url+"/v1/payment_intents/"+id+"/"+do, http.NoBody)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+sandbox.AccountOf("euw3", "").SecretKey)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s at the provider: %s", do, resp.Status)
	}
}

// what names a call of Stripe's API.
func what(r *http.Request) string {
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/") // v1, payment_intents, pi_…, capture
	name := r.Method + " " + path[min(1, len(path)-1)]
	if len(path) > 3 {
		name += " " + path[3]
	}
	return name
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := what(r)
	f.mu.Lock()
	f.tries[call]++
	try, m, first, refused := f.tries[call], f.mood, f.before[call], f.refuse == call
	delete(f.before, call)
	f.mu.Unlock()
	if first != nil {
		first()
	}
	switch {
	case refused:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":{"type":"invalid_request_error","code":"charge_already_refunded","message":"No."}}`))
	case m == fails && try%4 == 1, m == away && try%2 == 1, m == down:
		w.WriteHeader(http.StatusInternalServerError)
	case m == away: // a black hole
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the caller has left
		<-r.Context().Done()
	case m == fails && try%4 == 2:
		f.inner.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler) // done, and nobody hears so
	case m == late:
		_ = pause(r.Context(), lateBy)
		f.inner.ServeHTTP(w, r)
	default:
		f.inner.ServeHTTP(w, r)
	}
}

// listed are all of a kind at the sandbox, newest first.
func listed[T any](t *testing.T, k *till, kind string) (all []T) {
	t.Helper()
	for after := ""; ; {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, k.url+"/v1/"+kind+"?limit=100"+after, http.NoBody)
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+sandbox.AccountOf("euw3", "").SecretKey)
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		var page struct {
			Data    []json.RawMessage
			HasMore bool `json:"has_more"`
		}
		must(t, errors.Join(json.NewDecoder(resp.Body).Decode(&page), resp.Body.Close()))
		var last struct{ ID string }
		for _, text := range page.Data {
			var one T
			must(t, errors.Join(json.Unmarshal(text, &one), json.Unmarshal(text, &last)))
			all = append(all, one)
		}
		if !page.HasMore {
			return all
		}
		after = "&starting_after=" + last.ID
	}
}

// intent is a payment as the provider has it, and refunded is money that went back.
type intent struct {
	ID             string
	Status         string
	AmountReceived int64 `json:"amount_received"`
	Metadata       map[string]string
}

type refunded struct {
	PaymentIntent string `json:"payment_intent"`
	Amount        int64
}

func (k *till) intentsOf(t *testing.T, order string) (of []intent) {
	t.Helper()
	for _, in := range listed[intent](t, k, "payment_intents") {
		if in.Metadata["order_id"] == order {
			of = append(of, in)
		}
	}
	return of
}

// arm writes down when the process is to die.
func (k *till) arm(t *testing.T, at string) {
	t.Helper()
	k.armed = true
	must(t, os.WriteFile(k.dieAt, []byte(at), 0o600))
}

// disarm takes the paper away, if nobody died of it.
func (k *till) disarm(t *testing.T) {
	t.Helper()
	k.armed = false
	if err := os.Remove(k.dieAt); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}
