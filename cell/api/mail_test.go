package api_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"guichet/cell/api"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/letter"
	"guichet/cell/notify"
	"guichet/cell/smtp"
	"guichet/cell/smtp/sink"
)

// mailroom is the cell's sender, a real SMTP connection, and a sink behind it.
func (h *house) mailroom(t testing.TB) (*sink.Sink, *notify.Sender) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	box := sink.New(time.Now)
	go func() { _ = box.Serve(ctx, l) }()
	courier, err := smtp.New("smtp://"+l.Addr().String()+"?tls=off", "Guichet <tickets@town.example>")
	if err != nil {
		t.Fatal(err)
	}
	return box, &notify.Sender{
		Queue: h.store, Composer: &letter.Composer{Records: h.store, Access: h.server.Access, Site: h.url}, Courier: courier,
	}
}

func pass(t testing.TB, s *notify.Sender) {
	t.Helper()
	for {
		n, err := s.Pass(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func TestMail_bringsTicketsPaperAndDate(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t, object{"name": "Die Zauberflöte & 第九"})
	box, sender := s.mailroom(t)
	hold := s.hold(t, s.floor, 2)
	who := object{"email": "zoe@example.org", "name": "Zoë", "locale": "de-AT"}
	o := read[client.Order](t, s.ask(t, "POST /v1/orders", object{"hold_id": hold.ID, "buyer": who}).want(t, "201"))
	s.confirm(t, o.Payment.ClientSecret, "pm_card_visa")
	eventually(t, "the order is paid", func() bool { return s.look(t, o.ID).State == "paid" })
	pass(t, sender)
	pass(t, sender)
	got := box.Mails("zoe@example.org")
	if len(got) != 1 {
		t.Fatalf("%d mails", len(got))
	}
	m := got[0]
	if m.Subject != "Ihre Karten für Die Zauberflöte & 第九" || m.Language != "de" || !strings.Contains(m.Text, o.Code) || !strings.Contains(m.Text, "85,00\u00a0EUR") || !strings.Contains(m.Text, s.url+"/v1/open#"+s.server.Access.OrderToken(id.Order{}, 0, o.CreatedAt)[:5]) {
		t.Errorf("%s\n%s", m.Subject, m.Text)
	}
	if len(m.Files) != 2 || !strings.HasPrefix(string(m.Files[0].Content), "%PDF-") || !strings.Contains(string(m.Files[1].Content), "SUMMARY:Die Zauberflöte & 第九\r\n") {
		t.Errorf("%+v", m.Files)
	}
	if strings.Contains(m.MessageID, o.ID) || strings.Contains(string(m.Files[1].Content), o.ID) {
		t.Error("the order's id, which opens it, is where others read it")
	}
	s.ask(t, "POST /v1/orders/"+o.ID+"/cancel", nil).want(t, "200")
	pass(t, sender)
	if got = box.Mails("zoe@example.org"); len(got) != 2 || !strings.Contains(got[0].Subject, "storniert") || !strings.Contains(got[0].Text, "85,00\u00a0EUR gehen") {
		t.Errorf("%d mails: %s", len(got), got[0].Text)
	}
}

func TestMail_ofTicketsThatWereCanceledSinceIsNotSent(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	box, sender := s.mailroom(t)
	o := s.paid(t, s.guest, 1)
	s.ask(t, "POST /v1/orders/"+o.ID+"/cancel", nil).want(t, "200")
	pass(t, sender)
	if got := box.Mails(""); len(got) != 1 || !strings.Contains(got[0].Subject, "canceled") {
		t.Errorf("%d mails", len(got))
	}
}

func TestResend_isLimitedAndGoesToTheBuyerOnly(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	box, sender := s.mailroom(t)
	_, stranger := strangers()
	s.ask(t, "POST /v1/orders/"+stranger+"/resend", nil).want(t, "404 order_not_found")
	pending := s.order(t, s.hold(t, s.floor, 1))
	s.ask(t, "POST /v1/orders/"+pending.ID+"/resend", nil).want(t, "409 invalid_state")
	o := s.paid(t, s.guest, 1)
	for range notify.MaxResends {
		s.ask(t, "POST /v1/orders/"+o.ID+"/resend", nil).want(t, "202").looks(t, `{"accepted":true}`)
	}
	// At midnight a new day's resends begin: then the limit is met later, but it is met.
	eventually(t, "the limit", func() bool {
		a := s.ask(t, "POST /v1/orders/"+o.ID+"/resend", nil)
		return a.is() == "429 mail_limit" && a.header.Get("Retry-After") != ""
	})
	pass(t, sender)
	ids := map[string]bool{}
	for _, m := range box.Mails("ana@example.org") {
		ids[m.MessageID] = true
	}
	if n := len(ids); n != 1+notify.MaxResends && n != 1+2*notify.MaxResends || len(box.Mails("")) != n {
		t.Errorf("%d different mails of %d", n, len(box.Mails("")))
	}
}

var linkIn = regexp.MustCompile(`https?://\S+/v1/open#\S+`)

func TestFind_mailsALinkToThoseWhoHaveTicketsAndSaysNothingToOthers(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	box, sender := s.mailroom(t)
	o := s.paid(t, s.floor, 2)
	pass(t, sender)
	const find = "POST /v1/tickets/find"
	known := s.ask(t, find, object{"email": "ANA@example.org", "locale": "fr"}).want(t, "202")
	unknown := s.ask(t, find, object{"email": "nobody@example.org"}).want(t, "202")
	if string(known.body) != string(unknown.body) {
		t.Errorf("%s is not %s", known.body, unknown.body)
	}
	s.ask(t, find, object{"email": "nonsense"}).want(t, "400 invalid_order /email")
	s.ask(t, find, object{"email": "a@b.c", "locale": "a\nb"}).want(t, "400 invalid_order /locale")
	pass(t, sender)
	if got := box.Mails("nobody@example.org"); len(got) != 0 {
		t.Errorf("%d mails to somebody who has no tickets", len(got))
	}
	got := box.Mails("ANA@example.org")
	if len(got) != 2 || got[0].Subject != "Vos billets" {
		t.Fatalf("%d mails", len(got))
	}
	link := linkIn.FindString(got[0].Text)
	found := read[client.Found](t, s.ask(t, "GET /v1/tickets/found?cell=euw3", nil, bearer(tokenIn(t, link))).want(t, "200"))
	if len(found.Items) != 1 || found.Items[0].ID != o.ID || len(found.Items[0].Tickets) != 2 || found.Cell != "euw3" || time.Until(found.ExpiresAt) > letter.LinkLife {
		t.Errorf("%+v", found)
	}
	s.ask(t, "GET /v1/orders/"+o.ID, nil, bearer(found.Items[0].AccessToken)).want(t, "200") // what was found can be acted on
	page, to := s.openLink(t, link)
	pdf := "/v1/tickets/" + found.Items[0].Tickets[0].ID + ".pdf"
	if to != "/v1/tickets/found?cell=euw3" || !strings.Contains(page(to), pdf) || !strings.HasPrefix(page(pdf), "%PDF") {
		t.Errorf("%s: %s", to, page(to))
	}
}

// tokenIn is the token behind the # of a mailed link.
func tokenIn(t testing.TB, link string) string {
	t.Helper()
	at, token, ok := strings.Cut(link, "#")
	if !ok || !strings.HasSuffix(at, "/v1/open") {
		t.Fatalf("%q is not a link that keeps its token from servers", link)
	}
	return token
}

// openLink opens a mailed link as a browser without scripts does; page then reads what
// it leads to, with the browser's cookies.
func (h *house) openLink(t testing.TB, link string) (page func(path string) string, to string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	secure := strings.Replace(h.url, "http://", "https://", 1) // browsers take secure cookies of localhost
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := browser.PostForm(h.url+"/v1/open", url.Values{"token": {tokenIn(t, link)}})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("the link answers %d", resp.StatusCode)
	}
	for _, c := range resp.Cookies() {
		if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path == "/" || c.MaxAge <= 0 {
			t.Errorf("the cookie %s is %+v", c.Name, c)
		}
	}
	site, err := url.Parse(secure + "/v1/open")
	if err != nil {
		t.Fatal(err)
	}
	jar.SetCookies(site, resp.Cookies())
	return func(path string) string {
		at, err := url.Parse(secure + path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
		for _, c := range jar.Cookies(at) {
			r.AddCookie(c)
		}
		resp, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}, resp.Header.Get("Location")
}

func TestFound_takesOnlyOurOwnLinksInTime(t *testing.T) {
	t.Parallel()
	h := open(t)
	hash := notify.AddressHash("ana@example.org")
	good := h.server.Access.FindToken(hash, time.Now().Add(time.Hour))
	const path = "GET /v1/tickets/found"
	if found := read[client.Found](t, h.ask(t, path, nil, bearer(good)).want(t, "200")); len(found.Items) != 0 {
		t.Errorf("%+v", found)
	}
	h.ask(t, path, nil).want(t, "401 unauthorized")
	h.ask(t, path+"?token="+good, nil).want(t, "400 unknown_parameter") // a token in an address is in every log on its way
	changed := []byte(good)
	changed[20] ^= 1
	for token, want := range map[string]string{
		h.server.Access.FindToken(hash, time.Now().Add(-time.Second)):   "403 link_expired",
		accessKey(t, "use1").FindToken(hash, time.Now().Add(time.Hour)): "403 link_invalid",
		string(changed): "403 link_invalid", "x": "403 link_invalid", strings.Repeat("A", 300): "403 link_invalid",
		h.server.Signer.Seal(hash): "403 link_invalid",
	} {
		h.ask(t, path, nil, bearer(token)).want(t, want)
	}
}

func TestFind_isLimitedPerAddressOfMailAndNetwork(t *testing.T) {
	t.Parallel()
	s := open(t, func(h *house) { h.server.Limits.Trusted = router }).stage(t) // it says who asks
	box, sender := s.mailroom(t)
	s.paid(t, s.guest, 1)
	pass(t, sender)
	const find = "POST /v1/tickets/find"
	from := func(n int) with { return header("X-Forwarded-For", "203.0.113."+strconv.Itoa(n)) }
	for n := range 2 * notify.MaxSearches {
		s.ask(t, find, object{"email": "ana@example.org"}, from(n)).want(t, "202")
	}
	pass(t, sender)
	// The hour may turn in between.
	if n := len(box.Mails("ana@example.org")) - 1; n != notify.MaxSearches && n != 2*notify.MaxSearches {
		t.Errorf("%d links", n)
	}
	refused := false
	for n := range 2*api.MaxSearchesPerAddress + 1 {
		a := s.ask(t, find, object{"email": "x" + strconv.Itoa(n) + "@example.org"}, header("X-Forwarded-For", "198.51.100.7, 2001:db8::"+strconv.Itoa(n)))
		if a.is() == "429 too_many_requests" {
			refused = a.header.Get("Retry-After") != "" && n >= api.MaxSearchesPerAddress
			break
		}
		a.want(t, "202")
	}
	if !refused {
		t.Error("one network asks without end")
	}
}

func TestTicket_isADateForACalendar(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	o := s.paid(t, s.guest, 1)
	a := s.ask(t, "GET /v1/tickets/"+o.Tickets[0].ID+".ics", nil).want(t, "200")
	if body := string(a.body); !strings.HasPrefix(body, "BEGIN:VCALENDAR\r\n") || !strings.Contains(body, "DTSTART:"+startsAt().Format("20060102T150405Z")) || !strings.Contains(body, "STATUS:CONFIRMED") {
		t.Errorf("%s", body)
	}
	s.ask(t, "POST /v1/orders/"+o.ID+"/cancel", nil).want(t, "200")
	if a = s.ask(t, "GET /v1/tickets/"+o.Tickets[0].ID+".ics", nil).want(t, "200"); !strings.Contains(string(a.body), "STATUS:CANCELLED") {
		t.Errorf("%s", a.body)
	}
}
