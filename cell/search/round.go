package search

import (
	"context"
	"maps"
	"slices"
	"time"

	"guichet/cell/client"
)

// A round tells the class of every live event again, a page with each beat, so that
// what was lost on the way is told within a minute, however it was lost.
const (
	// RoundPeriod is from one round's beginning to the next one's; a cell with more than
	// some 60,000 live events needs longer.
	RoundPeriod = 30 * time.Second
	roundEvents = 2000 // events of one page
	// classTrust is how long a class may be told again without being looked at, if the
	// event's stock did not change: the end of a sale is a change that nobody makes.
	classTrust = 5 * time.Minute
	// rereadLimit bounds the events of one page that are looked at for their age.
	rereadLimit = classPage
)

// round is how far the beater is in telling everything again. One that is not under
// way begins when it is due; the zero value is due.
type round struct {
	whole int64     // the first beat of the last round that was told; 0: none was yet
	began int64     // the first beat of the round under way; 0: none is
	after string    // the event that was told last
	due   time.Time // when the next round begins

	classes map[string]classSeen // of live events, as they were read last
	met     map[string]classSeen // in the round under way
}

// classSeen is a class that was read, of which state of the stock, and when.
type classSeen struct {
	version int64
	class   client.Availability
	read    time.Time // our clock
}

// restart tells everything again from the beginning, with the next beat.
func (r *round) restart() { r.began, r.after, r.due, r.met = 0, "", time.Time{}, nil }

// page is a part of a round, in one beat.
type page struct {
	told        map[string]classSeen
	next        string
	began       int64 // the round's first beat
	first, last bool
}

// roundPage adds to what is seen the events whose turn it is. They are read after the
// changes, so of an event that is in both the page has the newer word.
func (b *Beater) roundPage(ctx context.Context, now time.Time, s *sight) (page, error) {
	r := &b.round
	p := page{told: map[string]classSeen{}, began: r.began, first: r.began == 0}
	if p.first && now.Before(r.due) {
		return page{}, nil
	}
	events, next, err := b.Changes.Live(ctx, r.after, roundEvents)
	if err != nil {
		return page{}, err
	}
	p.next, p.last = next, next == ""
	var ask []StockChange
	old := 0
	for _, c := range events {
		seen, known := r.classes[c.Event]
		aged := known && seen.version == c.Version && now.Sub(seen.read) > classTrust
		if aged {
			old++
		}
		if !known || seen.version != c.Version || aged && old <= rereadLimit {
			ask = append(ask, c)
			continue
		}
		p.told[c.Event] = seen
	}
	for some := range slices.Chunk(ask, classPage) {
		ids := make([]string, len(some))
		for i, c := range some {
			ids[i] = c.Event
		}
		classes, err := b.Changes.Classes(ctx, ids)
		if err != nil {
			return page{}, err
		}
		for _, c := range some {
			if class, there := classes[c.Event]; there {
				p.told[c.Event] = classSeen{c.Version, class, now}
			}
		}
	}
	for event, seen := range p.told {
		s.changed[event] = seen.class
		t, there := s.news[event]
		if !there {
			t, there = b.told[event]
		}
		if there { // the next change of class is one from this
			t.class = seen.class
			s.news[event] = t
		}
	}
	return p, nil
}

// note keeps a class that was read for the round.
func (r *round) note(event string, seen classSeen) {
	if r.classes == nil {
		r.classes = map[string]classSeen{}
	}
	r.classes[event] = seen
}

// turn moves the round on by a page that was told.
func (b *Beater) turn(p *page, now time.Time) {
	r := &b.round
	if p.told == nil {
		return
	}
	if p.first {
		r.began, r.due, r.met = p.began, now.Add(RoundPeriod), map[string]classSeen{}
	}
	maps.Copy(r.met, p.told)
	r.after = p.next
	if p.last { // an event that the round did not meet is live no more
		r.whole, r.began, r.classes, r.met = r.began, 0, r.met, nil
	}
}
