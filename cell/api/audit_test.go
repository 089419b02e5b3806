package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"guichet/cell/access"
	"guichet/cell/client"
)

// trail is the organizer's audit log, newest first.
func (s *stage) trail(t testing.TB, query string) []client.AuditEntry {
	t.Helper()
	return read[pageOf[client.AuditEntry]](t, s.ask(t, "GET "+s.at()+"/audit?limit=100"+query, nil, s.bearer).want(t, "200")).Items
}

// audited are the calls of the contract whose success must stand in the log: what changes
// something and is an organizer's, an operator's or a member's to make.
func audited(t *testing.T, h *house) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for line, schemes := range needs(t, h) {
		staff := slices.Contains(schemes, "organizer") || slices.Contains(schemes, "operator") || slices.Contains(schemes, "person")
		if !strings.HasPrefix(line, "GET ") && staff {
			out[line] = true
		}
	}
	delete(out, "POST /v1/organizers/{organizer_id}/membership") // it shows what is, and changes nothing
	delete(out, "DELETE /v1/sessions")                           // a person's own sign-out is no change at an organizer or a cell
	return out
}

// asked is one call of the walk: a refusal, which must leave nothing, then a success.
type asked struct {
	line   string // as the contract has it
	at     string
	body   any
	as     with
	status int
	object string // kind and id that the entry must have, "" for whatever the path says
	after  string // a part of what the entry says is after
}

