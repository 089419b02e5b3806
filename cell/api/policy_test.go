package api_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"guichet/cell/api"
	"guichet/cell/client"
)

// kept is a policy under which a tenth, and 1.00, is kept of each ticket.
func keptPolicy() object {
	return object{"refund_policy": object{"kind": "until", "until_hours": 48, "fee": object{"basis_points": 1000, "amount": eur(100)}}}
}

func policy(kind string) object { return object{"refund_policy": object{"kind": kind}} }

func (s *stage) patch(t testing.TB, changes object) answer {
	t.Helper()
	return s.ask(t, "PATCH "+s.path(), changes, s.bearer, ifMatch("*"))
}

// starts lets the event have started a minute ago.
func (s *stage) starts(t testing.TB) {
	t.Helper()
	s.owned(t, `UPDATE booking.event SET starts_at = clock_timestamp() - INTERVAL '1 minute', version = version + 1 WHERE event_id = $1`, s.event.ID)
}

func TestRefundPolicy_isStatedBeforeThePurchaseAndStaysTheOrders(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	stated := s.ask(t, "GET "+s.path(), nil).want(t, "200")
	if got := stated.member("refund_policy"); got != `{"kind":"until","until_hours":24}` {
		t.Errorf("the default is %s", got)
	}
	first := s.paid(t, s.floor, 2)
	if got := first.RefundPolicy; got.Kind != "until" || *got.UntilHours != 24 || first.RefundableUntil == nil || !first.RefundableUntil.Equal(startsAt().Add(-24*time.Hour)) || first.Refundable.Amount != 8500 {
		t.Errorf("%+v, %v, %v", got, first.RefundableUntil, first.Refundable)
	}
	s.patch(t, keptPolicy()).want(t, "200")
	if got := s.ask(t, "GET "+s.path(), nil).want(t, "200").member("refund_policy"); got != `{"kind":"until","until_hours":48,"fee":{"amount":{"amount":100,"currency":"EUR"},"basis_points":1000}}` {
		t.Errorf("%s", got)
	}
	pending := s.order(t, s.hold(t, s.floor, 1))
	if pending.RefundPolicy.Fee == nil || *pending.RefundPolicy.UntilHours != 48 || pending.Refundable != nil {
		t.Errorf("%+v", pending)
	}
	second := s.paid(t, s.floor, 2)
	if second.RefundPolicy.Fee == nil || second.Refundable.Amount != 8500-2*(100+425) {
		t.Errorf("%+v, %v", second.RefundPolicy, second.Refundable)
	}
	s.patch(t, policy("none")).want(t, "200")
	if again := s.look(t, first.ID); *again.RefundPolicy.UntilHours != 24 || again.Refundable.Amount != 8500 {
		t.Errorf("what was stated when it was bought counts: %+v", again.RefundPolicy)
	}
	for _, o := range []client.Order{first, second} {
		s.ask(t, "POST /v1/orders/"+o.ID+"/cancel", nil).want(t, "200")
	}
	s.settled(t)
}

func TestRefundPolicy_refusesWhatItCannotMean(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	s.patch(t, object{"refund_policy": object{}}).want(t, "400 missing_field /refund_policy/kind")
	for pointer, bad := range map[string]object{
		"/refund_policy/kind":              {"kind": "perhaps"},
		"/refund_policy/until_hours":       {"kind": "until"},
		"/refund_policy/until_hours ":      {"kind": "until", "until_hours": -1},
		"/refund_policy/until_hours  ":     {"kind": "none", "until_hours": 0},
		"/refund_policy/fee":               {"kind": "none", "fee": object{"basis_points": 1}},
		"/refund_policy/fee/basis_points":  {"kind": "always", "fee": object{"basis_points": 10_001}},
		"/refund_policy/fee/amount/amount": {"kind": "always", "fee": object{"amount": eur(-1)}},
	} {
		s.patch(t, object{"refund_policy": bad}).want(t, "400 invalid_event "+strings.TrimSpace(pointer))
		draft := concert().but(object{"refund_policy": bad})
		s.ask(t, "POST /v1/organizers/"+s.org.ID+"/events", draft, s.bearer).want(t, "400 invalid_event "+strings.TrimSpace(pointer))
	}
}

