package api_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/api"
	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/internal/txn"
)

func TestOrganizer_isOpenedByOperatorsAndHisKeyIsStoredNowhere(t *testing.T) {
	t.Parallel()
	h := open(t)
	a := h.ask(t, "POST /v1/organizers?home_region=eu-west-3", object{"name": "Pleyel"}, bearer(operatorToken), key("k")).want(t, "201")
	a.looks(t, `{"id":"org_1","name":"Pleyel","home_region":"eu-west-3","home_cell":"euw3","api_key":"API_KEY"}`)
	org := read[client.Organizer](t, a)
	claims, err := account.VerifyKey(org.APIKey, h.server.Access.Keys(nil), time.Now())
	if err != nil || claims.Organizer().String() != org.ID || claims.Scope.Role != access.Owner {
		t.Fatalf("%v, %v", claims, err)
	}
	if again := h.ask(t, "POST /v1/organizers?home_region=eu-west-3", object{"name": "Pleyel"}, bearer(operatorToken), key("k")).want(t, "201"); string(again.body) != string(a.body) {
		t.Errorf("repeated: %s", again.body)
	}
	var leaks int
	if err := h.store.DB.Pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM booking.answer WHERE position(convert_to($1, 'UTF8') IN body) > 0)
		+ (SELECT count(*) FROM account.api_key WHERE position($1 IN key_hash) > 0 OR key_hash = '')
		+ (SELECT count(*) FROM audit.entry WHERE position($1 IN after::text) > 0)`, strings.Split(org.APIKey, ".")[3]).Scan(&leaks); err != nil || leaks != 0 {
		t.Errorf("the secret of the API key is stored in %d rows, %v", leaks, err)
	}
	if other := h.account(t, "Pleyel"); other.APIKey == org.APIKey || other.ID == org.ID {
		t.Error("two accounts are one")
	}
}

func TestEvent_draftedChangedPublishedCanceled(t *testing.T) {
	t.Parallel()
	h := open(t)
	org := h.account(t, "Pleyel")
	as := bearer(org.APIKey)
	draft := concert().but(object{"publish": nil, "ends_at": startsAt().Add(3 * time.Hour), "source": object{"name": "Mairie", "id": "42", "licence": "ODbL", "url": "https://example.org/42", "shifted": true}})
	draft["ticket_types"] = []object{{"name": "Floor", "price": eur(4000), "fees": eur(250), "quotas": []string{"floor", "balcony"}, "sales_start": startsAt().AddDate(0, -1, 0), "sales_end": startsAt()}}
	a := h.ask(t, "POST /v1/organizers/"+org.ID+"/events?home_region=eu-west-3", draft, as).want(t, "201")
	shape := `{"id":"evt_1","organizer_id":"org_1","name":"Nuit de la Musique","summary":"Avec orchestre","category":"music",
		"venue":{"name":"Salle Pleyel","city":"Paris","country":"FR","location":{"lat":48.8771,"lon":2.3009},"capacity":1913},
		"starts_at":"TIME","ends_at":"TIME","time_zone":"Europe/Paris","currency":"EUR","state":"draft","ticket_types":[
		{"id":"typ_1","name":"Floor","price":{"amount":4000,"currency":"EUR"},"fees":{"amount":250,"currency":"EUR"},"price_all_in":{"amount":4250,"currency":"EUR"},
			"availability":"available","min_per_order":1,"max_per_order":10,"sales_start":"TIME","sales_end":"TIME","quotas":["quo_1","quo_2"]}],
		"quotas":[{"id":"quo_1","name":"floor","size":100,"held":0,"sold":0,"allocated":0,"free":100},{"id":"quo_2","name":"balcony","size":5,"held":0,"sold":0,"allocated":0,"free":5}],
		"home":{"cell":"euw3","region":"eu-west-3","epoch":1},"version":1,"source":{"name":"Mairie","id":"42","licence":"ODbL","url":"https://example.org/42","shifted":true},"refund_policy":{"kind":"until","until_hours":24}}`
	a.looks(t, shape)
	if a.header.Get("ETag") != `"1"` {
		t.Errorf("ETag %s", a.header.Get("ETag"))
	}
	e := read[client.Event](t, a)
	path := "/v1/events/" + e.ID
	if n := h.count(t, "bus.outbox"); n != 0 {
		t.Errorf("a draft is announced: %d rows", n)
	}
	h.ask(t, "GET "+path, nil).want(t, "404 event_not_found")
	h.ask(t, "GET "+path, nil, bearer(h.account(t, "Other").APIKey)).want(t, "404 event_not_found")
	h.ask(t, "GET "+path, nil, as).want(t, "200").looks(t, shape)
	h.ask(t, "POST "+path+"/cancel", nil, as).want(t, "409 invalid_state")

	h.ask(t, "PATCH "+path, object{"name": "Nuit blanche"}, as).want(t, "428 if_match_required")
	for _, tag := range []string{`"2"`, "1", `""1""`, `"01"`, `"+1"`, `"0"`, `"-1"`, "x", `W/"1"`, `"1", "2"`, `"99999999999999999999"`} {
		h.ask(t, "PATCH "+path, object{"name": "Nuit blanche"}, as, ifMatch(tag)).want(t, "412 version_mismatch")
	}
	a = h.ask(t, "PATCH "+path, object{"name": "Nuit blanche", "time_zone": "Asia/Tokyo"}, as, ifMatch(`"1"`)).want(t, "200")
	if e = read[client.Event](t, a); e.Name != "Nuit blanche" || e.Version != 2 || a.header.Get("ETag") != `"2"` || e.Summary != "Avec orchestre" {
		t.Errorf("%s %s", a.header, a.body)
	}
	if !strings.HasSuffix(a.member("starts_at"), `+09:00"`) {
		t.Errorf("starts_at %s", a.member("starts_at"))
	}
	h.ask(t, "POST "+path+"/publish", nil, as, ifMatch(`"1"`)).want(t, "412 version_mismatch")
	if e = read[client.Event](t, h.ask(t, "POST "+path+"/publish", nil, as, ifMatch(`"2"`)).want(t, "200")); e.State != "published" {
		t.Errorf("%+v", e)
	}
	a = h.ask(t, "PUT "+path+"/quotas/"+e.Quotas[0].ID, object{"name": "parterre", "size": 120}, as, ifMatch(`"3"`)).want(t, "200")
	if e = read[client.Event](t, a); e.Quotas[0].Name != "parterre" || e.Quotas[0].Size != 120 || e.Quotas[0].Free != 120 {
		t.Errorf("%+v", e.Quotas)
	}
	h.ask(t, "PUT "+path+"/quotas/"+e.Quotas[0].ID, object{"name": "balcony", "size": 120}, as, ifMatch("*")).want(t, "400 invalid_event /name")
	a = h.ask(t, "PUT "+path+"/ticket_types/"+e.TicketTypes[0].ID, object{"name": "Late", "price": eur(5000), "fees": nil, "quotas": []string{"parterre", "balcony"}}, as, ifMatch("*")).want(t, "200")
	if e = read[client.Event](t, a); e.TicketTypes[0].Name != "Late" || e.TicketTypes[0].PriceAllIn.Amount != 5000 || len(e.TicketTypes[0].Quotas) != 2 {
		t.Errorf("%+v", e.TicketTypes)
	}
	stranger, err := id.ParseEvent(e.ID)
	if err != nil {
		t.Fatal(err)
	}
	h.ask(t, "PUT "+path+"/quotas/"+id.NewQuota(stranger).String(), object{"name": "x", "size": 1}, as, ifMatch("*")).want(t, "404 quota_not_found")
	h.ask(t, "PUT "+path+"/ticket_types/"+id.NewTicketType(stranger).String(), object{"name": "x", "price": eur(100), "quotas": []string{}}, as, ifMatch("*")).want(t, "422 unknown_ticket_type")
	if e = read[client.Event](t, h.ask(t, "POST "+path+"/cancel", nil, as).want(t, "200")); e.State != "canceled" {
		t.Errorf("%+v", e)
	}
	h.ask(t, "POST "+path+"/publish", nil, as).want(t, "409 invalid_state")
	if e = read[client.Event](t, h.ask(t, "GET "+path, nil).want(t, "200")); e.State != "canceled" || e.Quotas != nil {
		t.Errorf("the public sees %+v", e)
	}
}

