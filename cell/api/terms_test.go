package api_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"guichet/cell/api"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/search"
)

// bazaar is a published event with all terms.
func bazaar(t testing.TB) *stage {
	t.Helper()
	return open(t).stage(t, object{"ticket_types": []object{
		{"name": "Floor", "price": eur(9900), "fees": eur(250), "quotas": []string{"floor"}, "max_per_buyer": 4, "tax": object{"basis_points": 1000, "on_top": true}, "tiers": []object{
			{"name": "Early", "price": eur(1000), "quantity": 3}, {"name": "Late", "price": eur(2000), "fees": eur(0), "starts_at": startsAt()},
		}},
		{"name": "Backstage", "price": eur(7000), "quotas": []string{"floor"}, "hidden": true},
		{"name": "Drink", "price": eur(500), "quotas": []string{"floor"}, "requires": "Floor"},
	}})
}

func TestTerms_areShownToWhomTheyConcern(t *testing.T) {
	t.Parallel()
	s := bazaar(t)
	drink, backstage := s.guest, s.both
	e := read[client.Event](t, s.ask(t, "GET "+s.path(), nil).want(t, "200"))
	if len(e.TicketTypes) != 2 || strings.Contains(string(mustJSON(t, e)), "Backstage") {
		t.Fatalf("%+v", e.TicketTypes)
	}
	floor := e.TicketTypes[0]
	if floor.Price.Amount != 1000 || floor.Fees.Amount != 250 || floor.PriceAllIn.Amount != 1375 || floor.Tier != "Early" || floor.MaxPerBuyer != 4 || floor.Tiers != nil ||
		floor.Tax == nil || floor.Tax.Amount.Amount != 125 || floor.Tax.BasisPoints != 1000 || !floor.Tax.OnTop {
		t.Errorf("%s", mustJSON(t, floor))
	}
	if e.TicketTypes[1].ID != drink || e.TicketTypes[1].Requires != s.floor {
		t.Errorf("%s", mustJSON(t, e.TicketTypes[1]))
	}
	own := read[client.Event](t, s.ask(t, "GET "+s.path(), nil, s.bearer).want(t, "200"))
	if len(own.TicketTypes) != 3 || !own.TicketTypes[1].Hidden || len(own.TicketTypes[0].Tiers) != 2 || own.TicketTypes[0].Tiers[0].Quantity != 3 || own.TicketTypes[0].Tiers[0].Fees.Amount != 250 {
		t.Errorf("%s", mustJSON(t, own.TicketTypes))
	}
	s.ask(t, "PUT "+s.path()+"/codes/door", object{"kind": "access", "ticket_types": []string{backstage}, "max_uses": 3}, s.bearer).want(t, "200").
		looks(t, `{"code":"DOOR","kind":"access","ticket_types":["`+"typ_1"+`"],"max_uses":3,"uses":0,"spent":{"amount":0,"currency":"EUR"}}`)
	s.ask(t, "GET "+s.path()+"?access_code=nope", nil).want(t, "422 unknown_access_code")
	opened := read[client.Event](t, s.ask(t, "GET "+s.path()+"?access_code=Door", nil).want(t, "200"))
	if len(opened.TicketTypes) != 3 || opened.TicketTypes[1].ID != backstage {
		t.Errorf("%s", mustJSON(t, opened.TicketTypes))
	}
	s.ask(t, "POST "+s.path()+"/holds", items(backstage, 1)).want(t, "422 unknown_ticket_type /items/0/ticket_type_id")
	with := items(backstage, 2)
	with["access_code"] = "door"
	h := read[client.Hold](t, s.ask(t, "POST "+s.path()+"/holds", with).want(t, "201"))
	s.ask(t, "POST "+s.path()+"/holds", with).want(t, "409 code_used_up /access_code")
	s.ask(t, "DELETE /v1/holds/"+h.ID, nil).want(t, "204")
	s.ask(t, "POST "+s.path()+"/holds", with).want(t, "201")
	// The public's copies, in every cell, know nothing of what is hidden.
	var payloads string
	if err := s.store.DB.Pool.QueryRow(t.Context(), `SELECT string_agg(convert_from(payload, 'UTF8'), ' ') FROM bus.outbox`).Scan(&payloads); err != nil || !strings.Contains(payloads, "Drink") || strings.Contains(payloads, "Backstage") {
		t.Errorf("%v: %.2000s", err, payloads)
	}
}

