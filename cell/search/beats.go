package search

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"guichet/cell/client"
	"guichet/control-plane/topology"
)

// A beat goes out on a fixed period, with news or without; a period is far
// shorter than HintTrust, so one lost beat makes nobody doubt. News does not wait
// for it: whatever changed since the last look goes out together, so that the town
// hears of an event at most four times a second, and only when its class changed.
const (
	BeatPeriod = time.Second
	LookPeriod = 250 * time.Millisecond
	// StampGrain is how much older than its last change the time may be that is kept of
	// an event's.
	StampGrain = time.Second
	// lookOverlap is looked at again with every look; what commits later than that
	// is found with the next beat.
	lookOverlap = LookPeriod + StampGrain
	// beatOverlap is looked at again with every beat: a transaction that was open
	// while we read shows its change only after its commit. It is longer than any
	// session may hold a transaction open.
	beatOverlap = 20*time.Second + StampGrain
	beatPage    = 1000 // changes of one read
	classPage   = 100  // events whose classes are asked for at once
	// beatChanges bounds the changes of one beat: with a round's page it stays below what
	// the hub lets through (bus.MaxPayload), at some 40 bytes an event.
	beatChanges = 8000
)

// StockChange says that an event's stock, or its description, changed.
type StockChange struct {
	Event   string
	At      time.Time // of its last change, the database's clock; up to StampGrain too early
	Version int64     // every change has its own
}

// Changes is what a Beater asks its own cell's database.
type Changes interface {
	// StockChanges lists published events whose At is at or after since, the oldest first,
	// and says what time the database has.
	StockChanges(ctx context.Context, since time.Time, limit int) (changes []StockChange, now time.Time, err error)
	// Live lists, in order of their ids, the published events behind after that are not
	// over, each with the version of its last change. It reads at most limit events, whatever they are, and answers with what id
	// to go on; "" at the end.
	Live(ctx context.Context, after string, limit int) (events []StockChange, next string, err error)
	// Classes is what the public should see of these events now, at most
	// classPage of them; one that is not there any more is left out.
	Classes(ctx context.Context, events []string) (map[string]client.Availability, error)
}

// Beater tells the town which of this cell's events are available, few or none.
// Beats are hints: they may be lost, and every one says that the rest still holds.
// They are numbered, and a round tells everything again on a fixed period, so that
// whoever missed one knows it, and knows again after the next round (P9).
type Beater struct {
	Cell    topology.CellID
	Changes Changes
	Send    func(ctx context.Context, payload []byte) error
	Now     func() time.Time

	cursor time.Time       // changes before it were all told
	seen   time.Time       // changes before it were all looked at, but for late commits
	told   map[string]told // of events that changed at or after cursor
	sent   time.Time       // of the last beat, our clock

	run   string // this publisher, from its start to its end
	seq   int64  // of the last beat that was sent, or tried
	round round
}

// told is what was said of an event, and about which change.
type told struct {
	at      time.Time
	version int64
	class   client.Availability
}

// Beat sends one beat. After a failure the next one says the same again. Only
// what changed since it was told is looked at closely, so a quiet cell's beat
// costs one read of nothing.
func (b *Beater) Beat(ctx context.Context) error {
	if b.cursor.IsZero() { // what changed before is told by the first round
		_, now, err := b.Changes.StockChanges(ctx, never, 1)
		if err != nil {
			return fmt.Errorf("read the database's clock: %w", err)
		}
		b.cursor = now.Add(-beatOverlap)
	}
	return b.beat(ctx, b.cursor, true)
}

// Look sends a beat when there is news, or when the last one is a period ago.
func (b *Beater) Look(ctx context.Context) error {
	if b.Now().Sub(b.sent) >= BeatPeriod {
		return b.Beat(ctx)
	}
	since := b.seen.Add(-lookOverlap)
	if since.Before(b.cursor) {
		since = b.cursor
	}
	return b.beat(ctx, since, false)
}

// beat tells what changed since then; whole says that it all did and that the
// beat goes out even when nothing did.
func (b *Beater) beat(ctx context.Context, since time.Time, whole bool) error {
	asOf := b.Now()
	seen, err := b.look(ctx, since)
	if err != nil {
		return fmt.Errorf("read changes of stock: %w", err)
	}
	if !whole && len(seen.changed) == 0 {
		b.remember(seen, b.cursor)
		return nil
	}
	var part page
	if whole {
		if part, err = b.roundPage(ctx, asOf, &seen); err != nil {
			return fmt.Errorf("read a page of the round: %w", err)
		}
	}
	if err := b.tell(ctx, asOf, seen.changed, &part); err != nil {
		return err
	}
	next := b.cursor
	if b.sent = asOf; whole {
		next = seen.next
		b.turn(&part, asOf)
	}
	b.remember(seen, next)
	return nil
}