// TestAudit_everyChangeByStaffIsThereOnceAndNoRefusalIs walks all mutating calls of
// organizers and operators in the contract.
func TestAudit_everyChangeByStaffIsThereOnceAndNoRefusalIs(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	want := audited(t, s.house)
	ops := bearer(operatorToken)
	aside := s.allocate(t, 0, 10)
	member, _ := s.join(t, "mia", "events")
	_, token := s.invite(t, s.bearer, "new@example.org", "door")
	withdraw, _ := s.invite(t, s.bearer, "gone@example.org", "door")
	rotate := s.makeKey(t, object{"name": "rotate", "role": "door"}, s.bearer)
	revoke := s.makeKey(t, object{"name": "revoke", "role": "door"}, s.bearer)
	s.join(t, "olga", "owner")
	owner := bearer(s.membership(t, "olga", func(p *access.Person) { p.ACR = "urn:mfa" }).Token)
	bought := s.paid(t, s.floor, 1)
	toCancel := s.paid(t, s.guest, 1)
	run := s.failedSaga(t)
	s.storeNotice(t, "evt_notice")
	draft := read[client.Event](t, s.ask(t, "POST "+s.at()+"/events", concert().but(object{"publish": nil}), s.bearer).want(t, "201"))
	seated := read[client.Event](t, s.ask(t, "POST "+s.at()+"/events", concert().but(object{"publish": nil, "name": "Seated", "quotas": []object{{"name": "floor", "size": 0}}, "ticket_types": []object{{"name": "Floor", "price": eur(100), "quotas": []string{"floor"}}}}), s.bearer).want(t, "201"))
	series := read[client.Series](t, s.ask(t, "POST "+s.at()+"/series", object(visits()), s.bearer).want(t, "201"))
	hall := s.seated(t)
	spare := read[client.Event](t, s.ask(t, "POST "+s.path()+"/quotas", object{"name": "spare", "size": 3}, s.bearer).want(t, "201")).Quotas[2].ID
	spareType := read[client.Event](t, s.ask(t, "POST "+s.path()+"/ticket_types", object{"name": "Spare", "price": eur(100), "quotas": []string{"floor"}}, s.bearer).want(t, "201")).TicketTypes[3].ID
	shelf := read[client.Event](t, s.ask(t, "POST "+s.at()+"/events", object(concert()), s.bearer).want(t, "201"))
	const event, org = "/v1/events/{event_id}", "/v1/organizers/{organizer_id}"
	walk := []asked{
		{"POST /v1/organizers", "/v1/organizers", object{"name": "New"}, ops, 201, "organizer", "New"},
		{"POST " + org + "/events", s.at() + "/events", object(concert()), s.bearer, 201, "event", "Nuit de la Musique"},
		{"PATCH " + event, s.path(), object{"name": "Renamed"}, s.bearer, 200, "event " + s.event.ID, "Renamed"},
		{"POST " + event + "/publish", "/v1/events/" + draft.ID + "/publish", nil, s.bearer, 200, "event " + draft.ID, "published"},
		{"PUT " + event + "/quotas/{quota_id}", s.path() + "/quotas/" + s.event.Quotas[0].ID, object{"name": "floor", "size": 101}, s.bearer, 200, "quota " + s.event.Quotas[0].ID, "101"},
		{"PUT " + event + "/ticket_types/{ticket_type_id}", s.path() + "/ticket_types/" + s.floor, object{"name": "Parterre", "price": eur(4100), "quotas": []string{"floor"}}, s.bearer, 200, "ticket_type " + s.floor, "4100"},
		{"PUT " + event + "/codes/{code}", s.path() + "/codes/spring", object{"kind": "promo", "basis_points": 1000}, s.bearer, 200, "code SPRING", "SPRING"},
		{"DELETE " + event + "/codes/{code}", s.path() + "/codes/spring", nil, s.bearer, 204, "code SPRING", ""},
		{"POST " + event + "/quotas", s.path() + "/quotas", object{"name": "garden", "size": 77}, s.bearer, 201, "event " + s.event.ID, "garden"},
		{"POST " + event + "/ticket_types", s.path() + "/ticket_types", object{"name": "Lawn", "price": eur(77), "quotas": []string{"garden"}}, s.bearer, 201, "event " + s.event.ID, "Lawn"},
		{"DELETE " + event + "/ticket_types/{ticket_type_id}", s.path() + "/ticket_types/" + spareType, nil, s.bearer, 200, "ticket_type " + spareType, ""},
		{"DELETE " + event + "/quotas/{quota_id}", s.path() + "/quotas/" + spare, nil, s.bearer, 200, "quota " + spare, ""},
		{"POST " + event + "/unpublish", "/v1/events/" + shelf.ID + "/unpublish", nil, s.bearer, 200, "event " + shelf.ID, "draft"},
		{"PUT " + event + "/order_form", s.path() + "/order_form", object{"seller": object{"name": "Pleyel SA", "address": "Paris"}, "questions": []object{}, "consents": []object{}}, s.bearer, 200, "event " + s.event.ID, "Pleyel SA"},
		{"PUT " + event + "/seating", "/v1/events/" + seated.ID + "/seating", object{"plan": planOf("A", 4), "categories": []object{{"category": "Stalls", "ticket_types": []string{"Floor"}}}}, s.bearer, 200, "event " + seated.ID, ""},
		{"POST " + event + "/seats/kills", hall.path() + "/seats/kills", object{"seat_ids": []string{"A-1"}, "killed": true}, hall.bearer, 200, "event", "killed"},
		{"POST " + event + "/seats/house", hall.path() + "/seats/house", object{"seat_ids": []string{"A-2"}, "held": true}, hall.bearer, 200, "event", "held"},
		{"PUT " + event + "/payment_policy", s.path() + "/payment_policy", object{"on_dispute": "keep"}, s.bearer, 200, "event " + s.event.ID, "keep"},
		{"PUT " + event + "/transfer_policy", s.path() + "/transfer_policy", object{"transfers": "forbidden"}, s.bearer, 200, "event " + s.event.ID, "forbidden"},
		{"PUT " + org + "/embedding", s.at() + "/embedding", object{"origins": []string{"https://www.example.org"}}, s.bearer, 200, "organizer " + s.org.ID, "https://www.example.org"},
		{"PUT " + org + "/payment_account", s.at() + "/payment_account", object{"stripe_account": nil}, s.bearer, 200, "organizer " + s.org.ID, ""},
		{"POST " + event + "/allocations", s.path() + "/allocations", object{"quota_id": s.event.Quotas[0].ID, "name": "press", "quantity": 2}, s.bearer, 201, "allocation", "press"},
		{"POST " + event + "/allocations/{allocation_id}/release", s.path() + "/allocations/" + aside.ID + "/release", object{"quantity": 1}, s.bearer, 200, "allocation " + aside.ID, "released"},
		{"POST " + event + "/allocations/{allocation_id}/holds", s.path() + "/allocations/" + aside.ID + "/holds", object{"ticket_type_id": s.floor, "quantity": 1, "buyer": object{"name": "Secret Guest", "email": "guest@example.org"}}, s.bearer, 201, "allocation " + aside.ID, "hold_id"},
		{"DELETE " + event + "/allocations/{allocation_id}", s.path() + "/allocations/" + aside.ID, nil, s.bearer, 204, "allocation " + aside.ID, "closed"},
		{"POST " + org + "/series", s.at() + "/series", object(visits()), s.bearer, 201, "series", "occurrences"},
		{"POST /v1/series/{series_id}/publish", "/v1/series/" + series.ID + "/publish", nil, s.bearer, 200, "series " + series.ID, "publishing"},
		{"POST /v1/orders/{order_id}/resend", "/v1/orders/" + bought.ID + "/resend", nil, s.bearer, 202, "order " + bought.ID, ""},
		{"POST /v1/orders/{order_id}/refunds", "/v1/orders/" + bought.ID + "/refunds", object{"amount": eur(100), "reason": "a private illness"}, s.bearer, 201, "order " + bought.ID, "100"},
		{"POST /v1/orders/{order_id}/cancel", "/v1/orders/" + toCancel.ID + "/cancel", nil, s.bearer, 200, "order " + toCancel.ID, ""},
		{"POST /v1/payments/notices/replay", "/v1/payments/notices/replay", object{"id": "evt_notice"}, ops, 200, "notice evt_notice", "evt_notice"},
		{"POST /v1/sagas/{saga_id}/retry", "/v1/sagas/" + run + "/retry", nil, ops, 200, "saga " + run, ""},
		{"PUT " + org + "/members/{member_id}", s.at() + "/members/" + member.ID, object{"role": "door"}, s.bearer, 200, "member " + member.ID, "door"},
		{"DELETE " + org + "/members/{member_id}", s.at() + "/members/" + member.ID, nil, s.bearer, 204, "member " + member.ID, ""},
		{"POST " + org + "/invitations", s.at() + "/invitations", object{"email": "third@example.org", "role": "reader"}, s.bearer, 201, "invitation", "third@example.org"},
		{"DELETE " + org + "/invitations/{invitation_id}", s.at() + "/invitations/" + withdraw.ID, nil, s.bearer, 204, "invitation " + withdraw.ID, "withdrawn"},
		{"POST /v1/invitations/accept", "/v1/invitations/accept", object{"token": token}, bearer(s.signIn("new")), 200, "invitation", "new@example.org"},
		{"PUT " + org + "/security", s.at() + "/security", object{"required_acr": "urn:mfa"}, owner, 200, "organizer " + s.org.ID, "urn:mfa"},
		{"POST " + org + "/api_keys", s.at() + "/api_keys", object{"name": "third", "role": "reader"}, s.bearer, 201, "api_key", "third"},
		{"POST " + org + "/api_keys/{key_id}/rotate", s.at() + "/api_keys/" + rotate.ID + "/rotate", object{"grace_s": 60}, s.bearer, 201, "key " + rotate.ID, "replaced_by"},
		{"DELETE " + org + "/api_keys/{key_id}", s.at() + "/api_keys/" + revoke.ID, nil, s.bearer, 204, "key " + revoke.ID, "revoked"},
		{"POST " + event + "/cancel", s.path() + "/cancel", nil, s.bearer, 200, "event " + s.event.ID, "canceled"},
	}
	stranger := bearer(s.account(t, "Other").APIKey)
	for _, w := range walk {
		if !want[w.line] {
			t.Errorf("%s is no call that must be in the log", w.line)
		}
		delete(want, w.line)
		method, _, _ := strings.Cut(w.line, " ")
		before := s.count(t, "audit.entry")
		s.askRaw(t, method+" "+w.at, w.body, ifMatch("*"), func(r *http.Request) { r.Header.Del("Authorization") })
		s.askRaw(t, method+" "+w.at, w.body, ifMatch("*"), stranger)
		if w.body != nil {
			s.askRaw(t, method+" "+w.at, object{"zz": 1}, ifMatch("*"), w.as)
		}
		if n := s.count(t, "audit.entry") - before; n != 0 {
			t.Errorf("%s: refusals left %d entries", w.line, n)
		}
		opts := []with{ifMatch("*"), w.as, header("X-Request-Id", "walk-"+strings.ToLower(method))}
		if !strings.HasSuffix(w.line, "/seating") && method != http.MethodDelete {
			opts = append(opts, key("the-same-"+strings.ReplaceAll(w.line, " ", "-")))
		}
		a := s.ask(t, method+" "+w.at, w.body, opts...)
		if a.status != w.status {
			t.Errorf("%s: %s %s", w.line, a.is(), a.body)
			continue
		}
		if n := s.count(t, "audit.entry") - before; n != 1 {
			t.Errorf("%s: %d entries", w.line, n)
			continue
		}
		e := read[pageOf[client.AuditEntry]](t, s.ask(t, "GET /v1/audit?limit=1", nil, ops).want(t, "200")).Items[0]
		kind, oid, _ := strings.Cut(w.object, " ")
		if e.Object.Kind != kind || oid != "" && e.Object.ID != oid || e.Object.ID == "" || !strings.Contains(string(e.After), w.after) || e.RequestID != "walk-"+strings.ToLower(method) || e.Address != "127.0.0.0/24" || e.Actor.ID == "" || e.Actor.Kind == "" {
			t.Errorf("%s: %+v before %s after %s", w.line, e, e.Before, e.After)
		}
		if strings.Contains(w.line, "{event_id}") && !strings.Contains(w.at, e.EventID) || strings.Contains(w.line, "{organizer_id}") && e.OrganizerID != s.org.ID {
			t.Errorf("%s: %+v", w.line, e)
		}
		for _, private := range []string{"Secret Guest", "guest@example.org", "illness", "key1.", "cap1.", "inv1.", token} {
			if text := fmt.Sprintf("%+v %s %s", e, e.Before, e.After); strings.Contains(text, private) {
				t.Errorf("%s: %q stands in the log: %s", w.line, private, text)
			}
		}
		if slices.Contains(keyed, w.line) || method == http.MethodDelete { // an idempotent repetition is no second change
			s.askRaw(t, method+" "+w.at, w.body, opts...)
			if n := s.count(t, "audit.entry") - before; n != 1 {
				t.Errorf("%s repeated: %d entries", w.line, n)
			}
		}
	}
	for line := range want {
		t.Errorf("%s was not walked", line)
	}
}

