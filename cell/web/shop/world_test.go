package shop_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"html"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
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
	"guichet/cell/client"
	"guichet/cell/notify"
	"guichet/cell/saga"
	"guichet/cell/search"
	"guichet/cell/search/bleve"
	"guichet/cell/store"
	"guichet/cell/stripe"
	"guichet/cell/stripe/sandbox"
	"guichet/cell/ticket"
	"guichet/cell/web/shop"
	"guichet/control-plane/topology"
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

var (
	control, _          = operator.NewKey(bytes.Repeat([]byte{7}, signed.SeedSize))
	operatorToken, _, _ = operator.Issue(control, "test", []string{operator.Operate}, time.Now(), time.Hour)
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // refusals are provoked here
	code := m.Run()
	closeBrowser()
	os.Exit(code)
}

// house is a cell with its pages behind HTTP: real database, index and payment sandbox.
type house struct {
	store   *store.Store
	server  *api.Server
	indexer *search.Indexer
	pages   *shop.Pages
	url     string
	paying  string
	town    *topology.Snapshot
	down    atomic.Bool  // the network is gone
	clock   atomic.Int64 // what the pages' clock is ahead
	key     string       // an organizer's
	org     string
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

// open opens a house on a database of its own.
func open(t testing.TB) *house {
	t.Helper()
	db, err := sqldb.Open(t.Context(), testdb.New(t, migrate), "test", sqldb.As(store.AppRole))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	index, err := bleve.Open(filepath.Join(t.TempDir(), "index"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = index.Close() })
	h := &house{store: store.New(db, here)}
	h.store.Announce = func(e booking.Event) ([]byte, error) {
		return json.Marshal(search.NewDocument(api.EventView(e, here, hereRegion, false), e.State == booking.Published))
	}
	h.indexer = search.NewIndexer(h.store, index, func(err error) { t.Error(err) })

	var handler atomic.Value
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.down.Load() {
			panic(http.ErrAbortHandler)
		}
		handler.Load().(http.Handler).ServeHTTP(w, r)
	}))
	t.Cleanup(listening.Close)
	h.url = strings.Replace(listening.URL, "127.0.0.1", "localhost", 1)
	h.openSandbox(t)
	h.join(t, index)
	calls := h.server.Handler()
	pages, err := shop.New(shop.Config{
		Cell: here, Calls: calls, SiteURL: h.url, Topology: func() *topology.Snapshot { return h.town }, PaymentURL: h.paying,
		Imprint: shop.Imprint{Name: "Guichet Testing Ltd", Address: "1 Rue de Test\n\n75001 Paris", Email: "hello@example.org"},
		Now:     func() time.Time { return time.Now().Add(time.Duration(h.clock.Load())) },
		Proved:  func() time.Time { return time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC) },
	})
	if err != nil {
		t.Fatal(err)
	}
	h.pages = pages
	handler.Store(http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if pages.Serves(r) {
			pages.ServeHTTP(w, r)
			return
		}
		calls.ServeHTTP(w, r)
	})))
	org := read[client.Organizer](t, h.call(t, "POST", "/v1/organizers", map[string]any{"name": "Pleyel"}, operatorToken))
	h.org, h.key = org.ID, org.APIKey
	return h
}

