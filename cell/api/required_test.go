package api_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"guichet/cell/client"
)

// TestRequired_isEnforcedForEveryMemberOfEveryBody leaves each member out that openapi.json
// requires, at every depth, and then says null for it where null is no value of it.
func TestRequired_isEnforcedForEveryMemberOfEveryBody(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	bought := s.paid(t, s.guest, 1)
	before := s.rows(t)
	tried := 0
	for path, item := range contractOf(t, s.house).doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.RequestBody == nil || path == "/v1/payments/stripe/webhook" || path == "/v1/open" {
				continue
			}
			schema := op.RequestBody.Value.Content["application/json"].Schema.Value
			whole := sample(t, schema, 0)
			line, as := s.callOf(method, path, bought.ID, bought.Tickets[0].ID)
			for _, at := range required("", whole, schema) {
				without, null := spoiled(t, whole, at.pointer, false), spoiled(t, whole, at.pointer, true)
				if a := s.askRaw(t, line, without, as, ifMatch("*")); a.is() != "400 missing_field "+at.pointer {
					t.Errorf("%s %s without %s: %s %s", method, path, at.pointer, a.is(), a.member("detail"))
				}
				tried++
				if at.nullable {
					continue
				}
				if a := s.askRaw(t, line, null, as, ifMatch("*")); a.is() != "400 invalid_field "+at.pointer {
					t.Errorf("%s %s with null as %s: %s %s", method, path, at.pointer, a.is(), a.member("detail"))
				}
			}
		}
	}
	if tried < 90 {
		t.Errorf("only %d members tried", tried)
	}
	if after := s.rows(t); after != before {
		t.Errorf("refusals left\n%s\nwas\n%s", after, before)
	}
}

// callOf is a request line of an operation of the contract with ids that are there, and
// somebody who may make it.
func (s *stage) callOf(method, path, order, ticket string) (line string, as func(*http.Request)) {
	ids := strings.NewReplacer("{event_id}", s.event.ID, "{organizer_id}", s.org.ID, "{quota_id}", s.event.Quotas[0].ID, "{ticket_type_id}", s.floor,
		"{allocation_id}", "alc"+s.event.Quotas[0].ID[3:], "{series_id}", "ser_euw3_k3v9x2m4q7rt", "{code}", "SPRING", "{order_id}", order, "{ticket_id}", ticket,
		"{member_id}", "mbr"+s.org.ID[3:]+"_8h2kd0q1w5zz9c6v", "{key_id}", "key"+s.org.ID[3:]+"_8h2kd0q1w5zz9c6v")
	as = s.bearer
	switch {
	case path == "/v1/organizers", path == "/v1/payments/notices/replay":
		as = bearer(operatorToken)
	case path == "/v1/invitations/accept":
		as = bearer(s.signIn("ana"))
	case strings.HasPrefix(path, "/v1/orders"), strings.HasPrefix(path, "/v1/tickets"):
		as = func(*http.Request) {} // who holds it
	}
	return method + " " + ids.Replace(path), as
}

// sample is a value of a schema with every member that it names.
func sample(t *testing.T, s *openapi3.Schema, depth int) any {
	t.Helper()
	if depth > 20 {
		t.Fatal("a schema without an end")
	}
	switch {
	case len(s.AnyOf) > 0:
		alternatives := slices.DeleteFunc(slices.Clone(s.AnyOf), func(r *openapi3.SchemaRef) bool { return r.Value.Type.Is("null") })
		return sample(t, alternatives[len(alternatives)-1].Value, depth+1)
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type.Is("object"):
		out := object{}
		for name, p := range s.Properties {
			out[name] = sample(t, p.Value, depth+1)
		}
		return out
	case s.Type.Is("array"):
		return []any{sample(t, s.Items.Value, depth+1)}
	case s.Type.Is("boolean"):
		return true
	case s.Type.Is("integer"), s.Type.Is("number"):
		return 1
	case s.Format == "date-time":
		return "2027-05-01T19:30:00+02:00"
	}
	return "x"
}

type requiredAt struct {
	pointer  string
	nullable bool
}

// required are the pointers of a sample's required members.
func required(at string, value any, s *openapi3.Schema) (all []requiredAt) {
	for _, alternative := range s.AnyOf {
		if !alternative.Value.Type.Is("null") {
			all = append(all, required(at, value, alternative.Value)...)
		}
	}
	switch v := value.(type) {
	case []any:
		if s.Items != nil {
			return append(all, required(at+"/0", v[0], s.Items.Value)...)
		}
	case object:
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			p := s.Properties[name].Value
			if slices.Contains(s.Required, name) {
				nullable := slices.ContainsFunc(p.AnyOf, func(r *openapi3.SchemaRef) bool { return r.Value.Type.Is("null") })
				all = append(all, requiredAt{at + "/" + name, nullable})
			}
			all = append(all, required(at+"/"+name, v[name], p)...)
		}
	}
	return all
}

