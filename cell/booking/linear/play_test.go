package linear

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/internal/kind"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const (
	clients  = 4
	attempts = 5                     // of each client
	leastTTL = 15 * time.Millisecond // of a game's holds
	mostTTL  = 180 * time.Millisecond
	patience = 20 * time.Second // of a client that is not cut off
	unknowns = 5                // at most this many attempts of a history end unknown by a client's own leaving
)

// game is one event and everything that was asked of it.
type game struct {
	*theatre

	seed  uint64
	event booking.Event
	size  int64

	witnesses sync.Map // of attempts by their *booking.Key, of all with one key by the hold it makes or by itself
	secret    []byte   // of the event

	mu    sync.Mutex
	ops   []porcupine.Operation
	holds []string // that anybody was told of
	cuts  int
}

// theatre is where some games are played at the same time.
type theatre struct {
	ttl    time.Duration
	houses []*house // the cell's processes
	calm   bool     // nobody leaves and nothing dies
	did    *faults  // may be nil

	batches sync.WaitGroup // that run
	games   sync.Map       // by event
}

// house is one process of the cell, which can be killed and comes back.
type house struct {
	theatre *theatre
	batcher booking.Batcher
	box     *booking.Service

	mu   sync.Mutex
	life context.Context //nolint:containedctx // it is the process's life
	end  context.CancelFunc
}

// service is the process's box office in its present life, and that life.
func (h *house) service() (*booking.Service, context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.box, h.life
}

// begin starts the process, again if it was killed: nothing is left of its memory.
func (h *house) begin(ctx context.Context, store booking.Store) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.life, h.end = context.WithCancel(ctx)
	desks := &booking.Desks{Store: mortal{h.batcher, h.life, h.theatre}, HoldTTL: h.theatre.ttl, Patience: time.Minute, Now: time.Now}
	h.box = &booking.Service{Store: store, Cell: "euw3", Region: "eu-west-3", Desks: desks, Now: time.Now}
}

// kill ends the process in the middle of whatever it does.
func (h *house) kill() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end()
}

// mortal lets a batch die with its process: the session is cut where it stands.
type mortal struct {
	booking.Batcher
	life    context.Context //nolint:containedctx // it is the process's life
	theatre *theatre
}

func (m mortal) Batch(ctx context.Context, ttl time.Duration, groups []*booking.Group) error {
	m.theatre.batches.Add(1)
	defer m.theatre.batches.Done()
	if m.life.Err() != nil {
		return m.life.Err()
	}
	for _, g := range groups {
		at, _ := m.theatre.games.Load(g.Event)
		for _, op := range g.Ops {
			at.(*game).watch(op) //nolint:forcetypeassert // ours
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.life, cancel)()
	err := m.Batcher.Batch(ctx, ttl, groups)
	if did := m.theatre.did; len(groups) > 1 && did != nil {
		did.shared.Add(1)
		for _, g := range groups {
			if g.Elsewhere {
				did.leftOut.Add(1)
			}
		}
	}
	return err
}

func draftOf(size int64) booking.Draft {
	eur := money.Money{Amount: 1000, Currency: "EUR"}
	return booking.Draft{
		Name: "History", Category: "music", TimeZone: "Europe/Paris", Currency: "EUR", StartsAt: time.Now().AddDate(0, 1, 0).Truncate(time.Second),
		Venue:  booking.Venue{Name: "Salle", City: "Paris", Country: "FR"},
		Quotas: []booking.DraftQuota{{Name: "hall", Size: size}},
		Types:  []booking.DraftType{{Name: "Floor", Price: eur, Quotas: []string{"hall"}}},
	}
}

// play lets the clients of all games loose and waits for all of them.
func (h *theatre) play(ctx context.Context, games []*game) {
	var all sync.WaitGroup
	for _, g := range games {
		for c := range clients {
			all.Go(func() {
				random := rand.New(rand.NewPCG(g.seed, uint64(c)+1))
				for i := range attempts {
					g.move(ctx, random, c, i)
				}
			})
		}
	}
	all.Go(func() { // the machine's own misfortune
		if h.calm {
			return
		}
		random := rand.New(rand.NewPCG(games[0].seed, 1000))
		for range random.IntN(3) {
			wait(ctx, time.Duration(random.Int64N(int64(2*h.ttl))))
			one := h.houses[random.IntN(len(h.houses))]
			one.kill()
			box, _ := one.service()
			one.begin(ctx, box.Store)
		}
	})
	all.Wait()
	for _, one := range h.houses {
		one.kill()
	}
	h.batches.Wait()
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// move is one thing a client does, with what comes of it when it is repeated.
func (g *game) move(ctx context.Context, random *rand.Rand, client, i int) {
	in := asked{act: []act{actHold, actHold, actHold, actExtend, actExtend, actRelease, actConvert, actConvert, actSweep, actRead, actLook}[random.IntN(11)]}
	if in.hold = g.known(random); in.hold == "" && in.act != actRead && in.act != actSweep {
		in.act = actHold
	}
	switch in.act {
	case actHold:
		in.hold, in.n = "", 1+random.Int64N(2)
		in.key = fmt.Sprintf("h%d.%d", client, i)
	case actExtend:
		in.key = fmt.Sprintf("e%d.%d", client, i)
	case actRelease, actConvert, actLook, actSweep, actRead, actOrder:
	}
	if random.IntN(4) == 0 {
		wait(ctx, time.Duration(random.Int64N(int64(g.ttl)))) // thinks it over
	}
	twin := random.IntN(6) == 0 // an impatient client asks the other process too, at once
	var both sync.WaitGroup
	for n := range 1 + btoi(twin) {
		at, cut := (random.IntN(2)+n)%len(g.houses), time.Duration(0)
		if random.IntN(10) == 0 && !g.calm && g.mayCut() {
			cut = time.Duration(random.Int64N(int64(6 * time.Millisecond)))
		}
		both.Go(func() {
			for try := range 4 {
				if g.attempt(ctx, client, at+try, in, cut) != unknown || try > 0 && in.act != actHold {
					return
				}
				cut = 0
			}
		})
	}
	both.Wait()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (g *game) mayCut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cuts++
	return g.cuts <= unknowns
}

func (g *game) known(random *rand.Rand) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.holds) == 0 {
		return ""
	}
	return g.holds[max(0, len(g.holds)-1-random.IntN(4))]
}