// join makes the cell's server.
func (h *house) join(t testing.TB, index *bleve.Index) {
	t.Helper()
	own, err := ticket.NewSigner(here.String()+"-1", bytes.Repeat([]byte(here), ticket.SeedSize)[:ticket.SeedSize])
	if err != nil {
		t.Fatal(err)
	}
	admits, err := access.NewSigner(here, 1, bytes.Repeat([]byte(here+"a"), signed.SeedSize)[:signed.SeedSize])
	if err != nil {
		t.Fatal(err)
	}
	h.town = &topology.Snapshot{Version: 7, IssuedAt: time.Now().UTC(), Placements: []topology.Placement{}, Cells: []topology.Cell{
		{ID: here, Region: hereRegion, URLs: []string{h.url}, Weight: 100, State: topology.CellServing, Residency: "Personal data stays in the European Union.", Keys: append(admits.Published(), own.Public())},
		{ID: "apn1", Region: "ap-northeast-1", URLs: []string{"http://127.0.0.1:1"}, Weight: 100, State: topology.CellServing, Residency: "Personal data stays in Japan."},
	}}
	desks := &booking.Desks{Store: h.store, HoldTTL: booking.DefaultHoldTTL, Patience: time.Minute, Now: time.Now}
	mails := &notify.Service{Queue: h.store}
	h.server = &api.Server{
		Cell: here, Region: hereRegion,
		Booking: &booking.Service{Store: h.store, Cell: here, Region: hereRegion, Desks: desks, Now: time.Now},
		Checkout: &checkout.Service{
			Store: h.store, Signer: own, Notifier: mails, Window: checkout.DefaultWindow, HoldTTL: booking.DefaultHoldTTL, Desks: desks, Runs: &saga.Runner{Store: h.store, Owner: rand.Text()},
			Processor: stripe.New(stripe.Config{SecretKey: "sk_test_sandbox_euw3", PublishableKey: "pk_test_sandbox_euw3", WebhookSecret: "whsec_sandbox_euw3", BaseURL: h.paying, Timeout: 5 * time.Second}),
		},
		Mails: mails, Accounts: &account.Service{Store: h.store, Key: admits.Key()}, Log: h.store,
		Search:  &search.Service{Index: index, Hints: h.store, Now: time.Now},
		Answers: h.store, Reports: h.store, SeatMaps: h.store, Copies: h.store, Topology: func() *topology.Snapshot { return h.town }, Signer: own,
		Access: admits, ControlKeys: []ed25519.PublicKey{control.Public()}, Health: &httpd.Health{}, Metrics: prometheus.NewRegistry(), Now: time.Now,
	}
	if err := h.server.Checkout.Register(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.server.Checkout.Runs.Work(ctx, func(error) {})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

func (h *house) openSandbox(t testing.TB) {
	t.Helper()
	box, err := sandbox.Open(sandbox.Config{
		StateDir: t.TempDir(), Accounts: []sandbox.Account{sandbox.AccountOf("euw3", h.url+"/v1/payments/stripe/webhook?cell=euw3")}, RetryBase: 10 * time.Millisecond, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	serving := httptest.NewServer(box.Handler())
	t.Cleanup(func() {
		serving.Close()
		_ = box.Close(context.WithoutCancel(t.Context()))
	})
	h.paying = serving.URL
}

// tryStage is stage unless the cell refuses the event.
func (h *house) tryStage(t testing.TB, body object) (client.Event, bool) {
	t.Helper()
	e, ok := h.tryDraft(t, body)
	if ok {
		h.announce(t, search.NewDocument(e, true))
	}
	return e, ok
}

// tryDraft publishes an event, unless the cell refuses it, and the search does not hear.
func (h *house) tryDraft(t testing.TB, body object) (client.Event, bool) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", h.url+"/v1/organizers/"+h.org+"/events", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+h.key)
	r.Header.Set("Idempotency-Key", rand.Text())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode == http.StatusInternalServerError {
		t.Fatalf("%d %s %v", resp.StatusCode, out, err)
	}
	if resp.StatusCode != http.StatusCreated {
		return client.Event{}, false
	}
	return read[client.Event](t, out), true
}

// call makes one of the cell's calls, which must succeed.
func (h *house) call(t testing.TB, method, path string, body any, bearer string) []byte {
	t.Helper()
	var content io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, h.url+path, content)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	r.Header.Set("Idempotency-Key", rand.Text())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode > 299 {
		t.Fatalf("%s %s: %d %s %v", method, path, resp.StatusCode, out, err)
	}
	return out
}

func read[T any](t testing.TB, body []byte) T {
	t.Helper()
	var out T
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return out
}

type object = map[string]any

func eur(amount int64) object { return object{"amount": amount, "currency": "EUR"} }

// concert is an event as its organizer sends it, with changes.
func concert(changes object) object {
	e := object{
		"name": "Symphonie fantastique", "summary": "Hector Berlioz: la Symphonie fantastique, précédée du Carnaval romain.\n\nOrchestre de Paris.", "category": "music",
		"venue":     object{"name": "Salle Pleyel", "address": "252 Rue du Faubourg Saint-Honoré", "city": "Paris", "country": "FR", "location": object{"lat": 48.8771, "lon": 2.3009}, "capacity": 1913},
		"starts_at": time.Now().UTC().AddDate(0, 2, 0).Truncate(time.Hour), "ends_at": time.Now().UTC().AddDate(0, 2, 0).Truncate(time.Hour).Add(2 * time.Hour), "time_zone": "Europe/Paris", "currency": "EUR",
		"quotas": []object{{"name": "floor", "size": 100}, {"name": "balcony", "size": 5}},
		"ticket_types": []object{
			{"name": "Catégorie 1", "price": eur(7200), "fees": eur(250), "quotas": []string{"floor"}, "max_per_order": 10, "tax": object{"basis_points": 550}},
			{"name": "Balcon", "price": eur(4000), "quotas": []string{"balcony"}, "max_per_order": 4},
			{"name": "Invitation", "price": eur(0), "quotas": []string{"floor"}, "max_per_order": 4},
		},
		"publish": true,
	}
	maps.Copy(e, changes)
	return e
}

// stage publishes an event and lets the search know of it.
func (h *house) stage(t testing.TB, changes object) client.Event {
	t.Helper()
	e := read[client.Event](t, h.call(t, "POST", "/v1/organizers/"+h.org+"/events", concert(changes), h.key))
	h.announce(t, search.NewDocument(e, true))
	return e
}

// announce does what bus, intake and indexer do in a town.
func (h *house) announce(t testing.TB, docs ...search.Document) {
	t.Helper()
	if err := h.store.PutDocuments(t.Context(), search.Consumer, rand.Text(), docs); err != nil {
		t.Fatal(err)
	}
	if err := h.indexer.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// visitor is a browser without JavaScript, which keeps cookies.
type visitor struct {
	h      *house
	client *http.Client
	lang   string
}

// loopback lets cookies marked Secure go over http on this machine, as browsers do.
type loopback struct{ *cookiejar.Jar }

func secure(u *url.URL) *url.URL {
	s := *u
	s.Scheme = "https"
	return &s
}

func (j loopback) SetCookies(u *url.URL, c []*http.Cookie) { j.Jar.SetCookies(secure(u), c) }
func (j loopback) Cookies(u *url.URL) []*http.Cookie       { return j.Jar.Cookies(secure(u)) }

func (h *house) visitor(t testing.TB) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{h, &http.Client{Jar: loopback{jar}, Timeout: 30 * time.Second}, "en"}
}

// page is what a visitor sees.
type page struct {
	status int
	header http.Header
	body   string
	at     *url.URL
}

func (v *visitor) do(t testing.TB, method, where string, form url.Values, header ...string) page {
	t.Helper()
	body := io.Reader(http.NoBody)
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	if strings.HasPrefix(where, "/") {
		where = v.h.url + where
	}
	r, err := http.NewRequestWithContext(t.Context(), method, where, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Accept-Language", v.lang)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", v.h.url)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := v.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return page{resp.StatusCode, resp.Header, string(text), resp.Request.URL}
}

func (v *visitor) get(t testing.TB, where string) page {
	t.Helper()
	return v.do(t, "GET", where, nil)
}

// says fails the test when the page does not have the status and all the texts.
func (p page) says(t testing.TB, status int, texts ...string) page {
	t.Helper()
	if p.status != status {
		t.Fatalf("%s: %d, want %d: %.3000s", p.at, p.status, status, p.body)
	}
	plain := html.UnescapeString(p.body)
	for _, text := range texts {
		if !strings.Contains(plain, text) {
			t.Fatalf("%s does not say %q: %s", p.at, text, p.body)
		}
	}
	return p
}

var formPattern = regexp.MustCompile(`(?s)<form[^>]*\baction="([^"]*)"[^>]*>(.*?)</form>`)

// send sends the page's form whose action has a word in it.
func (v *visitor) send(t testing.TB, p page, action string, with url.Values) page {
	t.Helper()
	for _, m := range formPattern.FindAllStringSubmatch(p.body, -1) {
		if strings.Contains(m[1], action) {
			u, err := p.at.Parse(html.UnescapeString(m[1]))
			if err != nil {
				t.Fatal(err)
			}
			return v.do(t, "POST", u.String(), with)
		}
	}
	t.Fatalf("%s has no form to %s: %s", p.at, action, p.body)
	return page{}
}

var hrefPattern = regexp.MustCompile(`href="([^"]*)"`)

// linkTo is the page's link whose address ends in a text.
func linkTo(t testing.TB, p page, end string) string {
	t.Helper()
	for _, m := range hrefPattern.FindAllStringSubmatch(p.body, -1) {
		if strings.HasSuffix(html.UnescapeString(m[1]), end) {
			return html.UnescapeString(m[1])
		}
	}
	t.Fatalf("%s has no link to %s: %s", p.at, end, p.body)
	return ""
}

// assetIn is where a page's file is.
func assetIn(t testing.TB, p page, name string) string {
	t.Helper()
	stem, ext, _ := strings.Cut(name, ".")
	m := regexp.MustCompile(`/assets/` + stem + `\.[A-Za-z0-9_-]+\.` + ext).FindString(p.body)
	if m == "" {
		t.Fatalf("%s has no %s", p.at, name)
	}
	return m
}
