package api_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"guichet/cell/client"
)

// TestBodies_areReadStrictly sends what is nearly right; each refusal points at
// its place and leaves nothing behind.
func TestBodies_areReadStrictly(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	hold := s.hold(t, s.floor, 1)
	holds, orders := "POST "+s.path()+"/holds", "POST /v1/orders"
	events, organizers := "POST /v1/organizers/"+s.org.ID+"/events", "POST /v1/organizers"
	patch, quota, tt := "PATCH "+s.path(), "PUT "+s.path()+"/quotas/"+s.event.Quotas[0].ID, "PUT "+s.path()+"/ticket_types/"+s.floor
	refunds := "POST /v1/orders/" + s.paid(t, s.floor, 1).ID + "/refunds"
	deep := strings.Repeat(`{"items":[`, 5000)
	before := s.rows(t)
	for _, c := range []struct {
		line string
		body any
		want string
	}{
		{holds, ``, "400 invalid_json"},
		{holds, `{`, "400 invalid_json"},
		{holds, `{} {}`, "400 invalid_json"},
		{holds, `[]`, "400 invalid_field "},
		{holds, `null`, "400 invalid_field "},
		{holds, `"x"`, "400 invalid_field "},
		{holds, "{\"items\":[{\"ticket_type_id\":\"\xff\"}]}", "400 invalid_json"},
		{holds, "\xef\xbb\xbf{}", "400 invalid_json"},
		{holds, deep, "400 invalid_json"},
		{holds, deep + strings.Repeat(`]}`, 5000), "400 unknown_field /items/0/items"},
		{holds, `{"items":[],"items":[]}`, "400 invalid_field /items"},
		{holds, `{"itemz":[]}`, "400 unknown_field /itemz"},
		{holds, `{"Items":[]}`, "400 unknown_field /Items"},
		{holds, `{"a/b~c":1}`, "400 unknown_field /a~1b~0c"},
		{holds, `{"items":{}}`, "400 invalid_field /items"},
		{holds, `{"items":[1]}`, "400 invalid_field /items/0"},
		{holds, `{"items":[{"ticket_type_id":"` + s.floor + `","quantity":1,"seat":1}]}`, "400 unknown_field /items/0/seat"},
		{holds, items(s.floor, "1"), "400 invalid_field /items/0/quantity"},
		{holds, items(s.floor, 1.5), "400 invalid_field /items/0/quantity"},
		{holds, items(s.floor, true), "400 invalid_field /items/0/quantity"},
		{holds, items(s.floor, nil), "400 invalid_field /items/0/quantity"},
		{holds, []byte(`{"items":[{"ticket_type_id":"` + s.floor + `","quantity":1e0}]}`), "400 invalid_field /items/0/quantity"},
		{holds, []byte(`{"items":[{"ticket_type_id":"` + s.floor + `","quantity":9223372036854775808}]}`), "400 invalid_field /items/0/quantity"},
		{holds, items(s.floor, 0), "400 invalid_quantity /items/0/quantity"},
		{holds, items(s.floor, -1), "400 invalid_quantity /items/0/quantity"},
		{holds, items(s.floor, int64(-9223372036854775808)), "400 invalid_quantity /items/0/quantity"},
		{holds, items("", 1), "400 invalid_id /items/0/ticket_type_id"},
		{holds, items(s.event.ID, 1), "400 invalid_id /items/0/ticket_type_id"},
		{holds, items(strings.ToUpper(s.floor), 1), "400 invalid_id /items/0/ticket_type_id"},
		{holds, items(s.floor+" ", 1), "400 invalid_id /items/0/ticket_type_id"},
		{holds, items(s.floor+"\x00", 1), "400 invalid_field /items/0/ticket_type_id"},
		{holds, object{"items": []object{{"ticket_type_id": s.floor, "seat_ids": []string{"A1"}}}}, "422 no_seating /items/0/seat_ids"},
		{holds, object{"items": []object{{"ticket_type_id": s.floor, "quantity": 1, "name": "x"}}}, "400 unknown_field /items/0/name"},
		{holds, object{"items": []object{{"ticket_type_id": s.floor, "quantity": 1, "price": 1}}}, "400 unknown_field /items/0/price"},
		{holds, object{"items": []object{{"ticket_type_id": s.floor, "quantity": 1}}, "promo_code": "HALF"}, "422 unknown_promo_code /promo_code"},

		{orders, object{"buyer": buyer()}, "400 missing_field /hold_id"},
		{orders, object{"hold_id": s.event.ID, "buyer": buyer()}, "400 invalid_id /hold_id"},
		{orders, object{"hold_id": hold.ID}, "400 missing_field /buyer"},
		{orders, object{"hold_id": hold.ID, "buyer": nil}, "400 invalid_field /buyer"},
		{orders, object{"hold_id": hold.ID, "buyer": object{"email": "a@b.c"}}, "400 missing_field /buyer/name"},
		{orders, object{"hold_id": hold.ID, "buyer": object{"email": "Ana <a@b.c>", "name": "Ana"}}, "400 invalid_order /buyer/email"},
		{orders, object{"hold_id": hold.ID, "buyer": object{"email": "a@b.c\r\nBcc: x@y.z", "name": "Ana"}}, "400 invalid_order /buyer/email"},
		{orders, object{"hold_id": hold.ID, "buyer": object{"email": strings.Repeat("a", 251) + "@b.c", "name": "Ana"}}, "400 invalid_order /buyer/email"},
		{orders, object{"hold_id": hold.ID, "buyer": object{"email": "a@b.c", "name": strings.Repeat("é", 201)}}, "400 invalid_order /buyer/name"},
		{orders, object{"hold_id": hold.ID, "buyer": object{"email": "a@b.c", "name": "  "}}, "400 invalid_order /buyer/name"},
		{orders, object{"hold_id": hold.ID, "buyer": object{"email": "a@b.c", "name": "A", "locale": "a\nb"}}, "400 invalid_order /buyer/locale"},
		{orders, object{"hold_id": hold.ID, "buyer": buyer(), "attendees": []object{{"name": "A"}, {"name": ""}}}, "400 invalid_order /attendees/1/name"},
		{orders, object{"hold_id": hold.ID, "buyer": buyer(), "attendees": []object{{"name": "A", "email": "x"}}}, "400 invalid_order /attendees/0/email"},
		{orders, object{"hold_id": hold.ID, "buyer": buyer(), "attendees": make([]client.Attendee, 51)}, "400 invalid_order /attendees"},
		{orders, object{"hold_id": hold.ID, "buyer": buyer(), "shown_total": object{"amount": "4250", "currency": "EUR"}}, "400 invalid_field /shown_total/amount"},
		{orders, object{"hold_id": hold.ID, "buyer": buyer(), "attendees": []object{{"name": "A"}, {"name": "B"}}}, "400 invalid_order /attendees"},
		{orders, object{"hold_id": hold.ID, "buyer": buyer(), "shown_total": 4250}, "400 invalid_field /shown_total"},
		{orders, object{"hold_id": hold.ID, "buyer": buyer(), "card": "4242"}, "400 unknown_field /card"},

		{organizers, object{}, "400 missing_field /name"},
		{organizers, object{"name": strings.Repeat("x", 201)}, "400 invalid_organizer /name"},
		{organizers, object{"name": "x", "api_key": "gk_mine"}, "400 unknown_field /api_key"},

		{patch, object{"name": ""}, "400 invalid_event /name"},
		{patch, object{"currency": "USD"}, "400 unknown_field /currency"},
		{patch, object{"state": "published"}, "400 unknown_field /state"},
		{patch, object{"venue": object{"name": "x", "city": "y", "country": "fr"}}, "400 invalid_event /venue/country"},
		{patch, object{"starts_at": "tomorrow"}, "400 invalid_field /starts_at"},
		{quota, object{"name": "floor", "size": -1}, "400 invalid_event /size"},
		{quota, object{"name": "floor", "size": 10_000_001}, "400 invalid_event /size"},
		{quota, object{"size": 100}, "400 missing_field /name"},
		{tt, object{"name": "x", "price": object{"amount": 1, "currency": "USD"}, "quotas": []string{"floor"}, "fees": eur(0)}, "400 invalid_event /price/currency"},
		{tt, object{"name": "x", "price": eur(-1), "quotas": []string{"floor"}, "fees": eur(0)}, "400 invalid_event /price/amount"},
		{tt, object{"name": "x", "price": eur(100), "quotas": []string{"floor"}, "fees": eur(0), "min_per_order": 5, "max_per_order": 4}, "400 invalid_event /max_per_order"},
		{refunds, object{"reason": strings.Repeat("x", 201)}, "400 invalid_order /reason"},
		{refunds, `{"amount":{"amount":1.5,"currency":"EUR"}}`, "400 invalid_field /amount/amount"},

		{events, concert().but(object{"name": nil}), "400 missing_field /name"},
		{events, concert().but(object{"name": strings.Repeat("x", 201)}), "400 invalid_event /name"},
		{events, concert().but(object{"starts_at": nil}), "400 missing_field /starts_at"},
		{events, concert().but(object{"starts_at": "2099-01-01T00:00:00Z"}), "400 invalid_event /starts_at"},
		{events, concert().but(object{"starts_at": "0000-01-01T00:00:00Z", "time_zone": "America/New_York", "publish": nil}), "400 invalid_event /starts_at"},
		{events, concert().but(object{"starts_at": "0001-01-01T00:00:01Z", "time_zone": "America/New_York", "publish": nil}), "400 invalid_event /starts_at"},
		{events, concert().but(object{"ends_at": "9999-12-31T23:59:59Z", "time_zone": "Asia/Tokyo"}), "400 invalid_event /ends_at"},
		{events, concert().but(object{"ends_at": startsAt()}), "400 invalid_event /ends_at"},
		{events, concert().but(object{"time_zone": "Local"}), "400 invalid_event /time_zone"},
		{events, concert().but(object{"time_zone": "../../etc/passwd"}), "400 invalid_event /time_zone"},
		{events, concert().but(object{"currency": "XXX"}), "400 invalid_event /currency"},
		{events, concert().but(object{"currency": "USD"}), "400 invalid_event /ticket_types/0/price/currency"},
		{events, concert().but(object{"starts_at": startsAt().AddDate(-1, 0, 0)}), "409 invalid_state"},
		{events, concert().but(object{"quotas": []object{}}), "400 invalid_event /quotas"},
		{events, concert().but(object{"quotas": []object{{"name": "floor", "size": 1}, {"name": "floor", "size": 1}}}), "400 invalid_event /quotas/1/name"},
		{events, concert().but(object{"quotas": []object{{"name": "floor", "size": -1}}}), "400 invalid_event /quotas/0/size"},
		{events, concert().but(object{"ticket_types": []object{}}), "400 invalid_event /ticket_types"},
		{events, concert().but(object{"ticket_types": []object{{"name": "x", "price": eur(100), "quotas": []string{"attic"}}}}), "400 invalid_event /ticket_types/0/quotas/0"},
		{events, concert().but(object{"ticket_types": []object{{"name": "x", "price": eur(100), "quotas": []string{}}}}), "400 invalid_event /ticket_types/0/quotas"},
		{events, concert().but(object{"ticket_types": []object{{"name": "x", "price": eur(1 << 60), "quotas": []string{"floor"}}}}), "400 invalid_event /ticket_types/0/price/amount"},
		{events, concert().but(object{"ticket_types": []object{{"name": "x", "price": eur(100), "quotas": []string{"floor"}, "sales_end": "9999-12-31T23:59:59-12:00"}}}), "400 invalid_event /ticket_types/0/sales_end"},
		{events, concert().but(object{"ticket_types": []object{{"name": "x", "price": eur(100), "quotas": []string{"floor"}, "sales_start": "0000-01-01T00:00:00+12:00"}}}), "400 invalid_event /ticket_types/0/sales_start"},
		{events, concert().but(object{"venue": object{"name": "x", "city": "y", "country": "FR", "location": object{"lat": 91, "lon": 0}}}), "400 invalid_event /venue/location"},
		{events, concert().but(object{"source": object{"name": strings.Repeat("x", 300_000), "id": "1"}}), "400 invalid_event /source/name"},
		{events, concert().but(object{"source": object{"name": "x", "id": strings.Repeat("x", 2000)}}), "400 invalid_event /source/id"},
		{events, concert().but(object{"source": object{"name": "x", "id": "1", "url": "javascript:alert(1)"}}), "400 invalid_event /source/url"},
		{events, concert().but(object{"source": object{"name": "x", "id": "2", "credit": "a\x1b[31mb"}}), "400 invalid_event /source/credit"},
	} {
		as := s.bearer
		if c.line == organizers {
			as = bearer(operatorToken)
		}
		if a := s.ask(t, c.line, c.body, by(c.line, as), ifMatch("*")); a.is() != c.want {
			t.Errorf("%.40s %.300s: %s, want %s: %.200s", c.line, show(t, c.body), a.is(), c.want, a.member("detail"))
		}
	}
	if after := s.rows(t); after != before {
		t.Errorf("refusals left\n%s\nwas\n%s", after, before)
	}
}

