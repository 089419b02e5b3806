package api_test

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"guichet/cell/api"
	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/cell/search"
	"guichet/internal/txn"
)

// tell lets the sagas and the mail room work until nothing is left.
func (s *stage) tell(t *testing.T, sender *notify.Sender) {
	t.Helper()
	s.settled(t)
	eventually(t, "all sagas of the move have ended", func() bool {
		if _, err := s.server.Checkout.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		var open int
		if err := s.store.DB.Pool.QueryRow(t.Context(), "SELECT count(*) FROM saga.run WHERE status = 'running' AND name = 'event-reschedule'").Scan(&open); err != nil {
			t.Fatal(err)
		}
		return open == 0
	})
	pass(t, sender)
}

func field(t testing.TB, ics []byte, name string) string {
	t.Helper()
	text := strings.ReplaceAll(string(ics), "\r\n ", "")
	found := regexp.MustCompile(`(?m)^` + name + `:(.*?)\r?$`).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no %s in\n%s", name, text)
	}
	return found[1]
}

// An event that is sold is moved in time and place: it says so with what was, everybody
// who has a ticket is told once, in his language and with a date that replaces the old
// one, may give it back in spite of the policy, and the search shows the new date.
func TestReschedule_tellsBuyersOnceAndGivesThemTheRightToARefund(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t, policy("none"))
	box, sender := s.mailroom(t)
	o := s.paid(t, s.floor, 3)
	s.ask(t, "POST /v1/tickets/"+o.Tickets[0].ID+"/transfer", recipient("Bob", "bob@example.org")).want(t, "201")
	pass(t, sender)
	paper := box.Mails("ana@example.org")
	var old []byte
	for _, m := range paper { // mails leave in any order
		if len(m.Files) == 2 {
			old = m.Files[1].Content
		}
	}
	s.ask(t, "POST /v1/orders/"+o.ID+"/cancel", nil).want(t, "403 refund_not_allowed")

	before := len(paper)
	later := startsAt().AddDate(0, 0, 7)
	venue := object{"name": "Olympia", "address": "28 bd des Capucines", "city": "Paris", "country": "FR", "location": nil}
	moved := read[client.Event](t, s.patch(t, object{"starts_at": later, "venue": venue}).want(t, "200"))
	r := moved.Rescheduled
	if moved.State != "rescheduled" || r == nil || r.Number != 1 || !r.From.StartsAt.Equal(startsAt()) || r.From.Venue.Name != "Salle Pleyel" || moved.Venue.Name != "Olympia" || !moved.StartsAt.Equal(later) {
		t.Fatalf("%+v, %+v", moved, r)
	}
	if window := r.RefundableUntil.Sub(r.At); window != booking.RefundWindow {
		t.Errorf("the right lasts %s", window)
	}
	if seen := read[client.Event](t, s.ask(t, "GET "+s.path(), nil).want(t, "200")); seen.State != "rescheduled" || *seen.Rescheduled != *r && !seen.Rescheduled.At.Equal(r.At) {
		t.Errorf("%+v", seen)
	}
	bought := s.paid(t, s.floor, 1) // afterwards: by the policy, and he was told the new date
	s.tell(t, sender)

	mails := box.Mails("ana@example.org")
	if len(mails) != before+2 { // of her second order only the tickets
		t.Errorf("%d mails more", len(mails)-before)
	}
	his := box.Mails("bob@example.org")
	if len(his) != 2 || !strings.Contains(his[0].Subject+his[1].Subject, "Neuer Termin oder Ort") || !strings.Contains(his[0].Text+his[1].Text, "Olympia") || strings.Contains(his[0].Text+his[1].Text, o.ID) {
		t.Fatalf("%d mails to Bob: %s", len(his), his[0].Text)
	}
	var told *struct {
		text string
		ics  []byte
	}
	for _, m := range mails {
		if strings.Contains(m.Text, o.Code) && strings.Contains(m.Subject, "New date") {
			told = &struct {
				text string
				ics  []byte
			}{m.Subject + m.Text, m.Files[0].Content}
		}
	}
	if told == nil || !strings.Contains(told.text, "New date or place") || !strings.Contains(told.text, "Old place: Salle Pleyel") || !strings.Contains(told.text, "Refundable until") {
		t.Fatalf("%+v", told)
	}
	if field(t, told.ics, "UID") != field(t, old, "UID") || field(t, told.ics, "DTSTART") != later.Format("20060102T150405Z") || !strings.Contains(field(t, told.ics, "LOCATION"), "Olympia") {
		t.Errorf("%s", told.ics)
	}
	was, err := strconv.Atoi(field(t, old, "SEQUENCE"))
	if err != nil {
		t.Fatal(err)
	}
	if is, err := strconv.Atoi(field(t, told.ics, "SEQUENCE")); err != nil || is <= was {
		t.Errorf("SEQUENCE %d after %d, %v", is, was, err)
	}
	s.tell(t, sender)
	if again := box.Mails("ana@example.org"); len(again) != len(mails) {
		t.Errorf("told again: %s", again[0].Subject)
	}

	// The search follows.
	eid, err := id.ParseEvent(s.event.ID)
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.store.Event(t.Context(), txn.None, eid)
	if err != nil {
		t.Fatal(err)
	}
	s.announce(t, search.NewDocument(api.EventView(e, here, hereRegion, false), true))
	found := read[client.Listings](t, s.ask(t, "GET /v1/events?q=Nuit&from="+later.AddDate(0, 0, -1).Format(time.DateOnly), nil).want(t, "200"))
	if len(found.Items) != 1 || !found.Items[0].Rescheduled || !found.Items[0].StartsAt.Equal(later) || found.Items[0].Venue.Name != "Olympia" {
		t.Errorf("%+v", found.Items)
	}
	if text, err := json.Marshal(found); err != nil || strings.Contains(string(text), "Pleyel") {
		t.Errorf("%s", text)
	}

	// Who bought before may give everything back, whatever the policy says; who bought after, may not.
	if now := s.look(t, bought.ID); now.Refundable.Amount != 0 || now.RefundableUntil != nil {
		t.Errorf("%+v", now)
	}
	s.ask(t, "POST /v1/orders/"+bought.ID+"/cancel", nil).want(t, "403 refund_not_allowed")
	one := object{"items": []object{{"ticket_id": o.Tickets[1].ID}}}
	if now := read[client.Order](t, s.ask(t, "POST /v1/orders/"+o.ID+"/refunds", one).want(t, "201")); now.State != "paid" || now.Kept != nil {
		t.Errorf("%+v", now)
	}
	s.owned(t, `UPDATE booking.event SET rescheduled = jsonb_set(rescheduled, '{at}', to_jsonb(clock_timestamp() - INTERVAL '14 days')), version = version + 1 WHERE event_id = $1`, s.event.ID)
	s.owned(t, `UPDATE checkout.orders SET created_at = created_at - INTERVAL '20 days' WHERE order_id = $1`, o.ID)
	s.ask(t, "POST /v1/orders/"+o.ID+"/refunds", object{"items": []object{{"ticket_id": o.Tickets[2].ID}}}).want(t, "403 refund_not_allowed")
	s.settled(t)
}

