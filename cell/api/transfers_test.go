package api_test

import (
	"slices"
	"strings"
	"testing"

	"guichet/cell/access"
	"guichet/cell/client"
	"guichet/cell/smtp/sink"
	"guichet/internal/limit"
)

func recipient(name, email string) object {
	return object{"to": object{"name": name, "email": email, "locale": "de"}}
}

// mailed is the ticket's id that the newest mail to an address links to.
func (s *stage) mailed(t testing.TB, box *sink.Sink, address string) string {
	t.Helper()
	got := box.Mails(address)
	if len(got) == 0 {
		t.Fatalf("no mail to %s", address)
	}
	scope, object, _ := access.Opens(tokenIn(t, linkIn.FindString(got[0].Text)))
	if scope != access.Ticket {
		t.Fatalf("no ticket in %s", got[0].Text)
	}
	return object
}

// A ticket goes from hand to hand. What each of them sees is his, and nobody sees
// anything by which he could come in as another, or touch what another paid.
func TestTransfer_showsEverybodyWhatIsHis(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	passes := &passes{}
	s.server.Wallets.Apple, s.server.Wallets.Google = passes, passes
	box, sender := s.mailroom(t)
	o := s.paid(t, s.floor, 2)
	pass(t, sender)
	old, kept := o.Tickets[0], o.Tickets[1]
	before := s.quota(t, 0)
	path := "POST /v1/tickets/" + old.ID + "/transfer"
	given := s.ask(t, path, recipient("Bob", "bob@example.org"), key("give")).want(t, "201")
	if got := read[client.Transfer](t, given); got.TicketID != old.ID || got.EventID != s.event.ID || got.State != "transferred" || got.To != (client.Given{Name: "Bob", Email: "b…@example.org"}) || got.At.IsZero() {
		t.Errorf("%+v", got)
	}
	again := s.ask(t, path, recipient("Bob", "bob@example.org"), key("give")).want(t, "201")
	if string(again.body) != string(given.body) || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("repeated: %s", again.body)
	}
	s.ask(t, path, recipient("Eve", "eve@example.org"), key("give")).want(t, "422 idempotency_key_reused")
	s.ask(t, path, recipient("Eve", "eve@example.org")).want(t, "409 ticket_transferred")
	pass(t, sender)

	bobs := s.mailed(t, box, "bob@example.org")
	mail := box.Mails("bob@example.org")
	if len(mail) != 1 || mail[0].Language != "de" || len(mail[0].Files) != 2 || !strings.HasPrefix(string(mail[0].Files[0].Content), "%PDF-") || !strings.Contains(mail[0].Text, "Ana Lívia hat Ihnen diese Karte gegeben") {
		t.Fatalf("%d mails, %+v", len(mail), mail)
	}
	for _, secret := range []string{o.ID, old.ID, "EUR", "ana@example.org"} {
		if strings.Contains(mail[0].Text+mail[0].HTML+string(mail[0].Files[1].Content), secret) {
			t.Errorf("Bob is told %s:\n%s", secret, mail[0].Text)
		}
	}
	told := box.Mails("ana@example.org")
	if len(told) != 2 || !strings.Contains(told[0].Text, "Bob") || strings.Contains(told[0].Text, bobs) || len(told[0].Files) != 0 {
		t.Errorf("%d mails, %s", len(told), told[0].Text)
	}

	s.ask(t, "POST /v1/orders/"+o.ID+"/resend", nil).want(t, "202")
	pass(t, sender)
	if pages := strings.Count(string(box.Mails("ana@example.org")[0].Files[0].Content), "/Type /Page\n"); pages != 1 {
		t.Errorf("of her two tickets %d are mailed to her again", pages)
	}
	// Bob has the ticket, and nothing of the order.
	ticket := s.ask(t, "GET /v1/tickets/"+bobs, nil).want(t, "200")
	if k := read[client.Ticket](t, ticket); k.State != "valid" || k.Attendee != "Bob" || k.OrderID != "" || k.Barcode == "" || k.Barcode == old.Barcode || k.Transferred != nil || strings.Contains(string(ticket.body), o.ID) {
		t.Errorf("%s", ticket.body)
	}
	for _, ending := range []string{".pdf", ".png", ".ics", ".pkpass", "/google_wallet"} {
		s.ask(t, "GET /v1/tickets/"+bobs+ending, nil).want(t, "200")
		s.ask(t, "GET /v1/tickets/"+old.ID+ending, nil).want(t, "409 ticket_transferred")
	}
	// The old id says where it went; the buyer's views say no more.
	dead := s.ask(t, "GET /v1/tickets/"+old.ID, nil).want(t, "200")
	if k := read[client.Ticket](t, dead); k.State != "canceled" || k.Barcode != "" || k.Transferred == nil || k.Transferred.To != "Bob" {
		t.Errorf("%s", dead.body)
	}
	organizers := s.ask(t, "GET "+s.path()+"/orders", nil, s.bearer).want(t, "200")
	for _, view := range []answer{
		dead, s.ask(t, "GET /v1/orders/"+o.ID, nil).want(t, "200"), s.ask(t, "GET /v1/orders/"+o.ID+"/tickets", nil).want(t, "200"),
	} {
		if text := string(view.body); strings.Contains(text, bobs) || strings.Contains(text, read[client.Ticket](t, ticket).Barcode) || strings.Contains(text, "bob@") || !strings.Contains(text, `"to":"Bob"`) {
			t.Errorf("%s: %s", view.line, text)
		}
	}
	if now := s.look(t, o.ID).Tickets; len(now) != 2 || now[0].ID != old.ID || now[0].State != "canceled" || now[1].Barcode != kept.Barcode {
		t.Errorf("%+v", now)
	}
	// The organizer sees who comes.
	if text := string(organizers.body); !strings.Contains(text, bobs) || strings.Contains(text, old.ID) {
		t.Errorf("%s", text)
	}
	if csv := string(s.ask(t, "GET "+s.path()+"/attendees.csv", nil, s.bearer).want(t, "200").body); !strings.Contains(csv, bobs+",Floor,Bob,Ana Lívia,") || strings.Contains(csv, old.ID) || strings.Count(csv, "\n") != 3 {
		t.Errorf("%s", csv)
	}
	if after := s.quota(t, 0); after != before {
		t.Errorf("stock was %+v and is %+v", before, after)
	}
	list := read[client.Revocations](t, s.ask(t, "GET "+s.path()+"/revocations", nil).want(t, "200"))
	if len(list.Items) != 1 {
		t.Errorf("%d revocations", len(list.Items))
	}

	// The organizer takes Bob's ticket back: he learns of it, she gets the money.
	s.ask(t, "POST /v1/orders/"+o.ID+"/refunds", object{"items": []object{{"ticket_id": bobs}}}, s.bearer).want(t, "201")
	pass(t, sender)
	if got := box.Mails("bob@example.org"); len(got) != 2 || !strings.Contains(got[0].Subject, "gilt nicht mehr") {
		t.Errorf("%d mails: %s", len(got), got[0].Subject)
	}
	s.ask(t, "GET /v1/tickets/"+bobs+".pdf", nil).want(t, "409 invalid_state")
	s.ask(t, "POST /v1/tickets/"+bobs+"/transfer", recipient("Eve", "eve@example.org")).want(t, "409 invalid_state")
	s.settled(t)
}

