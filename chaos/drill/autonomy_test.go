package drill

import (
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/chaos/world"
)

// P6 and P8: with the control plane and the hub gone, everything that worked
// keeps working, cold starts of a cell and of the router included.
func TestAutonomy_purchasesWorkWithoutControlPlaneAndHubAfterColdStarts(t *testing.T) {
	w := sharedTown(t)
	mends(t, w)
	ctx := t.Context()
	names := map[string]string{"use1": unique("Autonomy"), "apn1": unique("Autonomy")}
	events := map[string]concert{}
	for home, name := range names {
		events[home] = stage(t, w, home, name, 20, 0)
	}
	c := attendee(t, w, world.Paris)
	for home, name := range names {
		until(t, 30*time.Second, "Paris finds the event of "+home, func() bool { return finds(t, c, name, events[home].ID) })
	}

	direct, err := credentials(t, w).Direct()
	must(t, err)
	answers := func() bool {
		res, err := direct.Get(credentials(t, w).ControlPlane + "/livez")
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil
	}
	if !answers() {
		t.Fatal("the control plane does not answer an operator")
	}
	must(t, w.Kill(ctx, "control-plane"))
	must(t, w.Kill(ctx, "cell-use1"))
	must(t, w.Kill(ctx, "router"))
	must(t, w.Restart(ctx, "cell-use1"))
	must(t, w.Restart(ctx, "router"))
	if creds := credentials(t, w); creds.Alive("control-plane") || answers() {
		t.Fatal("the control plane is there; this drill is about its absence")
	}

	for home, e := range events {
		until(t, 20*time.Second, "the router reaches "+home, func() bool {
			_, m, err := c.Event(ctx, e.ID)
			return err == nil && m.Cell == home && m.Route == "home"
		})
		if !finds(t, c, names[home], e.ID) {
			t.Errorf("Paris does not find the event of %s any more", home)
		}
		order, err := buy(ctx, w, c, e, 2)
		must(t, err)
		if len(order.Tickets) != 2 {
			t.Errorf("%d tickets from %s, want 2", len(order.Tickets), home)
		}
		offlineGate(t, w, c, order.Tickets[0])
		if q := e.stats(t).Quotas[0]; q.Sold != 2 || q.Held != 0 {
			t.Errorf("the organizer of %s sees %+v", home, q)
		}
	}
	// What is new is sold at home too; the world hears of it when the hub is back.
	fresh := unique("Born in the dark")
	e := stage(t, w, "use1", fresh, 10, 0)
	_, err = buy(ctx, w, c, e, 1)
	must(t, err)
	must(t, w.Restart(ctx, "control-plane"))
	began := time.Now()
	until(t, 90*time.Second, "Paris hears of the event that was published without a hub", func() bool { return finds(t, c, fresh, e.ID) })
	t.Logf("heard of %s after the hub was ready", time.Since(began).Round(100*time.Millisecond))
}

// finds says whether a search by name shows the event first.
func finds(t *testing.T, c *client.Client, name, eventID string) bool {
	t.Helper()
	found, _, err := c.Search(t.Context(), client.Query{Text: name, Limit: 3})
	must(t, err)
	return len(found.Items) > 0 && found.Items[0].ID == eventID
}
