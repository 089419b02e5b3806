package account_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/cell/access"
	domain "guichet/cell/account"
	"guichet/cell/id"
	"guichet/cell/letter"
	"guichet/cell/web/account"
	"guichet/control-plane/topology"
	"guichet/internal/signed"
	"guichet/internal/txn"
)

// guests is an organizer's account in memory, and what the cell's pages ask about it.
type guests struct {
	domain.Store
	service *domain.Service
	mu      sync.Mutex
	a       domain.Account
	key     domain.Key
	now     func() time.Time
	keys    signed.Keys
}

func (g *guests) ChangeAccount(_ context.Context, _ txn.Tx, _ id.Organizer, decide func(a *domain.Account, now time.Time) error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.a
	a.Members, a.Invitations, a.Keys = slices.Clone(a.Members), slices.Clone(a.Invitations), slices.Clone(a.Keys)
	if err := decide(&a, g.now()); err != nil {
		return err
	}
	g.a.Keys = append(g.a.Keys, a.Changes.Keys...)
	g.a.Members = append(g.a.Members, a.Changes.Members...)
	for _, inv := range a.Changes.Invitations {
		g.a.Invitations = append(slices.DeleteFunc(g.a.Invitations, func(i domain.Invitation) bool { return i.ID == inv.ID }), inv)
	}
	return nil
}

func (*guests) PostInvitation(context.Context, txn.Tx, domain.Invitation) error { return nil }

func (g *guests) Open(token string) (string, topology.CellID, error) {
	of, err := domain.OpenInvitation(token, g.keys)
	return of.String(), of.Key().Birth, err
}

func (g *guests) Look(ctx context.Context, p access.Person, token string) (account.Offer, error) {
	return g.ask(ctx, g.service.Look, p, token)
}

func (g *guests) Accept(r *http.Request, p access.Person, token string) (account.Offer, error) {
	offer, err := g.ask(r.Context(), func(ctx context.Context, who domain.Identity, of id.Invitation, token string) (domain.Member, bool, error) {
		return g.service.Accept(ctx, txn.None, who, of, token)
	}, p, token)
	offer.Member = true
	return offer, err
}

func (g *guests) ask(ctx context.Context, what func(context.Context, domain.Identity, id.Invitation, string) (domain.Member, bool, error), p access.Person, token string) (account.Offer, error) {
	of, err := domain.OpenInvitation(token, g.keys)
	if err != nil {
		return account.Offer{}, err
	}
	m, fresh, err := what(ctx, domain.Identity{Issuer: p.Issuer, Subject: p.Subject, Email: p.Email, Name: p.Name}, of, token)
	return account.Offer{Organizer: "Salle <Pleyel>", Role: string(m.Role), Email: m.Identity.Email, Member: !fresh}, err
}

func (g *guests) members() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.a.Members)
}

// invite gives an invitation and its token.
func (g *guests) invite(t *testing.T, email string, role access.Role) (domain.Invitation, string) {
	t.Helper()
	inv, err := g.service.Invite(t.Context(), txn.None, g.a.Organizer, domain.By{Key: g.key.ID}, domain.Asked{Email: email, Role: role})
	if err != nil {
		t.Fatal(err)
	}
	return inv, inv.Token(g.service.Key)
}

// invites is a cell that has an organizer with a key.
func invites(t *testing.T) (*world, *guests) {
	t.Helper()
	w, _ := openOwn(t)
	g := &guests{a: domain.Account{Organizer: id.NewOrganizer("euw3")}, now: w.clock.now, keys: w.signer.Keys(nil)}
	g.service = &domain.Service{Store: g, Key: w.signer.Key(), Post: g}
	var err error
	if g.key, err = g.service.OpenFirst(t.Context(), txn.None, g.a.Organizer, "an operator"); err != nil {
		t.Fatal(err)
	}
	w.guests = g
	w.serve(t, w.signer)
	return w, g
}

func (w *world) invitation() string { return w.site.URL + letter.InvitationPage + "?cell=euw3" }

