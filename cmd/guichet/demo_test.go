package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/ticket"
	"guichet/control-plane/topology"
)

// stage stands where router, cell and bank would and answers one purchase from
// a script; the town's e2e test plays the demo on real ones.
type stage struct {
	mu       sync.Mutex
	paid     bool
	released bool
	near     []string
	price    int64
	orderErr int
	event    client.Event
	signer   *ticket.Signer
}

func newStage(t *testing.T, price int64) (s *stage, args []string) {
	t.Helper()
	signer, err := ticket.NewSigner("apn1-1", bytes.Repeat([]byte{7}, ed25519.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	key := id.NewEvent("apn1")
	yen := func(n int64) money.Money { return money.Money{Amount: n, Currency: "JPY"} }
	s = &stage{signer: signer, price: price, event: client.Event{
		ID: key.String(), Name: "第九", TimeZone: "Asia/Tokyo", StartsAt: time.Unix(1_800_000_000, 0), Home: client.Home{Cell: "apn1", Region: "ap-northeast-1"},
		TicketTypes: []client.TicketType{
			{ID: id.NewTicketType(key).String(), Name: "gone", PriceAllIn: yen(1), Availability: client.None, MinPerOrder: 1, MaxPerOrder: 10},
			{ID: id.NewTicketType(key).String(), Name: "dear", PriceAllIn: yen(9000), Availability: client.Available, MinPerOrder: 1, MaxPerOrder: 10},
			{ID: id.NewTicketType(key).String(), Name: "cheap", PriceAllIn: yen(price), Availability: client.Few, MinPerOrder: 1, MaxPerOrder: 4},
		},
	}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, []string{"demo", "--router", server.URL, "--sandbox", server.URL}
}

func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.near = append(s.near, r.Header.Get("X-Guichet-Near"))
	w.Header().Set("X-Guichet-Cell", "apn1")
	w.Header().Set("X-Guichet-Route", "home")
	total := money.Money{Amount: s.price, Currency: "JPY"}
	var answer any
	switch path := r.URL.Path; {
	case path == "/v1/topology":
		answer = topology.Snapshot{Version: 1, Cells: []topology.Cell{{ID: "euw3", Region: "eu-west-3", State: "serving"}, {ID: "apn1", Region: "ap-northeast-1", State: "serving"}}}
	case path == "/v1/events":
		w.Header().Set("X-Guichet-Cell", "euw3")
		w.Header().Set("X-Guichet-Route", "nearest")
		answer = client.Listings{Total: 1, Items: []client.Listing{{ID: s.event.ID, PriceFrom: &total, Availability: client.Available}}}
	case path == "/v1/events/"+s.event.ID:
		answer = s.event
	case strings.HasSuffix(path, "/holds"):
		var want client.NewHold
		_ = json.NewDecoder(r.Body).Decode(&want)
		if len(want.Items) != 1 || want.Items[0].TicketTypeID != s.event.TicketTypes[2].ID {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		answer = client.Hold{ID: "hld_x", State: "active", Total: total}
	case r.Method == http.MethodDelete:
		s.released = true
		w.WriteHeader(http.StatusNoContent)
		return
	case path == "/v1/orders" && s.orderErr != 0:
		w.WriteHeader(s.orderErr)
		answer = client.Problem{Code: "hold_expired"}
	case path == "/v1/orders", path == "/v1/orders/ord_x":
		order := client.Order{ID: "ord_x", Code: "ABC", State: "pending", Total: total, Payment: &client.PaymentHandle{Provider: "stripe", ClientSecret: "pi_1_secret_2", PublishableKey: "pk_test"}}
		if s.paid || s.price == 0 {
			order.State = "paid"
		}
		answer = order
	case path == "/v1/payment_intents/pi_1/confirm":
		card := r.FormValue("payment_method")
		if r.Header.Get("Authorization") != "Bearer pk_test" || r.FormValue("client_secret") != "pi_1_secret_2" || card != "pm_card_visa" {
			w.WriteHeader(http.StatusPaymentRequired)
			answer = map[string]any{"error": map[string]string{"code": "card_declined", "message": "Your card was declined."}}
			break
		}
		s.paid = true
		answer = map[string]string{"status": "succeeded"}
	case path == "/v1/orders/ord_x/tickets":
		key, _ := id.ParseEvent(s.event.ID)
		claims := ticket.Claims{Ticket: id.NewTicket(key), Type: id.NewTicketType(key), IssuedAt: time.Unix(1_800_000_000, 0)}
		answer = map[string]any{"items": []client.Ticket{{ID: claims.Ticket.String(), Name: "cheap", Barcode: s.signer.Barcode(claims)}}}
	case path == "/v1/keys/tickets":
		answer = ticket.JWKSet([]topology.Key{s.signer.Public()})
	default:
		w.WriteHeader(http.StatusNotFound)
		answer = client.Problem{Code: "not_found", Detail: path}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func TestDemo_playsFromSearchToAVerifiedTicket(t *testing.T) {
	for _, c := range []struct {
		name  string
		price int64
		args  func(s *stage) []string
		steps []string
	}{
		{"far away by itself", 3500, func(*stage) []string { return nil }, []string{"search", "event", "hold", "order", "pay", "paid", "ticket", "verify"}},
		{"a given event", 3500, func(s *stage) []string { return []string{"--event", s.event.ID, "--from", "Paris"} }, []string{"search", "event", "hold", "order", "pay", "paid", "ticket", "verify"}},
		{"a search", 3500, func(*stage) []string { return []string{"--query", "第九"} }, []string{"search", "event", "hold", "order", "pay", "paid", "ticket", "verify"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, args := newStage(t, c.price)
			code, out, errOut := guichet(t, append(args, c.args(s)...)...)
			if code != 0 {
				t.Fatalf("exit %d\n%s%s", code, out, errOut)
			}
			for i, step := range c.steps {
				if !strings.Contains(out, fmt.Sprintf("%2d. %-8s", i+1, step)) {
					t.Errorf("step %d is not %s:\n%s", i+1, step, out)
				}
			}
			if !strings.Contains(out, "euw3   nearest") || !strings.Contains(out, "apn1   home") || !strings.Contains(out, "GT1.") || !strings.Contains(out, "▄") {
				t.Errorf("who, why, barcode or QR are missing:\n%s", out)
			}
			if s.near[0] != "48.853,2.349" {
				t.Errorf("the attendee stands at %s", s.near[0])
			}
		})
	}
}

func TestDemo_freeOrdersAskNobodyForMoney(t *testing.T) {
	s, args := newStage(t, 0)
	s.event.TicketTypes = s.event.TicketTypes[:0:0]
	s.event.TicketTypes = append(s.event.TicketTypes, client.TicketType{ID: "a", Availability: client.None}, client.TicketType{ID: "b", Availability: client.None},
		client.TicketType{ID: "c", Name: "free", Availability: client.Unknown, MinPerOrder: 1})
	out := filepath.Join(t.TempDir(), "ticket.txt")
	code, said, errOut := guichet(t, append(args, "--event", s.event.ID, "--out", out)...)
	if code != 0 || strings.Contains(said, " pay ") {
		t.Errorf("exit %d\n%s%s", code, said, errOut)
	}
	if text, err := os.ReadFile(out); err != nil || !strings.HasPrefix(string(text), "GT1.") {
		t.Errorf("%q %v", text, err)
	}
}

func TestDemo_saysWhyItEndedAndGivesTicketsBack(t *testing.T) {
	s, args := newStage(t, 3500)
	code, out, errOut := guichet(t, append(args, "--card", "pm_card_visa_chargeDeclined")...)
	if code != 1 || !strings.Contains(errOut, "Your card was declined. (card_declined)") {
		t.Errorf("declined: exit %d\n%s%s", code, out, errOut)
	}
	s.orderErr = 409
	code, out, errOut = guichet(t, args...)
	if code != 1 || !strings.Contains(errOut, "hold_expired") || !s.released {
		t.Errorf("no order: exit %d, released %v\n%s%s", code, s.released, out, errOut)
	}
	code, _, errOut = guichet(t, append(args, "--event", s.event.ID, "--quantity", "11")...)
	if code != 1 || !strings.Contains(errOut, "no ticket type for 11 tickets") {
		t.Errorf("eleven: exit %d %s", code, errOut)
	}
}
