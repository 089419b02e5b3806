package shop_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"guichet/cell/access"
	"guichet/cell/client"
)

// airplane takes the network from the tab and from the service worker, or gives it back.
func (b *tab) airplane(t *testing.T, worker *tab, on bool) {
	t.Helper()
	cut := network.EmulateNetworkConditions(on, 0, -1, -1)
	b.run(t, network.Enable(), cut)
	if err := chromedp.Run(worker, chromedp.ActionFunc(func(ctx context.Context) error {
		if err := network.Enable().Do(ctx); err != nil {
			return err
		}
		return cut.Do(ctx)
	})); err != nil {
		t.Fatal(err)
	}
}

// worker is the house's service worker in this browser.
func (b *tab) worker(t *testing.T) *tab {
	t.Helper()
	b.becomes(t, `navigator.serviceWorker.controller ? "controls" : "not yet"`, "controls")
	at := cdp.WithExecutor(b, chromedp.FromContext(chromium).Browser)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) { // between two looks, not instead of one
		list, err := target.GetTargets().Do(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range list {
			if i.Type == "service_worker" && strings.HasPrefix(i.URL, b.h.url) {
				ctx, cancel := chromedp.NewContext(b, chromedp.WithTargetID(i.TargetID))
				t.Cleanup(cancel)
				return &tab{ctx, b.h, b.faults}
			}
		}
	}
	t.Fatal("there is no service worker")
	return nil
}

// buyFree buys free tickets in a browser and waits until it keeps them.
func (b *tab) buyFree(t *testing.T, e client.Event, n string) (address string) {
	t.Helper()
	b.hold(t, e.ID, e.TicketTypes[2].ID, n)
	b.order(t)
	b.becomes(t, `document.querySelector("[data-keep]").dataset.kept`, "yes")
	b.run(t, chromedp.Location(&address))
	return address
}

// In airplane mode the wallet shows all that a door and a visitor need, after one visit of
// an order's page; two orders do not push each other out.
func TestWallet_opensInAirplaneModeAfterOneVisit(t *testing.T) {
	t.Parallel()
	h := open(t)
	first := h.stage(t, nil)
	second := h.stage(t, object{"name": "Requiem"})
	b := h.browse(t)
	b.window(t, 320, "light")
	b.buyFree(t, first, "2")
	b.buyFree(t, second, "1")
	worker := b.worker(t)
	b.airplane(t, worker, true)
	b.visit(t, "/wallet")
	b.says(t, first.Name, "Requiem", "Salle Pleyel")
	b.becomes(t, `String(document.querySelectorAll(".pass").length) + (Array.from(document.querySelectorAll(".qr img")).every(i => i.complete && i.naturalWidth > 100) ? " drawn" : "")`, "3 drawn")
	b.becomes(t, `document.querySelector("[data-offline]").hidden ? "hidden" : "said"`, "said")
	b.shot(t, "wallet-airplane")
	b.visit(t, "/en/search?q=x") // a page that needs the network leads to what is there
	b.says(t, "Requiem")
	b.airplane(t, worker, false)
	b.becomes(t, `fetch("/en/", {cache: "reload"}).then(r => { window.back = String(r.status); }, () => {}); window.back || "waiting"`, "200")
	b.visit(t, "/en/")
	b.says(t, "What’s on")
}

// Of a ticket that was given away nothing stays on the device once it is on line again.
func TestWallet_dropsWhatWasGivenAwayWhenBackOnLine(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	b := h.browse(t)
	b.buyFree(t, e, "2")
	b.run(t, chromedp.Click(`.pass-links a[href$="/give"]`), chromedp.WaitVisible("#email"), chromedp.SetValue("#name", "Grace"), chromedp.SetValue("#email", "grace@example.org"), chromedp.Click(".form .go button"))
	b.says(t, "given to Grace")
	b.visit(t, "/wallet")
	b.becomes(t, `document.querySelectorAll(".pass").length + ""`, "1")
	b.does(t, `caches.open("guichet-wallet").then(c => c.keys()).then(k => { window.kept = k.length; })`)
	b.becomes(t, `window.kept + ""`, "2") // the list and one code
}