// keyed are calls whose repetition with the same key must not be a second change.
var keyed = []string{
	"POST /v1/organizers", "POST /v1/organizers/{organizer_id}/events", "PATCH /v1/events/{event_id}", "POST /v1/events/{event_id}/seats/kills", "POST /v1/events/{event_id}/allocations",
	"POST /v1/organizers/{organizer_id}/series", "POST /v1/organizers/{organizer_id}/invitations", "POST /v1/organizers/{organizer_id}/api_keys", "POST /v1/orders/{order_id}/refunds",
}

// failedSaga is a run that an operator may let go on.
func (s *stage) failedSaga(t testing.TB) string {
	t.Helper()
	paid := s.paid(t, s.floor, 1)
	s.ask(t, "POST /v1/orders/"+paid.ID+"/cancel", nil).want(t, "200")
	if _, err := s.store.DB.Pool.Exec(t.Context(), `UPDATE saga.run SET status = 'failed', ended_at = now(), error = 'broken' WHERE name = 'refund'`); err != nil {
		t.Fatal(err)
	}
	page := read[client.SagaPage](t, s.ask(t, "GET /v1/sagas?status=failed", nil, bearer(operatorToken)).want(t, "200"))
	if len(page.Items) != 1 {
		t.Fatalf("%+v", page)
	}
	return page.Items[0].ID
}

