package api_test

import (
	"strconv"
	"strings"
	"testing"

	"guichet/cell/api"
	"guichet/cell/client"
	"guichet/cell/notify"
)

// capped is a stage from which strangers may cause so many mails to one address.
func capped(t *testing.T, caps notify.Caps) *stage {
	t.Helper()
	return open(t, func(h *house) {
		mails := &notify.Service{Queue: h.store, Caps: caps}
		h.server.Mails, h.server.Checkout.Notifier = mails, mails
	}).stage(t)
}

func (s *stage) orderFor(t *testing.T, tid, email string) answer {
	t.Helper()
	return s.ask(t, "POST /v1/orders", object{"hold_id": s.hold(t, tid, 1).ID, "buyer": object{"email": email, "name": "Ana"}})
}

// All that strangers can cause counts together, however the address is spelled; what
// is paid for goes out all the same.
func TestMails_thatStrangersCauseAreLimitedOverAllCauses(t *testing.T) {
	t.Parallel()
	s := capped(t, notify.Caps{PerHour: 4, PerDay: 10})
	box, sender := s.mailroom(t)
	const victim = "victim@müller.example"
	bought := read[client.Order](t, s.orderFor(t, s.guest, "eve@example.org").want(t, "201")) // a ticket to give away
	more := read[client.Order](t, s.orderFor(t, s.guest, "eve2@example.org").want(t, "201"))

	free := read[client.Order](t, s.orderFor(t, s.guest, "Victim+1@MÜLLER.example").want(t, "201"))
	s.ask(t, "POST /v1/tickets/"+s.ticketOf(t, bought)+"/transfer", recipient("Vic", "victim+2@xn--mller-kva.example")).want(t, "201")
	s.ask(t, "POST /v1/orders/"+free.ID+"/resend", nil).want(t, "202")
	s.ask(t, "POST /v1/tickets/find", object{"email": "VICTIM+3@müller.example"}).want(t, "202")
	for what, a := range map[string]answer{
		"order":    s.orderFor(t, s.guest, "victim+5@müller.example"),
		"transfer": s.ask(t, "POST /v1/tickets/"+s.ticketOf(t, more)+"/transfer", recipient("Vic", victim)),
		"resend":   s.ask(t, "POST /v1/orders/"+free.ID+"/resend", nil),
	} {
		if a.want(t, "429 mail_limit"); a.header.Get("Retry-After") == "" || a.member("limit_of") != `"buyer"` {
			t.Errorf("%s: Retry-After %q, %s", what, a.header.Get("Retry-After"), a.body)
		}
	}
	s.ask(t, "POST /v1/tickets/find", object{"email": victim}).want(t, "202") // says nothing, as always
	s.orderFor(t, s.guest, "other@müller.example").want(t, "201")

	paying := read[client.Order](t, s.orderFor(t, s.floor, victim).want(t, "201"))
	s.confirm(t, paying.Payment.ClientSecret, "pm_card_visa")
	eventually(t, "the order is paid", func() bool { return s.look(t, paying.ID).State == "paid" })
	for range 4 {
		pass(t, sender)
	}
	got := 0
	for _, m := range box.Mails("") {
		if strings.HasPrefix(strings.ToLower(m.To[0]), "victim") {
			got++
			if !strings.Contains(m.To[0], "@xn--mller-kva.example") {
				t.Errorf("mailed to %s", m.To)
			}
		}
	}
	if got < 4 || got > 5 { // the search may have found nothing to tell
		t.Errorf("the victim got %d mails", got)
	}
	if len(box.Mails(victim)) == 0 && len(box.Mails("victim@xn--mller-kva.example")) == 0 {
		t.Error("the tickets that were paid for did not leave")
	}
}

func (s *stage) ticketOf(t *testing.T, o client.Order) string {
	t.Helper()
	return read[api.Page[client.Ticket]](t, s.askRaw(t, "GET /v1/orders/"+o.ID+"/tickets", nil).want(t, "200")).Items[0].ID
}

