// Package search finds events of the whole world at the nearest cell. Every cell
// keeps the published catalogue (documents that travelled on the bus) in its own
// database and, built from there, in an index of its own; it holds the words of
// a query, what a document is, and how hits meet availability hints. It decides
// nothing about stock: availability here is a hint with an age, the home cell
// answers for real (P6, P9). The index is an adapter (search/bleve); only the
// bus consumers (intake.go) and the indexer change what is found.
package search

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/geo"
	"guichet/internal/kind"
)

// Limits of one document.
const (
	MaxDocumentBytes = 256 << 10 // its JSON
	// AssumedLength is how long an event without an end is taken to last.
	AssumedLength = 6 * time.Hour
)

// ErrDocument is returned for a catalogue document that must not be stored.
var ErrDocument = kind.Invalid.New("invalid_document")

// Document is one event as it travels on glb.catalog.<cell>.<event_id>: the
// event page's public copy, a version that grows with every change of the event,
// and whether it is to be found. One that is not published stays as a tombstone,
// so that an older version cannot bring it back.
type Document struct {
	Event     client.Event `json:"event"`
	Version   int64        `json:"version"`
	Published bool         `json:"published"`
}

// NewDocument makes the document of an event: what only its organizer may see
// (quotas) does not travel.
func NewDocument(e client.Event, published bool) Document {
	e.Quotas = nil
	e.TicketTypes = slices.Clone(e.TicketTypes)
	for i := range e.TicketTypes {
		e.TicketTypes[i].Quotas = nil
	}
	return Document{Event: e, Version: e.Version, Published: published}
}

// ID is the event's id, which is the document's.
func (d *Document) ID() string { return d.Event.ID }

// Validate refuses what would poison the catalogue: bad ids, versions that
// cannot grow, times outside the years 1 to 9999, points outside the Earth.
func (d *Document) Validate() error {
	if _, err := id.ParseEvent(d.Event.ID); err != nil {
		return ErrDocument.With("%.60q is not an event's id", d.Event.ID)
	}
	if d.Version < 1 {
		return ErrDocument.With("%s: version %d is not positive", d.Event.ID, d.Version)
	}
	if !writable(d.Event.StartsAt) || d.Event.EndsAt != nil && !writable(*d.Event.EndsAt) {
		return ErrDocument.With("%s: a time is outside the years 1 to 9999", d.Event.ID)
	}
	if l := d.Event.Venue.Location; l != nil && !(geo.Point{Lat: l.Lat, Lon: l.Lon}).Valid() {
		return ErrDocument.With("%s: the venue is not on Earth", d.Event.ID)
	}
	return nil
}

func writable(t time.Time) bool { return t.UTC().Year() >= 1 && t.UTC().Year() <= 9999 }

// ParseDocument reads a document from the bus and validates it. Fields it does
// not know are ignored: a newer cell may send more (old and new run together).
func ParseDocument(payload []byte) (Document, error) {
	var d Document
	if len(payload) > MaxDocumentBytes {
		return d, ErrDocument.With("a document has at most %d bytes, this has %d", MaxDocumentBytes, len(payload))
	}
	if err := json.Unmarshal(payload, &d); err != nil {
		return d, ErrDocument.With("it is not the JSON of a document: %v", err)
	}
	return d, d.Validate()
}

// Point is where the event takes place.
func (d *Document) Point() (geo.Point, bool) {
	l := d.Event.Venue.Location
	if l == nil {
		return geo.Point{}, false
	}
	return geo.Point{Lat: l.Lat, Lon: l.Lon}, true
}

// EndsAt is when the event is over, assumed where nobody said.
func (d *Document) EndsAt() time.Time {
	if e := d.Event.EndsAt; e != nil && e.After(d.Event.StartsAt) {
		return *e
	}
	return d.Event.StartsAt.Add(AssumedLength)
}

// LastMoment is the last second of what the event says of itself, without anything
// assumed: of its end, else its start. It bounds what a search from a time on finds.
func (d *Document) LastMoment() time.Time {
	if e := d.Event.EndsAt; e != nil && e.After(d.Event.StartsAt) {
		return e.Add(-time.Second)
	}
	return d.Event.StartsAt
}

// OnTheWall is what a clock at the event's place shows at a time, as if it were UTC.
func (d *Document) OnTheWall(t time.Time) time.Time {
	loc := zoneOf(d.Event.TimeZone)
	_, east := t.In(loc).Zone()
	return t.UTC().Add(time.Duration(east) * time.Second)
}

