package checkoutbench

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/access"
	"guichet/cell/api"
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
	"guichet/internal/httpd"
	"guichet/internal/signed"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
	"guichet/internal/txn"
)

const (
	cell       = topology.CellID("euw3")
	secretHook = "whsec_sandbox_euw3"
	publicKey  = "pk_test_sandbox_euw3"
	hookPath   = "/v1/payments/stripe/webhook"
	places     = 10_000_000 // nobody meets the end
)

// house is a whole cell with one event on sale, its sagas worked on, and a
// sandbox of its own that is served on HTTP and delivers its webhooks.
type house struct {
	store     *store.Store
	box       *booking.Service
	checkout  *checkout.Service
	signer    *ticket.Signer
	processor payment.Processor
	url       string // of the cell
	paying    string // of the sandbox
	sale      booking.Event
	desk      deskTime

	statements statements

	faults faults
	mails  mails

	mu    sync.Mutex // guards the field below
	await map[string]chan struct{}
}

// deskTime adds up how long the desk was at work.
type deskTime struct {
	busy, batches, ops atomic.Int64
	pace               notify.Pace
}

func (d *deskTime) Batch(size int, took time.Duration) {
	d.busy.Add(int64(took))
	d.batches.Add(1)
	d.ops.Add(int64(size))
}
func (d *deskTime) Waited(w time.Duration) { d.pace.Waited(w) }
func (d *deskTime) Refused()               {}

// faults keeps what background work reported.
type faults struct {
	count atomic.Int64
	last  atomic.Value
}

func (f *faults) report(err error) {
	f.count.Add(1)
	f.last.Store(err.Error())
}

// statements counts what is sent to the database.
type statements struct{ sent atomic.Int64 }

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	s.sent.Add(1)
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	s.sent.Add(int64(d.Batch.Len()))
	return ctx
}

func (s *statements) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (s *statements) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func migrate(ctx context.Context, dsn string) error {
	db, err := sqldb.Open(ctx, dsn, "checkoutbench")
	if err != nil {
		return err
	}
	defer db.Close()
	return store.New(db, cell).Migrate(ctx)
}

// kind is how a house takes money.
type kind int

const (
	takesAtOnce kind = iota
	takesLater       // cards are authorized first
	isBare           // it takes webhooks without sagas
	asShipped        // takesLater, with the town's own database and the mails leaving
)

// database is the URL of a house's database.
func database(b *testing.B, as kind) string {
	b.Helper()
	if as == asShipped {
		return townDatabase(b)
	}
	return testdb.New(b, migrate, testdb.Durable)
}

// newHouse opens a house.
func newHouse(b *testing.B, as kind) *house {
	b.Helper()
	h := &house{await: map[string]chan struct{}{}}
	db, err := sqldb.Open(b.Context(), database(b, as), "checkoutbench", sqldb.MaxConns(sqldb.DefaultMaxConns),
		func(_ *sqldb.DB, c *pgxpool.Config) { c.ConnConfig.Tracer = &h.statements })
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(db.Close)
	h.store = store.New(db, cell)
	h.desk.pace.Now = time.Now
	var handler atomic.Value
	h.url = serve(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.Load().(http.Handler).ServeHTTP(w, r) // stored before anybody asks
	}))
	h.openSandbox(b)
	if h.signer, err = ticket.NewSigner("euw3-1", make([]byte, ticket.SeedSize)); err != nil {
		b.Fatal(err)
	}
	desks := &booking.Desks{Store: h.store, HoldTTL: booking.DefaultHoldTTL, Patience: booking.DefaultPatience, Now: time.Now, Watch: &h.desk}
	h.box = &booking.Service{Store: h.store, Cell: cell, Region: "eu-west-3", Desks: desks, Now: time.Now}
	h.processor = stripe.New(stripe.Config{
		SecretKey: "sk_test_sandbox_euw3", PublishableKey: publicKey, WebhookSecret: secretHook, BaseURL: h.paying, Timeout: 5 * time.Second,
	})
	h.checkout = &checkout.Service{
		Store: h.store, Signer: h.signer, Notifier: &notify.Service{Queue: h.store}, Window: checkout.DefaultWindow, HoldTTL: booking.DefaultHoldTTL,
		Desks: desks, Manual: as == takesLater || as == asShipped, Runs: &saga.Runner{Store: h.store, Owner: crand.Text()}, Processor: h.processor,
	}
	if err := h.checkout.Register(); err != nil {
		b.Fatal(err)
	}
	server := &api.Server{
		Cell: cell, Region: "eu-west-3", Booking: h.box, Checkout: h.checkout, Answers: h.store, Log: h.store, Reports: h.store, Copies: h.store, Signer: h.signer, Access: accessKey(),
		Topology: func() *topology.Snapshot { return nil }, Health: &httpd.Health{}, Metrics: prometheus.NewRegistry(), Now: time.Now,
	}
	hooks := server.Handler()
	if as == isBare {
		hooks = h.bareHook()
	}
	handler.Store(h.listen(hooks))
	h.sell(b)
	h.work(b)
	if as == asShipped {
		h.post(b)
	}
	return h
}

