package route_test

import (
	"net/url"
	"strings"
	"testing"

	"guichet/control-plane/topology"
	"guichet/internal/kind"
	"guichet/router/route"
)

func TestPeekHoldID_findsTheMemberAndNothingElse(t *testing.T) {
	for body, want := range map[string]string{
		`{"hold_id":"` + hldAPN + `"}`: hldAPN,
		`{"buyer":{"hold_id":"inner"},"note":"\"hold_id\":\"text\"","list":[{"hold_id":"x"}],"hold_id":"outer"}`: "outer",
		` {"hold_id" : "spaced" , "buyer":`: "spaced",
		`{"buyer":{}}`:                      "",
		`{"hold_id":7}`:                     "",
		`{"hold_id":null}`:                  "",
		`{"hold_id"`:                        "",
		`["hold_id","x"]`:                   "",
		`"hold_id"`:                         "",
		``:                                  "",
		`{"a":` + strings.Repeat("[", 5000): "",
		`{"pad":"` + strings.Repeat("x", route.PeekLimit) + `","hold_id":"late"}`: "", // a body is not longer
		`{"attendees":["` + strings.Repeat("x", 104_000) + `"],"hold_id":"late"}`: "late",
	} {
		if got := route.PeekHoldID([]byte(body)); got != want {
			t.Errorf("%.80s: %q, want %q", body, got, want)
		}
	}
}