// Without the code a hidden type is no more there than one that does not exist.
func TestTerms_anAddOnDoesNotTellOfTheHiddenTypeThatItRequires(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t, object{"ticket_types": []object{
		{"name": "Floor", "price": eur(1000), "quotas": []string{"floor"}},
		{"name": "Backstage", "price": eur(7000), "quotas": []string{"floor"}, "hidden": true},
		{"name": "Drink", "price": eur(500), "quotas": []string{"floor"}, "requires": "Backstage"},
	}})
	drink, backstage := s.guest, s.both
	s.ask(t, "PUT "+s.path()+"/codes/door", object{"kind": "access", "ticket_types": []string{backstage}}, s.bearer).want(t, "200")
	withCode := items(drink, 1)
	withCode["access_code"] = "door"
	for _, c := range []struct {
		named bool
		a     answer
	}{
		{false, s.ask(t, "GET "+s.path(), nil).want(t, "200")},
		{false, s.ask(t, "POST "+s.path()+"/holds", items(drink, 1)).want(t, "422 requires_other_ticket /items/0/quantity")},
		{true, s.ask(t, "GET "+s.path(), nil, s.bearer).want(t, "200")},
		{true, s.ask(t, "GET "+s.path()+"?access_code=door", nil).want(t, "200")},
		{true, s.ask(t, "POST "+s.path()+"/holds", withCode).want(t, "422 requires_other_ticket /items/0/quantity")},
	} {
		body := string(c.a.body)
		if strings.Contains(body, backstage) != c.named || strings.Contains(body, "Backstage") != c.named || !strings.Contains(body, "Drink") {
			t.Errorf("named %t: %s", c.named, body)
		}
	}
	// Nor do the copies in other cells.
	var payloads string
	if err := s.store.DB.Pool.QueryRow(t.Context(), `SELECT string_agg(convert_from(payload, 'UTF8'), ' ') FROM bus.outbox`).Scan(&payloads); err != nil || !strings.Contains(payloads, drink) || strings.Contains(payloads, backstage) {
		t.Errorf("%v: %.2000s", err, payloads)
	}
}

// What an add-on requires may be hidden; it is no offer of its own all the same.
func TestTerms_listingsCountNoAddOns(t *testing.T) {
	t.Parallel()
	for _, hidden := range []bool{false, true} {
		h := open(t)
		s := h.stage(t, object{"ticket_types": []object{
			{"name": "Floor", "price": eur(1000), "quotas": []string{"floor"}},
			{"name": "Backstage", "price": eur(7000), "quotas": []string{"floor"}, "hidden": hidden},
			{"name": "Drink", "price": eur(500), "quotas": []string{"floor"}, "requires": "Backstage"},
		}})
		e := read[client.Event](t, s.ask(t, "GET "+s.path(), nil).want(t, "200"))
		if drink := e.TicketTypes[len(e.TicketTypes)-1]; !drink.AddOn || (drink.Requires == "") != hidden {
			t.Errorf("hidden %t: %s", hidden, mustJSON(t, drink))
		}
		h.announce(t, search.NewDocument(e, true))
		found := read[client.Listings](t, s.ask(t, "GET /v1/events?q=nuit", nil).want(t, "200"))
		if len(found.Items) != 1 || *found.Items[0].PriceFrom != (money.Money{Amount: 1000, Currency: "EUR"}) {
			t.Errorf("hidden %t: %s", hidden, mustJSON(t, found))
		}
		if cheap := read[client.Listings](t, s.ask(t, "GET /v1/events?q=nuit&price_max=500&currency=EUR", nil).want(t, "200")); len(cheap.Items) != 0 {
			t.Errorf("hidden %t: found for the price of an add-on: %s", hidden, mustJSON(t, cheap))
		}
	}
}

func TestTerms_holdAndOrderSayWhatTheyAreMadeOf(t *testing.T) {
	t.Parallel()
	s := bazaar(t)
	s.ask(t, "PUT "+s.path()+"/codes/Spring-24", object{"kind": "promo", "basis_points": 1000, "max_uses": 10, "budget": eur(5000)}, s.bearer).want(t, "200")
	want := items(s.floor, 4)
	want["promo_code"], want["buyer_key"] = "spring-24", "Ana+x@example.org"
	a := s.ask(t, "POST "+s.path()+"/holds", want).want(t, "201")
	if strings.Contains(strings.ToLower(string(a.body)), "ana") || strings.Contains(string(a.body), "buyer") {
		t.Errorf("the answer tells of the buyer: %s", a.body)
	}
	h := read[client.Hold](t, a)
	// 10.00 − 10 % + 2.50, 10 % on top: 12.65; the fourth 20.00 − 10 %, 10 % on top: 19.80.
	if h.Total.Amount != 3*1265+1980 || h.PromoCode != "SPRING-24" || len(h.Items) != 2 || h.Items[0].Tier != "Early" || h.Items[1].Tier != "Late" ||
		h.Items[0].Price.Amount != 900 || h.Items[0].Fees.Amount != 250 || h.Items[0].Tax.Amount != 115 || !h.Items[0].TaxOnTop || h.Items[0].Saved.Amount != 110 {
		t.Errorf("%s", a.body)
	}
	s.ask(t, "POST /v1/orders", object{"hold_id": h.ID, "buyer": object{"email": "bob@example.org", "name": "Bob"}, "shown_total": h.Total}).want(t, "422 buyer_mismatch /buyer/email")
	o := s.order(t, h)
	if len(o.Items) != 2 || o.Items[0].Price.Amount != 900 || o.Items[0].Tax.Amount != 115 || o.Items[1].PriceAllIn.Amount != 1980 || o.Items[1].Tier != "Late" || o.Total != h.Total {
		t.Errorf("%s", mustJSON(t, o))
	}
	again := s.look(t, o.ID)
	if string(mustJSON(t, again.Items)) != string(mustJSON(t, o.Items)) {
		t.Errorf("read back: %s", mustJSON(t, again.Items))
	}
	list := read[api.Page[client.Code]](t, s.ask(t, "GET "+s.path()+"/codes", nil, s.bearer).want(t, "200"))
	if len(list.Items) != 1 || list.Items[0].Uses != 4 || list.Items[0].Spent.Amount != 3*110+220 || *list.Items[0].MaxUses != 10 {
		t.Errorf("%s", mustJSON(t, list))
	}
}

