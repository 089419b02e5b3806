package api_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"guichet/cell/client"
	"guichet/cell/search"
)

// naughty is the Big List of Naughty Strings and some of our own.
func naughty(t *testing.T) []string {
	t.Helper()
	own := []string{
		"", " ", "\x00", "a\x00b", "\ufffd", "\ufeffbom", "\u202eRTL", "\x1b[31m", "'; DROP TABLE booking.event; --", "${jndi:ldap://x}", "{{7*7}}", "<script>alert(1)</script>",
		"=cmd|' /C calc'!A0", "../../../etc/passwd", "%00", "%s%s%n", "a\r\nX-Injected: 1", strings.Repeat("a", 5000), strings.Repeat("\u0301", 300), "e\u0301\u0301\u0301", "👩‍👩‍👧‍👦", "\U0010ffff",
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "shared", "data", "SOURCES.md")); err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, "shared", "data", "names", "blns.json"))
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		if err := json.Unmarshal(text, &list); err != nil || len(list) < 500 {
			t.Fatalf("%d strings, %v", len(list), err)
		}
		return append(own, list...)
	}
	t.Log("NOT TESTED: shared/data is not beside the repository; only our own hostile strings are tried")
	return own
}

// grown tells by how much each table grew between two texts of rows.
func grown(t *testing.T, before, after string) map[string]int {
	t.Helper()
	a, b := strings.Fields(before), strings.Fields(after)
	out := map[string]int{}
	for i := 0; i+1 < 2*len(tables); i += 2 {
		var x, y int
		if json.Unmarshal([]byte(a[i+1]), &x) != nil || json.Unmarshal([]byte(b[i+1]), &y) != nil || a[i] != b[i] {
			t.Fatalf("%s\n%s", before, after)
		}
		if y != x {
			out[a[i]] = y - x
		}
	}
	return out
}

// onlyGrew checks that the tables grew by exactly so many rows and no other did.
func onlyGrew(t *testing.T, what string, got, want map[string]int) {
	t.Helper()
	for table := range want {
		if want[table] == 0 {
			delete(want, table)
		}
	}
	if string(mustJSON(t, got)) != string(mustJSON(t, want)) {
		t.Errorf("%s: the tables grew by %v, want %v", what, got, want)
	}
}

