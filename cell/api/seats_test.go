package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"guichet/cell/api"
	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/cell/id"
)

// planOf is a plan of rows with so many seats, "A-1" the first.
func planOf(rows string, perRow int) object {
	var list []object
	for i, r := range rows {
		var seats []object
		for k := range perRow {
			seats = append(seats, object{"seat_number": fmt.Sprint(k + 1), "seat_guid": fmt.Sprintf("%c-%d", r, k+1), "position": object{"x": 25 * k, "y": 0}, "category": "Stalls"})
		}
		list = append(list, object{"row_number": string(r), "position": object{"x": 0, "y": 25 * i}, "seats": seats})
	}
	return object{
		"name": "Pleyel", "size": object{"width": 500, "height": 300}, "categories": []object{{"name": "Stalls", "color": "#F44336"}},
		"zones": []object{{"name": "Parterre", "position": object{"x": 100, "y": 50}, "rows": list, "areas": []object{
			{"shape": "rectangle", "color": "#CCC", "position": object{"x": 5, "y": 5}, "rectangle": object{"width": 10, "height": 4}, "text": object{"position": object{"x": 0, "y": 0}, "text": "Scène"}},
			{"position": object{"x": 0, "y": 0}, "width": 2, "height": 2, "text": "bar"},
		}}},
	}
}

// seated is a stage whose Floor and Guest tickets sell two rows of eight seats.
func (h *house) seated(t testing.TB) *stage {
	t.Helper()
	return h.stage(t, object{
		"quotas": []object{{"name": "floor", "size": 0}, {"name": "balcony", "size": 5}},
		"ticket_types": []object{
			{"name": "Floor", "price": eur(4000), "fees": eur(250), "quotas": []string{"floor"}, "max_per_order": 10},
			{"name": "Both", "price": eur(7000), "quotas": []string{"balcony"}, "min_per_order": 2, "max_per_order": 4},
			{"name": "Guest", "price": eur(0), "quotas": []string{"floor"}, "max_per_order": 50},
		},
		"seating": object{
			"plan": planOf("AB", 8), "categories": []object{{"category": "Stalls", "ticket_types": []string{"Floor", "Guest"}}},
			"accessible": []string{"B-1"}, "companions": []object{{"seat_id": "B-2", "with": "B-1"}}, "house": []string{"B-8"},
		},
	})
}

func named(tid string, seats ...string) object {
	return object{"items": []object{{"ticket_type_id": tid, "seat_ids": seats}}}
}

// status is what the map says of a row, one letter a seat.
func (s *stage) status(t testing.TB, row int, how ...with) string {
	t.Helper()
	return read[client.SeatMap](t, s.ask(t, "GET "+s.path()+"/seats", nil, how...).want(t, "200")).Sections[0].Rows[row].Status
}

// wantStatus waits for it: a map may be a second old.
func (s *stage) wantStatus(t testing.TB, row int, want string) {
	t.Helper()
	eventually(t, "the map says "+want, func() bool { return s.status(t, row) == want })
}