// spoiled is a copy of a sample without the member at the pointer, or with null there.
func spoiled(t *testing.T, whole any, pointer string, null bool) any {
	t.Helper()
	var out any
	if err := json.Unmarshal(mustJSON(t, whole), &out); err != nil {
		t.Fatal(err)
	}
	at := out
	steps := strings.Split(pointer, "/")[1:]
	for _, step := range steps[:len(steps)-1] {
		switch v := at.(type) {
		case map[string]any:
			at = v[step]
		case []any:
			i, _ := strconv.Atoi(step)
			at = v[i]
		}
	}
	in, ok := at.(map[string]any)
	if !ok {
		t.Fatalf("%s is in no object", pointer)
	}
	delete(in, steps[len(steps)-1])
	if null {
		in[steps[len(steps)-1]] = nil
	}
	return out
}

// TestPut_resetsNothingThatItLeavesOut puts a ticket type, a code and an order form by their
// required members alone: everything else stays, and null or empty takes it away.
func TestPut_resetsNothingThatItLeavesOut(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	plain := object{"name": "Parterre", "price": eur(4000), "quotas": []string{"floor"}}
	put := func(more object) client.TicketType {
		t.Helper()
		body := maps.Clone(plain)
		maps.Copy(body, more)
		e := read[client.Event](t, s.ask(t, "PUT "+s.path()+"/ticket_types/"+s.floor, body, s.bearer, ifMatch("*")).want(t, "200"))
		return e.TicketTypes[0]
	}
	whole := put(object{
		"fees": eur(300), "min_per_order": 2, "max_per_order": 7, "sales_start": startsAt().AddDate(0, -3, 0), "sales_end": startsAt(), "hidden": true,
		"tax": object{"basis_points": 1900}, "max_per_buyer": 4, "tiers": []object{{"name": "Late", "price": eur(4500), "starts_at": startsAt().AddDate(0, -1, 0)}},
	})
	if after := put(nil); string(mustJSON(t, after)) != string(mustJSON(t, whole)) {
		t.Errorf("it was\n%s\nand is\n%s", mustJSON(t, whole), mustJSON(t, after))
	}
	bare := put(object{"fees": nil, "sales_start": nil, "sales_end": nil, "hidden": nil, "tax": nil, "max_per_buyer": nil, "tiers": nil, "min_per_order": 1})
	if bare.Fees.Amount != 0 || bare.SalesStart != nil || bare.SalesEnd != nil || bare.Hidden || bare.Tax != nil || bare.MaxPerBuyer != 0 || len(bare.Tiers) != 0 || bare.MaxPerOrder != 7 {
		t.Errorf("null did not clear: %s", mustJSON(t, bare))
	}
	for _, quotas := range [][]string{{}, {"balcony"}, {"floor", "balcony"}, {"attic"}} {
		plain["quotas"] = quotas
		s.ask(t, "PUT "+s.path()+"/ticket_types/"+s.floor, plain, s.bearer, ifMatch("*")).want(t, "409 quotas_fixed /quotas")
	}
	plain["quotas"] = []string{s.event.Quotas[0].ID}
	put(nil)

	code := "PUT " + s.path() + "/codes/SPRING"
	one := read[client.Code](t, s.ask(t, code, object{"kind": "promo", "basis_points": 1000, "max_uses": 5, "budget": eur(900), "ends_at": startsAt(), "ticket_types": []string{s.floor}}, s.bearer).want(t, "200"))
	two := read[client.Code](t, s.ask(t, code, object{"kind": "promo", "amount_off": eur(100)}, s.bearer).want(t, "200"))
	one.BasisPoints, one.AmountOff = 0, two.AmountOff
	if string(mustJSON(t, one)) != string(mustJSON(t, two)) {
		t.Errorf("it was\n%s\nand is\n%s", mustJSON(t, one), mustJSON(t, two))
	}
	if two = read[client.Code](t, s.ask(t, code, object{"kind": "promo", "amount_off": eur(100), "max_uses": nil, "ticket_types": []string{}}, s.bearer).want(t, "200")); two.MaxUses != nil || len(two.TicketTypes) != 0 || two.Budget == nil {
		t.Errorf("%s", mustJSON(t, two))
	}

	form := "PUT " + s.path() + "/order_form"
	s.ask(t, form, object{"seller": object{"name": "Pleyel"}, "consents": []object{{"id": "terms", "text": "You agree."}}}, s.bearer).want(t, "200")
	s.ask(t, form, object{"questions": []object{{"id": "note", "label": "Note", "kind": "text", "per": "order"}}}, s.bearer).want(t, "200")
	if f := read[client.OrderForm](t, s.ask(t, form, object{}, s.bearer).want(t, "200")); f.Seller.Name != "Pleyel" || len(f.Consents) != 1 || len(f.Questions) != 1 {
		t.Errorf("%s", mustJSON(t, f))
	}
}