// attempt asks a process once and writes down what was asked and told.
func (g *game) attempt(ctx context.Context, client, at int, in asked, cut time.Duration) string {
	box, life := g.houses[at%len(g.houses)].service()
	limit := patience
	if cut > 0 {
		limit = cut
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(life, cancel)() // a client of a process that dies learns nothing
	w := g.witnessOf(in)
	in.call = time.Now().UnixNano()
	out := g.ask(ctx, box, in, w)
	out.ret = time.Now().UnixNano()
	if out.verdict == unknown {
		out.ret = never
	}
	if out.verdict == refused {
		return out.verdict
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if out.verdict == ok && in.act == actHold && !slices.Contains(g.holds, out.hold.id) {
		g.holds = append(g.holds, out.hold.id)
	}
	g.ops = append(g.ops, porcupine.Operation{ClientId: client, Input: in, Call: in.call, Output: &pending{out, w}, Return: out.ret})
	return out.verdict
}

// witnessOf is who hears of the attempt. All attempts with one key share one: of those
// that ended unknown a history keeps the first, for all that any of them may have done.
func (g *game) witnessOf(in asked) *witness {
	var shared any
	switch in.act {
	case actHold:
		shared = g.madeUnder(in)
	case actExtend:
		shared = in.key
	default:
		return &witness{}
	}
	first, _ := g.witnesses.LoadOrStore(shared, &witness{})
	return first.(*witness) //nolint:forcetypeassert // ours
}

// witness remembers what the desks decided of an attempt, or of all attempts with
// one key: one that was cut off may be decided after its client has gone.
type witness struct {
	mu       sync.Mutex
	refusals int
	agreed   []seen
}

// watch lets the witness of an op hear its decisions.
func (g *game) watch(op *booking.Op) {
	w, ours := g.witnesses.Load(op.Key)
	if op.Key == nil && len(op.Holds) == 1 {
		w, ours = g.witnesses.Load(op.Holds[0])
	}
	if !ours {
		return
	}
	decide := op.Decide
	op.Decide = func(s *booking.Stock) error {
		err := decide(s)
		w.(*witness).hear(s, op.Holds, err) //nolint:forcetypeassert // ours
		return err
	}
}

func (w *witness) hear(s *booking.Stock, named []id.Hold, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.refusals++
	}
	for _, hold := range named {
		if h := s.Holds[hold]; err == nil && h != nil { // also when it changes nothing: the answer is kept under the key
			if v := view(*h); !slices.Contains(w.agreed, v) {
				w.agreed = append(w.agreed, v)
			}
		}
	}
}

// ran counts a decision of an op of our own.
func (w *witness) ran() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refusals++
}

func render(h booking.Hold) (int, []byte, error) {
	return 200, fmt.Appendf(nil, "%s %d %d", h.ID, h.CreatedAt.UnixNano(), h.ExpiresAt.UnixNano()), nil
}

func view(h booking.Hold) seen {
	return seen{h.ID.String(), string(h.State), h.CreatedAt.UnixNano(), h.ExpiresAt.UnixNano()}
}

// pending is what came of an attempt, before the last of its witnesses is heard.
type pending struct {
	told
	w *witness
}

