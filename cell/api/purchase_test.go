package api_test

import (
	"bytes"
	"errors"
	"image/png"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/cell/payment"
	"guichet/cell/stripe/sandbox"
	"guichet/cell/ticket"
)

func TestPurchase_fromEventToTicketLooksExactlyLikeThis(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	a := s.ask(t, "GET "+s.path(), nil).want(t, "200")
	a.looks(t, `{"id":"evt_1","organizer_id":"org_1","name":"Nuit de la Musique","summary":"Avec orchestre","category":"music",
		"venue":{"name":"Salle Pleyel","city":"Paris","country":"FR","location":{"lat":48.8771,"lon":2.3009},"capacity":1913},
		"starts_at":"TIME","ends_at":null,"time_zone":"Europe/Paris","currency":"EUR","state":"published","ticket_types":[
		{"id":"typ_1","name":"Floor","price":{"amount":4000,"currency":"EUR"},"fees":{"amount":250,"currency":"EUR"},
			"price_all_in":{"amount":4250,"currency":"EUR"},"availability":"available","min_per_order":1,"max_per_order":10,"sales_start":null,"sales_end":null},
		{"id":"typ_2","name":"Both","price":{"amount":7000,"currency":"EUR"},"fees":{"amount":0,"currency":"EUR"},
			"price_all_in":{"amount":7000,"currency":"EUR"},"availability":"available","min_per_order":2,"max_per_order":4,"sales_start":null,"sales_end":null},
		{"id":"typ_3","name":"Guest","price":{"amount":0,"currency":"EUR"},"fees":{"amount":0,"currency":"EUR"},
			"price_all_in":{"amount":0,"currency":"EUR"},"availability":"available","min_per_order":1,"max_per_order":50,"sales_start":null,"sales_end":null}],
		"home":{"cell":"euw3","region":"eu-west-3","epoch":1},"version":1,"refund_policy":{"kind":"until","until_hours":24}}`)
	if !strings.HasPrefix(a.header.Get("ETag"), `"1-`) || a.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("ETag %q, Cache-Control %q", a.header.Get("ETag"), a.header.Get("Cache-Control"))
	}
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	if want := `"` + startsAt().In(paris).Format(time.RFC3339) + `"`; a.member("starts_at") != want {
		t.Errorf("starts_at %s is not on the venue's clock, %s", a.member("starts_at"), want)
	}

	a = s.ask(t, "POST "+s.path()+"/holds", object{"items": []object{{"ticket_type_id": s.floor, "quantity": 2}, {"ticket_type_id": s.guest, "quantity": 1}}}).want(t, "201")
	shape := `{"id":"hld_1","event_id":"evt_1","state":"active","expires_at":"TIME","items":[
		{"ticket_type_id":"typ_1","quantity":2,"name":"Floor","price_all_in":{"amount":4250,"currency":"EUR"},"price":{"amount":4000,"currency":"EUR"},"fees":{"amount":250,"currency":"EUR"}},
		{"ticket_type_id":"typ_2","quantity":1,"name":"Guest","price_all_in":{"amount":0,"currency":"EUR"}}],"total":{"amount":8500,"currency":"EUR"}}`
	a.looks(t, strings.TrimSuffix(shape, "}")+`,"access_token":"ACCESS_TOKEN"}`)
	hold := read[client.Hold](t, a)
	if left := time.Until(hold.ExpiresAt); left < booking.DefaultHoldTTL-time.Minute || left > booking.DefaultHoldTTL+time.Minute {
		t.Errorf("the hold lives %s", left)
	}
	s.ask(t, "GET /v1/holds/"+hold.ID, nil).want(t, "200").looks(t, shape)
	s.ask(t, "POST /v1/holds/"+hold.ID+"/extend", nil).want(t, "200").looks(t, shape)

	a = s.ask(t, "POST /v1/orders", object{
		"hold_id": hold.ID, "buyer": buyer(), "attendees": []object{{"name": "Ana"}, {"name": "Rui", "email": "rui@example.org"}}, "shown_total": eur(8500),
	}).want(t, "201")
	pending := `{"id":"ord_1","code":"CODE","event_id":"evt_1","hold_id":"hld_1","state":"pending","payment_state":"pending","refund_status":"none",
		"total":{"amount":8500,"currency":"EUR"},"buyer":{"email":"ana@example.org","name":"Ana Lívia","locale":"pt-BR"},"items":[
		{"ticket_type_id":"typ_1","name":"Floor","quantity":2,"price_all_in":{"amount":4250,"currency":"EUR"},"price":{"amount":4000,"currency":"EUR"},"fees":{"amount":250,"currency":"EUR"}},
		{"ticket_type_id":"typ_2","name":"Guest","quantity":1,"price_all_in":{"amount":0,"currency":"EUR"}}],"tickets":[],"timeline":[{"at":"TIME","what":"created"}],
		"payment":{"provider":"stripe","client_secret":"CLIENT_SECRET","publishable_key":"pk_test_sandbox_euw3"},"expires_at":"TIME","created_at":"TIME","refund_policy":{"kind":"until","until_hours":24}}`
	a.looks(t, strings.TrimSuffix(pending, "}")+`,"access_token":"ACCESS_TOKEN"}`)
	order := read[client.Order](t, a)
	if left := time.Until(*order.ExpiresAt); left < 14*time.Minute || left > 16*time.Minute {
		t.Errorf("%s to pay", left)
	}
	s.ask(t, "GET /v1/orders/"+order.ID, nil).want(t, "200").looks(t, pending)
	s.ask(t, "GET /v1/orders/"+order.ID+"/tickets", nil).want(t, "200").looks(t, `{"items":[],"next_cursor":null}`)

	s.confirm(t, order.Payment.ClientSecret, "pm_card_visa")
	eventually(t, "the webhook makes the order paid", func() bool { return s.look(t, order.ID).State == "paid" })
	tickets := `{"id":"tkt_1","order_id":"ord_1","event_id":"evt_1","ticket_type_id":"typ_1","name":"Floor","attendee":"Ana","state":"valid","barcode":"BARCODE","access_token":"ACCESS_TOKEN"},
		{"id":"tkt_2","order_id":"ord_1","event_id":"evt_1","ticket_type_id":"typ_1","name":"Floor","attendee":"Rui","state":"valid","barcode":"BARCODE","access_token":"ACCESS_TOKEN"},
		{"id":"tkt_3","order_id":"ord_1","event_id":"evt_1","ticket_type_id":"typ_2","name":"Guest","attendee":"","state":"valid","barcode":"BARCODE","access_token":"ACCESS_TOKEN"}`
	s.ask(t, "GET /v1/orders/"+order.ID, nil).want(t, "200").looks(t, `{"id":"ord_1","code":"CODE","event_id":"evt_1","hold_id":"hld_1","state":"paid",
		"payment_state":"captured","refund_status":"none","total":{"amount":8500,"currency":"EUR"},"buyer":{"email":"ana@example.org","name":"Ana Lívia","locale":"pt-BR"},"items":[
		{"ticket_type_id":"typ_1","name":"Floor","quantity":2,"price_all_in":{"amount":4250,"currency":"EUR"},"price":{"amount":4000,"currency":"EUR"},"fees":{"amount":250,"currency":"EUR"}},
		{"ticket_type_id":"typ_2","name":"Guest","quantity":1,"price_all_in":{"amount":0,"currency":"EUR"}}],"tickets":[`+tickets+`],
		"timeline":[{"at":"TIME","what":"created"},{"at":"TIME","what":"paid"}],"created_at":"TIME","refund_policy":{"kind":"until","until_hours":24},"refundable_until":"TIME","refundable":{"amount":8500,"currency":"EUR"}}`)
	a = s.ask(t, "GET /v1/orders/"+order.ID+"/tickets", nil).want(t, "200")
	a.looks(t, `{"items":[`+tickets+`],"next_cursor":null}`)
	s.checkTickets(t, read[struct {
		Items []client.Ticket `json:"items"`
		Next  *string         `json:"next_cursor"`
	}](t, a).Items)
	s.ask(t, "GET /v1/holds/"+hold.ID, nil).want(t, "200").looks(t, strings.Replace(shape, "active", "converted", 1))
}

