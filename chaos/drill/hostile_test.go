package drill

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/chaos/world"
)

// hostileStep takes every so many-th string of the big list: a sample of all
// its chapters in a few seconds.
const hostileStep = 12

// own are hostile strings of our own, so that the drill never stands without.
var own = []string{
	"", " ", "\t", "\u00a0", "\u202e\u202dabc", "﷽", "👩‍👩‍👧‍👦", "Ω≈ç√∫˜µ≤≥÷", "田中さんにあげて下さい", "ثم نفس سقطت", "Z̮̞̠͙͔ͅḀ̗̞͈̻̗Ḷ͙͎̯̹̞͓G̻O̭̗̮", "1;DROP TABLE users", "' OR 1=1 -- 1",
	"<script>alert(0)</script>", "../../../../etc/passwd", "$(touch /tmp/x)", "{{7*7}}", "%s%s%s%n", "\x7f\u0001\u0002", "\ufeff", "NaN", "1e999", "-0", "null", "undefined", "__proto__",
	"a:b AND (c OR", "\"unbalanced", "*?~^[]{}", "+-&&||!(){}[]^\"~*?:\\/",
}

// Strings that have broken others, in every place where a stranger's text goes.
func TestNonsense_hostileStringsBreakNothing(t *testing.T) {
	t.Parallel()
	w := sharedTown(t)
	n := newNonsense(t, w)
	e := stage(t, w, "apn1", unique("Hostile"), 1000, 10)
	c := attendee(t, w, world.Paris)
	hold, _, err := c.CreateHold(t.Context(), e.ID, e.want(1), key("hold"))
	must(t, err)
	sent := time.Now()
	statuses := map[int]int{}
	for _, text := range hostile(t) {
		for _, r := range []request{
			{what: "search", method: "GET", path: "/v1/events?q=" + url.QueryEscape(text)},
			{what: "suggest", method: "GET", path: "/v1/events/suggest?q=" + url.QueryEscape(text)},
			{what: "category", method: "GET", path: "/v1/events?category=" + url.QueryEscape(text) + "&city=" + url.QueryEscape(text)},
			{what: "cursor", method: "GET", path: "/v1/events?cursor=" + url.QueryEscape(text)},
			{what: "id", method: "GET", path: "/v1/events/" + url.PathEscape(text)},
			{what: "promo code", method: "POST", path: "/v1/events/" + e.ID + "/holds", body: map[string]any{"items": e.want(1).Items, "promo_code": text + "x"}},
			{what: "ticket type", method: "POST", path: "/v1/events/" + e.ID + "/holds", body: map[string]any{"items": []any{map[string]any{"ticket_type_id": text, "quantity": 1}}}},
			{what: "hold", method: "POST", path: "/v1/orders", body: map[string]any{"hold_id": text, "buyer": map[string]any{"email": text, "name": text}}},
			{what: "mail", method: "POST", path: "/v1/orders", body: map[string]any{"hold_id": hold.ID, "buyer": map[string]any{"email": text, "name": text}}},
			{what: "the body itself", method: "POST", path: "/v1/events/" + e.ID + "/holds", body: text},
		} {
			statuses[n.harmless(t, r)]++
		}
	}
	t.Logf("answers by status: %v, in %s", statuses, time.Since(sent).Round(time.Millisecond))
	if q := e.stats(t).Quotas[0]; q.Held != 1 || q.Sold != 0 {
		t.Errorf("the organizer sees %+v, want the one good hold", q)
	}
}

// Hostile names that are taken are kept as they are and can be shown in every
// form: page, search, order, ticket on paper, list of attendees.
func TestNonsense_hostileNamesAreKeptAndShown(t *testing.T) {
	t.Parallel()
	w := sharedTown(t)
	n := newNonsense(t, w)
	c := attendee(t, w, world.Paris)
	taken := 0
	for i, text := range hostile(t) {
		if i%hostileNamesStep != 0 {
			continue
		}
		e, ok := hostileEvent(t, w, n, text)
		if !ok {
			continue
		}
		taken++
		page, _, err := c.Event(t.Context(), e.ID)
		if err != nil || page.Name != e.Name || page.Summary != e.Summary {
			t.Errorf("the page of %q is called %q: %v", e.Name, page.Name, err)
		}
		hostileTicket(t, n, c, e, text)
	}
	if taken < 5 {
		t.Errorf("only %d hostile names were taken: that proves nothing", taken)
	}
}

