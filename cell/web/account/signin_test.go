package account_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"guichet/cell/access"
	"guichet/cell/identity"
	"guichet/cell/web/account"
	"guichet/internal/signed"
)

func TestSignIn_makesThePersonThatTheIssuerVouchesFor(t *testing.T) {
	everyHouse(t, func(t *testing.T, w *world) {
		b := newBrowser(t)
		page := w.signIn(t, b, "oscar@example.org", "/account?tab=1")
		if page.status != 200 || page.at.RequestURI() != "/account?tab=1" || !strings.Contains(page.body, "oscar@example.org") {
			t.Fatalf("%d %s %s", page.status, page.at, page.body)
		}
		p := w.session(t, b)
		if p.Issuer != w.house.url() || p.Email != "oscar@example.org" || p.Name != "Oscar Operator" || p.ACR == "" || p.Session == "" || !slices.Equal(p.Roles, []string{"operator"}) {
			t.Errorf("%+v", p)
		}
		if left := time.Until(p.Expires); left > access.PersonLife || left < access.PersonLife-time.Minute {
			t.Errorf("the session lasts %s", left)
		}
		if got := w.session(t, w.signedIn(t, "ada@example.org")); len(got.Roles) != 0 || got.Subject == p.Subject || got.Session == p.Session {
			t.Errorf("an attendee is %+v", got)
		}
		if got := w.session(t, w.signedIn(t, "drew@example.org")); !slices.Equal(got.Roles, []string{"drill"}) || got.Operates("operator") {
			t.Errorf("who drills is %+v", got)
		}
	})
}

func TestSignIn_setsCookiesThatOnlyThisHostGetsBack(t *testing.T) {
	w, _ := openOwn(t)
	b := newBrowser(t)
	start := b.still().get(t, w.site.URL+"/account/sign-in")
	back := w.house.choose(t, b.still(), b.get(t, start.location(t)), "ada@example.org")
	for range 3 { // the issuer's own redirects, then ours
		if back = b.still().get(t, absolute(t, back)); strings.Contains(strings.Join(back.header.Values("Set-Cookie"), ";"), account.SessionCookie) {
			break
		}
	}
	for _, a := range []answer{start, back} {
		for _, c := range a.header.Values("Set-Cookie") {
			for _, want := range []string{"__Host-guichet_", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/"} {
				if !strings.Contains(c, want) {
					t.Errorf("%q lacks %q", c, want)
				}
			}
			if strings.Contains(c, "Domain") {
				t.Errorf("%q has a domain", c)
			}
		}
	}
	if cookie := b.cookie(t, w.site.URL, account.SessionCookie); !strings.HasPrefix(cookie, "euw3.") || strings.Contains(cookie, "per1") || len(cookie) > identity.MaxCookie {
		t.Errorf("the session's cookie is %q", cookie)
	}
	if b.cookie(t, w.site.URL, "__Host-guichet_signin") != "" {
		t.Error("the attempt's cookie is still there")
	}
	u, err := url.Parse(start.location(t))
	if err != nil {
		t.Fatal(err)
	}
	if q := u.Query(); q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 || q.Get("nonce") == "" || !strings.HasPrefix(q.Get("state"), "euw3.") || q.Get("redirect_uri") != w.site.URL+"/account/callback" {
		t.Errorf("the browser is sent to %s", u)
	}
}

