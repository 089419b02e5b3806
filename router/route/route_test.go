package route_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"guichet/control-plane/topology"
	"guichet/geo"
	"guichet/internal/kind"
	"guichet/router/route"
)

const (
	key    = "k3v9x2m4q7rt"
	own    = "8h2kd0q1w5zz9c6v"
	evtEUW = "evt_euw3_" + key
	evtAPN = "evt_apn1_" + key
	hldAPN = "hld_apn1_" + key + "_" + own
	ordAPN = "ord_apn1_" + key + "_" + own
	tktAPN = "tkt_apn1_" + key + "_" + own
	orgUSE = "org_use1_" + key
	// moved was born in Paris and lives in Tokyo now.
	moved    = "evt_euw3_m0vedm0vedm0"
	movedHld = "hld_euw3_m0vedm0vedm0_" + own
)

var (
	paris   = geo.Point{Lat: 48.85, Lon: 2.35}
	chicago = geo.Point{Lat: 41.88, Lon: -87.63}
	osaka   = geo.Point{Lat: 34.69, Lon: 135.5}
)

func cell(id, region string) topology.Cell {
	return topology.Cell{ID: topology.CellID(id), Region: region, URLs: []string{"http://" + id}, Weight: 100, State: topology.CellServing}
}

// town is the town of the tests, changed by each edit.
func town(edits ...func(*topology.Snapshot)) *route.Map {
	s := &topology.Snapshot{
		Version:    7,
		Cells:      []topology.Cell{cell("apn1", "ap-northeast-1"), cell("euw3", "eu-west-3"), cell("use1", "us-east-1")},
		Placements: []topology.Placement{{EventID: moved, Home: "apn1", Epoch: 3, State: topology.Serving}},
	}
	for _, edit := range edits {
		edit(s)
	}
	return route.NewMap(s)
}

func withParis(change func(*topology.Cell)) func(*topology.Snapshot) {
	return func(s *topology.Snapshot) {
		for i := range s.Cells {
			if s.Cells[i].ID == "euw3" {
				change(&s.Cells[i])
			}
		}
	}
}

func down(ids ...topology.CellID) route.Health {
	h := route.Health{}
	for _, id := range ids {
		h[id] = route.Vital{Down: true}
	}
	return h
}

func request(line, holdID string, from geo.Point) route.Request {
	method, target, _ := strings.Cut(line, " ")
	u, err := url.Parse(target)
	if err != nil {
		panic(err)
	}
	return route.Request{Target: route.Aim(method, u.Path, u.Query(), holdID), At: from, Located: from != geo.Point{}, Client: "192.0.2.7"}
}

