// Package linear holds the desk to a model: whatever several clients do at two
// processes of a cell on one real PostgreSQL, while processes die, sessions are
// ended and answers of COMMITs are lost, what they were told must be explained by
// some order of what they asked, one thing at a time (porcupine decides it). It
// holds no code of the product.
package linear

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/store"
	"guichet/internal/pgproxy"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
	"guichet/internal/txn"
)

const (
	histories  = 1000
	atOnce     = 2 // theatres at the same time
	games      = 5 // in one theatre: their events share the transactions of its desks
	checkLimit = 20 * time.Second
	killPause  = 60 * time.Millisecond // between two sessions that are ended
	// Of a thousand commits: how many happen and are not answered, and how many are not even sent.
	lostAnswers, lostCommits = 12, 8
)

// failed are seeds of games that once went wrong; they are played first.
var failed = []uint64{1}

// processes are the cell's two processes' ways to the database.
type processes struct {
	stores  []*store.Store
	batcher func(s *store.Store) booking.Batcher
	calm    bool // for games without faults
	did     *faults
}

// faults count what was done to the processes, and what befell batches of several events.
type faults struct{ answers, commits, sessions, shared, leftOut atomic.Int64 }

func migrate(ctx context.Context, dsn string) error {
	db, err := sqldb.Open(ctx, dsn, "migrate")
	if err != nil {
		return err
	}
	defer db.Close()
	return store.New(db, "euw3").Migrate(ctx)
}

// open connects two processes to one database, each through a proxy that loses
// commits. spoil may change what is asked of the database.
func open(t *testing.T, seed uint64, did *faults, spoil func(m []byte) []byte) (*processes, *sqldb.DB) {
	t.Helper()
	dsn := testdb.New(t, migrate)
	p := &processes{did: did, batcher: func(s *store.Store) booking.Batcher { return s }}
	for i := range 2 {
		proxy, err := pgproxy.Start(t.Context(), dsn, unlucky(seed+uint64(i), did, spoil), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(proxy.Close)
		led, err := proxy.URL(dsn)
		if err != nil {
			t.Fatal(err)
		}
		db, err := sqldb.Open(t.Context(), led, "linear", sqldb.MaxConns(12))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(db.Close)
		p.stores = append(p.stores, store.New(db, "euw3"))
	}
	admin, err := sqldb.Open(t.Context(), dsn, "admin", sqldb.MaxConns(4))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	return p, admin
}

func unlucky(seed uint64, did *faults, spoil func(m []byte) []byte) pgproxy.Hook {
	random := rand.New(rand.NewPCG(seed, 77))
	var mu sync.Mutex // guards random
	return func(c *pgproxy.Conn, m []byte) []byte {
		if spoil != nil {
			m = spoil(m)
		}
		if did == nil || !c.Commits(m) {
			return m
		}
		mu.Lock()
		n := random.IntN(1000)
		mu.Unlock()
		switch {
		case n < lostAnswers:
			did.answers.Add(1)
			c.LoseAnswers()
		case n < lostAnswers+lostCommits:
			did.commits.Add(1)
			return nil
		}
		return m
	}
}

const endOneSession = `SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
	WHERE datname = current_database() AND application_name = 'linear' AND state <> 'idle' ORDER BY random() LIMIT 1) AS s`

// endSessions ends sessions at random until ctx is over.
func endSessions(ctx context.Context, admin *sqldb.DB, did *faults) {
	for ctx.Err() == nil {
		var n int64
		if err := admin.Pool.QueryRow(ctx, endOneSession).Scan(&n); err == nil {
			did.sessions.Add(n)
		}
		wait(ctx, killPause)
	}
}

// seeds are those of this run: GUICHET_LINEAR_SEED plays one game only.
func seeds(t *testing.T, n int) []uint64 {
	t.Helper()
	if text := os.Getenv("GUICHET_LINEAR_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return []uint64{seed}
	}
	all := slices.Clone(failed)
	first := uint64(time.Now().UnixNano())
	for i := len(all); i < n; i++ {
		all = append(all, first+uint64(i))
	}
	t.Logf("seeds %d and the %d after it, behind %d kept ones", first+uint64(len(failed)), n-len(failed)-1, len(failed))
	return all
}

// result is what is known of one game.
type result struct {
	seed    uint64
	ops     []porcupine.Operation
	size    int64
	verdict porcupine.CheckResult
}

// run plays the games and judges each; stop ends the run early.
func (p *processes) run(ctx context.Context, t *testing.T, seeds []uint64, stop func(result) bool) []result {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var next atomic.Int64
	var mu sync.Mutex // guards results
	var results []result
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for ctx.Err() == nil {
				i := (int(next.Add(1)) - 1) * games
				if i >= len(seeds) {
					return
				}
				played, err := p.play(ctx, seeds[i:min(i+games, len(seeds))])
				if err != nil {
					if ctx.Err() == nil {
						t.Errorf("seed %d: %v", seeds[i], err)
					}
					return
				}
				mu.Lock()
				results = append(results, played...)
				mu.Unlock()
				if slices.ContainsFunc(played, stop) {
					cancel()
				}
			}
		})
	}
	all.Wait()
	return results
}