var zones sync.Map // name → *time.Location; there are some 600

// zoneOf is a zone of the database, UTC for a name that it has not.
func zoneOf(name string) *time.Location {
	if kept, ok := zones.Load(name); ok {
		if loc, ok := kept.(*time.Location); ok { // nothing else is stored
			return loc
		}
	}
	loc, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return time.UTC
	}
	zones.Store(name, loc)
	return loc
}

// lastUse is how long after its start an event without an end can still be used, by
// its home's rule (booking).
const lastUse = 24 * time.Hour

// over says that nobody can buy a ticket any more.
func (d *Document) over(now time.Time) bool {
	if e := d.Event.EndsAt; e != nil {
		return !now.Before(*e)
	}
	return !now.Before(d.Event.StartsAt.Add(lastUse))
}

// alone says whether a ticket type can be bought by itself; documents of before
// add_on name what it requires.
func alone(t *client.TicketType) bool { return !t.AddOn && t.Requires == "" }

// PriceFrom is the lowest all-in price of what can still be bought alone, as far as
// the document knows: nothing that was sold out when the home told of it, and nothing
// whose sale has ended. nil without any.
func (d *Document) PriceFrom(now time.Time) *money.Money {
	var low *money.Money
	for i := range d.Event.TicketTypes {
		t := &d.Event.TicketTypes[i]
		gone := t.Availability == client.None || t.SalesEnd != nil && !now.Before(*t.SalesEnd)
		if alone(t) && !gone && (low == nil || t.PriceAllIn.Amount < low.Amount) {
			low = &t.PriceAllIn
		}
	}
	return low
}

// MaxPriceSteps is how many steps of a price are kept.
const MaxPriceSteps = 3

// PriceStep is what the cheapest ticket costs until its sale ends, in minor units.
type PriceStep struct {
	Amount int64
	Until  time.Time
}

// never is the end of a sale that nobody said.
var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// PriceSteps is PriceFrom over time: each step costs more than the one before, and
// can be had longer. What is beyond MaxPriceSteps is taken for its last.
func (d *Document) PriceSteps() []PriceStep {
	var all, steps []PriceStep
	for i := range d.Event.TicketTypes {
		t := &d.Event.TicketTypes[i]
		if !alone(t) || t.Availability == client.None {
			continue
		}
		step := PriceStep{t.PriceAllIn.Amount, never}
		if t.SalesEnd != nil {
			step.Until = *t.SalesEnd
		}
		all = append(all, step)
	}
	slices.SortFunc(all, func(a, b PriceStep) int { return cmp.Or(cmp.Compare(a.Amount, b.Amount), b.Until.Compare(a.Until)) })
	for _, step := range all {
		switch n := len(steps); {
		case n > 0 && !step.Until.After(steps[n-1].Until):
		case n == MaxPriceSteps:
			steps[n-1].Until = step.Until
		default:
			steps = append(steps, step)
		}
	}
	return steps
}

// Availability is what the home said when it sent the document: the best of the
// ticket types that can be bought alone, unknown without any.
func (d *Document) Availability() client.Availability {
	best, rank := client.Unknown, 0
	ranks := map[client.Availability]int{client.None: 1, client.Few: 2, client.Available: 3}
	for i := range d.Event.TicketTypes {
		t := &d.Event.TicketTypes[i]
		if r := ranks[t.Availability]; alone(t) && r > rank {
			best, rank = t.Availability, r
		}
	}
	return best
}

// Mark says up to which change of which catalogue an index has come. Source
// names the catalogue: one that was restored or started over has another name,
// or a smaller Seq, and then the index is built anew.
type Mark struct {
	Source string
	Seq    int64
}

// Hit is one document found.
type Hit struct {
	Doc        Document
	DistanceKM *float64 // nil without Near or without the venue's point
}

// Result is one page of hits. Next is nil on the last page.
type Result struct {
	Hits   []Hit
	Total  int
	Facets map[string][]client.Facet
	Next   *Position
}

// Position is the place in the results after which a page begins: the sort keys
// of the last hit and the stage of tolerance in which it was found. Both follow
// from document and query alone, never from the index's statistics, so pages
// neither skip nor repeat while the index grows, even at another cell.
type Position struct {
	Stage      int
	Keys       []string
	NotEndedAt time.Time // the clock of the first page
}