// opens opens an invitation's link as a browser does whose script posts the token.
func (w *world) opens(t *testing.T, b *browser, token string) answer {
	t.Helper()
	page := b.get(t, w.invitation()) // what is behind the # stays in the browser
	csp := page.header.Get("Content-Security-Policy")
	if page.status != 200 || !strings.Contains(page.body, `<script src="/account/invitation.js" defer></script>`) ||
		!strings.Contains(csp, "script-src 'self'") || strings.Contains(csp, "unsafe") || !strings.Contains(page.body, `name="token"`) {
		t.Fatalf("%d %s %s", page.status, csp, page.body)
	}
	return b.do(t, "POST", w.invitation(), url.Values{"token": {token}}, "Origin", w.site.URL)
}

// signsIn follows an invitation's page to the issuer and back.
func (w *world) signsIn(t *testing.T, b *browser, page answer, email string) answer {
	t.Helper()
	where := w.site.URL + "/account/sign-in?cell=euw3&next=%2Faccount%2Finvitation%3Fcell%3Deuw3"
	if !strings.Contains(page.body, `href="`+strings.ReplaceAll(strings.TrimPrefix(where, w.site.URL), "&", "&amp;")+`"`) {
		t.Fatalf("the page leads to no sign-in: %s", page.body)
	}
	page = w.house.choose(t, b, b.get(t, where), email)
	if page.at.String() != w.invitation() {
		t.Fatalf("the sign-in led to %s: %s", page.at, page.body)
	}
	return page
}

func (w *world) accepts(t *testing.T, b *browser, page answer) answer {
	t.Helper()
	return b.do(t, "POST", page.formAction(t), url.Values{"invitation": {page.fields().Get("invitation")}}, "Origin", w.site.URL)
}

func TestInvitation_leadsFromItsMailToAMembership(t *testing.T) {
	w, g := invites(t)
	var asked, logged bytes.Buffer
	var mu sync.Mutex
	inner := w.site.Config.Handler
	w.site.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked.WriteString(r.Method + " " + r.URL.String() + " " + r.Referer() + "\n")
		mu.Unlock()
		inner.ServeHTTP(rw, r)
	})
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() { slog.SetDefault(before) })

	_, token := g.invite(t, "ada@example.org", access.Events)
	b := newBrowser(t)
	kept := w.opens(t, b.still(), token)
	cookie := kept.header.Get("Set-Cookie")
	for _, part := range []string{"__Host-guichet_invitation=", "Path=/;", "Max-Age=3600", "HttpOnly", "Secure", "SameSite=Lax"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("%s lacks %s", cookie, part)
		}
	}
	if kept.status != 303 || kept.location(t) != "/account/invitation?cell=euw3" {
		t.Fatalf("%d %v", kept.status, kept.header)
	}
	page := b.get(t, w.invitation())
	for _, secret := range []string{"Pleyel", "events", "ada@", token} {
		if strings.Contains(page.body, secret) {
			t.Errorf("who is not signed in sees %s: %s", secret, page.body)
		}
	}
	page = w.signsIn(t, b, page, "ada@example.org")
	for _, said := range []string{"Salle &lt;Pleyel&gt;", "<dd>events</dd>", "<dd>ada@example.org</dd>", "<button>Accept</button>"} {
		if !strings.Contains(page.body, said) {
			t.Errorf("who is signed in does not see %s: %s", said, page.body)
		}
	}
	if g.members() != 0 {
		t.Fatal("looking made a member")
	}
	page = w.accepts(t, b, page)
	if page.status != 200 || !strings.Contains(page.body, "You are a member") || !strings.Contains(page.body, "<dd>events</dd>") || !strings.Contains(page.body, "Salle &lt;Pleyel&gt;") {
		t.Errorf("%d %s", page.status, page.body)
	}
	if g.members() != 1 || g.a.Members[0].Identity.Email != "ada@example.org" || g.a.Members[0].Role != access.Events {
		t.Errorf("%+v", g.a.Members)
	}
	if b.cookie(t, w.site.URL, "__Host-guichet_invitation") != "" {
		t.Error("the token is still held")
	}
	w.opens(t, newBrowser(t), token[:len(token)-8]+"AAAAAAAA") // is refused, and that is logged
	mu.Lock()
	defer mu.Unlock()
	if secret := token[len("inv1."):]; strings.Contains(asked.String(), secret[:40]) || strings.Contains(logged.String(), secret[:40]) || !strings.Contains(logged.String(), "invitation_not_found") {
		t.Errorf("addresses:\n%s\nlog:\n%s", asked.String(), logged.String())
	}
}