func TestSeats_areShownHeldSoldNamedAndGivenBack(t *testing.T) {
	t.Parallel()
	s := open(t).seated(t)
	a := s.ask(t, "GET "+s.path()+"/seats", nil).want(t, "200")
	m := read[client.SeatMap](t, a)
	row := m.Sections[0].Rows[1]
	if m.Name != "Pleyel" || m.Size.Width != 500 || m.Sections[0].Name != "Parterre" || len(m.Categories[0].TicketTypeIDs) != 2 || row.Row != "B" || row.Kinds != "acssssss" ||
		row.Status != "fffffffk" || row.X[1] != 125 || row.Y[1] != 75 || row.With["B-2"] != "B-1" || len(m.Areas) != 2 || m.Areas[0].Position.X != 105 || m.Areas[1].Text.Text != "bar" {
		t.Fatalf("%s", a.body)
	}
	if s.status(t, 1, s.bearer) != "fffffffr" || !s.event.Seated || s.event.Quotas[0].Size != 16 || s.event.Quotas[0].Allocated != 1 {
		t.Errorf("%+v", s.event)
	}
	s.ask(t, "GET "+s.path()+"/seats", nil, header("If-None-Match", a.header.Get("ETag"))).want(t, "304")

	hold := read[client.Hold](t, s.ask(t, "POST "+s.path()+"/holds", named(s.floor, "A-1", "A-2")).want(t, "201"))
	if got := hold.Items[0]; got.Quantity != 2 || got.SeatIDs[1] != "A-2" || got.Seats[1] != (client.Seat{ID: "A-2", Section: "Parterre", Row: "A", Number: "2"}) || hold.Total.Amount != 8500 {
		t.Errorf("%+v", hold)
	}
	taken := s.ask(t, "POST "+s.path()+"/holds", named(s.guest, "A-2", "A-3")).want(t, "409 seat_taken")
	if taken.member("seats") != `["A-2"]` {
		t.Errorf("%s", taken.body)
	}
	s.wantStatus(t, 0, "hhffffff")
	order := s.order(t, hold)
	s.confirm(t, order.Payment.ClientSecret, "pm_card_visa")
	eventually(t, "the order is paid", func() bool { order = s.look(t, order.ID); return order.State == "paid" })
	if len(order.Items[0].Seats) != 2 || order.Tickets[0].Seat == nil || *order.Tickets[0].Seat != order.Items[0].Seats[0] || order.Tickets[1].Seat.ID != "A-2" {
		t.Errorf("%+v", order)
	}
	s.wantStatus(t, 0, "ssffffff")
	if pdf := s.askRaw(t, "GET /v1/tickets/"+order.Tickets[0].ID+".pdf", nil).want(t, "200"); !bytes.HasPrefix(pdf.body, []byte("%PDF")) {
		t.Error("no PDF")
	}
	if list := s.ask(t, "GET "+s.path()+"/attendees.csv", nil, s.bearer).want(t, "200"); !strings.Contains(string(list.body), ",Parterre,A,2,") {
		t.Errorf("%s", list.body)
	}
	for range 2 { // a second cancel gives nothing back again
		s.ask(t, "POST /v1/orders/"+order.ID+"/cancel", nil).want(t, "200")
	}
	s.wantStatus(t, 0, "ffffffff")
	if q := s.quota(t, 0); q.Sold != 0 || q.Held != 0 {
		t.Errorf("%+v", q)
	}
	next := read[client.Hold](t, s.ask(t, "POST "+s.path()+"/holds", named(s.guest, "A-1", "A-2")).want(t, "201"))
	s.ask(t, "POST /v1/orders/"+order.ID+"/cancel", nil).want(t, "200")
	if s.ask(t, "POST "+s.path()+"/holds", named(s.guest, "A-1")).want(t, "409 seat_taken"); next.State != "active" {
		t.Error(next.State)
	}
	s.wantLedgerToVerify(t)
}

func TestSeats_doNotTellOfHiddenTicketTypes(t *testing.T) {
	t.Parallel()
	s := open(t).seated(t)
	body := object{"name": "Guest", "price": eur(0), "quotas": []string{"floor"}, "hidden": true}
	s.ask(t, "PUT "+s.path()+"/ticket_types/"+s.guest, body, s.bearer, ifMatch("*")).want(t, "200")
	seats := "GET " + s.path() + "/seats"
	own := read[client.SeatMap](t, s.ask(t, seats, nil, s.bearer).want(t, "200"))
	all := read[client.SeatMap](t, s.ask(t, seats, nil).want(t, "200"))
	if got := own.Categories[0].TicketTypeIDs; !slices.Equal(got, []string{s.floor, s.guest}) {
		t.Errorf("its organizer sees %v", got)
	}
	if got := all.Categories[0].TicketTypeIDs; !slices.Equal(got, []string{s.floor}) {
		t.Errorf("anybody sees %v", got)
	}
}

// wantLedgerToVerify adds the event's ledger up as `guichet ledger verify` does.
func (s *stage) wantLedgerToVerify(t testing.TB) {
	t.Helper()
	tally := &booking.Tally{}
	for line := range bytes.SplitSeq(bytes.TrimSpace(s.ask(t, "GET "+s.path()+"/ledger", nil, s.bearer).want(t, "200").body), []byte("\n")) {
		var row booking.LedgerRow
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		if row.Hash == "" {
			continue // the seal
		}
		if err := tally.Add(row); err != nil {
			t.Fatal(err)
		}
	}
	if e := s.now(t); e.Seated && len(tally.Seats) == 0 {
		t.Error("the ledger names no seats")
	} else {
		for _, q := range e.Quotas {
			qid, err := id.ParseQuota(q.ID)
			if told := tally.Quotas[qid]; err != nil || q.Size > 0 && (told == nil || told.Size != q.Size || told.Sold != q.Sold || told.Held != q.Held) {
				t.Errorf("the ledger adds up to %+v of quota %+v", told, q)
			}
		}
	}
}