func absolute(t *testing.T, a answer) string {
	t.Helper()
	u, err := a.at.Parse(a.location(t))
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

func TestPages_areStrictAndAskNoThirdParty(t *testing.T) {
	w, _ := openOwn(t)
	b := newBrowser(t)
	for _, path := range []string{"/account", "/account/callback?state=x&code=y"} {
		a := b.get(t, w.site.URL+path)
		csp := a.header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "script-src") || !strings.Contains(csp, "frame-ancestors 'none'") ||
			a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("X-Guichet-Cell") != "euw3" {
			t.Errorf("%s: %v", path, a.header)
		}
		if strings.Contains(a.body, "<script") || strings.Contains(a.body, "http://") || strings.Contains(a.body, "https://") || !strings.Contains(a.body, `lang="en"`) || !strings.Contains(a.body, "width=device-width") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}

func TestSignOut_endsTheSessionHereAndAtTheIssuer(t *testing.T) {
	everyHouse(t, func(t *testing.T, w *world) {
		b := w.signedIn(t, "ada@example.org")
		cookie := b.cookie(t, w.site.URL, account.SessionCookie)
		b.set(t, w.site.URL, access.DeviceCookie, "key")
		page := b.post(t, w.site.URL+"/account/sign-out", url.Values{})
		if page.status != 200 || page.at.String() != w.site.URL+"/account" || !strings.Contains(page.body, "You are not signed in") {
			t.Fatalf("%d %s %s", page.status, page.at, page.body)
		}
		if b.cookie(t, w.site.URL, account.SessionCookie) != "" {
			t.Error("the cookie is still there")
		}
		if b.cookie(t, w.site.URL, access.DeviceCookie) != "" {
			t.Error("the next person at this browser can open the tickets of this one")
		}
		if _, err := w.service.Session(t.Context(), cookie); !errors.Is(err, identity.ErrNoSession) {
			t.Errorf("a copy of the cookie still admits: %v", err)
		}
		if page := b.get(t, w.site.URL+"/account/sign-in"); strings.HasPrefix(page.at.String(), w.site.URL) {
			t.Errorf("the issuer signed in without asking: %s", page.at)
		}
	})
}

func TestBackChannelLogout_endsTheSessionsThatTheIssuerEnds(t *testing.T) {
	everyHouse(t, func(t *testing.T, w *world) {
		ada, dora := w.signedIn(t, "ada@example.org"), w.signedIn(t, "dora@example.org")
		if err := w.house.logOut(t.Context(), "ada@example.org"); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return !w.knows(t, ada) })
		if !w.knows(t, dora) {
			t.Error("somebody else was signed out")
		}
		if again := w.signedIn(t, "ada@example.org"); !w.knows(t, again) {
			t.Error("whoever was signed out cannot come back")
		}
	})
}

