package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
)

func TestOpenAPI_isValid31(t *testing.T) {
	t.Parallel()
	h := open(t)
	a := h.ask(t, "GET /openapi.json", nil).want(t, "200")
	if again := h.ask(t, "GET /openapi.json", nil); string(again.body) != string(a.body) {
		t.Error("it differs from one request to the next")
	}
	doc := contractOf(t, h).doc
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("it is %s", doc.OpenAPI)
	}
	if err := doc.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
		t.Errorf("it is not valid: %v", err)
	}
	ids := map[string]string{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			at := method + " " + path
			if other := ids[op.OperationID]; other != "" || op.OperationID == "" {
				t.Errorf("%s and %s are both %q", at, other, op.OperationID)
			}
			ids[op.OperationID] = at
			if op.Summary == "" || op.Responses.Default() == nil {
				t.Errorf("%s says too little", at)
			}
			for name := range strings.FieldsSeq(strings.NewReplacer("{", " {", "}", "} ").Replace(path)) {
				if inner, ok := strings.CutPrefix(name, "{"); ok && op.Parameters.GetByInAndName("path", strings.TrimSuffix(inner, "}")) == nil {
					t.Errorf("%s does not describe %s", at, name)
				}
			}
			if guarded := op.Security != nil && len(*op.Security) == 1; guarded && !slices.Contains(codesOf(op), "unauthorized") {
				t.Errorf("%s is guarded and lists no unauthorized", at)
			}
			for _, code := range codesOf(op) {
				if code == "" || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" {
					t.Errorf("%s: %q is not a code", at, code)
				}
			}
		}
	}
}

// TestOpenAPI_hasEveryRouteThatIsServedAndNoOther asks gin, not our own table.
func TestOpenAPI_hasEveryRouteThatIsServedAndNoOther(t *testing.T) {
	t.Parallel()
	var served []string
	h := open(t, func(h *house) {
		twin := *h.server
		twin.Metrics = newRegistry()
		engine, ok := twin.Handler().(*gin.Engine)
		if !ok {
			t.Fatal("the handler is not gin's")
		}
		for _, r := range engine.Routes() {
			parts := strings.Split(r.Path, "/")
			for i, p := range parts {
				if name, ok := strings.CutPrefix(p, ":"); ok {
					parts[i] = "{" + name + "}"
				}
			}
			if r.Method == http.MethodHead { // goes with every GET
				continue
			}
			served = append(served, r.Method+" "+strings.Join(parts, "/"))
		}
	})
	var told []string
	for path, item := range contractOf(t, h).doc.Paths.Map() {
		for method := range item.Operations() {
			if _, form, _ := strings.Cut(path, "}."); form == "" { // served by {ticket_id}; TestPurchase… reads them
				told = append(told, method+" "+path)
			}
		}
	}
	slices.Sort(served)
	slices.Sort(told)
	if !slices.Equal(served, told) {
		t.Errorf("served\n%s\ntold\n%s", strings.Join(served, "\n"), strings.Join(told, "\n"))
	}
	// What the contract (api.md) promises of a cell is there.
	for _, line := range []string{
		"GET /v1/events", "GET /v1/events/suggest", "GET /v1/events/{event_id}", "POST /v1/events/{event_id}/holds", "GET /v1/holds/{hold_id}", "POST /v1/holds/{hold_id}/extend",
		"DELETE /v1/holds/{hold_id}", "POST /v1/orders", "GET /v1/orders/{order_id}", "POST /v1/orders/{order_id}/cancel", "POST /v1/orders/{order_id}/refunds",
		"GET /v1/orders/{order_id}/tickets", "GET /v1/tickets/{ticket_id}", "GET /v1/keys/tickets", "POST /v1/payments/stripe/webhook", "POST /v1/organizers",
		"POST /v1/organizers/{organizer_id}/events", "PATCH /v1/events/{event_id}", "POST /v1/events/{event_id}/publish", "POST /v1/events/{event_id}/cancel",
		"PUT /v1/events/{event_id}/quotas/{quota_id}", "PUT /v1/events/{event_id}/ticket_types/{ticket_type_id}", "GET /v1/events/{event_id}/stats", "GET /v1/events/{event_id}/orders",
		"GET /v1/events/{event_id}/attendees.csv", "POST /v1/events/{event_id}/allocations", "GET /v1/events/{event_id}/allocations", "GET /v1/events/{event_id}/allocations/{allocation_id}",
		"DELETE /v1/events/{event_id}/allocations/{allocation_id}", "POST /v1/events/{event_id}/allocations/{allocation_id}/release",
		"POST /v1/events/{event_id}/allocations/{allocation_id}/holds", "POST /v1/organizers/{organizer_id}/series", "GET /v1/series/{series_id}",
		"POST /v1/series/{series_id}/publish", "GET /v1/series/{series_id}/occurrences", "GET /v1/regions", "GET /v1/topology", "GET /livez", "GET /readyz", "GET /openapi.json",
	} {
		if !slices.Contains(served, line) {
			t.Errorf("%s is not served", line)
		}
	}
}

