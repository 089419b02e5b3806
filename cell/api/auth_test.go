package api_test

import (
	"strings"
	"testing"
	"time"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/id"
	"guichet/control-plane/topology"
)

// guarded are the calls that want a bearer token: operator's or organizer's.
func (s *stage) guarded() (operators, organizers map[string]any) {
	quota, tid := s.event.Quotas[0].ID, s.floor
	operators = map[string]any{"POST /v1/organizers": object{"name": "A"}}
	organizers = map[string]any{
		"POST /v1/organizers/" + s.org.ID + "/events": object(concert()),
		"PATCH " + s.path():                           object{"name": "Mine"},
		"POST " + s.path() + "/publish":               nil,
		"POST " + s.path() + "/cancel":                nil,
		"PUT " + s.path() + "/quotas/" + quota:        object{"name": "floor", "size": 100},
		"PUT " + s.path() + "/ticket_types/" + tid:    object{"name": "Floor", "price": eur(1), "quotas": []string{"floor"}},
		"GET " + s.path() + "/stats":                  nil,
		"GET " + s.path() + "/orders":                 nil,
		"GET " + s.path() + "/attendees.csv":          nil,
	}
	return operators, organizers
}

// keyAt is an owner's key that a cell signed; no row stands behind it.
func keyAt(t testing.TB, cell topology.CellID, org id.Organizer) string {
	t.Helper()
	k := account.Key{ID: id.NewAPIKey(org), Scope: account.Scope{Role: access.Owner}, ExpiresAt: time.Now().Add(time.Hour)}
	return k.Text(accessKey(t, cell).Key())
}

func TestGuardedCalls_refuseEverybodyElse(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	operators, organizers := s.guarded()
	mine := s.org.APIKey
	flipped := mine[:len(mine)-1] + map[bool]string{true: "0", false: "g"}[strings.HasSuffix(mine, "g")]
	org, err := id.ParseOrganizer(s.org.ID)
	if err != nil {
		t.Fatal(err)
	}
	far := id.NewOrganizer("use1")
	nobody := id.NewOrganizer(here)
	tokens := map[string]string{
		"another's":           s.account(t, "Other").APIKey,
		"one nobody made":     keyAt(t, here, org),
		"no account":          keyAt(t, here, nobody),
		"another cell's":      keyAt(t, "use1", far),
		"a stranger cell's":   keyAt(t, "sae1", id.NewOrganizer("sae1")),
		"another cell's word": keyAt(t, "use1", org),
		"a damaged one":       flipped,
		"a shortened one":     mine[:40],
		"the operator's":      operatorToken,
		"garbage":             "gk_x",
		"an endless one":      strings.Repeat("g", 5000),
		"a barcode":           s.paid(t, s.guest, 1).Tickets[0].Barcode,
	}
	before := s.rows(t)
	for line, body := range organizers {
		s.ask(t, line, body, ifMatch("*")).want(t, "401 unauthorized")
		for _, scheme := range []string{"", "Bearer", "Bearer ", "Basic " + mine, mine} {
			s.ask(t, line, body, ifMatch("*"), header("Authorization", scheme)).want(t, "401 unauthorized")
		}
		for who, token := range tokens {
			a := s.ask(t, line, body, ifMatch("*"), bearer(token))
			owner := who == "another's" || who == "another cell's"
			switch {
			case owner && strings.Contains(line, "/organizers/"):
				a.want(t, "403 forbidden")
			case owner:
				a.want(t, "404 event_not_found")
			case a.status != 401:
				t.Errorf("%s with %s key: %s", line, who, a.is())
			}
			if a.status == 401 && a.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s: 401 with WWW-Authenticate %q", line, a.header.Get("WWW-Authenticate"))
			}
		}
	}
	tokens["an organizer's"] = mine
	delete(tokens, "the operator's")
	for line, body := range operators {
		s.ask(t, line, body).want(t, "401 unauthorized")
		for who, token := range tokens {
			if a := s.ask(t, line, body, bearer(token)); a.is() != "401 unauthorized" {
				t.Errorf("%s with %s key: %s", line, who, a.is())
			}
		}
		s.ask(t, line, body, bearer(operatorToken+"x")).want(t, "401 unauthorized")
	}
	if after := s.rows(t); after != before {
		t.Errorf("refusals left\n%s\nwas\n%s", after, before)
	}
	s.ask(t, "GET "+s.path(), nil, bearer("gk_x")).want(t, "401 token_malformed")
}

func TestOperatorCalls_areClosedWithoutAToken(t *testing.T) {
	t.Parallel()
	h := open(t, func(h *house) { h.server.ControlKeys = nil })
	for _, token := range []string{"", " ", "x"} {
		h.ask(t, "POST /v1/organizers", object{"name": "A"}, bearer(token)).want(t, "401 unauthorized")
	}
}

func TestOrganizerOfAnotherCell_mayHaveAnEventAtHomeHere(t *testing.T) {
	t.Parallel()
	h := open(t)
	org := id.NewOrganizer("use1")
	as := bearer(keyAt(t, "use1", org))
	path := "POST /v1/organizers/" + org.String() + "/events"
	// Without a region the event belongs into the organizer's own.
	a := h.ask(t, path, object(concert()), as).want(t, "421 moved")
	if a.member("home_cell") != `"use1"` {
		t.Errorf("%s", a.body)
	}
	h.ask(t, path+"?home_region=us-east-1", object(concert()), as).want(t, "421 moved")
	h.ask(t, path+"?home_region=eu-north-9", object(concert()), as).want(t, "400 unknown_region")
	if n := h.count(t, "booking.event"); n != 0 {
		t.Errorf("%d events", n)
	}
	h.ask(t, path+"?home_region=eu-west-3", object(concert()), as).want(t, "201")
	// A cell that nobody has told the keys of others asks for patience instead of trust.
	lonely := open(t, func(h *house) { h.town = nil })
	lonely.ask(t, path, object(concert()), as).want(t, "401 token_unknown_key")
	lonely.ask(t, "POST /v1/organizers?home_region=us-east-1", object{"name": "A"}, bearer(operatorToken)).want(t, "400 unknown_region")
	lonely.ask(t, "GET /v1/topology", nil).want(t, "503 topology_unknown")
	lonely.ask(t, "GET /v1/regions", nil).want(t, "200").looks(t, `{"items":[],"next_cursor":null}`)
}