// Regression 3.
func TestRegression03_aBuyerIsToldOfHisOwnHold(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	mine := func(n int, who string) object {
		want := items(s.both, n)
		want["buyer_key"] = who
		return want
	}
	h := read[client.Hold](t, s.ask(t, "POST "+s.path()+"/holds", mine(4, "ana@example.org")).want(t, "201"))
	a := s.ask(t, "POST "+s.path()+"/holds", mine(2, "Ana@Example.org")).want(t, "409 sold_out")
	var p client.Problem
	if err := json.Unmarshal(a.body, &p); err != nil || len(p.OwnHolds) != 1 || p.OwnHolds[0].ID != "" || !p.OwnHolds[0].ExpiresAt.Equal(h.ExpiresAt) || strings.Contains(string(a.body), "hld_") {
		t.Errorf("who knows a mail address is told which hold is its owner's: %v: %s", err, a.body)
	}
	a = s.ask(t, "POST "+s.path()+"/holds", mine(2, "Ana@Example.org"), bearer(h.AccessToken)).want(t, "409 sold_out")
	p = client.Problem{}
	if err := json.Unmarshal(a.body, &p); err != nil || len(p.OwnHolds) != 1 || p.OwnHolds[0].ID != h.ID {
		t.Errorf("who shows the hold's token is not told that it is the one: %v: %s", err, a.body)
	}
	if got := read[client.Hold](t, s.ask(t, "GET /v1/holds/"+p.OwnHolds[0].ID, nil).want(t, "200")); got.State != "active" {
		t.Errorf("%+v", got)
	}
	if a := s.ask(t, "POST "+s.path()+"/holds", mine(2, "bob@example.org")).want(t, "409 sold_out"); strings.Contains(string(a.body), "own_holds") {
		t.Errorf("%s", a.body)
	}
}