// A buyer takes nothing back that the policy does not give; the organizer is not bound.
func TestRefundPolicy_holdsBuyersAndNotTheOrganizer(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"none", "organizer", "until"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			stated := policy(kind)
			if kind == "until" {
				stated = object{"refund_policy": object{"kind": "until", "until_hours": 366 * 24}}
			}
			s := open(t).stage(t, stated)
			o := s.paid(t, s.floor, 3)
			if o.Refundable.Amount != 0 || (o.RefundableUntil == nil) != (kind != "until") {
				t.Errorf("%v until %v", o.Refundable, o.RefundableUntil)
			}
			path, one := "POST /v1/orders/"+o.ID, object{"items": []object{{"ticket_id": o.Tickets[0].ID}}}
			before := s.rows(t)
			for line, body := range map[string]any{"/cancel": nil, "/refunds": object{}, "/refunds ": one, "/refunds  ": object{"amount": eur(12750)}} {
				a := s.ask(t, path+strings.TrimSpace(line), body).want(t, "403 refund_not_allowed")
				if a.member("refund_policy") != strconv.Quote(kind) {
					t.Errorf("%s", a.body)
				}
			}
			if after := s.rows(t); after != before {
				t.Errorf("refused refunds left\n%s\nwas\n%s", after, before)
			}
			s.ask(t, path+"/refunds", one, s.bearer).want(t, "201")
			s.ask(t, path+"/cancel", nil, s.bearer).want(t, "200")
			unpaid := s.order(t, s.hold(t, s.floor, 1)) // nobody paid: nothing is kept from anybody
			s.ask(t, "POST /v1/orders/"+unpaid.ID+"/cancel", nil).want(t, "200")
			free := s.paid(t, s.guest, 2) // there is nothing to be given back but the places
			s.ask(t, "POST /v1/orders/"+free.ID+"/refunds", object{"items": []object{{"ticket_id": free.Tickets[0].ID}}}).want(t, "201")
			s.ask(t, "POST /v1/orders/"+free.ID+"/cancel", nil).want(t, "200")
			s.settled(t)
			if q := s.quota(t, 0); q.Sold != 0 {
				t.Errorf("%+v", q)
			}
		})
	}
}

func TestCancel_afterTheStartIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t, policy("always"))
	o, free := s.paid(t, s.floor, 2), s.paid(t, s.guest, 1)
	s.starts(t)
	if now := s.look(t, o.ID); now.Refundable.Amount != 0 {
		t.Errorf("%v can be given back after the start", now.Refundable)
	}
	path := "POST /v1/orders/" + o.ID
	s.ask(t, path+"/cancel", nil).want(t, "409 event_started")
	s.ask(t, path+"/refunds", object{}).want(t, "409 event_started")
	s.ask(t, path+"/refunds", object{"amount": eur(8500)}).want(t, "409 event_started")
	s.ask(t, path+"/refunds", object{"items": []object{{"ticket_id": o.Tickets[0].ID}}}).want(t, "409 event_started")
	s.ask(t, "POST /v1/orders/"+free.ID+"/cancel", nil).want(t, "409 event_started")
	s.ask(t, path+"/refunds", object{"amount": eur(1000)}, s.bearer).want(t, "201")
	s.ask(t, path+"/cancel", nil, s.bearer).want(t, "200")
	s.settled(t)
}

