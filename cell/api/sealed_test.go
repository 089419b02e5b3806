package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"guichet/cell/client"
)

// changes are the calls that change something of an event or of what belongs to it,
// as they are in the contract, with bodies that would be taken.
func (s *stage) changes() map[string]any {
	quota, buyer := s.event.Quotas[0].ID, buyer()
	return map[string]any{
		"POST /v1/events/{event_id}/holds":                               items(s.floor, 1),
		"POST /v1/holds/{hold_id}/extend":                                nil,
		"DELETE /v1/holds/{hold_id}":                                     nil,
		"POST /v1/orders":                                                object{"hold_id": s.hold0, "buyer": buyer},
		"POST /v1/orders/{order_id}/cancel":                              nil,
		"POST /v1/orders/{order_id}/refunds":                             object{"reason": "x"},
		"POST /v1/tickets/{ticket_id}/transfer":                          object{"to": object{"name": "Bob", "email": "bob@example.org"}},
		"POST /v1/tickets/{ticket_id}/refund_consent":                    nil,
		"DELETE /v1/tickets/{ticket_id}/refund_consent":                  nil,
		"PATCH /v1/events/{event_id}":                                    object{"name": "x"},
		"POST /v1/events/{event_id}/publish":                             nil,
		"POST /v1/events/{event_id}/cancel":                              nil,
		"PUT /v1/events/{event_id}/quotas/{quota_id}":                    object{"name": "x", "size": 50},
		"PUT /v1/events/{event_id}/ticket_types/{ticket_type_id}":        object{"name": "x", "price": eur(100), "quotas": []string{}},
		"PUT /v1/events/{event_id}/codes/{code}":                         object{"kind": "promo", "basis_points": 1000},
		"POST /v1/events/{event_id}/unpublish":                           nil,
		"POST /v1/events/{event_id}/quotas":                              object{"name": "more", "size": 5},
		"POST /v1/events/{event_id}/ticket_types":                        object{"name": "More", "price": eur(100), "quotas": []string{"floor"}},
		"DELETE /v1/events/{event_id}/quotas/{quota_id}":                 nil,
		"DELETE /v1/events/{event_id}/ticket_types/{ticket_type_id}":     nil,
		"DELETE /v1/events/{event_id}/codes/{code}":                      nil,
		"POST /v1/orders/{order_id}/access":                              nil,
		"PUT /v1/events/{event_id}/order_form":                           object{"consents": []object{{"id": "terms", "text": "You agree."}}},
		"PUT /v1/events/{event_id}/payment_policy":                       object{"on_dispute": "keep"},
		"PUT /v1/events/{event_id}/transfer_policy":                      object{"transfers": "forbidden"},
		"PUT /v1/events/{event_id}/seating":                              object{"plan": object{"name": "", "categories": []object{}, "zones": []object{}}, "categories": []object{}},
		"POST /v1/events/{event_id}/seats/kills":                         object{"seat_ids": []string{"a"}, "killed": true},
		"POST /v1/events/{event_id}/seats/house":                         object{"seat_ids": []string{"a"}, "held": true},
		"POST /v1/events/{event_id}/allocations":                         object{"quota_id": quota, "name": "press", "quantity": 1},
		"DELETE /v1/events/{event_id}/allocations/{allocation_id}":       nil,
		"POST /v1/events/{event_id}/allocations/{allocation_id}/release": object{"quantity": 1},
		"POST /v1/events/{event_id}/allocations/{allocation_id}/holds":   object{"ticket_type_id": s.floor, "quantity": 1, "buyer": object{"name": "Ana", "email": "ana@example.org"}},
	}
}

// TestSealed_nothingOfTheEventChanges is promise P1: whatever is asked of an event
// that is on its way to another home, no row of it is written here.
func TestSealed_nothingOfTheEventChanges(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	bought, aside := s.paid(t, s.guest, 1), s.allocate(t, 0, 3)
	s.hold0 = s.hold(t, s.guest, 1).ID
	changes := s.changes()
	for path, item := range contractOf(t, s.house).doc.Paths.Map() {
		for method := range item.Operations() {
			line := method + " " + path
			_, known := changes[line]
			ofEvent := strings.Contains(path, "{event_id}") || strings.Contains(path, "{hold_id}") || strings.Contains(path, "{order_id}") || strings.Contains(path, "{ticket_id}")
			// A mail that is sent again decides nothing.
			if method != http.MethodGet && ofEvent && !known && line != "POST /v1/orders/{order_id}/resend" {
				t.Errorf("%s is not asked of a sealed event", line)
			}
		}
	}
	ids := strings.NewReplacer("{event_id}", s.event.ID, "{hold_id}", s.hold0, "{order_id}", bought.ID, "{ticket_id}", bought.Tickets[0].ID,
		"{quota_id}", s.event.Quotas[0].ID, "{ticket_type_id}", s.floor, "{allocation_id}", aside.ID, "{code}", "SPRING")
	s.owned(t, `UPDATE booking.event SET placement = 'sealed' WHERE event_id = $1`, s.event.ID)
	before := s.contents(t)
	for line, body := range changes {
		opts := []with{ifMatch("*")}
		if strings.Contains(line, "{event_id}") && !strings.HasSuffix(line, "{event_id}/holds") {
			opts = append(opts, s.bearer)
		}
		if a := s.ask(t, ids.Replace(line), body, opts...); a.is() != "421 moved" {
			t.Errorf("%s: %s", line, a.is())
		}
		for table, was := range before {
			if is := s.content(t, table); is != was {
				t.Errorf("%s wrote %s", line, table)
				before[table] = is
			}
		}
	}
	s.owned(t, `UPDATE booking.event SET placement = 'serving' WHERE event_id = $1`, s.event.ID)
	s.ask(t, ids.Replace("PUT /v1/events/{event_id}/payment_policy"), object{"on_dispute": "keep"}, s.bearer).want(t, "200")
	s.ask(t, ids.Replace("PUT /v1/events/{event_id}/transfer_policy"), object{"transfers": "forbidden"}, s.bearer).want(t, "200")
	form := s.ask(t, ids.Replace("PUT /v1/events/{event_id}/order_form"), changes["PUT /v1/events/{event_id}/order_form"], s.bearer).want(t, "200")
	if got := read[client.OrderForm](t, form); got.Version != 1 {
		t.Errorf("%+v", got)
	}
}

// contents tells every table's rows apart from any others.
func (h *house) contents(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, table := range append(slices.Clone(tables), "booking.seat", "checkout.form", "checkout.consent_text", "checkout.answer", "payment.policy", "notify.message", "saga.run", "saga.step", "saga.signal") {
		all[table] = h.content(t, table)
	}
	return all
}

func (h *house) content(t testing.TB, table string) (digest string) {
	t.Helper()
	sql := "SELECT coalesce(md5(string_agg(r::text, ' ' ORDER BY r::text)), '') FROM " + table + " AS r"
	if err := h.owner.Pool.QueryRow(t.Context(), sql).Scan(&digest); err != nil {
		t.Fatal(err)
	}
	return digest
}
