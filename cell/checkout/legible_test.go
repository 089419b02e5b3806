package checkout_test

import (
	"testing"

	"guichet/cell/checkout"
	"guichet/internal/kind"
)

func pointerOf(err error) string {
	if e := kind.As(err); e != nil {
		if faults, _ := e.Fields["errors"].([]kind.Fault); len(faults) == 1 {
			return faults[0].Pointer
		}
	}
	return ""
}

func TestRequest_refusesNamesThatTurnOrHideText(t *testing.T) {
	t.Parallel()
	for _, hidden := range []string{"\u202e", "\u2067", "\u200b", "\u200e", "\ufeff", "\u3164"} {
		ask := func() checkout.Request {
			return checkout.Request{Buyer: checkout.Buyer{Email: "dana@example.org", Name: "Dana"}, Attendees: []checkout.Attendee{{Name: "Noa"}}}
		}
		buyer, attendee := ask(), ask()
		buyer.Buyer.Name += hidden + "x"
		attendee.Attendees[0].Name += hidden
		if got := pointerOf(buyer.Check()); got != "/buyer/name" {
			t.Errorf("%+q in a buyer's name is refused at %q", hidden, got)
		}
		if got := pointerOf(attendee.Check()); got != "/attendees/0/name" {
			t.Errorf("%+q in an attendee's name is refused at %q", hidden, got)
		}
		f := checkout.Form{Seller: checkout.Seller{Name: "Hall" + hidden}}
		if got := pointerOf(f.Succeed(checkout.Form{})); got != "/seller/name" {
			t.Errorf("%+q in a seller's name is refused at %q", hidden, got)
		}
	}
	for _, name := range []string{"علی\u200cرضا", "דנה", "ZoëÉlodie"} {
		r := checkout.Request{Buyer: checkout.Buyer{Email: "dana@example.org", Name: name}}
		if err := r.Check(); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}
