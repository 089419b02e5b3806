package search

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"guichet/cell/client"
	"guichet/control-plane/topology"
)

// Beats go out on a fixed period, with news or without; a period is far shorter
// than HintTrust, so one lost beat makes nobody doubt.
const (
	BeatPeriod = time.Second
	// beatOverlap is re-read with every beat: a transaction that was open while we
	// read shows its change only after its commit. It is longer than any session
	// may hold a transaction open.
	beatOverlap = 20 * time.Second
	beatLimit   = 500 // events of one beat; the next one goes on from there
)

// ClassChange is the availability of an event whose stock changed.
type ClassChange struct {
	Event string
	Class client.Availability
	At    time.Time // of the change, the database's clock
}

// Changes lists published events whose stock changed at or after since, oldest
// change first, with their availability now.
type Changes interface {
	ClassChanges(ctx context.Context, since time.Time, limit int) ([]ClassChange, error)
}

// Beater tells the town which of this cell's events are available, few or none.
// Beats are hints: they may be lost, and every one says that the rest still holds.
type Beater struct {
	Cell    topology.CellID
	Changes Changes
	Send    func(ctx context.Context, payload []byte) error
	Now     func() time.Time

	cursor time.Time              // changes before it were all told
	told   map[string]ClassChange // what was said about changes at or after cursor
}

// Beat sends one beat. After a failure the next one says the same again.
func (b *Beater) Beat(ctx context.Context) error {
	asOf := b.Now()
	changes, err := b.Changes.ClassChanges(ctx, b.cursor, beatLimit)
	if err != nil {
		return fmt.Errorf("read changes of stock: %w", err)
	}
	changed := map[string]client.Availability{}
	for _, c := range changes {
		if t, there := b.told[c.Event]; !there || t.Class != c.Class {
			changed[c.Event] = c.Class
		}
	}
	payload, err := json.Marshal(Beat{Cell: b.Cell, AsOf: asOf, Changed: changed})
	if err != nil {
		return fmt.Errorf("write beat: %w", err)
	}
	if err := b.Send(ctx, payload); err != nil {
		return fmt.Errorf("send beat: %w", err)
	}
	b.remember(changes)
	return nil
}

// remember moves the cursor up to the overlap behind the newest change, or to the
// last one read when there is more to read, and forgets what lies before it.
func (b *Beater) remember(changes []ClassChange) {
	if b.told == nil {
		b.told = map[string]ClassChange{}
	}
	for _, c := range changes {
		b.told[c.Event] = c
	}
	if len(changes) == 0 {
		return
	}
	last := changes[len(changes)-1].At
	next := last.Add(-beatOverlap)
	if len(changes) == beatLimit && !next.After(b.cursor) {
		next = last // a flood: go on where the page ended
	}
	if next.After(b.cursor) {
		b.cursor = next
	}
	for event, c := range b.told {
		if c.At.Before(b.cursor) {
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