func TestReschedule_isRefusedIntoThePastAndForWhatDoesNotTakePlace(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	s.paid(t, s.guest, 1)
	before := s.rows(t)
	s.patch(t, object{"starts_at": time.Now().Add(-time.Hour).Truncate(time.Second)}).want(t, "422 event_in_past /starts_at")
	s.patch(t, object{"starts_at": time.Now().Add(-48 * time.Hour).Truncate(time.Second), "ends_at": time.Now().Add(-time.Hour).Truncate(time.Second)}).want(t, "422 event_in_past /starts_at")
	if after := s.rows(t); after != before {
		t.Errorf("refused changes left\n%s\nwas\n%s", after, before)
	}
	if e := read[client.Event](t, s.patch(t, object{"summary": "sold as before"}).want(t, "200")); e.State != "published" || e.Rescheduled != nil {
		t.Errorf("%+v", e)
	}
	s.ask(t, "POST "+s.path()+"/cancel", nil, s.bearer).want(t, "200")
	a := s.patch(t, object{"starts_at": startsAt().AddDate(0, 0, 1)}).want(t, "409 invalid_state")
	if a.member("state") != `"canceled"` {
		t.Errorf("%s", a.body)
	}
	var told int
	if err := s.store.DB.Pool.QueryRow(t.Context(), "SELECT count(*) FROM saga.run WHERE name = 'event-reschedule'").Scan(&told); err != nil || told != 0 {
		t.Errorf("%d, %v", told, err)
	}
}

// Nobody has bought: it just takes place at another time, and nothing is said.
func TestReschedule_ofAnEventWithoutBuyersIsNoNews(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	if e := read[client.Event](t, s.patch(t, object{"starts_at": startsAt().AddDate(0, 0, 1)}).want(t, "200")); e.State != "published" || e.Rescheduled != nil {
		t.Errorf("%+v", e)
	}
}
