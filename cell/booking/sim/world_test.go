package sim

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/internal/kind"
)

// defence is something that a mutant goes without.
type defence string

// The defences that can be taken away in the stand-in of the store; those in the
// desk itself were taken away by hand (docs/desk.md says what found them).
const (
	none    defence = ""
	lock    defence = "the event's lock"
	keys    defence = "the look at the keys"
	fence   defence = "the fence"
	cut     defence = "the session that is cut in a stall"
	clock   defence = "the database's clock"
	dueLeft defence = "the second look before sold out"
	truth   defence = "the doubt about a commit that was not answered"
	leftOut defence = "the word about an event that was left out"
	// lateLook is the look for a hold that is refused before anybody looked for it.
	lateLook defence = "the look before a refusal"
)

// Shape of a schedule.
const (
	clients     = 4
	events      = 2  // at most
	rushClients = 20 // of a rush, who think a thousandth as long
	rushEvents  = 7  // at most
	rush        = 1000
	purchases   = 3 // of each client
	holdTTL     = 8 * time.Second
	sweepPeriod = 5 * time.Second
	maxSkew     = 30 * time.Second
	insists     = 12 // times a client repeats what was not answered
)

// world is one schedule: two processes of a cell, their clients and sweepers, and
// the database, in a bubble whose time moves only when all of them wait. The seed
// decides everything: every wait is a number of nanoseconds drawn from it, so no
// two things happen at once and their order is the same in every run.
type world struct {
	seed    uint64
	missing defence
	clients int
	haste   time.Duration // by which clients think less
	db      *db
	procs   []*process
	boxes   []*booking.Service
	servers sync.WaitGroup // what the database still does for clients that have gone

	mu      sync.Mutex         // guards all below and the rows of db
	numbers map[id.Hold]int    // in the order in which holds were thought of
	told    map[string]id.Hold // by key, what was acknowledged
	bodies  map[string]string  // by key, the first answer
	asking  map[id.Hold]bool   // its maker has not been answered yet
	honest  map[string]bool    // by subject, whether its last "sold out" was true
	lost    map[string]int     // by subject, how often a commit was not answered, and was asked about in vain

	faults []string
	trace  []string
	sum    uint64
	did    map[string]int
}

func (w *world) without(d defence) bool { return w.missing == d }

// tell writes the trace; two runs of a seed must write the same one.
func (w *world) tell(format string, args ...any) {
	line := fmt.Sprintf("%12s ", time.Since(epoch).Round(time.Microsecond)) + fmt.Sprintf(format, args...)
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, time.Since(epoch), line)
	w.sum += h.Sum64() // those who are answered by one commit hear of it in any order
	if len(w.trace) < 400 {
		w.trace = append(w.trace, line)
	}
}

// note tells of something and counts it.
func (w *world) note(what, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.did[what]++
	w.tell(format, args...)
}

// secret is the event's.
const secret = "of the event"

// epoch is when every bubble begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// careless takes an unanswered commit for a yes.
type careless struct{ booking.Batcher }

func (c careless) Batch(ctx context.Context, ttl time.Duration, groups []*booking.Group) error {
	if err := c.Batcher.Batch(ctx, ttl, groups); err != nil && !errors.Is(err, errUnknown) {
		return err
	}
	return nil
}

// open builds the world of a seed.
func open(seed uint64, missing defence) *world {
	w := &world{
		seed: seed, missing: missing, numbers: map[id.Hold]int{}, told: map[string]id.Hold{}, bodies: map[string]string{},
		asking: map[id.Hold]bool{}, honest: map[string]bool{}, lost: map[string]int{}, did: map[string]int{},
	}
	random := rand.New(rand.NewPCG(seed, 0))
	w.db = newDB(w)
	w.clients, w.haste = clients, 1
	most := events
	if random.IntN(8) == 0 {
		w.clients, w.haste, most = rushClients, rush, rushEvents
	}
	for range 1 + random.IntN(most) {
		w.db.add(onSale(2 + random.Int64N(6)))
	}
	for i := range 2 {
		p := &process{db: w.db, number: uint64(i), skew: time.Duration(random.Int64N(int64(2*maxSkew))) - maxSkew}
		var batcher booking.Batcher = p
		if missing == truth {
			batcher = careless{p}
		}
		desks := &booking.Desks{Store: batcher, HoldTTL: holdTTL, Patience: booking.DefaultPatience, Now: p.now}
		w.procs = append(w.procs, p)
		w.boxes = append(w.boxes, &booking.Service{Store: p, Cell: "euw3", Region: "eu-west-3", Desks: desks, Now: p.now})
	}
	return w
}

func onSale(size int64) booking.Event {
	eur := money.Money{Amount: 1000, Currency: "EUR"}
	now := time.Now()
	e, err := booking.Draft{
		Name: "Schedule", TimeZone: "Europe/Paris", Currency: "EUR", StartsAt: now.AddDate(0, 1, 0), Venue: booking.Venue{Name: "Salle", City: "Paris", Country: "FR"},
		Quotas: []booking.DraftQuota{{Name: "hall", Size: size}, {Name: "gallery", Size: (size + 1) / 2}},
		Types: []booking.DraftType{
			{Name: "Floor", Price: eur, Quotas: []string{"hall"}}, {Name: "Gallery", Price: eur, Quotas: []string{"hall", "gallery"}},
		},
	}.Event("euw3", id.NewOrganizer("euw3"), now)
	if err == nil {
		err = e.Publish(now)
	}
	if err != nil {
		panic(err) // our own draft
	}
	return e
}