func TestTerms_refusalsNameTheField(t *testing.T) {
	t.Parallel()
	s := bazaar(t)
	hold := func(n int, more object) object {
		want := items(s.floor, n)
		maps.Copy(want, more)
		return want
	}
	ana := object{"buyer_key": "ana"}
	for want, body := range map[string]object{
		"422 buyer_required /buyer_key":               hold(1, nil),
		"400 invalid_buyer_key /buyer_key":            hold(1, object{"buyer_key": "no good"}),
		"422 unknown_promo_code /promo_code":          hold(1, object{"buyer_key": "ana", "promo_code": "NO"}),
		"422 unknown_access_code /access_code":        hold(1, object{"buyer_key": "ana", "access_code": "{}"}),
		"409 buyer_limit":                             hold(5, ana),
		"422 requires_other_ticket /items/0/quantity": items(s.guest, 1),
		"400 unknown_field /items/0/price":            {"items": []object{{"ticket_type_id": s.guest, "quantity": 1, "price": eur(1)}}},
		"400 invalid_field /promo_code":               hold(1, object{"promo_code": 7}),
	} {
		if a := s.ask(t, "POST "+s.path()+"/holds", body); a.is() != want {
			t.Errorf("%s, want %s: %s", a.is(), want, a.body)
		}
	}
	code, other := s.path()+"/codes/X", id.NewTicketType(id.NewEvent(here)).String()
	for want, body := range map[string]object{
		"400 invalid_code /kind":                {"kind": "gift"},
		"400 invalid_code ":                     {"kind": "promo"},
		"400 invalid_code /basis_points":        {"kind": "promo", "basis_points": 10_001},
		"400 invalid_code /amount_off/currency": {"kind": "promo", "amount_off": object{"amount": 1, "currency": "USD"}},
		"400 invalid_code /amount_off/amount":   {"kind": "promo", "amount_off": eur(-1)},
		"400 invalid_code /fixed_price/amount":  {"kind": "promo", "fixed_price": eur(-1)},
		"400 invalid_code /max_uses":            {"kind": "promo", "basis_points": 1, "max_uses": -1},
		"400 invalid_code /budget/amount":       {"kind": "promo", "basis_points": 1, "budget": eur(-1)},
		"400 invalid_code /ticket_types":        {"kind": "access"},
		"400 invalid_code /ticket_types/0":      {"kind": "access", "ticket_types": []string{other}},
		"400 invalid_id /ticket_types/1":        {"kind": "access", "ticket_types": []string{s.both, "x"}},
		"400 invalid_code /ends_at":             {"kind": "promo", "basis_points": 1, "starts_at": startsAt(), "ends_at": startsAt()},
		"400 invalid_code /starts_at":           {"kind": "promo", "basis_points": 1, "starts_at": time.Date(3001, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if a := s.ask(t, "PUT "+code, body, s.bearer); a.is() != want {
			t.Errorf("%s, want %s: %s", a.is(), want, a.body)
		}
	}
	good := object{"kind": "promo", "basis_points": 1}
	s.ask(t, "PUT "+s.path()+"/codes/"+strings.Repeat("A", 41), good, s.bearer).want(t, "400 invalid_code")
	s.ask(t, "PUT "+s.path()+"/codes/%C3%84", good, s.bearer).want(t, "400 invalid_code")
	s.ask(t, "PUT "+code, good).want(t, "401 unauthorized")
	s.ask(t, "PUT "+code, good, bearer(s.account(t, "Other").APIKey)).want(t, "404 event_not_found")
	s.ask(t, "GET "+s.path()+"/codes", nil, bearer(s.account(t, "Other").APIKey)).want(t, "404 event_not_found")
	s.ask(t, "GET "+s.path()+"/codes?cursor=x", nil, s.bearer).want(t, "400 invalid_cursor")
	for _, name := range []string{"A", "B", "C"} {
		s.ask(t, "PUT "+s.path()+"/codes/"+name, good, s.bearer).want(t, "200")
	}
	first := read[api.Page[client.Code]](t, s.ask(t, "GET "+s.path()+"/codes?limit=2", nil, s.bearer).want(t, "200"))
	if len(first.Items) != 2 || first.NextCursor == nil {
		t.Fatalf("%+v", first)
	}
	rest := read[api.Page[client.Code]](t, s.ask(t, "GET "+s.path()+"/codes?limit=2&cursor="+*first.NextCursor, nil, s.bearer).want(t, "200"))
	if len(rest.Items) != 1 || rest.NextCursor != nil || rest.Items[0].Code != "C" {
		t.Errorf("%+v", rest)
	}
}

// A client that knows nothing of terms changes a ticket type and loses none.
func TestTerms_stayWhenATicketTypeIsPutWithoutThem(t *testing.T) {
	t.Parallel()
	s := bazaar(t)
	put := func(more object) answer {
		body := object{"name": "Parterre", "price": eur(9900), "quotas": []string{"floor"}}
		maps.Copy(body, more)
		return s.ask(t, "PUT "+s.path()+"/ticket_types/"+s.floor, body, s.bearer, ifMatch("*"))
	}
	want := items(s.floor, 2)
	want["buyer_key"] = "ana"
	s.ask(t, "POST "+s.path()+"/holds", want).want(t, "201")
	e := read[client.Event](t, put(nil).want(t, "200"))
	if got := e.TicketTypes[0]; got.Name != "Parterre" || len(got.Tiers) != 2 || got.Tiers[0].Used != 2 || got.MaxPerBuyer != 4 || got.Tax == nil {
		t.Errorf("%s", mustJSON(t, got))
	}
	put(object{"tiers": []object{}}).want(t, "409 tier_too_small /tiers")
	put(object{"tiers": []object{{"name": "Early", "price": eur(1), "quantity": 1}}}).want(t, "409 tier_too_small /tiers/0/quantity")
	put(object{"tiers": []object{{"name": "Early", "price": eur(1), "quantity": 0}, {"name": "Late", "price": eur(1)}}}).want(t, "400 invalid_event /tiers/1/starts_at")
	put(object{"requires": "Parterre"}).want(t, "400 invalid_event /requires")
	e = read[client.Event](t, put(object{"tiers": []object{{"name": "Early", "price": eur(1500), "quantity": 2}, {"name": "Late", "price": eur(2500)}}, "tax": object{"basis_points": 0}, "max_per_buyer": 0}).want(t, "200"))
	if got := e.TicketTypes[0]; got.Tier != "Late" || got.PriceAllIn.Amount != 2750 || got.Tax != nil || got.MaxPerBuyer != 0 {
		t.Errorf("%s", mustJSON(t, got))
	}
}
