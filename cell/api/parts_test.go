package api_test

import (
	"net/http"
	"testing"

	"guichet/cell/booking"
	"guichet/cell/client"
)

func (s *stage) now(t testing.TB) client.Event {
	t.Helper()
	return read[client.Event](t, s.ask(t, "GET "+s.path(), nil, s.bearer).want(t, "200"))
}

func TestParts_areAddedToAnEventThatIsSold(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	s.paid(t, s.floor, 2)
	more := s.ask(t, "POST "+s.path()+"/quotas", object{"name": "garden", "size": 7}, s.bearer, key("q"), ifMatch(`"1"`)).want(t, "201")
	s.ask(t, "POST "+s.path()+"/quotas", object{"name": "garden", "size": 7}, s.bearer).want(t, "400 invalid_event /name")
	s.ask(t, "POST "+s.path()+"/quotas", object{"name": "x", "size": -1}, s.bearer).want(t, "400 invalid_event /size")
	s.ask(t, "POST "+s.path()+"/quotas", object{"name": "x", "size": 1}, s.bearer, ifMatch(`"1"`)).want(t, "412 version_mismatch")
	s.ask(t, "POST "+s.path()+"/quotas", object{"name": "x", "size": 1}, s.bearer, withoutKey).want(t, "400 idempotency_key_required")
	if again := s.ask(t, "POST "+s.path()+"/quotas", object{"name": "garden", "size": 7}, s.bearer, key("q"), ifMatch(`"1"`)).want(t, "201"); string(again.body) != string(more.body) {
		t.Errorf("repeated: %s", again.body)
	}
	lawn := object{"name": "Lawn", "price": eur(900), "quotas": []string{"garden", "floor"}}
	s.ask(t, "POST "+s.path()+"/ticket_types", body(lawn).but(object{"quotas": []string{"nowhere"}}), s.bearer).want(t, "400 invalid_event /quotas/0")
	s.ask(t, "POST "+s.path()+"/ticket_types", body(lawn).but(object{"quotas": []string{}}), s.bearer).want(t, "400 invalid_event /quotas")
	s.ask(t, "POST "+s.path()+"/ticket_types", body(lawn).but(object{"price": object{"amount": 1, "currency": "USD"}}), s.bearer).want(t, "400 invalid_event /price/currency")
	e := read[client.Event](t, s.ask(t, "POST "+s.path()+"/ticket_types", lawn, s.bearer).want(t, "201"))
	made := e.TicketTypes[len(e.TicketTypes)-1]
	if len(e.TicketTypes) != 4 || made.Name != "Lawn" || len(e.Quotas) != 3 || e.Quotas[2].Name != "garden" || e.Version != 3 {
		t.Fatalf("%+v", e)
	}
	s.paid(t, made.ID, 3)
	if q := s.quota(t, 2); q.Sold != 3 || q.Free != 4 {
		t.Errorf("%+v", q)
	}
	s.wantLedgerToVerify(t)
	s.ask(t, "POST "+s.path()+"/cancel", nil, s.bearer).want(t, "200")
	s.ask(t, "POST "+s.path()+"/quotas", object{"name": "late", "size": 1}, s.bearer).want(t, "409 invalid_state")
	s.ask(t, "POST "+s.path()+"/ticket_types", lawn, s.bearer).want(t, "409 invalid_state")
}

