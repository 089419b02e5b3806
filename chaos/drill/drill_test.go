package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/money"
	"guichet/chaos/world"
	"guichet/geo"
	"guichet/internal/pgserver"
)

// TestMain builds the programs when the first drill needs them, and closes the
// town that the drills share. That it closes cleanly is part of what is tested.
func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	code = m.Run()
	for _, clean := range []func() error{closeShared, removePrograms} {
		if err := clean(); err != nil {
			fmt.Println("FAIL:", err)
			code = max(code, 1)
		}
	}
	return code
}

var (
	built    atomic.Bool
	programs = sync.OnceValues(func() (world.Programs, error) {
		built.Store(true)
		return world.Build(context.Background())
	})
)

func removePrograms() error {
	if !built.Load() {
		return nil
	}
	p, err := programs()
	if err != nil {
		return nil //nolint:nilerr // said by the drill that asked
	}
	return p.Remove()
}

var (
	opened atomic.Bool
	shared = sync.OnceValues(func() (*world.World, error) {
		p, err := programs()
		if err != nil {
			return nil, err
		}
		opened.Store(true)
		w, err := world.Open(context.Background(), p, world.Options{Keep: os.Getenv(keepName) != ""})
		if err == nil && os.Getenv(keepName) != "" {
			fmt.Println("the town's state stays in", w.State)
		}
		return w, err
	})
)

// keepName is set to keep the shared town's state and logs.
const keepName = "GUICHET_DRILL_KEEP"

func closeShared() error {
	if !opened.Load() {
		return nil
	}
	w, err := shared()
	if err != nil {
		return nil //nolint:nilerr // said by the drill that asked
	}
	return w.Close(context.Background())
}

// needDatabases skips a drill, loudly, where no town can be opened.
func needDatabases(t *testing.T) {
	t.Helper()
	if _, err := pgserver.Find(); err != nil {
		t.Skip("SKIPPED, nothing tested: ", err)
	}
}