// checkTickets reads tickets one by one, as JSON, paper and picture, and proves
// their barcodes with the published keys alone.
func (s *stage) checkTickets(t *testing.T, tickets []client.Ticket) {
	t.Helper()
	a := s.ask(t, "GET /v1/keys/tickets", nil).want(t, "200")
	if a.header.Get("Cache-Control") != "public, max-age=60" {
		t.Errorf("keys with Cache-Control %q", a.header.Get("Cache-Control"))
	}
	keys, err := ticket.ParseJWKSet(read[client.JWKSet](t, a))
	if err != nil || len(keys) != 3 || keys[0].ID != "euw3-1" {
		t.Fatalf("keys %v, %v", keys, err)
	}
	for _, want := range tickets {
		shown := want
		shown.OrderID, shown.AccessToken = "", "" // who sees a ticket does not see its order
		if got := read[client.Ticket](t, s.ask(t, "GET /v1/tickets/"+want.ID, nil, bearer(want.AccessToken)).want(t, "200")); got != shown {
			t.Errorf("ticket %+v, want %+v", got, want)
		}
		claims, err := ticket.Verify(want.Barcode, ticket.KeysOf(keys))
		if err != nil || claims.Ticket.String() != want.ID || claims.Type.String() != want.TicketTypeID {
			t.Errorf("barcode of %s: %+v, %v", want.ID, claims, err)
		}
		paper := s.ask(t, "GET /v1/tickets/"+want.ID+".pdf", nil).want(t, "200")
		if paper.header.Get("Content-Type") != "application/pdf" || !bytes.HasPrefix(paper.body, []byte("%PDF-")) {
			t.Errorf("paper: %s %.20q", paper.header.Get("Content-Type"), paper.body)
		}
		picture := s.ask(t, "GET /v1/tickets/"+want.ID+".png", nil).want(t, "200")
		if _, err := png.Decode(bytes.NewReader(picture.body)); err != nil || picture.header.Get("Content-Type") != "image/png" {
			t.Errorf("picture: %s, %v", picture.header.Get("Content-Type"), err)
		}
		if cache := picture.header.Get("Cache-Control"); cache != "private, no-store" {
			t.Errorf("a barcode with Cache-Control %q", cache)
		}
		s.ask(t, "GET /v1/tickets/"+want.ID+".gif", nil).want(t, "404 ticket_not_found")
		s.ask(t, "GET /v1/tickets/"+want.ID+".pdf.png", nil).want(t, "404 ticket_not_found")
	}
}

