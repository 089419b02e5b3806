package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/chaos/world"
)

const lastTicketClients = 500

// stubborn repeats until somebody decides: busy is no answer.
var stubborn = client.Patience{Attempts: 60, MaxWait: 2 * time.Second}

// Regression 1 of domain.md: 500 buyers, 1 ticket, two instances, retry storm.
func TestRegression01_fiveHundredClientsAtTwoProcessesGetExactlyOneHold(t *testing.T) {
	t.Parallel()
	w := ownTown(t, world.Options{Cells: "apn1", Instances: 2})
	defer func() { must(t, w.Close(context.Background())) }()
	c := credentials(t, w)
	urls := c.URLs("apn1")
	if len(urls) != 2 {
		t.Fatalf("the cell has processes at %v, want two", urls)
	}
	e := stage(t, w, "apn1", unique("Last ticket"), 1, 0)
	doors := []*client.Client{client.New(c.Router, client.WithHTTP(world.HTTP), client.WithKeyring(world.Keys))}
	direct, err := c.Direct()
	must(t, err)
	for _, u := range urls {
		doors = append(doors, client.New(u, client.WithHTTP(direct), client.WithKeyring(world.Keys)))
	}
	got := storm(t.Context(), e, doors)

	var holds []string
	for _, g := range got {
		if g.hold != "" && !slices.Contains(holds, g.hold) {
			holds = append(holds, g.hold)
		}
		if g.err != nil {
			t.Error(g.err)
		}
	}
	if len(holds) != 1 {
		t.Fatalf("%d holds of one ticket: %v", len(holds), holds)
	}
	for i, door := range doors { // every process says the same of it
		h, _, err := door.GetHold(t.Context(), holds[0])
		if err != nil || h.State != "active" {
			t.Errorf("door %d: %+v %v", i, h, err)
		}
	}
	if s := e.stats(t); s.Quotas[0].Held != 1 || s.Quotas[0].Sold != 0 || s.Quotas[0].Free != 0 || s.TicketTypes[0].Held != 1 {
		t.Errorf("the organizer sees %+v", s)
	}
	winnerBuys(t, w, doors[0], e, holds[0])
}

// winnerBuys pays the one hold; then it is sold, and the storm may come again.
func winnerBuys(t *testing.T, w *world.World, c *client.Client, e concert, holdID string) {
	t.Helper()
	h, _, err := c.GetHold(t.Context(), holdID)
	must(t, err)
	order, _, err := c.CreateOrder(t.Context(), orderOf(h), key("order"))
	must(t, err)
	must(t, w.Confirm(t.Context(), order, world.CardVisa))
	_, err = paid(t.Context(), c, order.ID)
	must(t, err)
	if q := e.stats(t).Quotas[0]; q.Held != 0 || q.Sold != 1 || q.Free != 0 {
		t.Errorf("after the purchase the organizer sees %+v", q)
	}
	if _, _, err := c.CreateHold(t.Context(), e.ID, e.want(1), key("late")); client.CodeOf(err) != "sold_out" {
		t.Errorf("a late client gets %v, want sold_out", err)
	}
}

// outcome is what one client got: a hold, or nothing because it is sold out.
type outcome struct {
	hold string
	err  error // anything else, or two answers that do not agree
}

// storm lets all clients ask at once. Each asks two doors at the same time and
// then the third, always with the same key, so every request is a retry of
// another that may be running at that very moment (P5).
func storm(ctx context.Context, e concert, doors []*client.Client) []outcome {
	got := make([]outcome, lastTicketClients)
	var clients sync.WaitGroup
	for i := range got {
		clients.Go(func() { got[i] = insist(ctx, e, doors, i) })
	}
	clients.Wait()
	return got
}

func insist(ctx context.Context, e concert, doors []*client.Client, i int) outcome {
	idem := key(fmt.Sprintf("storm-%d", i))
	answers := make([]string, len(doors))
	errs := make([]error, len(doors))
	ask := func(turn int) {
		door := doors[(i+turn)%len(doors)]
		errs[turn] = client.Retry(ctx, stubborn, func(ctx context.Context) error {
			h, m, err := door.CreateHold(ctx, e.ID, e.want(1), idem)
			answers[turn] = h.ID
			if err == nil && m.Status != 201 {
				err = fmt.Errorf("a hold came with status %d", m.Status)
			}
			return err
		})
	}
	var both sync.WaitGroup
	both.Go(func() { ask(0) })
	both.Go(func() { ask(1) })
	both.Wait()
	ask(2)
	return agree(answers, errs)
}

// agree holds the answers to one key against each other: all are the same hold,
// or all are 409 sold_out.
func agree(answers []string, errs []error) outcome {
	for i, err := range errs {
		if answers[i] != answers[0] {
			return outcome{hold: answers[i], err: fmt.Errorf("one key, different answers: %q (%w)", answers, errors.Join(errs...))}
		}
		var p *client.ProblemError
		if err != nil && (!errors.As(err, &p) || p.Status != 409 || p.Code != "sold_out") {
			return outcome{err: fmt.Errorf("neither a hold nor sold out: %w", err)}
		}
	}
	return outcome{hold: answers[0]}
}