// run plays the schedule to its end.
func (w *world) run() {
	ctx, over := context.WithCancel(context.Background())
	defer over()
	random := rand.New(rand.NewPCG(w.seed, 3))
	var buyers, others sync.WaitGroup
	for c := range w.clients {
		buyers.Go(func() { w.buyer(ctx, c, rand.New(rand.NewPCG(w.seed, uint64(c)+10))) })
	}
	for i, box := range w.boxes {
		first := time.Duration(random.Int64N(int64(time.Second)))
		others.Go(func() { w.sweeper(ctx, i, box, first) })
	}
	if random.IntN(4) == 0 {
		at := time.Duration(random.Int64N(int64(25 * time.Second)))
		others.Go(func() {
			sleep(ctx, at)
			w.db.tables[0].seal(ctx)
			w.note("seal", "sealed")
		})
	}
	if random.IntN(8) == 0 {
		at := time.Duration(random.Int64N(int64(25 * time.Second)))
		others.Go(func() {
			sleep(ctx, at)
			w.db.tables[len(w.db.tables)-1].poison()
			w.note("poison", "poisoned")
		})
	}
	buyers.Wait()
	for _, p := range w.procs {
		p.calm.Store(true)
	}
	sleep(ctx, 2*time.Minute+holdTTL)
	w.servers.Wait()
	w.atTheEnd()
	over()
	others.Wait()
	time.Sleep(time.Minute) // the desks close
}

// sweeper is a process's own job.
func (w *world) sweeper(ctx context.Context, i int, box *booking.Service, first time.Duration) {
	sleep(ctx, first)
	for ctx.Err() == nil {
		n, err := box.Sweep(ctx)
		if n > 0 {
			w.note("sweep", "sweeper %d: %v", i, err)
		}
		sleep(ctx, sweepPeriod)
	}
}

// call is one thing a client wants of one process.
type call struct {
	name  string
	what  string
	event *booking.Event
	key   *booking.Key
	hold  id.Hold
	until time.Time
	body  string

	about      string // its subject
	lostBefore int
}

// buyer goes a random part of the way, again and again.
func (w *world) buyer(ctx context.Context, n int, random *rand.Rand) {
	think := func(most time.Duration) { sleep(ctx, time.Duration(random.Int64N(int64(most/w.haste)))) }
	for i := range purchases {
		think(6 * time.Second)
		kind := random.IntN(2)
		quantity := 1 + random.Int64N(2)
		hold, held := w.insist(ctx, random, fmt.Sprintf("%d.%d", n, i), func(ctx context.Context, at int, c *call) error {
			return w.hold(ctx, at, c, kind, quantity)
		}, call{what: "hold", event: &w.db.tables[random.IntN(len(w.db.tables))].event})
		if !held {
			continue
		}
		for _, what := range [][]string{{}, {"extend"}, {"release"}, {"convert"}, {"extend", "convert"}, {"turn"}, {"extend", "turn"}, {"release", "convert"}}[random.IntN(8)] {
			think(holdTTL + 4*time.Second)
			do := map[string]func(ctx context.Context, at int, c *call) error{"extend": w.extend, "release": w.release, "convert": w.convert, "turn": w.turn}[what]
			if what == "turn" {
				what = "convert"
			}
			w.insist(ctx, random, fmt.Sprintf("%d.%d %s", n, i, what), do, call{what: what, hold: hold})
		}
	}
}

// insist repeats a call, sometimes at two processes at once and sometimes leaving
// in the middle, until it is answered for good.
func (w *world) insist(ctx context.Context, random *rand.Rand, key string, do func(context.Context, int, *call) error, c call) (id.Hold, bool) {
	for range insists {
		at, twins, leaves := random.IntN(2), random.IntN(5) == 0, random.IntN(8) == 0
		patience := 20 * time.Second
		if leaves {
			patience = time.Duration(random.Int64N(int64(8 * time.Millisecond)))
		}
		lag := time.Duration(random.Int64N(int64(3 * time.Millisecond)))
		var both sync.WaitGroup
		answers := make([]call, 2)
		errs := make([]error, 2)
		for i := range 2 {
			if i == 1 && !twins {
				break
			}
			mine := c
			mine.name, mine.key = key, &booking.Key{Scope: "s", Key: key, Fingerprint: "same"}
			both.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, patience+time.Duration(i)*lag)
				defer cancel()
				if i == 1 {
					sleep(ctx, lag)
				}
				errs[i] = do(ctx, at+i, &mine)
				w.heldTo(&mine, (at+i)%2, errs[i])
				answers[i] = mine
			})
		}
		both.Wait()
		if final(errs[0]) {
			return answers[0].hold, errs[0] == nil
		}
		if twins && final(errs[1]) {
			return answers[1].hold, errs[1] == nil
		}
		sleep(ctx, time.Duration(random.Int64N(int64(700*time.Millisecond))))
	}
	return c.hold, false
}

func brief(err error) string {
	if err == nil {
		return "ok"
	}
	if e := kind.As(err); e != nil {
		return e.Code
	}
	for _, over := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, over) {
			return over.Error()
		}
	}
	if errors.Is(err, errPoisoned) {
		return errPoisoned.Error()
	}
	return err.Error()
}

// final says that a call was decided, one way or the other.
func final(err error) bool {
	if err == nil {
		return true
	}
	switch kind.Of(err) { //nolint:exhaustive // the others are decided
	case kind.Busy, kind.Unavailable, kind.Internal:
		return false
	}
	return true
}