func TestParts_thatWereUsedStayAndTheReasonIsTold(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	reason := func(line, code, why string) {
		t.Helper()
		if a := s.ask(t, "DELETE "+s.path()+line, nil, s.bearer).want(t, "409 "+code); a.member("reason") != `"`+why+`"` {
			t.Errorf("%s: %s", line, a.body)
		}
	}
	floor, balcony := "/quotas/"+s.event.Quotas[0].ID, "/quotas/"+s.event.Quotas[1].ID
	reason(balcony, "quota_in_use", "ticket_type")
	hold := s.hold(t, s.both, 2)
	reason("/ticket_types/"+s.both, "ticket_type_in_use", "held")
	s.ask(t, "DELETE /v1/holds/"+hold.ID, nil).want(t, "204")
	bought := s.paid(t, s.guest, 1)
	s.ask(t, "POST /v1/orders/"+bought.ID+"/cancel", nil).want(t, "200")
	reason("/ticket_types/"+s.guest, "ticket_type_in_use", "ordered") // its invoice and its books name it
	s.ask(t, "PUT "+s.path()+"/codes/SPRING", object{"kind": "promo", "basis_points": 1000, "ticket_types": []string{s.floor}}, s.bearer).want(t, "200")
	reason("/ticket_types/"+s.floor, "ticket_type_in_use", "code")
	spring := items(s.floor, 1)
	spring["promo_code"] = "spring"
	held := read[client.Hold](t, s.ask(t, "POST "+s.path()+"/holds", spring).want(t, "201"))
	reason("/codes/spring", "code_in_use", "uses")
	s.ask(t, "DELETE /v1/holds/"+held.ID, nil).want(t, "204")
	s.ask(t, "DELETE "+s.path()+"/codes/spring", nil, s.bearer).want(t, "204")
	s.ask(t, "DELETE "+s.path()+"/codes/spring", nil, s.bearer).want(t, "404 code_not_found")
	// What nobody used goes: the first quota carries the ledger's end, and hands it on.
	s.ask(t, "DELETE "+s.path()+"/ticket_types/"+s.both, nil, s.bearer, ifMatch(`"9"`)).want(t, "412 version_mismatch")
	s.ask(t, "DELETE "+s.path()+"/ticket_types/"+s.both, nil, s.bearer).want(t, "200")
	s.ask(t, "DELETE "+s.path()+"/ticket_types/"+s.both, nil, s.bearer).want(t, "404 ticket_type_not_found")
	aside := s.allocate(t, 1, 2)
	reason(balcony, "quota_in_use", "stock")
	s.ask(t, "DELETE "+s.allocations()+"/"+aside.ID, nil, s.bearer).want(t, "204")
	reason(balcony, "quota_in_use", "allocation")
	reason(floor, "quota_in_use", "ticket_type")
	s.wantLedgerToVerify(t)
	other := s.house.account(t, "Other")
	for _, line := range []string{floor, "/ticket_types/" + s.floor, "/codes/SPRING"} {
		s.ask(t, "DELETE "+s.path()+line, nil, bearer(other.APIKey)).want(t, "404 event_not_found")
	}
}

// The first quota carries where the event's stock and ledger stand.
func TestParts_theFirstQuotaGoesAndTheLedgerGoesOn(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t, object{"ticket_types": []object{
		{"name": "Floor", "price": eur(4000), "quotas": []string{"floor"}}, {"name": "Balcony", "price": eur(0), "quotas": []string{"balcony"}},
	}})
	seats := s.event.TicketTypes[1].ID
	s.paid(t, seats, 2)
	s.ask(t, "DELETE "+s.path()+"/ticket_types/"+s.floor, nil, s.bearer).want(t, "200")
	e := read[client.Event](t, s.ask(t, "DELETE "+s.path()+"/quotas/"+s.event.Quotas[0].ID, nil, s.bearer).want(t, "200"))
	if len(e.Quotas) != 1 || e.Quotas[0].Name != "balcony" || e.Quotas[0].Sold != 2 {
		t.Fatalf("%+v", e.Quotas)
	}
	s.paid(t, seats, 2)
	s.ask(t, "POST "+s.path()+"/quotas", object{"name": "floor", "size": 9}, s.bearer).want(t, "201")
	s.wantLedgerToVerify(t)
	if a := s.ask(t, "DELETE "+s.path()+"/ticket_types/"+seats, nil, s.bearer).want(t, "409 ticket_type_in_use"); a.member("reason") != `"last"` {
		t.Errorf("%s", a.body)
	}
}