func show(t *testing.T, body any) string {
	t.Helper()
	if text, ok := body.(string); ok {
		return text
	}
	return string(mustJSON(t, body))
}

// bodied are all calls that read a JSON body.
func (s *stage) bodied() []string {
	return []string{
		"POST " + s.path() + "/holds", "POST /v1/orders", "POST /v1/organizers", "POST /v1/organizers/" + s.org.ID + "/events", "PATCH " + s.path(),
		"PUT " + s.path() + "/quotas/" + s.event.Quotas[0].ID, "PUT " + s.path() + "/ticket_types/" + s.floor, "POST /v1/orders/" + s.order0 + "/refunds",
		"POST /v1/organizers/" + s.org.ID + "/series", "POST " + s.path() + "/allocations", "POST " + s.path() + "/allocations/alc" + s.event.Quotas[0].ID[3:] + "/release",
		"POST " + s.path() + "/allocations/alc" + s.event.Quotas[0].ID[3:] + "/holds",
	}
}

func TestBodies_haveALimitAndAMediaType(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	s.order0 = s.paid(t, s.guest, 1).ID
	before := s.rows(t)
	for _, line := range s.bodied() {
		as := s.bearer
		if line == "POST /v1/organizers" {
			as = bearer(operatorToken)
		}
		for _, size := range []int{1<<20 + 1, 2 << 20} {
			body := append([]byte(`{"name":"`), bytes.Repeat([]byte("a"), size-11)...)
			a := s.ask(t, line, append(body, `"}`...), as, ifMatch("*")).want(t, "413 body_too_large")
			if a.member("limit") != "1048576" {
				t.Errorf("%s: %s", line, a.body)
			}
		}
		for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/merge-patch+json", "nonsense;;"} {
			s.ask(t, line, `{}`, as, ifMatch("*"), header("Content-Type", media)).want(t, "415 unsupported_media_type")
		}
		s.ask(t, line, `{`, as, ifMatch("*"), header("Content-Type", "Application/JSON; charset=utf-8")).want(t, "400 invalid_json")
	}
	if after := s.rows(t); after != before {
		t.Errorf("refusals left\n%s\nwas\n%s", after, before)
	}
}