// TestOpenAPI_describesRequestsThatTheHandlersTake sends each body as a client
// made from the schema alone would: all fields it names are known to the handler.
func TestOpenAPI_describesRequestsThatTheHandlersTake(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	bought := s.paid(t, s.guest, 1)
	replace := strings.NewReplacer("{event_id}", s.event.ID, "{organizer_id}", s.org.ID, "{quota_id}", s.event.Quotas[0].ID, "{ticket_type_id}", s.floor, "{allocation_id}", "alc"+s.event.Quotas[0].ID[3:], "{series_id}", "ser_euw3_k3v9x2m4q7rt", "{code}", "SPRING", "{order_id}", bought.ID, "{ticket_id}", bought.Tickets[0].ID,
		"{member_id}", "mbr"+s.org.ID[3:]+"_8h2kd0q1w5zz9c6v", "{key_id}", "key"+s.org.ID[3:]+"_8h2kd0q1w5zz9c6v")
	bodies := 0
	for path, item := range contractOf(t, s.house).doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.RequestBody == nil || path == "/v1/payments/stripe/webhook" || path == "/v1/open" {
				continue
			}
			bodies++
			schema := op.RequestBody.Value.Content["application/json"].Schema.Value
			as := s.bearer
			if path == "/v1/organizers" || path == "/v1/payments/notices/replay" {
				as = bearer(operatorToken)
			}
			if strings.HasPrefix(path, "/v1/orders") || strings.HasPrefix(path, "/v1/tickets") {
				as = func(*http.Request) {} // who holds it
			}
			if path == "/v1/invitations/accept" {
				as = bearer(s.signIn("ana"))
			}
			for name := range schema.Properties {
				a := s.askRaw(t, method+" "+replace.Replace(path), object{name: []string{}}, as, ifMatch("*"))
				if a.code() == "unknown_field" {
					t.Errorf("%s %s does not take %s", method, path, name)
				}
			}
			a := s.askRaw(t, method+" "+replace.Replace(path), object{"zz": 1}, as, ifMatch("*"))
			if a.is() != "400 unknown_field /zz" {
				t.Errorf("%s %s: %s", method, path, a.is())
			}
		}
	}
	if bodies < 14 { // a walk that sees none must not pass
		t.Errorf("%d calls with a body", bodies)
	}
}

