package linear

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"guichet/cell/client"
	"guichet/cell/money"
	"guichet/chaos/world"
	"guichet/internal/testdb"
)

const (
	cellGames   = 60
	cellsAtOnce = 6
	cellTTL     = 500 * time.Millisecond
	cellKills   = 700 * time.Millisecond // between two, and a restart takes its time too
)

// hall is one event at two real processes and everything that was asked about it.
type hall struct {
	seed  uint64
	event client.Event
	size  int64
	doors []*client.Client
	desk  *client.Client // the organizer's
	key   string         // its API key

	mu    sync.Mutex
	ops   []porcupine.Operation
	holds []client.Hold
}

// The same over HTTP, at two real processes that are killed with kill -9 in turn
// and come back. Whoever is not answered repeats with his key until he is, so
// that everything asked is told in the end.
func TestCells_areLinearizableUnderKillNine(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short")
	}
	programs, err := world.Build(t.Context(), "cell")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = programs.Remove() })
	dsn, dir := testdb.New(t, nil), t.TempDir()
	cells := make([]*world.Cell, 2)
	for i := range cells {
		cells[i], err = world.OpenCell(t.Context(), programs, world.CellOptions{
			Cell: "euw3", Region: "eu-west-3", Database: dsn, HoldTTL: cellTTL, Dir: filepath.Join(dir, strconv.Itoa(i)),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := cells[i].Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	all := seeds(t, cellGames)
	ctx, cancel := context.WithCancel(t.Context())
	var kills int
	var killer sync.WaitGroup
	killer.Go(func() { kills = killInTurn(ctx, t, cells) })
	verdicts := playHalls(t, cells, all)
	cancel()
	killer.Wait()
	t.Logf("%d histories at two processes, %d kills; %v", len(all), kills, verdicts)
	for _, what := range []string{"hold ok", "hold sold_out", "extend ok", "extend hold_expired", "release ok", "order ok", "order hold_expired", "read ok", "look ok"} {
		if len(all) == cellGames && verdicts[what] < 3 {
			t.Errorf("%q came %d times: the test does not try it", what, verdicts[what])
		}
	}
	if len(all) == cellGames && kills < 5 {
		t.Errorf("only %d kills", kills)
	}
}

func killInTurn(ctx context.Context, t *testing.T, cells []*world.Cell) (kills int) {
	t.Helper()
	for {
		wait(ctx, cellKills)
		if ctx.Err() != nil {
			return kills
		}
		c := cells[kills%len(cells)]
		if err := errors.Join(c.Kill(), c.Restart(context.WithoutCancel(ctx))); err != nil {
			t.Error(err)
			return kills
		}
		kills++
	}
}

func playHalls(t *testing.T, cells []*world.Cell, seeds []uint64) map[string]int {
	t.Helper()
	verdicts := map[string]int{}
	var mu sync.Mutex // guards verdicts
	var next atomic.Int64
	var all sync.WaitGroup
	for range cellsAtOnce {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(seeds) && !t.Failed(); i = int(next.Add(1)) - 1 {
				h, err := openHall(t.Context(), cells, seeds[i])
				if err != nil {
					t.Errorf("seed %d: %v", seeds[i], err)
					return
				}
				if err := h.play(t.Context()); err != nil {
					t.Errorf("seed %d: %v", seeds[i], err)
				}
				r := result{seed: h.seed, size: h.size, ops: h.ops}
				r.verdict, _ = porcupine.CheckOperationsVerbose(modelOf(h.size, cellTTL.Nanoseconds(), true), r.ops, checkLimit)
				if r.verdict != porcupine.Ok {
					t.Errorf("not linearizable\n%s", r.tell())
				}
				mu.Lock()
				for _, op := range r.ops {
					verdicts[string(op.Input.(asked).act)+" "+op.Output.(told).verdict]++ //nolint:forcetypeassert // ours
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return verdicts
}

// insist repeats what was not answered for good, at the other process.
func (h *hall) insist(ctx context.Context, door int, do func(ctx context.Context, c *client.Client) error) error {
	return client.Retry(ctx, client.Patience{Attempts: 300, MaxWait: 100 * time.Millisecond}, func(ctx context.Context) error {
		door++
		return do(ctx, h.doors[door%len(h.doors)])
	})
}

func openHall(ctx context.Context, cells []*world.Cell, seed uint64) (*hall, error) {
	random := rand.New(rand.NewPCG(seed, 0))
	h := &hall{seed: seed, size: 2 + random.Int64N(4)}
	for _, c := range cells {
		h.doors = append(h.doors, c.Client(client.WithTimeout(5*time.Second)))
	}
	var org client.Organizer
	now := time.Now() // once: what is repeated under one key must be the same
	name := fmt.Sprintf("hall-%d-%d", seed, now.UnixNano())
	err := h.insist(ctx, 0, func(ctx context.Context, c *client.Client) (err error) {
		org, _, err = c.CreateOrganizer(ctx, "eu-west-3", "Histories", name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open an account: %w", err)
	}
	err = h.insist(ctx, 0, func(ctx context.Context, c *client.Client) (err error) {
		h.desk = c.As(org.APIKey)
		h.event, _, err = h.desk.CreateEvent(ctx, org.ID, "", client.NewEvent{
			Name: name, Category: "music", Venue: world.Venue("Salle", world.Paris), StartsAt: now.AddDate(0, 1, 0).Truncate(time.Second), TimeZone: "Europe/Paris",
			Currency: "EUR", Quotas: []client.NewQuota{{Name: "floor", Size: h.size}},
			TicketTypes: []client.NewTicketType{{Name: "Free", Price: money.Money{Currency: "EUR"}, Quotas: []string{"floor"}}}, Publish: true,
		}, name)
		return err
	})
	h.key = org.APIKey
	return h, err
}

func (h *hall) play(ctx context.Context) error {
	var all sync.WaitGroup
	faults := make([]error, clients)
	for c := range clients {
		all.Go(func() {
			random := rand.New(rand.NewPCG(h.seed, uint64(c)+1))
			for i := range attempts {
				if random.IntN(3) == 0 {
					wait(ctx, time.Duration(random.Int64N(int64(cellTTL))))
				}
				if faults[c] = h.move(ctx, random, c, i); faults[c] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(faults...)
}

// move is one thing that a client wants, until it is told what came of it.
func (h *hall) move(ctx context.Context, random *rand.Rand, who, i int) error {
	in := asked{act: []act{actHold, actHold, actHold, actExtend, actExtend, actRelease, actOrder, actOrder, actRead, actLook}[random.IntN(10)]}
	about, known := h.known(random)
	if !known && in.act != actRead {
		in.act = actHold
	}
	in.hold, in.key = about.ID, fmt.Sprintf("%s%d.%d-%s", in.act, who, i, h.event.ID)
	if in.act == actHold {
		in.hold, in.n = "", 1+random.Int64N(2)
	}
	if in.act == actRead {
		in.hold = ""
	}
	twins := random.IntN(5) == 0 && in.act != actRead
	var both sync.WaitGroup
	faults := make([]error, 2)
	for n := range 1 + btoi(twins) {
		both.Go(func() { faults[n] = h.until(ctx, who, i+n, in, about) })
	}
	both.Wait()
	return errors.Join(faults...)
}

func (h *hall) known(random *rand.Rand) (client.Hold, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.holds) == 0 {
		return client.Hold{}, false
	}
	return h.holds[max(0, len(h.holds)-1-random.IntN(4))], true
}

// until asks until it is told, and writes it down.
func (h *hall) until(ctx context.Context, who, door int, in asked, about client.Hold) error {
	var out told
	var made client.Hold
	in.call = time.Now().UnixNano()
	err := h.insist(ctx, door, func(ctx context.Context, c *client.Client) (err error) {
		out = told{verdict: ok}
		made, err = h.ask(ctx, c, in, about, &out)
		return err
	})
	out.ret = time.Now().UnixNano()
	var p *client.ProblemError
	switch {
	case err == nil:
	case errors.As(err, &p) && p.Status < 500 && p.Status != 429:
		out.verdict, out.left = p.Code, -1
	default:
		return fmt.Errorf("%s: %w", describe(in, out), err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if out.verdict == ok && in.act == actHold && !slices.ContainsFunc(h.holds, func(o client.Hold) bool { return o.ID == made.ID }) {
		h.holds = append(h.holds, made)
	}
	h.ops = append(h.ops, porcupine.Operation{ClientId: who, Input: in, Call: in.call, Output: out, Return: out.ret})
	return nil
}

func (h *hall) ask(ctx context.Context, c *client.Client, in asked, about client.Hold, out *told) (hold client.Hold, err error) {
	switch in.act {
	case actHold:
		hold, _, err = c.CreateHold(ctx, h.event.ID, client.NewHold{Items: []client.HoldItem{{TicketTypeID: h.event.TicketTypes[0].ID, Quantity: in.n}}}, in.key)
	case actExtend:
		hold, _, err = c.ExtendHold(ctx, in.hold, in.key)
	case actRelease:
		_, err = c.ReleaseHold(ctx, in.hold)
	case actLook:
		hold, _, err = c.GetHold(ctx, in.hold)
	case actOrder:
		var o client.Order
		o, _, err = c.CreateOrder(ctx, client.NewOrder{HoldID: in.hold, Buyer: client.Buyer{Email: "aino@example.org", Name: "Aino"}, ShownTotal: &about.Total}, in.key)
		out.hold.id = o.ID
		return hold, err
	case actRead, actConvert, actSweep:
		var s client.Stats
		if s, _, err = c.As(h.key).Stats(ctx, h.event.ID); err == nil {
			out.held, out.sold = s.Quotas[0].Held, s.Quotas[0].Sold
		}
		return hold, err
	}
	if hold.ID != "" {
		out.hold = seen{hold.ID, hold.State, hold.ExpiresAt.Add(-cellTTL).UnixNano(), hold.ExpiresAt.UnixNano()}
	}
	return hold, err
}
