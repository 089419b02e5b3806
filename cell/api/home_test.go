package api_test

import (
	"strings"
	"testing"
	"time"

	"guichet/cell/api"
	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/search"
	"guichet/control-plane/topology"
)

// decisions are calls about an event, with the ids of the given event.
func decisions(e id.Event) map[string]any {
	event, hold, order, tick := e.String(), id.NewHold(e).String(), id.NewOrder(e).String(), id.NewTicket(e).String()
	return map[string]any{
		"GET /v1/events/" + event:                                                   nil,
		"POST /v1/events/" + event + "/holds":                                       items(id.NewTicketType(e).String(), 1),
		"GET /v1/holds/" + hold:                                                     nil,
		"POST /v1/holds/" + hold + "/extend":                                        nil,
		"DELETE /v1/holds/" + hold:                                                  nil,
		"POST /v1/orders":                                                           object{"hold_id": hold, "buyer": buyer()},
		"GET /v1/orders/" + order:                                                   nil,
		"POST /v1/orders/" + order + "/cancel":                                      nil,
		"POST /v1/orders/" + order + "/refunds":                                     object{"reason": "x"},
		"GET /v1/orders/" + order + "/tickets":                                      nil,
		"GET /v1/tickets/" + tick:                                                   nil,
		"GET /v1/tickets/" + tick + ".pdf":                                          nil,
		"GET /v1/tickets/" + tick + ".png":                                          nil,
		"GET /v1/tickets/" + tick + ".ics":                                          nil,
		"POST /v1/orders/" + order + "/resend":                                      nil,
		"PATCH /v1/events/" + event:                                                 object{"name": "x"},
		"POST /v1/events/" + event + "/publish":                                     nil,
		"POST /v1/events/" + event + "/cancel":                                      nil,
		"GET /v1/events/" + event + "/stats":                                        nil,
		"GET /v1/events/" + event + "/orders":                                       nil,
		"GET /v1/events/" + event + "/attendees.csv":                                nil,
		"PUT /v1/events/" + event + "/quotas/" + id.NewQuota(e).String():            object{"name": "x", "size": 1},
		"PUT /v1/events/" + event + "/ticket_types/" + id.NewTicketType(e).String(): object{"name": "x", "price": eur(1), "quotas": []string{}},
	}
}

func TestNotHome_is421WithTheHomeAndItsEpoch(t *testing.T) {
	t.Parallel()
	h := open(t)
	as := bearer(h.account(t, "Pleyel").APIKey)
	far, back, gone := id.NewEvent("apn1"), id.NewEvent("use1"), id.NewEvent(here)
	h.town.Placements = []topology.Placement{
		{EventID: back.String(), Home: here, Epoch: 2, State: topology.Serving},
		{EventID: gone.String(), Home: "use1", Epoch: 5, State: topology.Serving},
	}
	before := h.rows(t)
	for _, c := range []struct {
		event      id.Event
		home, tick string
	}{{far, `"apn1"`, "1"}, {gone, `"use1"`, "5"}} {
		for line, body := range decisions(c.event) {
			opts := []with{ifMatch("*")}
			if strings.Contains(line, "events/") && !strings.HasSuffix(line, "/holds") {
				opts = append(opts, as)
			}
			a := h.ask(t, line, body, opts...).want(t, "421 moved")
			if a.member("home_cell") != c.home || a.member("epoch") != c.tick {
				t.Errorf("%s: %s", line, a.body)
			}
		}
	}
	// The table wins over the hint: this one is at home here, and is not there.
	for line, body := range decisions(back) {
		if a := h.ask(t, line, body, by(line, as), ifMatch("*")); a.status != 404 {
			t.Errorf("%s: %s", line, a.is())
		}
	}
	for line, body := range decisions(id.NewEvent(here)) {
		a := h.ask(t, line, body, by(line, as), ifMatch("*"))
		if a.status != 404 || !strings.HasSuffix(a.code(), "_not_found") {
			t.Errorf("%s: %s", line, a.is())
		}
	}
	if after := h.rows(t); after != before {
		t.Errorf("left\n%s\nwas\n%s", after, before)
	}
}

func TestMovedRegion_namesAServingCell(t *testing.T) {
	t.Parallel()
	h := open(t)
	for i := range h.town.Cells {
		if h.town.Cells[i].ID == "use1" {
			h.town.Cells[i].State = topology.CellLeft
		}
	}
	h.ask(t, "POST /v1/organizers?home_region=us-east-1", object{"name": "A"}, bearer(operatorToken)).want(t, "400 unknown_region")
	h.town.Cells = append(h.town.Cells, topology.Cell{ID: "use1b", Region: "us-east-1", State: topology.CellDraining}, topology.Cell{ID: "use1c", Region: "us-east-1", State: topology.CellServing})
	a := h.ask(t, "POST /v1/organizers?home_region=us-east-1", object{"name": "A"}, bearer(operatorToken)).want(t, "421 moved")
	if a.member("home_cell") != `"use1c"` {
		t.Errorf("%s", a.body)
	}
}