// eventually polls with a deadline.
func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); {
		if time.Now().After(deadline) {
			t.Fatal("it did not come true")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestSignIn_picksUpANewKeyOfTheIssuer(t *testing.T) {
	everyHouse(t, func(t *testing.T, w *world) {
		before := w.signedIn(t, "ada@example.org")
		if err := w.house.rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.signedIn(t, "dora@example.org")
		if !w.knows(t, before) {
			t.Error("the issuer's new key ended an old session")
		}
	})
}

func TestIssuerAway_whoIsSignedInStaysAndOthersAreToldSo(t *testing.T) {
	everyHouse(t, func(t *testing.T, w *world) {
		// A cell that starts cold with its issuer away serves, and says what is the matter.
		w.street.away.Store(true)
		cold := newBrowser(t).get(t, w.site.URL+"/account/sign-in")
		if cold.status != 503 || cold.header.Get("Retry-After") == "" || !strings.Contains(cold.body, "issuer_unavailable") || !strings.Contains(cold.body, "not possible at the moment") {
			t.Fatalf("cold: %d %v %s", cold.status, cold.header, cold.body)
		}
		w.street.away.Store(false)
		b := w.signedIn(t, "ada@example.org")
		w.street.away.Store(true)
		if !w.knows(t, b) {
			t.Error("who is signed in was signed out")
		}
		late := newBrowser(t)
		begun := late.get(t, w.site.URL+"/account/sign-in") // the issuer is away from the cell, not from the browser
		if got := w.house.choose(t, late, begun, "dora@example.org"); got.status != 503 || got.header.Get("Retry-After") == "" || w.knows(t, late) {
			t.Errorf("redeeming a code: %d %s", got.status, got.body)
		}
		if page := b.post(t, w.site.URL+"/account/sign-out", url.Values{}); page.status >= 500 || w.knows(t, b) {
			t.Errorf("signing out: %d", page.status)
		}
		w.clock.forward(access.PersonLife)
		if w.knows(t, b) {
			t.Error("a session outlived its end")
		}
	})
}

func TestSession_endsAfterTwelveHoursAndSurvivesOneChangeOfTheSeed(t *testing.T) {
	w, _ := openOwn(t)
	b := w.signedIn(t, "ada@example.org")
	second, err := accessSigner(t, 2).WithPrevious(seedOf(1))
	if err != nil {
		t.Fatal(err)
	}
	// The person's statement was signed with the key before, whose public half is still published.
	first := w.signer.Published()
	next, err := access.NewSigner("euw3", 2, seedOf(2))
	if err == nil {
		next, err = next.WithPrevious(seedOf(1), first...)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.serve(t, next)
	if !w.knows(t, b) {
		t.Error("the change of the seed signed everybody out")
	}
	w.serve(t, second)
	w.serve(t, accessSigner(t, 3))
	if w.knows(t, b) {
		t.Error("a cookie of a seed that is gone still opens")
	}
	w.serve(t, next)
	w.clock.forward(access.PersonLife - time.Minute)
	if !w.knows(t, b) {
		t.Error("the session ended too early")
	}
	w.clock.forward(2 * time.Minute)
	if w.knows(t, b) {
		t.Error("the session has no end")
	}
}

func seedOf(b byte) []byte { return []byte(strings.Repeat(string(rune(b)), signed.SeedSize)) }

func TestDeviceFlow_givesAProgramAPersonToken(t *testing.T) {
	everyHouse(t, func(t *testing.T, w *world) {
		idToken := w.device(t, "oscar@example.org")
		token, p, err := w.service.Exchange(t.Context(), idToken)
		if err != nil || p.Email != "oscar@example.org" || !p.Operates("operator") {
			t.Fatalf("%+v, %v", p, err)
		}
		got, err := access.VerifyPerson(token, w.signer.Keys(nil), time.Now())
		if err != nil || got.Session != p.Session || time.Until(got.Expires) > access.PersonLife {
			t.Errorf("%+v, %v", got, err)
		}
		if err := w.service.End(t.Context(), p); err != nil || !w.revoked.has(p) {
			t.Errorf("the session did not end: %v", err)
		}
	})
}

// device plays `guichet login`: a program asks, a person allows, the program polls.
func (w *world) device(t *testing.T, email string) (idToken string) {
	t.Helper()
	program := newBrowser(t)
	var meta struct {
		Device string `json:"device_authorization_endpoint"`
		Token  string `json:"token_endpoint"`
	}
	decode(t, program.get(t, w.house.url()+"/.well-known/openid-configuration"), &meta)
	var asked struct {
		DeviceCode string `json:"device_code"`
		Complete   string `json:"verification_uri_complete"`
	}
	decode(t, program.post(t, meta.Device, url.Values{"client_id": {"guichet-cli"}, "scope": {"openid email profile"}}), &asked)
	b := newBrowser(t)
	page := w.house.choose(t, b, b.get(t, asked.Complete), email)
	if strings.Contains(page.body, `name="accept"`) { // Keycloak asks whether the program may
		form := page.fields()
		form.Del("cancel")
		page = b.post(t, page.formAction(t), form)
	}
	var got struct {
		IDToken string `json:"id_token"`
	}
	decode(t, program.post(t, meta.Token, url.Values{"client_id": {"guichet-cli"}, "grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {asked.DeviceCode}}), &got)
	if got.IDToken == "" {
		t.Fatalf("no ID token after %s", page.body)
	}
	return got.IDToken
}

func decode(t *testing.T, a answer, into any) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("%s: %d %s", a.at, a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		t.Fatal(err, a.body)
	}
}
