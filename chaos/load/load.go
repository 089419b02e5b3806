// Package load is a small crowd that uses a town while something in it is broken:
// attendees near every region who search, look at events, hold and pay, at their own and
// at other regions' events. They arrive when they arrive, whether or not earlier ones were
// answered, and a request's time counts from its arrival (no coordinated omission). The
// package records what each was answered and judges it by the promises of cell/doc.go.
package load

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"guichet/cell/client"
	"guichet/cell/money"
)

const (
	requestPatience = 5 * time.Second
	manyTickets     = 100_000
	fewTickets      = 5 // of the event that sells out during a drill
	most            = 400
	visible         = 20 * time.Second // until a new event can be looked at everywhere
)

// Town is where the crowd goes.
type Town struct {
	Router  string  // URL
	Sandbox string  // URL of the payment provider's stand-in
	Places  []Place // one for each cell
}

// Place is a region with its cell.
type Place struct {
	Cell, Region, City string
	Lat, Lon           float64
	Organizer          client.Organizer
	Event, Scarce      Sale // made by Prepare: with many tickets, with few
}

// Sale is an event and its ticket type.
type Sale struct{ Event, Type string }

// Record is one thing that an attendee did.
type Record struct {
	At      time.Duration `json:"at"`   // of the arrival, from the start of the load
	Took    time.Duration `json:"took"` // from the arrival to the answer
	Near    string        `json:"near"` // the cell of the attendee's region
	Home    string        `json:"home"` // of the event
	Action  string        `json:"action"`
	OK      bool          `json:"ok"`
	SoldOut bool          `json:"sold_out,omitempty"` // of the event that may be
	Code    string        `json:"code,omitempty"`
	Status  int           `json:"status,omitempty"`
	Retry   bool          `json:"retry,omitempty"` // it said when to retry
	Lie     bool          `json:"lie,omitempty"`   // "sold out" of the event with many tickets
	Cell    string        `json:"cell,omitempty"`  // that answered
	Detail  string        `json:"detail,omitempty"`
}

// Load is the crowd of one drill.
type Load struct {
	town Town
	rate float64 // arrivals per second and region
	seed uint64
	http *http.Client

	began   time.Time
	room    chan struct{}
	working sync.WaitGroup

	mu      sync.Mutex
	records []Record
	holds   []*kept
	fault   [2]time.Duration // between which failures in the blast radius are allowed; 0 is not yet
	covers  func(home, action string) bool
	harm    int
}

// kept is a hold that was acknowledged, or may have been, and what became of it.
type kept struct {
	place     int
	sale      Sale
	key       string
	want      client.NewHold
	client    *client.Client
	hold      client.Hold // empty when the outcome is unknown
	order     client.Order
	confirmed bool // the provider took the money
	released  bool
}

// New is a crowd; covers says what may fail while something is broken.
func New(town Town, rate float64, seed uint64, covers func(home, action string) bool) *Load {
	return &Load{
		town: town, rate: rate, seed: seed, covers: covers, room: make(chan struct{}, most),
		http: &http.Client{
			Transport: &http.Transport{
				DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
				MaxIdleConnsPerHost: 256, MaxConnsPerHost: 512, IdleConnTimeout: 30 * time.Second,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (l *Load) client(p Place, opts ...client.Option) *client.Client {
	return client.New(l.town.Router, append([]client.Option{client.WithHTTP(l.http), client.WithNear(p.Lat, p.Lon), client.WithTimeout(requestPatience)}, opts...)...)
}

func (l *Load) staff(p Place) *client.Client {
	return l.client(p, client.WithBearer(p.Organizer.APIKey))
}

// Prepare makes the events of the drill, one with many tickets and one with few in each
// region, and waits until they can be looked at.
func (l *Load) Prepare(ctx context.Context) error {
	for i := range l.town.Places {
		p := &l.town.Places[i]
		for size, sale := range map[int64]*Sale{manyTickets: &p.Event, fewTickets: &p.Scarce} {
			price := money.Money{Amount: 1200, Currency: "EUR"}
			e, _, err := l.staff(*p).CreateEvent(ctx, p.Organizer.ID, "", client.NewEvent{
				Name: fmt.Sprintf("Drill in %s, %d tickets", p.City, size), Category: "other", Venue: client.Venue{Name: "Drill Hall", City: p.City, Country: "FR"},
				StartsAt: time.Now().AddDate(1, 0, 0).Truncate(time.Second), TimeZone: "UTC", Currency: "EUR", Publish: true,
				Quotas:      []client.NewQuota{{Name: "all", Size: size}},
				TicketTypes: []client.NewTicketType{{Name: "Entry", Quotas: []string{"all"}, Price: price}},
			}, "drill-"+rand.Text())
			if err != nil {
				return fmt.Errorf("make an event in %s: %w", p.City, err)
			}
			*sale = Sale{Event: e.ID, Type: e.TicketTypes[0].ID}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, visible)
	defer cancel()
	for _, p := range l.town.Places {
		for {
			_, _, err := l.client(p).Event(ctx, p.Event.Event)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("the event of the drill in %s cannot be looked at: %w", p.City, err)
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	return nil
}

// Places are the town's, with the events that Prepare made.
func (l *Load) Places() []Place { return l.town.Places }

// FaultBegins and AllowedUntil bound the time in which the blast radius may fail.
func (l *Load) FaultBegins() { l.mark(0, time.Since(l.began)) }

// AllowedUntil says how much longer, from now, the blast radius may fail.
func (l *Load) AllowedUntil(more time.Duration) { l.mark(1, time.Since(l.began)+more) }

func (l *Load) mark(i int, at time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault[i] = at
}

// Harm counts what failed and must not have, so far.
func (l *Load) Harm() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.harm
}

// Records are all that happened, by arrival.
func (l *Load) Records() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Record(nil), l.records...)
}

// Began is when the load began.
func (l *Load) Began() time.Time { return l.began }

// allowed says whether a failure is one that the experiment expects. The lock is held.
func (l *Load) allowed(r Record) bool {
	if l.fault[0] == 0 || r.At+r.Took < l.fault[0] || l.fault[1] != 0 && r.At > l.fault[1] {
		return false
	}
	return l.covers(r.Home, r.Action)
}

func (l *Load) note(r Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, r)
	if !r.OK && !r.SoldOut && !l.allowed(r) {
		l.harm++
	}
}

// answered fills in what an answer says.
func answered(r Record, m client.Meta, err error) Record {
	r.Cell, r.OK = m.Cell, err == nil
	if err == nil {
		return r
	}
	if p, ok := errors.AsType[*client.ProblemError](err); ok {
		r.Code, r.Status, r.Retry, r.Cell = p.Code, p.Status, p.RetryAfter > 0, p.Meta.Cell
		return r
	}
	r.Detail = err.Error()
	if r.Code = "no_answer"; errors.Is(err, context.DeadlineExceeded) {
		r.Code = "too_slow"
	}
	return r
}
