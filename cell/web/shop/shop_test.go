package shop_test

import (
	"context"
	"net/http/httptest"
	"net/url"
	"testing"
)

// Everything up to the payment works without JavaScript.
func TestShop_sellsWithoutJavaScriptUpToThePayment(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	v := h.visitor(t)
	v.get(t, "/").says(t, 200, "What’s on", e.Name)
	v.get(t, "/en/search?q=berlioz").says(t, 200, "1 event", e.Name)
	p := v.get(t, "/en/events/"+e.ID).says(t, 200, "€74.50", "Salle Pleyel", "Paris", "application/ld+json", "Personal data stays in the European Union.")
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
