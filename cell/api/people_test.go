package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"guichet/cell/access"
	"guichet/cell/api"
	"guichet/cell/client"
	"guichet/cell/identity"
	"guichet/control-plane/topology"
)

// doorkeeper stands for cell/identity, which has tests of its own at true issuers.
type doorkeeper struct {
	signer *access.Signer
	ended  []string
}

func (d *doorkeeper) Exchange(_ context.Context, idToken string) (string, access.Person, error) {
	if idToken != "good" {
		return "", access.Person{}, identity.ErrRefused.With("the ID token does not hold")
	}
	p := ana(time.Now())
	return d.signer.Person(p, time.Now()), p, nil
}

func (d *doorkeeper) End(_ context.Context, p access.Person) error {
	d.ended = append(d.ended, p.RevocationID())
	return nil
}

func ana(now time.Time) access.Person {
	return access.Person{Issuer: "https://id.example.org", Subject: "1", Email: "ana@example.org", Name: "Ana", Session: "s1", Roles: []string{"drill"}, Expires: now.Add(access.PersonLife).UTC().Truncate(time.Second)}
}

func TestSessions_aProgramSignsInAndOut(t *testing.T) {
	t.Parallel()
	door := &doorkeeper{signer: accessKey(t, here)}
	h := open(t, func(h *house) {
		h.server.People, h.server.SignIn = door, client.SignInPlace{Issuer: "https://id.example.org", ClientID: "guichet-cli"}
		h.server.Revoked = func(id string) bool { return slices.Contains(door.ended, id) }
	})
	if place := read[client.SignInPlace](t, h.ask(t, "GET /v1/sign_in", nil).want(t, "200")); place.Issuer != "https://id.example.org" || place.ClientID != "guichet-cli" {
		t.Errorf("%+v", place)
	}
	h.ask(t, "POST /v1/sessions", object{"id_token": "forged"}).want(t, "401 sign_in_refused")
	s := read[client.Session](t, h.ask(t, "POST /v1/sessions", object{"id_token": "good"}).want(t, "201"))
	if s.Person.Email != "ana@example.org" || !slices.Equal(s.Person.Roles, []string{"drill"}) || time.Until(s.ExpiresAt) > access.PersonLife {
		t.Errorf("%+v", s)
	}
	if me := read[client.Person](t, h.ask(t, "GET /v1/me", nil, bearer(s.AccessToken)).want(t, "200")); me.Subject != "1" || !me.ExpiresAt.Equal(s.ExpiresAt) {
		t.Errorf("%+v", me)
	}
	h.ask(t, "DELETE /v1/sessions", nil).want(t, "401 unauthorized")
	h.ask(t, "DELETE /v1/sessions", nil, bearer(s.AccessToken)).want(t, "204")
	h.ask(t, "GET /v1/me", nil, bearer(s.AccessToken)).want(t, "401 token_withdrawn")
	h.ask(t, "DELETE /v1/sessions", nil, bearer(s.AccessToken)).want(t, "401 token_withdrawn")
	for range 20 {
		if a := h.askRaw(t, "POST /v1/sessions", object{"id_token": "forged"}); a.status == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("ID tokens can be tried without end")
}

func TestSessions_aCellWithoutAnIssuerSaysSo(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.ask(t, "GET /v1/sign_in", nil).want(t, "503 sign_in_not_configured")
	h.ask(t, "POST /v1/sessions", object{"id_token": "good"}).want(t, "503 sign_in_not_configured")
	h.ask(t, "DELETE /v1/sessions", nil, bearer(accessKey(t, here).Person(ana(time.Now()), time.Now()))).want(t, "503 sign_in_not_configured")
}

func TestMyTickets_gathersFromAllCellsAndSaysWhoCouldNotBeAsked(t *testing.T) {
	t.Parallel()
	var asked string
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("Authorization") + " " + r.URL.RequestURI()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(client.MyTickets{
			Items:   []client.Order{{ID: "ord_use1_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v", State: "paid", Items: []client.OrderItem{}, Tickets: []client.Ticket{}, Timeline: []client.Moment{}, CreatedAt: time.Now().Add(-time.Hour), AccessToken: "theirs"}},
			Tickets: []client.Ticket{{ID: "tkt_use1_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v", State: "valid"}},
		})
	}))
	t.Cleanup(peer.Close)
	s := open(t, func(h *house) {
		h.server.Peers = func(topology.CellID) *http.Client { return peer.Client() }
		for i := range h.town.Cells {
			if h.town.Cells[i].ID == "use1" {
				h.town.Cells[i].URLs = []string{"http://127.0.0.1:1", peer.URL} // its first process is dead
			}
		}
		h.town.Cells = append(h.town.Cells, topology.Cell{ID: "sae1", Region: "sa-east-1", State: topology.CellLeft})
	}).stage(t)
	bought := s.paid(t, s.guest, 2)
	// Any cell's word about who signed in is good here.
	token := accessKey(t, "apn1").Person(ana(time.Now()), time.Now())
	got := read[client.MyTickets](t, s.ask(t, "GET /v1/me/tickets", nil, bearer(token)).want(t, "200"))
	if !slices.Equal(got.Cells, []string{"euw3", "use1"}) || !slices.Equal(got.Unreachable, []string{"apn1"}) {
		t.Errorf("asked %v, not %v", got.Cells, got.Unreachable)
	}
	if len(got.Items) != 2 || got.Items[0].ID != bought.ID || got.Items[1].AccessToken != "theirs" || len(got.Tickets) != 1 {
		t.Fatalf("%+v", got)
	}
	if asked != "Bearer "+token+" /v1/me/tickets?here=true" {
		t.Errorf("the other cell was asked %s", asked)
	}
	// What is answered can be used.
	s.ask(t, "GET /v1/orders/"+bought.ID, nil, bearer(got.Items[0].AccessToken)).want(t, "200")
	s.ask(t, "GET /v1/tickets/"+bought.Tickets[0].ID, nil, bearer(got.Items[0].Tickets[0].AccessToken)).want(t, "200")

	alone := read[client.MyTickets](t, s.ask(t, "GET /v1/me/tickets?here=true", nil, bearer(token)).want(t, "200"))
	if len(alone.Items) != 1 || len(alone.Unreachable) != 0 {
		t.Errorf("%+v", alone)
	}
	s.ask(t, "GET /v1/me/tickets?here=perhaps", nil, bearer(token)).want(t, "400 invalid_parameter")
	for range api.MaxGatheringsPerPerson {
		if s.askRaw(t, "GET /v1/me/tickets?here=true", nil, bearer(token)).status == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("one person may have all cells asked without end")
}