func TestOrder_thatIsFreeComesBackPaidWithItsTickets(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	o := s.order(t, s.hold(t, s.guest, 2))
	s.wantTimeline(t, o, "created", "paid")
	if o.State != "paid" || o.PaymentState != "none" || len(o.Tickets) != 2 || o.Payment != nil || o.ExpiresAt != nil || s.count(t, "payment.payment") != 0 {
		t.Errorf("%+v", o)
	}
	c := read[client.Order](t, s.ask(t, "POST /v1/orders/"+o.ID+"/cancel", nil).want(t, "200"))
	s.wantTimeline(t, c, "created", "paid", "canceled")
	if c.State != "canceled" || c.RefundStatus != "none" || c.Tickets[0].State != "canceled" || s.quota(t, 0).Free != 100 {
		t.Errorf("%+v", c)
	}
	for _, ending := range []string{".pdf", ".png"} { // its barcode would still verify at an offline gate
		s.ask(t, "GET /v1/tickets/"+c.Tickets[0].ID+ending, nil).want(t, "409 invalid_state")
	}
	if void := read[client.Ticket](t, s.ask(t, "GET /v1/tickets/"+c.Tickets[0].ID, nil).want(t, "200")); void.State != "canceled" {
		t.Errorf("%+v", void)
	}
}