// history is what was asked and told, once nothing moves any more; kept are the
// holds that the database has in the end. An attempt that ended unknown and had
// no effect, or did not even reach a decision, is left out: every one of them
// doubles what the checker has to try.
func (g *game) history(kept map[string]bool) []porcupine.Operation {
	g.mu.Lock()
	defer g.mu.Unlock()
	var ops []porcupine.Operation
	slices.SortFunc(g.ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	cut := map[string]bool{} // keys with an attempt that may have happened: one stands for all
	for _, op := range g.ops {
		p := op.Output.(*pending) //nolint:forcetypeassert // ours
		op.Output = p.told
		if p.verdict == unknown {
			in := op.Input.(asked) //nolint:forcetypeassert // ours
			out, perhaps := p.ended(in, kept)
			if !perhaps || in.key != "" && cut[in.key] {
				continue
			}
			cut[in.key] = true
			op.Output = out
		}
		ops = append(ops, op)
	}
	return ops
}

// ended says what may have come of an attempt that ended unknown, if anything.
func (p *pending) ended(in asked, kept map[string]bool) (told, bool) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	out := p.told
	out.sweeps = p.w.refusals > 0
	for _, h := range p.w.agreed {
		if kept[h.id] {
			out.maybe = append(out.maybe, h)
		}
	}
	switch in.act {
	case actRead, actLook:
		return out, false
	case actHold, actExtend:
		return out, out.sweeps || len(out.maybe) > 0
	case actConvert, actSweep:
		return out, p.w.refusals > 0
	case actRelease, actOrder:
	}
	return out, true
}

// ask does what the client wants and says what it was told.
func (g *game) ask(ctx context.Context, box *booking.Service, in asked, w *witness) (out told) {
	var err error
	switch in.act {
	case actHold:
		err = g.askHold(ctx, box, in, w, &out)
	case actRead:
		var e booking.Event
		if e, err = box.Store.Event(ctx, txn.None, g.event.ID); err == nil {
			out.held, out.sold = e.Quotas[0].Held, e.Quotas[0].Sold
		}
	case actSweep:
		err = box.Desks.Do(ctx, g.event.ID, &booking.Op{Decide: func(s *booking.Stock) error { w.ran(); s.Sweep(); return nil }})
	case actExtend, actRelease, actConvert, actLook, actOrder:
		err = g.askAbout(ctx, box, in, w, &out)
	}
	if err == nil {
		out.verdict = ok
		return out
	}
	out = told{verdict: unknown}
	if strings.HasPrefix(sqldb.SQLState(err), "23") {
		out.verdict = refused
	}
	if e := kind.As(err); e != nil && (e.Kind == kind.Conflict || e.Kind == kind.NotFound || e.Kind == kind.Unprocessable) {
		out.verdict = e.Code
		if left, is := e.Fields["left"].([]booking.Left); is {
			out.left = left[0].Left
		}
	}
	return out
}

// madeUnder is the hold that a key makes (booking.Key): known here so that what
// was decided for a client who has left can be told from what was not.
func (g *game) madeUnder(in asked) id.Hold {
	key := g.key(in, nil)
	mac := hmac.New(sha256.New, g.secret)
	_, _ = mac.Write([]byte(key.Scope + "\n" + key.Key))
	return id.HoldFrom(g.event.ID, mac.Sum(nil))
}

func (g *game) askHold(ctx context.Context, box *booking.Service, in asked, w *witness, out *told) error {
	want := booking.Request{Hold: id.NewHold(g.event.ID), Lines: []booking.Line{{Type: g.event.Types[0].ID, Quantity: in.n}}}
	op, err := box.HoldOnce(ctx, want.Hold.Event(), want, g.key(in, w), render)
	if err != nil {
		return err
	}
	if err := read(op.Body, out); err != nil || out.hold.id != g.madeUnder(in).String() {
		panic(fmt.Sprintf("the key's hold is not %s: %s %v", g.madeUnder(in), op.Body, err)) // keys make other ids now: say so here too
	}
	return nil
}

func (g *game) key(in asked, w *witness) *booking.Key {
	key := &booking.Key{Scope: g.event.ID.String(), Key: in.key, Fingerprint: fmt.Sprint(in.act, in.hold, in.n)}
	if in.act != actHold {
		g.witnesses.Store(key, w)
	}
	return key
}

func read(body []byte, out *told) error {
	out.hold.state = "active"
	if _, err := fmt.Sscanf(string(body), "%s %d %d", &out.hold.id, &out.hold.created, &out.hold.expires); err != nil {
		return errors.Join(errors.New("the answer cannot be read"), err)
	}
	return nil
}

func (g *game) askAbout(ctx context.Context, box *booking.Service, in asked, w *witness, out *told) error {
	hold, err := id.ParseHold(in.hold)
	if err != nil {
		return err
	}
	switch in.act {
	case actExtend:
		op, err := box.ExtendOnce(ctx, hold, g.key(in, w), render)
		if err != nil {
			return err
		}
		return read(op.Body, out)
	case actRelease, actOrder:
		_, err = box.Release(ctx, hold)
	case actConvert:
		err = box.Desks.Do(ctx, hold.Event(), &booking.Op{Holds: []id.Hold{hold}, Decide: func(s *booking.Stock) error {
			w.ran()
			if h := s.Holds[hold]; h != nil {
				return s.Convert(h)
			}
			return booking.ErrHoldNotFound
		}})
	default:
		h, lookErr := box.Look(ctx, hold)
		out.hold, err = view(h), lookErr
	}
	return err
}