func TestUnknownParameters_areRefusedEverywhere(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	before := s.rows(t)
	c := contractOf(t, s.house)
	for path, item := range c.doc.Paths.Map() {
		switch path {
		case "/livez", "/readyz": // probes add what they like
			continue
		}
		for method := range item.Operations() {
			at := strings.NewReplacer("{event_id}", s.event.ID, "{organizer_id}", s.org.ID, "{quota_id}", s.event.Quotas[0].ID, "{ticket_type_id}", s.floor,
				"{allocation_id}", "alc_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v", "{series_id}", "ser_euw3_k3v9x2m4q7rt",
				"{hold_id}", "hld_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v", "{order_id}", "ord_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v", "{ticket_id}", "tkt_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v").Replace(path)
			a := s.ask(t, method+" "+at+"?verbose=1", nil, bearer(operatorToken)).want(t, "400 unknown_parameter")
			if a.member("parameter") != `"verbose"` {
				t.Errorf("%s", a.body)
			}
			s.ask(t, method+" "+at+"?%zz=1", nil).want(t, "400 invalid_parameter")
			s.ask(t, method+" "+at+"?a=1;b=2", nil).want(t, "400 invalid_parameter")
		}
	}
	s.ask(t, "POST /v1/organizers?home_region=eu-west-3&home_region=us-east-1", object{"name": "x"}, bearer(operatorToken)).want(t, "400 invalid_parameter")
	if after := s.rows(t); after != before {
		t.Errorf("refusals left\n%s\nwas\n%s", after, before)
	}
}

