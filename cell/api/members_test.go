package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/letter"
	"guichet/cell/notify"
	"guichet/internal/operator"
)

// signIn is the token of a person who signed in somewhere; change alters who it is.
func (h *house) signIn(name string, change ...func(p *access.Person)) string {
	p := access.Person{Issuer: "https://id.example.org", Subject: name, Email: name + "@example.org", Name: strings.ToUpper(name), Session: "session of " + name}
	for _, c := range change {
		c(&p)
	}
	return h.server.Access.Person(p, time.Now())
}

func (s *stage) at() string { return "/v1/organizers/" + s.org.ID }

// mails composes all invitations' mails that are queued, by address, and takes them away.
func (s *stage) mails(t testing.TB) map[string]notify.Mail {
	t.Helper()
	out := map[string]notify.Mail{}
	claimed, err := s.store.Claim(t.Context(), 200, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	composer := &letter.Composer{Records: s.store, Access: s.server.Access, Site: "https://tickets.example"}
	for _, c := range claimed {
		facts, _, err := composer.Compose(t.Context(), c.Message)
		if err != nil {
			continue
		}
		if out[c.To], err = notify.Write(c.Kind, c.Locale, facts); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

var invitationLink = regexp.MustCompile(`https://tickets\.example/account/invitation\?cell=euw3#(\S+)`)

// invite invites an address and answers the invitation with its mail's token.
func (s *stage) invite(t testing.TB, as with, email, role string) (client.Invitation, string) {
	t.Helper()
	inv := read[client.Invitation](t, s.ask(t, "POST "+s.at()+"/invitations", object{"email": email, "role": role, "locale": "fr"}, as).want(t, "201"))
	found := invitationLink.FindStringSubmatch(s.mails(t)[email].Text)
	if found == nil {
		t.Fatalf("%s was mailed no link", email)
	}
	return inv, found[1]
}

// join makes a person a member with a role, and answers the member and what shows it.
func (s *stage) join(t testing.TB, name, role string) (client.Member, with) {
	t.Helper()
	_, token := s.invite(t, s.bearer, name+"@example.org", role)
	joined := read[client.Joined](t, s.ask(t, "POST /v1/invitations/accept", object{"token": token}, bearer(s.signIn(name))).want(t, "200"))
	return joined.Member, bearer(s.membership(t, name).Token)
}

func (s *stage) membership(t testing.TB, name string, change ...func(p *access.Person)) client.MembershipToken {
	t.Helper()
	return read[client.MembershipToken](t, s.ask(t, "POST "+s.at()+"/membership", nil, bearer(s.signIn(name, change...))).want(t, "200"))
}

// damaged is a token with another character in its signature. The last characters are no
// place for that: a signature often ends as the change would.
func damaged(token string) string {
	at := len(token) - 30
	return token[:at] + map[bool]string{true: "B", false: "A"}[token[at] == 'A'] + token[at+1:]
}

func TestInvitation_needsItsMailAndItsAddress(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	inv, token := s.invite(t, s.bearer, "ana@example.org", "events")
	if inv.State != "open" || inv.Role != "events" || strings.Contains(fmt.Sprint(inv), token) {
		t.Errorf("%+v", inv)
	}
	accept := func(token, as string) answer {
		t.Helper()
		return s.ask(t, "POST /v1/invitations/accept", object{"token": token}, bearer(as))
	}
	before := s.rows(t)
	accept(token, s.signIn("bob")).want(t, "403 other_address")
	accept(token, s.signIn("ana", func(p *access.Person) { p.Email = "" })).want(t, "403 other_address")
	accept(damaged(token), s.signIn("ana")).want(t, "404 invitation_not_found")
	accept(inv.ID, s.signIn("ana")).want(t, "404 invitation_not_found")
	accept("", s.signIn("ana")).want(t, "404 invitation_not_found")
	accept(strings.Repeat("x", 5000), s.signIn("ana")).want(t, "404 invitation_not_found")
	accept(token, s.org.APIKey).want(t, "401 token_malformed")
	s.ask(t, "POST /v1/invitations/accept", object{"token": token}).want(t, "401 unauthorized")
	s.ask(t, "POST "+s.at()+"/membership", nil, bearer(s.signIn("ana"))).want(t, "403 not_a_member")
	if after := s.rows(t); after != before {
		t.Errorf("refusals left\n%s\nwas\n%s", after, before)
	}
	first := read[client.Joined](t, accept(token, s.signIn("ana")).want(t, "200"))
	again := read[client.Joined](t, accept(token, s.signIn("ana")).want(t, "200"))
	if first.OrganizerID != s.org.ID || first.Member.Role != "events" || first.Member.Email != "ana@example.org" || first.Member != again.Member {
		t.Errorf("%+v, then %+v", first, again)
	}
	accept(token, s.signIn("ana", func(p *access.Person) { p.Subject = "a second ana" })).want(t, "404 invitation_not_found")
	list := read[pageOf[client.Invitation]](t, s.ask(t, "GET "+s.at()+"/invitations", nil, s.bearer).want(t, "200"))
	if len(list.Items) != 1 || list.Items[0].State != "accepted" || list.Items[0].MemberID != first.Member.ID {
		t.Errorf("%+v", list)
	}
	// Another cell's invitation is accepted there.
	far := id.NewInvitation(id.NewOrganizer("use1"))
	other := account.Invitation{ID: far}
	if a := accept(other.Token(accessKey(t, "use1").Key()), s.signIn("ana")).want(t, "421 moved"); a.member("home_cell") != `"use1"` {
		t.Errorf("%s", a.body)
	}
	accept(other.Token(accessKey(t, "apn1").Key()), s.signIn("ana")).want(t, "404 invitation_not_found")
}

func TestAcceptInvitation_ofThePageIsTheCallWithItsEntryInTheLog(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	inv, token := s.invite(t, s.bearer, "ana@example.org", "events")
	ana := access.Person{Issuer: "https://id.example.org", Subject: "ana", Email: "ana@example.org", Name: "ANA"}
	bob := access.Person{Issuer: "https://id.example.org", Subject: "bob", Email: "bob@example.org"}
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/account/invitation/accept", http.NoBody)
	r.Header.Set("X-Request-Id", "from-the-page")
	before := s.rows(t)
	if _, err := s.server.AcceptInvitation(r, bob, token); !errors.Is(err, account.ErrOtherAddress) {
		t.Errorf("another address: %v", err)
	}
	if _, err := s.server.AcceptInvitation(r, ana, damaged(token)); !errors.Is(err, account.ErrInvitationNotFound) {
		t.Errorf("a damaged token: %v", err)
	}
	if _, _, err := s.server.LookAtInvitation(t.Context(), bob, token); !errors.Is(err, account.ErrOtherAddress) {
		t.Errorf("another looks: %v", err)
	}
	if would, fresh, err := s.server.LookAtInvitation(t.Context(), ana, token); err != nil || !fresh || would.OrganizerID != s.org.ID || would.Member.Role != "events" {
		t.Errorf("%+v, %v, %v", would, fresh, err)
	}
	if after := s.rows(t); after != before {
		t.Errorf("looking and refusals left\n%s\nwas\n%s", after, before)
	}
	var joined [2]client.Joined
	for i := range joined {
		var err error
		if joined[i], err = s.server.AcceptInvitation(r, ana, token); err != nil {
			t.Fatal(err)
		}
	}
	if _, fresh, err := s.server.LookAtInvitation(t.Context(), ana, token); err != nil || fresh || joined[0] != joined[1] {
		t.Errorf("%v, %v: %+v", fresh, err, joined)
	}
	var found []client.AuditEntry
	for _, e := range read[pageOf[client.AuditEntry]](t, s.ask(t, "GET "+s.at()+"/audit", nil, s.bearer).want(t, "200")).Items {
		if e.Action == "post_invitations_accept" {
			found = append(found, e)
		}
	}
	if len(found) != 1 || found[0].Object.ID != inv.ID || found[0].Actor.ID != joined[0].Member.ID || found[0].RequestID != "from-the-page" || found[0].Address == "" {
		t.Errorf("%+v", found)
	}
}

type pageOf[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor"`
}

func TestInvitation_withdrawnHasNoMailAndNoUse(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	inv, token := s.invite(t, s.bearer, "ana@example.org", "admin")
	late := read[client.Invitation](t, s.ask(t, "POST "+s.at()+"/invitations", object{"email": "late@example.org", "role": "door"}, s.bearer).want(t, "201"))
	for _, i := range []string{inv.ID, inv.ID, late.ID} {
		s.ask(t, "DELETE "+s.at()+"/invitations/"+i, nil, s.bearer).want(t, "204")
	}
	s.ask(t, "POST /v1/invitations/accept", object{"token": token}, bearer(s.signIn("ana"))).want(t, "404 invitation_not_found")
	if mails := s.mails(t); len(mails) != 0 {
		t.Errorf("a withdrawn invitation is mailed: %v", mails)
	}
	// Its address can be invited again.
	s.ask(t, "POST "+s.at()+"/invitations", object{"email": "ana@example.org", "role": "door"}, s.bearer).want(t, "201")
	s.ask(t, "POST "+s.at()+"/invitations", object{"email": "ANA@example.org", "role": "door"}, s.bearer).want(t, "409 already_invited /email")
	other := s.account(t, "Other")
	s.ask(t, "DELETE "+s.at()+"/invitations/"+inv.ID, nil, bearer(other.APIKey)).want(t, "403 forbidden")
	s.ask(t, "DELETE /v1/organizers/"+other.ID+"/invitations/"+inv.ID, nil, bearer(other.APIKey)).want(t, "404 invitation_not_found")
}

func TestInvitation_isCreatedOnceAndMailedOnce(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	body := object{"email": "ana@example.org", "role": "door"}
	one := s.ask(t, "POST "+s.at()+"/invitations", body, s.bearer, key("same")).want(t, "201")
	two := s.ask(t, "POST "+s.at()+"/invitations", body, s.bearer, key("same")).want(t, "201")
	if string(one.body) != string(two.body) || two.header.Get("Idempotent-Replayed") != "true" || s.count(t, "notify.message") != 1 {
		t.Errorf("%s, then %s", one.body, two.body)
	}
	s.ask(t, "POST "+s.at()+"/invitations", object{"email": "ana@example.org", "role": "owner"}, s.bearer, key("same")).want(t, "422 idempotency_key_reused")
	for _, bad := range []struct {
		body object
		at   string
	}{
		{object{"email": "x", "role": "door"}, "/email"},
		{object{"email": "a@example.org\r\nBcc: b@example.org", "role": "door"}, "/email"},
		{object{"email": "a@example.org", "role": "root"}, "/role"},
		{object{"email": "a@example.org", "role": ""}, "/role"},
		{object{"email": "a@example.org", "role": "door", "locale": strings.Repeat("x", 40)}, "/locale"},
		{object{"email": strings.Repeat("a", 300) + "@example.org", "role": "door"}, "/email"},
	} {
		s.ask(t, "POST "+s.at()+"/invitations", bad.body, s.bearer).want(t, "400 invalid_invitation "+bad.at)
	}
	s.ask(t, "POST "+s.at()+"/invitations", object{"email": "a@example.org"}, s.bearer).want(t, "400 missing_field /role")
}

func TestMembership_tokenShowsARoleAndASecondFactorIsDemanded(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	_, reader := s.join(t, "rae", "reader")
	s.ask(t, "GET "+s.path()+"/stats", nil, reader).want(t, "200")
	s.ask(t, "GET "+s.path()+"/orders", nil, reader).want(t, "403 forbidden")
	_, owner := s.join(t, "olga", "owner")
	s.ask(t, "PUT "+s.at()+"/security", object{"required_acr": "urn:mfa"}, s.bearer).want(t, "403 forbidden") // a key
	s.ask(t, "PUT "+s.at()+"/security", object{"required_acr": "urn:mfa"}, owner).want(t, "403 second_factor_required")
	strong := func(p *access.Person) { p.ACR = "urn:mfa" }
	s.ask(t, "PUT "+s.at()+"/security", object{"required_acr": "urn:mfa"}, bearer(s.membership(t, "olga", strong).Token)).want(t, "200")
	a := s.ask(t, "POST "+s.at()+"/membership", nil, bearer(s.signIn("rae"))).want(t, "403 second_factor_required")
	if a.member("required_acr") != `"urn:mfa"` {
		t.Errorf("%s", a.body)
	}
	m := s.membership(t, "rae", strong)
	if m.Role != "reader" || m.OrganizerID != s.org.ID || time.Until(m.ExpiresAt) > access.MembershipLife {
		t.Errorf("%+v", m)
	}
	s.ask(t, "PUT "+s.at()+"/security", object{}, bearer(s.membership(t, "olga", strong).Token)).want(t, "400 missing_field /required_acr") // nothing said is not "nothing demanded"
	s.ask(t, "GET "+s.at()+"/security", nil, s.bearer).want(t, "200").looks(t, `{"required_acr":"urn:mfa"}`)
	// At another cell's organizer the membership is asked for there.
	far := id.NewOrganizer("use1").String()
	s.ask(t, "POST /v1/organizers/"+far+"/membership", nil, bearer(s.signIn("rae"))).want(t, "421 moved")
	// A token never outlives the sign-in.
	short := s.membership(t, "rae", strong, func(p *access.Person) { p.Expires = time.Now().Add(time.Minute) })
	if time.Until(short.ExpiresAt) > time.Minute {
		t.Errorf("%+v", short)
	}
}

func TestMembers_privilegesOverHTTP(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	ana, owner := s.join(t, "ana", "owner")
	bob, admin := s.join(t, "bob", "admin")
	eve, events := s.join(t, "eve", "events")
	put := func(m client.Member, role string, as with) answer {
		t.Helper()
		return s.ask(t, "PUT "+s.at()+"/members/"+m.ID, object{"role": role}, as)
	}
	put(bob, "owner", admin).want(t, "403 forbidden")
	put(ana, "reader", admin).want(t, "403 forbidden")
	s.ask(t, "DELETE "+s.at()+"/members/"+ana.ID, nil, admin).want(t, "403 forbidden")
	put(eve, "owner", admin).want(t, "403 forbidden")
	s.ask(t, "POST "+s.at()+"/invitations", object{"email": "x@example.org", "role": "owner"}, admin).want(t, "403 forbidden")
	put(eve, "admin", events).want(t, "403 forbidden")
	s.ask(t, "GET "+s.at()+"/members", nil, events).want(t, "403 forbidden")
	s.ask(t, "GET "+s.at()+"/audit", nil, events).want(t, "403 forbidden")
	s.ask(t, "GET "+s.path()+"/orders", nil, events).want(t, "403 forbidden")
	s.ask(t, "POST "+s.at()+"/api_keys", object{"name": "k", "role": "events"}, events).want(t, "403 forbidden")
	s.ask(t, "DELETE "+s.at()+"/members/"+ana.ID, nil, owner).want(t, "409 last_owner")
	put(ana, "admin", owner).want(t, "409 last_owner")
	put(eve, "root", owner).want(t, "400 invalid_member /role")
	if m := read[client.Member](t, put(eve, "orders", admin).want(t, "200")); m.Role != "orders" || m.ID != eve.ID {
		t.Errorf("%+v", m)
	}
	// A membership token is good for minutes; over members, the account itself decides.
	put(bob, "owner", owner).want(t, "200")
	s.ask(t, "DELETE "+s.at()+"/members/"+ana.ID, nil, bearer(s.membership(t, "bob").Token)).want(t, "204")
	s.ask(t, "POST "+s.at()+"/invitations", object{"email": "back@example.org", "role": "owner"}, owner).want(t, "403 not_a_member")
	s.ask(t, "DELETE "+s.at()+"/members/"+bob.ID, nil, owner).want(t, "403 not_a_member")
	s.ask(t, "POST "+s.at()+"/api_keys", object{"name": "back", "role": "owner"}, owner).want(t, "403 not_a_member")
	s.ask(t, "POST "+s.at()+"/membership", nil, bearer(s.signIn("ana"))).want(t, "403 not_a_member")
	// Another tenant sees and changes nothing.
	other := s.account(t, "Other")
	for _, line := range []string{"GET " + s.at() + "/members", "GET " + s.at() + "/invitations", "GET " + s.at() + "/api_keys", "GET " + s.at() + "/audit", "DELETE " + s.at() + "/members/" + bob.ID} {
		s.ask(t, line, nil, bearer(other.APIKey)).want(t, "403 forbidden")
	}
	s.ask(t, "DELETE /v1/organizers/"+other.ID+"/members/"+bob.ID, nil, bearer(other.APIKey)).want(t, "404 member_not_found")
	s.ask(t, "GET /v1/organizers/"+other.ID+"/members?cursor="+bob.ID, nil, bearer(other.APIKey)).want(t, "400 invalid_cursor")
	page := read[pageOf[client.Member]](t, s.ask(t, "GET "+s.at()+"/members?limit=1", nil, s.bearer).want(t, "200"))
	if len(page.Items) != 1 || page.NextCursor == nil {
		t.Fatalf("%+v", page)
	}
	rest := read[pageOf[client.Member]](t, s.ask(t, "GET "+s.at()+"/members?cursor="+*page.NextCursor, nil, s.bearer).want(t, "200"))
	if len(rest.Items) != 1 || rest.NextCursor != nil || rest.Items[0].ID == page.Items[0].ID {
		t.Errorf("%+v", rest)
	}
}

// Two owners remove each other at the same time, over HTTP.
func TestMembers_twoOwnersWhoRemoveEachOtherLeaveOne(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	ana, anas := s.join(t, "ana", "owner")
	bob, bobs := s.join(t, "bob", "owner")
	var both sync.WaitGroup
	answers := make([]answer, 2)
	for i, try := range []struct {
		member string
		as     with
	}{{bob.ID, anas}, {ana.ID, bobs}} {
		both.Go(func() { answers[i], _ = s.send(t, "DELETE "+s.at()+"/members/"+try.member, nil, try.as) })
	}
	both.Wait()
	left := read[pageOf[client.Member]](t, s.ask(t, "GET "+s.at()+"/members", nil, s.bearer).want(t, "200"))
	done := slices.IndexFunc(answers, func(a answer) bool { return a.status == 204 })
	if len(left.Items) != 1 || done < 0 || answers[1-done].status != 403 {
		t.Errorf("%s and %s left %+v", answers[0].is(), answers[1].is(), left.Items)
	}
}

func TestSignedOut_isRefusedHereAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	_, reader := s.join(t, "rae", "reader")
	boss := bearer(s.signIn("boss", func(p *access.Person) { p.Roles = []string{operator.Operate} }))
	s.ask(t, "GET "+s.path()+"/stats", nil, reader).want(t, "200")
	s.ask(t, "GET /v1/audit", nil, boss).want(t, "200")
	for _, name := range []string{"rae", "boss"} {
		if err := s.server.Accounts.RevokeSession(t.Context(), "session of "+name, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	s.ask(t, "GET "+s.path()+"/stats", nil, reader).want(t, "401 token_withdrawn")
	s.ask(t, "POST "+s.at()+"/membership", nil, bearer(s.signIn("rae"))).want(t, "401 token_withdrawn")
	s.ask(t, "GET /v1/audit", nil, boss).want(t, "401 unauthorized")
	list, all, err := s.server.Accounts.Revoked(t.Context())
	if err != nil || !all || !slices.Contains(list, "sid:session of rae") {
		t.Errorf("%v, %v", list, err)
	}
	if err := s.server.Accounts.RevokeSession(t.Context(), "", time.Now()); err == nil {
		t.Error("a session without a name is revoked")
	}
}

func TestHostileNames_areKeptAsTextOrRefused(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	for i, name := range []string{"'; DROP TABLE account.member; --", "<script>alert(1)</script>", "Ω≈ç√∫˜µ≤≥÷", "\u202eevil", "a\x00b", "{{.}}", strings.Repeat("長", 5000), "http://evil.example/", "\r\nBcc: x@example.org"} {
		_, token := s.invite(t, s.bearer, fmt.Sprintf("n%d@example.org", i), "reader")
		who := s.signIn(fmt.Sprint("n", i), func(p *access.Person) { p.Name = name })
		if len(who) > 2048 { // no such token is made
			continue
		}
		joined := read[client.Joined](t, s.ask(t, "POST /v1/invitations/accept", object{"token": token}, bearer(who)).want(t, "200"))
		if got := joined.Member.Name; got != account.Clean(name) || strings.ContainsAny(got, "\x00\r\n\u202e") {
			t.Errorf("%q becomes %q", name, got)
		}
	}
	s.ask(t, "GET "+s.at()+"/members?limit=100", nil, s.bearer).want(t, "200")
	s.ask(t, "GET "+s.at()+"/audit?limit=100", nil, s.bearer).want(t, "200")
}
