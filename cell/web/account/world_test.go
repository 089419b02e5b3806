package account_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/access"
	"guichet/cell/identity"
	"guichet/cell/identity/oidc"
	"guichet/cell/web/account"
	"guichet/internal/issuer"
	"guichet/internal/keycloak"
	"guichet/internal/keycloak/keycloaktest"
	"guichet/internal/signed"
)

func TestMain(m *testing.M) { keycloaktest.Main(m) }

// house is an issuer at which a test's people sign in.
type house interface {
	url() string
	secret() string
	// choose plays the person at the issuer's page, and gives the answer after which the
	// issuer has nothing more to show.
	choose(t *testing.T, b *browser, page answer, email string) answer
	logOut(ctx context.Context, email string) error
	rotate(ctx context.Context) error
}

// own is the town's own issuer.
type own struct {
	*issuer.Issuer
	base string
}

func (o own) url() string                                    { return o.base }
func (own) secret() string                                   { return "s3cret" }
func (o own) logOut(ctx context.Context, email string) error { return o.LogOut(ctx, email) }
func (o own) rotate(context.Context) error                   { return o.Rotate() }
func (o own) choose(t *testing.T, b *browser, page answer, email string) answer {
	t.Helper()
	if page.status != 200 || !strings.Contains(page.body, email) {
		t.Fatalf("the issuer shows no people: %d %s", page.status, page.body)
	}
	for _, p := range issuer.Demo() {
		if p.Email == email {
			form := page.fields()
			form.Set("subject", p.Subject)
			return b.post(t, page.formAction(t), form)
		}
	}
	t.Fatal("nobody is called " + email)
	return answer{}
}

// cloak is a real Keycloak.
type cloak struct{ *keycloak.Server }

func (c cloak) url() string                                    { return c.Issuer() }
func (cloak) secret() string                                   { return keycloaktest.ClientSecret }
func (c cloak) logOut(ctx context.Context, email string) error { return c.LogOut(ctx, email) }
func (c cloak) rotate(ctx context.Context) error               { return c.Rotate(ctx) }
func (cloak) choose(t *testing.T, b *browser, page answer, email string) answer {
	t.Helper()
	if !strings.Contains(page.body, `name="password"`) {
		t.Fatalf("Keycloak shows no form: %d %s", page.status, page.body)
	}
	form := page.fields()
	form.Set("username", email)
	form.Set("password", keycloaktest.Password)
	return b.post(t, page.formAction(t), form)
}

// street is the way from the cell to its issuer.
type street struct {
	away   atomic.Bool
	calls  atomic.Int64
	mu     sync.Mutex
	tamper func(idToken string) string
}

func (s *street) swap(tamper func(string) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tamper = tamper
}

func (s *street) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.away.Load() {
		return nil, errors.New("the street is closed")
	}
	s.calls.Add(1)
	resp, err := http.DefaultTransport.RoundTrip(r)
	s.mu.Lock()
	tamper := s.tamper
	s.mu.Unlock()
	if err != nil || tamper == nil || r.Method != http.MethodPost {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	var tokens map[string]any
	if err == nil && json.Unmarshal(body, &tokens) == nil && tokens["id_token"] != nil {
		tokens["id_token"] = tamper(tokens["id_token"].(string))
		delete(tokens, "expires_in")
		body, err = json.Marshal(tokens)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Del("Content-Length")
	return resp, err
}

// list is a list of revocations.
type list struct {
	mu  sync.Mutex
	ids map[string]time.Time
	err error
}

func (l *list) RevokeSession(_ context.Context, session string, until time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	l.ids["sid:"+session] = until
	return nil
}

func (l *list) IsRevoked(_ context.Context, id string) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, is := l.ids[id]
	return is, nil
}

func (l *list) has(p access.Person) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, is := l.ids[p.RevocationID()]
	return is
}

// clock is a clock that a test moves.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// world is a cell's pages and the issuer that they trust.
type world struct {
	house   house
	site    *httptest.Server
	pages   *account.Pages
	service *identity.Service
	party   *oidc.Party
	street  *street
	revoked *list
	mailbox *mailbox
	clock   *clock
	signer  *access.Signer
	guests  account.Invitations
}