// TestHostileStrings_inOrganizersAndEvents: what is accepted comes back letter
// by letter and is found; what is refused is 4xx and leaves nothing.
func TestHostileStrings_inOrganizersAndEvents(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	line := "POST /v1/organizers/" + s.org.ID + "/events"
	// Each field takes what it takes; the strict ones refuse all but what they know.
	fields := map[string]func(v string) any{
		"organizer": func(v string) any { return object{"name": v} },
		"texts": func(v string) any {
			return concert().but(object{
				"name": v, "summary": v, "venue": object{"name": v, "address": v, "city": v, "country": "FR"},
				"quotas": []object{{"name": v, "size": 3}}, "ticket_types": []object{{"name": v, "price": eur(0), "quotas": []string{v}}},
			})
		},
		"source": func(v string) any {
			return concert().but(object{"source": object{"name": v, "id": v, "licence": v, "credit": v}})
		},
		"category": func(v string) any { return concert().but(object{"category": v}) },
		"country": func(v string) any {
			return concert().but(object{"venue": object{"name": "x", "city": "y", "country": v}})
		},
		"time_zone": func(v string) any { return concert().but(object{"time_zone": v}) },
		"currency":  func(v string) any { return concert().but(object{"currency": v}) },
		"starts_at": func(v string) any { return concert().but(object{"starts_at": v}) },
		"url":       func(v string) any { return concert().but(object{"source": object{"name": "x", "id": v, "url": v}}) },
		"price": func(v string) any {
			return concert().but(object{"ticket_types": []object{{"name": "x", "price": v, "quotas": []string{"floor"}}}})
		},
		"field": func(v string) any { return concert().but(object{"x" + v: v}) },
	}
	for field, body := range fields {
		before := s.rows(t)
		accepted := map[string]int{}
		for _, v := range naughty(t) {
			at, as := line, s.bearer
			if field == "organizer" {
				at, as = "POST /v1/organizers", bearer(operatorToken)
			}
			a := s.askRaw(t, at, body(v), as)
			switch {
			case a.status == 201 && field == "organizer":
				accepted["booking.organizer"]++
				if got := read[client.Organizer](t, a); got.Name != v {
					t.Errorf("%q came back as %q", v, got.Name)
				}
			case a.status == 201:
				e := read[client.Event](t, a)
				accepted["booking.event"]++
				accepted["booking.ledger"]++
				accepted["booking.quota"] += len(e.Quotas)
				accepted["booking.ticket_type"] += len(e.TicketTypes)
				accepted["bus.outbox"]++
				if field == "texts" {
					s.comesBack(t, v, e)
				}
			case a.status != 400 && a.status != 409:
				t.Errorf("%s %q: %s", field, v, a.is())
			}
			if a.status == 201 {
				accepted["booking.answer"]++
				accepted["audit.entry"]++
			}
			if a.status == 201 && field == "organizer" {
				accepted["account.organizer"]++
				accepted["account.api_key"]++
			}
		}
		switch strict := field == "country" || field == "time_zone" || field == "currency" || field == "starts_at" || field == "price" || field == "field"; {
		case strict && accepted["booking.answer"] > 1: // "" is no category and no zone, but may be something
			t.Errorf("%s: %d accepted", field, accepted["booking.answer"])
		case (field == "organizer" || field == "texts") && accepted["booking.answer"] == 0:
			t.Errorf("%s: none accepted", field)
		}
		onlyGrew(t, field, grown(t, before, s.rows(t)), accepted)
	}
}

// comesBack reads an event by its id and from the index.
func (s *stage) comesBack(t *testing.T, v string, e client.Event) {
	t.Helper()
	got := read[client.Event](t, s.askRaw(t, "GET /v1/events/"+e.ID, nil).want(t, "200"))
	if got.Name != v || got.Summary != v || got.Venue.Name != v || got.TicketTypes[0].Name != v || e.Quotas[0].Name != v {
		t.Errorf("%q came back as %+v", v, got)
	}
	doc := search.NewDocument(got, true)
	if err := doc.Validate(); err != nil {
		t.Errorf("%q cannot be told: %v", v, err)
	}
}

func TestHostileStrings_inHoldsOrdersAndRefunds(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t, object{"quotas": []object{{"name": "floor", "size": 5000}, {"name": "balcony", "size": 5}}})
	paid := s.paid(t, s.floor, 1)
	hold := s.hold(t, s.guest, 1)
	before := s.rows(t)
	for _, v := range naughty(t) {
		for _, c := range []struct {
			line string
			body object
		}{
			{"POST " + s.path() + "/holds", items(v, 1)},
			{"POST " + s.path() + "/holds", items(s.guest, v)},
			{"POST " + s.path() + "/holds", object{"items": []object{{"ticket_type_id": s.guest, "seat_ids": []string{v}}}}},
			{"POST " + s.path() + "/holds", object{"items": []object{{"ticket_type_id": s.guest, "quantity": 1, "x" + v: v}}}},
			{"POST " + s.path() + "/holds", object{"items": []object{{"ticket_type_id": s.guest, "quantity": 0}}, "promo_code": v}},
			{"POST /v1/orders", object{"hold_id": v, "buyer": buyer()}},
			{"POST /v1/orders", object{"hold_id": hold.ID, "buyer": buyer(), "shown_total": object{"amount": 0, "currency": v}}},
			{"POST /v1/orders", object{"hold_id": hold.ID, "buyer": buyer(), "attendees": v}},
			{"POST /v1/orders/" + paid.ID + "/refunds", object{"amount": object{"amount": 1, "currency": v}}},
			{"POST /v1/orders/" + paid.ID + "/refunds", object{"amount": eur(99999), "reason": v}},
		} {
			if v == "EUR" {
				continue
			}
			if a := s.askRaw(t, c.line, c.body, s.bearer); a.status < 400 || a.status > 422 {
				t.Errorf("%s %q: %s", c.line, v, a.is())
			}
		}
	}
	if after := s.rows(t); after != before {
		t.Errorf("refusals left\n%s\nwas\n%s", after, before)
	}
}