// An occurrence has a start of its own: an order for the date that has begun stays, one for
// a later date of the same series can be canceled.
func TestCancel_ofAnOccurrenceGoesByItsOwnStart(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := &stage{house: h, org: h.account(t, "Musée")}
	s.bearer = bearer(s.org.APIKey)
	series := read[client.Series](t, s.ask(t, "POST /v1/organizers/"+s.org.ID+"/series", object(visits()), s.bearer).want(t, "201"))
	s.ask(t, "POST /v1/series/"+series.ID+"/publish", nil, s.bearer).want(t, "200")
	var orders []client.Order
	for _, date := range h.occurrences(t, series.ID, "").Items[:2] {
		s.event = read[client.Event](t, s.ask(t, "GET /v1/events/"+date.ID, nil, s.bearer).want(t, "200"))
		s.patch(t, policy("always")).want(t, "200")
		orders = append(orders, s.paid(t, s.event.TicketTypes[0].ID, 2))
	}
	s.event.ID = orders[0].EventID
	s.starts(t)
	s.ask(t, "POST /v1/orders/"+orders[0].ID+"/cancel", nil).want(t, "409 event_started")
	s.ask(t, "POST /v1/orders/"+orders[1].ID+"/cancel", nil).want(t, "200")
}

func TestRefund_keepsTheFeeOfEachTicketOnce(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t, keptPolicy())
	o := s.paid(t, s.floor, 3) // 42.50 each, 5.25 of which is kept
	path := "POST /v1/orders/" + o.ID + "/refunds"
	s.ask(t, path, object{"amount": eur(3 * 4250)}).want(t, "403 not_allowed")
	one := read[client.Order](t, s.ask(t, path, object{"items": []object{{"ticket_id": o.Tickets[2].ID}}}).want(t, "201"))
	if one.State != "paid" || one.RefundStatus != "partial" || one.Kept.Amount != 525 || one.Tickets[2].State != "canceled" || one.Tickets[0].State != "valid" {
		t.Errorf("%+v", one)
	}
	if now := s.look(t, o.ID); now.Refundable.Amount != 2*(4250-525) {
		t.Errorf("%v", now.Refundable)
	}
	a := s.ask(t, path, object{"amount": eur(8500)}).want(t, "403 not_allowed")
	if a.member("limit") != "7450" {
		t.Errorf("%s", a.body)
	}
	all := read[client.Order](t, s.ask(t, path, object{"amount": eur(7450)}).want(t, "201"))
	if all.State != "canceled" || all.RefundStatus != "partial" || all.Kept.Amount != 3*525 {
		t.Errorf("%+v", all)
	}
	s.settled(t)
	given := func(want int64) {
		t.Helper()
		var got, noted int64
		if err := s.store.DB.Pool.QueryRow(t.Context(), "SELECT (SELECT sum(amount) FROM payment.refund), (SELECT sum(amount) FROM checkout.paper WHERE kind = 'credit_note')").Scan(&got, &noted); err != nil || got != want || noted != want {
			t.Errorf("%d given back and %d noted, want %d: %v", got, noted, want, err)
		}
	}
	given(3 * (4250 - 525))
	// The organizer may give up what was kept; nobody else may, and nobody more than it.
	s.ask(t, path, object{}).want(t, "409 invalid_state")
	s.ask(t, path, object{"amount": eur(1576)}, s.bearer).want(t, "422 refund_too_large")
	kind := read[client.Order](t, s.ask(t, path, object{"amount": eur(575)}, s.bearer).want(t, "201"))
	if kind.State != "canceled" || kind.Kept.Amount != 1000 {
		t.Errorf("%+v", kind)
	}
	last := read[client.Order](t, s.ask(t, path, object{}, s.bearer).want(t, "201"))
	if last.State != "canceled" || last.RefundStatus != "full" || last.Kept != nil {
		t.Errorf("%+v", last)
	}
	s.ask(t, path, object{}, s.bearer).want(t, "409 invalid_state")
	s.settled(t)
	given(3 * 4250)
	if q := s.quota(t, 0); q.Sold != 0 {
		t.Errorf("%+v", q)
	}
}

