package api_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/api"
	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/letter"
	"guichet/cell/notify"
	"guichet/cell/saga"
	"guichet/cell/search"
	"guichet/cell/search/bleve"
	"guichet/cell/store"
	"guichet/cell/stripe"
	"guichet/cell/stripe/sandbox"
	"guichet/cell/ticket"
	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
	"guichet/control-plane/topology/seal/sealtest"
	"guichet/internal/httpd"
	"guichet/internal/operator"
	"guichet/internal/signed"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

const (
	here       = topology.CellID("euw3")
	hereRegion = "eu-west-3"
	patience   = 20 * time.Second
)

// control signs for operators; operatorToken is one's.
var (
	control, _          = operator.NewKey(bytes.Repeat([]byte{7}, signed.SeedSize))
	operatorToken, _, _ = operator.Issue(control, "test", []string{operator.Operate}, time.Now(), time.Hour)
)

// accessKey is a cell's access key.
func accessKey(t testing.TB, cell topology.CellID) *access.Signer {
	t.Helper()
	s, err := access.NewSigner(cell, 1, bytes.Repeat([]byte(cell+"a"), signed.SeedSize)[:signed.SeedSize])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // refusals and torn answers are provoked here by the thousand
	os.Exit(m.Run())
}

// house is a whole cell behind HTTP: real database, index and payment sandbox.
// There is no bus: announce carries what the outbox would.
type house struct {
	store   *store.Store
	server  *api.Server
	indexer *search.Indexer
	intake  *search.Intake
	url     string
	sandbox *sandbox.Sandbox
	paying  string // where the sandbox serves
	town    *topology.Snapshot
	others  map[topology.CellID]*ticket.Signer
	owner   *sqldb.DB // the tables' owner, who also sees what other sessions do
}

func migrate(ctx context.Context, dsn string) error {
	db, err := sqldb.Open(ctx, dsn, "test")
	if err != nil {
		return err
	}
	defer db.Close()
	s := store.New(db, here)
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	return s.Confine(ctx)
}

func signer(t testing.TB, cell topology.CellID) *ticket.Signer {
	t.Helper()
	seed := bytes.Repeat([]byte(cell), ticket.SeedSize)[:ticket.SeedSize]
	s, err := ticket.NewSigner(cell.String()+"-1", seed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open opens a house on a database of its own; change may alter the server
// before it serves.
func open(t testing.TB, change ...func(*house)) *house {
	t.Helper()
	return openOn(t, testdb.New(t, migrate), change...)
}

func openOn(t testing.TB, dsn string, change ...func(*house)) *house {
	t.Helper()
	db, err := sqldb.Open(t.Context(), dsn, "test", sqldb.As(store.AppRole)) // as in a town
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	index, err := bleve.Open(filepath.Join(t.TempDir(), "index"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = index.Close() })
	owner, err := sqldb.Open(t.Context(), dsn, "test-owner", sqldb.MaxConns(2))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(owner.Close)
	h := &house{store: store.New(db, here), owner: owner, others: map[topology.CellID]*ticket.Signer{}}
	h.store.Announce = func(e booking.Event) ([]byte, error) {
		return json.Marshal(search.NewDocument(api.EventView(e, here, hereRegion, false), e.State == booking.Published))
	}
	h.indexer = search.NewIndexer(h.store, index, func(err error) { t.Error(err) })
	h.intake = &search.Intake{Catalog: h.store, Hints: h.store, Now: time.Now}

	// The sandbox must know where the cell listens and the cell where the sandbox does.
	var handler atomic.Value
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.Load().(http.Handler).ServeHTTP(w, r) // stored below, before anybody can ask
	}))
	t.Cleanup(listening.Close)
	h.url = listening.URL
	h.openSandbox(t)

	own := signer(t, here)
	h.town = &topology.Snapshot{Version: 7, IssuedAt: time.Now().UTC(), Placements: []topology.Placement{}, Cells: []topology.Cell{
		{ID: here, Region: hereRegion, URLs: []string{h.url}, Weight: 100, State: topology.CellServing, Residency: "Paris only.", Keys: append(accessKey(t, here).Published(), own.Public())},
	}}
	for cell, region := range map[topology.CellID]string{"use1": "us-east-1", "apn1": "ap-northeast-1"} {
		h.others[cell] = signer(t, cell)
		h.town.Cells = append(h.town.Cells, topology.Cell{
			ID: cell, Region: region, URLs: []string{"http://127.0.0.1:1"}, Weight: 100, State: topology.CellServing,
			Residency: "There.", Keys: append(accessKey(t, cell).Published(), h.others[cell].Public()),
		})
	}
	desks := &booking.Desks{Store: h.store, HoldTTL: booking.DefaultHoldTTL, Patience: time.Minute, Now: time.Now}
	h.server = &api.Server{
		Cell: here, Region: hereRegion,
		Booking: &booking.Service{Store: h.store, Cell: here, Region: hereRegion, Desks: desks, Now: time.Now},
		Checkout: &checkout.Service{
			Store: h.store, Signer: own, Notifier: &notify.Service{Queue: h.store}, Window: checkout.DefaultWindow, HoldTTL: booking.DefaultHoldTTL,
			Desks: desks, Runs: &saga.Runner{Store: h.store, Owner: rand.Text()},
			Processor: stripe.New(stripe.Config{
				SecretKey: "sk_test_sandbox_euw3", PublishableKey: "pk_test_sandbox_euw3", WebhookSecret: webhookSecret, BaseURL: h.paying, Timeout: 5 * time.Second,
			}),
		},
		Mails:    &notify.Service{Queue: h.store},
		Accounts: &account.Service{Store: h.store, Key: accessKey(t, here).Key(), Post: letter.PostInvitation{Mails: &notify.Service{Queue: h.store}}}, Log: h.store,
		Search:  &search.Service{Index: index, Hints: h.store, Now: time.Now},
		Answers: h.store, Reports: h.store, SeatMaps: h.store, Copies: h.store, Topology: func() *topology.Snapshot { return h.town }, Sealed: h.sealed, Signer: own,
		Access: accessKey(t, here), ControlKeys: []ed25519.PublicKey{control.Public()}, Health: &httpd.Health{}, Metrics: prometheus.NewRegistry(), Now: time.Now,
	}
	if err := h.server.Checkout.Register(); err != nil {
		t.Fatal(err)
	}
	h.server.Health.Add("database", db.Ping)
	for _, c := range change {
		c(h)
	}
	handler.Store(h.server.Handler())
	return h
}