// wantTimeline holds an order as it was answered to what has happened to it.
func (s *stage) wantTimeline(t *testing.T, o client.Order, want ...string) {
	t.Helper()
	var got []string
	for _, m := range o.Timeline {
		got = append(got, m.What)
	}
	if later := s.look(t, o.ID).Timeline; !slices.Equal(got, want) || !slices.Equal(o.Timeline, later) {
		t.Errorf("timeline %v, want %v; a moment later it is %v", o.Timeline, want, later)
	}
}

// TestRegression12_holdOf1000TicketsIsRefusedWithTheLimitNamed is regression 12.
func TestRegression12_holdOf1000TicketsIsRefusedWithTheLimitNamed(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t, object{"quotas": []object{{"name": "floor", "size": 5000}, {"name": "balcony", "size": 5000}}})
	before := s.rows(t)
	for _, c := range []struct {
		items []object
		at    string
		limit int64
	}{
		{[]object{{"ticket_type_id": s.floor, "quantity": 1000}}, "/items/0/quantity", 10},
		{[]object{{"ticket_type_id": s.floor, "quantity": 11}}, "/items/0/quantity", 10},
		{[]object{{"ticket_type_id": s.guest, "quantity": 1000}}, "/items/0/quantity", booking.MaxTicketsPerOrder},
		{[]object{{"ticket_type_id": s.floor, "quantity": 6}, {"ticket_type_id": s.floor, "quantity": 5}}, "/items/1/quantity", 10},
		{[]object{{"ticket_type_id": s.guest, "quantity": 45}, {"ticket_type_id": s.floor, "quantity": 6}}, "/items/1/quantity", booking.MaxTicketsPerOrder},
		{[]object{{"ticket_type_id": s.guest, "quantity": int64(9223372036854775807)}}, "/items/0/quantity", booking.MaxTicketsPerOrder},
		{[]object{{"ticket_type_id": s.guest, "quantity": 2}, {"ticket_type_id": s.guest, "quantity": int64(9223372036854775807)}}, "/items/1/quantity", booking.MaxTicketsPerOrder},
	} {
		a := s.ask(t, "POST "+s.path()+"/holds", object{"items": c.items}).want(t, "422 too_many "+c.at)
		if a.member("limit") != strconv.FormatInt(c.limit, 10) || !strings.Contains(a.member("detail"), a.member("limit")) {
			t.Errorf("%v: limit %s, want %d: %s", c.items, a.member("limit"), c.limit, a.member("detail"))
		}
	}
	a := s.ask(t, "POST "+s.path()+"/holds", items(s.both, 1)).want(t, "422 too_few")
	if a.member("limit") != "2" {
		t.Errorf("%s", a.body)
	}
	many := make([]object, booking.MaxLines+1)
	for i := range many {
		many[i] = object{"ticket_type_id": s.guest, "quantity": 1}
	}
	s.ask(t, "POST "+s.path()+"/holds", object{"items": many}).want(t, "400 invalid_quantity /items")
	s.ask(t, "POST "+s.path()+"/holds", object{"items": []object{}}).want(t, "400 invalid_quantity /items")
	s.ask(t, "POST "+s.path()+"/holds", object{}).want(t, "400 missing_field /items")
	if after := s.rows(t); after != before {
		t.Errorf("refused holds left\n%s\nwas\n%s", after, before)
	}
}

func TestHold_soldOutSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	s.hold(t, s.both, 4)
	a := s.ask(t, "POST "+s.path()+"/holds", items(s.both, 2)).want(t, "409 sold_out")
	if want := `[{"ticket_type_id":"` + s.both + `","left":1}]`; a.member("left") != want {
		t.Errorf("left %s, want %s", a.member("left"), want)
	}
	e := read[client.Event](t, s.ask(t, "GET "+s.path(), nil).want(t, "200"))
	if e.TicketTypes[0].Availability != client.Available || e.TicketTypes[1].Availability != client.Available {
		t.Errorf("%+v", e.TicketTypes)
	}
	release := s.hold(t, s.floor, 10)
	s.ask(t, "DELETE /v1/holds/"+release.ID, nil).want(t, "204")
	again := s.ask(t, "DELETE /v1/holds/"+release.ID, nil).want(t, "204")
	if len(again.body) != 0 || again.header.Get("Content-Type") != "" {
		t.Errorf("204 with %q %s", again.body, again.header.Get("Content-Type"))
	}
	if q := s.quota(t, 0); q.Held != 4 || q.Free != 96 {
		t.Errorf("after releasing twice: %+v", q)
	}
	if h := read[client.Hold](t, s.ask(t, "GET /v1/holds/"+release.ID, nil).want(t, "200")); h.State != "released" {
		t.Errorf("%+v", h)
	}
	s.ask(t, "POST /v1/holds/"+release.ID+"/extend", nil).want(t, "409 hold_expired")
	s.ask(t, "POST /v1/orders", object{"hold_id": release.ID, "buyer": buyer()}).want(t, "409 hold_expired")
}