func TestCancelEvent_againChangesNothing(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	s.paid(t, s.guest, 1)
	cancel := "POST " + s.path() + "/cancel"
	first := s.ask(t, cancel, nil, s.bearer).want(t, "200")
	before := s.contents(t)
	again := s.ask(t, cancel, nil, s.bearer).want(t, "200")
	if string(again.body) != string(first.body) || again.header.Get("ETag") != first.header.Get("ETag") {
		t.Errorf("%s, was %s", again.body, first.body)
	}
	for table, is := range s.contents(t) {
		if is != before[table] && table != "booking.answer" { // but for its key
			t.Errorf("it wrote %s", table)
		}
	}
	s.ask(t, cancel, nil, s.bearer, ifMatch(`"1"`)).want(t, "412 version_mismatch")
	for _, replayed := range []string{"", "true"} {
		if a := s.ask(t, cancel, nil, s.bearer, key("c")).want(t, "200"); string(a.body) != string(first.body) || a.header.Get("Idempotent-Replayed") != replayed {
			t.Errorf("%s %s", a.header, a.body)
		}
	}
}

// Buyers are told what one order can have; the organizer what he set.
func TestMaxPerOrder_isShownAsItIsEnforced(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t, object{"ticket_types": []object{{"name": "Floor", "price": eur(4000), "quotas": []string{"floor"}, "max_per_order": 1000}}})
	shown := func(as ...with) int64 {
		return read[client.Event](t, s.ask(t, "GET "+s.path(), nil, as...).want(t, "200")).TicketTypes[0].MaxPerOrder
	}
	if public, own := shown(), shown(s.bearer); public != booking.MaxTicketsPerOrder || own != 1000 {
		t.Errorf("buyers are told %d, the organizer %d", public, own)
	}
	s.hold(t, s.floor, int(shown()))
	s.ask(t, "POST "+s.path()+"/holds", items(s.floor, shown()+1)).want(t, "422 too_many /items/0/quantity")
}

