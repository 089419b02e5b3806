package drill

import (
	"bytes"
	"encoding/json"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/chaos/world"
)

// answeredBy holds an answer to who gave it and why.
func answeredBy(t *testing.T, what string, m client.Meta, cell, route string) {
	t.Helper()
	if m.Cell != cell || m.Route != route {
		t.Errorf("%s was answered by %q (%q), want %q (%q)", what, m.Cell, m.Route, cell, route)
	}
}

// The main job, through every part of the house: the nearest cell searches, the
// home decides, and a gate needs neither.
func TestPurchase_attendeeInParisBuysATicketOfAnEventAtHomeInTokyo(t *testing.T) {
	w := sharedTown(t)
	name := unique("Wadaiko no Yoru")
	e := stage(t, w, "apn1", name, 50, 5)
	c := attendee(t, w, world.Paris)
	ctx := t.Context()

	until(t, 30*time.Second, "Paris finds the event, and that it is available", func() bool {
		found, m, err := c.Search(ctx, client.Query{Text: name, Limit: 5})
		must(t, err)
		answeredBy(t, "search", m, "euw3", "nearest")
		return len(found.Items) > 0 && found.Items[0].ID == e.ID && found.Items[0].Availability == client.Available && found.Items[0].Home.Cell == "apn1"
	})
	page, m, err := c.Event(ctx, e.ID)
	must(t, err)
	answeredBy(t, "event page", m, "apn1", "home")
	if page.TicketTypes[0].Availability != client.Available || page.TicketTypes[0].PriceAllIn.Amount != 4250 {
		t.Errorf("the page says %+v", page.TicketTypes[0])
	}
	hold, m, err := c.CreateHold(ctx, e.ID, e.want(2), key("hold"))
	must(t, err)
	answeredBy(t, "hold", m, "apn1", "home")
	order, m, err := c.CreateOrder(ctx, orderOf(hold), key("order"))
	must(t, err)
	answeredBy(t, "order", m, "apn1", "home")
	if order.State != "pending" || order.Total.Amount != 8500 {
		t.Errorf("the order is %s over %s", order.State, order.Total)
	}
	must(t, w.Confirm(ctx, order, world.CardVisa))
	order, err = paid(ctx, c, order.ID)
	must(t, err)
	tickets, m, err := c.Tickets(ctx, order.ID)
	must(t, err)
	answeredBy(t, "tickets", m, "apn1", "home")
	if len(tickets) != 2 || tickets[0].Barcode == tickets[1].Barcode || tickets[0].State != "valid" {
		t.Fatalf("tickets: %+v", tickets)
	}
	inHand(t, c, tickets[0])
	offlineGate(t, w, c, tickets...)
	if q := e.stats(t).Quotas[0]; q.Sold != 2 || q.Held != 0 || q.Free != 48 {
		t.Errorf("the organizer sees %+v", q)
	}
}

// The organizer's ledger adds up to what was sold, and shows when it was touched.
func TestLedger_ofAnEventAddsUpForAnybodyWithThePublicKeys(t *testing.T) {
	w := sharedTown(t)
	e := stage(t, w, "euw3", unique("Ledger"), 20, 4)
	c := attendee(t, w, world.Paris)
	ctx := t.Context()
	for range 3 {
		_, _, err := c.CreateHold(ctx, e.ID, e.want(1), key("hold"))
		must(t, err)
	}
	gone, _, err := c.CreateHold(ctx, e.ID, e.want(2), key("hold"))
	must(t, err)
	_, err = c.ReleaseHold(ctx, gone.ID)
	must(t, err)
	text, _, err := e.organizer.Ledger(ctx, e.ID)
	must(t, err)
	creds, err := w.Credentials()
	must(t, err)
	file := filepath.Join(t.TempDir(), "ledger.jsonl")
	must(t, os.WriteFile(file, text, 0o600))
	out, code, err := w.Tool(ctx, "ledger", "verify", file, "--keys", creds.Router)
	must(t, err)
	if code != 0 || !strings.Contains(out, "size 20, held 3, sold 0, allocated 0, free 17") || !strings.Contains(out, "release   1") {
		t.Errorf("exit code %d: %s", code, out)
	}
	must(t, os.WriteFile(file, bytes.Replace(text, []byte(`"held":1`), []byte(`"held":2`), 1), 0o600))
	if out, code, err := w.Tool(ctx, "ledger", "verify", file, "--keys", creds.Router); err != nil || code == 0 {
		t.Errorf("a ledger that was touched is taken: %s (%v)", out, err)
	}
	if _, _, err := c.Ledger(ctx, e.ID); client.CodeOf(err) != "unauthorized" {
		t.Errorf("a stranger asks for the ledger: %v", err)
	}
}

// inHand fetches the ticket's picture and its page.
func inHand(t *testing.T, c *client.Client, ticket client.Ticket) {
	t.Helper()
	picture, m, err := c.TicketPNG(t.Context(), ticket.ID)
	must(t, err)
	answeredBy(t, "picture", m, "apn1", "home")
	if img, err := png.Decode(bytes.NewReader(picture)); err != nil || img.Bounds().Dx() < 100 {
		t.Errorf("the picture is no PNG to scan: %v", err)
	}
	paper, m, err := c.TicketPDF(t.Context(), ticket.ID)
	must(t, err)
	answeredBy(t, "page", m, "apn1", "home")
	if !bytes.HasPrefix(paper, []byte("%PDF-")) || !bytes.Contains(paper[max(0, len(paper)-64):], []byte("%%EOF")) {
		t.Error("the page is no whole PDF")
	}
}

// offlineGate plays a gate: it has the published keys in a file and asks nobody.
// It takes the tickets and refuses a forged one.
func offlineGate(t *testing.T, w *world.World, c *client.Client, tickets ...client.Ticket) {
	t.Helper()
	keys, m, err := c.TicketKeys(t.Context())
	must(t, err)
	answeredBy(t, "keys", m, "euw3", "nearest")
	text, err := json.Marshal(keys)
	must(t, err)
	file := filepath.Join(t.TempDir(), "keys.json")
	must(t, os.WriteFile(file, text, 0o600))
	for _, ticket := range tickets {
		out, code, err := w.Tool(t.Context(), "verify", "--keys", file, ticket.Barcode)
		must(t, err)
		if code != 0 || !strings.Contains(out, ticket.ID) {
			t.Errorf("the gate refuses %s (exit code %d): %s", ticket.ID, code, out)
		}
	}
	forged := []byte(tickets[0].Barcode)
	at := len(forged) - 10
	forged[at] = map[bool]byte{true: 'B', false: 'A'}[forged[at] == 'A']
	if out, code, err := w.Tool(t.Context(), "verify", "--keys", file, string(forged)); err != nil || code == 0 {
		t.Errorf("the gate takes a forged barcode: %s (%v)", out, err)
	}
}