func TestInvitation_isForItsAddressAlone(t *testing.T) {
	w, g := invites(t)
	_, token := g.invite(t, "ada@example.org", access.Events)
	b := newBrowser(t)
	page := w.signsIn(t, b, w.opens(t, b, token), "drew@example.org")
	if page.status != 403 || !strings.Contains(page.body, "other_address") || strings.Contains(page.body, "Pleyel") || strings.Contains(page.body, "ada@") || strings.Contains(page.body, "Accept<") {
		t.Errorf("%d %s", page.status, page.body)
	}
	// Whoever leaves the page out meets the same decision.
	inv, token := g.invite(t, "olivia@example.org", access.Owner)
	b.set(t, w.site.URL, "__Host-guichet_invitation", token)
	if a := b.post(t, w.site.URL+"/account/invitation/accept?cell=euw3", url.Values{"invitation": {inv.ID.String()}}); a.status != 403 || !strings.Contains(a.body, "other_address") || g.members() != 0 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestInvitation_saysWhyItCannotBeAccepted(t *testing.T) {
	w, g := invites(t)
	b := w.signedIn(t, "ada@example.org")
	refuse := func(what, token, why string) {
		t.Helper()
		if a := w.opens(t, b, token); a.status != 404 || !strings.Contains(a.body, why) || !strings.Contains(a.body, "invitation_not_found") {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
		if b.cookie(t, w.site.URL, "__Host-guichet_invitation") != "" {
			t.Errorf("%s: the token is still held", what)
		}
	}
	inv, token := g.invite(t, "ada@example.org", access.Door)
	at := len(token) - 30
	refuse("damaged", token[:at]+map[bool]string{true: "B", false: "A"}[token[at] == 'A']+token[at+1:], "cannot be accepted")
	refuse("an id", inv.ID.String(), "cannot be accepted")
	refuse("none", "", "cannot be accepted")
	refuse("very long", strings.Repeat("x", 9000), "cannot be accepted")
	refuse("of another key", inv.Token(accessSigner(t, 9).Key()), "cannot be accepted")
	if _, _, err := g.service.Withdraw(t.Context(), txn.None, g.a.Organizer, domain.By{Key: g.key.ID}, inv.ID); err != nil {
		t.Fatal(err)
	}
	refuse("withdrawn", token, "was withdrawn")

	inv, token = g.invite(t, "ada@example.org", access.Reader)
	page := w.opens(t, b, "https://tickets.example/account/invitation?cell=euw3#"+token) // entered by hand
	if a := w.accepts(t, b, page); a.status != 200 || g.members() != 1 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := w.opens(t, b, token); a.status != 200 || !strings.Contains(a.body, "You are a member") || g.members() != 1 {
		t.Errorf("the same person again: %d %s", a.status, a.body)
	}
	// Another person of the same address, as another issuer would say.
	if _, _, err := g.service.Accept(t.Context(), txn.None, domain.Identity{Issuer: "https://other.example", Subject: "x", Email: "ada@example.org"}, inv.ID, token); err == nil {
		t.Error("it made another person a member")
	}
	_, token = g.invite(t, "drew@example.org", access.Reader)
	if _, _, err := g.service.Accept(t.Context(), txn.None, domain.Identity{Issuer: "https://other.example", Subject: "x", Email: "drew@example.org"}, g.a.Invitations[len(g.a.Invitations)-1].ID, token); err != nil {
		t.Fatal(err)
	}
	b = w.signedIn(t, "drew@example.org")
	refuse("used", token, "was accepted already")

	_, token = g.invite(t, "felix@example.org", access.Finance)
	g.now = func() time.Time { return time.Now().Add(domain.InvitationLife + time.Minute) } // the database is later than the sign-in
	late := newBrowser(t)
	if a := w.signsIn(t, late, w.opens(t, late, token), "felix@example.org"); a.status != 404 || !strings.Contains(a.body, "expired") {
		t.Errorf("expired: %d %s", a.status, a.body)
	}
}

func TestInvitation_heedsNoOtherSitesForm(t *testing.T) {
	w, g := invites(t)
	inv, token := g.invite(t, "ada@example.org", access.Events)
	b := w.signedIn(t, "ada@example.org")
	for _, from := range [][]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Origin", "null"}} {
		if a := b.do(t, "POST", w.invitation(), url.Values{"token": {token}}, from...); a.status != 403 || b.cookie(t, w.site.URL, "__Host-guichet_invitation") != "" {
			t.Errorf("%v: the token of another site's form is held: %d", from, a.status)
		}
	}
	page := w.opens(t, b, token)
	form := url.Values{"invitation": {inv.ID.String()}}
	for _, from := range [][]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Origin", "null"}} {
		if a := b.do(t, "POST", page.formAction(t), form, from...); a.status != 403 || !strings.Contains(a.body, "cross_origin_form") || g.members() != 0 {
			t.Errorf("%v: %d, %d members", from, a.status, g.members())
		}
	}
	// The button accepts what its page showed, whatever was opened since.
	_, other := g.invite(t, "olivia@example.org", access.Owner)
	b.set(t, w.site.URL, "__Host-guichet_invitation", other)
	if a := b.still().post(t, page.formAction(t), form); a.status != 303 || g.members() != 0 {
		t.Errorf("%d, %d members", a.status, g.members())
	}
	nobody := newBrowser(t)
	nobody.set(t, w.site.URL, "__Host-guichet_invitation", token)
	if a := nobody.still().post(t, page.formAction(t), form); a.status != 303 || a.location(t) != "/account/invitation?cell=euw3" || g.members() != 0 {
		t.Errorf("who is not signed in: %d", a.status)
	}
}