func TestQuota_isNeverSmallerThanWhatIsHeldAndSold(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	s.hold(t, s.floor, 7)
	s.order(t, s.hold(t, s.guest, 5))
	path := "PUT " + s.path() + "/quotas/" + s.event.Quotas[0].ID
	a := s.ask(t, path, object{"name": "floor", "size": 11}, s.bearer, ifMatch("*")).want(t, "409 quota_too_small")
	if a.member("limit") != "12" {
		t.Errorf("%s", a.body)
	}
	s.ask(t, path, object{"name": "floor", "size": 12}, s.bearer, ifMatch("*")).want(t, "200")
	s.ask(t, "POST "+s.path()+"/holds", items(s.floor, 1)).want(t, "409 sold_out")
}

func TestStats_ordersAndAttendeesSayWhatWasSold(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	empty := s.ask(t, "GET "+s.path()+"/stats", nil, s.bearer).want(t, "200")
	empty.looks(t, `{"quotas":[{"id":"quo_1","name":"floor","size":100,"held":0,"sold":0,"allocated":0,"free":100},
		{"id":"quo_2","name":"balcony","size":5,"held":0,"sold":0,"allocated":0,"free":5}],
		"ticket_types":[{"id":"typ_1","name":"Floor","held":0,"sold":0},{"id":"typ_2","name":"Both","held":0,"sold":0},{"id":"typ_3","name":"Guest","held":0,"sold":0}],
		"orders":{},"revenue":{"amount":0,"currency":"EUR"},"checked_in":0}`)
	s.ask(t, "GET "+s.path()+"/orders", nil, s.bearer).want(t, "200").looks(t, `{"items":[],"next_cursor":null}`)

	s.hold(t, s.floor, 3)
	s.paid(t, s.both, 2)
	s.paid(t, s.guest, 4)
	pending := s.order(t, s.hold(t, s.floor, 1))
	canceled := s.order(t, s.hold(t, s.guest, 1))
	s.ask(t, "POST /v1/orders/"+canceled.ID+"/cancel", nil).want(t, "200")
	s.ask(t, "GET "+s.path()+"/stats", nil, s.bearer).want(t, "200").looks(t, `{"quotas":[{"id":"quo_1","name":"floor","size":100,"held":4,"sold":6,"allocated":0,"free":90},
		{"id":"quo_2","name":"balcony","size":5,"held":0,"sold":2,"allocated":0,"free":3}],
		"ticket_types":[{"id":"typ_1","name":"Floor","held":4,"sold":0},{"id":"typ_2","name":"Both","held":0,"sold":2},{"id":"typ_3","name":"Guest","held":0,"sold":4}],
		"orders":{"canceled":1,"paid":2,"pending":1},"revenue":{"amount":14000,"currency":"EUR"},"checked_in":0}`)

	seen := map[string]bool{}
	cursor, pages := "", 0
	for {
		a := s.ask(t, "GET "+s.path()+"/orders?limit=3"+cursor, nil, s.bearer).want(t, "200")
		page := read[api.Page[client.Order]](t, a)
		for _, o := range page.Items {
			seen[o.ID] = true
			if o.Payment != nil {
				t.Error("the buyer's client secret is shown to the organizer")
			}
		}
		pages++
		if page.NextCursor == nil {
			break
		}
		cursor = "&cursor=" + *page.NextCursor
	}
	if len(seen) != 4 || pages != 2 || !seen[pending.ID] {
		t.Errorf("%d orders on %d pages", len(seen), pages)
	}
	for _, bad := range []string{"limit=0", "limit=101", "limit=-1", "limit=x", "limit=1e1", "limit=%2B5", "limit=", "limit=2&limit=3"} {
		if a := s.ask(t, "GET "+s.path()+"/orders?"+bad, nil, s.bearer); a.is() != "400 invalid_parameter" && bad != "limit=" {
			t.Errorf("%s: %s", bad, a.is())
		}
	}
	other, order := strangers()
	for _, bad := range []string{"x", other, order, pending.ID + "x"} {
		s.ask(t, "GET "+s.path()+"/orders?cursor="+bad, nil, s.bearer).want(t, "400 invalid_cursor")
	}
}

