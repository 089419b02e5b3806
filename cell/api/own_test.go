package api_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/control-plane/topology"
)

func (s *stage) draft(t testing.TB, changes object) client.Event {
	t.Helper()
	return read[client.Event](t, s.ask(t, "POST /v1/organizers/"+s.org.ID+"/events", concert().but(changes), s.bearer).want(t, "201"))
}

func (s *stage) owns(t testing.TB, query string) client.OwnEvents {
	t.Helper()
	return read[client.OwnEvents](t, s.ask(t, "GET /v1/organizers/"+s.org.ID+"/events?"+query, nil, s.bearer).want(t, "200"))
}

func names(list client.OwnEvents) string {
	var all []string
	for _, e := range list.Items {
		all = append(all, e.Name)
	}
	return strings.Join(all, ",")
}

func TestOwnEvents_areListedWithTheirDrafts(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t, object{"name": "Ópera"})
	day := func(n int) time.Time { return startsAt().AddDate(0, 0, n) }
	s.draft(t, object{"name": "Later", "starts_at": day(2), "publish": false})
	s.draft(t, object{"name": "Sooner", "starts_at": day(-2)})
	over := s.draft(t, object{"name": "Gone", "starts_at": day(1)})
	s.ask(t, "POST /v1/events/"+over.ID+"/cancel", nil, s.bearer).want(t, "200")
	s.house.stage(t) // somebody else's

	for query, want := range map[string]string{
		"":                "Sooner,Ópera,Gone,Later",
		"state=draft":     "Later",
		"state=canceled":  "Gone",
		"state=published": "Sooner,Ópera",
		"q=opera":         "Ópera",
		"q=LATE":          "Later",
		"from=" + url.QueryEscape(day(1).Format(time.RFC3339)): "Gone,Later",
		"to=" + url.QueryEscape(day(1).Format(time.RFC3339)):   "Sooner,Ópera",
		"q=nothing": "",
	} {
		if got := names(s.owns(t, query)); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	var paged []string
	cursor := ""
	for range 5 {
		page := s.owns(t, "limit=1"+cursor)
		paged = append(paged, names(page))
		if page.NextCursor == nil {
			break
		}
		cursor = "&cursor=" + *page.NextCursor
	}
	if got := strings.Join(paged, ","); got != "Sooner,Ópera,Gone,Later" {
		t.Errorf("page by page: %s", got)
	}
	// What changed since then, in the order of changes.
	last := s.owns(t, "").Items[3].UpdatedAt
	for _, e := range s.owns(t, "").Items {
		if e.UpdatedAt.After(last) {
			last = e.UpdatedAt
		}
	}
	s.ask(t, "PATCH "+s.path(), object{"name": "Opéra"}, s.bearer, ifMatch("*")).want(t, "200")
	if got := names(s.owns(t, "updated_since="+url.QueryEscape(last.Add(time.Microsecond).Format(time.RFC3339Nano)))); got != "Opéra" {
		t.Errorf("changed since: %s", got)
	}
	if got := names(s.owns(t, "updated_since=2020-01-01")); !strings.HasSuffix(got, "Gone,Opéra") || len(s.owns(t, "updated_since=2020-01-01").Items) != 4 {
		t.Errorf("in the order of changes: %s", got)
	}
	list := "GET /v1/organizers/" + s.org.ID + "/events"
	for _, bad := range []string{"state=open", "from=yesterday", "updated_since=x", "limit=0", "here=perhaps", "q=" + strings.Repeat("x", 300), "q=%00"} {
		s.ask(t, list+"?"+bad, nil, s.bearer).want(t, "400 invalid_parameter")
	}
	s.ask(t, list+"?cursor=zz", nil, s.bearer).want(t, "400 invalid_cursor")
	for _, forged := range []string{"2030-01-01T00:00:00Z \x00", "2030-01-01T00:00:00Z \xff", "2030-01-01T00:00:00Z ", "2030-01-01T00:00:00Z " + strings.Repeat("x", 200), "x y"} {
		cursor := "?cursor=" + base64.RawURLEncoding.EncodeToString([]byte(forged))
		s.ask(t, list+cursor, nil, s.bearer).want(t, "400 invalid_cursor")
		s.ask(t, strings.TrimSuffix(list, "events")+"series"+cursor, nil, s.bearer).want(t, "400 invalid_cursor")
	}
	s.ask(t, list, nil, bearer(s.house.account(t, "Other").APIKey)).want(t, "403 forbidden")
	s.ask(t, list, nil, stranger).want(t, "401 unauthorized")
}