// TestCopy_saysUnknownNeverNone is promise P9.
func TestCopy_saysUnknownNeverNone(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.stage(t)
	copied := s.event
	far := id.NewEvent("apn1")
	copied.ID, copied.Version, copied.Home = far.String(), 3, client.Home{Cell: "apn1", Region: "ap-northeast-1", Epoch: 1}
	for i := range copied.TicketTypes {
		copied.TicketTypes[i].ID, copied.TicketTypes[i].Availability = id.NewTicketType(far).String(), client.None
	}
	h.ask(t, "GET /v1/events/"+copied.ID, nil).want(t, "421 moved")
	h.announce(t, search.NewDocument(copied, true))
	a := h.ask(t, "GET /v1/events/"+copied.ID, nil).want(t, "200")
	got := read[client.Event](t, a)
	for _, tt := range got.TicketTypes {
		if tt.Availability != client.Unknown || tt.Quotas != nil {
			t.Errorf("%+v", tt)
		}
	}
	if got.Name != copied.Name || got.Home != copied.Home || got.Quotas != nil || !strings.HasPrefix(a.header.Get("ETag"), `"3-`) || a.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("%s %s", a.header, a.body)
	}
	h.ask(t, "POST /v1/events/"+copied.ID+"/holds", items(got.TicketTypes[0].ID, 1)).want(t, "421 moved")
	copied.State, copied.Version = "canceled", 4
	h.announce(t, search.NewDocument(copied, false))
	if got := read[client.Event](t, h.ask(t, "GET /v1/events/"+copied.ID, nil).want(t, "200")); got.State != "canceled" {
		t.Errorf("%+v", got)
	}
	copied.State, copied.Version = string(booking.Drafted), 5
	h.announce(t, search.NewDocument(copied, false))
	h.ask(t, "GET /v1/events/"+copied.ID, nil).want(t, "421 moved")
}

// A lost index must not keep a cell from selling.
func TestIndexAway_makesSearchWaitAndNothingElse(t *testing.T) {
	t.Parallel()
	h := open(t, func(h *house) {
		h.server.Search.Warm = h.indexer.Ready
		h.server.Health.Note("index", h.indexer.Ready)
	})
	s := h.stage(t)
	searches := []string{"GET /v1/events?q=nuit", "GET /v1/events/suggest?q=nu"}
	for _, line := range searches {
		h.ask(t, line, nil).want(t, "503 search_warming") // checks Retry-After
	}
	ready := h.ask(t, "GET /readyz", nil).want(t, "200")
	ready.looks(t, `{"status":"ready","checks":{"database":"ok","index":"index_not_caught_up: 0 of 0 changes are indexed"}}`)
	h.ask(t, "GET "+s.path(), nil).want(t, "200")
	s.paid(t, s.floor, 1)
	if err := h.indexer.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, line := range searches {
		h.ask(t, line, nil).want(t, "200")
	}
	h.ask(t, "GET /readyz", nil).want(t, "200").looks(t, `{"status":"ready","checks":{"database":"ok","index":"ok"}}`)
}

func TestDatabaseAway_is503WithRetryAfterAndNotReady(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.stage(t)
	h.ask(t, "GET /readyz", nil).want(t, "200").looks(t, `{"status":"ready","checks":{"database":"ok"}}`)
	h.ask(t, "GET /livez", nil).want(t, "200").looks(t, `{"status":"live"}`)
	h.ask(t, "GET /readyz?verbose=1", nil).want(t, "200")
	away := openOn(t, "postgres://nobody@127.0.0.1:1/none")
	away.ask(t, "GET /readyz", nil).want(t, "503")
	away.ask(t, "GET /livez", nil).want(t, "200")
	for _, c := range []struct {
		line string
		body any
	}{
		{"GET " + s.path(), nil},
		{"POST " + s.path() + "/holds", items(s.floor, 1)},
		{"GET /v1/holds/" + s.hold(t, s.floor, 1).ID, nil},
		{"POST /v1/orders", object{"hold_id": s.hold(t, s.floor, 1).ID, "buyer": buyer()}},
	} {
		if a := away.ask(t, c.line, c.body); a.is() != "503 database_unavailable" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %s, Retry-After %q", c.line, a.is(), a.header.Get("Retry-After"))
		}
	}
}

