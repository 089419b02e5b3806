package shop_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// paying opens the payment of an order of the event's nth ticket type.
func (b *tab) paying(t *testing.T, event, ticketType string) {
	t.Helper()
	b.hold(t, event, ticketType, "1")
	b.order(t)
	b.run(t, chromedp.WaitVisible(`form[data-pay]`))
}

// card chooses one of the test cards and pays.
func (b *tab) card(t *testing.T, method string) {
	t.Helper()
	b.run(t, chromedp.Click(`input[value="`+method+`"]`), chromedp.Click(`.pay .go button`))
}

func TestPurchase_byMouse(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	b := h.browse(t)
	b.window(t, 1280, "light")
	b.visit(t, "/en/")
	b.run(t, chromedp.SendKeys("#q", "fantastique"), chromedp.WaitVisible(`.suggest li`), chromedp.Click(`.hero .search button`))
	b.says(t, "1 event")
	b.run(t, chromedp.Click(`.card a`), chromedp.WaitVisible(`.tickets`))
	b.paying(t, e.ID, e.TicketTypes[0].ID)
	b.card(t, "pm_card_visa")
	b.says(t, "Your ticket", "They are also on their way to ada@example.org.")
	b.run(t, chromedp.WaitVisible(`.qr img`), chromedp.Poll(`document.querySelector(".qr img").naturalWidth > 100`, nil))
	b.shot(t, "bought")
}

// tabTo presses the tab key until an element has the focus.
func (b *tab) tabTo(t *testing.T, selector string) {
	t.Helper()
	for range 60 {
		var there, seen bool
		b.run(t, chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(`document.activeElement.matches(`+"`"+selector+"`"+`)`, &there),
			chromedp.Evaluate(`(function (e) { var s = getComputedStyle(e); return e === document.body || s.outlineStyle !== "none" || s.boxShadow !== "none" || !!e.closest(".search"); })(document.activeElement)`, &seen))
		if !seen {
			var what string
			b.run(t, chromedp.Evaluate(`document.activeElement.outerHTML.slice(0, 200) + document.activeElement.matches(":focus") + document.activeElement.matches(":focus-visible") + getComputedStyle(document.activeElement).outline`, &what))
			t.Errorf("the focus is not seen on %s", what)
		}
		if there {
			return
		}
	}
	t.Fatalf("the keyboard does not reach %s", selector)
}

func TestPurchase_byKeyboardAlone(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	b := h.browse(t)
	b.window(t, 1280, "light")
	b.visit(t, "/en/search?q=fantastique")
	b.tabTo(t, ".card a")
	b.run(t, chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(".tickets"))
	b.tabTo(t, `[name="q-`+e.TicketTypes[0].ID+`"]`)
	b.run(t, chromedp.KeyEvent("2"))
	b.tabTo(t, `button[value="hold"]`)
	b.run(t, chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible("[data-countdown]"))
	b.tabTo(t, "#name")
	b.run(t, chromedp.KeyEvent("Ada"))
	b.tabTo(t, "#email")
	b.run(t, chromedp.KeyEvent("ada@example.org"))
	b.tabTo(t, ".form .go button")
	b.run(t, chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible("form[data-pay]"))
	b.tabTo(t, ".pay .go button")
	b.run(t, chromedp.KeyEvent(kb.Enter))
	b.says(t, "Your 2 tickets")
}

// A declined card says what to do, and the next one pays: one order, one charge.
func TestPurchase_onANarrowScreenAfterADeclinedCard(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	b := h.browse(t)
	b.window(t, 320, "dark")
	b.paying(t, e.ID, e.TicketTypes[0].ID)
	b.card(t, "pm_card_visa_chargeDeclinedInsufficientFunds")
	b.says(t, "There is too little money on this card. Try another one.")
	b.accessible(t, "declined")
	b.shot(t, "declined-320-dark")
	b.card(t, "pm_card_visa")
	b.says(t, "Your ticket")
	h.sold(t, e.ID, 1)
}

// sold holds the event's counter to a number.
func (h *house) sold(t *testing.T, event string, want int64) {
	t.Helper()
	stats := read[struct {
		Quotas []struct{ Sold, Held int64 } `json:"quotas"`
	}](t, h.call(t, "GET", "/v1/events/"+event+"/stats", nil, h.key))
	if stats.Quotas[0].Sold != want || stats.Quotas[0].Held != 0 {
		t.Errorf("%+v, want %d sold", stats.Quotas, want)
	}
}

// The bank's page stands between: refused first, then approved.
func TestPurchase_withTheBanksPageRefusedAndThenApproved(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	b := h.browse(t)
	b.window(t, 1280, "light")
	b.paying(t, e.ID, e.TicketTypes[0].ID)
	b.card(t, "pm_card_threeDSecure2Required")
	b.run(t, chromedp.WaitVisible(`button[value="refuse"]`), chromedp.Click(`button[value="refuse"]`), chromedp.WaitVisible(`.box.bad`))
	b.says(t, "The payment was not approved.", "Pay €74.50")
	b.click(t, `[data-watch] a.button`)
	b.run(t, chromedp.WaitVisible(`form[data-pay]`))
	b.card(t, "pm_card_threeDSecure2Required")
	b.run(t, chromedp.WaitVisible(`button[value="approve"]`), chromedp.Click(`button[value="approve"]`))
	b.says(t, "Your ticket")
	h.sold(t, e.ID, 1)
}

// Two tabs, the back button and a reload meet the same order.
func TestPurchase_twoTabsMeetOneOrder(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	b := h.browse(t)
	b.window(t, 1280, "light")
	b.hold(t, e.ID, e.TicketTypes[0].ID, "1")
	var checkout, order string
	b.run(t, chromedp.Location(&checkout))
	b.order(t)
	b.run(t, chromedp.WaitVisible(`form[data-pay]`), chromedp.Location(&order))
	b.visit(t, checkout) // the other tab, or the back button
	b.says(t, "Almost yours")
	b.visit(t, order)
	b.card(t, "pm_card_visa")
	b.says(t, "Your ticket")
	b.visit(t, order) // a tab in which the payment still stands
	b.says(t, "Your ticket")
	h.sold(t, e.ID, 1)
}

// What was typed survives a reload and a form that was refused.
func TestCheckout_keepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	b := h.browse(t)
	b.window(t, 1280, "light")
	b.hold(t, e.ID, e.TicketTypes[0].ID, "1")
	b.run(t, chromedp.SendKeys("#name", "Ada"), chromedp.SendKeys("#email", "nonsense"), chromedp.Reload())
	b.becomes(t, `document.querySelector("#name").value`, "Ada")
	b.run(t, chromedp.Click(".countdown button"))
	b.becomes(t, `performance.getEntriesByType("navigation")[0].type + document.querySelector("#name").value`, "navigateAda")
	b.run(t, chromedp.Click(".form .go button"))
	b.says(t, "Enter an e-mail address such as")
	b.becomes(t, `document.querySelector("#email").value + document.activeElement.className`, "nonsensebox bad")
}

// The clock goes by the server's time, and the page notices its end.
func TestCheckout_saysWhenTheTimeIsOver(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	v := h.visitor(t)
	held := v.send(t, v.get(t, "/en/events/"+e.ID), "/hold", map[string][]string{"do": {"hold"}, "q-" + e.TicketTypes[0].ID: {"1"}}).says(t, 200, "Kept for you", "9:5")
	h.clock.Add(int64(time.Hour))
	over := v.get(t, held.at.Path).says(t, 410, "The time is over", "Look again")
	if strings.Contains(over.body, `action="/holds/`) {
		t.Error("the page still offers to order")
	}
}