// TestOpenAPI_judgesForReal proves that the judge of these tests can say no.
func TestOpenAPI_judgesForReal(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.stage(t)
	good := s.ask(t, "GET "+s.path(), nil)
	for name, spoil := range map[string]func(m object){
		"a missing field":    func(m object) { delete(m, "state") },
		"another type":       func(m object) { m["version"] = "1" },
		"an unknown field":   func(m object) { m["secret"] = 1 },
		"null":               func(m object) { m["ticket_types"] = nil },
		"deep in the answer": func(m object) { m["home"].(object)["cell"] = 1 }, // made above
	} {
		var m object
		if err := json.Unmarshal(good.body, &m); err != nil {
			t.Fatal(err)
		}
		spoil(m)
		bad := good
		bad.body = mustJSON(t, m)
		if !objects(t, h, bad) {
			t.Errorf("%s passes", name)
		}
	}
	for name, bad := range map[string]answer{
		"an unknown status": {line: good.line, status: http.StatusAccepted, header: good.header, body: good.body},
		"an unknown code":   {line: good.line, status: 404, header: http.Header{"Content-Type": {"application/problem+json"}}, body: []byte(`{"type":"x","title":"x","status":404,"code":"sold_out"}`)},
		"an unknown path":   {line: "GET /v1/secrets", status: 200, header: good.header, body: good.body},
	} {
		if !objects(t, h, bad) {
			t.Errorf("%s passes", name)
		}
	}
}

// objects tells whether judge finds a fault.
func objects(t *testing.T, h *house, a answer) bool {
	t.Helper()
	probe := &faults{TB: t}
	judge(probe, h, a)
	return probe.n > 0
}

// faults counts what would fail a test.
type faults struct {
	testing.TB
	n int
}

func (f *faults) Errorf(string, ...any) { f.n++ }

// TestOpenAPI_saysWhatValuesMayBe names some of each sort: a facet whose member was renamed
// would be lost without a word.
func TestOpenAPI_saysWhatValuesMayBe(t *testing.T) {
	t.Parallel()
	schemas := contractOf(t, open(t)).doc.Components.Schemas
	for at, says := range map[string]func(*openapi3.Schema) bool{
		"NewQuota.size":              func(s *openapi3.Schema) bool { return *s.Min == 0 && *s.Max == 10_000_000 },
		"NewQuota.name":              func(s *openapi3.Schema) bool { return s.MinLength == 1 && *s.MaxLength == 200 },
		"NewHold.items":              func(s *openapi3.Schema) bool { return s.MinItems == 1 && *s.MaxItems == 20 },
		"NewHoldItem.ticket_type_id": func(s *openapi3.Schema) bool { return strings.HasPrefix(s.Pattern, "^typ_") },
		"MoneyInput.amount":          func(s *openapi3.Schema) bool { return *s.Min == 0 },
		"NewCode.kind":               func(s *openapi3.Schema) bool { return len(s.Enum) == 2 },
		"PutMember.role":             func(s *openapi3.Schema) bool { return len(s.Enum) == 7 },
		"Hold.state":                 func(s *openapi3.Schema) bool { return len(s.Enum) == 4 },
		"TicketType.availability":    func(s *openapi3.Schema) bool { return len(s.Enum) == 4 },
		"NewEvent.starts_at":         func(s *openapi3.Schema) bool { return s.Format == "date-time" },
		"Problem.left":               func(s *openapi3.Schema) bool { return len(s.AnyOf) == 2 },
		"Problem.limit":              func(s *openapi3.Schema) bool { return s.Type.Is("integer") },
		"Problem.seats":              func(s *openapi3.Schema) bool { return s.Type.Is("array") },
		"Problem.state":              func(s *openapi3.Schema) bool { return s.Type.Is("string") },
		"Problem.total":              func(s *openapi3.Schema) bool { return len(s.AnyOf) == 2 },
		"Problem.parameter":          func(s *openapi3.Schema) bool { return s.Type.Is("string") },
	} {
		component, member, _ := strings.Cut(at, ".")
		s := schemas[component]
		if s == nil || s.Value.Properties[member] == nil || !says(s.Value.Properties[member].Value) {
			t.Errorf("openapi.json does not say it of %s", at)
		}
	}
	if s := schemas["NewQuota"].Value; s.AdditionalProperties.Has == nil || *s.AdditionalProperties.Has {
		t.Error("a request may have members that nobody knows")
	}
}