func TestMalformedIDs_are400OnEveryPath(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	kinds := map[string]string{
		"{member_id}": "mbr" + s.org.ID[3:] + "_8h2kd0q1w5zz9c6v", "{invitation_id}": "inv" + s.org.ID[3:] + "_8h2kd0q1w5zz9c6v", "{key_id}": "key" + s.org.ID[3:] + "_8h2kd0q1w5zz9c6v",
		"{event_id}": s.event.ID, "{organizer_id}": s.org.ID, "{quota_id}": s.event.Quotas[0].ID, "{ticket_type_id}": s.floor,
		"{allocation_id}": "alc_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v", "{series_id}": "ser_euw3_k3v9x2m4q7rt",
		"{hold_id}": "hld_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v", "{order_id}": "ord_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v", "{ticket_id}": "tkt_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v",
	}
	bodies := map[string]any{
		"/v1/events/{event_id}/holds": items(s.floor, 1), "/v1/organizers/{organizer_id}/events": object(concert()), "/v1/orders/{order_id}/refunds": object{},
		"/v1/organizers/{organizer_id}/members/{member_id}": object{"role": "reader"}, "/v1/organizers/{organizer_id}/api_keys/{key_id}/rotate": object{"grace_s": 0},
		"/v1/organizers/{organizer_id}/invitations": object{"email": "x@example.org", "role": "reader"}, "/v1/organizers/{organizer_id}/api_keys": object{"name": "x", "role": "reader"},
		"/v1/organizers/{organizer_id}/security": object{"required_acr": ""},
		"/v1/events/{event_id}":                  object{"name": "x"}, "/v1/events/{event_id}/quotas/{quota_id}": object{"name": "x", "size": 1},
		"/v1/organizers/{organizer_id}/series":                      object(visits()),
		"/v1/events/{event_id}/allocations":                         object{"quota_id": s.event.Quotas[0].ID, "name": "x", "quantity": 1},
		"/v1/events/{event_id}/allocations/{allocation_id}/release": object{"quantity": 1},
		"/v1/events/{event_id}/allocations/{allocation_id}/holds":   object{"ticket_type_id": s.floor, "quantity": 1, "buyer": object{"name": "x"}},
		"/v1/events/{event_id}/ticket_types/{ticket_type_id}":       object{"name": "x", "price": eur(100), "quotas": []string{}},
	}
	tried := 0
	for path, item := range contractOf(t, s.house).doc.Paths.Map() {
		for method := range item.Operations() {
			for kind, good := range kinds {
				if !strings.Contains(path, kind) {
					continue
				}
				for _, bad := range []string{"x", good[:len(good)-1], good + "0", strings.ToUpper(good), strings.Replace(good, "_", "-", 1), "xyz" + good[3:], good[:len(good)-1] + "u", good + "%00", "%20" + good, good + "_", "%E2%98%83"} {
					at := strings.Replace(path, kind, bad, 1)
					for other, id := range kinds {
						at = strings.Replace(at, other, id, 1)
					}
					body := bodies[path]
					if method == http.MethodGet || method == http.MethodDelete {
						body = nil
					}
					as := s.bearer
					if strings.HasSuffix(path, "/membership") {
						as = bearer(s.signIn("ana"))
					}
					if a := s.ask(t, method+" "+at, body, as, ifMatch("*")); a.is() != "400 invalid_id" {
						t.Errorf("%s %s: %s", method, at, a.is())
					}
					tried++
				}
			}
		}
	}
	if tried < 200 {
		t.Errorf("only %d paths tried", tried)
	}
}