// "Find my tickets" of who was given one, and of who gave it.
func TestTransfer_isFoundByWhoHasIt(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	box, sender := s.mailroom(t)
	o := s.paid(t, s.guest, 1)
	s.ask(t, "POST /v1/tickets/"+o.Tickets[0].ID+"/transfer", recipient("Bob", "bob@example.org")).want(t, "201")
	pass(t, sender)
	bobs := s.mailed(t, box, "bob@example.org")
	found := func(address string) (client.Found, string) {
		t.Helper()
		s.ask(t, "POST /v1/tickets/find", object{"email": address}).want(t, "202")
		pass(t, sender)
		link := linkIn.FindString(box.Mails(address)[0].Text)
		page, to := s.openLink(t, link)
		return read[client.Found](t, s.ask(t, "GET /v1/tickets/found", nil, bearer(tokenIn(t, link))).want(t, "200")), page(to)
	}
	his, page := found("bob@example.org")
	if len(his.Items) != 0 || len(his.Tickets) != 1 || his.Tickets[0].ID != bobs || his.Tickets[0].OrderID != "" || !strings.Contains(page, "/v1/tickets/"+bobs+".pdf") || strings.Contains(page, o.Code) {
		t.Errorf("%+v\n%s", his, page)
	}
	hers, page := found("ana@example.org")
	if len(hers.Items) != 1 || len(hers.Tickets) != 0 || hers.Items[0].Tickets[0].Transferred == nil || strings.Contains(page, bobs) || !strings.Contains(page, "given to Bob") {
		t.Errorf("%+v\n%s", hers, page)
	}
	s.ask(t, "POST /v1/orders/"+o.ID+"/resend", nil).want(t, "409 invalid_state")
	s.ask(t, "POST /v1/tickets/"+bobs+"/transfer", recipient("Cy", "cy@example.org")).want(t, "201")
	pass(t, sender)
	if got := box.Mails("bob@example.org"); len(got) != 3 || !strings.Contains(got[0].Text, "Cy") {
		t.Errorf("%d mails: %s", len(got), got[0].Text)
	}
	s.ask(t, "POST /v1/tickets/find", object{"email": "bob@example.org"}).want(t, "202")
	pass(t, sender)
	if got := box.Mails("bob@example.org"); len(got) != 3 {
		t.Errorf("Bob has no tickets any more, and %d mails", len(got))
	}
}