func TestOwnSeries_areListed(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	made := read[client.Series](t, s.ask(t, "POST /v1/organizers/"+s.org.ID+"/series", object{
		"name": "Visites", "template": concert().but(object{"publish": nil}), "occurrences": []time.Time{startsAt(), startsAt().AddDate(0, 0, 1)},
	}, s.bearer).want(t, "201"))
	list := func(query string) client.OwnSeriesList {
		t.Helper()
		return read[client.OwnSeriesList](t, s.ask(t, "GET /v1/organizers/"+s.org.ID+"/series?"+query, nil, s.bearer).want(t, "200"))
	}
	all := list("state=draft&q=visit")
	if len(all.Items) != 1 || all.Items[0].ID != made.ID || all.Items[0].UpdatedAt.IsZero() || all.NextCursor != nil {
		t.Fatalf("%+v", all)
	}
	s.ask(t, "POST /v1/series/"+made.ID+"/publish", nil, s.bearer).want(t, "200")
	since := url.QueryEscape(all.Items[0].UpdatedAt.Add(time.Microsecond).Format(time.RFC3339Nano))
	if got := list("updated_since=" + since); len(got.Items) != 1 || got.Items[0].State != "published" {
		t.Errorf("%+v", got)
	}
	if got := list("state=draft"); len(got.Items) != 0 {
		t.Errorf("%+v", got)
	}
	if got := s.owns(t, "updated_since="+since); len(got.Items) != 2 {
		t.Errorf("its occurrences changed with it: %+v", got.Items)
	}
	s.ask(t, "GET /v1/organizers/"+s.org.ID+"/series?state=canceled", nil, s.bearer).want(t, "400 invalid_parameter")
}

// His events have their homes where he likes. The cell of his account asks the others,
// and never with what admits to more than this list.
func TestOwnEvents_areGatheredFromAllCellsPageByPage(t *testing.T) {
	t.Parallel()
	var theirs []client.OwnEvent
	var bearers []string
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bearers = append(bearers, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		if r.URL.Query().Get("here") != "true" {
			t.Errorf("%s would gather again", r.URL)
		}
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		out := client.OwnEvents{Items: []client.OwnEvent{}}
		for _, e := range theirs {
			if len(out.Items) == limit {
				last := out.Items[limit-1]
				out.NextCursor = new(cursorOf(last.StartsAt, last.ID))
				break
			}
			if cursorLess(r.URL.Query().Get("cursor"), e.StartsAt, e.ID) {
				out.Items = append(out.Items, e)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out)
	}))
	t.Cleanup(peer.Close)
	s := open(t, func(h *house) {
		h.server.Peers = func(topology.CellID) *http.Client { return peer.Client() }
		for i := range h.town.Cells {
			if h.town.Cells[i].ID == "use1" {
				h.town.Cells[i].URLs = []string{"http://127.0.0.1:1", peer.URL}
			}
		}
	}).stage(t, object{"name": "1"})
	for i := range 3 {
		s.draft(t, object{"name": strconv.Itoa(2*i + 3), "starts_at": startsAt().AddDate(0, 0, 2*i+2), "publish": false})
	}
	for i := range 4 {
		e := s.now(t)
		e.ID, e.Name, e.StartsAt = id.NewEvent("use1").String(), strconv.Itoa(2*i+2), startsAt().AddDate(0, 0, 2*i+1)
		theirs = append(theirs, client.OwnEvent{Event: e, UpdatedAt: time.Now()})
	}
	var paged []string
	cursor := ""
	for range 20 {
		page := s.owns(t, "limit=3"+cursor)
		if len(page.Items) > 3 || !slices.Equal(page.Cells, []string{"euw3", "use1"}) || !slices.Equal(page.Unreachable, []string{"apn1"}) {
			t.Fatalf("%d items of %v without %v", len(page.Items), page.Cells, page.Unreachable)
		}
		paged = append(paged, names(page))
		if page.NextCursor == nil {
			break
		}
		cursor = "&cursor=" + *page.NextCursor
	}
	if got := strings.Join(paged, ","); got != "1,2,3,4,5,6,7,8" {
		t.Errorf("page by page: %s", strings.Join(paged, " | "))
	}
	for _, text := range bearers {
		claims, err := account.VerifyKey(text, s.server.Access.Keys(s.town), time.Now())
		if err != nil || text == s.org.APIKey || !claims.Scope.May(access.ReadEvents) || claims.Scope.May(access.ReadOrders) || time.Until(claims.Expires) > 2*time.Minute {
			t.Errorf("another cell was given %+v, %v", claims, err)
		}
	}
	if got := s.owns(t, "here=true"); len(got.Items) != 4 || len(got.Unreachable) != 0 || len(got.Cells) != 1 {
		t.Errorf("%d of %v", len(got.Items), got.Cells)
	}
	// A cell that is not his account's cannot ask for him, and says so.
	far, err := id.ParseOrganizer(strings.Replace(s.org.ID, "euw3", "apn1", 1))
	if err != nil {
		t.Fatal(err)
	}
	k := account.Key{ID: id.NewAPIKey(far), Scope: account.Scope{Role: access.Owner}, ExpiresAt: time.Now().Add(time.Hour)}
	asked := len(bearers)
	alone := read[client.OwnEvents](t, s.ask(t, "GET /v1/organizers/"+far.String()+"/events", nil, bearer(k.Text(accessKey(t, "apn1").Key()))).want(t, "200"))
	if len(alone.Items) != 0 || len(alone.Unreachable) != 2 || len(bearers) != asked {
		t.Errorf("%+v", alone)
	}
}

