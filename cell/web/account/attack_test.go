package account_test

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"guichet/cell/access"
	"guichet/cell/identity"
	"guichet/cell/web/account"
)

// begun is a browser that the issuer has sent back, but that has not told the cell yet.
func (w *world) begun(t *testing.T, b *browser, email string) (callback string) {
	t.Helper()
	a := w.house.choose(t, b.still(), b.get(t, w.site.URL+"/account/sign-in"), email)
	for !strings.HasPrefix(absolute(t, a), w.site.URL) {
		a = b.still().get(t, absolute(t, a))
	}
	return absolute(t, a)
}

func (w *world) refuses(t *testing.T, b *browser, what, where string, status int, code string) {
	t.Helper()
	before := w.knows(t, b)
	if a := b.get(t, where); a.status != status || !strings.Contains(a.body, code) || w.knows(t, b) != before {
		t.Errorf("%s: %d, want %d %s: %s", what, a.status, status, code, a.body)
	}
}

func TestCallback_refusesTheStateOfAnotherBrowser(t *testing.T) {
	w, _ := openOwn(t)
	attacker, victim := newBrowser(t), newBrowser(t)
	forAttacker := w.begun(t, attacker, "drew@example.org")
	w.refuses(t, victim, "without a sign-in of its own", forAttacker, 400, "sign_in_attempt_invalid")
	forVictim := w.begun(t, victim, "ada@example.org")
	w.refuses(t, victim, "in place of its own", forAttacker, 400, "sign_in_attempt_invalid")
	theirs, err := url.Parse(forAttacker)
	if err != nil {
		t.Fatal(err)
	}
	if a := victim.get(t, forVictim); !strings.Contains(a.body, "ada@example.org") {
		t.Errorf("the attack ended the sign-in that went on: %d %s", a.status, a.body)
	}
	// With its own state, but the attacker's code: PKCE and the nonce bind the code.
	other := newBrowser(t)
	own, err := url.Parse(w.begun(t, other, "ada@example.org"))
	if err != nil {
		t.Fatal(err)
	}
	q := own.Query()
	q.Set("code", theirs.Query().Get("code"))
	own.RawQuery = q.Encode()
	w.refuses(t, other, "another's code", own.String(), 401, "sign_in_refused")
}

func TestCallback_isGoodForOneTimeAndTenMinutes(t *testing.T) {
	w, _ := openOwn(t)
	b := newBrowser(t)
	callback := w.begun(t, b, "ada@example.org")
	attempt := b.cookie(t, w.site.URL, "__Host-guichet_signin")
	if a := b.get(t, callback); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	thief := newBrowser(t)
	thief.set(t, w.site.URL, "__Host-guichet_signin", attempt)
	w.refuses(t, thief, "a replay with a copy of the cookie", callback, 400, "sign_in_attempt_invalid")
	// Another process of the cell does not know that it was used; the issuer does.
	w.serve(t, w.signer)
	w.refuses(t, thief, "a replay at another process", callback, 401, "sign_in_refused")

	late := newBrowser(t)
	callback = w.begun(t, late, "ada@example.org")
	w.clock.forward(identity.AttemptLife + time.Second)
	w.refuses(t, late, "eleven minutes later", callback, 400, "sign_in_attempt_invalid")
}

func TestCallback_refusesWhatTheIssuerDidNotVouchFor(t *testing.T) {
	w, o := openOwn(t)
	w.refuses(t, newBrowser(t), "nothing", w.site.URL+"/account/callback", 400, "sign_in_attempt_invalid")
	for name, c := range map[string]struct {
		change func(q url.Values)
		status int
		code   string
	}{
		"the issuer's refusal":          {func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }, 401, "sign_in_refused"},
		"a made-up code":                {func(q url.Values) { q.Set("code", "made-up") }, 401, "sign_in_refused"},
		"another issuer's answer":       {func(q url.Values) { q.Set("iss", "https://evil.example") }, 400, "sign_in_attempt_invalid"},
		"this issuer's, and it says so": {func(q url.Values) { q.Set("iss", o.base) }, 200, "You are signed in"},
	} {
		b := newBrowser(t)
		u, err := url.Parse(w.begun(t, b, "ada@example.org"))
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		c.change(q)
		u.RawQuery = q.Encode()
		if a := b.get(t, u.String()); a.status != c.status || !strings.Contains(a.body, c.code) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	b := newBrowser(t)
	if a := w.signIn(t, b, "uma@example.org", ""); a.status != 403 || !strings.Contains(a.body, "email_not_verified") || w.knows(t, b) {
		t.Errorf("an address that was not verified: %d %s", a.status, a.body)
	}
}

