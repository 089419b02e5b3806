package shop_test

import (
	"context"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"guichet/cell/client"
	"guichet/cell/search"
)

// Everything up to the payment works without JavaScript.
func TestShop_sellsWithoutJavaScriptUpToThePayment(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	v := h.visitor(t)
	v.get(t, "/").says(t, 200, "What’s on", e.Name)
	v.get(t, "/en/search?q=berlioz").says(t, 200, "1 event", e.Name)
	p := v.get(t, "/en/events/"+e.ID).says(t, 200, "€74.50", "Salle Pleyel", "Paris", "application/ld+json", "Personal data stays in the European Union. Last proved by the database: ")
	none := v.send(t, p, "/hold", url.Values{"do": {"hold"}}).says(t, 422, "Choose how many tickets")
	held := v.send(t, none, "/hold", url.Values{"do": {"hold"}, "q-" + e.TicketTypes[0].ID: {"2"}}).says(t, 200, "Kept for you", "€149")
	bad := v.send(t, held, "/order", url.Values{"name": {"Ada <b>"}, "email": {"nonsense"}}).says(t, 422, "Enter an e-mail address such as", `value="Ada <b>"`)
	paying := v.send(t, bad, "/order", url.Values{"name": {"Ada"}, "email": {"ada@example.org"}}).says(t, 200, "Payment", "4242")
	order := v.get(t, paying.at.Path[:len(paying.at.Path)-len("/pay")]).says(t, 200, "Almost yours")
	v.get(t, held.at.Path).says(t, 200, "Almost yours") // the hold's page leads to its order
	asked := v.get(t, order.at.Path+"/cancel").says(t, 200, "Cancel this order?")
	v.send(t, asked, "/cancel", url.Values{}).says(t, 200, "This order was canceled")
}

func TestShop_givesAwayFreeTicketsAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	v := h.visitor(t)
	held := v.send(t, v.get(t, "/en/events/"+e.ID), "/hold", url.Values{"do": {"hold"}, "q-" + e.TicketTypes[2].ID: {"1"}}).says(t, 200, "Free")
	mine := v.send(t, held, "/order", url.Values{"name": {"Ada"}, "email": {"ada@example.org"}}).says(t, 200, "Your ticket", "ada@example.org")
	give := v.get(t, linkTo(t, mine, "/give")).says(t, 200, "Give this ticket on")
	v.send(t, give, "/give", url.Values{"name": {""}, "email": {"x"}}).says(t, 422, "Enter a name.")
	v.send(t, give, "/give", url.Values{"name": {"Grace"}, "email": {"grace@example.org"}}).says(t, 200, "given to Grace")
}

// A reader who hangs up costs the cell nothing: once the page of the failure was a failure
// itself, without end.
func TestShop_survivesReadersWhoHangUp(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	for _, path := range []string{"/en/", "/en/events/" + e.ID, "/en/search?near=1,1", "/orders/ord_x", "/en/nowhere"} {
		r := httptest.NewRequestWithContext(gone, "GET", path, nil)
		r.Header.Set("Accept", "text/html")
		w := httptest.NewRecorder()
		h.pages.ServeHTTP(w, r)
		if w.Code == 0 {
			t.Errorf("%s: no answer", path)
		}
	}
	h.visitor(t).get(t, "/en/").says(t, 200, e.Name)
}

// A mailed link opens the page of its order or of what was found, in a browser that has
// never been here.
func TestOpen_leadsAMailedLinkToItsPage(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	hold := read[client.Hold](t, h.call(t, "POST", "/v1/events/"+e.ID+"/holds", object{"items": []object{{"ticket_type_id": e.TicketTypes[2].ID, "quantity": 2}}}, ""))
	order := read[client.Order](t, h.call(t, "POST", "/v1/orders", object{"hold_id": hold.ID, "buyer": object{"name": "Ada", "email": "ada@example.org", "locale": "en"}}, hold.AccessToken))
	mine, token := "/orders/"+order.ID, order.AccessToken // as the mail's link has it
	other := h.visitor(t)
	other.get(t, mine).says(t, 401, "This page needs its link")
	page := other.get(t, "/v1/open").says(t, 200, "The part of the link behind the # sign")
	other.send(t, page, "/open", url.Values{"token": {token + "x"}}).says(t, 400, "This page needs its link")
	other.send(t, page, "/open", url.Values{"token": {"nonsense"}}).says(t, 400)
	again := other.send(t, page, "/open", url.Values{"token": {token}}).says(t, 200, "Your 2 tickets")
	if again.at.Path != mine || again.header.Get("Cache-Control") != "no-store" || !strings.Contains(again.header.Get("X-Robots-Tag"), "noindex") {
		t.Errorf("%s %v", again.at, again.header)
	}
	if foreign := other.do(t, "POST", mine+"/cancel", url.Values{}, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); foreign.status != 403 {
		t.Errorf("a form of another site: %d", foreign.status)
	}
	other.get(t, mine).says(t, 200, "Your 2 tickets")
}