func TestMyTickets_areNobodyElses(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	s.paid(t, s.guest, 1)
	keys := accessKey(t, here)
	other := ana(time.Now())
	other.Email = "other@example.org"
	got := read[client.MyTickets](t, s.ask(t, "GET /v1/me/tickets?here=true", nil, bearer(keys.Person(other, time.Now()))).want(t, "200"))
	if len(got.Items)+len(got.Tickets) != 0 {
		t.Errorf("%+v", got)
	}
	unknown := ana(time.Now())
	unknown.Email = ""
	got = read[client.MyTickets](t, s.ask(t, "GET /v1/me/tickets?here=true", nil, bearer(keys.Person(unknown, time.Now()))).want(t, "200"))
	if len(got.Items)+len(got.Tickets) != 0 {
		t.Errorf("%+v", got)
	}
	for name, token := range map[string]string{
		"nobody":             "",
		"an organizer's key": s.org.APIKey,
		"an operator":        operatorToken,
		"a stranger's word":  strings.Replace(keys.Person(ana(time.Now()), time.Now()), "euw3-a1", "use1-a1", 1),
		"yesterday":          keys.Person(ana(time.Now().Add(-24*time.Hour)), time.Now().Add(-24*time.Hour)),
	} {
		opts := []with{bearer(token)}
		if token == "" {
			opts = nil
		}
		if a := s.ask(t, "GET /v1/me/tickets", nil, opts...); a.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}
