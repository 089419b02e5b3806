package api

import (
	"encoding/json"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/money"
)

// What is written by hand is what encoding/json writes, or nothing.
func FuzzPlainHold(f *testing.F) {
	for _, name := range []string{"Floor", "Été", `a "b"`, "a&b", "<i>", "tab\t", "", "\x7f", "\xff", "\\"} {
		f.Add(name, "EUR", int64(4250), int64(2), int64(0), "", int64(1_795_000_000_123_456_000), uint8(1))
	}
	f.Add("Floor", "EUR", int64(4250), int64(2), int64(7), "early", int64(0), uint8(3))
	f.Add("Floor", "EUR", int64(-1), int64(0), int64(0), "", int64(-62135596800), uint8(0))
	event := id.NewEvent("euw3")
	f.Fuzz(func(t *testing.T, name, currency string, amount, quantity, fees int64, tier string, until int64, items uint8) {
		h := booking.Hold{ID: id.NewHold(event), State: booking.HoldActive, ExpiresAt: time.Unix(0, until), Total: money.Money{Amount: amount, Currency: currency}}
		for range items % 4 {
			h.Items = append(h.Items, booking.HoldItem{Type: id.NewTicketType(event), Name: name, Quantity: quantity, AllIn: money.Money{Amount: amount, Currency: currency}, Fees: fees, TierName: tier})
		}
		want, err := json.Marshal(holdView(h))
		got := plainHold(h)
		if err != nil && got != nil {
			t.Fatalf("%s, which encoding/json refuses: %v", got, err)
		}
		if got != nil && string(got) != string(want) {
			t.Errorf("%s\n%s", got, want)
		}
	})
}

func TestPlainHold_isForPlainHoldsAndNoOthers(t *testing.T) {
	t.Parallel()
	event := id.NewEvent("euw3")
	plain := booking.HoldItem{Type: id.NewTicketType(event), Name: "Floor", Quantity: 1, AllIn: money.Money{Amount: 1, Currency: "EUR"}}
	of := func(change func(i *booking.HoldItem)) booking.Hold {
		item := plain
		change(&item)
		return booking.Hold{ID: id.NewHold(event), State: booking.HoldActive, Items: []booking.HoldItem{item}, Total: item.AllIn}
	}
	if plainHold(of(func(*booking.HoldItem) {})) == nil {
		t.Error("a plain hold takes the long way")
	}
	for name, change := range map[string]func(i *booking.HoldItem){
		"seats": func(i *booking.HoldItem) { i.Seats = make([]booking.HeldSeat, 1) }, "fees": func(i *booking.HoldItem) { i.Fees = 1 },
		"tax": func(i *booking.HoldItem) { i.Tax = 1 }, "a promo code": func(i *booking.HoldItem) { i.Promo = "P" },
		"what it saved": func(i *booking.HoldItem) { i.Saved = 1 }, "a tier": func(i *booking.HoldItem) { i.TierName = "early" },
	} {
		if got := plainHold(of(change)); got != nil {
			t.Errorf("a hold with %s is written as %s", name, got)
		}
	}
}
