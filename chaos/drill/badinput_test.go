package drill

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/chaos/world"
)

func badIDs(e concert) []request {
	other := strings.Replace(e.ID, "_apn1_", "_zzz9_", 1)
	last := e.ID[:len(e.ID)-1] + map[bool]string{true: "1", false: "0"}[strings.HasSuffix(e.ID, "0")]
	var all []request
	for _, text := range []string{
		"x", "evt", "evt_", "evt_apn1", "evt_apn1_", e.ID + "x", strings.ToUpper(e.ID), e.ID[:len(e.ID)-1], strings.Replace(e.ID, "evt_", "hld_", 1),
		strings.Repeat("9", 5000), "%00", "%ff%fe", "..%5c..%5cetc", "%27%20OR%201=1--", "evt_apn1_%E2%82%AC%E2%82%AC",
	} {
		all = append(all,
			request{what: "malformed id", method: "GET", path: "/v1/events/" + text, status: 400, code: "invalid_id"},
			request{what: "malformed id", method: "POST", path: "/v1/events/" + text + "/holds", body: e.want(1), status: 400, code: "invalid_id"},
			request{what: "malformed id", method: "GET", path: "/v1/holds/" + text, status: 400, code: "invalid_id"},
			request{what: "malformed id", method: "GET", path: "/v1/orders/" + text, status: 400, code: "invalid_id"},
			request{what: "malformed id", method: "GET", path: "/v1/tickets/" + text + ".pdf", status: 400, code: "invalid_id"},
		)
	}
	return append(all,
		request{what: "an event that is not there", method: "GET", path: "/v1/events/" + last, status: 404, code: "event_not_found"},
		request{what: "a hold of an event that is not there", method: "POST", path: "/v1/events/" + last + "/holds", body: e.want(1), status: 404, code: "event_not_found"},
		request{what: "a cell that is not there", method: "GET", path: "/v1/events/" + other, status: 404, code: "unknown_cell"},
	)
}

func badHolds(e concert) []request {
	path, good := "/v1/events/"+e.ID+"/holds", e.TicketTypes[0].ID
	items := func(typ string, quantity any) string {
		return fmt.Sprintf(`{"items":[{"ticket_type_id":%q,"quantity":%v}]}`, typ, quantity)
	}
	post := func(what string, body any, status int, code string, header ...string) request {
		return request{what, "POST", path, body, header, status, code}
	}
	return []request{
		post("unknown field", `{"items":[],"discount":100}`, 400, "unknown_field"),
		post("unknown field inside", `{"items":[{"ticket_type_id":"`+good+`","quantity":1,"price":1}]}`, 400, "unknown_field"),
		post("field given twice", `{"items":[],"items":[]}`, 400, "invalid_field"),
		post("a body of 2 MiB", `{"promo_code":"`+strings.Repeat("x", 2<<20)+`"}`, 413, "body_too_large"),
		post("too many items", `{"items":[`+strings.Repeat(`{},`, 20000)+`{}]}`, 400, "missing_field"),
		post("text for a number", items(good, `"1"`), 400, "invalid_field"),
		post("a fraction", items(good, `1.5`), 400, "invalid_field"),
		post("a number beyond all", items(good, `99999999999999999999`), 400, "invalid_field"),
		post("null", items(good, `null`), 400, "invalid_field"),
		post("an object for a list", `{"items":{}}`, 400, "invalid_field"),
		post("a list for the body", `[]`, 400, "invalid_field"),
		post("no JSON", `{"items":`, 400, "invalid_json"),
		post("two JSONs", `{} {}`, 400, "invalid_json"),
		post("no body", nil, 415, "unsupported_media_type"),
		post("empty body", ``, 400, "invalid_json"),
		post("not UTF-8", "{\"promo_code\":\"\xff\xfe\"}", 400, "invalid_json"),
		post("NUL", `{"items":[],"promo_code":"a\u0000b"}`, 400, "invalid_field"),
		post("wrong content type", items(good, 1), 415, "unsupported_media_type", "Content-Type", "text/plain"),
		post("no content type", items(good, 1), 415, "unsupported_media_type", "Content-Type", ""),
		post("minus one", items(good, -1), 400, "invalid_quantity"),
		post("nothing", items(good, 0), 400, "invalid_quantity"),
		post("least of all numbers", items(good, `-9223372036854775808`), 400, "invalid_quantity"),
		post("a thousand", items(good, 1000), 422, "too_many"),
		post("greatest of all numbers", items(good, `9223372036854775807`), 422, "too_many"),
		post("no items", `{"items":[]}`, 400, "invalid_quantity"),
		post("a ticket type that is no id", items("x", 1), 400, "invalid_id"),
		post("a ticket type that is not there", items(good[:len(good)-2]+"00", 1), 422, "unknown_ticket_type"),
		post("promo code that is not there", `{"items":[{"ticket_type_id":"`+good+`","quantity":1}],"promo_code":"HALF"}`, 422, "unknown_promo_code"),
		post("no idempotency key", items(good, 1), 400, "idempotency_key_required", client.HeaderIdempotencyKey, ""),
		post("key with a space", items(good, 1), 400, "idempotency_key_invalid", client.HeaderIdempotencyKey, "a b"),
		post("key of 256 characters", items(good, 1), 400, "idempotency_key_invalid", client.HeaderIdempotencyKey, strings.Repeat("k", 256)),
		post("key that is not ASCII", items(good, 1), 400, "idempotency_key_invalid", client.HeaderIdempotencyKey, "schlüssel"),
	}
}