func TestNeedsBody_onlyForANewOrder(t *testing.T) {
	for line, want := range map[string]bool{
		"POST /v1/orders": true, "POST /v1/orders/": true, "GET /v1/orders": false, "POST /v1/orders/x/cancel": false, "POST /v1/events": false,
	} {
		method, path, _ := strings.Cut(line, " ")
		if got := route.NeedsBody(method, path); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}

func TestAim_takesOperatorsToTheCellThatHasTheSaga(t *testing.T) {
	for line, want := range map[string]topology.CellID{
		"/v1/sagas?cell=use1": "use1", "/v1/sagas/purchase:" + ordAPN + "?cell=use1": "use1", "/v1/sagas/purchase:" + ordAPN: "apn1", "/v1/sagas/purchase:" + ordAPN + "/retry": "apn1",
		"/v1/sagas?event_id=" + evtAPN: "apn1", "/v1/sagas": "euw3", "/v1/sagas/nonsense": "euw3",
	} {
		path, query, _ := strings.Cut(line, "?")
		values, _ := url.ParseQuery(query)
		d := route.Decide(route.Request{Target: route.Aim("GET", path, values, ""), At: paris, Located: true}, town(), nil)
		if d.Err != nil || d.Cell.ID != want {
			t.Errorf("%s goes to %s (%v), want %s", line, d.Cell.ID, d.Err, want)
		}
	}
}

// What an organizer has is gathered by the cell of his account; while that is away the
// nearest says what it has itself.
func TestAim_listsOfAnOrganizerPreferHisCell(t *testing.T) {
	for _, list := range []string{"events", "series"} {
		req := route.Request{Target: route.Aim("GET", "/v1/organizers/"+orgUSE+"/"+list, nil, ""), At: paris, Located: true}
		if d := route.Decide(req, town(), nil); d.Err != nil || d.Cell.ID != "use1" || d.Why != route.Home {
			t.Errorf("%s: %s because of %s, %v", list, d.Cell.ID, d.Why, d.Err)
		}
		if d := route.Decide(req, town(), down("use1")); d.Err != nil || d.Cell.ID != "euw3" || d.Copy {
			t.Errorf("%s without its cell: %s, %v", list, d.Cell.ID, d.Err)
		}
		if d := route.Decide(route.Request{Target: route.Aim("POST", "/v1/organizers/"+orgUSE+"/"+list, nil, "")}, town(), down("use1")); d.Err == nil {
			t.Errorf("%s is made elsewhere: %s", list, d.Cell.ID)
		}
	}
}

func FuzzPeekHoldID_neverPanics(f *testing.F) {
	f.Add([]byte(`{"hold_id":"` + hldAPN + `"}`))
	f.Add([]byte(`{"a":[{}],"hold_id":"\u0000"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got := route.PeekHoldID(body)
		if len(got) > 3*len(body) { // an invalid byte becomes a replacement character of three
			t.Fatalf("%d bytes held a value of %d", len(body), len(got))
		}
	})
}

// FuzzAim: whatever the line, the answer is one of the town's cells or a refusal
// of the contract, and a write never goes to a copy.
func FuzzAim_anyLineLeadsToACellOrADocumentedRefusal(f *testing.F) {
	for _, path := range []string{
		"/v1/events/" + evtAPN, "/v1/orders", "/v1/tickets/" + tktAPN + ".pdf", "/v1/organizers/" + orgUSE + "/events", "/v1/payments/stripe/webhook", "", "//", "/v1", "/v1/events//holds",
	} {
		f.Add("GET", path, "", "")
		f.Add("POST", path, "home_region=us-east-1&cell=use1", hldAPN)
	}
	m := town()
	documented := map[string]bool{"unknown_cell": true, "unknown_region": true, "home_unavailable": true}
	f.Fuzz(func(t *testing.T, method, path, query, holdID string) {
		values, _ := url.ParseQuery(query)
		req := route.Request{Target: route.Aim(method, path, values, holdID), At: paris, Located: true}
		for _, health := range []route.Health{nil, down("apn1"), down("euw3", "use1")} {
			d := route.Decide(req, m, health)
			if d.Err != nil {
				if e := kind.As(d.Err); e == nil || !documented[e.Code] && e.Code != "region_unavailable" {
					t.Fatalf("%s %s: %v", method, path, d.Err)
				}
				continue
			}
			if _, ok := m.Cell(d.Cell.ID); !ok || health[d.Cell.ID].Down {
				t.Fatalf("%s %s goes to %q", method, path, d.Cell.ID)
			}
			if d.Copy && method != "GET" && method != "HEAD" {
				t.Fatalf("%s %s goes to a copy", method, path)
			}
			if want := d.Why == route.Home && d.Affinity == ""; want {
				t.Fatalf("%s %s has no affinity", method, path)
			}
		}
		if req.Target.Ref.Kind != "" {
			if _, err := topology.ParseCell(string(req.Target.Ref.Key.Birth)); err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
		}
	})
}

// A page is read at the nearest cell; what decides, and what is about one hold, order or
// ticket, is at its home, in every language.
func TestAim_takesPagesToTheNearestCellAndDecisionsHome(t *testing.T) {
	for line, want := range map[string]string{
		"GET /": "euw3 nearest", "GET /fr/": "euw3 nearest", "GET /fr/search?q=x": "euw3 nearest", "GET /assets/shop.x.css": "euw3 nearest",
		"GET /fr/events/" + evtAPN: "euw3 nearest", "HEAD /events/" + evtAPN: "euw3 nearest", "GET /fr/events/" + evtAPN + ".ics": "euw3 nearest",
		"GET /fr/events/" + evtAPN + "?at=home": "apn1 home", "GET /fr/events/" + evtAPN + "/seats": "apn1 home", "POST /fr/events/" + evtAPN + "/hold": "apn1 home",
		"GET /holds/" + hldAPN: "apn1 home", "POST /holds/" + hldAPN + "/order": "apn1 home", "POST /holds/" + movedHld + "/extend": "apn1 home",
		"GET /orders/" + ordAPN + "/pay": "apn1 home", "GET /orders/" + ordAPN + "/tickets/" + tktAPN + ".pdf": "apn1 home", "GET /tickets/" + tktAPN + ".png": "apn1 home",
		"POST /find?cell=use1": "use1 home", "GET /found?cell=use1": "use1 home", "GET /fr/find": "euw3 nearest",
		"GET /v1/events/" + evtAPN: "apn1 home",
	} {
		if got := describe(route.Decide(request(line, "", paris), town(), nil)); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
	for line, want := range map[string]string{
		"GET /fr/events/" + evtAPN: "euw3 nearest", "POST /fr/events/" + evtAPN + "/hold": "503 home_unavailable", "GET /orders/" + ordAPN: "503 home_unavailable",
	} {
		if got := describe(route.Decide(request(line, "", paris), town(), down("apn1"))); got != want {
			t.Errorf("%s while the home is away: %s, want %s", line, got, want)
		}
	}
}