func TestDecide_everyCallOfTheContract(t *testing.T) {
	for _, c := range []struct {
		line   string
		holdID string
		down   string
		want   string // cell, why and " copy", or the refusal's status and code
	}{
		// Reads of what every cell has.
		{line: "GET /v1/events?q=jazz", want: "euw3 nearest"},
		{line: "GET /v1/events", down: "euw3", want: "use1 nearest"},
		{line: "GET /v1/events/suggest?q=ja", want: "euw3 nearest"},
		{line: "GET /v1/regions", want: "euw3 nearest"},
		{line: "GET /v1/keys/tickets", want: "euw3 nearest"},
		{line: "GET /openapi.json", want: "euw3 nearest"},
		{line: "GET /v1/topology", want: "euw3 nearest"},
		{line: "GET /", want: "euw3 nearest"},
		{line: "HEAD /v1/events", want: "euw3 nearest"},
		{line: "GET /no/such/path", want: "euw3 nearest"},
		{line: "POST /no/such/path", want: "euw3 nearest"},
		{line: "GET /v1/events", down: "euw3 use1 apn1", want: "503 no_cell_available"},

		// An event's page.
		{line: "GET /v1/events/" + evtAPN, want: "apn1 home"},
		{line: "HEAD /v1/events/" + evtAPN, want: "apn1 home"},
		{line: "GET /events/" + evtAPN, want: "euw3 nearest"},
		{line: "GET /v1/events/" + evtAPN, down: "apn1", want: "euw3 nearest copy"},
		{line: "GET /v1/events/" + evtEUW, down: "euw3", want: "use1 nearest copy"},
		{line: "GET /v1/events/" + evtAPN, down: "apn1 euw3 use1", want: "503 home_unavailable"},
		{line: "GET /v1/events/evt_zzz9_" + key, want: "404 unknown_cell"},

		// Decisions about an event, and records that only its home has.
		{line: "POST /v1/events/" + evtAPN + "/holds", want: "apn1 home"},
		{line: "POST /v1/events/" + evtAPN + "/holds", down: "apn1", want: "503 home_unavailable"},
		{line: "POST /v1/events/evt_zzz9_" + key + "/holds", want: "404 unknown_cell"},
		{line: "PATCH /v1/events/" + evtAPN, down: "apn1", want: "503 home_unavailable"},
		{line: "POST /v1/events/" + evtAPN + "/publish", want: "apn1 home"},
		{line: "PUT /v1/events/" + evtAPN + "/quotas/quo_apn1_" + key + "_" + own, want: "apn1 home"},
		{line: "PUT /v1/events/" + evtAPN + "/ticket_types/typ_apn1_" + key + "_" + own, want: "apn1 home"},
		{line: "GET /v1/events/" + evtAPN + "/stats", want: "apn1 home"},
		{line: "GET /v1/events/" + evtAPN + "/attendees.csv", down: "apn1", want: "503 home_unavailable"},
		{line: "GET /v1/events/" + evtAPN + "/ledger", want: "apn1 home"},
		{line: "GET /v1/holds/" + hldAPN, want: "apn1 home"},
		{line: "GET /v1/holds/" + hldAPN, down: "apn1", want: "503 home_unavailable"},
		{line: "POST /v1/holds/" + hldAPN + "/extend", want: "apn1 home"},
		{line: "DELETE /v1/holds/" + hldAPN, want: "apn1 home"},
		{line: "DELETE /v1/holds/" + hldAPN, down: "apn1", want: "503 home_unavailable"},
		{line: "GET /v1/orders/" + ordAPN, want: "apn1 home"},
		{line: "GET /v1/orders/" + ordAPN + "/tickets", want: "apn1 home"},
		{line: "POST /v1/orders/" + ordAPN + "/cancel", want: "apn1 home"},
		{line: "POST /v1/orders/" + ordAPN + "/refunds", down: "apn1", want: "503 home_unavailable"},
		{line: "GET /v1/tickets/" + tktAPN, want: "apn1 home"},
		{line: "GET /v1/tickets/" + tktAPN + ".pdf", want: "apn1 home"},
		{line: "GET /v1/tickets/" + tktAPN + ".ics", want: "apn1 home"},
		{line: "POST /v1/tickets/find", want: "euw3 nearest"},
		{line: "POST /v1/tickets/find?cell=use1", want: "use1 home"},
		{line: "GET /v1/tickets/found?token=x&cell=apn1", want: "apn1 home"},
		{line: "GET /v1/tickets/" + tktAPN + ".png", down: "apn1", want: "503 home_unavailable"},

		// The hold of a new order stands in its body.
		{line: "POST /v1/orders", holdID: hldAPN, want: "apn1 home"},
		{line: "POST /v1/orders", holdID: hldAPN, down: "apn1", want: "503 home_unavailable"},
		{line: "POST /v1/orders", holdID: "", want: "euw3 nearest"},
		{line: "POST /v1/orders", holdID: evtAPN, want: "euw3 nearest"},
		{line: "POST /v1/orders", holdID: "hld_zzz9_" + key + "_" + own, want: "404 unknown_cell"},

		// A placement wins over the hint.
		{line: "GET /v1/events/" + moved, want: "apn1 home"},
		{line: "POST /v1/events/" + moved + "/holds", want: "apn1 home"},
		{line: "GET /v1/holds/" + movedHld, want: "apn1 home"},
		{line: "POST /v1/orders", holdID: movedHld, want: "apn1 home"},
		{line: "POST /v1/events/" + moved + "/holds", down: "apn1", want: "503 home_unavailable"},
		{line: "POST /v1/events/" + moved + "/holds", down: "euw3", want: "apn1 home"},

		// Malformed ids go to the nearest cell, which says so.
		{line: "GET /v1/events/evt_apn1_short", want: "euw3 nearest"},
		{line: "GET /v1/events/EVT_apn1_" + key, want: "euw3 nearest"},
		{line: "GET /v1/holds/" + evtAPN, want: "euw3 nearest"},
		{line: "GET /v1/events/" + hldAPN, want: "euw3 nearest"},
		{line: "POST /v1/events/..%2f..%2fetc/holds", want: "euw3 nearest"},
		{line: "GET /v1/orders", want: "euw3 nearest"},

		// Organizers.
		{line: "POST /v1/organizers?home_region=us-east-1", want: "use1 home"},
		{line: "POST /v1/organizers?home_region=us-east-1", down: "use1", want: "503 region_unavailable"},
		{line: "POST /v1/organizers?home_region=eu-north-1", want: "400 unknown_region"},
		{line: "POST /v1/organizers", want: "400 unknown_region"},
		{line: "POST /v1/organizers/" + orgUSE + "/events", want: "use1 home"},
		{line: "POST /v1/organizers/" + orgUSE + "/events", down: "use1", want: "503 home_unavailable"},
		{line: "POST /v1/organizers/" + orgUSE + "/events?home_region=ap-northeast-1", want: "apn1 home"},
		{line: "POST /v1/organizers/" + orgUSE + "/events?home_region=ap-northeast-1", down: "use1", want: "apn1 home"},
		{line: "POST /v1/organizers/" + orgUSE + "/events?home_region=mars", want: "400 unknown_region"},
		{line: "GET /v1/organizers/" + orgUSE + "/events", want: "use1 home"},
		{line: "POST /v1/organizers/" + orgUSE + "/series", want: "use1 home"},
		{line: "POST /v1/organizers/" + orgUSE + "/series?home_region=ap-northeast-1", want: "apn1 home"},
		{line: "GET /v1/series/ser_apn1_k3v9x2m4q7rt/occurrences", want: "apn1 home"},
		{line: "POST /v1/series/ser_apn1_k3v9x2m4q7rt/publish", down: "apn1", want: "503 home_unavailable"},
		{line: "GET /v1/series/ser_apn1_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v", want: "euw3 nearest"},
		{line: "POST /v1/organizers/nobody/events", want: "euw3 nearest"},
		{line: "POST /v1/organizers/nobody/events?home_region=us-east-1", want: "euw3 nearest"},

		// The payment provider names the cell whose account it speaks for.
		{line: "POST /v1/payments/stripe/webhook?cell=use1", want: "use1 home"},
		{line: "POST /v1/payments/stripe/webhook?cell=use1", down: "use1", want: "503 home_unavailable"},
		{line: "POST /v1/payments/stripe/webhook?cell=zzz9", want: "404 unknown_cell"},
		{line: "POST /v1/payments/stripe/webhook?cell=NOT", want: "euw3 nearest"},
		{line: "POST /v1/payments/stripe/webhook", want: "euw3 nearest"},
	} {
		health := route.Health{}
		for id := range strings.FieldsSeq(c.down) {
			health[topology.CellID(id)] = route.Vital{Down: true}
		}
		got := describe(route.Decide(request(c.line, c.holdID, paris), town(), health))
		if got != c.want {
			t.Errorf("%s (hold %q, down %q): %s, want %s", c.line, c.holdID, c.down, got, c.want)
		}
	}
}