// sharedTown is the town of three cells that most drills play in. A drill that
// breaks something calls mends first.
func sharedTown(t *testing.T) *world.World {
	t.Helper()
	needDatabases(t)
	w, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// mends restores the shared town when the drill ends, however it ends.
func mends(t *testing.T, w *world.World) {
	t.Helper()
	t.Cleanup(func() {
		if err := w.Restore(context.Background()); err != nil {
			t.Errorf("mend the town: %v\n%s", err, w.Output())
		}
	})
}

// ownTown opens a town for this drill alone.
func ownTown(t *testing.T, o world.Options) *world.World {
	t.Helper()
	needDatabases(t)
	p, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	w, err := world.Open(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func credentials(t *testing.T, w *world.World) world.Credentials {
	t.Helper()
	c, err := w.Credentials()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func attendee(t *testing.T, w *world.World, at geo.Point) *client.Client {
	t.Helper()
	c, err := w.Attendee(at)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var nextName atomic.Int64

// unique is a text that no other drill uses, nor this one in an earlier run.
func unique(what string) string {
	return fmt.Sprintf("%s %s", what, strconv.FormatInt(time.Now().UnixNano()+nextName.Add(1), 36))
}

// key is a fresh idempotency key.
func key(what string) string { return strings.ReplaceAll(unique(what), " ", "-") }

// venues are where the drills' events take place, by home.
var venues = map[string]client.Venue{
	"euw3": {Name: "Salle Pleyel", City: "Paris", Country: "FR", Location: &client.Location{Lat: 48.8771, Lon: 2.3009}, Capacity: 1913},
	"use1": {Name: "The Anthem", City: "Washington", Country: "US", Location: &client.Location{Lat: 38.8802, Lon: -77.0260}, Capacity: 6000},
	"apn1": {Name: "Nippon Budokan", City: "Tokyo", Country: "JP", Location: &client.Location{Lat: 35.6933, Lon: 139.7498}, Capacity: 14471},
}

var zones = map[string]string{"euw3": "Europe/Paris", "use1": "America/New_York", "apn1": "Asia/Tokyo"}

// concert is a published event with its organizer.
type concert struct {
	client.Event
	organizer *client.Client
}

// stage publishes an event at home in a cell, with two ticket types that share
// the quota "floor"; the second draws on "balcony" too.
func stage(t *testing.T, w *world.World, home, name string, floor, balcony int64) concert {
	t.Helper()
	c := credentials(t, w)
	org, err := c.Organizer(home)
	if err != nil {
		t.Fatal(err)
	}
	as := client.New(c.Router, client.WithHTTP(world.HTTP), client.WithBearer(org.APIKey))
	draft := client.NewEvent{
		Name: name, Category: "music", Venue: venues[home], StartsAt: time.Now().AddDate(0, 3, 0).Truncate(time.Second), TimeZone: zones[home], Currency: "EUR",
		Quotas: []client.NewQuota{{Name: "floor", Size: floor}, {Name: "balcony", Size: balcony}},
		TicketTypes: []client.NewTicketType{
			{Name: "Floor", Price: money.Money{Amount: 4000, Currency: "EUR"}, Fees: &money.Money{Amount: 250, Currency: "EUR"}, Quotas: []string{"floor"}},
			{Name: "Both", Price: money.Money{Amount: 9000, Currency: "EUR"}, Quotas: []string{"floor", "balcony"}},
		},
		Publish: true,
	}
	e, _, err := as.CreateEvent(t.Context(), org.ID, "", draft, key("event"))
	if err != nil {
		t.Fatal(err)
	}
	if e.Home.Cell != home {
		t.Fatalf("%s is at home in %s, want %s", e.ID, e.Home.Cell, home)
	}
	return concert{e, as}
}

// stats are what the organizer sees.
func (e concert) stats(t *testing.T) client.Stats {
	t.Helper()
	s, _, err := e.organizer.Stats(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// want asks for tickets of the event's first type.
func (e concert) want(quantity int64) client.NewHold {
	return client.NewHold{Items: []client.HoldItem{{TicketTypeID: e.TicketTypes[0].ID, Quantity: quantity}}}
}

// orderOf is the order that a buyer makes from a hold.
func orderOf(h client.Hold) client.NewOrder {
	total := h.Total
	return client.NewOrder{HoldID: h.ID, Buyer: client.Buyer{Email: "aino@example.org", Name: "Aino Ōe", Locale: "fi"}, ShownTotal: &total}
}

// buy goes the whole way once, without repeating anything.
func buy(ctx context.Context, w *world.World, c *client.Client, e concert, quantity int64) (client.Order, error) {
	hold, _, err := c.CreateHold(ctx, e.ID, e.want(quantity), key("hold"))
	if err != nil {
		return client.Order{}, err
	}
	order, _, err := c.CreateOrder(ctx, orderOf(hold), key("order"))
	if err != nil {
		return order, err
	}
	if err := w.Confirm(ctx, order, world.CardVisa); err != nil {
		return order, err
	}
	return paid(ctx, c, order.ID)
}

// paid waits until an order is paid; P4 gives it 60 s.
func paid(ctx context.Context, c *client.Client, orderID string) (order client.Order, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		seen, _, askErr := c.GetOrder(ctx, orderID)
		if err = askErr; err == nil {
			order = seen
		}
		if err != nil && !client.Retryable(err) || err == nil && order.State != "pending" {
			break
		}
		if pause(ctx, 50*time.Millisecond) != nil {
			return order, fmt.Errorf("order %s is still %q after a minute: %w", orderID, order.State, errors.Join(err, ctx.Err()))
		}
	}
	if err == nil && (order.State != "paid" || len(order.Tickets) == 0) {
		err = fmt.Errorf("order %s is %s with %d tickets", orderID, order.State, len(order.Tickets))
	}
	return order, err
}

// pause waits between two looks, or answers that the context has ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// until polls with a deadline; what it waits for is said when it waits in vain.
func until(t *testing.T, patience time.Duration, what string, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !yes() {
		if pause(ctx, 20*time.Millisecond) != nil {
			t.Fatalf("waited %s in vain until %s", patience, what)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