func TestSearch_findsWhatTheCatalogueHasAndSaysHowSure(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.ask(t, "GET /v1/events?q=nuit&facets=category,city", nil).want(t, "200").looks(t, `{"items":[],"facets":{"category":[],"city":[]},"total":0,"next_cursor":null}`)
	h.ask(t, "GET /v1/events/suggest?q=nu", nil).want(t, "200").looks(t, `{"items":[]}`)
	s := h.stage(t, object{"source": object{"name": "Mairie", "id": "42"}})
	h.announce(t, search.NewDocument(s.event, true))
	line := "GET /v1/events?q=nuit&near=48.8771,2.3009&facets=category,city"
	shape := `{"items":[{"id":"evt_1","name":"Nuit de la Musique","summary":"Avec orchestre","category":"music",
		"venue":{"name":"Salle Pleyel","city":"Paris","country":"FR","location":{"lat":48.8771,"lon":2.3009},"capacity":1913},"starts_at":"TIME","ends_at":null,
		"time_zone":"Europe/Paris","price_from":{"amount":0,"currency":"EUR"},"availability":"unknown","availability_age_s":null,"distance_km":0,
		"home":{"cell":"euw3","region":"eu-west-3","epoch":1},"source":{"name":"Mairie","id":"42"}}],
		"facets":{"category":[{"value":"music","count":1}],"city":[{"value":"Paris","count":1}]},"total":1,"next_cursor":null}`
	h.ask(t, line, nil).want(t, "200").looks(t, shape)
	beat := mustJSON(t, search.Beat{Cell: here, AsOf: time.Now(), Run: "one", Seq: 1, Whole: 1})
	if err := h.intake.HandleBeat(t.Context(), "glb.avail.euw3", "", beat); err != nil {
		t.Fatal(err)
	}
	found := read[client.Listings](t, h.ask(t, line, nil).want(t, "200")).Items[0]
	if found.Availability != client.Available || found.AvailabilityAge == nil || *found.AvailabilityAge > 15 {
		t.Errorf("after a beat: %+v", found)
	}
	h.ask(t, "GET /v1/events/suggest?q=nui", nil).want(t, "200").looks(t, `{"items":[{"text":"Nuit de la Musique","kind":"event","id":"evt_1"}]}`)
	for _, bad := range []string{
		"near=91,0", "near=x", "radius_km=5", "near=1,1&radius_km=0", "from=yesterday", "from=2027-01-02&to=2027-01-01", "country=FRA", "price_max=-1", "price_max=1e3",
		"sort=price", "sort=distance", "facets=venue", "limit=0", "limit=101", "limit=+5", "limit=5&limit=6", "q=%zz", "q=a;b", "q=" + strings.Repeat("a", 201),
	} {
		h.ask(t, "GET /v1/events?"+bad, nil).want(t, "400 invalid_parameter")
	}
	h.ask(t, "GET /v1/events?cursor=x", nil).want(t, "400 invalid_cursor")
	h.ask(t, "GET /v1/events?page=2", nil).want(t, "400 unknown_parameter")
	h.ask(t, "GET /v1/events/suggest?limit=2", nil).want(t, "400 unknown_parameter")
}

func TestSearch_pagesThroughEverythingOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.stage(t)
	docs := make([]search.Document, 0, 7)
	for range 7 {
		e := s.event
		e.ID = id.NewEvent("use1").String()
		docs = append(docs, search.NewDocument(e, true))
	}
	for _, d := range docs {
		h.announce(t, d)
	}
	seen, cursor := map[string]bool{}, ""
	for range 10 {
		page := read[client.Listings](t, h.ask(t, "GET /v1/events?q=musique&limit=3"+cursor, nil).want(t, "200"))
		for _, l := range page.Items {
			if seen[l.ID] {
				t.Errorf("%s twice", l.ID)
			}
			seen[l.ID] = true
		}
		if page.NextCursor == nil {
			break
		}
		cursor = "&cursor=" + *page.NextCursor
	}
	if len(seen) != 7 {
		t.Errorf("%d of 7", len(seen))
	}
}

func TestTopologyAndRegions_areThisCellsMap(t *testing.T) {
	t.Parallel()
	h := open(t)
	snap := read[topology.Snapshot](t, h.ask(t, "GET /v1/topology", nil).want(t, "200"))
	if snap.Version != 7 || len(snap.Cells) != 3 {
		t.Errorf("%+v", snap)
	}
	page := read[api.Page[client.Region]](t, h.ask(t, "GET /v1/regions", nil).want(t, "200"))
	if len(page.Items) != 3 || page.Items[0].Code != hereRegion || page.Items[0].City != "Paris" || page.Items[0].Location == nil ||
		page.Items[0].Cells[0] != (client.RegionCell{ID: "euw3", State: "serving", Residency: "Paris only."}) {
		t.Errorf("%+v", page.Items)
	}
}

// Each cell tells its own proof; what it has not is null, never "at home".
func TestRegions_tellWhenTheCellThatAnswersProvedWhereItsRowsAre(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	proof := &client.ResidencyProof{AtHome: true, AskedAt: at, ProvedAt: &at, Ranges: 40}
	h := open(t, func(h *house) { h.server.Residency = func() *client.ResidencyProof { return proof } })
	page := read[api.Page[client.Region]](t, h.ask(t, "GET /v1/regions", nil).want(t, "200"))
	proofs := 0
	for _, r := range page.Items {
		for _, c := range r.Cells {
			if c.Proof == nil {
				continue
			}
			if proofs++; c.ID != "euw3" || !c.Proof.AtHome || c.Proof.Ranges != 40 || c.Proof.ProvedAt == nil || !c.Proof.ProvedAt.Equal(at) {
				t.Errorf("%+v", c)
			}
		}
	}
	if proofs != 1 {
		t.Errorf("%d cells tell a proof, want the one that answers", proofs)
	}
}