func TestSeats_refusalsSayWhyAndWhere(t *testing.T) {
	t.Parallel()
	s := open(t).seated(t)
	holds := "POST " + s.path() + "/holds"
	kills, seating := "POST "+s.path()+"/seats/kills", "PUT "+s.path()+"/seating"
	before := s.rows(t)
	for _, c := range []struct {
		line string
		body any
		want string
	}{
		{holds, named(s.floor, "Z-9"), "422 unknown_seat /items/0/seat_ids/0"},
		{holds, named(s.floor, "A-1", "A-1"), "400 invalid_seat /items/0/seat_ids/1"},
		{holds, named(s.floor, "A-2"), "409 single_seat_gap"},
		{holds, named(s.floor, "B-2"), "422 companion_alone /items/0/seat_ids/0"},
		{holds, named(s.floor, "B-8"), "409 seat_taken"},
		{holds, named(s.both, "A-1", "A-2"), "422 no_seating /items/0/seat_ids"},
		{holds, object{"items": []object{{"ticket_type_id": s.floor, "quantity": 3, "seat_ids": []string{"A-1"}}}}, "400 invalid_quantity /items/0/quantity"},
		{holds, object{"items": []object{{"ticket_type_id": s.floor, "quantity": 1, "seats": []object{}}}}, "400 unknown_field /items/0/seats"},
		{holds, object{"items": []object{{"ticket_type_id": s.floor, "seat_ids": []string{"A-1"}, "section": "Parterre"}}}, "400 invalid_seat /items/0/seat_ids"},
		{holds, object{"items": []object{{"ticket_type_id": s.floor, "quantity": 1, "section": "Elsewhere"}}}, "422 unknown_section /items/0/section"},
		{holds, object{"items": []object{{"ticket_type_id": s.both, "quantity": 2, "accessible": true}}}, "422 no_seating /items/0/accessible"},
		{kills, object{"seat_ids": []string{}, "killed": true}, "400 invalid_seat /seat_ids"},
		{kills, object{"seat_ids": []string{"A-1", "Z"}, "killed": true}, "422 unknown_seat /seat_ids/1"},
		{kills, object{"seat_ids": []string{"B-8"}, "killed": true}, "409 seat_taken"},
		{seating, object{"plan": planOf("A", 2), "categories": []object{{"category": "Stalls", "ticket_types": []string{"Floor"}}}}, "409 invalid_state"}, // it is published
		{seating, object{"plan": object{"zones": []object{{"rows": []object{{"seats": []object{{"seat_guid": 1}}}}}}}}, "400 invalid_field /plan/zones/0/rows/0/seats/0/seat_guid"},
		{seating, object{"plan": object{"zones": []object{{"areas": []object{{"color": "url(x)"}}}}}}, "400 missing_field /plan/zones/0/areas/0/position"},
	} {
		if a := s.ask(t, c.line, c.body, s.bearer, ifMatch("*")); a.is() != c.want {
			t.Errorf("%s %s: %s, want %s: %s", c.line, show(t, c.body), a.is(), c.want, a.member("detail"))
		}
	}
	if after := s.rows(t); after != before {
		t.Errorf("refusals left\n%s\nwas\n%s", after, before)
	}
	plain := s.stage(t)
	plain.ask(t, "GET "+plain.path()+"/seats", nil).want(t, "422 no_seating")
	other := s.account(t, "Other")
	s.ask(t, kills, object{"seat_ids": []string{"A-1"}, "killed": true}, bearer(other.APIKey)).want(t, "404 event_not_found")
}

func TestSeats_bestAvailableIsPickedAndStaffTakeSeatsOut(t *testing.T) {
	t.Parallel()
	s := open(t).seated(t)
	kill := func(line string, body object, want int64) {
		t.Helper()
		if got := read[client.SeatsChanged](t, s.ask(t, "POST "+s.path()+"/seats/"+line, body, s.bearer).want(t, "200")); got.Changed != want {
			t.Errorf("%v changed %d", body, got.Changed)
		}
	}
	kill("kills", object{"seat_ids": []string{"A-4"}, "killed": true}, 1)
	kill("house", object{"seat_ids": []string{"B-8"}, "held": false}, 1)
	if q := s.quota(t, 0); q.Size != 15 || q.Allocated != 0 {
		t.Errorf("%+v", q)
	}
	hold := s.hold(t, s.floor, 2)
	if got := strings.Join(hold.Items[0].SeatIDs, " "); got != "B-4 B-5" && got != "A-5 A-6" && got != "A-2 A-3" {
		t.Errorf("best: %s", got)
	}
	access := read[client.Hold](t, s.ask(t, "POST "+s.path()+"/holds", object{"items": []object{{"ticket_type_id": s.guest, "quantity": 2, "accessible": true}}}).want(t, "201"))
	if got := strings.Join(access.Items[0].SeatIDs, " "); got != "B-1 B-2" {
		t.Errorf("accessible: %s", got)
	}
	kill("kills", object{"seat_ids": []string{"A-4"}, "killed": false}, 1)
	s.wantLedgerToVerify(t)
}