// work runs the sagas, as a cell does beside its requests.
func (h *house) work(b *testing.B) {
	b.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(b.Context()))
	var running sync.WaitGroup
	running.Go(func() { h.checkout.Runs.Work(ctx, h.faults.report) })
	b.Cleanup(func() {
		stop()
		running.Wait()
	})
}

// inMemory is a directory for the sandbox's journal that shares no disk with
// PostgreSQL, where the machine has one: the provider's disk is his own.
func inMemory(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "guichet-sandbox-") //nolint:usetesting // b.TempDir has no say in where
	if err != nil {
		return b.TempDir()
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (h *house) openSandbox(b *testing.B) {
	b.Helper()
	account := sandbox.AccountOf(cell.String(), h.url+hookPath)
	account.Events = stripe.Heard
	box, err := sandbox.Open(sandbox.Config{StateDir: inMemory(b), Accounts: []sandbox.Account{account}, Deliveries: 1, Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = box.Close(context.WithoutCancel(b.Context())) })
	h.paying = serve(b, box.Handler())
}

// sell puts one event on sale, with a type of 40.00 and 2.50 of fees.
func (h *house) sell(b *testing.B) {
	b.Helper()
	eur := func(cents int64) money.Money { return money.Money{Amount: cents, Currency: "EUR"} }
	e, err := h.box.DraftEvent(b.Context(), txn.None, id.NewOrganizer(cell), booking.Draft{
		Name: "On sale", Venue: booking.Venue{Name: "Hall", City: "Paris", Country: "FR"}, StartsAt: time.Now().AddDate(0, 1, 0).Truncate(time.Second), TimeZone: "Europe/Paris", Currency: "EUR",
		Quotas: []booking.DraftQuota{{Name: "all", Size: places}},
		Types:  []booking.DraftType{{Name: "Floor", Price: eur(4000), Fees: new(eur(250)), Quotas: []string{"all"}}},
	}, true)
	if err != nil {
		b.Fatal(err)
	}
	h.sale = e
}

// expect is closed when the cell has taken in that the order's payment succeeded.
func (h *house) expect(order string) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	done := make(chan struct{})
	h.await[order] = done
	return done
}

func (h *house) came(order string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if done, ok := h.await[order]; ok {
		close(done)
		delete(h.await, order)
	}
}

// listen lets clients know of a webhook that was taken, in place of polling: what
// polls cost depends on how often one asks, and is no part of what is measured.
func (h *house) listen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != hookPath {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		seen := &status{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		if !bytes.Contains(body, []byte(`"payment_intent.succeeded"`)) {
			return
		}
		var notice struct {
			Type string `json:"type"`
			Data struct {
				Object struct {
					Metadata map[string]string `json:"metadata"`
				} `json:"object"`
			} `json:"data"`
		}
		if json.Unmarshal(body, &notice) == nil && notice.Type == "payment_intent.succeeded" && seen.code < 300 {
			h.came(notice.Data.Object.Metadata["order_id"])
		}
	})
}

// status remembers what was answered.
type status struct {
	http.ResponseWriter

	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// serve listens as the programs do, less the tracing.
func serve(b *testing.B, h http.Handler) string {
	b.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	b.Cleanup(func() { _ = srv.Close() })
	go func() { _ = srv.Serve(l) }()
	return "http://" + l.Addr().String()
}

// accessKey makes the tokens of what the benches hold and buy.
func accessKey() *access.Signer {
	s, err := access.NewSigner("euw3", 1, make([]byte, signed.SeedSize))
	if err != nil {
		panic(err)
	}
	return s
}