func TestAvailability_isFewAtATenthAndNoneAtNothing(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t, object{"quotas": []object{{"name": "floor", "size": 10}, {"name": "balcony", "size": 5}}})
	for _, c := range []struct {
		take int
		want client.Availability
	}{{8, client.Available}, {1, client.Few}, {1, client.None}} {
		s.hold(t, s.floor, c.take)
		if e := read[client.Event](t, s.ask(t, "GET "+s.path(), nil).want(t, "200")); e.TicketTypes[0].Availability != c.want {
			t.Errorf("after %d more: %s, want %s", c.take, e.TicketTypes[0].Availability, c.want)
		}
	}
}

func TestHold_isRefusedOutsideOfTheSale(t *testing.T) {
	t.Parallel()
	h := open(t)
	now := time.Now().UTC().Truncate(time.Second)
	soon, past := now.Add(time.Hour), now.Add(-time.Hour)
	one := func(more object) object {
		return object{"ticket_types": []object{body{"name": "Floor", "price": eur(100), "quotas": []string{"floor"}}.but(more)}}
	}
	for name, c := range map[string]object{
		"before": one(object{"sales_start": soon}), "after": one(object{"sales_start": past.Add(-time.Hour), "sales_end": past}),
	} {
		s := h.stage(t, c)
		a := s.ask(t, "POST "+s.path()+"/holds", items(s.floor, 1)).want(t, "409 not_on_sale")
		if name == "before" && a.member("sales_start") == "" || name == "after" && a.member("sales_end") == "" {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	// What nobody can buy any more is not shown as available.
	s, over := h.stage(t, one(object{})), h.stage(t, one(object{}))
	s.ask(t, "POST "+s.path()+"/cancel", nil, s.bearer).want(t, "200")
	s.owned(t, `UPDATE booking.event SET starts_at = clock_timestamp() - INTERVAL '2 hours', ends_at = clock_timestamp() WHERE event_id = $1`, over.event.ID)
	for _, s := range []*stage{s, over} {
		s.ask(t, "POST "+s.path()+"/holds", items(s.floor, 1)).want(t, "409 not_on_sale")
		if e := read[client.Event](t, s.ask(t, "GET "+s.path(), nil).want(t, "200")); e.TicketTypes[0].Availability != client.None {
			t.Errorf("%s, until %s: %s", e.State, e.EndsAt, e.TicketTypes[0].Availability)
		}
	}
	other := h.stage(t, one(object{}))
	s.ask(t, "POST "+other.path()+"/holds", items(s.floor, 1)).want(t, "422 unknown_ticket_type /items/0/ticket_type_id")
}

func TestExtend_isCapped(t *testing.T) {
	t.Parallel()
	s := open(t, func(h *house) { h.server.Booking.Desks.HoldTTL = booking.MaxHoldLife }).stage(t)
	a := s.ask(t, "POST /v1/holds/"+s.hold(t, s.floor, 1).ID+"/extend", nil).want(t, "409 extend_limit")
	if a.member("limit") != "2700" || a.member("expires_at") == "" {
		t.Errorf("%s", a.body)
	}
}

func TestHold_thatExpiredReadsSoAndCannotBeUsed(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	hold := s.hold(t, s.floor, 3)
	if _, err := s.store.DB.Pool.Exec(t.Context(), "UPDATE booking.hold SET expires_at = now() - interval '1 second' WHERE hold_id = $1", hold.ID); err != nil {
		t.Fatal(err)
	}
	if h := read[client.Hold](t, s.ask(t, "GET /v1/holds/"+hold.ID, nil).want(t, "200")); h.State != "expired" {
		t.Errorf("it reads as %s", h.State)
	}
	s.ask(t, "POST /v1/holds/"+hold.ID+"/extend", nil).want(t, "409 hold_expired")
	s.ask(t, "POST /v1/orders", object{"hold_id": hold.ID, "buyer": buyer()}).want(t, "409 hold_expired")
	s.ask(t, "DELETE /v1/holds/"+hold.ID, nil).want(t, "204")
	if q := s.quota(t, 0); q.Free != 100 {
		t.Errorf("%+v", q)
	}
}

// TestOrder_atAnotherPriceThanShownIsRefused is regression 11: the buyer
// confirms again, and what the hold fixed is what is charged.
func TestOrder_atAnotherPriceThanShownIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	hold := s.hold(t, s.floor, 1)
	before := s.rows(t)
	for _, shown := range []object{eur(4249), eur(4251), eur(0), eur(-4250), {"amount": 4250, "currency": "USD"}} {
		a := s.ask(t, "POST /v1/orders", object{"hold_id": hold.ID, "buyer": buyer(), "shown_total": shown}).want(t, "409 price_changed")
		if a.member("total") != `{"amount":4250,"currency":"EUR"}` {
			t.Errorf("%s", a.body)
		}
	}
	for at, half := range map[string]object{"currency": {"amount": 4250}, "amount": {}} {
		s.ask(t, "POST /v1/orders", object{"hold_id": hold.ID, "buyer": buyer(), "shown_total": half}).want(t, "400 missing_field /shown_total/"+at)
	}
	if after := s.rows(t); after != before {
		t.Errorf("refused orders left\n%s\nwas\n%s", after, before)
	}
	// The step ends now: the next buyer sees another price, this one pays the old.
	tag := s.ask(t, "GET "+s.path(), nil).header.Get("ETag")
	s.ask(t, "PUT "+s.path()+"/ticket_types/"+s.floor, object{"name": "Floor", "price": eur(5000), "quotas": []string{"floor"}}, s.bearer, ifMatch(tag)).want(t, "200")
	if next := s.hold(t, s.floor, 1); amount(next.Total) != "52.50 EUR" {
		t.Errorf("the next hold costs %s", next.Total)
	}
	if o := s.order(t, hold); amount(o.Total) != "42.50 EUR" {
		t.Errorf("the held ticket costs %s", o.Total)
	}
	a := s.ask(t, "POST /v1/orders", object{"hold_id": hold.ID, "buyer": buyer()}).want(t, "409 hold_in_checkout")
	if !strings.Contains(a.member("order_id"), "ord_euw3_") {
		t.Errorf("%s", a.body)
	}
	s.ask(t, "DELETE /v1/holds/"+hold.ID, nil).want(t, "409 hold_in_checkout")
}

func TestOrder_whoseProviderIsAwayIsFinishedByRepeatingIt(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	hold := s.hold(t, s.floor, 1)
	if err := s.sandbox.SetFaults("euw3", sandbox.Faults{Error500Percent: 100}); err != nil {
		t.Fatal(err)
	}
	want := object{"hold_id": hold.ID, "buyer": buyer(), "shown_total": hold.Total}
	var a answer
	for range 2 {
		if a = s.ask(t, "POST /v1/orders", want, key("again")).want(t, "503 payment_provider_unavailable"); a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if err := s.sandbox.SetFaults("euw3", sandbox.Faults{}); err != nil {
		t.Fatal(err)
	}
	a = s.ask(t, "POST /v1/orders", want, key("again")).want(t, "201")
	if o := read[client.Order](t, a); o.Payment == nil || o.Payment.ClientSecret == "" || a.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("%s %s", a.header, a.body)
	}
	if n := s.count(t, "checkout.orders"); n != 1 {
		t.Errorf("%d orders", n)
	}
}

// Whoever repeats an order until its window has closed, the provider being away all
// the while, is told that it is over. The key's first answer alone would still say that
// it is pending, without anything to pay it by.
func TestOrder_thatEndedBeforeItCouldBePaidIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	if err := s.sandbox.SetFaults("euw3", sandbox.Faults{Error500Percent: 100}); err != nil {
		t.Fatal(err)
	}
	for state, end := range map[string]func(order string){
		"expired": func(order string) {
			s.owned(t, `UPDATE checkout.orders SET expires_at = clock_timestamp() - INTERVAL '1 second' WHERE order_id = $1`, order)
			s.owned(t, `UPDATE saga.run SET wake_at = clock_timestamp(), position = jsonb_set(position, '{until}', to_jsonb(clock_timestamp())) WHERE run_id = 'purchase:' || $1`, order)
			if _, err := s.server.Checkout.Reconcile(t.Context()); err != nil && !errors.Is(err, payment.ErrProviderAway) {
				t.Fatal(err)
			}
		},
		"canceled": func(order string) { s.ask(t, "POST /v1/orders/"+order+"/cancel", nil).want(t, "200") },
	} {
		want := object{"hold_id": s.hold(t, s.floor, 1).ID, "buyer": buyer()}
		s.ask(t, "POST /v1/orders", want, key(state)).want(t, "503 payment_provider_unavailable")
		var order string
		if err := s.owner.Pool.QueryRow(t.Context(), `SELECT order_id FROM checkout.orders WHERE state = 'pending'`).Scan(&order); err != nil {
			t.Fatal(err)
		}
		end(order)
		eventually(t, "it is "+state, func() bool { return s.look(t, order).State == state })
		a := s.ask(t, "POST /v1/orders", want, key(state)).want(t, "409 hold_expired")
		if a.member("order_id") != `"`+order+`"` || a.member("state") != `"`+state+`"` {
			t.Errorf("%s", a.body)
		}
	}
}