func describe(d route.Decision) string {
	if d.Err != nil {
		e := kind.As(d.Err)
		return fmt.Sprintf("%d %s", e.Kind.Status(), e.Code)
	}
	s := string(d.Cell.ID) + " " + string(d.Why)
	if d.Copy {
		s += " copy"
	}
	return s
}

func TestDecide_withoutAMapRefuses(t *testing.T) {
	if got := describe(route.Decide(request("GET /v1/events", "", paris), nil, nil)); got != "503 no_snapshot" {
		t.Error(got)
	}
}

func TestDecide_everyRefusalForNowSaysWhenToComeBack(t *testing.T) {
	dead := down("apn1", "euw3", "use1")
	for _, line := range []string{"GET /v1/events", "POST /v1/events/" + evtAPN + "/holds", "POST /v1/organizers?home_region=us-east-1"} {
		if e := kind.As(route.Decide(request(line, "", paris), town(), dead).Err); e.Retry <= 0 {
			t.Errorf("%s: %v says no time", line, e)
		}
	}
}

func TestDecide_attendeesGoToTheNearestCell(t *testing.T) {
	for _, c := range []struct {
		name   string
		req    route.Request
		health route.Health
		want   string
	}{
		{"Paris", request("GET /v1/events", "", paris), nil, "euw3"},
		{"Chicago", request("GET /v1/events", "", chicago), nil, "use1"},
		{"Osaka", request("GET /v1/events", "", osaka), nil, "apn1"},
		{"Osaka while Tokyo is away", request("GET /v1/events", "", osaka), down("apn1"), "use1"},
		{"Osaka after Tokyo failed this request", avoiding(request("GET /v1/events", "", osaka), "apn1"), nil, "use1"},
		{"nowhere, with a default", defaulting(request("GET /v1/events", "", geo.Point{}), "apn1"), nil, "apn1"},
		{"nowhere, the default away: what is near the default", defaulting(request("GET /v1/events", "", geo.Point{}), "apn1"), down("apn1"), "use1"},
		{"nowhere, no default: what this router reaches soonest", request("GET /v1/events", "", geo.Point{}), route.Health{"use1": {RTT: time.Millisecond}, "euw3": {RTT: 9 * time.Millisecond}}, "use1"},
		{"nowhere, nothing known: the first", request("GET /v1/events", "", geo.Point{}), nil, "apn1"},
	} {
		if got := route.Decide(c.req, town(), c.health); string(got.Cell.ID) != c.want {
			t.Errorf("%s: %s, want %s", c.name, describe(got), c.want)
		}
	}
}