func TestHostileStrings_asNamesOnTickets(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t, object{"quotas": []object{{"name": "floor", "size": 5000}, {"name": "balcony", "size": 5}}})
	all := naughty(t)
	names := map[string]string{}
	hold := s.hold(t, s.guest, 1)
	for _, v := range all {
		a := s.askRaw(t, "POST /v1/orders", object{"hold_id": hold.ID, "buyer": object{"email": "ana@example.org", "name": v, "locale": v}, "attendees": []object{{"name": v}}})
		if a.is() != "201" {
			if a.status != 400 {
				t.Errorf("%q: %s", v, a.is())
			}
			continue
		}
		o := read[client.Order](t, a)
		if o.Buyer.Name != v || o.Buyer.Locale != v || o.Tickets[0].Attendee != v {
			t.Errorf("%q came back as %+v", v, o)
		}
		names[o.Tickets[0].ID] = v
		if len(names)%25 == 0 || strings.ContainsAny(v, "\u202e\u0301") { // paper is dear
			paper := s.askRaw(t, "GET /v1/tickets/"+o.Tickets[0].ID+".pdf", nil).want(t, "200")
			if !strings.HasPrefix(string(paper.body), "%PDF") {
				t.Errorf("%q: no paper", v)
			}
		}
		hold = s.hold(t, s.guest, 1)
	}
	if len(names) < 5 || s.count(t, "checkout.orders") != len(names) {
		t.Errorf("%d orders, %d accepted", s.count(t, "checkout.orders"), len(names))
	}
	records, err := csv.NewReader(strings.NewReader(string(s.ask(t, "GET "+s.path()+"/attendees.csv", nil, s.bearer).want(t, "200").body))).ReadAll()
	if err != nil || len(records) != len(names)+1 {
		t.Fatalf("%d records of %d, %v", len(records), len(names), err)
	}
	for _, r := range records[1:] {
		if strings.TrimPrefix(r[4], "'") != strings.TrimPrefix(names[r[2]], "'") {
			t.Errorf("%q is in the list as %q", names[r[2]], r[4])
		}
		for _, cell := range r {
			if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
				t.Errorf("a spreadsheet runs %q", cell)
			}
		}
	}
}

func TestHostileStrings_asEMail(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	hold := s.hold(t, s.guest, 1)
	before := s.rows(t)
	for _, v := range naughty(t) {
		for _, body := range []object{
			{"hold_id": hold.ID, "buyer": object{"email": v, "name": "Ana"}},
			{"hold_id": hold.ID, "buyer": buyer(), "attendees": []object{{"name": "A", "email": "x" + v}}},
		} {
			if a := s.askRaw(t, "POST /v1/orders", body); a.status != 400 {
				t.Errorf("%q: %s", v, a.is())
			}
		}
	}
	if after := s.rows(t); after != before {
		t.Errorf("refusals left\n%s\nwas\n%s", after, before)
	}
}

