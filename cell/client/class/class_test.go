package class_test

import (
	"testing"

	"guichet/cell/client/class"
)

func TestOf_goesByTheFirstRowThatFits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, path string
		want         class.Class
	}{
		{"GET", "/livez", class.Health},
		{"POST", "/livez", class.Other},
		{"POST", "/v1/payments/stripe/webhook", class.Webhook},
		{"GET", "/v1/payments/stripe/webhook", class.Other},
		{"GET", "/", class.Catalogue},
		{"GET", "/v1/events", class.Catalogue},
		{"GET", "/v1/events/suggest", class.Catalogue},
		{"HEAD", "/v1/events/evt_x", class.Event},
		{"PATCH", "/v1/events/evt_x", class.Organizer},
		{"GET", "/v1/events/evt_x/orders", class.Organizer},
		{"POST", "/v1/events/evt_x/holds", class.Hold},
		{"DELETE", "/v1/holds/hld_x", class.Hold},
		{"POST", "/v1/orders", class.Order},
		{"GET", "/v1/orders/ord_x/tickets", class.Order},
		{"GET", "/v1/orders/ord_x/credit_notes/1.pdf", class.Ticket},
		{"GET", "/v1/tickets/tkt_x.pdf", class.Ticket},
		{"POST", "/v1/tickets/find", class.Mail},
		{"POST", "/v1/tickets/tkt_x/transfer", class.Mail},
		{"POST", "/v1/orders/ord_x/resend", class.Mail},
		{"GET", "/v1/organizers/org_x/payouts", class.Organizer},
		{"GET", "/v1/catalogue/digest", class.Operator},
		{"GET", "/nowhere", class.Other},
		{"OPTIONS", "/v1/events", class.Organizer},
	} {
		if got := class.Of(c.method, c.path); got != c.want {
			t.Errorf("%s %s is %s, want %s", c.method, c.path, got, c.want)
		}
	}
}

// A stranger who spells an operator's path in another way must not get past the door.
func TestOf_knowsAnOperatorsCallInEverySpelling(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/v1/sagas", "/v1/sagas/", "//v1//sagas", "/v1/sagas/a/b/c/d/e/f/g/h/i", "v1/sagas", "/v1/sagas/x/retry", "/metrics", "/metrics/", "/v1/payments/notices/replay", "/debug/pprof/heap"} {
		for _, method := range []string{"GET", "POST", "HEAD", "OPTIONS", "BREW"} {
			if got := class.Of(method, path); got != class.Operator {
				t.Errorf("%s %s is %s", method, path, got)
			}
		}
	}
	if class.Of("POST", "/v1/organizers/") != class.Operator || class.Of("GET", "/v1/organizers") == class.Operator {
		t.Error("opening an account is an operator's call, and nothing else at its path")
	}
}

// Pages are limited like the calls that they make, in every language.
func TestOf_knowsPagesInEveryLanguage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, path string
		want         class.Class
	}{
		{"GET", "/fr/", class.Catalogue},
		{"GET", "/ja/search", class.Catalogue},
		{"GET", "/events/evt_x", class.Event},
		{"GET", "/de/events/evt_x.ics", class.Event},
		{"POST", "/de/events/evt_x/hold", class.Hold},
		{"POST", "/holds/hld_x/extend", class.Hold},
		{"POST", "/holds/hld_x/order", class.Order},
		{"GET", "/orders/ord_x", class.Order},
		{"GET", "/orders/ord_x/tickets/tkt_x.png", class.Ticket},
		{"POST", "/orders/ord_x/tickets/tkt_x/give", class.Mail},
		{"POST", "/find", class.Mail},
		{"GET", "/es/find", class.Catalogue},
		{"GET", "/assets/shop.x.css", class.Catalogue},
		{"GET", "/fr/metrics", class.Operator},
		{"GET", "/french/search", class.Other},
	} {
		if got := class.Of(c.method, c.path); got != c.want {
			t.Errorf("%s %s is %s, want %s", c.method, c.path, got, c.want)
		}
	}
}