func avoiding(r route.Request, ids ...topology.CellID) route.Request {
	r.Avoid = ids
	return r
}

func defaulting(r route.Request, id topology.CellID) route.Request {
	r.Default = id
	return r
}

func TestDecide_staysWithTheLastChoiceUnlessAnotherIsClearlyNearer(t *testing.T) {
	req := request("GET /v1/events", "", geo.Point{})
	req.Last, req.Now = "euw3", time.Unix(1000, 0)
	for rtt, want := range map[time.Duration]string{85 * time.Millisecond: "euw3", 75 * time.Millisecond: "use1"} {
		health := route.Health{"euw3": {RTT: 100 * time.Millisecond}, "use1": {RTT: rtt}}
		if got := route.Decide(req, town(), health); string(got.Cell.ID) != want {
			t.Errorf("100 ms against %v: %s, want %s", rtt, describe(got), want)
		}
	}
}

func TestDecide_weightsShareClientsOutAndKeepThem(t *testing.T) {
	m := town(withParis(func(c *topology.Cell) { c.Weight = 30 }))
	const clients = 2000
	here := 0
	for i := range clients {
		req := request("GET /v1/events", "", paris)
		req.Client = fmt.Sprintf("198.51.100.%d-%d", i%256, i)
		first := route.Decide(req, m, nil)
		if again := route.Decide(req, m, nil); again.Cell.ID != first.Cell.ID {
			t.Fatalf("client %s went to %s, then to %s", req.Client, first.Cell.ID, again.Cell.ID)
		}
		switch first.Cell.ID {
		case "euw3":
			here++
		case "use1":
		default:
			t.Fatalf("a client of Paris went to %s", first.Cell.ID)
		}
	}
	if here < clients*26/100 || here > clients*34/100 {
		t.Errorf("a cell of weight 30 took %d of %d clients", here, clients)
	}
}

