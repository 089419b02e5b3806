package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/ticket"
)

// gate is a cell that serves keys and the revocations of one event, one a page.
type gate struct {
	signer      *ticket.Signer
	event       id.Event
	alive, dead string
	url         string
	head        int64 // that it says; tests lie with it
}

func openGate(t *testing.T) *gate {
	t.Helper()
	signer, err := ticket.NewSigner("apn1-1", bytes.Repeat([]byte{7}, ed25519.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{signer: signer, event: id.NewEvent("apn1"), head: 2}
	barcode := func() string {
		return signer.Barcode(ticket.Claims{Ticket: id.NewTicket(g.event), Type: id.NewTicketType(g.event), IssuedAt: time.Unix(1_800_000_000, 0)})
	}
	g.alive, g.dead = barcode(), barcode()
	marks := []string{ticket.Mark(barcode()), ticket.Mark(g.dead)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/keys/tickets", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(ticket.JWKSet(signer.Published()))
	})
	mux.HandleFunc("GET /v1/events/{id}/revocations", func(w http.ResponseWriter, r *http.Request) {
		after, _ := strconv.ParseInt(r.URL.Query().Get("cursor"), 10, 64)
		page := client.Revocations{EventID: r.PathValue("id"), After: after, Head: g.head, IssuedAt: time.Unix(1_800_000_000, 0).UTC(), Items: []client.Revocation{}}
		if after < int64(len(marks)) {
			page.Items = append(page.Items, client.Revocation{Seq: after + 1, Mark: marks[after], At: time.Unix(1_750_000_000, 0).UTC()})
		}
		if next := strconv.FormatInt(after+1, 10); after+1 < g.head {
			page.NextCursor = &next
		}
		signer.SignRevocations(&page)
		_ = json.NewEncoder(w).Encode(page)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	g.url = s.URL
	return g
}

func TestVerify_refusesARevokedTicketWithAndWithoutANetwork(t *testing.T) {
	g := openGate(t)
	saved := filepath.Join(t.TempDir(), "revocations.jsonl")
	code, out, errOut := guichet(t, "verify", g.alive, "--keys", g.url, "--revocations", g.url, "--save-revocations", saved)
	if code != 0 || !strings.Contains(out, "not among 2 revocations") || !strings.Contains(out, "2027-01-15T08:00:00Z") {
		t.Fatalf("exit %d\n%s%s", code, out, errOut)
	}
	for _, where := range []string{g.url, saved} {
		if code, _, errOut := guichet(t, "verify", g.dead, "--keys", g.url, "--revocations", where); code != 1 || !strings.Contains(errOut, "ticket_revoked") {
			t.Errorf("%s: exit %d %s", where, code, errOut)
		}
		if code, _, errOut := guichet(t, "verify", g.alive, "--keys", g.url, "--revocations", where); code != 0 {
			t.Errorf("%s: exit %d %s", where, code, errOut)
		}
	}
	if code, _, _ := guichet(t, "verify", g.dead, "--keys", g.url); code != 0 {
		t.Errorf("without a list nothing is known of it: exit %d", code)
	}
}

func TestVerify_believesNoListThatIsCutOffOrNoList(t *testing.T) {
	g := openGate(t)
	saved := filepath.Join(t.TempDir(), "revocations.jsonl")
	if code, _, errOut := guichet(t, "verify", g.alive, "--keys", g.url, "--revocations", g.url, "--save-revocations", saved); code != 0 {
		t.Fatalf("exit %d %s", code, errOut)
	}
	text, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := bytes.Cut(text, []byte("\n"))
	for name, content := range map[string][]byte{"cut off": first, "changed": bytes.Replace(text, []byte(`"head":2`), []byte(`"head":1`), 1), "empty": {}, "nonsense": []byte("x")} {
		if err := os.WriteFile(saved, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, errOut := guichet(t, "verify", g.dead, "--keys", g.url, "--revocations", saved); code != 1 || strings.Contains(errOut, "ticket_revoked") {
			t.Errorf("%s: exit %d %s", name, code, errOut)
		}
	}
	other := openGate(t)
	if code, _, errOut := guichet(t, "verify", other.alive, "--keys", g.url, "--revocations", g.url); code != 0 {
		t.Errorf("asked for the ticket's own event: exit %d %s", code, errOut)
	}
	g.head = 5 // says there are more than it gives
	if code, _, errOut := guichet(t, "verify", g.alive, "--keys", g.url, "--revocations", g.url); code != 1 || !strings.Contains(errOut, "not complete") {
		t.Errorf("a list without its end: exit %d %s", code, errOut)
	}
	if code, _, _ := guichet(t, "verify", g.alive, "--keys", g.url, "--save-revocations", saved); code != 2 {
		t.Errorf("nothing to save: exit %d", code)
	}
}