// A seat can be killed in the very transaction that sweeps the hold it was in: in between,
// the quota would hold more than its size.
func TestSeats_areKilledWithTheHoldThatHadThemAllBeingSwept(t *testing.T) {
	t.Parallel()
	s := open(t).seated(t)
	s.ask(t, "POST "+s.path()+"/seats/house", object{"seat_ids": []string{"B-8"}, "held": false}, s.bearer).want(t, "200")
	var all []string
	for n := range 16 {
		all = append(all, fmt.Sprintf("%c-%d", "AB"[n/8], n%8+1))
	}
	hold := read[client.Hold](t, s.ask(t, "POST "+s.path()+"/holds", named(s.guest, all...)).want(t, "201"))
	if q := s.quota(t, 0); q.Held != 16 || q.Free != 0 {
		t.Fatalf("%+v", q)
	}
	s.owned(t, "UPDATE booking.hold SET expires_at = clock_timestamp() - INTERVAL '1 second' WHERE hold_id = $1", hold.ID)
	s.ask(t, "POST "+s.path()+"/seats/kills", object{"seat_ids": all[:3], "killed": true}, s.bearer).want(t, "200")
	if q := s.quota(t, 0); q.Size != 13 || q.Held != 0 || q.Free != 13 {
		t.Errorf("%+v", q)
	}
	s.wantLedgerToVerify(t)
}

// A real house's plan is laid out as it comes, and sells; the test is skipped
// where the shared data are not.
func TestSeats_aRealTheatreOf738IsImported(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../shared/data/seatmaps/theatre_738_seats_pretix_format.json")
	if err != nil {
		t.Skip("the shared seating plan was NOT tested: it is not here")
	}
	s := open(t).stage(t, object{"publish": false, "ticket_types": []object{{"name": "Floor", "price": eur(4000), "quotas": []string{"floor"}, "max_per_order": 10}}, "quotas": []object{{"name": "floor", "size": 1}}})
	var plan object
	if err := json.Unmarshal(text, &plan); err != nil {
		t.Fatal(err)
	}
	var categories []object
	for i := range 5 {
		name := plan["categories"].([]any)[i].(object)["name"]
		categories = append(categories, object{"category": name, "ticket_types": []string{"Floor"}})
	}
	lay := object{"plan": plan, "categories": categories}
	s.ask(t, "PUT "+s.path()+"/seating", lay, s.bearer, ifMatch("*")).want(t, "400 invalid_event /plan/zones/0/rows/6/row_number")
	lay["tell_apart"] = true
	e := read[client.Event](t, s.ask(t, "PUT "+s.path()+"/seating", lay, s.bearer, ifMatch("*")).want(t, "200"))
	if e.Quotas[0].Size != 738 || !e.Seated {
		t.Errorf("%+v", e.Quotas)
	}
	s.ask(t, "POST "+s.path()+"/publish", nil, s.bearer).want(t, "200")
	if got := s.hold(t, s.floor, 6).Items[0].Seats; len(got) != 6 || got[0].Row != got[5].Row {
		t.Errorf("%+v", got)
	}
}

func TestSeatMaps_areReadOnceASecondAndOncePerEvent(t *testing.T) {
	t.Parallel()
	counted := &countedMaps{}
	s := open(t, func(h *house) {
		counted.SeatMaps = h.server.SeatMaps
		h.server.SeatMaps = counted
		h.server.Now = func() time.Time { return startsAt().AddDate(0, -2, 0) }
	}).seated(t)
	for range 20 {
		s.ask(t, "GET "+s.path()+"/seats", nil).want(t, "200")
	}
	if counted.n != 1 {
		t.Errorf("the seats were read %d times within one moment", counted.n)
	}
}

// countedMaps counts how often seats are read.
type countedMaps struct {
	api.SeatMaps
	n int
}

func (c *countedMaps) SeatMap(ctx context.Context, event id.Event) (booking.SeatMap, error) {
	c.n++
	return c.SeatMaps.SeatMap(ctx, event)
}