func TestDecide_cellsThatDoNotServeTakeReadsOnlyWhenNothingElseIsLeft(t *testing.T) {
	drained := withParis(func(c *topology.Cell) { c.State = topology.CellDraining })
	weightless := withParis(func(c *topology.Cell) { c.Weight = 0 })
	gone := withParis(func(c *topology.Cell) { c.State = topology.CellLeft })
	for _, c := range []struct {
		name   string
		m      *route.Map
		line   string
		health route.Health
		want   string
	}{
		{"draining: reads go elsewhere", town(drained), "GET /v1/events", nil, "use1 nearest"},
		{"draining: it still decides", town(drained), "POST /v1/events/" + evtEUW + "/holds", nil, "euw3 home"},
		{"draining: nothing new", town(drained), "POST /v1/organizers?home_region=eu-west-3", nil, "503 region_unavailable"},
		{"draining: better than nothing", town(drained), "GET /v1/events", down("use1", "apn1"), "euw3 nearest"},
		{"weight 0: reads go elsewhere", town(weightless), "GET /v1/events", nil, "use1 nearest"},
		{"weight 0: better than nothing", town(weightless), "GET /v1/events", down("use1", "apn1"), "euw3 nearest"},
		{"weight 0: still decides", town(weightless), "POST /v1/events/" + evtEUW + "/holds", nil, "euw3 home"},
		{"left: never", town(gone), "GET /v1/events", down("use1", "apn1"), "503 no_cell_available"},
		{"left: its events are away", town(gone), "POST /v1/events/" + evtEUW + "/holds", nil, "503 home_unavailable"},
		{"left: its region is unknown", town(gone), "POST /v1/organizers?home_region=eu-west-3", nil, "400 unknown_region"},
	} {
		if got := describe(route.Decide(request(c.line, "", paris), c.m, c.health)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestDecide_whatACellToldWinsWhileItIsNewer(t *testing.T) {
	req := request("POST /v1/events/"+moved+"/holds", "", paris)
	for epoch, want := range map[topology.Epoch]string{2: "apn1 home", 3: "apn1 home", 4: "use1 home"} {
		req.Told = &topology.Placement{EventID: moved, Home: "use1", Epoch: epoch}
		if got := describe(route.Decide(req, town(), nil)); got != want {
			t.Errorf("told of epoch %d: %s, want %s", epoch, got, want)
		}
	}
}

func TestDecide_aDrillForcesAnyKnownCell(t *testing.T) {
	req := request("GET /v1/events", "", paris)
	req.Force = "apn1"
	if got := describe(route.Decide(req, town(), down("apn1"))); got != "apn1 forced" {
		t.Error(got)
	}
	req.Force = "zzz9"
	if got := describe(route.Decide(req, town(), nil)); got != "404 unknown_cell" {
		t.Error(got)
	}
}

func TestDecide_inARegionOfSeveralCellsTheOrganizersOwnIsPreferred(t *testing.T) {
	m := town(func(s *topology.Snapshot) { s.Cells = append(s.Cells, cell("use1b", "us-east-1")) })
	seen := map[string]int{}
	for i := range 200 {
		req := request("POST /v1/organizers?home_region=us-east-1", "", paris)
		req.Client = fmt.Sprint("client ", i)
		seen[describe(route.Decide(req, m, nil))]++
	}
	if seen["use1 home"] < 60 || seen["use1b home"] < 60 || len(seen) != 2 {
		t.Errorf("new organizers were not shared out: %v", seen)
	}
	own := request("POST /v1/organizers/org_use1b_"+key+"/events?home_region=us-east-1", "", paris)
	if got := describe(route.Decide(own, m, nil)); got != "use1b home" {
		t.Error(got)
	}
	if got := describe(route.Decide(own, m, down("use1b"))); got != "use1 home" {
		t.Error(got)
	}
}

func TestDecide_everythingOfOneEventHasOneAffinity(t *testing.T) {
	want := "apn1_" + key
	for _, r := range []route.Request{
		request("GET /v1/events/"+evtAPN, "", paris), request("POST /v1/events/"+evtAPN+"/holds", "", osaka),
		request("GET /v1/holds/"+hldAPN, "", chicago), request("POST /v1/orders", hldAPN, paris), request("GET /v1/tickets/"+tktAPN+".png", "", paris),
	} {
		if got := route.Decide(r, town(), nil); got.Affinity != want {
			t.Errorf("%+v: affinity %q, want %q", r.Target, got.Affinity, want)
		}
	}
}

func TestRendezvous_movesOnlyWhatItMust(t *testing.T) {
	places := []string{"http://a", "http://b", "http://c"}
	first := map[string]int{}
	for i := range 3000 {
		text := fmt.Sprintf("euw3_%012d", i)
		all, fewer := route.Rendezvous(text, places), route.Rendezvous(text, places[:2])
		first[all[0]]++
		if all[0] != "http://c" && fewer[0] != all[0] {
			t.Fatalf("%s moved from %s to %s although only c went", text, all[0], fewer[0])
		}
	}
	for _, p := range places {
		if first[p] < 900 || first[p] > 1100 {
			t.Errorf("%s took %d of 3000", p, first[p])
		}
	}
}