func TestUnknownPathsAndMethods_areProblemsToo(t *testing.T) {
	t.Parallel()
	h := open(t)
	for _, path := range []string{"/", "/v1", "/v2/events", "/v1/events/", "/v1/events/a/b/c", "//v1/events", "/v1/EVENTS", "/v1/events/..%2f..%2fetc%2fpasswd/x", "/.env", "/debug/pprof/"} {
		h.ask(t, "GET "+path, nil).want(t, "404 no_such_path")
	}
	for _, line := range []string{"DELETE /v1/events", "PUT /v1/orders", "TRACE /v1/events", "PATCH /livez"} {
		if a := h.ask(t, line, nil).want(t, "405 method_not_allowed"); a.header.Get("Allow") == "" {
			t.Errorf("%s: no Allow", line)
		}
	}
}

func TestRequestID_isKeptWhenSaneAndMadeWhenNot(t *testing.T) {
	t.Parallel()
	h := open(t)
	if a := h.ask(t, "GET /v1/regions", nil, header("X-Request-Id", "abc-DEF_123")); a.header.Get("X-Request-Id") != "abc-DEF_123" {
		t.Errorf("%s", a.header)
	}
	for _, bad := range []string{"a b", "a\"b", "<script>", strings.Repeat("a", 65), "é"} {
		if a := h.ask(t, "GET /v1/regions", nil, header("X-Request-Id", bad)); strings.Contains(a.header.Get("X-Request-Id"), bad) {
			t.Errorf("%q was kept", bad)
		}
	}
}