func TestAttendees_areCSVThatNoSpreadsheetRuns(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	names := []string{"=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "  =1+1", "＝1+1", `a "quoted", name`, "Ana Lívia", "山田"}
	var attendees []object
	for _, n := range names {
		attendees = append(attendees, object{"name": n})
	}
	hold := s.hold(t, s.guest, len(names))
	order := read[client.Order](t, s.ask(t, "POST /v1/orders", object{"hold_id": hold.ID, "buyer": object{"email": "=a@example.org", "name": "=HYPERLINK(1)"}, "attendees": attendees}).want(t, "201"))
	gone := s.paid(t, s.guest, 1)
	s.ask(t, "POST /v1/orders/"+gone.ID+"/cancel", nil).want(t, "200")

	a := s.ask(t, "GET "+s.path()+"/attendees.csv", nil, s.bearer).want(t, "200")
	if a.header.Get("Content-Type") != "text/csv; charset=utf-8" || a.header.Get("Content-Disposition") != `attachment; filename="attendees.csv"` {
		t.Errorf("%s", a.header)
	}
	text, marked := strings.CutPrefix(string(a.body), "\uFEFF")
	records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || !marked || len(records) != 1+len(names) || strings.Join(records[0], ",") != "order_code,order_id,ticket_id,ticket_type,attendee,buyer_name,buyer_email,ticket_state,section,row,seat,other_answers" {
		t.Fatalf("%v, %d records: %s", err, len(records), a.body)
	}
	for i, r := range records[1:] {
		want := names[i]
		if i < 6 {
			want = "'" + want
		}
		if r[0] != order.Code || r[1] != order.ID || r[2] != order.Tickets[i].ID || r[3] != "Guest" || r[4] != want || r[5] != "'=HYPERLINK(1)" || r[6] != "'=a@example.org" || r[7] != "valid" {
			t.Errorf("%q, want the attendee %q", r, want)
		}
	}
}

// busyReports lets something happen between two reads.
type busyReports struct {
	api.Reports
	meanwhile *func()
}

func (r busyReports) Held(ctx context.Context, tx txn.Tx, event id.Event) (map[string]int64, error) {
	(*r.meanwhile)()
	return r.Reports.Held(ctx, tx, event)
}

// The parts of one answer add up, whatever happens while they are read.
func TestStats_areOfOneMoment(t *testing.T) {
	t.Parallel()
	meanwhile := func() {}
	s := open(t, func(h *house) { h.server.Reports = busyReports{h.server.Reports, &meanwhile} }).stage(t)
	s.hold(t, s.guest, 2)
	meanwhile = func() { s.hold(t, s.floor, 3) }
	stats := read[client.Stats](t, s.ask(t, "GET "+s.path()+"/stats", nil, s.bearer).want(t, "200"))
	var held int64
	for _, of := range stats.TicketTypes {
		held += of.Held
	}
	if held != 2 || stats.Quotas[0].Held != held {
		t.Errorf("%d tickets are held of quotas that hold %d", held, stats.Quotas[0].Held)
	}
	meanwhile = func() {}
	if q := s.quota(t, 0); q.Held != 5 {
		t.Errorf("held %d", q.Held)
	}
}

// tornReports loses the database after the first page of orders.
type tornReports struct{ api.Reports }

func (r tornReports) AnsweredOf(ctx context.Context, event id.Event, after string, limit int) ([]checkout.Answered, error) {
	if after != "" {
		return nil, errors.New("the database is gone")
	}
	return r.Reports.AnsweredOf(ctx, event, after, limit)
}

func (r tornReports) Ledger(ctx context.Context, event id.Event, after int64, limit int) ([]booking.LedgerRow, error) {
	if after != 0 {
		return nil, errors.New("the database is gone")
	}
	return r.Reports.Ledger(ctx, event, after, limit)
}

// endless has a hundred pages of attendees, whose reads it remembers the time for.
type endless struct {
	api.Reports
	order *checkout.Answered
	left  *int
	least *time.Duration
}

func (r endless) AnsweredOf(ctx context.Context, event id.Event, after string, limit int) ([]checkout.Answered, error) {
	if after == "" {
		return r.Reports.AnsweredOf(ctx, event, "", limit)
	}
	end, _ := ctx.Deadline()
	*r.least = min(*r.least, time.Until(end))
	if *r.left--; *r.left < 0 {
		return nil, nil
	}
	return slices.Repeat([]checkout.Answered{*r.order}, limit), ctx.Err()
}

// A list of any size is read to its end: what bounds it is how long it stands still, and
// not the 20 seconds that a request has.
func TestAttendees_ofAnySizeHaveNoDeadlineForTheWhole(t *testing.T) {
	t.Parallel()
	left, least := 100, time.Hour
	many := endless{order: &checkout.Answered{}, left: &left, least: &least}
	s := open(t, func(h *house) {
		many.Reports = h.server.Reports
		h.server.Reports = many
	}).stage(t)
	s.paid(t, s.guest, 1)
	first, err := s.store.AnsweredOf(t.Context(), eventOf(t, s), "", 1)
	if err != nil || len(first) != 1 {
		t.Fatalf("%d orders, %v", len(first), err)
	}
	*many.order = first[0]
	a := s.ask(t, "GET "+s.path()+"/attendees.csv", nil, s.bearer).want(t, "200")
	if lines := bytes.Count(a.body, []byte("\n")); lines != 1+1+100*100 {
		t.Errorf("%d lines", lines)
	}
	if least < 25*time.Second {
		t.Errorf("a read had %s left: the request's own deadline", least)
	}
}

func eventOf(t *testing.T, s *stage) id.Event {
	t.Helper()
	e, err := id.ParseEvent(s.event.ID)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// A ledger that breaks off must not look like a short one, also to who knows nothing of seals.
func TestLedger_thatCannotBeReadToTheEndDoesNotLookWhole(t *testing.T) {
	t.Parallel()
	s := open(t, func(h *house) { h.server.Reports = tornReports{h.server.Reports} }).stage(t)
	if a, err := s.send(t, "GET "+s.path()+"/ledger", nil, s.bearer); err == nil && a.status == 200 {
		t.Errorf("half a ledger was answered as whole: %s", a.body)
	}
}

func TestAttendees_thatCannotBeReadToTheEndDoNotLookWhole(t *testing.T) {
	t.Parallel()
	s := open(t, func(h *house) { h.server.Reports = tornReports{h.server.Reports} }).stage(t)
	s.paid(t, s.guest, 1)
	a, err := s.send(t, "GET "+s.path()+"/attendees.csv", nil, s.bearer)
	if err == nil && a.status == 200 {
		t.Errorf("half a list was answered as whole: %s", a.body)
	}
}
