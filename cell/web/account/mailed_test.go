package account_test

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/cell/access"
	"guichet/cell/identity"
)

// mailbox takes mails and knows used links.
type mailbox struct {
	mu     sync.Mutex
	posted []string
	used   map[string]bool
}

func (m *mailbox) PostSignIn(_ context.Context, address, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.posted = append(m.posted, address)
	return nil
}

func (m *mailbox) UseLink(_ context.Context, mark string, _ time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := !m.used[mark]
	m.used[mark] = true
	return first, nil
}

// asked is a browser that asked for a link.
func (w *world) asked(t *testing.T, address string) *browser {
	t.Helper()
	b := newBrowser(t)
	page := b.get(t, w.site.URL+"/account")
	if !strings.Contains(page.body, `name="email"`) {
		t.Fatalf("no form for an address: %s", page.body)
	}
	if a := b.post(t, w.site.URL+"/account/mail-link", url.Values{"email": {address}, "next": {"/account?x=1"}}); a.status != 200 || !strings.Contains(a.body, "on its way") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	return b
}

func (w *world) mailed(email, mark string) string {
	return w.signer.MailedToken(access.Mailed{Email: email, Mark: mark, Expires: w.clock.now().Add(access.MailedLife)})
}

// follow opens a mailed link and presses its button.
func (w *world) follow(t *testing.T, b *browser, token string) answer {
	t.Helper()
	page := b.get(t, w.site.URL+"/account/link?"+url.Values{"cell": {"euw3"}, "token": {token}}.Encode())
	if page.status != 200 || w.knows(t, b) {
		t.Fatalf("looking at the link: %d %s", page.status, page.body)
	}
	return b.post(t, page.formAction(t), page.fields())
}

func TestMailLink_signsInWhoeverReadsTheMailInTheBrowserThatAsked(t *testing.T) {
	w, _ := openOwn(t)
	b := w.asked(t, "Ana@example.org")
	if len(w.mailbox.posted) != 1 || w.mailbox.posted[0] != "Ana@example.org" {
		t.Errorf("mailed to %q", w.mailbox.posted)
	}
	token := w.mailed("Ana@example.org", "1")
	w.follow(t, newBrowser(t), token) // a program that reads mails presses everything
	if a := w.follow(t, b, token); a.status != 200 || a.at.RequestURI() != "/account?x=1" || !w.knows(t, b) {
		t.Fatalf("%d %s %s", a.status, a.at, a.body)
	}
	p := w.session(t, b)
	if p.Issuer != identity.MailIssuer || p.Email != "Ana@example.org" || p.Subject != "ana@example.org" || len(p.Roles) != 0 || p.Session == "" {
		t.Errorf("%+v", p)
	}
	if a := b.post(t, w.site.URL+"/account/sign-out", url.Values{}); a.status != 200 || a.at.String() != w.site.URL+"/account" || w.knows(t, b) {
		t.Errorf("signing out: %d", a.status)
	}
}

func TestMailLink_isGoodForOneTimeOneBrowserAndAQuarterOfAnHour(t *testing.T) {
	w, _ := openOwn(t)
	refuse := func(what string, b *browser, token string, status int, code string) {
		t.Helper()
		if a := w.follow(t, b, token); a.status != status || !strings.Contains(a.body, code) || w.knows(t, b) {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	good := w.mailed("ana@example.org", "1")
	refuse("a browser that did not ask", newBrowser(t), good, 400, "sign_in_attempt_invalid")
	refuse("a browser that asked for another address", w.asked(t, "eve@example.org"), good, 400, "sign_in_attempt_invalid")
	oidc := newBrowser(t)
	oidc.still().get(t, w.site.URL+"/account/sign-in")
	refuse("a sign-in at the issuer", oidc, good, 400, "sign_in_attempt_invalid")
	w.signedInBy(t, good)
	refuse("a second time", w.asked(t, "ana@example.org"), good, 400, "sign_in_attempt_invalid")
	refuse("a link to the order", w.asked(t, "ana@example.org"), w.signer.Issue(access.Capability{Scope: access.Order, Object: "ana@example.org", Expires: time.Now().Add(time.Hour)}), 403, "link_invalid")
	refuse("another cell's", w.asked(t, "ana@example.org"), accessSigner(t, 9).MailedToken(access.Mailed{Email: "ana@example.org", Mark: "9", Expires: time.Now().Add(time.Hour)}), 403, "link_invalid")
	refuse("junk", w.asked(t, "ana@example.org"), "junk", 403, "link_invalid")
	late := w.asked(t, "ana@example.org")
	token := w.mailed("ana@example.org", "2")
	w.clock.forward(access.MailedLife)
	refuse("a quarter of an hour later", late, token, 403, "link_expired")
}

func (w *world) signedInBy(t *testing.T, token string) {
	t.Helper()
	b := w.asked(t, "ana@example.org")
	if a := w.follow(t, b, token); a.status != 200 || !w.knows(t, b) {
		t.Fatalf("%d %s", a.status, a.body)
	}
}

func TestMailLink_goesToAddressesOnly(t *testing.T) {
	w, _ := openOwn(t)
	for _, address := range []string{"", "nobody", "Ana <ana@example.org>", "a@example.org, b@example.org", "a@example.org\r\nBcc: b@example.org", strings.Repeat("a", 250) + "@example.org"} {
		if a := newBrowser(t).post(t, w.site.URL+"/account/mail-link", url.Values{"email": {address}}); a.status != 400 || !strings.Contains(a.body, "invalid_email") {
			t.Errorf("%q: %d", address, a.status)
		}
	}
	if len(w.mailbox.posted) != 0 {
		t.Errorf("mailed to %q", w.mailbox.posted)
	}
	if a := newBrowser(t).do(t, "POST", w.site.URL+"/account/mail-link", url.Values{"email": {"ana@example.org"}}, "Origin", "https://evil.example"); a.status != 403 {
		t.Errorf("another site's form: %d", a.status)
	}
}

// The state of an attempt that waits for a mail must not pass for one at the issuer,
// which would have neither nonce nor verifier.
func TestCallback_refusesAnAttemptThatWaitsForAMail(t *testing.T) {
	w, _ := openOwn(t)
	b := w.asked(t, "ana@example.org")
	w.refuses(t, b, "a mail's attempt", w.site.URL+"/account/callback?code=x&state=ana%40example.org", 400, "sign_in_attempt_invalid")
}
