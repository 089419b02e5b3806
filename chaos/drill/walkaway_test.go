package drill

import (
	"context"
	"testing"
	"time"

	"guichet/cell/client"
)

// lapsesAway: the provider is away when the order is made, and when its window closes.
func lapsesAway(t *testing.T, k *till, e client.Event) string {
	t.Helper()
	order := k.orderAway(t, e)
	k.sql(t, `UPDATE checkout.orders SET expires_at = clock_timestamp() WHERE order_id = $1`, order)
	k.decidedAway(t, order, "expired")
	return order
}

// outlivesItsHold: the provider is away when the hold of an order ends that could be paid.
func outlivesItsHold(t *testing.T, k *till, e client.Event) string {
	t.Helper()
	o := k.order(t, e, 0)
	k.front.set(down)
	k.sql(t, `UPDATE checkout.orders SET expires_at = clock_timestamp() - INTERVAL '5 minutes' WHERE order_id = $1`, o.ID)
	k.decidedAway(t, o.ID, "expired")
	return o.ID
}

func cancelsAway(t *testing.T, k *till, e client.Event) string {
	t.Helper()
	order := k.orderAway(t, e)
	k.cancel(t, order)
	k.decidedAway(t, order, "canceled")
	return order
}

// orderAway orders while the provider is away, and is told so.
func (k *till) orderAway(t *testing.T, e client.Event) (order string) {
	t.Helper()
	k.front.set(down)
	var hold client.Hold
	again := key("hold")
	k.ask(t, "there is a hold", func(ctx context.Context) (err error) {
		hold, _, err = k.cell.Client().CreateHold(ctx, e.ID, client.NewHold{Items: []client.HoldItem{{TicketTypeID: e.TicketTypes[0].ID, Quantity: 1}}}, again)
		return err
	})
	again = key("order")
	k.ask(t, "the provider is away", func(ctx context.Context) error {
		_, _, err := k.cell.Client().CreateOrder(ctx, orderOf(hold), again)
		if client.CodeOf(err) == "payment_provider_unavailable" {
			return nil
		}
		return err
	})
	must(t, k.db.QueryRow(t.Context(), `SELECT order_id FROM checkout.orders WHERE event_id = $1`, e.ID).Scan(&order))
	return order
}

// decidedAway waits until an order is decided and its stock is back, while the provider
// is away. Then he is back.
func (k *till) decidedAway(t *testing.T, order, state string) {
	t.Helper()
	k.hurry = true
	until(t, time.Minute, "it is "+state, func() bool {
		k.revive(t)
		k.nudge(t)
		return k.number(t, `SELECT count(*) FROM checkout.orders WHERE order_id = $1 AND state = $2`, order, state) == 1
	})
	if n := k.number(t, `SELECT sum(q.held)::bigint FROM booking.quota AS q JOIN checkout.orders AS o ON o.event_id = q.event_id WHERE o.order_id = $1`, order); n != 0 {
		t.Errorf("%d are held while the provider is away", n)
	}
	k.front.set(k.mood)
}