func TestHostileStrings_inPathsQueriesAndHeaders(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	s.announce(t, search.NewDocument(s.event, true))
	before := s.rows(t)
	templates := []string{"/v1/events/%", "/v1/holds/%", "/v1/orders/%", "/v1/orders/%/tickets", "/v1/tickets/%", "/v1/tickets/%.pdf", "/v1/events/%/stats", "/%"}
	params := []string{"q", "near", "radius_km", "from", "to", "category", "country", "city", "price_max", "currency", "occurrences", "sort", "facets", "cursor", "limit"}
	for i, v := range naughty(t) {
		for _, template := range templates {
			a := s.askRaw(t, "GET "+strings.Replace(template, "%", url.PathEscape(v), 1), nil, s.bearer)
			if a.status != 400 && a.status != 404 && !(v == "" || strings.Trim(v, "/") == "") {
				t.Errorf("%s with %q: %s", template, v, a.is())
			}
		}
		for j, name := range params {
			if name != "q" && i > 40 && (i+j)%4 != 0 { // each parameter meets our own strings and every fourth of the list
				continue
			}
			query := url.Values{name: {v}}
			if name == "radius_km" {
				query.Set("near", "48.8,2.3")
			}
			if a := s.askRaw(t, "GET /v1/events?"+query.Encode(), nil); a.status != 200 && a.status != 400 {
				t.Errorf("%s=%q: %s", name, v, a.is())
			}
		}
		for _, line := range []string{"/v1/events/suggest?q=" + url.QueryEscape(v), s.path() + "/orders?cursor=" + url.QueryEscape(v), s.path() + "/orders?limit=" + url.QueryEscape(v)} {
			if a := s.askRaw(t, "GET "+line, nil, s.bearer); a.status != 200 && a.status != 400 {
				t.Errorf("%s: %s", line, a.is())
			}
		}
		if a := s.askRaw(t, "GET "+s.path()+"?"+url.QueryEscape("x"+v)+"="+url.QueryEscape(v), nil); a.is() != "400 unknown_parameter" {
			t.Errorf("parameter %q: %s", v, a.is())
		}
		if a := s.askRaw(t, "POST /v1/organizers?home_region="+url.QueryEscape(v+"x"), object{"name": "A"}, bearer(operatorToken)); a.is() != "400 unknown_region" {
			t.Errorf("region %q: %s", v, a.is())
		}
	}
	if after := s.rows(t); after != before {
		t.Errorf("refusals left\n%s\nwas\n%s", after, before)
	}
}

// TestHostileStrings_inHeaders goes past Go's client and server, which refuse
// most of these by themselves.
func TestHostileStrings_inHeaders(t *testing.T) {
	t.Parallel()
	var handler http.Handler
	s := open(t, func(h *house) {
		twin := *h.server
		twin.Metrics = newRegistry()
		handler = twin.Handler()
	}).stage(t)
	before := s.rows(t)
	for _, v := range naughty(t) {
		for name, want := range map[string][]int{
			"Authorization": {401}, "If-Match": {412, 428}, "Content-Type": {415}, "Idempotency-Key": {400, 422}, "X-Request-Id": {422},
		} {
			method, path, body := http.MethodPost, s.path()+"/holds", mustJSON(t, items(s.floor, 1000))
			if name == "Authorization" || name == "If-Match" {
				method, body = http.MethodPatch, []byte(`{"name":"x"}`)
				path = s.path()
			}
			r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(string(body)))
			r.Header.Set("Authorization", "Bearer "+s.org.APIKey)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Idempotency-Key", "k")
			r.Header.Set("If-Match", "*")
			r.Header[name] = []string{v}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			ok := name == "If-Match" && v == "*"
			for _, status := range want {
				ok = ok || w.Code == status
			}
			if !ok {
				t.Errorf("%s: %q: %d %s", name, v, w.Code, w.Body)
			}
			if name == "X-Request-Id" && strings.ContainsAny(w.Header().Get("X-Request-Id"), "\r\n\x00<> ") {
				t.Errorf("request id %q", w.Header().Get("X-Request-Id"))
			}
		}
	}
	if after := s.rows(t); after != before {
		t.Errorf("refusals left\n%s\nwas\n%s", after, before)
	}
}