func badOrders(e concert, hold string) []request {
	ghost := strings.Replace(e.ID, "evt_", "hld_", 1) + "_0000000000000000"
	buyer := `"buyer":{"email":"a@example.org","name":"A"}`
	post := func(what, body string, status int, code string, header ...string) request {
		return request{what, "POST", "/v1/orders", body, header, status, code}
	}
	return []request{
		post("no hold", `{`+buyer+`}`, 400, "missing_field"),
		post("a hold that is no id", `{"hold_id":"x",`+buyer+`}`, 400, "invalid_id"),
		post("a hold that is a number", `{"hold_id":7,`+buyer+`}`, 400, "invalid_field"),
		post("a hold that is not there", `{"hold_id":"`+ghost+`",`+buyer+`}`, 401, "unauthorized"),
		post("a buyer without a mail", `{"hold_id":"`+hold+`","buyer":{"email":"nobody","name":"A"}}`, 400, "invalid_order"),
		post("unknown field", `{"hold_id":"`+hold+`",`+buyer+`,"free":true}`, 400, "unknown_field"),
		post("a body of 2 MiB", `{"hold_id":"`+hold+`","buyer":{"name":"`+strings.Repeat("n", 2<<20)+`"}}`, 413, "body_too_large"),
		post("no idempotency key", `{"hold_id":"`+hold+`",`+buyer+`}`, 400, "idempotency_key_required", client.HeaderIdempotencyKey, ""),
		post("shown total of another kind", `{"hold_id":"`+hold+`",`+buyer+`,"shown_total":"42 EUR"}`, 400, "invalid_field"),
	}
}

func badEvents(t *testing.T, w *world.World) []request {
	t.Helper()
	c := credentials(t, w)
	org, err := c.Organizer("apn1")
	must(t, err)
	path := "/v1/organizers/" + org.ID + "/events"
	good := client.NewEvent{
		Name: "N", Venue: venues["apn1"], StartsAt: time.Now().AddDate(0, 1, 0).Truncate(time.Second), TimeZone: "Asia/Tokyo", Currency: "JPY",
		Quotas: []client.NewQuota{{Name: "q", Size: 5}}, TicketTypes: []client.NewTicketType{{Name: "T", Quotas: []string{"q"}}},
	}
	good.TicketTypes[0].Price.Currency = "JPY"
	with := func(change func(e *client.NewEvent)) client.NewEvent {
		e := good
		e.Quotas, e.TicketTypes = slices.Clone(good.Quotas), slices.Clone(good.TicketTypes)
		change(&e)
		return e
	}
	post := func(what string, body any, code string) request {
		return request{what, "POST", path, body, []string{"Authorization", "Bearer " + org.APIKey}, 400, code}
	}
	return []request{
		{"no credential", "POST", path, good, nil, 401, "unauthorized"},
		{"a made-up credential", "POST", path, good, []string{"Authorization", "Bearer gk_x"}, 401, "token_malformed"},
		{"an attendee as operator", "POST", c.RouterOperator + "/v1/organizers?home_region=eu-west-3", `{"name":"x"}`, nil, 401, "unauthorized"},
		{"an operator in public", "POST", "/v1/organizers?home_region=eu-west-3", `{"name":"x"}`, []string{"Authorization", "Bearer " + c.OperatorToken}, 404, "no_such_path"},
		{"sagas in public", "GET", "/v1/sagas", nil, []string{"Authorization", "Bearer " + c.OperatorToken}, 404, "no_such_path"},
		{"a region that is not there", "POST", c.RouterOperator + "/v1/organizers?home_region=moon-1", `{"name":"x"}`, []string{"Authorization", "Bearer " + c.OperatorToken}, 400, "unknown_region"},
		post("a quota below nothing", with(func(e *client.NewEvent) { e.Quotas[0].Size = -1 }), "invalid_event"),
		post("a price below nothing", with(func(e *client.NewEvent) { e.TicketTypes[0].Price.Amount = -1 }), "invalid_event"),
		post("a quota that is not there", with(func(e *client.NewEvent) { e.TicketTypes[0].Quotas = []string{"none"} }), "invalid_event"),
		post("a time zone that is not there", with(func(e *client.NewEvent) { e.TimeZone = "Mars/Olympus" }), "invalid_event"),
		post("a place beyond the pole", with(func(e *client.NewEvent) { e.Venue.Location = &client.Location{Lat: 91, Lon: 0} }), "invalid_event"),
		post("no name", with(func(e *client.NewEvent) { e.Name = "" }), "invalid_event"),
		post("a name without end", with(func(e *client.NewEvent) { e.Name = strings.Repeat("n", 100_000) }), "invalid_event"),
		post("wrong types", `{"name":7}`, "invalid_field"),
		post("unknown field", `{"capacity":7}`, "unknown_field"),
	}
}

func badLines() []request {
	get := func(what, query, code string) request {
		return request{what: what, method: "GET", path: "/v1/events?" + query, status: 400, code: code}
	}
	return []request{
		get("unknown parameter", "colour=red", "unknown_parameter"),
		get("parameter given twice", "q=a&q=b", "invalid_parameter"),
		get("limit of nothing", "limit=0", "invalid_parameter"),
		get("limit without end", "limit=1000000", "invalid_parameter"),
		get("place that is none", "near=91,0&radius_km=5", "invalid_parameter"),
		get("radius that is no number", "near=1,2&radius_km=NaN", "invalid_parameter"),
		get("cursor that we never gave", "cursor=AAAA", "invalid_cursor"),
		get("broken escape", "q=%zz", "invalid_parameter"),
		get("sort by whim", "sort=whim", "invalid_parameter"),
		{"path that is not there", "GET", "/v2/events", nil, nil, 404, "no_such_path"},
		{"a way out of the house", "GET", "/v1/events/..%2f..%2fetc%2fpasswd", nil, nil, 404, "no_such_path"},
		{"method that is not there", "DELETE", "/v1/events", nil, nil, 405, "method_not_allowed"},
	}
}
