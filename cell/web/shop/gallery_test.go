package shop_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// scene is a page in a state that people see.
type scene struct {
	name string
	open func(*tab)
}

// hold takes tickets of the event's nth type by its form.
func (b *tab) hold(t *testing.T, event, ticketType, n string) {
	t.Helper()
	b.visit(t, "/en/events/"+event)
	b.run(t, chromedp.SetValue(`[name="q-`+ticketType+`"]`, n), chromedp.Click(`button[value="hold"]`), chromedp.WaitVisible(`[data-countdown]`))
}

// order fills the buyer's form in and sends it.
func (b *tab) order(t *testing.T) {
	t.Helper()
	b.run(t, chromedp.SetValue("#name", "Ada Lovelace"), chromedp.SetValue("#email", "ada@example.org"), chromedp.Click(".form .go button"))
}

// Every page, light and dark, narrow and wide, passes axe and fits its window.
func TestPages_haveNoAxeViolations(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	h.programme(t)
	scenes := []scene{
		{"start", func(b *tab) { b.visit(t, "/en/") }},
		{"results", func(b *tab) { b.visit(t, "/en/search?sort=date") }},
		{"event", func(b *tab) { b.visit(t, "/en/events/"+e.ID) }},
		{"checkout", func(b *tab) { b.hold(t, e.ID, e.TicketTypes[0].ID, "2") }},
		{"checkout-wrong", func(b *tab) {
			b.hold(t, e.ID, e.TicketTypes[0].ID, "1")
			b.run(t, chromedp.Click(".form .go button"), chromedp.WaitVisible(`.box.bad`))
		}},
		{"pay", func(b *tab) {
			b.hold(t, e.ID, e.TicketTypes[0].ID, "1")
			b.order(t)
			b.run(t, chromedp.WaitVisible(`form[data-pay]`))
		}},
		{"order", func(b *tab) {
			b.hold(t, e.ID, e.TicketTypes[2].ID, "2")
			b.order(t)
			b.run(t, chromedp.WaitVisible(`.pass`))
		}},
		{"find", func(b *tab) { b.visit(t, "/en/find") }},
		{"help", func(b *tab) { b.visit(t, "/en/help") }},
		{"missing", func(b *tab) { b.visit(t, "/en/nowhere") }},
		{"ja-event", func(b *tab) { b.visit(t, "/ja/events/"+e.ID) }},
	}
	b := h.browse(t)
	for _, s := range scenes {
		b.window(t, 1280, "light")
		s.open(b)
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int64{320, 1280} {
				name := fmt.Sprintf("%s-%d-%s", s.name, width, scheme)
				b.window(t, width, scheme)
				b.accessible(t, name)
				b.shot(t, name)
			}
		}
	}
}

// programme stages a few more events, so that lists are lists.
func (h *house) programme(t *testing.T) {
	t.Helper()
	for i, e := range []object{
		{"name": "蝶々夫人", "summary": "プッチーニのオペラ。", "category": "opera", "venue": object{"name": "新国立劇場 オペラパレス", "city": "Tokyo", "country": "JP"}, "time_zone": "Asia/Tokyo", "currency": "JPY", "quotas": []object{{"name": "a", "size": 10}}, "ticket_types": []object{{"name": "S席", "price": object{"amount": 24000, "currency": "JPY"}, "quotas": []string{"a"}}}},
		{"name": "Die Zauberflöte", "category": "opera", "venue": object{"name": "Staatsoper", "city": "Wien", "country": "AT"}, "time_zone": "Europe/Vienna"},
		{"name": "Finale de la coupe nationale de football, avec les deux tribunes des supporters", "category": "sport"},
		{"name": "أم كلثوم: ليلة", "category": "music", "venue": object{"name": "دار الأوبرا", "city": "القاهرة", "country": "EG"}, "time_zone": "Africa/Cairo"},
		{"name": "Late Night Comedy", "category": "comedy", "venue": object{"name": "The Cellar", "city": "New York", "country": "US"}, "time_zone": "America/New_York"},
	} {
		start := time.Now().UTC().AddDate(0, 0, 3+4*i).Truncate(time.Hour)
		e["starts_at"], e["ends_at"] = start, start.Add(2*time.Hour)
		h.stage(t, e)
	}
}