// play plays some games in one theatre and judges their histories.
func (p *processes) play(ctx context.Context, seeds []uint64) ([]result, error) {
	random := rand.New(rand.NewPCG(seeds[0], 0))
	h := &theatre{ttl: leastTTL + time.Duration(random.Int64N(int64(mostTTL-leastTTL))).Truncate(time.Microsecond), calm: p.calm, did: p.did}
	for _, s := range p.stores {
		one := &house{batcher: p.batcher(s), theatre: h}
		one.begin(ctx, s)
		h.houses = append(h.houses, one)
	}
	var all []*game
	for _, seed := range seeds {
		g, err := p.open(ctx, h, seed)
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	h.play(ctx, all)
	h.houses[0].begin(ctx, p.stores[0])
	var results []result
	for _, g := range all {
		kept, err := p.settle(ctx, g)
		if err != nil {
			return nil, err
		}
		r := result{seed: g.seed, size: g.size, ops: g.history(kept)}
		r.verdict, _ = porcupine.CheckOperationsVerbose(modelOf(g.size, h.ttl.Nanoseconds(), false), r.ops, checkLimit)
		results = append(results, r)
	}
	return results, nil
}

// open puts a game's event on sale. Faults meet this too.
func (p *processes) open(ctx context.Context, h *theatre, seed uint64) (g *game, err error) {
	g = &game{seed: seed, size: 2 + rand.New(rand.NewPCG(seed, 0)).Int64N(4), theatre: h}
	for range 20 {
		if g.event, err = h.houses[0].box.DraftEvent(ctx, txn.None, id.NewOrganizer("euw3"), draftOf(g.size), true); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("put the event on sale: %w", err)
	}
	for range 20 {
		if g.secret, err = p.stores[0].HoldSecret(ctx, g.event.ID); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the event's secret: %w", err)
	}
	h.games.Store(g.event.ID, g)
	return g, nil
}

// settle waits for what the database may still be committing for a process that
// is gone, which the event's lock shows, reads what there is in the end, and lets
// everybody who was told of a hold look at it once more (P3).
func (p *processes) settle(ctx context.Context, g *game) (kept map[string]bool, err error) {
	var holds []id.Hold
	for _, text := range g.holds {
		hold, err := id.ParseHold(text)
		if err != nil {
			return nil, err
		}
		holds = append(holds, hold)
	}
	for range 20 { // faults meet this too
		if kept, err = p.holdsOf(ctx, g.event.ID); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("settle: %w", err)
	}
	for range 3 {
		if g.attempt(ctx, clients, 0, asked{act: actRead}, 0) == ok {
			break
		}
	}
	for _, hold := range holds {
		g.attempt(ctx, clients, 0, asked{act: actLook, hold: hold.String()}, 0)
	}
	return kept, nil
}

func (p *processes) holdsOf(ctx context.Context, event id.Event) (map[string]bool, error) {
	kept := map[string]bool{}
	return kept, p.stores[0].DB.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		clear(kept)
		for _, sql := range []string{
			`SELECT event_id FROM booking.event WHERE event_id = $1 FOR UPDATE`,
			`SELECT hold_id FROM booking.hold WHERE event_id = $1`,
		} {
			rows, err := tx.Query(ctx, sql, event.String())
			if err != nil {
				return err
			}
			ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				return err
			}
			for _, id := range ids {
				kept[id] = true
			}
		}
		return nil
	})
}

// tell prints a history in the order of its calls.
func (r result) tell() string {
	ops := slices.Clone(r.ops)
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %d tickets: %s\n", r.seed, r.size, r.verdict)
	for _, op := range ops {
		ret := "      …"
		if op.Return != never {
			ret = fmt.Sprintf("%7d", (op.Return-ops[0].Call)/1000)
		}
		fmt.Fprintf(&b, "%7d %s µs  client %d  %s\n", (op.Call-ops[0].Call)/1000, ret, op.ClientId, describe(op.Input.(asked), op.Output.(told))) //nolint:forcetypeassert // ours
	}
	return b.String()
}

// P2, P3, P5: every history of an event is linearizable, whatever dies.
func TestDesk_isLinearizableAtTwoProcessesThatAreKilled(t *testing.T) {
	var did faults
	count := histories
	if testing.Short() {
		count /= 10
	}
	all := seeds(t, count)
	p, admin := open(t, all[0], &did, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go endSessions(ctx, admin, &did)
	results := p.run(ctx, t, all, func(r result) bool { return r.verdict == porcupine.Illegal || t.Failed() })
	verdicts := map[string]int{}
	bad := 0
	for _, r := range results {
		for _, op := range r.ops {
			in, out := op.Input.(asked), op.Output.(told) //nolint:forcetypeassert // ours
			verdicts[string(in.act)+" "+out.verdict]++
		}
		if r.verdict != porcupine.Ok {
			if bad++; bad <= 3 {
				t.Errorf("not linearizable; add the seed to the kept ones\n%s", r.tell())
			}
		}
	}
	t.Logf("%d histories, %d bad; lost answers %d, lost commits %d, ended sessions %d; %d batches of several events, %d events left out; %v",
		len(results), bad, did.answers.Load(), did.commits.Load(), did.sessions.Load(), did.shared.Load(), did.leftOut.Load(), verdicts)
	if len(all) < count {
		return
	}
	for _, what := range []string{
		"hold ok", "hold sold_out", "hold unknown", "extend ok", "extend hold_expired", "release ok", "release invalid_state",
		"convert ok", "convert sold_out", "sweep ok", "read ok", "look ok",
	} {
		if verdicts[what] < count/50 {
			t.Errorf("%q came %d times in %d histories: the test does not try it", what, verdicts[what], len(results))
		}
	}
	if few := int64(count / 50); len(results) < count || did.answers.Load() < few || did.commits.Load() < few || did.sessions.Load() < few {
		t.Errorf("%d histories with too few faults: %d, %d, %d", len(results), did.answers.Load(), did.commits.Load(), did.sessions.Load())
	}
	if few := int64(count / 10); did.shared.Load() < few || did.leftOut.Load() < few/10 {
		t.Errorf("%d batches of several events, %d events left out: too few", did.shared.Load(), did.leftOut.Load())
	}
}