// Who gave a ticket away has the money of it only when who has it agrees, or by the
// organizer's word; nobody agrees for somebody else.
func TestRefund_ofATransferredTicketNeedsItsHoldersConsent(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	box, sender := s.mailroom(t)
	o := s.paid(t, s.floor, 3)
	old := o.Tickets[0].ID
	s.ask(t, "POST /v1/tickets/"+old+"/transfer", recipient("Bob", "bob@example.org")).want(t, "201")
	pass(t, sender)
	bobs := s.mailed(t, box, "bob@example.org")
	path := "POST /v1/orders/" + o.ID
	if now := s.look(t, o.ID); now.Refundable.Amount != 0 || now.Tickets[0].Transferred.RefundConsent {
		t.Errorf("%+v", now)
	}
	refused := func() {
		t.Helper()
		for line, body := range map[string]any{"/cancel": nil, "/refunds": object{}, "/refunds ": object{"items": []object{{"ticket_id": old}}}} {
			if a := s.ask(t, path+strings.TrimSpace(line), body).want(t, "409 ticket_transferred"); a.member("tickets") != `["`+old+`"]` || strings.Contains(string(a.body), bobs) {
				t.Errorf("%s", a.body)
			}
		}
		s.ask(t, path+"/refunds", object{"items": []object{{"ticket_id": bobs}}}).want(t, "404 ticket_not_found") // she does not know it by this id
	}
	refused()
	consent := "/v1/tickets/" + bobs + "/refund_consent"
	s.ask(t, "POST "+consent, nil, bearer(o.Tickets[1].AccessToken)).want(t, "404 ticket_not_found")
	s.ask(t, "POST "+consent, nil, s.bearer).want(t, "401 token_malformed")
	s.ask(t, "POST /v1/tickets/"+old+"/refund_consent", nil).want(t, "409 ticket_transferred")
	s.ask(t, "POST /v1/tickets/"+o.Tickets[1].ID+"/refund_consent", nil).want(t, "409 invalid_state")
	refused()
	for range 2 {
		if a := read[client.RefundConsent](t, s.ask(t, "POST "+consent, nil).want(t, "200")); a.TicketID != bobs || a.ConsentedAt == nil {
			t.Errorf("%+v", a)
		}
	}
	if now := s.look(t, o.ID); now.Refundable.Amount != 12750 || !now.Tickets[0].Transferred.RefundConsent {
		t.Errorf("%+v", now)
	}
	if a := read[client.RefundConsent](t, s.ask(t, "DELETE "+consent, nil).want(t, "200")); a.ConsentedAt != nil {
		t.Errorf("%+v", a)
	}
	refused()
	s.ask(t, "POST "+consent, nil).want(t, "200")
	s.ask(t, "POST /v1/tickets/"+bobs+"/transfer", recipient("Cy", "cy@example.org")).want(t, "201") // who has it now has not agreed
	pass(t, sender)
	bobs = s.mailed(t, box, "cy@example.org")
	refused()
	s.ask(t, "POST /v1/tickets/"+bobs+"/refund_consent", nil).want(t, "200")
	if now := read[client.Order](t, s.ask(t, path+"/refunds", object{"items": []object{{"ticket_id": old}}}).want(t, "201")); now.State != "paid" || now.RefundStatus != "partial" || s.quota(t, 0).Sold != 2 {
		t.Errorf("%+v", now)
	}
	s.ask(t, path+"/cancel", nil).want(t, "200") // the others are hers
	s.settled(t)
}

// A refund of a ticket that was given away is told to its buyer by the id that he knows.
// The present one is its holder's; staff are told that.
func TestRefunds_nameATransferredTicketAsWhoAsksKnowsIt(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	box, sender := s.mailroom(t)
	o := s.paid(t, s.floor, 2)
	old := o.Tickets[0].ID
	s.ask(t, "POST /v1/tickets/"+old+"/transfer", recipient("Bob", "bob@example.org")).want(t, "201")
	pass(t, sender)
	bobs := s.mailed(t, box, "bob@example.org")
	s.ask(t, "POST /v1/tickets/"+bobs+"/refund_consent", nil).want(t, "200")
	made := s.ask(t, "POST /v1/orders/"+o.ID+"/refunds", object{"items": []object{{"ticket_id": old}}}).want(t, "201")
	if r := read[client.Order](t, made).Refund; r == nil || len(r.Items) != 1 || r.Items[0].TicketID != old {
		t.Errorf("%+v", r)
	}
	s.settled(t)
	list := "GET /v1/orders/" + o.ID + "/refunds"
	for who, want := range map[string]string{"buyer": old, "staff": bobs} {
		ask := s.ask(t, list, nil)
		if who == "staff" {
			ask = s.ask(t, list, nil, s.bearer)
		}
		items := read[api.Page[client.Refund]](t, ask.want(t, "200")).Items
		if len(items) != 1 || len(items[0].Items) != 1 || items[0].Items[0].TicketID != want {
			t.Errorf("%s is told %s, want ticket %s", who, ask.body, want)
		}
	}
}

