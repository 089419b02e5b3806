package drill

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/client"
	"guichet/cell/money"
	"guichet/chaos/world"
	"guichet/internal/pgproxy"
	"guichet/internal/testdb"
)

// pair are two processes of one cell at one database, each reached past a proxy
// that a drill can make lose what it likes, and an event whose tickets are free.
type pair struct {
	cells   [2]*world.Cell
	proxies [2]*pgproxy.Proxy
	db      *pgx.Conn // the drill's own look at the database
	mu      sync.Mutex
	event   client.Event
}

// openPair starts them; request and reply hooks are told which process they serve.
func openPair(t *testing.T, size int64, request, reply func(process int) pgproxy.Hook) *pair {
	t.Helper()
	needDatabases(t)
	built, err := programs()
	must(t, err)
	dsn := testdb.New(t, nil)
	p := &pair{}
	dir := t.TempDir()
	for i := range p.cells {
		var ask, answer pgproxy.Hook
		if request != nil {
			ask = request(i)
		}
		if reply != nil {
			answer = reply(i)
		}
		p.proxies[i], err = pgproxy.Start(t.Context(), dsn, ask, answer)
		must(t, err)
		t.Cleanup(p.proxies[i].Close)
		led, err := p.proxies[i].URL(dsn)
		must(t, err)
		p.cells[i], err = world.OpenCell(t.Context(), built, world.CellOptions{
			Cell: "euw3", Region: "eu-west-3", Database: led, Dir: filepath.Join(dir, "cell-"+strconv.Itoa(i)),
		})
		must(t, err)
		t.Cleanup(func() {
			if err := p.cells[i].Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	p.db, err = pgx.Connect(t.Context(), dsn)
	must(t, err)
	t.Cleanup(func() { _ = p.db.Close(context.Background()) })
	p.stage(t, size)
	return p
}

func (p *pair) stage(t *testing.T, size int64) {
	t.Helper()
	operator := p.cells[1].Client()
	org, _, err := operator.CreateOrganizer(t.Context(), "eu-west-3", "Drill", key("org"))
	must(t, err)
	free := money.Money{Currency: "EUR"}
	p.event, _, err = operator.As(org.APIKey).CreateEvent(t.Context(), org.ID, "", client.NewEvent{
		Name: unique("Pair"), Category: "music", Venue: world.Venue("Salle", world.Paris), StartsAt: time.Now().AddDate(0, 3, 0).Truncate(time.Second), TimeZone: "Europe/Paris",
		Currency: "EUR", Quotas: []client.NewQuota{{Name: "floor", Size: size}},
		TicketTypes: []client.NewTicketType{{Name: "Free", Price: free, Quotas: []string{"floor"}}}, Publish: true,
	}, key("event"))
	must(t, err)
}

// number is one number that the database says.
func (p *pair) number(t *testing.T, sql string, args ...any) int64 {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var n int64
	must(t, p.db.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

// ack is one acknowledged hold.
type ack struct {
	key, hold string
	at        time.Time
	process   int
}

// load is what the buyers of a drill do and were told.
type load struct {
	p     *pair
	doors [2]*client.Client
	stop  chan struct{}
	all   sync.WaitGroup
	told  atomic.Int64

	mu    sync.Mutex
	acks  []ack
	fault error
}

// buyers hold one ticket after the other until finish, each hold with a key of its
// own, at either process; what is not answered in time is repeated at the other
// one with the same key.
func (p *pair) buyers(ctx context.Context, n int) *load {
	l := &load{p: p, stop: make(chan struct{})}
	for i := range l.doors {
		l.doors[i] = p.cells[i].Client(client.WithTimeout(4 * time.Second))
	}
	for i := range n {
		l.all.Go(func() {
			for round := 0; ; round++ {
				select {
				case <-l.stop:
					return
				default:
				}
				if err := l.hold(ctx, fmt.Sprintf("buyer-%d-%d", i, round), (i+round)%2); err != nil {
					l.mu.Lock()
					l.fault = errors.Join(l.fault, err)
					l.mu.Unlock()
					return
				}
			}
		})
	}
	return l
}

func (l *load) hold(ctx context.Context, idem string, door int) error {
	var h client.Hold
	try := 0
	err := insisting(ctx, func(ctx context.Context) (err error) {
		at := (door + try) % 2
		try++
		h, _, err = l.doors[at].CreateHold(ctx, l.p.event.ID, l.want(), idem)
		if err == nil {
			door = at
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("hold %s: %w", idem, err)
	}
	l.note(idem, h.ID, door)
	return nil
}

func (l *load) want() client.NewHold {
	return client.NewHold{Items: []client.HoldItem{{TicketTypeID: l.p.event.TicketTypes[0].ID, Quantity: 1}}}
}

func (l *load) note(idem, hold string, door int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acks = append(l.acks, ack{idem, hold, time.Now(), door})
	l.told.Add(1)
}

// probe asks one process without a pause until it acknowledges a hold, and says
// how long after a moment that was.
func (l *load) probe(t *testing.T, door int, since time.Time) time.Duration {
	t.Helper()
	idem := key("probe")
	until(t, time.Minute, "the process acknowledges a hold", func() bool {
		h, _, err := l.doors[door].CreateHold(t.Context(), l.p.event.ID, l.want(), idem)
		if err != nil {
			return false
		}
		l.note(idem, h.ID, door)
		return true
	})
	return time.Since(since)
}

// finish lets the buyers end what they had begun and answers what they were told.
func (l *load) finish(t *testing.T) []ack {
	t.Helper()
	close(l.stop)
	l.all.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	must(t, l.fault)
	return l.acks
}

// grows waits until so many more holds were acknowledged.
func (l *load) grows(t *testing.T, by int64) {
	t.Helper()
	due := l.told.Load() + by
	until(t, time.Minute, fmt.Sprintf("%d more holds are acknowledged", by), func() bool { return l.told.Load() >= due })
}

// firstAfter is how long after a moment the first hold was acknowledged by a process.
func firstAfter(acks []ack, process int, moment time.Time) time.Duration {
	first := time.Duration(-1)
	for _, a := range acks {
		if d := a.at.Sub(moment); a.process == process && d >= 0 && (first < 0 || d < first) {
			first = d
		}
	}
	return first
}

// wantOnce: every acknowledged hold is in the database, there is no other, and
// the counter says so (P2, P3, P5).
func (p *pair) wantOnce(t *testing.T, acks []ack) {
	t.Helper()
	ids := map[string]bool{}
	for _, a := range acks {
		if ids[a.hold] {
			t.Errorf("hold %s was given to two keys", a.hold)
		}
		ids[a.hold] = true
	}
	list := make([]string, 0, len(ids))
	for hold := range ids {
		list = append(list, hold)
	}
	event := p.event.ID
	kept := p.number(t, `SELECT count(*) FROM booking.hold WHERE event_id = $1 AND hold_id = ANY($2)`, event, list)
	all := p.number(t, `SELECT count(*) FROM booking.hold WHERE event_id = $1`, event)
	if kept != int64(len(ids)) || all != kept {
		t.Errorf("%d holds were acknowledged, %d of them are kept, and there are %d in all", len(ids), kept, all)
	}
	if used := p.number(t, `SELECT held + sold FROM booking.quota WHERE event_id = $1`, event); used != all {
		t.Errorf("the quota counts %d for %d holds of one ticket", used, all)
	}
}