// hostileNamesStep takes a part of the sample: each name is a whole purchase.
const hostileNamesStep = 4

// hostileEvent publishes an event with free tickets under a hostile name, unless
// the name is refused.
func hostileEvent(t *testing.T, w *world.World, n *nonsense, text string) (concert, bool) {
	t.Helper()
	creds := credentials(t, w)
	org, err := creds.Organizer("euw3")
	must(t, err)
	draft := client.NewEvent{
		Name: text, Summary: text, Category: "music", Venue: venues["euw3"], StartsAt: time.Now().AddDate(0, 1, 0).Truncate(time.Second), TimeZone: "Europe/Paris", Currency: "EUR",
		Quotas: []client.NewQuota{{Name: "all", Size: 10}}, TicketTypes: []client.NewTicketType{{Name: "Free", Quotas: []string{"all"}}}, Publish: true,
	}
	draft.TicketTypes[0].Price.Currency = "EUR"
	status, header, body := n.send(t, request{method: http.MethodPost, path: "/v1/organizers/" + org.ID + "/events", body: draft, header: []string{"Authorization", "Bearer " + org.APIKey}})
	if status != http.StatusCreated {
		if code := n.problem(t, request{what: "event", method: "POST", path: text}, status, header, body); code != "invalid_event" && code != "invalid_field" {
			t.Errorf("the name %q is refused as %d %s", text, status, code)
		}
		return concert{}, false
	}
	var e client.Event
	must(t, json.Unmarshal(body, &e))
	return concert{e, client.New(creds.Router, client.WithHTTP(world.HTTP), client.WithBearer(org.APIKey))}, true
}

func hostileTicket(t *testing.T, n *nonsense, c *client.Client, e concert, text string) {
	t.Helper()
	hold, _, err := c.CreateHold(t.Context(), e.ID, e.want(1), key("hold"))
	must(t, err)
	want := orderOf(hold)
	want.Buyer.Name, want.Attendees = text, []client.Attendee{{Name: text}}
	status, header, body := n.send(t, request{method: http.MethodPost, path: "/v1/orders", body: want})
	if status != http.StatusCreated {
		if code := n.problem(t, request{what: "order", method: "POST", path: text}, status, header, body); code != "invalid_order" {
			t.Errorf("the buyer %q is refused as %d %s", text, status, code)
		}
		return
	}
	var o client.Order
	must(t, json.Unmarshal(body, &o))
	for _, ticket := range o.Tickets {
		c.Admit(ticket.ID, ticket.AccessToken)
	}
	if len(o.Tickets) != 1 || o.Buyer.Name != text {
		t.Errorf("the order of %q is %+v", text, o)
		return
	}
	if paper, _, err := c.TicketPDF(t.Context(), o.Tickets[0].ID); err != nil || len(paper) < 1000 {
		t.Errorf("the ticket of %q on paper: %d bytes, %v", text, len(paper), err)
	}
	if list, _, err := e.organizer.AttendeesCSV(t.Context(), e.ID); err != nil || !slices.Contains(list, '\n') {
		t.Errorf("the list with %q: %.200s, %v", text, list, err)
	}
}

// hostile is our own list and a sample of the shared one where it is.
func hostile(t *testing.T) []string {
	t.Helper()
	all := own
	raw, err := os.ReadFile(sharedFile("names", "blns.json"))
	if err != nil {
		t.Log("SKIPPED in part: shared/data is not beside the repository, so only the list of our own was tried")
		return all
	}
	var list []string
	must(t, json.Unmarshal(raw, &list))
	if len(list) < 100 {
		t.Errorf("blns.json has only %d strings", len(list))
	}
	for i := 0; i < len(list); i += hostileStep {
		all = append(all, list[i])
	}
	return all
}

// sharedFile is a file of the shared data, found by walking up; "" if there are none.
func sharedFile(elem ...string) string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		data := filepath.Join(dir, "shared", "data")
		if _, err := os.Stat(filepath.Join(data, "SOURCES.md")); err == nil {
			return filepath.Join(append([]string{data}, elem...)...)
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}