// Whoever cancels an order that he never paid knows it; the address may be another's.
func TestMail_ofAnOrderThatWasNeverPaidIsNotSentWhenItsMakerCancels(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	box, sender := s.mailroom(t)
	for range 3 {
		o := s.order(t, s.hold(t, s.floor, 1))
		s.ask(t, "POST /v1/orders/"+o.ID+"/cancel", nil).want(t, "200")
		eventually(t, "the cancellation is over", func() bool {
			return s.count(t, "saga.run WHERE run_id = 'cancel:"+o.ID+"' AND ended_at IS NOT NULL") == 1
		})
	}
	pass(t, sender)
	if got := box.Mails(""); len(got) != 0 {
		t.Errorf("%d mails, the first is %q", len(got), got[0].Subject)
	}
	if n := s.count(t, "notify.message"); n != 0 {
		t.Errorf("%d mails wait", n)
	}
	o := s.order(t, s.hold(t, s.floor, 1)) // the organizer does it: then its buyer does not know yet
	s.ask(t, "POST /v1/orders/"+o.ID+"/cancel", nil, s.bearer).want(t, "200")
	eventually(t, "its buyer is told", func() bool { return s.count(t, "notify.message WHERE kind = 'order_canceled'") == 1 })
}

// A stranger's greeting holds no link, wherever a name comes in.
func TestNames_inGreetingsHoldNoLinks(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	hold, given := s.hold(t, s.guest, 2), s.ticketOf(t, s.paid(t, s.guest, 1))
	for i, name := range []string{"Win at https://evil.example", "www.evil.example", "evil.com", "e\u200bvil.com", "evil\u2060.com", "evil。com", "Ana\u202e", "пример.рф"} {
		k := key("link" + strconv.Itoa(i))
		s.ask(t, "POST /v1/orders", object{"hold_id": hold.ID, "buyer": object{"email": "ana@example.org", "name": name}}, k).want(t, "400 invalid_order /buyer/name")
		s.ask(t, "POST /v1/orders", object{"hold_id": hold.ID, "buyer": buyer(), "attendees": []object{{"name": "Ana"}, {"name": name}}}, k).want(t, "400 invalid_order /attendees/1/name")
		s.ask(t, "POST /v1/tickets/"+given+"/transfer", recipient(name, "bob@example.org"), k).want(t, "400 invalid_order /to/name")
	}
	s.ask(t, "POST /v1/orders", object{"hold_id": hold.ID, "buyer": object{"email": "ana@example.org", "name": "Dr.Müller, M.Sc."}}).want(t, "201")
}

// One person's addresses are one, in whatever spelling; two are never taken for one.
func TestAddresses_areOnePersonsInEverySpelling(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	for _, wrong := range []string{"ana@localhost", `"ana"@example.org`, "a\u200bna@example.org", "ana@exam\u00adple.org", strings.Repeat("a", 65) + "@example.org", "ana@-x.org"} {
		s.orderFor(t, s.guest, wrong).want(t, "400 invalid_order /buyer/email")
		s.ask(t, "POST /v1/tickets/find", object{"email": wrong}).want(t, "400 invalid_order /email")
	}
	o := read[client.Order](t, s.orderFor(t, s.guest, "Ana@Müller.example").want(t, "201"))
	s.ask(t, "POST /v1/tickets/"+s.ticketOf(t, o)+"/transfer", recipient("Ana", "ana@xn--mller-kva.example")).want(t, "400 invalid_order /to/email")
	for address, want := range map[string]int{"ANA@MÜLLER.example": 1, "ana@xn--mller-kva.example": 1, "ana+x@müller.example": 0, "ana@muller.example": 0} {
		if found, err := s.store.OrdersReached(t.Context(), notify.AddressHash(address), 10); err != nil || len(found) != want {
			t.Errorf("%s finds %d orders, want %d (%v)", address, len(found), want, err)
		}
	}
}