func TestWebhook_isTakenOnlyWithItsSignature(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	before := s.rows(t)
	const path = "POST /v1/payments/stripe/webhook"
	forged := `{"id":"evt_1","object":"event","type":"payment_intent.succeeded","data":{"object":{}}}`
	for _, signature := range []string{"", "t=1,v1=00", "v1=", "nonsense", "t=" + strconv.FormatInt(time.Now().Unix(), 10) + ",v1=" + strings.Repeat("0", 64)} {
		s.ask(t, path, forged, header("Stripe-Signature", signature)).want(t, "400 bad_signature")
	}
	s.ask(t, path, bytes.Repeat([]byte("x"), 1<<20+1)).want(t, "413 body_too_large")
	s.ask(t, path+"?cell=euw3&x=1", forged).want(t, "400 unknown_parameter")
	if after := s.rows(t); after != before || s.count(t, "payment.notice") != 0 {
		t.Errorf("refused webhooks left\n%s\nwas\n%s", after, before)
	}
	s.ask(t, path+"?cell=euw3", foreignNotice, header("Stripe-Signature", signature(foreignNotice))).want(t, "200").looks(t, `{"received":true}`)
	s.ask(t, path+"?cell=euw3", foreignNotice, header("Stripe-Signature", signature(foreignNotice))).want(t, "200")
	if n := s.count(t, "payment.notice"); n != 1 {
		t.Errorf("the same notice is stored %d times", n)
	}
}

func TestUnpaidOrder_canceledGivesItsStockBackOnce(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	o := s.order(t, s.hold(t, s.floor, 4))
	s.wantTimeline(t, o, "created")
	for range 2 {
		c := read[client.Order](t, s.ask(t, "POST /v1/orders/"+o.ID+"/cancel", nil).want(t, "200"))
		if c.State != "canceled" || c.RefundStatus != "none" || c.Payment != nil {
			t.Errorf("%+v", c)
		}
		s.wantTimeline(t, c, "created", "canceled")
	}
	if q := s.quota(t, 0); q.Held != 0 || q.Sold != 0 || q.Free != 100 {
		t.Errorf("%+v", q)
	}
	s.ask(t, "POST /v1/orders/"+o.ID+"/refunds", object{"reason": "x"}).want(t, "409 invalid_state")
}
