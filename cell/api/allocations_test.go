package api_test

import (
	"strings"
	"testing"
	"time"

	"guichet/cell/client"
)

func (s *stage) allocations() string { return s.path() + "/allocations" }

func (s *stage) allocate(t testing.TB, quota int, n int64) client.Allocation {
	t.Helper()
	body := object{"quota_id": s.event.Quotas[quota].ID, "name": "press", "quantity": n}
	return read[client.Allocation](t, s.ask(t, "POST "+s.allocations(), body, s.bearer).want(t, "201"))
}

func TestAllocations_areSetAsideShownAndGivenBack(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	body := object{"quota_id": s.event.Quotas[0].ID, "name": "press", "quantity": 90}
	a := s.ask(t, "POST "+s.allocations(), body, s.bearer, key("k")).want(t, "201")
	a.looks(t, `{"id":"alc_1","event_id":"evt_1","quota_id":"quo_1","name":"press","state":"open","asked":90,"quantity":90,"created_at":"TIME"}`)
	again := s.ask(t, "POST "+s.allocations(), body, s.bearer, key("k")).want(t, "201")
	if string(again.body) != string(a.body) || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("repeated: %s", again.body)
	}
	s.ask(t, "POST "+s.allocations(), object{"quota_id": s.event.Quotas[0].ID, "name": "other", "quantity": 90}, s.bearer, key("k")).want(t, "422 idempotency_key_reused")
	if q := s.quota(t, 0); q.Allocated != 90 || q.Free != 10 {
		t.Errorf("stats: %+v", q)
	}
	s.ask(t, "POST "+s.path()+"/holds", items(s.guest, 11)).want(t, "409 sold_out")
	s.ask(t, "POST "+s.allocations(), body, s.bearer).want(t, "409 not_enough_stock")

	one := s.allocations() + "/" + read[client.Allocation](t, a).ID
	s.ask(t, "POST "+one+"/release", object{"quantity": 80}, s.bearer).want(t, "200").looks(t,
		`{"id":"alc_1","event_id":"evt_1","quota_id":"quo_1","name":"press","state":"open","asked":90,"quantity":10,"created_at":"TIME"}`)
	s.ask(t, "POST "+one+"/release", object{"quantity": 11}, s.bearer).want(t, "409 allocation_too_small")
	s.ask(t, "DELETE "+one, nil, s.bearer).want(t, "204")
	s.ask(t, "DELETE "+one, nil, s.bearer).want(t, "204")
	s.ask(t, "GET "+one, nil, s.bearer).want(t, "200").looks(t,
		`{"id":"alc_1","event_id":"evt_1","quota_id":"quo_1","name":"press","state":"closed","asked":90,"quantity":0,"created_at":"TIME","holds":[]}`)
	if q := s.quota(t, 0); q.Allocated != 0 || q.Free != 100 {
		t.Errorf("stats: %+v", q)
	}
	for range 2 {
		s.allocate(t, 1, 1)
	}
	var seen int
	for cursor := ""; ; {
		page := read[struct {
			Items      []client.Allocation `json:"items"`
			NextCursor *string             `json:"next_cursor"`
		}](t, s.ask(t, "GET "+s.allocations()+"?limit=2"+cursor, nil, s.bearer).want(t, "200"))
		seen += len(page.Items)
		if page.NextCursor == nil {
			break
		}
		cursor = "&cursor=" + *page.NextCursor
	}
	if seen != 3 {
		t.Errorf("listed %d of 3", seen)
	}
	ledger := s.ask(t, "GET "+s.path()+"/ledger", nil, s.bearer).want(t, "200")
	if text := string(ledger.body); strings.Count(text, `"allocate"`) != 3 || strings.Count(text, `"deallocate"`) != 2 {
		t.Errorf("the ledger: %s", text)
	}
}

