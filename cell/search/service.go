package search

import (
	"context"
	"fmt"
	"time"

	"guichet/cell/client"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// Bounds of a search.
const (
	// HintTrust is how old a cell's hints may be before they count as unknown (P9).
	HintTrust     = 6 * time.Second
	searchLimit   = 3 * time.Second
	hintsLimit    = 500 * time.Millisecond
	notEndedGrain = time.Minute
)

// ErrWarming refuses a search while this process's index is being filled: an
// empty page would be a lie (P9). Booking does not wait for it.
var ErrWarming = kind.Unavailable.New("search_warming")

// warmingRetry is when to ask again: a lost index of 100,000 events is back after 40 s.
const warmingRetry = 2 * time.Second

// Service answers searches: hits of the index joined with availability hints.
type Service struct {
	Index Index
	Hints Hints
	Now   func() time.Time
	// OnHintsError is told when hints could not be read; the hits are shown with
	// unknown availability all the same (P6, P9). May be nil.
	OnHintsError func(error)
	// Warm says why the index cannot be asked yet; nil is always ready.
	Warm func(ctx context.Context) error
}

func (s *Service) warm(ctx context.Context) error {
	if s.Warm == nil {
		return nil
	}
	if err := s.Warm(ctx); err != nil {
		return ErrWarming.With("this cell's search index is being filled: %v", err).After(warmingRetry)
	}
	return nil
}

// Search answers one page. Without From, events that are over are left out; the
// clock that decides so travels in the cursor, so all pages agree.
func (s *Service) Search(ctx context.Context, q Query) (client.Listings, error) {
	ctx, cancel := context.WithTimeout(ctx, searchLimit)
	defer cancel()
	if err := s.warm(ctx); err != nil {
		return client.Listings{}, err
	}
	now := s.Now()
	q.BuyableAt = now
	if !q.Starts() {
		q.NotEndedAt = now.UTC().Truncate(notEndedGrain)
		if q.After != nil && !q.After.NotEndedAt.IsZero() {
			q.NotEndedAt = q.After.NotEndedAt
		}
	}
	res, err := s.Index.Search(ctx, q)
	if err != nil {
		return client.Listings{}, fmt.Errorf("search: %w", err)
	}
	out := client.Listings{Items: make([]client.Listing, 0, len(res.Hits)), Facets: res.Facets, Total: res.Total}
	for i := range res.Hits {
		out.Items = append(out.Items, listing(&res.Hits[i], now))
	}
	s.addHints(ctx, out.Items, res.Hits, now)
	if res.Next != nil {
		res.Next.NotEndedAt = q.NotEndedAt
		c := encodeCursor(res.Next, q)
		out.NextCursor = &c
	}
	return out, nil
}

// Suggest completes what was typed, at most MaxSuggest times.
func (s *Service) Suggest(ctx context.Context, text string) (client.Suggestions, error) {
	ctx, cancel := context.WithTimeout(ctx, searchLimit)
	defer cancel()
	if err := s.warm(ctx); err != nil {
		return client.Suggestions{}, err
	}
	items, err := s.Index.Suggest(ctx, text, s.Now().UTC().Truncate(notEndedGrain))
	if err != nil {
		return client.Suggestions{}, fmt.Errorf("suggest: %w", err)
	}
	if items == nil {
		items = []client.Suggestion{}
	}
	return client.Suggestions{Items: items}, nil
}

func (s *Service) addHints(ctx context.Context, items []client.Listing, hits []Hit, now time.Time) {
	if len(items) == 0 {
		return
	}
	ids := make([]string, len(items))
	for i := range items {
		ids[i] = items[i].ID
	}
	ctx, cancel := context.WithTimeout(ctx, hintsLimit)
	defer cancel()
	hints, asOf, err := s.Hints.AvailabilityOf(ctx, ids)
	if err != nil {
		if s.OnHintsError != nil {
			s.OnHintsError(err)
		}
		return // every item says unknown already
	}
	for i := range items {
		hint, known := hints[items[i].ID]
		items[i].Availability, items[i].AvailabilityAge = judge(&hits[i].Doc, hint, known, asOf, now)
	}
}

// judge turns what the home cell last said into what is shown. P9: when the
// home was not heard for HintTrust, or never, the answer is unknown, never none.
func judge(d *Document, h Hint, known bool, asOf map[topology.CellID]time.Time, now time.Time) (client.Availability, *float64) {
	home := topology.CellID(d.Event.Home.Cell)
	heard, ok := asOf[home]
	age := now.Sub(heard)
	if !ok || age > HintTrust {
		return client.Unknown, nil
	}
	class := d.Availability() // what the home said on publishing; beats tell changes only
	if known && h.Cell == home {
		class = h.Class
	}
	if d.over(now) { // no beat tells of the time that goes by
		class = client.None
	}
	if class == client.Unknown {
		return client.Unknown, nil
	}
	seconds := max(0, age.Seconds())
	return class, &seconds
}

func listing(h *Hit, now time.Time) client.Listing {
	e := &h.Doc.Event
	return client.Listing{
		ID: e.ID, Name: e.Name, Summary: e.Summary, Category: e.Category, Venue: e.Venue, StartsAt: e.StartsAt,
		EndsAt: e.EndsAt, TimeZone: e.TimeZone, PriceFrom: h.Doc.PriceFrom(now), Availability: client.Unknown,
		DistanceKM: h.DistanceKM, Home: e.Home, Source: e.Source, SeriesID: e.SeriesID, Slot: e.Slot, Rescheduled: e.Rescheduled != nil,
	}
}