func TestOrders_newestFirstAndFoundByCodeOrAddress(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	var made []client.Order
	for i := range 5 {
		hold := s.hold(t, s.guest, 1)
		made = append(made, read[client.Order](t, s.ask(t, "POST /v1/orders", object{"hold_id": hold.ID, "buyer": object{"email": "Buyer" + strconv.Itoa(i%2) + "@Exämple.org", "name": "B"}}).want(t, "201")))
	}
	pending := s.order(t, s.hold(t, s.floor, 1))
	s.ask(t, "POST /v1/orders/"+made[0].ID+"/cancel", nil).want(t, "200")
	type orders = struct {
		Items []client.Order `json:"items"`
		Next  *string        `json:"next_cursor"`
	}
	list := func(query string) orders {
		t.Helper()
		return read[orders](t, s.ask(t, "GET "+s.path()+"/orders?"+query, nil, s.bearer).want(t, "200"))
	}
	found := func(query string) string {
		var all []string
		for _, o := range list(query).Items {
			at := slices.IndexFunc(made, func(m client.Order) bool { return m.ID == o.ID })
			if o.UpdatedAt == nil || o.Payment != nil {
				t.Errorf("%+v", o)
			}
			all = append(all, strconv.Itoa(at))
		}
		return strings.Join(all, ",")
	}
	for query, want := range map[string]string{
		"": "-1,4,3,2,1,0",
		"q=" + url.QueryEscape("buyer1@xn--exmple-cua.ORG"): "3,1",
		"q=" + url.QueryEscape("BUYER0@exämple.org"):        "4,2,0",
		"q=nobody@example.org":                              "",
		"q=" + strings.ToLower(made[2].Code):                "2",
		"q=" + pending.Code + "&state=paid":                 "",
		"state=canceled":                                    "0",
		"state=pending":                                     "-1",
		"state=paid":                                        "4,3,2,1",
		"updated_since=2999-01-01":                          "",
		"updated_since=2020-01-01&state=canceled":           "0",
	} {
		if got := found(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	// A cancellation is a change, of an order that is the oldest.
	canceled := list("state=canceled").Items[0]
	if since := canceled.UpdatedAt.Format(time.RFC3339Nano); found("updated_since="+url.QueryEscape(since)) != "0" {
		t.Errorf("changed since: %s", found("updated_since="+url.QueryEscape(since)))
	}
	var paged []string
	cursor := ""
	for range 10 {
		page := list("limit=2" + cursor)
		paged = append(paged, strconv.Itoa(len(page.Items)))
		if page.Next == nil {
			break
		}
		cursor = "&cursor=" + *page.Next
	}
	if got := strings.Join(paged, ""); got != "222" {
		t.Errorf("pages of %s", got)
	}
	for _, bad := range []string{"state=open", "updated_since=x", "q=%00"} {
		s.ask(t, "GET "+s.path()+"/orders?"+bad, nil, s.bearer).want(t, "400 invalid_parameter")
	}
}

func cursorOf(at time.Time, what string) string {
	return encodeStamp(at.UTC().Format(time.RFC3339Nano) + " " + what)
}

func encodeStamp(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// cursorLess says whether something stands behind a cursor.
func cursorLess(cursor string, at time.Time, what string) bool {
	raw, _ := base64.RawURLEncoding.DecodeString(cursor)
	stamp, behind, ok := strings.Cut(string(raw), " ")
	if !ok {
		return true
	}
	from, _ := time.Parse(time.RFC3339Nano, stamp)
	return at.After(from) || at.Equal(from) && what > behind
}