func TestCallback_refusesForgedIDTokens(t *testing.T) {
	w, o := openOwn(t)
	stranger := strangerTo(t, o)
	w.street.swap(func(good string) string { return good })
	w.signedIn(t, "ada@example.org") // the street alone breaks nothing
	var good map[string]any
	probe := func(name string, tamper func(string) string) answer {
		w.street.swap(tamper)
		b := newBrowser(t)
		a := w.signIn(t, b, "ada@example.org", "")
		if w.knows(t, b) {
			t.Errorf("%s: somebody is signed in", name)
		}
		return a
	}
	a := probe("another sign-in's nonce", func(token string) string {
		good = claimsOf(t, token)
		c := maps.Clone(good)
		c["nonce"] = "another's"
		out, err := o.Sign("JWT", c)
		if err != nil {
			t.Error(err)
		}
		return out
	})
	if a.status != 401 {
		t.Errorf("another nonce: %d %s", a.status, a.body)
	}
	for name := range forgeries(t, o, stranger, good) {
		a := probe(name, func(token string) string { return forgeries(t, o, stranger, claimsOf(t, token))[name] })
		if a.status != 401 && a.status != 403 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := probe("another access token", func(token string) string {
		c := claimsOf(t, token)
		c["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA"
		out, err := o.Sign("JWT", c)
		if err != nil {
			t.Error(err)
		}
		return out
	}); a.status != 401 {
		t.Errorf("another access token: %d", a.status)
	}
}

func TestExchange_refusesForgedIDTokensAndTheBrowsersOwn(t *testing.T) {
	w, o := openOwn(t)
	idToken := w.device(t, "oscar@example.org")
	for name, forged := range forgeries(t, o, strangerTo(t, o), claimsOf(t, idToken)) {
		if token, _, err := w.service.Exchange(t.Context(), forged); err == nil || token != "" || !errors.Is(err, identity.ErrRefused) && !errors.Is(err, identity.ErrUnverified) {
			t.Errorf("%s: %q, %v", name, token, err)
		}
	}
	browsers := claimsOf(t, idToken)
	browsers["aud"], browsers["azp"] = "guichet-cell", "guichet-cell"
	token, err := o.Sign("JWT", browsers)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.service.Exchange(t.Context(), token); !errors.Is(err, identity.ErrRefused) {
		t.Errorf("a token of the browsers' client: %v", err)
	}
	if _, _, err := w.service.Exchange(t.Context(), idToken); err != nil {
		t.Errorf("the true one: %v", err)
	}
}

func TestBackChannelLogout_refusesTokensThatDoNotHold(t *testing.T) {
	w, o := openOwn(t)
	b := w.signedIn(t, "ada@example.org")
	hint := w.idToken(t, b)
	now := time.Now()
	event := map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}
	good := map[string]any{
		"iss": o.base, "aud": "guichet-cell", "sub": hint["sub"], "sid": hint["sid"], "jti": "1", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "events": event,
	}
	sign := func(changes map[string]any) string {
		c := maps.Clone(good)
		maps.Copy(c, changes)
		maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
		token, err := o.Sign("logout+jwt", c)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	tell := func(token string) answer {
		return newBrowser(t).post(t, w.site.URL+"/account/backchannel-logout", url.Values{"logout_token": {token}})
	}
	for name, token := range map[string]string{
		"another issuer's":           sign(map[string]any{"iss": "https://evil.example"}),
		"another audience's":         sign(map[string]any{"aud": "shop"}),
		"old":                        sign(map[string]any{"iat": now.Add(-time.Hour).Unix()}),
		"of tomorrow":                sign(map[string]any{"iat": now.Add(24 * time.Hour).Unix(), "exp": now.Add(25 * time.Hour).Unix()}),
		"expired":                    sign(map[string]any{"exp": now.Add(-time.Minute).Unix()}),
		"without the event":          sign(map[string]any{"events": map[string]any{"x": map[string]any{}}}),
		"with an event that is none": sign(map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": "yes"}}),
		"without any event":          sign(map[string]any{"events": nil}),
		"with a nonce":               sign(map[string]any{"nonce": "n"}),
		"with a null nonce":          nullNonce(t, o, good),
		"without an id":              sign(map[string]any{"jti": nil}),
		"of nobody":                  sign(map[string]any{"sub": nil, "sid": nil}),
		"none":                       unsigned(t, map[string]any{"alg": "none"}, good),
		"HS256":                      hmacWithPublicKey(t, o.Issuer, good),
		"junk":                       "junk",
		"empty":                      "",
		"an ID token":                w.rawIDToken(t, b),
	} {
		if a := tell(token); a.status != 400 || !strings.Contains(a.body, "logout_token_invalid") || !w.knows(t, b) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := newBrowser(t).post(t, w.site.URL+"/account/backchannel-logout", url.Values{"logout_token": {sign(nil), sign(nil)}}); a.status != 400 {
		t.Errorf("two tokens: %d", a.status)
	}
	true1 := sign(nil)
	if a := tell(true1); a.status != 200 || a.header.Get("Cache-Control") != "no-store" || w.knows(t, b) {
		t.Fatalf("the true one: %d %s", a.status, a.body)
	}
	if a := tell(true1); a.status != 400 {
		t.Errorf("a replay: %d", a.status)
	}
}

func TestBackChannelLogout_isTriedAgainWhenItCouldNotBeKept(t *testing.T) {
	w, o := openOwn(t)
	b := w.signedIn(t, "ada@example.org")
	hint := w.idToken(t, b)
	token, err := o.LogoutToken(hint["sub"].(string), hint["sid"].(string))
	if err != nil {
		t.Fatal(err)
	}
	w.revoked.err = errors.New("no database")
	form := url.Values{"logout_token": {token}}
	if a := newBrowser(t).post(t, w.site.URL+"/account/backchannel-logout", form); a.status != 500 || strings.Contains(a.body, "no database") {
		t.Errorf("%d %s", a.status, a.body)
	}
	w.revoked.err = nil
	if a := newBrowser(t).post(t, w.site.URL+"/account/backchannel-logout", form); a.status != 200 || w.knows(t, b) {
		t.Errorf("again: %d %s", a.status, a.body)
	}
}

func nullNonce(t *testing.T, o own, good map[string]any) string {
	t.Helper()
	c := maps.Clone(good)
	c["nonce"] = nil
	token, err := o.Sign("logout+jwt", c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// rawIDToken is the token with which the session would sign out.
func (w *world) rawIDToken(t *testing.T, b *browser) string {
	t.Helper()
	s, err := w.service.Session(t.Context(), b.cookie(t, w.site.URL, account.SessionCookie))
	if err != nil || s.IDToken == "" {
		t.Fatalf("the session keeps no ID token: %v", err)
	}
	return s.IDToken
}

func (w *world) idToken(t *testing.T, b *browser) map[string]any {
	t.Helper()
	return claimsOf(t, w.rawIDToken(t, b))
}

func TestForms_ofAnotherSiteAreNotHeeded(t *testing.T) {
	w, _ := openOwn(t)
	b := w.signedIn(t, "ada@example.org")
	for name, header := range map[string][]string{
		"a foreign origin":                    {"Origin", "https://evil.example"},
		"a foreign site":                      {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		"a sibling":                           {"Sec-Fetch-Site", "same-site", "Origin", "https://evil.example"},
		"no origin, in a sandbox":             {"Sec-Fetch-Site", "cross-site", "Origin", "null"},
		"a browser without Sec-Fetch, a null": {"Origin", "null"},
	} {
		if a := b.do(t, "POST", w.site.URL+"/account/sign-out", url.Values{}, header...); a.status != 403 || !strings.Contains(a.body, "cross_origin_form") || !w.knows(t, b) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := b.get(t, w.site.URL+"/account/sign-out"); a.status != http.StatusMethodNotAllowed || !w.knows(t, b) {
		t.Errorf("a link signed out: %d", a.status)
	}
	if a := b.do(t, "POST", w.site.URL+"/account/sign-out", url.Values{}, "Origin", w.site.URL, "Sec-Fetch-Site", "same-origin"); a.status != 200 || w.knows(t, b) {
		t.Errorf("the page's own form: %d", a.status)
	}
}

func TestLocalPath_leadsNowhereElse(t *testing.T) {
	for next, want := range map[string]string{
		"":                             "/account",
		"/":                            "/",
		"/console?tab=1#top":           "/console?tab=1#top",
		"/events/évry":                 "/account", // a browser sends it escaped
		"/events/%C3%A9vry":            "/account", // decodes to what is not ASCII: harmless, and not worth a rule
		"//evil.example":               "/account",
		"///evil.example":              "/account",
		"/\\evil.example":              "/account",
		"\\\\evil.example":             "/account",
		"/%5cevil.example":             "/account",
		"/%2fevil.example":             "/account",
		"/\t/evil.example":             "/account",
		"/%09/evil.example":            "/account",
		"https://evil.example":         "/account",
		"https:evil.example":           "/account",
		"javascript:alert(1)":          "/account",
		"evil.example":                 "/account",
		"/a\r\nSet-Cookie: x=y":        "/account",
		"/" + strings.Repeat("a", 600): "/account",
	} {
		if got := identity.LocalPath(next); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
	w, _ := openOwn(t)
	if a := w.signIn(t, newBrowser(t), "ada@example.org", "//evil.example/x"); a.at.String() != w.site.URL+"/account" {
		t.Errorf("the browser ended at %s", a.at)
	}
}

func FuzzLocalPath(f *testing.F) {
	for _, s := range []string{"/", "//x", "/\\x", "/a?b#c", "/%2f%2fx"} {
		f.Add(s)
	}
	site, err := url.Parse("https://guichet.example/account/callback")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, next string) {
		got := identity.LocalPath(next)
		u, err := site.Parse(got)
		if err != nil || u.Host != site.Host || u.Scheme != "https" || strings.ContainsAny(got, "\\\r\n\t ") || len(got) > 1 && got[1] == '/' {
			t.Errorf("%q leads to %q", next, got)
		}
	})
}

func TestSession_aCookieThatWasTouchedIsNobody(t *testing.T) {
	w, _ := openOwn(t)
	b := w.signedIn(t, "ada@example.org")
	cookie := b.cookie(t, w.site.URL, account.SessionCookie)
	attempt := newBrowser(t)
	attempt.still().get(t, w.site.URL+"/account/sign-in")
	cell, text, _ := strings.Cut(cookie, ".")
	for name, value := range map[string]string{
		"nothing":           "",
		"another cell's":    "use1." + text,
		"without a cell":    text,
		"cut":               cookie[:len(cookie)-1],
		"with a bit turned": cell + "." + flip(text),
		"an attempt":        attempt.cookie(t, w.site.URL, "__Host-guichet_signin"),
		"a bare statement":  "euw3." + w.signer.Person(access.Person{Subject: "x", Session: "y"}, time.Now()),
		"too long":          "euw3." + strings.Repeat("A", 5000),
	} {
		if _, err := w.service.Session(t.Context(), value); !errors.Is(err, identity.ErrNoSession) {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := newBrowser(t)
	other.set(t, w.site.URL, account.SessionCookie, "use1."+text)
	if a := other.get(t, w.site.URL+"/account"); !strings.Contains(a.body, "cell use1") || strings.Contains(a.body, "You are signed in.") {
		t.Errorf("a cookie of another cell: %s", a.body)
	}
	other.set(t, w.site.URL, account.SessionCookie, "<script>."+text)
	if a := other.get(t, w.site.URL+"/account"); strings.Contains(a.body, "script") {
		t.Errorf("the page shows what a cookie says: %s", a.body)
	}
}

func flip(text string) string {
	b := []byte(text)
	if b[20] == 'A' {
		b[20] = 'B'
	} else {
		b[20] = 'A'
	}
	return string(b)
}

// Anybody may send tokens that name keys nobody knows; the issuer must not be asked
// for each.
func TestLogoutTokens_ofUnknownKeysDoNotFloodTheIssuer(t *testing.T) {
	w, o := openOwn(t)
	w.signedIn(t, "ada@example.org")
	stranger := strangerTo(t, o)
	before := w.street.calls.Load()
	for range 50 {
		token, err := stranger.LogoutToken("demo-ada", "sid")
		if err != nil {
			t.Fatal(err)
		}
		if a := newBrowser(t).post(t, w.site.URL+"/account/backchannel-logout", url.Values{"logout_token": {token}}); a.status != 400 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if asked := w.street.calls.Load() - before; asked > 5 {
		t.Errorf("50 tokens asked the issuer %d times", asked)
	}
}

func TestSignOut_doesNotLookDoneWhenTheSessionGoesOn(t *testing.T) {
	w, _ := openOwn(t)
	b := w.signedIn(t, "ada@example.org")
	w.revoked.err = errors.New("no database")
	if a := b.post(t, w.site.URL+"/account/sign-out", url.Values{}); a.status != 500 || strings.Contains(a.body, "no database") || !w.knows(t, b) {
		t.Errorf("%d %s", a.status, a.body)
	}
}
