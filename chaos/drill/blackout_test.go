package drill

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/chaos/world"
)

// P4: the provider's webhooks do not come. The cell asks by itself, and the order
// is paid within a minute of the money.
func TestBlackout_orderIsPaidWithoutAnyWebhook(t *testing.T) {
	t.Parallel()
	w := sharedTown(t)
	ctx := t.Context()
	must(t, w.SetFaults(ctx, "euw3", world.Faults{WebhookBlackout: true}))
	t.Cleanup(func() {
		if err := w.SetFaults(context.Background(), "euw3", world.Faults{}); err != nil {
			t.Errorf("end the black-out: %v", err)
		}
	})
	e := stage(t, w, "euw3", unique("Black-out"), 10, 0)
	c := attendee(t, w, world.Paris)
	hold, _, err := c.CreateHold(ctx, e.ID, e.want(2), key("hold"))
	must(t, err)
	order, _, err := c.CreateOrder(ctx, orderOf(hold), key("order"))
	must(t, err)
	heard := webhooks(t, w, "euw3")
	must(t, w.Confirm(ctx, order, world.CardVisa))
	confirmed := time.Now()
	order, err = paid(ctx, c, order.ID) // waits a minute at most
	must(t, err)
	if n := webhooks(t, w, "euw3"); n != heard {
		t.Errorf("%.0f webhooks came during the black-out", n-heard)
	}
	t.Logf("paid %s after the money", time.Since(confirmed).Round(100*time.Millisecond))
	if len(order.Tickets) != 2 {
		t.Errorf("%d tickets, want 2", len(order.Tickets))
	}

	// Then the webhooks come after all, three times each: nothing happens again (P5).
	must(t, w.SetFaults(ctx, "euw3", world.Faults{Duplicates: 3}))
	other, err := buy(ctx, w, c, e, 1)
	must(t, err)
	until(t, 30*time.Second, "the webhooks of both payments have come", func() bool { return webhooks(t, w, "euw3") >= heard+2*3 })
	if late, _, err := c.GetOrder(ctx, order.ID); err != nil || late.State != "paid" || len(late.Tickets) != 2 || len(late.Timeline) != len(order.Timeline) {
		t.Errorf("after the late webhooks the order is %+v (%v)", late, err)
	}
	if s := e.stats(t); s.Quotas[0].Sold != 3 || s.Quotas[0].Held != 0 || s.Revenue.Amount != order.Total.Amount+other.Total.Amount {
		t.Errorf("the organizer sees %+v", s)
	}
}

// webhooks is how many webhooks a cell has taken in, by its own count.
func webhooks(t *testing.T, w *world.World, cell string) (n float64) {
	t.Helper()
	text, err := world.Metrics(t.Context(), credentials(t, w).Private(cell)[0])
	must(t, err)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "guichet_http_requests_total{") && strings.Contains(line, `"/v1/payments/stripe/webhook"`) && strings.Contains(line, `status="2xx"`) {
			value, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:len(line)-1], 64)
			must(t, err)
			n += value
		}
	}
	return n
}

// A card that is declined leaves the order pending, the hold in place, and the
// buyer free to try another card.
func TestBlackout_declinedCardThenGoodCardIsOnePurchase(t *testing.T) {
	t.Parallel()
	w := sharedTown(t)
	ctx := t.Context()
	e := stage(t, w, "apn1", unique("Declined"), 1, 0)
	c := attendee(t, w, world.Tokyo)
	hold, _, err := c.CreateHold(ctx, e.ID, e.want(1), key("hold"))
	must(t, err)
	order, _, err := c.CreateOrder(ctx, orderOf(hold), key("order"))
	must(t, err)
	if err := w.Confirm(ctx, order, "pm_card_chargeDeclined"); err == nil {
		t.Fatal("the declined card was taken")
	}
	if q := e.stats(t).Quotas[0]; q.Held != 1 || q.Sold != 0 {
		t.Errorf("after the decline the organizer sees %+v", q)
	}
	var p *client.ProblemError
	if _, _, err := c.CreateHold(ctx, e.ID, e.want(1), key("other")); !errors.As(err, &p) || p.Code != "sold_out" {
		t.Errorf("another buyer gets %v while the first one pays", err)
	}
	must(t, w.Confirm(ctx, order, world.CardVisa))
	order, err = paid(ctx, c, order.ID)
	must(t, err)
	if len(order.Tickets) != 1 {
		t.Errorf("%d tickets, want 1", len(order.Tickets))
	}
}