func TestTransfer_refusals(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	o := s.paid(t, s.floor, 4)
	at := func(k client.Ticket) string { return "POST /v1/tickets/" + k.ID + "/transfer" }
	good := recipient("Bob", "bob@example.org")
	other := bearer(s.account(t, "Other").APIKey)
	before := s.rows(t)
	_, order := strangers()
	s.ask(t, "POST /v1/tickets/"+strings.Replace(order, "ord_", "tkt_", 1)+"/transfer", good).want(t, "404 ticket_not_found")
	s.ask(t, "POST /v1/tickets/nonsense/transfer", good).want(t, "400 invalid_id")
	s.ask(t, at(o.Tickets[0]), good, withoutKey).want(t, "400 idempotency_key_required")
	for pointer, body := range map[string]object{
		"/to/name": recipient(" ", "b@example.org"), "/to/email": recipient("B", "b"), "/to/email ": recipient("A", "ANA@example.org"),
		"/to/locale": {"to": object{"name": "B", "email": "b@example.org", "locale": "d\n"}},
	} {
		if got := s.ask(t, at(o.Tickets[0]), body).is(); got != "400 invalid_order "+strings.TrimSpace(pointer) && !(strings.HasSuffix(pointer, " ") && strings.HasPrefix(got, "400 invalid_order /to/")) {
			t.Errorf("%v: %s", body, got)
		}
	}
	s.ask(t, at(o.Tickets[0]), object{"to": object{}}).want(t, "400 missing_field /to/name")
	s.ask(t, at(o.Tickets[0]), object{}).want(t, "400 missing_field /to")
	for i, state := range []string{"checked_in", "canceled", "revoked"} {
		s.set(t, o.Tickets[i], state)
		a := s.ask(t, at(o.Tickets[i]), good).want(t, "409 invalid_state")
		if a.member("state") != `"`+state+`"` {
			t.Errorf("%s", a.body)
		}
		s.set(t, o.Tickets[i], "valid")
	}
	s.owned(t, `UPDATE payment.payment SET state = 'disputed' WHERE order_id = $1`, o.ID)
	s.owned(t, `INSERT INTO payment.dispute (dispute_id, order_id, event_id, intent_id, amount, currency, state, reason, blocked) VALUES ('dp_1', $1, '', '', 1, 'EUR', 'open', '', '{}')`, o.ID)
	s.ask(t, at(o.Tickets[0]), good).want(t, "409 payment_disputed")
	s.owned(t, `UPDATE payment.dispute SET state = 'won' WHERE order_id = $1`, o.ID)
	policy := s.path() + "/transfer_policy"
	s.ask(t, "GET "+policy, nil).want(t, "200").looks(t, `{"transfers":"allowed"}`)
	s.ask(t, "PUT "+policy, object{"transfers": "perhaps"}, s.bearer).want(t, "400 invalid_transfer_policy /transfers")
	s.ask(t, "PUT "+policy, object{}, s.bearer).want(t, "400 missing_field /transfers")
	s.ask(t, "PUT "+policy, object{"transfers": "forbidden"}).want(t, "401 unauthorized")
	s.ask(t, "PUT "+policy, object{"transfers": "forbidden"}, other).want(t, "404 event_not_found")
	if after := s.rows(t); after != before {
		t.Errorf("refused transfers left\n%s\nwas\n%s", after, before)
	}
	s.ask(t, "PUT "+policy, object{"transfers": "forbidden"}, s.bearer).want(t, "200").looks(t, `{"transfers":"forbidden"}`)
	s.ask(t, "GET "+policy, nil).want(t, "200").looks(t, `{"transfers":"forbidden"}`)
	s.ask(t, at(o.Tickets[0]), good).want(t, "403 transfer_not_allowed")
	s.ask(t, "PUT "+policy, object{"transfers": "allowed"}, s.bearer).want(t, "200")
	s.owned(t, `UPDATE checkout.ticket SET transfers = 5 WHERE ticket_id = $1`, o.Tickets[3].ID)
	if a := s.ask(t, at(o.Tickets[3]), good).want(t, "422 transfer_limit"); a.member("limit") != "5" {
		t.Errorf("%s", a.body)
	}
	s.owned(t, `UPDATE checkout.ticket SET transfers = 0 WHERE ticket_id = $1`, o.Tickets[3].ID)
	s.owned(t, `UPDATE booking.event SET starts_at = clock_timestamp() - INTERVAL '2 days', ends_at = NULL WHERE event_id = $1`, s.event.ID)
	s.ask(t, at(o.Tickets[0]), good).want(t, "409 event_over")
}