func TestInvitation_leadsToNoOtherSite(t *testing.T) {
	w, g := invites(t)
	_, token := g.invite(t, "ada@example.org", access.Events)
	for _, cell := range []string{"//evil.example", "https://evil.example", "euw3&next=https://evil.example", "use1", "\r\nLocation: https://evil.example", `"><script>`} {
		b := newBrowser(t)
		at := w.site.URL + letter.InvitationPage + "?" + url.Values{"cell": {cell}, "next": {"https://evil.example"}}.Encode()
		if a := b.still().post(t, at, url.Values{"token": {token}, "next": {"https://evil.example"}}); a.status != 303 || a.location(t) != "/account/invitation?cell=euw3" {
			t.Errorf("%q leads to %q", cell, a.header.Get("Location"))
		}
		if a := b.get(t, at); strings.Contains(a.body, "evil") || strings.Contains(a.body, `"><script>`) || !strings.Contains(a.body, "/account/sign-in?cell=euw3&amp;next=%2Faccount%2Finvitation%3Fcell%3Deuw3") {
			t.Errorf("%q: %s", cell, a.body)
		}
	}
}

// An invitation of another cell's organizer goes on to that cell, and no further when the
// way there ends here.
func TestInvitation_goesOnToItsCell(t *testing.T) {
	w, g := invites(t)
	far, err := access.NewSigner("use1", 1, bytes.Repeat([]byte{2}, signed.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	own := g.keys
	g.keys = func(kid string) (ed25519.PublicKey, bool) {
		if key, known := own(kid); known {
			return key, true
		}
		return far.Keys(nil)(kid)
	}
	token := (&domain.Invitation{ID: id.NewInvitation(id.NewOrganizer("use1"))}).Token(far.Key())
	b := newBrowser(t)
	if a := b.still().post(t, w.invitation(), url.Values{"token": {token}}); a.status != 303 || a.location(t) != "/account/invitation?cell=use1" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	if a := b.still().get(t, w.invitation()); a.status != 303 || a.location(t) != "/account/invitation?cell=use1" {
		t.Errorf("%d %v", a.status, a.header)
	}
	if a := b.still().get(t, w.site.URL+"/account/invitation?cell=use1"); a.status != 503 || !strings.Contains(a.body, "use1") || b.cookie(t, w.site.URL, "__Host-guichet_invitation") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestInvitationScript_takesTheTokenOutOfTheAddress(t *testing.T) {
	w, _ := invites(t)
	a := newBrowser(t).get(t, w.site.URL+"/account/invitation.js")
	if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/javascript") || !strings.Contains(a.body, "location.hash") || !strings.Contains(a.body, "replaceState") {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
	for _, path := range []string{"/account", "/account/link?token=x"} {
		rec := httptest.NewRecorder()
		w.pages.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", path, http.NoBody))
		if csp := rec.Header().Get("Content-Security-Policy"); strings.Contains(csp, "script-src") {
			t.Errorf("%s admits scripts: %s", path, csp)
		}
	}
}
