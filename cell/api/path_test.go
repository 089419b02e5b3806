package api_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"guichet/cell/catalog"
	"guichet/cell/client"
	"guichet/cell/search"
)

// A new user's whole way, over HTTP alone: he imports a file, sells, gives one ticket
// back with its credit note, moves the date, and cancels. In the end the books are even,
// the stock is what it was, and everybody was told.
func TestPath_ofANewUserFromImportToCancellation(t *testing.T) {
	t.Parallel()
	h := open(t)
	box, sender := h.mailroom(t)
	s := &stage{house: h, org: h.account(t, "Stadtpark")}
	s.bearer = bearer(s.org.APIKey)
	day := startsAt().Format(time.DateOnly)

	// Import.
	file := "id;name;category;venue;city;country;lat;lon;capacity;starts_at;minutes;currency;quotas;ticket_types\n" +
		"a1;Sommernacht;music;Stadtpark;Wien;AT;48.204;16.379;500;" + day + " 20:30;120;EUR;Wiese=500;Wiese|18.50\n"
	_, err := catalog.Read(t.Context(), "csv", []catalog.File{{Name: "season.csv", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(file)), nil }}},
		catalog.Options{Now: time.Now()}, func(row catalog.Row) error {
			if row.Err != nil {
				return row.Err
			}
			s.event = read[client.Event](t, h.ask(t, "POST /v1/organizers/"+s.org.ID+"/events", row.Event, s.bearer, key(row.Key)).want(t, "201"))
			return nil
		})
	if err != nil || s.event.State != "published" || len(s.event.TicketTypes) != 1 {
		t.Fatalf("%+v, %v", s.event, err)
	}
	s.floor = s.event.TicketTypes[0].ID
	s.ask(t, "PUT "+s.path()+"/order_form", object{"seller": object{"name": "Stadtpark GmbH", "address": "Wien", "tax_id": "ATU1"}}, s.bearer).want(t, "200")

	// Event: its organizer has it in his list, and an attendee finds it under another of its city's names.
	if own := s.owns(t, "q=sommer"); len(own.Items) != 1 || own.Items[0].ID != s.event.ID {
		t.Errorf("%+v", own)
	}
	public := read[client.Event](t, s.ask(t, "GET "+s.path(), nil).want(t, "200"))
	s.announce(t, search.NewDocument(public, true))
	if found := read[client.Listings](t, s.ask(t, "GET /v1/events?city=Vienna&price_max=1850&currency=EUR", nil).want(t, "200")); len(found.Items) != 1 || found.Items[0].ID != s.event.ID {
		t.Errorf("%+v", found)
	}

	// Order.
	order := s.paid(t, s.floor, 3)
	pass(t, sender)
	if order.Total.Amount != 5550 || len(order.Tickets) != 3 || len(box.Mails("ana@example.org")) != 1 {
		t.Fatalf("%+v, %d mails", order, len(box.Mails("ana@example.org")))
	}
	at := "/v1/orders/" + order.ID
	s.ask(t, "GET "+at+"/invoice.pdf", nil).want(t, "200")

	// Partial refund, and its credit note.
	part := read[client.Order](t, s.ask(t, "POST "+at+"/refunds", object{"items": []object{{"ticket_id": order.Tickets[1].ID}}, "reason": "ill"}, s.bearer).want(t, "201"))
	if part.State != "paid" || part.RefundStatus != "partial" || part.Refund == nil || part.Refund.Amount.Amount != 1850 {
		t.Errorf("%+v", part)
	}
	if note := s.ask(t, "GET "+at+"/credit_notes/1.pdf", nil).want(t, "200"); !bytes.HasPrefix(note.body, []byte("%PDF-")) {
		t.Errorf("%.40q", note.body)
	}
	if q := s.quota(t, 0); q.Sold != 2 || q.Free != 498 {
		t.Errorf("%+v", q)
	}

	// Reschedule.
	later := s.event.StartsAt.AddDate(0, 0, 7).UTC()
	moved := read[client.Event](t, s.ask(t, "PATCH "+s.path(), object{"starts_at": later, "ends_at": later.Add(2 * time.Hour)}, s.bearer, ifMatch("*")).want(t, "200"))
	if r := moved.Rescheduled; moved.State != "rescheduled" || r == nil || !r.From.StartsAt.Equal(s.event.StartsAt) || !moved.StartsAt.Equal(later) {
		t.Errorf("it starts at %s, want %s: %+v", moved.StartsAt, later, r)
	}
	before := len(box.Mails("ana@example.org"))
	s.tell(t, sender)
	told := 0
	for _, m := range box.Mails("ana@example.org") {
		told += strings.Count(m.Subject, "New date or place")
	}
	if told != 1 {
		t.Errorf("the buyer was told %d times that it was moved", told)
	}
	if own := s.owns(t, "state=rescheduled"); len(own.Items) != 1 || len(s.owns(t, "state=published").Items) != 1 || len(s.owns(t, "state=draft").Items) != 0 {
		t.Errorf("%+v", own)
	}
	s.announce(t, search.NewDocument(read[client.Event](t, s.ask(t, "GET "+s.path(), nil).want(t, "200")), true))
	if found := read[client.Listings](t, s.ask(t, "GET /v1/events?city=Vienne&country=AT", nil).want(t, "200")); len(found.Items) != 1 || !found.Items[0].StartsAt.Equal(later) {
		t.Errorf("search still says %+v", found.Items)
	}
	if date := s.ask(t, "GET /v1/tickets/"+order.Tickets[0].ID+".ics", nil).want(t, "200"); !strings.Contains(string(date.body), moved.StartsAt.Format("20060102T150405")) && !strings.Contains(string(date.body), later.Format("20060102T150405")) {
		t.Errorf("the ticket's date: %s", date.body)
	}

	// Cancel.
	s.ask(t, "POST "+s.path()+"/cancel", nil, s.bearer).want(t, "200")
	eventually(t, "every order is given back", func() bool {
		if _, err := s.server.Checkout.Runs.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s.look(t, order.ID).State == "canceled"
	})
	s.settled(t)
	pass(t, sender)
	s.wantEverythingEven(t, order)
	if mails := box.Mails("ana@example.org"); len(mails) < before+2 {
		t.Errorf("%d mails: the buyer was not told that it is canceled", len(mails))
	}
}