func (s *stage) owned(t testing.TB, sql string, args ...any) {
	t.Helper()
	if tag, err := s.owner.Pool.Exec(t.Context(), sql, args...); err != nil || tag.RowsAffected() != 1 {
		t.Fatal(sql, tag.RowsAffected(), err)
	}
}

func (s *stage) set(t testing.TB, k client.Ticket, state string) {
	t.Helper()
	s.owned(t, `UPDATE checkout.ticket SET state = $2 WHERE ticket_id = $1`, k.ID, state)
}

// Canceling an event ends tickets that were given on, and refuses more of it.
func TestTransfer_ofACanceledEventIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	o := s.paid(t, s.guest, 1)
	s.ask(t, "POST "+s.path()+"/cancel", nil, s.bearer).want(t, "200")
	if got := s.ask(t, "POST /v1/tickets/"+o.Tickets[0].ID+"/transfer", recipient("Bob", "bob@example.org")).is(); !slices.Contains([]string{"409 event_over", "409 invalid_state"}, got) {
		t.Error(got)
	}
}

// Nobody's mailbox is flooded, whoever has many tickets.
func TestTransfer_isLimitedPerRecipient(t *testing.T) {
	t.Parallel()
	s := open(t, func(h *house) { h.server.Limits.Buyer = limit.Rate{PerMinute: 1, Burst: 1} }).stage(t)
	o := s.paid(t, s.guest, 3)
	give := func(n int, email string) answer {
		t.Helper()
		return s.ask(t, "POST /v1/tickets/"+o.Tickets[n].ID+"/transfer", recipient("Bob", email))
	}
	give(0, "bob@example.org").want(t, "201")
	if a := give(1, "BOB@example.org").want(t, "429 too_many_requests"); a.header.Get("Retry-After") == "" {
		t.Error("no word on when to come back")
	}
	give(2, "cy@example.org").want(t, "201")
}
