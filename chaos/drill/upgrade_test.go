package drill

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/money"
	"guichet/chaos/world"
	"guichet/internal/testdb"
)

// previousRelease is the commit of the release before. It moves forward with each one.
const previousRelease = "292349d53c894f7bf4a0b4376ae350917444fc7e"

// While a release is rolled out, processes of two releases serve one cell. This one
// migrates first; then whatever one of them began the other goes on with.
func TestUpgrade_theReleaseBeforeWorksBesideThisOneOnOneDatabase(t *testing.T) {
	t.Parallel()
	before, err := world.BuildAt(t.Context(), previousRelease, "cell")
	if errors.Is(err, world.ErrNoHistory) {
		t.Skipf("NOT TESTED, two releases on one database: %v", err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, before.Remove()) })
	now, err := programs()
	must(t, err)
	dsn := testdb.New(t, nil)
	open := func(p world.Programs, name string) *client.Client {
		c, err := world.OpenCell(t.Context(), p, world.CellOptions{Cell: "euw3", Region: "eu-west-3", Database: dsn, Dir: filepath.Join(t.TempDir(), name)})
		must(t, err)
		t.Cleanup(func() { must(t, c.Close(context.Background())) })
		return c.Client()
	}
	releases := map[string]*client.Client{"this release": open(now, "now")}
	releases["the release before"] = open(before, "before")

	for name, first := range releases {
		for then, second := range releases {
			t.Run(name+", then "+then, func(t *testing.T) { passOn(t, first, second) })
		}
	}
}

// passOn goes from an organizer to a canceled order, by turns at two processes.
func passOn(t *testing.T, first, second *client.Client) {
	t.Helper()
	org, _, err := first.CreateOrganizer(t.Context(), "eu-west-3", "Upgrade", key("org"))
	must(t, err)
	e, _, err := second.As(org.APIKey).CreateEvent(t.Context(), org.ID, "", client.NewEvent{
		Name: unique("Upgrade"), Category: "music", Venue: world.Venue("Salle", world.Paris), StartsAt: time.Now().AddDate(0, 3, 0).Truncate(time.Second), TimeZone: "Europe/Paris",
		Currency: "EUR", Quotas: []client.NewQuota{{Name: "floor", Size: 10}}, Publish: true,
		TicketTypes: []client.NewTicketType{{Name: "Free", Price: money.Money{Currency: "EUR"}, Quotas: []string{"floor"}}},
	}, key("event"))
	must(t, err)
	hold, _, err := first.CreateHold(t.Context(), e.ID, client.NewHold{Items: []client.HoldItem{{TicketTypeID: e.TicketTypes[0].ID, Quantity: 2}}}, key("hold"))
	must(t, err)
	order, _, err := second.As(hold.AccessToken).CreateOrder(t.Context(), client.NewOrder{
		HoldID: hold.ID, Buyer: client.Buyer{Email: "zoe@example.org", Name: "Zoë", Locale: "fr"}, ShownTotal: &hold.Total,
	}, key("order"))
	must(t, err)
	seen, _, err := first.As(order.AccessToken).GetOrder(t.Context(), order.ID)
	must(t, err)
	if seen.State != "paid" || len(seen.Tickets) != 2 {
		t.Errorf("the order is %s with %d tickets", seen.State, len(seen.Tickets))
	}
	gone, _, err := second.As(order.AccessToken).CancelOrder(t.Context(), order.ID, key("cancel"))
	must(t, err)
	if gone.State != "canceled" {
		t.Errorf("the canceled order is %s", gone.State)
	}
	again, _, err := first.As(org.APIKey).Event(t.Context(), e.ID)
	must(t, err)
	if again.ID != e.ID {
		t.Errorf("read %s", again.ID)
	}
}