// wantEverythingEven looks at an event whose orders all were given back.
func (s *stage) wantEverythingEven(t *testing.T, order client.Order) {
	t.Helper()
	at := "/v1/orders/" + order.ID
	given := int64(0)
	backs := read[struct {
		Items []client.Refund `json:"items"`
		Next  *string         `json:"next_cursor"`
	}](t, s.ask(t, "GET "+at+"/refunds", nil).want(t, "200"))
	for _, b := range backs.Items {
		given += b.Amount.Amount
	}
	end := s.look(t, order.ID)
	if end.RefundStatus != "full" || given != order.Total.Amount || len(backs.Items) != 2 {
		t.Errorf("%s refunded, %d in %d refunds of %d", end.RefundStatus, given, len(backs.Items), order.Total.Amount)
	}
	s.ask(t, "GET "+at+"/credit_notes/2.pdf", nil).want(t, "200")
	s.ask(t, "GET "+at+"/credit_notes/3.pdf", nil).want(t, "404 paper_not_found")
	for _, ticket := range end.Tickets {
		if ticket.State != "canceled" {
			t.Errorf("%+v", ticket)
		}
	}
	stats := read[client.Stats](t, s.ask(t, "GET "+s.path()+"/stats", nil, s.bearer).want(t, "200"))
	if q := stats.Quotas[0]; q.Held != 0 || q.Sold != 0 || stats.Revenue.Amount != 0 || stats.Orders["canceled"] != 1 {
		t.Errorf("%+v", stats)
	}
	s.wantLedgerToVerify(t)
	if list := s.ask(t, "GET "+s.path()+"/attendees.csv", nil, s.bearer).want(t, "200"); bytes.Count(list.body, []byte("\n")) != 1 {
		t.Errorf("somebody still comes: %s", list.body)
	}
	s.ask(t, "POST "+s.path()+"/holds", items(s.floor, 1)).want(t, "409 not_on_sale")
}
