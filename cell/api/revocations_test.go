package api_test

import (
	"bytes"
	"testing"

	"guichet/cell/access"
	"guichet/cell/client"
	"guichet/cell/ticket"
	"guichet/internal/signed"
)

func TestRevocations_listCanceledTicketsSignedAndWithoutTellingThem(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	kept, gone, later := s.paid(t, s.guest, 1), s.paid(t, s.guest, 3), s.paid(t, s.guest, 2)
	path := "GET " + s.path() + "/revocations"
	keys, err := ticket.ParseJWKSet(read[client.JWKSet](t, s.ask(t, "GET /v1/keys/tickets", nil).want(t, "200")))
	if err != nil {
		t.Fatal(err)
	}
	var known ticket.Revoked
	take := func(cursor string) client.Revocations {
		t.Helper()
		a := s.ask(t, path+cursor, nil).want(t, "200")
		if bytes.Contains(a.body, []byte("tkt_")) || bytes.Contains(a.body, []byte("ord_")) {
			t.Errorf("it opens tickets: %s", a.body)
		}
		page := read[client.Revocations](t, a)
		if err := known.Add(&page, ticket.KeysOf(keys)); err != nil {
			t.Fatal(err)
		}
		return page
	}
	take("")
	s.ask(t, "POST /v1/orders/"+gone.ID+"/cancel", nil).want(t, "200")
	s.ask(t, "POST /v1/orders/"+gone.ID+"/cancel", nil).want(t, "200") // nothing more
	if page := take("?cursor=0"); len(page.Items) != 3 || page.NextCursor != nil {
		t.Errorf("%+v", page)
	}
	s.ask(t, "POST /v1/orders/"+later.ID+"/cancel", nil).want(t, "200")
	if page := take("?cursor=3"); len(page.Items) != 2 || page.Head != 5 {
		t.Errorf("%+v", page)
	}
	for _, o := range []client.Order{gone, later} {
		for _, k := range o.Tickets {
			if known.Check(k.Barcode) == nil {
				t.Errorf("%s is let in", k.ID)
			}
		}
	}
	if err := known.Check(kept.Tickets[0].Barcode); err != nil || !known.Complete() {
		t.Errorf("a valid ticket: %v", err)
	}
	stranger, _ := strangers()
	s.ask(t, "GET /v1/events/"+stranger+"/revocations", nil).want(t, "404 event_not_found")
	for _, bad := range []string{"x", "-1", "99999999999999999999"} {
		s.ask(t, path+"?cursor="+bad, nil).want(t, "400 invalid_cursor")
	}
}

func TestKeys_afterARotationOldTicketsAndAPIKeysStillWork(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	before := s.paid(t, s.guest, 1)
	opened := s.ask(t, "POST /v1/organizers", object{"name": "Kept"}, bearer(operatorToken), key("account")).want(t, "201")
	kept := read[client.Organizer](t, opened)
	rotated, err := ticket.NewSigner("euw3-2", bytes.Repeat([]byte{99}, ticket.SeedSize))
	if err == nil {
		rotated, err = rotated.WithPrevious(s.server.Signer.Public())
	}
	if err != nil {
		t.Fatal(err)
	}
	s.server.Signer, s.server.Checkout.Signer = rotated, rotated
	after := s.paid(t, s.guest, 1)
	keys, err := ticket.ParseJWKSet(read[client.JWKSet](t, s.ask(t, "GET /v1/keys/tickets", nil).want(t, "200")))
	if err != nil {
		t.Fatal(err)
	}
	for kid, o := range map[string]client.Order{"euw3-1": before, "euw3-2": after} {
		if c, err := ticket.Verify(o.Tickets[0].Barcode, ticket.KeysOf(keys)); err != nil || c.KeyID != kid {
			t.Errorf("%s: %+v, %v", kid, c, err)
		}
	}
	s.ask(t, "GET "+s.path()+"/stats", nil, s.bearer).want(t, "200")
	// With another access key the first answer's key cannot be made again; a wrong one must not be shown, and the old one works.
	renewed, err := access.NewSigner(here, 2, bytes.Repeat([]byte{98}, signed.SeedSize))
	if err == nil {
		renewed, err = renewed.WithPrevious(nil, s.server.Access.Published()...)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.server.Access, s.server.Accounts.Key = renewed, renewed.Key()
	s.ask(t, "GET /v1/organizers/"+kept.ID+"/members", nil, bearer(kept.APIKey)).want(t, "200")
	again := read[client.Organizer](t, s.ask(t, "POST /v1/organizers", object{"name": "Kept"}, bearer(operatorToken), key("account")).want(t, "201"))
	if again.ID != kept.ID || again.APIKey != "" {
		t.Errorf("%+v", again)
	}
}