// sealed is the town's map as the control plane signed it, nil while there is none.
func (h *house) sealed() *seal.Map {
	if h.town == nil {
		return nil
	}
	return sealtest.Sign(h.town)
}

func newRegistry() *prometheus.Registry { return prometheus.NewRegistry() }

const webhookSecret = "whsec_sandbox_euw3"

func (h *house) openSandbox(t testing.TB) {
	t.Helper()
	box, err := sandbox.Open(sandbox.Config{
		StateDir: t.TempDir(), Accounts: []sandbox.Account{sandbox.AccountOf("euw3", h.url+"/v1/payments/stripe/webhook?cell=euw3")}, RetryBase: 10 * time.Millisecond,
		Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	serving := httptest.NewServer(box.Handler())
	t.Cleanup(func() {
		serving.Close()
		_ = box.Close(context.WithoutCancel(t.Context()))
	})
	h.sandbox, h.paying = box, serving.URL
}

// announce does what bus, intake and indexer do in a town: the event's public
// copy comes into this cell's catalogue and index.
func (h *house) announce(t testing.TB, doc search.Document) {
	t.Helper()
	if err := h.store.PutDocuments(t.Context(), search.Consumer, doc.ID()+"-"+time.Now().String(), []search.Document{doc}); err != nil {
		t.Fatal(err)
	}
	if err := h.indexer.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// count counts a table's rows.
func (h *house) count(t testing.TB, table string) int {
	t.Helper()
	var n int
	if err := h.store.DB.Pool.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// tables are all that a request from outside could make grow, but for
// payment.notice: the sandbox repeats itself whenever it likes.
var tables = []string{
	"booking.organizer", "booking.event", "booking.quota", "booking.ticket_type", "booking.tier", "booking.code", "booking.buyer_tally", "booking.buyer_hold", "booking.hold", "booking.ledger", "booking.answer",
	"booking.allocation", "booking.named_hold", "booking.series",
	"checkout.orders", "checkout.item", "checkout.ticket", "checkout.transfer", "checkout.policy", "checkout.moment", "payment.payment", "payment.posting",
	"payment.refund", "bus.outbox", "search.document",
	"account.organizer", "account.member", "account.invitation", "account.api_key", "account.revocation", "audit.entry",
}

// rows says how many rows each table has, and Σ of the stock counters, so that
// two moments can be compared with ==.
func (h *house) rows(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("SELECT concat_ws(' '")
	for _, table := range tables {
		b.WriteString(", '" + table + "', (SELECT count(*) FROM " + table + ")")
	}
	b.WriteString(", (SELECT concat_ws('/', 'held', sum(held), 'sold', sum(sold), 'size', sum(size)) FROM booking.quota), (SELECT sum(version) FROM booking.event))")
	var out string
	if err := h.store.DB.Pool.QueryRow(t.Context(), b.String()).Scan(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// eventually polls until ok or patience ends.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
		time.Sleep(5 * time.Millisecond) // between two polls, not instead of them
	}
}

// confirm is what the buyer's browser does with the client secret.
func (h *house) confirm(t testing.TB, clientSecret, card string) {
	t.Helper()
	intent, _, _ := strings.Cut(clientSecret, "_secret_")
	form := url.Values{"payment_method": {card}, "client_secret": {clientSecret}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.paying+"/v1/payment_intents/"+intent+"/confirm", strings.NewReader(form.Encode()))
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
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("confirm: %d %s", resp.StatusCode, body)
	}
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
