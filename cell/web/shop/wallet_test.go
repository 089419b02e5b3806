package shop_test

import (
	"encoding/json"
	"testing"

	"github.com/chromedp/chromedp"
)

// After one visit the tickets open without a network; after signing out nothing is left on
// the device.
func TestWallet_opensWithoutANetworkAndIsEmptyAfterSigningOut(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	b := h.browse(t)
	b.window(t, 320, "light")
	b.hold(t, e.ID, e.TicketTypes[2].ID, "2")
	b.order(t)
	b.becomes(t, `document.querySelector("[data-keep]").dataset.kept`, "yes")
	b.becomes(t, `navigator.serviceWorker.ready.then(() => "ready"); navigator.serviceWorker.controller ? "controls" : "not yet"`, "controls")
	b.visit(t, "/wallet")
	b.says(t, e.Name, "Tickets are kept in this browser alone")
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{320, 1280} {
			b.window(t, width, scheme)
			b.accessible(t, "wallet")
		}
	}
	h.down.Store(true)
	b.visit(t, "/wallet")
	b.says(t, e.Name, "Salle Pleyel", "There is no network")
	b.becomes(t, `String(document.querySelectorAll(".pass").length) + (Array.from(document.querySelectorAll(".qr img")).every(i => i.complete && i.naturalWidth > 100) ? " drawn" : "")`, "2 drawn")
	b.shot(t, "wallet-offline")
	b.visit(t, "/en/help") // any other page leads to what is there
	b.says(t, "Tickets on this device")
	h.down.Store(false)
	b.visit(t, "/wallet")
	b.run(t, chromedp.Evaluate(`(function () { var f = document.createElement("form"); f.method = "post"; f.action = "/account/sign-out"; document.body.appendChild(f); f.submit(); })()`, nil))
	b.says(t, "no_such_path")
	b.visit(t, "/wallet")
	b.says(t, "Nothing is kept here yet.")
}

func TestManifest_isWhatATelephoneAsksFor(t *testing.T) {
	t.Parallel()
	h := open(t)
	v := h.visitor(t)
	p := v.get(t, "/manifest.webmanifest").says(t, 200)
	var m struct {
		Name, StartURL, Display string
		Icons                   []struct{ Src, Type string }
	}
	if err := json.Unmarshal([]byte(p.body), &m); err != nil || m.Name != "Guichet" || len(m.Icons) < 3 {
		t.Fatalf("%v %s", err, p.body)
	}
	for _, icon := range m.Icons {
		if got := v.get(t, icon.Src).says(t, 200); got.header.Get("Content-Type") != icon.Type {
			t.Errorf("%s is %s", icon.Src, got.header.Get("Content-Type"))
		}
	}
	if sw := v.get(t, "/sw.js").says(t, 200, "/assets/shop."); sw.header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("%v", sw.header)
	}
}