// storeNotice keeps a notice of the provider's that does nothing.
func (s *stage) storeNotice(t testing.TB, name string) {
	t.Helper()
	const insert = `INSERT INTO payment.notice (notice_id, type, order_id, body, created_at, outcome) VALUES ($1, 'charge.updated', '', '{}', clock_timestamp(), 'done')`
	if _, err := s.store.DB.Pool.Exec(t.Context(), insert, name); err != nil {
		t.Fatal(err)
	}
}

func TestAudit_isTheOrganizersOwnAndPaged(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	other := s.account(t, "Other")
	_, owner := s.join(t, "ana", "owner")
	for i := range 5 {
		s.ask(t, "PATCH "+s.path(), object{"name": fmt.Sprint("Name ", i)}, owner, ifMatch("*")).want(t, "200")
	}
	s.ask(t, "POST /v1/organizers/"+other.ID+"/events", object(concert()), bearer(other.APIKey)).want(t, "201")
	all := s.trail(t, "")
	if len(all) < 8 || all[0].Actor.Kind != "person" || all[0].Actor.Name != "ANA" || !strings.HasPrefix(all[0].Actor.ID, "mbr_") || all[0].Action != "patch_events_event_id" ||
		!strings.Contains(string(all[0].Before), "Name 3") || !strings.Contains(string(all[0].After), "Name 4") {
		t.Errorf("%+v %s %s", all[0], all[0].Before, all[0].After)
	}
	for i, e := range all {
		if e.OrganizerID != s.org.ID || i > 0 && e.At.After(all[i-1].At) {
			t.Errorf("%+v", e)
		}
	}
	var paged []client.AuditEntry
	for cursor := ""; ; {
		page := read[pageOf[client.AuditEntry]](t, s.ask(t, "GET "+s.at()+"/audit?limit=3"+cursor, nil, s.bearer).want(t, "200"))
		paged = append(paged, page.Items...)
		if page.NextCursor == nil {
			break
		}
		cursor = "&cursor=" + url.QueryEscape(*page.NextCursor)
	}
	if len(paged) != len(all) || paged[len(paged)-1].ID != all[len(all)-1].ID {
		t.Errorf("%d paged, %d at once", len(paged), len(all))
	}
	if mine := s.trail(t, "&actor="+all[0].Actor.ID+"&event_id="+s.event.ID); len(mine) != 5 {
		t.Errorf("%d", len(mine))
	}
	soon := url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339))
	if none := s.trail(t, "&from="+soon); len(none) != 0 {
		t.Errorf("%+v", none)
	}
	if those := s.trail(t, "&to="+soon); len(those) != len(all) {
		t.Errorf("%d", len(those))
	}
	for query, is := range map[string]string{
		"event_id=x": "400 invalid_parameter", "from=x": "400 invalid_parameter", "cursor=x": "400 invalid_cursor", "cursor=AAAA": "400 invalid_cursor", "limit=101": "400 invalid_parameter",
		"actor=" + strings.Repeat("a", 300): "400 invalid_parameter", "actor=%00": "400 invalid_parameter", "home_region=us-east-1": "421 moved", "nobody=1": "400 unknown_parameter",
	} {
		s.ask(t, "GET "+s.at()+"/audit?"+query, nil, s.bearer).want(t, is)
	}
	everything := read[pageOf[client.AuditEntry]](t, s.ask(t, "GET /v1/audit?limit=100", nil, bearer(operatorToken)).want(t, "200")).Items
	if len(everything) <= len(all) {
		t.Errorf("operators see %d", len(everything))
	}
	few := read[pageOf[client.AuditEntry]](t, s.ask(t, "GET /v1/audit?cell=euw3&organizer_id="+other.ID, nil, bearer(operatorToken)).want(t, "200")).Items
	if len(few) != 2 || few[1].Actor.Kind != "operator" || few[1].Actor.Name != "test" {
		t.Errorf("%+v", few)
	}
	s.ask(t, "GET /v1/audit?organizer_id=x", nil, bearer(operatorToken)).want(t, "400 invalid_parameter")
	s.ask(t, "GET /v1/audit?cell=use1", nil, bearer(operatorToken)).want(t, "400 invalid_parameter")
	s.ask(t, "GET /v1/audit", nil, s.bearer).want(t, "401 unauthorized")
}

// The log cannot be written to by what a request carries: it is text there.
func TestAudit_keepsHostileTextAsText(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	texts := naughty(t)
	for _, v := range texts[:min(len(texts), 60)] {
		s.askRaw(t, "PATCH "+s.path(), object{"summary": v}, s.bearer, ifMatch("*"))
		s.askRaw(t, "POST "+s.at()+"/api_keys", object{"name": v, "role": "door"}, s.bearer)
	}
	s.askRaw(t, "PATCH "+s.path(), object{"summary": strings.Repeat("é", 5000)}, s.bearer, ifMatch("*"))
	for _, e := range s.trail(t, "") {
		if len(e.Before) > 5000 || len(e.After) > 5000 {
			t.Errorf("%d and %d bytes", len(e.Before), len(e.After))
		}
	}
}
