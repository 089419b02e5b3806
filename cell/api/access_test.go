package api_test

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/api"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/ticket"
	"guichet/internal/operator"
)

// needs is whose bearer openapi.json says that a call takes: the schemes, and "" where it
// takes none.
func needs(t *testing.T, h *house) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for path, item := range contractOf(t, h).doc.Paths.Map() {
		for method, op := range item.Operations() {
			schemes := []string{}
			if op.Security != nil {
				for _, s := range *op.Security {
					for name := range s {
						schemes = append(schemes, name)
					}
					if len(s) == 0 {
						schemes = append(schemes, "")
					}
				}
			} else {
				schemes = append(schemes, "")
			}
			out[method+" "+path] = schemes
		}
	}
	return out
}

// TestGate_everyCallTakesOnlyWhoItsRouteNames walks the whole contract with nothing, with
// credentials of every other kind, with another tenant's, with expired and with withdrawn
// ones: what the contract says of a call's bearer is what is enforced, before anything is
// looked up or written.
func TestGate_everyCallTakesOnlyWhoItsRouteNames(t *testing.T) {
	t.Parallel()
	revoked := map[string]bool{}
	s := open(t, func(h *house) { h.server.Revoked = func(id string) bool { return revoked[id] } }).stage(t)
	bought, other := s.paid(t, s.guest, 1), s.paid(t, s.guest, 1)
	hold, otherHold := s.hold(t, s.guest, 1), s.hold(t, s.guest, 1)
	aside := s.allocate(t, 0, 3)
	keys, now := s.server.Access, time.Now()
	ids := strings.NewReplacer("{event_id}", s.event.ID, "{organizer_id}", s.org.ID, "{hold_id}", hold.ID, "{order_id}", bought.ID, "{ticket_id}", bought.Tickets[0].ID,
		"{quota_id}", s.event.Quotas[0].ID, "{ticket_type_id}", s.floor, "{allocation_id}", aside.ID, "{code}", "SPRING", "{series_id}", "ser"+s.event.ID[3:], "{saga_id}", "x", "{n}", "1.pdf",
		"{member_id}", "mbr"+s.event.Quotas[0].ID[3:], "{invitation_id}", "inv"+s.event.Quotas[0].ID[3:], "{key_id}", "key"+s.event.Quotas[0].ID[3:])
	parse := func(text string) id.Ticket {
		tid, err := id.ParseTicket(text)
		if err != nil {
			t.Fatal(err)
		}
		return tid
	}
	org, err := id.ParseOrganizer(s.org.ID)
	if err != nil {
		t.Fatal(err)
	}
	person := access.Person{Issuer: "https://id.example.org", Subject: "1", Session: "ended", Expires: now.Add(time.Hour)}
	revoked[person.RevocationID()] = true
	dead, gone, err := operator.Issue(control, "gone", []string{operator.Operate}, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	revoked[gone.RevocationID()] = true
	drill, _, err := operator.Issue(control, "drill", []string{operator.Drill}, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	late, _, err := operator.Issue(control, "late", []string{operator.Operate}, now.Add(-2*time.Hour), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	// Who must be refused, by what the credential is; "of" is the scheme that it pretends to.
	bad := []struct{ of, what, token string }{
		{"hold", "another hold's", otherHold.AccessToken},
		{"hold", "a made up one", "hold1.AAAAAAAAAAAAAAAAAAAAAAAA"},
		{"order", "another order's", other.AccessToken},
		{"order", "an expired one", keys.Issue(access.Capability{Scope: access.Order, Object: bought.ID, Expires: now.Add(-time.Second)})},
		{"order", "a withdrawn one", keys.Issue(access.Capability{Scope: access.Order, Object: bought.ID, Generation: 7, Expires: now.Add(time.Hour)})},
		{"order", "one with another scope", keys.Issue(access.Capability{Scope: access.Admit, Object: bought.ID, Expires: now.Add(time.Hour)})},
		{"ticket", "another ticket's", keys.TicketToken(parse(other.Tickets[0].ID), 0, now)},
		{"ticket", "an expired one", keys.Issue(access.Capability{Scope: access.Ticket, Object: bought.Tickets[0].ID, Expires: now.Add(-time.Second)})},
		{"ticket", "a stranger cell's", accessKey(t, "sae1").TicketToken(parse(bought.Tickets[0].ID), 0, now)},
		{"organizer", "an ended member's", keys.Membership(access.Membership{Person: person, Organizer: org, Role: access.Owner}, now)},
		{"organizer", "a key that nobody made", keyAt(t, here, org)},
		{"organizer", "a key of another cell's", keyAt(t, "use1", org)},
		{"organizer", "an expired key", (&account.Key{ID: id.NewAPIKey(org), Scope: account.Scope{Role: access.Owner}, ExpiresAt: now}).Text(keys.Key())},
		{"person", "an ended one", keys.Person(person, now)},
		{"person", "an expired one", keys.Person(access.Person{Issuer: "i", Subject: "1", Session: "s", Expires: now}, now)},
		{"person", "a stranger cell's", accessKey(t, "sae1").Person(access.Person{Issuer: "i", Subject: "1", Session: "s"}, now)},
		{"operator", "an ended person's", keys.Person(access.Person{Issuer: "i", Subject: "1", Session: "ended", Roles: []string{operator.Operate}}, now)},
		{"operator", "a person's who only drills", keys.Person(access.Person{Issuer: "i", Subject: "1", Session: "s", Roles: []string{operator.Drill}}, now)},
		{"operator", "a withdrawn one", dead},
		{"operator", "one for drills", drill},
		{"operator", "an expired one", late},
		{"", "a barcode", bought.Tickets[0].Barcode},
		{"", "an id", bought.ID},
		{"", "garbage", "x.y.z"},
		{"", "an endless one", strings.Repeat("A", api.MaxBearer+1)},
	}
	good := map[string]string{
		"hold": hold.AccessToken, "order": bought.AccessToken, "ticket": keys.TicketToken(parse(bought.Tickets[0].ID), 0, now),
		"organizer": s.org.APIKey, "operator": operatorToken, "person": keys.Person(access.Person{Issuer: "i", Subject: "1", Session: "s"}, now), "link": keys.FindToken(strings.Repeat("ab", 32), now.Add(time.Hour)),
	}
	before := s.rows(t)
	for line, schemes := range needs(t, s.house) {
		if slices.Contains(schemes, "") || line == "POST /v1/orders" { // the body of an order names its hold
			continue
		}
		at := ids.Replace(line)
		refuse := func(what string, opts ...with) {
			t.Helper()
			a := s.askRaw(t, at, object{}, append(opts, ifMatch("*"))...)
			holder := slices.Contains(schemes, "hold") || slices.Contains(schemes, "order") || slices.Contains(schemes, "ticket")
			if a.status != 401 && a.status != 403 && (a.status != 404 || !holder) {
				t.Errorf("%s takes %s: %s", line, what, a.is())
			}
		}
		refuse("nothing", stranger)
		for _, b := range bad {
			if strings.HasPrefix(b.token, "per1.") && b.of == "operator" && strings.HasSuffix(b.what, "drills") && slices.Contains(schemes, "person") {
				continue // is a person all the same
			}
			refuse(b.what+" for "+b.of, bearer(b.token))
		}
		for scheme, token := range good {
			if !slices.Contains(schemes, scheme) {
				refuse("a good one for "+scheme, bearer(token))
			}
		}
	}
	if after := s.rows(t); after != before {
		t.Errorf("refusals left\n%s\nwas\n%s", after, before)
	}
	// Those that were refused are refused for what they are: the good ones pass.
	for scheme, line := range map[string]string{
		"hold": "GET /v1/holds/" + hold.ID, "order": "GET /v1/orders/" + bought.ID, "ticket": "GET /v1/tickets/" + bought.Tickets[0].ID,
		"organizer": "GET " + s.path() + "/stats", "operator": "GET /v1/sagas", "link": "GET /v1/tickets/found", "person": "GET /v1/me",
	} {
		s.ask(t, line, nil, bearer(good[scheme])).want(t, "200")
	}
	s.ask(t, "GET /v1/tickets/"+bought.Tickets[0].ID, nil, bearer(bought.AccessToken)).want(t, "200") // an order's token opens its tickets
	s.ask(t, "POST /v1/orders", object{"hold_id": hold.ID, "buyer": buyer()}, stranger).want(t, "401 unauthorized")
	s.ask(t, "POST /v1/orders", object{"hold_id": hold.ID, "buyer": buyer()}, bearer(otherHold.AccessToken)).want(t, "401 unauthorized")
	s.ask(t, "POST /v1/orders", object{"hold_id": hold.ID, "buyer": buyer()}, bearer(hold.AccessToken)).want(t, "201")
}

// Each role may make the calls that need a permission it has, and no other.
func TestGate_membersMayWhatTheirRoleMay(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	org, err := id.ParseOrganizer(s.org.ID)
	if err != nil {
		t.Fatal(err)
	}
	person := access.Person{Issuer: "https://id.example.org", Subject: "1", Session: "s", Expires: time.Now().Add(time.Hour)}
	calls := map[string]access.Permission{
		"GET " + s.path() + "/stats":                  access.ReadStats,
		"GET " + s.path() + "/orders":                 access.ReadOrders,
		"GET " + s.path() + "/attendees.csv":          access.ReadOrders,
		"GET " + s.path() + "/codes":                  access.ReadEvents,
		"GET " + s.path() + "/ledger":                 access.ReadLedger,
		"GET /v1/organizers/" + s.org.ID + "/payouts": access.ReadFinance,
	}
	for _, role := range access.Roles {
		as := bearer(s.server.Access.Membership(access.Membership{Person: person, Member: "m", Organizer: org, Role: role}, time.Now()))
		for line, permission := range calls {
			a := s.ask(t, line, nil, as)
			if may := role.May(permission); may != (a.status == http.StatusOK) || !may && a.is() != "403 forbidden" {
				t.Errorf("%s, %s: %s", role, line, a.is())
			}
		}
		name := s.ask(t, "PATCH "+s.path(), object{"name": "Nuit " + string(role)}, as, ifMatch("*"))
		if role.May(access.WriteEvents) != (name.status == http.StatusOK) {
			t.Errorf("%s changes the event: %s", role, name.is())
		}
	}
	drafts := s.ask(t, "POST /v1/organizers/"+s.org.ID+"/events", object(concert()),
		bearer(s.server.Access.Membership(access.Membership{Person: person, Organizer: id.NewOrganizer(here), Role: access.Owner}, time.Now())))
	drafts.want(t, "403 forbidden") // another organizer's owner
}

// The two attacks that were tried on the product: with a buyer's mail address alone, and
// with a photo of one ticket.
func TestAttack_anAddressOrAPhotoGivesNothing(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	victim := items(s.both, 4)
	victim["buyer_key"] = "ana@example.org"
	hold := read[client.Hold](t, s.ask(t, "POST "+s.path()+"/holds", victim).want(t, "201"))
	order := s.order(t, hold)

	again := items(s.both, 2)
	again["buyer_key"] = "ana@example.org"
	told := s.ask(t, "POST "+s.path()+"/holds", again, stranger).want(t, "409 sold_out")
	for _, secret := range []string{"hld_", "ord_", hold.AccessToken, order.AccessToken} {
		if strings.Contains(string(told.body), secret) {
			t.Errorf("who knows a mail address is told %s: %s", secret, told.body)
		}
	}
	bought := s.paid(t, s.guest, 2)
	claims, err := ticket.Peek(bought.Tickets[0].Barcode) // from the photo
	if err != nil {
		t.Fatal(err)
	}
	before := s.rows(t)
	photo := bearer(bought.Tickets[0].Barcode)
	for _, line := range []string{
		"GET /v1/tickets/" + claims.Ticket.String(), "GET /v1/tickets/" + claims.Ticket.String() + ".pdf", "GET /v1/tickets/" + claims.Ticket.String() + ".ics",
		"POST /v1/tickets/" + claims.Ticket.String() + "/transfer", "GET /v1/orders/" + bought.ID, "POST /v1/orders/" + bought.ID + "/cancel",
		"POST /v1/orders/" + bought.ID + "/refunds", "POST /v1/orders/" + bought.ID + "/resend", "GET /v1/orders/" + bought.ID + "/invoice.pdf",
	} {
		for _, as := range []with{stranger, photo} {
			a := s.ask(t, line, recipientFor(line), as)
			if a.status != 401 || strings.Contains(string(a.body), "ana@") {
				t.Errorf("%s: %s %s", line, a.is(), a.body)
			}
		}
	}
	// Whether the object exists makes no difference.
	_, nobody := strangers()
	is, isNot := s.ask(t, "GET /v1/orders/"+bought.ID, nil, stranger), s.ask(t, "GET /v1/orders/"+nobody, nil, stranger)
	if is.is() != isNot.is() || is.member("detail") != isNot.member("detail") {
		t.Errorf("an order that is: %s %s; one that is not: %s %s", is.is(), is.body, isNot.is(), isNot.body)
	}
	if after := s.rows(t); after != before {
		t.Errorf("attacks left\n%s\nwas\n%s", after, before)
	}
	// Who has one ticket has neither its order nor the other ticket.
	own := bearer(bought.Tickets[0].AccessToken)
	mine := s.ask(t, "GET /v1/tickets/"+bought.Tickets[0].ID, nil, own).want(t, "200")
	if strings.Contains(string(mine.body), "ord_") {
		t.Errorf("a ticket leads to its order: %s", mine.body)
	}
	// An order's token does not tell a ticket of another order from one that is not there.
	other, another := s.paid(t, s.guest, 1), bearer(bought.AccessToken)
	nowhere := id.NewTicket(claims.Event()).String()
	there, none := s.ask(t, "GET /v1/tickets/"+other.Tickets[0].ID, nil, another).want(t, "404 ticket_not_found"), s.ask(t, "GET /v1/tickets/"+nowhere, nil, another).want(t, "404 ticket_not_found")
	if there.member("detail") != none.member("detail") {
		t.Errorf("%s tells more than %s", there.body, none.body)
	}
	s.ask(t, "GET /v1/tickets/"+bought.Tickets[1].ID, nil, own).want(t, "404 ticket_not_found")
	s.ask(t, "GET /v1/orders/"+bought.ID, nil, own).want(t, "404 order_not_found")
	s.ask(t, "POST /v1/orders/"+bought.ID+"/cancel", nil, own).want(t, "404 order_not_found")
}

func recipientFor(line string) any {
	switch {
	case strings.HasSuffix(line, "/transfer"):
		return recipient("Eve", "eve@example.org")
	case strings.HasSuffix(line, "/refunds"):
		return object{}
	}
	return nil
}

func TestReplay_answersTheSameToken(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	const k = "a-key-of-its-clients-alone"
	first := s.ask(t, "POST "+s.path()+"/holds", items(s.guest, 1), key(k)).want(t, "201")
	again := s.ask(t, "POST "+s.path()+"/holds", items(s.guest, 1), key(k)).want(t, "201")
	if string(first.body) != string(again.body) || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("%s, then %s", first.body, again.body)
	}
	hold := read[client.Hold](t, first)
	body := object{"hold_id": hold.ID, "buyer": buyer()}
	one := read[client.Order](t, s.ask(t, "POST /v1/orders", body, key(k)).want(t, "201"))
	two := read[client.Order](t, s.ask(t, "POST /v1/orders", body, key(k)).want(t, "201"))
	if one.AccessToken == "" || one.AccessToken != two.AccessToken {
		t.Errorf("%s, then %s", one.AccessToken, two.AccessToken)
	}
	s.ask(t, "POST /v1/orders", body, key(k), stranger).want(t, "401 unauthorized") // a key is no token
	for _, table := range []string{"booking.answer", "bus.outbox", "notify.message"} {
		var text string
		if err := s.owner.Pool.QueryRow(t.Context(), "SELECT coalesce(string_agg(r::text, ' '), '') FROM "+table+" AS r").Scan(&text); err != nil {
			t.Fatal(err)
		}
		for _, begin := range []string{"cap1.", "hold1."} {
			if strings.Contains(text, begin) || strings.Contains(text, hex.EncodeToString([]byte(begin))) {
				t.Errorf("%s holds a token", table)
			}
		}
	}
}

// Two strangers who both count their requests from 1 do not get each other's holds.
func TestShortKeys_ofTwoNetworksDoNotMeet(t *testing.T) {
	t.Parallel()
	s := open(t, func(h *house) { h.server.Limits.Trusted = router }).stage(t)
	from := func(address string) with { return header("X-Forwarded-For", address) }
	one := read[client.Hold](t, s.ask(t, "POST "+s.path()+"/holds", items(s.guest, 1), key("1"), from("203.0.113.1")).want(t, "201"))
	two := read[client.Hold](t, s.ask(t, "POST "+s.path()+"/holds", items(s.guest, 1), key("1"), from("203.0.113.2")).want(t, "201"))
	if one.ID == two.ID {
		t.Error("a stranger was given another's hold, and its token")
	}
	same := read[client.Hold](t, s.ask(t, "POST "+s.path()+"/holds", items(s.guest, 1), key("1"), from("203.0.113.1")).want(t, "201"))
	if same.ID != one.ID {
		t.Error("who repeats a request is not given the first answer")
	}
}

func TestRenewAccess_withdrawsAllLinks(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	o := s.paid(t, s.guest, 2)
	o = read[client.Order](t, s.ask(t, "GET /v1/orders/"+o.ID, nil, bearer(s.server.Access.OrderToken(orderOf(t, o.ID), 0, time.Now()))).want(t, "200"))
	old, ticketToken := s.server.Access.OrderToken(orderOf(t, o.ID), 0, time.Now()), o.Tickets[0].AccessToken
	fresh := read[client.Access](t, s.ask(t, "POST /v1/orders/"+o.ID+"/access", nil, bearer(old)).want(t, "200")).AccessToken
	for line, token := range map[string]string{"GET /v1/orders/" + o.ID: old, "GET /v1/tickets/" + o.Tickets[0].ID: ticketToken} {
		s.ask(t, line, nil, bearer(token)).want(t, "401 token_withdrawn")
	}
	again := read[client.Order](t, s.ask(t, "GET /v1/orders/"+o.ID, nil, bearer(fresh)).want(t, "200"))
	s.ask(t, "GET /v1/tickets/"+o.Tickets[0].ID, nil, bearer(again.Tickets[0].AccessToken)).want(t, "200")
}

// A transferred ticket is its holder's: the order's token does not open it any more.
func TestTransferred_isNotOpenedByItsOrder(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	box, sender := s.mailroom(t)
	o := s.paid(t, s.guest, 1)
	s.ask(t, "POST /v1/tickets/"+o.Tickets[0].ID+"/transfer", recipient("Bob", "bob@example.org")).want(t, "201")
	pass(t, sender)
	bobs := s.mailed(t, box, "bob@example.org")
	order := bearer(s.server.Access.OrderToken(orderOf(t, o.ID), 0, time.Now()))
	s.ask(t, "GET /v1/tickets/"+bobs, nil, order).want(t, "404 ticket_not_found")
	s.ask(t, "POST /v1/tickets/"+bobs+"/transfer", recipient("Ana", "ana@example.org"), order).want(t, "404 ticket_not_found")
	s.ask(t, "GET /v1/tickets/"+o.Tickets[0].ID, nil, order).want(t, "200") // what is left of it says to whom it was given
}

// A link's cookie lets its browser read, and nobody else's page change anything.
func TestLink_letsABrowserReadAndNothingElse(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	o := s.paid(t, s.guest, 1)
	token := s.server.Access.OrderToken(orderOf(t, o.ID), 0, time.Now())
	page, to := s.openLink(t, s.url+"/v1/open#"+token)
	if to != "/v1/orders/"+o.ID || !strings.Contains(page(to), o.Code) || !strings.HasPrefix(page("/v1/tickets/"+o.Tickets[0].ID+".pdf"), "%PDF") {
		t.Errorf("%s: %s", to, page(to))
	}
	if shown := page(to); !strings.Contains(shown, "<html") || strings.Contains(shown, token) || strings.Contains(shown, "barcode") {
		t.Errorf("a person is shown %s", shown)
	}
	cookie := func(r *http.Request) {
		stranger(r)
		r.AddCookie(&http.Cookie{Name: "__Secure-guichet-" + o.ID[len(o.ID)-16:], Value: token})
	}
	s.ask(t, "GET /v1/orders/"+o.ID, nil, cookie).want(t, "200")
	s.ask(t, "POST /v1/orders/"+o.ID+"/cancel", nil, cookie).want(t, "401 unauthorized")
	s.ask(t, "POST /v1/orders/"+o.ID+"/refunds", object{}, cookie).want(t, "401 unauthorized")
	s.ask(t, "POST /v1/tickets/"+o.Tickets[0].ID+"/transfer", recipient("Eve", "eve@example.org"), cookie).want(t, "401 unauthorized")
	for _, bad := range []string{"", "x", o.ID, token + "x", strings.Repeat("A", 3000)} {
		a := s.ask(t, "POST /v1/open", "token="+bad, header("Content-Type", "application/x-www-form-urlencoded"))
		if a.is() != "403 link_invalid" {
			t.Errorf("%.60q: %s", bad, a.is())
		}
	}
	s.ask(t, "POST /v1/open", "token="+token, header("Content-Type", "application/x-www-form-urlencoded"), header("Sec-Fetch-Site", "cross-site")).want(t, "403 forbidden")
	s.ask(t, "POST /v1/open", object{"token": token}).want(t, "415 unsupported_media_type")
	shown := s.ask(t, "GET /v1/open", nil).want(t, "200")
	if shown.header.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(shown.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%v", shown.header)
	}
}

func orderOf(t testing.TB, text string) id.Order {
	t.Helper()
	o, err := id.ParseOrder(text)
	if err != nil {
		t.Fatal(err)
	}
	return o
}