// TestPatch_mergesAsRFC7396Says changes what is named, clears by null what may be missing,
// and refuses null for the rest.
func TestPatch_mergesAsRFC7396Says(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t, object{"ends_at": startsAt().Add(3 * time.Hour), "venue": object{
		"name": "Pleyel", "address": "252 rue", "city": "Paris", "country": "FR", "location": object{"lat": 48.87, "lon": 2.3}, "capacity": 900,
	}})
	patch := func(body object) client.Event {
		t.Helper()
		return read[client.Event](t, s.ask(t, "PATCH "+s.path(), body, s.bearer, ifMatch("*")).want(t, "200"))
	}
	was := patch(object{})
	e := patch(object{"venue": object{"city": "Lyon"}})
	was.Venue.City, was.Version = "Lyon", e.Version
	if string(mustJSON(t, was)) != string(mustJSON(t, e)) {
		t.Errorf("it was\n%s\nand is\n%s", mustJSON(t, was), mustJSON(t, e))
	}
	e = patch(object{"ends_at": nil, "venue": object{"address": nil, "location": nil, "capacity": nil}})
	if e.EndsAt != nil || e.Venue.Address != "" || e.Venue.Location != nil || e.Venue.Capacity != 0 || e.Venue.City != "Lyon" {
		t.Errorf("%s", mustJSON(t, e))
	}
	for _, name := range []string{"name", "summary", "category", "venue", "starts_at", "time_zone"} {
		s.ask(t, "PATCH "+s.path(), object{name: nil}, s.bearer, ifMatch("*")).want(t, "400 invalid_field /"+name)
	}
	for _, name := range []string{"name", "city", "country"} {
		s.ask(t, "PATCH "+s.path(), object{"venue": object{name: nil}}, s.bearer, ifMatch("*")).want(t, "400 invalid_field /venue/"+name)
	}
	s.ask(t, "PATCH "+s.path(), object{"venue": object{"location": object{"lat": 1}}}, s.bearer, ifMatch("*")).want(t, "400 missing_field /venue/location/lon")
}

// TestBody_isRefusedOnEveryCallThatTakesNone sends one of a known length and one in chunks.
func TestBody_isRefusedOnEveryCallThatTakesNone(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	bought := s.paid(t, s.guest, 1)
	hold := s.hold(t, s.guest, 1)
	before := s.rows(t)
	nobody := with(func(*http.Request) {}) // whoever holds it
	lines := map[string]with{
		"POST /v1/orders/" + bought.ID + "/cancel": nobody, "POST /v1/orders/" + bought.ID + "/resend": nobody, "POST /v1/orders/" + bought.ID + "/access": nobody,
		"POST /v1/holds/" + hold.ID + "/extend": nobody, "DELETE /v1/holds/" + hold.ID: nobody, "GET /v1/events": nobody, "GET " + s.path(): nobody,
		"POST " + s.path() + "/publish": s.bearer, "POST " + s.path() + "/cancel": s.bearer, "GET " + s.path() + "/stats": s.bearer,
	}
	for line, as := range lines {
		if strings.Contains(line, bought.ID) {
			as = bearer(bought.AccessToken)
		}
		if strings.Contains(line, hold.ID) {
			as = bearer(hold.AccessToken)
		}
		for _, body := range []any{object{"items": []object{{"ticket_id": bought.Tickets[0].ID}}}, "x", io.MultiReader(strings.NewReader("{}"))} {
			a := s.askRaw(t, line, body, as).want(t, "400 unexpected_body")
			if strings.HasPrefix(line, "POST /v1/orders/"+bought.ID+"/cancel") && !strings.Contains(a.member("detail"), "refunds with items") {
				t.Errorf("it does not say what to do: %s", a.body)
			}
		}
	}
	if after := s.rows(t); after != before {
		t.Errorf("refusals left\n%s\nwas\n%s", after, before)
	}
	s.askRaw(t, "POST /v1/holds/"+hold.ID+"/extend", io.MultiReader(strings.NewReader("")), bearer(hold.AccessToken)).want(t, "200") // chunked, and nothing in it
}