// Public pages may stand in a shared cache, and have nothing of anybody in them.
func TestPages_sayWhoMayKeepThem(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	v := h.visitor(t)
	for _, path := range []string{"/en/", "/en/search?q=berlioz", "/en/events/" + e.ID, "/fr/help", "/en/events/" + e.ID + ".ics"} {
		p := v.get(t, path)
		if !strings.Contains(p.header.Get("Cache-Control"), "s-maxage=") || p.header.Get("ETag") == "" || p.header.Get("Set-Cookie") != "" || strings.Contains(p.header.Get("Vary"), "Cookie") {
			t.Errorf("%s: %v", path, p.header)
		}
		if again := v.do(t, "GET", path, nil, "If-None-Match", p.header.Get("ETag")); again.status != 304 || again.body != "" {
			t.Errorf("%s: %d with its own tag", path, again.status)
		}
		if policy := p.header.Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("%s: %s", path, policy)
		}
		br := v.do(t, "GET", path, nil, "Accept-Encoding", "br")
		if len(br.body) > 15<<10 {
			t.Errorf("%s weighs %d bytes", path, len(br.body))
		}
	}
	if p := v.get(t, "/en/search?near=me"); p.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a search near the reader: %v", p.header)
	}
	css := v.get(t, assetIn(t, v.get(t, "/en/"), "shop.css"))
	if !strings.Contains(css.header.Get("Cache-Control"), "immutable") {
		t.Errorf("%v", css.header)
	}
	v.get(t, "/en/events/evt_euw3_000000000000").says(t, 404, "There is nothing here")
	v.get(t, "/en/events/nonsense").says(t, 404, "There is nothing here")
	if p := v.get(t, "/en/events/evt_apn1_000000000000"); p.at.Query().Get("at") != "home" {
		t.Errorf("an event without a copy here does not lead home: %s %d", p.at, p.status)
	}
}

// An event that is at home elsewhere shows what this cell has a copy of, and does not say
// how many tickets are left.
func TestEvent_ofAnotherHomeSaysThatAvailabilityIsUnknown(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	far := e
	far.ID, far.Name, far.Home = "evt_apn1_k3v9x2m4q7rt", "蝶々夫人", client.Home{Cell: "apn1", Region: "ap-northeast-1", Epoch: 1}
	h.announce(t, search.NewDocument(far, true))
	p := h.visitor(t).get(t, "/ja/events/"+far.ID).says(t, 200, "蝶々夫人", "空き状況は不明", "Personal data stays in Japan.")
	if strings.Contains(p.body, "完売") && !strings.Contains(p.body, `data-none="完売"`) || strings.Contains(p.body, `"availability"`) {
		t.Errorf("the copy guesses: %s", p.body)
	}
	if !strings.Contains(p.body, "?at=home") || !strings.Contains(p.body, "data-live") {
		t.Error("the page does not ask the home")
	}
}

// The language is the address's on public pages, the chosen one or the browser's elsewhere.
func TestLanguage_isChosenAndRemembered(t *testing.T) {
	t.Parallel()
	h := open(t)
	v := h.visitor(t)
	v.lang = "es-MX,en;q=0.5"
	if p := v.get(t, "/").says(t, 200, "Lo que hay, esté donde esté."); p.at.Path != "/es/" {
		t.Errorf("%s", p.at)
	}
	v.get(t, "/language/de?next=%2Fhelp").says(t, 200, "Warum läuft eine Uhr?")
	v.get(t, "/").says(t, 200, "Was läuft, wo immer Sie sind.")
	for _, next := range []string{"//evil.example", "https://evil.example", "/\\evil.example", "/%0d%0aSet-Cookie:x"} {
		if p := v.get(t, "/language/fr?next="+url.QueryEscape(next)); p.at.Host != strings.TrimPrefix(h.url, "http://") || !strings.HasPrefix(p.at.Path, "/fr/") {
			t.Errorf("%q leads to %s", next, p.at)
		}
	}
	v.get(t, "/language/xx").says(t, 404)
}

// Parameters that a page does not read make it no other page.
func TestPages_areNotDrawnAnewForParametersThatMeanNothing(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	v := h.visitor(t)
	first := v.get(t, "/en/events/"+e.ID).says(t, 200, e.Name)
	if _, err := h.store.DB.Pool.Exec(t.Context(), "UPDATE booking.event SET name = 'Changed' WHERE name = $1", e.Name); err != nil {
		t.Fatal(err)
	}
	if again := v.get(t, "/en/events/"+e.ID+"?utm=1&x=2"); again.body != first.body {
		t.Error("a campaign's mark makes another page")
	}
}