// Two tabs that keep their tickets at the same time do not push each other's out.
func TestWallet_keepsWhatTwoTabsOpenAtTheSameTime(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	b := h.browse(t)
	orders := []string{b.buyFree(t, e, "1"), b.buyFree(t, e, "1"), b.buyFree(t, e, "1")}
	b.does(t, `caches.delete("guichet-wallet").then(() => { window.gone = "yes"; })`)
	b.becomes(t, `window.gone || "not yet"`, "yes")
	var source []string
	for _, o := range orders {
		source = append(source, strings.TrimPrefix(o, h.url)+"/wallet")
	}
	page := h.visitor(t).get(t, "/wallet")
	b.visit(t, "/en/find")
	// The same program as in three tabs, run at once, where reading takes a while.
	b.does(t, `var match = Cache.prototype.match; Cache.prototype.match = function (k) { return match.call(this, k).then(r => new Promise(done => setTimeout(() => done(r), 300))); }`)
	b.does(t, `document.body.innerHTML = "`+strings.Join([]string{`<i data-keep='` + source[0] + `'></i>`, `<i data-keep='` + source[1] + `'></i>`, `<i data-keep='` + source[2] + `'></i>`}, "")+`"; var s = document.createElement("script"); s.src = "`+assetIn(t, page, "wallet.js")+`"; document.body.append(s);`)
	b.becomes(t, `String(document.querySelectorAll("[data-kept]").length)`, "3")
	b.does(t, `caches.open("guichet-wallet").then(c => c.match("/wallet/list")).then(r => r.json()).then(all => { window.kept = Object.keys(all).length; })`)
	b.becomes(t, `window.kept + ""`, "3")
}

// On a shared device the next person finds nothing of the one before: no ticket, no order by
// its address, nothing in a cache.
func TestWallet_leavesNothingOnADeviceThatIsForgotten(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	b := h.browse(t)
	order := b.buyFree(t, e, "1")
	b.worker(t)
	b.visit(t, "/wallet")
	b.says(t, e.Name)
	b.click(t, "[data-forget] button")
	b.says(t, "Nothing is kept here yet.")
	b.does(t, `caches.keys().then(names => Promise.all(names.map(n => caches.open(n).then(c => c.keys()).then(k => k.map(r => r.url).join(" "))))).then(all => { window.kept = all.join(" ") || "empty"; })`)
	b.becomes(t, `window.kept ? (/tickets|orders|list/.test(window.kept) ? window.kept : "clean") : "waiting"`, "clean")
	b.visit(t, order)
	b.says(t, "no_token")
}

// The cookie of an order is noise without the browser's own key: whoever copies it before, or
// finds it after, the device was forgotten has nothing.
func TestTokens_admitToNothingOnceTheDeviceIsForgotten(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	v := h.visitor(t)
	held := v.send(t, v.get(t, "/en/events/"+e.ID), "/hold", url.Values{"do": {"hold"}, "q-" + e.TicketTypes[2].ID: {"1"}}).says(t, 200)
	mine := v.send(t, held, "/order", url.Values{"name": {"Ada"}, "email": {"ada@example.org"}}).says(t, 200, "Your ticket")
	for _, c := range v.client.Jar.Cookies(mine.at) {
		if scope, object, _ := access.Opens(c.Value); object != "" {
			t.Errorf("%s has a token for %s %s in the clear", c.Name, scope, object)
		}
	}
	gone := v.send(t, v.get(t, "/wallet"), "/wallet/forget", url.Values{})
	gone.says(t, 200)
	v.get(t, mine.at.Path).says(t, 401, "no_token")
	v.get(t, mine.at.Path+"/wallet").says(t, 401)
	v.do(t, "POST", "/wallet/forget", url.Values{}, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site").says(t, 403)
	again := v.send(t, v.get(t, "/en/events/"+e.ID), "/hold", url.Values{"do": {"hold"}, "q-" + e.TicketTypes[2].ID: {"1"}})
	again.says(t, 200, "Kept for you") // a new key is made
}