func TestUnpublish_onlyWhileNothingWasSoldOrHeld(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	before := s.count(t, "bus.outbox")
	hold := s.hold(t, s.floor, 1)
	unpublish := "POST " + s.path() + "/unpublish"
	if a := s.ask(t, unpublish, nil, s.bearer).want(t, "409 event_in_use"); a.member("reason") != `"stock"` || a.member("held") != "1" {
		t.Errorf("%s", a.body)
	}
	s.ask(t, "DELETE /v1/holds/"+hold.ID, nil).want(t, "204")
	e := read[client.Event](t, s.ask(t, unpublish, nil, s.bearer, ifMatch(`"1"`)).want(t, "200"))
	if again := read[client.Event](t, s.ask(t, unpublish, nil, s.bearer).want(t, "200")); e.State != "draft" || again.Version != e.Version {
		t.Errorf("%s at %d, then at %d", e.State, e.Version, again.Version)
	}
	if n := s.count(t, "bus.outbox"); n != before+1 {
		t.Errorf("every catalogue must hear that it is gone, once: %d rows more", n-before)
	}
	s.ask(t, "GET "+s.path(), nil).want(t, "404 event_not_found")
	s.ask(t, "POST "+s.path()+"/publish", nil, s.bearer).want(t, "200")
	bought := s.paid(t, s.guest, 1)
	s.ask(t, "POST /v1/orders/"+bought.ID+"/cancel", nil).want(t, "200")
	if a := s.ask(t, unpublish, nil, s.bearer).want(t, "409 event_in_use"); a.member("reason") != `"ordered"` { // its buyer still has a link
		t.Errorf("%s", a.body)
	}
	s.ask(t, "POST "+s.path()+"/cancel", nil, s.bearer).want(t, "200")
	s.ask(t, unpublish, nil, s.bearer).want(t, "409 invalid_state")
}

func TestDraft_isNotThereForStrangersWhateverTheyAsk(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t, object{"publish": false})
	other := bearer(s.house.account(t, "Other").APIKey)
	asked := 0
	for path, item := range contractOf(t, s.house).doc.Paths.Map() {
		for method, op := range item.Operations() {
			if len(path) < len("/v1/events/{event_id}") || path[:len("/v1/events/{event_id}")] != "/v1/events/{event_id}" || op.Security != nil && len(*op.Security) == 1 {
				continue // not everybody's
			}
			asked++
			line := method + " " + s.path() + path[len("/v1/events/{event_id}"):]
			var in any
			if op.RequestBody != nil {
				in = items(s.floor, 1)
			}
			a := s.ask(t, line, in, stranger).want(t, "404 event_not_found")
			nowhere, _ := strangers()
			none := s.ask(t, method+" /v1/events/"+nowhere+path[len("/v1/events/{event_id}"):], in, stranger).want(t, "404 event_not_found")
			if a.member("detail") != none.member("detail") {
				t.Errorf("%s: %s tells more than %s", line, a.body, none.body)
			}
			if method == http.MethodGet {
				s.ask(t, line, nil, other).want(t, "404 event_not_found")
			}
		}
	}
	if asked < 6 {
		t.Errorf("%d calls", asked)
	}
	s.ask(t, "GET "+s.path()+"/order_form", nil, s.bearer).want(t, "200") // it is his
	s.ask(t, "GET "+s.path()+"/transfer_policy", nil, s.bearer).want(t, "200")
}

// Two pages of one browser extend the same hold in the same moment.
func TestExtend_atTheSameTimeAnswersTheUnchangedEnd(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	hold := s.hold(t, s.floor, 1)
	var asked []<-chan answer
	release := s.lock(t)
	for range 5 {
		asked = append(asked, s.later(t, "POST /v1/holds/"+hold.ID+"/extend", nil))
	}
	eventually(t, "they wait at the desk", func() bool { return s.server.Booking.Desks.Waiting() >= 5 })
	release()
	ends := map[string]bool{}
	for _, c := range asked {
		a := (<-c).want(t, "200")
		ends[a.member("expires_at")] = true
	}
	if len(ends) > 2 { // the first may have been in a batch of its own
		t.Errorf("they end at %v", ends)
	}
	if h := read[client.Hold](t, s.ask(t, "GET /v1/holds/"+hold.ID, nil).want(t, "200")); h.ExpiresAt.Sub(hold.ExpiresAt) > booking.DefaultHoldTTL {
		t.Errorf("%s", h.ExpiresAt)
	}
}