// parking is an add-on to the floor, which is sold in twos.
func parking() object {
	return object{"ticket_types": []object{
		{"name": "Floor", "price": eur(4000), "quotas": []string{"floor"}, "min_per_order": 2},
		{"name": "Parking", "price": eur(1000), "quotas": []string{"balcony"}, "requires": "Floor"},
	}}
}

// buyBoth buys floor tickets with as many parking places.
func (s *stage) buyBoth(t *testing.T, floor, parking int) client.Order {
	t.Helper()
	lines := []object{{"ticket_type_id": s.floor, "quantity": floor}, {"ticket_type_id": s.event.TicketTypes[1].ID, "quantity": parking}}
	o := s.order(t, read[client.Hold](t, s.ask(t, "POST "+s.path()+"/holds", object{"items": lines}).want(t, "201")))
	s.confirm(t, o.Payment.ClientSecret, "pm_card_visa")
	eventually(t, "the order is paid", func() bool {
		o = s.look(t, o.ID)
		return o.State == "paid"
	})
	return o
}

func states(o client.Order) string {
	var out []string
	for _, k := range o.Tickets {
		out = append(out, k.State)
	}
	return strings.Join(out, " ")
}

func TestRefund_takesAddOnsAlongWithTheTicketsThatTheyRequire(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t, parking())
	o := s.buyBoth(t, 4, 3)
	path := "POST /v1/orders/" + o.ID + "/refunds"
	give := func(n int, opts ...with) answer {
		t.Helper()
		return s.ask(t, path, object{"items": []object{{"ticket_id": o.Tickets[n].ID}}}, opts...)
	}
	if got := states(read[client.Order](t, give(0).want(t, "201"))); got != "canceled valid valid valid valid valid valid" {
		t.Errorf("three have three: %s", got)
	}
	if got := states(read[client.Order](t, give(1, s.bearer).want(t, "201"))); got != "canceled canceled valid valid valid valid canceled" {
		t.Errorf("the organizer's refund leaves a parking place without a ticket: %s", got)
	}
	if a := give(2).want(t, "422 too_few"); a.member("limit") != "2" { // it could not be bought so
		t.Errorf("%s", a.body)
	}
	if got := states(read[client.Order](t, give(4).want(t, "201"))); got != "canceled canceled valid valid canceled valid canceled" {
		t.Errorf("an add-on goes alone: %s", got)
	}
	both := object{"items": []object{{"ticket_id": o.Tickets[2].ID}, {"ticket_id": o.Tickets[3].ID}}}
	if all := read[client.Order](t, s.ask(t, path, both).want(t, "201")); all.State != "canceled" || all.RefundStatus != "full" {
		t.Errorf("with its last tickets the order ends: %s, %s", all.State, states(all))
	}
	s.settled(t)
	if floor, balcony := s.quota(t, 0), s.quota(t, 1); floor.Sold != 0 || balcony.Sold != 0 {
		t.Errorf("%+v, %+v", floor, balcony)
	}
	var given int64
	if err := s.store.DB.Pool.QueryRow(t.Context(), "SELECT sum(amount) FROM payment.refund").Scan(&given); err != nil || given != 19000 {
		t.Errorf("%d given back, %v", given, err)
	}
}
