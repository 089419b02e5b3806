package shop_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/chromedp/chromedp"

	"guichet/cell/client"
)

// hall is an event with two categories of seats, a wheelchair place and its companion's.
func (h *house) hall(t *testing.T) client.Event {
	t.Helper()
	zone := func(name, category string, top float64, rows, seats int) object {
		var list []object
		for r := range rows {
			var places []object
			for s := range seats {
				places = append(places, object{
					"seat_number": fmt.Sprint(s + 1), "seat_guid": fmt.Sprintf("%s-%c-%d", name, 'A'+r, s+1), "category": category,
					"position": object{"x": float64(s) * 30, "y": 0.0},
				})
			}
			list = append(list, object{"row_number": string(rune('A' + r)), "position": object{"x": 0.0, "y": float64(r) * 34}, "seats": places})
		}
		return object{"name": name, "position": object{"x": 60.0, "y": top}, "rows": list}
	}
	return h.stage(t, object{
		"name": "Giselle", "category": "dance", "quotas": []object{{"name": "stalls", "size": 1}, {"name": "circle", "size": 1}},
		"ticket_types": []object{
			{"name": "Stalls", "price": eur(9000), "fees": eur(300), "quotas": []string{"stalls"}},
			{"name": "Stalls, child", "price": eur(4500), "quotas": []string{"stalls"}},
			{"name": "Circle", "price": eur(5000), "quotas": []string{"circle"}},
		},
		"seating": object{
			"plan": object{
				"name": "Hall", "size": object{"width": 480.0, "height": 420.0}, "categories": []object{{"name": "Stalls", "color": "#8c2d19"}, {"name": "Circle", "color": "#9fc5e8"}},
				"zones": []object{zone("Stalls", "Stalls", 90, 4, 12), zone("Circle", "Circle", 280, 3, 12)},
			},
			"categories": []object{{"category": "Stalls", "ticket_types": []string{"Stalls", "Stalls, child"}}, {"category": "Circle", "ticket_types": []string{"Circle"}}},
			"accessible": []string{"Stalls-D-1"}, "companions": []object{{"seat_id": "Stalls-D-2", "with": "Stalls-D-1"}},
		},
	})
}

func TestSeats_areChosenFromTheListWithoutJavaScript(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.hall(t)
	v := h.visitor(t)
	v.get(t, "/en/events/"+e.ID).says(t, 200, "Choose seats on the map", "€93")
	p := v.get(t, "/en/events/"+e.ID+"/seats").says(t, 200, "Choose your seats", "wheelchair place", "48 free")
	none := v.send(t, p, "/hold", url.Values{"map": {"1"}, "do": {"hold"}}).says(t, 422, "Choose how many tickets", "Choose your seats")
	held := v.send(t, none, "/hold", url.Values{"map": {"1"}, "do": {"hold"}, "as-0": {e.TicketTypes[1].ID}, "seat": {"0|Stalls-B-5", "0|Stalls-B-6"}}).says(t, 200, "row B, seat 5", "row B, seat 6", "€90.00")
	_ = held
	other := h.visitor(t)
	p = other.get(t, "/en/events/"+e.ID+"/seats").says(t, 200, "Best seats for me") // the map may be a second old
	other.send(t, p, "/hold", url.Values{"map": {"1"}, "do": {"hold"}, "as-0": {e.TicketTypes[0].ID}, "seat": {"0|Stalls-B-5"}}).says(t, 422, "Somebody else was faster")
	other.send(t, p, "/hold", url.Values{"map": {"1"}, "do": {"best"}, "best-type": {e.TicketTypes[2].ID}, "best-count": {"3"}}).says(t, 200, "Circle", "€150.00")
}

func TestSeats_areChosenOnTheMapByMouse(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.hall(t)
	b := h.browse(t)
	b.window(t, 1280, "light")
	b.visit(t, "/en/events/"+e.ID+"/seats")
	b.run(t, chromedp.Click(`g[data-s="Circle-B-6"]`), chromedp.Click(`g[data-s="Circle-B-7"]`))
	b.says(t, "2: row B 6, row B 7")
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{320, 1280} {
			b.window(t, width, scheme)
			b.accessible(t, fmt.Sprintf("seats-%d-%s", width, scheme))
			b.shot(t, fmt.Sprintf("seats-%d-%s", width, scheme))
		}
	}
	// Somebody else takes a seat: the map sees it within seconds.
	v := h.visitor(t)
	v.send(t, v.get(t, "/en/events/"+e.ID+"/seats"), "/hold", url.Values{"map": {"1"}, "do": {"hold"}, "as-1": {e.TicketTypes[2].ID}, "seat": {"1|Circle-B-7", "1|Circle-B-8"}}).says(t, 200, "seat 8")
	b.says(t, "Taken by somebody else: row B 7")
	b.run(t, chromedp.Click(`g[data-s="Circle-B-5"]`))
	b.click(t, `button[value="hold"]`)
	b.says(t, "row B, seat 5", "row B, seat 6", "€100.00")
}