func ownIssuer(t *testing.T, site string) own {
	t.Helper()
	var handler atomic.Pointer[http.Handler]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*handler.Load()).ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	i, err := issuer.New(issuer.Config{URL: server.URL, SiteURL: site, ClientSecret: "s3cret", Now: time.Now, PollInterval: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	h := i.Handler()
	handler.Store(&h)
	return own{i, server.URL}
}

func accessSigner(t *testing.T, seed byte) *access.Signer {
	t.Helper()
	s, err := access.NewSigner("euw3", 1, bytes.Repeat([]byte{seed}, signed.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open opens a cell's pages at a house that build makes.
func open(t *testing.T, build func(t *testing.T, site string) house) *world {
	t.Helper()
	w := &world{street: &street{}, revoked: &list{ids: map[string]time.Time{}}, mailbox: &mailbox{used: map[string]bool{}}, clock: &clock{}, signer: accessSigner(t, 1)}
	w.site = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.pages.ServeHTTP(rw, r) }))
	w.site.Start()
	t.Cleanup(w.site.Close)
	w.house = build(t, w.site.URL)
	w.party = oidc.New(oidc.Config{
		Issuer: w.house.url(), ClientID: "guichet-cell", ClientSecret: w.house.secret(), CLI: "guichet-cli", RolesClaim: "roles",
		SiteURL: w.site.URL, Now: w.clock.now, Transport: w.street,
	})
	w.serve(t, w.signer)
	return w
}

// serve starts the cell again, with other keys.
func (w *world) serve(t *testing.T, signer *access.Signer) {
	t.Helper()
	var err error
	w.service, err = identity.New(identity.Config{
		Cell: "euw3", Issuer: w.party, Signer: signer, Keys: func() signed.Keys { return signer.Keys(nil) }, Revocations: w.revoked, Mailbox: w.mailbox, Now: w.clock.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.pages, err = account.New(account.Config{Cell: "euw3", Identity: w.service, SiteURL: w.site.URL, Issuer: w.house.url(), Invitations: w.guests}); err != nil {
		t.Fatal(err)
	}
}

func openOwn(t *testing.T) (*world, own) {
	t.Helper()
	w := open(t, func(t *testing.T, site string) house { return ownIssuer(t, site) })
	return w, w.house.(own)
}

// everyHouse runs a test at the town's own issuer and at a real Keycloak.
func everyHouse(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("own issuer", func(t *testing.T) {
		w, _ := openOwn(t)
		test(t, w)
	})
	t.Run("Keycloak", func(t *testing.T) {
		server := keycloaktest.Start(t, t.Name())
		test(t, open(t, func(t *testing.T, site string) house {
			if err := server.Serve(t.Context(), site); err != nil {
				t.Fatal(err)
			}
			return cloak{server}
		}))
	})
}

// browser keeps cookies as a browser on this machine does: it takes http on the
// loopback for secure.
type browser struct{ client *http.Client }

type loopbackJar struct{ *cookiejar.Jar }

func secure(u *url.URL) *url.URL {
	s := *u
	s.Scheme = "https"
	return &s
}

func (j loopbackJar) SetCookies(u *url.URL, c []*http.Cookie) { j.Jar.SetCookies(secure(u), c) }
func (j loopbackJar) Cookies(u *url.URL) []*http.Cookie       { return j.Jar.Cookies(secure(u)) }

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{&http.Client{Jar: loopbackJar{jar}, Timeout: 30 * time.Second}}
}

// still is the browser, but it does not follow redirects.
func (b *browser) still() *browser {
	c := *b.client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{&c}
}

func (b *browser) cookie(t *testing.T, base, name string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (b *browser) set(t *testing.T, base, name, value string) {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
}

type answer struct {
	status int
	header http.Header
	body   string
	at     *url.URL
}

func (a answer) location(t *testing.T) string {
	t.Helper()
	where := a.header.Get("Location")
	if where == "" {
		t.Fatalf("%d leads nowhere: %s", a.status, a.body)
	}
	return where
}

var (
	actionPattern = regexp.MustCompile(`(?s)<form[^>]*\baction="([^"]*)"`)
	inputPattern  = regexp.MustCompile(`(?s)<input[^>]*>`)
	namePattern   = regexp.MustCompile(`\bname="([^"]*)"`)
	valuePattern  = regexp.MustCompile(`\bvalue="([^"]*)"`)
)

func (a answer) formAction(t *testing.T) string {
	t.Helper()
	m := actionPattern.FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("%s shows no form: %s", a.at, a.body)
	}
	u, err := a.at.Parse(html.UnescapeString(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

// fields are the form's inputs as they are.
func (a answer) fields() url.Values {
	form := url.Values{}
	for _, input := range inputPattern.FindAllString(a.body, -1) {
		name, value := namePattern.FindStringSubmatch(input), valuePattern.FindStringSubmatch(input)
		if name != nil && value != nil {
			form.Set(html.UnescapeString(name[1]), html.UnescapeString(value[1]))
		}
	}
	return form
}

func (b *browser) do(t *testing.T, method, where string, form url.Values, header ...string) answer {
	t.Helper()
	body := io.Reader(http.NoBody)
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(t.Context(), method, where, body)
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text), resp.Request.URL}
}

func (b *browser) get(t *testing.T, where string) answer {
	t.Helper()
	return b.do(t, "GET", where, nil)
}

func (b *browser) post(t *testing.T, where string, form url.Values) answer {
	t.Helper()
	return b.do(t, "POST", where, form)
}

// signIn signs a person in and gives the page on which the browser ends.
func (w *world) signIn(t *testing.T, b *browser, email, next string) answer {
	t.Helper()
	page := b.get(t, w.site.URL+"/account/sign-in?"+url.Values{"next": {next}}.Encode())
	return w.house.choose(t, b, page, email)
}

// signedIn is a browser in which a person is signed in.
func (w *world) signedIn(t *testing.T, email string) *browser {
	t.Helper()
	b := newBrowser(t)
	if page := w.signIn(t, b, email, ""); page.status != 200 || !strings.Contains(page.body, "You are signed in") {
		t.Fatalf("%s was not signed in: %d %s", email, page.status, page.body)
	}
	return b
}

func (w *world) knows(t *testing.T, b *browser) bool {
	t.Helper()
	return strings.Contains(b.get(t, w.site.URL+"/account").body, "You are signed in")
}

// session is who a browser's cookie says is there.
func (w *world) session(t *testing.T, b *browser) access.Person {
	t.Helper()
	s, err := w.service.Session(t.Context(), b.cookie(t, w.site.URL, account.SessionCookie))
	if err != nil {
		t.Fatal(err)
	}
	return s.Person
}