func TestMetrics_countByRouteAndNotByPath(t *testing.T) {
	t.Parallel()
	h := open(t)
	e, _ := strangers()
	h.ask(t, "GET /v1/events/"+e, nil).want(t, "404 event_not_found")
	h.ask(t, "GET /nowhere/"+e, nil).want(t, "404 no_such_path")
	h.ask(t, "GET /metrics", nil).want(t, "404 no_such_path") // they are at a private address
	text := h.metrics(t)
	for _, want := range []string{
		`guichet_http_requests_total{method="GET",route="/v1/events/:event_id",status="4xx"} 1`,
		`guichet_http_requests_total{method="GET",route="none",status="4xx"} 2`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, e) {
		t.Error("a path is a label")
	}
}

func TestTimes_ofAnEventAreShownOnItsOwnClock(t *testing.T) {
	t.Parallel()
	h := open(t)
	for zone, offset := range map[string]string{"Asia/Kolkata": "+05:30", "UTC": "Z", "Asia/Kathmandu": "+05:45"} {
		s := h.stage(t, object{"time_zone": zone, "ends_at": startsAt().Add(time.Hour)})
		if !strings.HasSuffix(s.event.StartsAt.Format(time.RFC3339), offset) || !strings.HasSuffix(s.event.EndsAt.Format(time.RFC3339), offset) {
			t.Errorf("%s: %s", zone, fmt.Sprint(s.event.StartsAt, s.event.EndsAt))
		}
	}
}