// tell sends one beat. A number is used once: a beat whose sending failed may have
// arrived all the same, and one with the same number and other news would be taken
// for it. Whoever missed it waits for a round, so the next one begins at once.
func (b *Beater) tell(ctx context.Context, asOf time.Time, changed map[string]client.Availability, part *page) error {
	if b.run == "" {
		b.run = rand.Text()
	}
	b.seq++
	if part.first {
		part.began = b.seq
	}
	said := Beat{Cell: b.Cell, AsOf: asOf, Changed: changed, Run: b.run, Seq: b.seq, Whole: b.round.whole}
	if part.last {
		said.Whole = part.began
	}
	payload, err := json.Marshal(said)
	if err == nil {
		err = b.Send(ctx, payload)
	}
	if err != nil {
		b.round.restart()
		return fmt.Errorf("send beat: %w", err)
	}
	return nil
}

// sight is what a look at the changes showed.
type sight struct {
	news    map[string]told // is to be remembered
	changed map[string]client.Availability
	now     time.Time // the database's, when all that is in sight was read
	next    time.Time // where the next beat begins
}

// look reads, page by page, what changed since then.
func (b *Beater) look(ctx context.Context, since time.Time) (sight, error) {
	s := sight{news: map[string]told{}, changed: map[string]client.Availability{}}
	for full := true; full; {
		from := since
		page, now, err := b.Changes.StockChanges(ctx, from, beatPage)
		if err != nil {
			return s, err
		}
		if len(page) > 0 {
			since = page[len(page)-1].At
		}
		for some := range slices.Chunk(b.unknown(page, s.news), classPage) {
			if err := b.judge(ctx, some, &s); err != nil {
				return s, err
			}
		}
		s.now, s.next = now, now.Add(-beatOverlap)
		full = len(page) == beatPage && since.After(from)   // a page of one instant leads nowhere
		if full && len(s.changed) >= beatChanges-beatPage { // the rest with the next beat
			s.now, s.next = since, since
			return s, nil
		}
	}
	return s, nil
}

// unknown are the changes of a page that were neither told nor seen in this look.
func (b *Beater) unknown(page []StockChange, news map[string]told) []StockChange {
	return slices.DeleteFunc(page, func(c StockChange) bool {
		last, known := b.told[c.Event]
		_, seen := news[c.Event]
		return seen || known && last.version == c.Version
	})
}

// judge asks for the classes of events that changed.
func (b *Beater) judge(ctx context.Context, some []StockChange, s *sight) error {
	events := make([]string, len(some))
	for i, c := range some {
		events[i] = c.Event
	}
	classes, err := b.Changes.Classes(ctx, events)
	if err != nil {
		return err
	}
	for _, c := range some {
		class, there := classes[c.Event]
		if !there {
			continue
		}
		s.news[c.Event] = told{at: c.At, version: c.Version, class: class}
		b.round.note(c.Event, classSeen{c.Version, class, b.Now()})
		if last, known := b.told[c.Event]; !known || last.class != class {
			s.changed[c.Event] = class
		}
	}
	return nil
}

// remember moves the cursor on and forgets what lies before it.
func (b *Beater) remember(s sight, next time.Time) {
	if b.told == nil {
		b.told = map[string]told{}
	}
	maps.Copy(b.told, s.news)
	if s.now.After(b.seen) {
		b.seen = s.now
	}
	if next.After(b.cursor) {
		b.cursor = next
	}
	for event, t := range b.told {
		if t.at.Before(b.cursor) {
			delete(b.told, event)
		}
	}
}

// Run looks and beats until ctx ends; report is told of each failure. The pause
// comes after the look: a slow one is not made up for.
func (b *Beater) Run(ctx context.Context, report func(error)) {
	pause := time.NewTimer(LookPeriod)
	defer pause.Stop()
	for {
		if err := b.Look(ctx); err != nil && ctx.Err() == nil {
			report(err)
		}
		pause.Reset(LookPeriod)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}
