package search

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"guichet/cell/client"
	"guichet/control-plane/topology"
)

// Beats go out on a fixed period, with news or without; a period is far shorter
// than HintTrust, so one lost beat makes nobody doubt.
const (
	BeatPeriod = time.Second
	// beatOverlap is looked at again with every beat: a transaction that was open
	// while we read shows its change only after its commit. It is longer than any
	// session may hold a transaction open.
	beatOverlap = 20 * time.Second
	beatPage    = 1000 // changes of one read
)

// StockChange says that an event's stock, or its description, changed.
type StockChange struct {
	Event string
	At    time.Time // of its last change, the database's clock
}

// Changes is what a Beater asks its own cell's database.
type Changes interface {
	// StockChanges lists published events whose last change was at or after since,
	// oldest first, and says what time the database has.
	StockChanges(ctx context.Context, since time.Time, limit int) (changes []StockChange, now time.Time, err error)
	// ClassOf is what the public should see of an event now.
	ClassOf(ctx context.Context, event string) (client.Availability, error)
}

// Beater tells the town which of this cell's events are available, few or none.
// Beats are hints: they may be lost, and every one says that the rest still holds.
type Beater struct {
	Cell    topology.CellID
	Changes Changes
	Send    func(ctx context.Context, payload []byte) error
	Now     func() time.Time

	cursor time.Time       // changes before it were all told
	told   map[string]told // of events that changed at or after cursor
}

// told is what was said of an event, and about which change.
type told struct {
	at    time.Time
	class client.Availability
}

// Beat sends one beat. After a failure the next one says the same again. Only
// what changed since it was told is looked at closely, so a quiet cell's beat
// costs one read of nothing.
func (b *Beater) Beat(ctx context.Context) error {
	asOf := b.Now()
	news, changed, next, err := b.look(ctx)
	if err != nil {
		return fmt.Errorf("read changes of stock: %w", err)
	}
	payload, err := json.Marshal(Beat{Cell: b.Cell, AsOf: asOf, Changed: changed})
	if err != nil {
		return fmt.Errorf("write beat: %w", err)
	}
	if err := b.Send(ctx, payload); err != nil {
		return fmt.Errorf("send beat: %w", err)
	}
	b.remember(news, next)
	return nil
}

// look reads, page by page, what changed since the cursor: what is to be
// remembered, what is to be told, and where the next beat begins.
func (b *Beater) look(ctx context.Context) (news map[string]told, changed map[string]client.Availability, next time.Time, err error) {
	news, changed = map[string]told{}, map[string]client.Availability{}
	for since, full := b.cursor, true; full; {
		from := since
		page, now, err := b.Changes.StockChanges(ctx, from, beatPage)
		if err != nil {
			return nil, nil, next, err
		}
		for _, c := range page {
			since = c.At
			last, known := b.told[c.Event]
			if _, seen := news[c.Event]; seen || known && last.at.Equal(c.At) {
				continue
			}
			class, err := b.Changes.ClassOf(ctx, c.Event)
			if err != nil {
				return nil, nil, next, err
			}
			news[c.Event] = told{at: c.At, class: class}
			if !known || last.class != class {
				changed[c.Event] = class
			}
		}
		next = now.Add(-beatOverlap)
		full = len(page) == beatPage && since.After(from)   // a page of one instant leads nowhere
		if full && len(changed) >= maxBeatEvents-beatPage { // the rest with the next beat
			return news, changed, since, nil
		}
	}
	return news, changed, next, nil
}

// remember moves the cursor on and forgets what lies before it.
func (b *Beater) remember(news map[string]told, next time.Time) {
	if b.told == nil {
		b.told = map[string]told{}
	}
	maps.Copy(b.told, news)
	if next.After(b.cursor) {
		b.cursor = next
	}
	for event, t := range b.told {
		if t.at.Before(b.cursor) {
			delete(b.told, event)
		}
	}
}

// Run beats until ctx ends; report is told of each failure.
func (b *Beater) Run(ctx context.Context, report func(error)) {
	tick := time.NewTicker(BeatPeriod)
	defer tick.Stop()
	for {
		if err := b.Beat(ctx); err != nil && ctx.Err() == nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