func TestAllocations_becomeAHoldThatItsBuyerCanPay(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t, object{"ticket_types": []object{{
		"name": "Later", "price": eur(4000), "quotas": []string{"floor"}, "max_per_order": 2, "sales_start": startsAt().AddDate(0, -1, 0),
	}}})
	a := s.allocate(t, 0, 10)
	s.ask(t, "POST "+s.path()+"/holds", items(s.floor, 1)).want(t, "409 not_on_sale")
	until := time.Now().UTC().Add(72 * time.Hour).Truncate(time.Second)
	body := object{"ticket_type_id": s.floor, "quantity": 4, "buyer": object{"name": "Ana Lívia", "email": "ana@example.org"}, "expires_at": until}
	made := s.ask(t, "POST "+s.allocations()+"/"+a.ID+"/holds", body, s.bearer, key("k")).want(t, "201")
	made.looks(t, `{"id":"hld_1","event_id":"evt_1","state":"active","expires_at":"TIME","items":[{"ticket_type_id":"typ_1","quantity":4,"name":"Later",
		"price_all_in":{"amount":4000,"currency":"EUR"}}],"total":{"amount":16000,"currency":"EUR"},"buyer":{"name":"Ana Lívia","email":"ana@example.org"}}`)
	if again := s.ask(t, "POST "+s.allocations()+"/"+a.ID+"/holds", body, s.bearer, key("k")).want(t, "201"); string(again.body) != string(made.body) {
		t.Errorf("repeated: %s", again.body)
	}
	if q := s.quota(t, 0); q.Allocated != 6 || q.Held != 4 || q.Free != 90 {
		t.Errorf("stats: %+v", q)
	}
	hold := read[client.NamedHold](t, made)
	if !hold.ExpiresAt.Equal(until) {
		t.Errorf("expires at %s, want %s", hold.ExpiresAt, until)
	}
	more := s.ask(t, "POST /v1/holds/"+hold.ID+"/extend", nil).want(t, "409 extend_limit")
	if more.member("limit") != "" || more.member("detail") != `"an extension would not make the hold last longer than it does"` || more.member("expires_at") != `"`+until.Format(time.RFC3339)+`"` {
		t.Errorf("%s", more.body)
	}
	o := s.order(t, hold.Hold)
	s.confirm(t, o.Payment.ClientSecret, "pm_card_visa")
	eventually(t, "the order is paid", func() bool { return s.look(t, o.ID).State == "paid" })
	detail := read[client.AllocationDetail](t, s.ask(t, "GET "+s.allocations()+"/"+a.ID, nil, s.bearer).want(t, "200"))
	if detail.Quantity != 6 || len(detail.Holds) != 1 || detail.Holds[0].State != "converted" || detail.Holds[0].Buyer.Name != "Ana Lívia" {
		t.Errorf("%+v", detail)
	}
	if q := s.quota(t, 0); q.Allocated != 6 || q.Held != 0 || q.Sold != 4 {
		t.Errorf("stats: %+v", q)
	}
}

func TestAllocations_areTheOrganizersOwn(t *testing.T) {
	t.Parallel()
	h := open(t)
	s, other := h.stage(t), h.stage(t)
	a := s.allocate(t, 0, 5)
	before := s.rows(t)
	stranger := other.bearer
	one := s.allocations() + "/" + a.ID
	good := object{"quota_id": s.event.Quotas[0].ID, "name": "x", "quantity": 1}
	named := object{"ticket_type_id": s.floor, "quantity": 1, "buyer": object{"name": "x"}}
	for line, body := range map[string]any{
		"POST " + s.allocations(): good, "POST " + one + "/release": object{"quantity": 1}, "POST " + one + "/holds": named, "GET " + one: nil,
		"GET " + s.allocations(): nil, "DELETE " + one: nil,
	} {
		s.ask(t, line, body, stranger).want(t, "404 event_not_found")
		s.ask(t, line, body).want(t, "401 unauthorized")
	}
	s.ask(t, "GET "+other.allocations()+"/"+a.ID, nil, stranger).want(t, "404 allocation_not_found")
	s.ask(t, "POST "+other.allocations()+"/"+a.ID+"/release", object{"quantity": 1}, s.bearer).want(t, "404 allocation_not_found") // not under that event
	s.ask(t, "GET "+s.allocations()+"?cursor="+a.ID[:len(a.ID)-1], nil, s.bearer).want(t, "400 invalid_cursor")
	s.ask(t, "GET "+s.allocations()+"?limit=0", nil, s.bearer).want(t, "400 invalid_parameter")
	for want, body := range map[string]object{
		"400 invalid_allocation /name":   {"quota_id": s.event.Quotas[0].ID, "name": "", "quantity": 1},
		"400 invalid_quantity /quantity": {"quota_id": s.event.Quotas[0].ID, "name": "x", "quantity": -1},
		"400 invalid_id /quota_id":       {"quota_id": "x", "name": "x", "quantity": 1},
		"404 quota_not_found /quota_id":  {"quota_id": other.event.Quotas[0].ID, "name": "x", "quantity": 1},
	} {
		s.ask(t, "POST "+s.allocations(), body, s.bearer).want(t, want)
	}
	for want, body := range map[string]object{
		"400 invalid_allocation /buyer/name":      {"ticket_type_id": s.floor, "quantity": 1, "buyer": object{"name": ""}},
		"400 invalid_allocation /expires_at":      {"ticket_type_id": s.floor, "quantity": 1, "buyer": object{"name": "x"}, "expires_at": time.Now().AddDate(0, 1, 0)},
		"422 unknown_ticket_type /ticket_type_id": {"ticket_type_id": other.floor, "quantity": 1, "buyer": object{"name": "x"}},
		"409 allocation_too_small":                {"ticket_type_id": s.floor, "quantity": 6, "buyer": object{"name": "x"}},
	} {
		s.ask(t, "POST "+one+"/holds", body, s.bearer).want(t, want)
	}
	if after := s.rows(t); after != before {
		t.Errorf("refusals left\n%s\nwas\n%s", after, before)
	}
}
