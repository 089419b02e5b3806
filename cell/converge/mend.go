package converge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"guichet/cell/search"
	"guichet/control-plane/topology"
)

// Bounds of a comparison.
const (
	// Period is from one comparison with a cell to the next.
	Period = time.Minute
	// firstTry is when to look again while the map is not known yet.
	firstTry  = time.Second
	passLimit = 10 * time.Minute // a whole catalogue of 100,000 events takes a third of it
	atOnce    = 4                // cells that are compared with at the same time
	// DocumentsRate is how many documents a second are fetched from one cell.
	DocumentsRate = 500
	maxEntries    = 100_000 // of one bucket
	// maxFailures is how many buckets may fail before the comparison ends.
	maxFailures = 10
)

// Peer is a cell that says what is at home there.
type Peer interface {
	Digest(ctx context.Context) (Digest, error)
	// Entries is a page of a bucket's published events behind after, and with what id
	// to go on; "" at the end.
	Entries(ctx context.Context, bucket, after string) (entries []Entry, next string, err error)
	// Documents are those of at most DocumentsLimit events; the ones that are not published are left out.
	Documents(ctx context.Context, events []string) ([]search.Document, error)
}

// Copy is this cell's copy of the town's catalogue.
type Copy interface {
	// Copied lists what the copy has of a cell's published events, by id, behind after;
	// of one bucket, or with "" of all. Fewer than limit are the last.
	Copied(ctx context.Context, home topology.CellID, bucket, after string, limit int) ([]Entry, error)
	// Mend puts the home's word in place of what was copied, and takes away what is not
	// published there any more. An entry of was that is not what the copy has now is left
	// alone: the bus brought something since. It answers how many documents changed.
	Mend(ctx context.Context, home topology.CellID, docs []search.Document, was map[string]int64, gone []Entry) (int, error)
}

// Outcome is what one comparison found and did.
type Outcome struct {
	Buckets int // that differed
	Put     int // documents that were missing or of another version
	Removed int // documents that the home does not publish any more
}

// Mender compares and mends.
type Mender struct {
	Copy Copy
	// Cells are those to compare with, this one too; none while the map is not known.
	Cells func() []topology.CellID
	Peer  func(cell topology.CellID) Peer
	// HomeOf says where an event is at home by the map.
	HomeOf func(event string) topology.CellID
	Wake   func()                                                  // tells the indexer; may be nil
	Watch  func(cell topology.CellID, o Outcome, failed error)     // of each comparison; may be nil
	Pause  func(ctx context.Context, d time.Duration)              // nil sleeps; a test need not
	Report func(cell topology.CellID, event string, refused error) // a document that is not taken; may be nil
}

// Run compares with every cell on a fixed period until ctx ends, at once first.
func (m *Mender) Run(ctx context.Context) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		cells := m.Cells()
		m.compareAll(ctx, cells)
		if wait.Reset(Period); len(cells) == 0 {
			wait.Reset(firstTry)
		}
	}
}

func (m *Mender) compareAll(ctx context.Context, cells []topology.CellID) {
	var busy sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, cell := range cells {
		slots <- struct{}{}
		busy.Go(func() {
			defer func() { <-slots }()
			bounded, cancel := context.WithTimeout(ctx, passLimit)
			defer cancel()
			o, err := m.Pass(bounded, cell)
			if m.Watch != nil && ctx.Err() == nil {
				m.Watch(cell, o, err)
			}
		})
	}
	busy.Wait()
}

// Pass compares the copy of one cell's catalogue with the cell and mends what differs.
// What was done before an error stays done.
func (m *Mender) Pass(ctx context.Context, cell topology.CellID) (o Outcome, err error) {
	peer := m.Peer(cell)
	theirs, err := peer.Digest(ctx)
	if err != nil {
		return o, fmt.Errorf("ask %s for its digest: %w", cell, err)
	}
	if len(theirs) > maxBuckets {
		return o, fmt.Errorf("%s tells of %d buckets", cell, len(theirs))
	}
	ours, err := m.digest(ctx, cell)
	if err != nil {
		return o, fmt.Errorf("sum up the copy of %s: %w", cell, err)
	}
	var failed []error
	for _, bucket := range slices.Sorted(slices.Values(ours.Differ(theirs))) {
		o.Buckets++
		if err := m.mendBucket(ctx, cell, peer, bucket, &o); err != nil {
			failed = append(failed, fmt.Errorf("mend %s of %s: %w", bucket, cell, err))
		}
		if ctx.Err() != nil || len(failed) == maxFailures { // not one event's fault
			break
		}
	}
	return o, errors.Join(failed...)
}

// digest sums up what the copy has of a cell.
func (m *Mender) digest(ctx context.Context, cell topology.CellID) (Digest, error) {
	d := Digest{}
	err := m.copied(ctx, cell, "", d.Add)
	return d, err
}

// copied walks over what the copy has.
func (m *Mender) copied(ctx context.Context, cell topology.CellID, bucket string, each func(Entry)) error {
	for after := ""; ; {
		page, err := m.Copy.Copied(ctx, cell, bucket, after, walkPage)
		if err != nil {
			return err
		}
		for _, e := range page {
			each(e)
		}
		if len(page) < walkPage {
			return nil
		}
		after = page[len(page)-1].Event
	}
}

// mendBucket lists the bucket on both sides. The copy is read first: what the home
// does not list afterwards was not published there any more.
func (m *Mender) mendBucket(ctx context.Context, cell topology.CellID, peer Peer, bucket string, o *Outcome) error {
	was := map[string]int64{}
	if err := m.copied(ctx, cell, bucket, func(e Entry) { was[e.Event] = e.Version }); err != nil {
		return err
	}
	listed := map[string]bool{}
	var want []string
	for after, more := "", true; more; more = after != "" {
		page, next, err := peer.Entries(ctx, bucket, after)
		if err != nil {
			return fmt.Errorf("ask for its entries: %w", err)
		}
		if after = next; len(listed)+len(page) > maxEntries {
			return fmt.Errorf("it lists more than %d entries", maxEntries)
		}
		for _, e := range page {
			if BucketOf(e.Event) != bucket || listed[e.Event] || m.HomeOf(e.Event) != cell {
				continue // not its to speak of, or the map is behind
			}
			if listed[e.Event] = true; was[e.Event] != e.Version {
				want = append(want, e.Event)
			}
		}
	}
	var gone []Entry
	for event, version := range was {
		if !listed[event] && m.HomeOf(event) == cell {
			gone = append(gone, Entry{event, version})
		}
	}
	if err := m.remove(ctx, cell, gone, o); err != nil {
		return err
	}
	for some := range slices.Chunk(want, DocumentsLimit) {
		if err := m.fetch(ctx, cell, peer, some, was, o); err != nil {
			return err
		}
		m.pause(ctx, time.Duration(len(some))*time.Second/DocumentsRate)
	}
	return nil
}

func (m *Mender) remove(ctx context.Context, cell topology.CellID, gone []Entry, o *Outcome) error {
	for some := range slices.Chunk(gone, search.MaxBatch) {
		n, err := m.Copy.Mend(ctx, cell, nil, nil, some)
		if err != nil {
			return fmt.Errorf("remove: %w", err)
		}
		o.Removed += n
		m.wake(n)
	}
	return nil
}

// fetch puts documents of these events. Each is looked at by itself: one that cannot
// be taken keeps no other away.
func (m *Mender) fetch(ctx context.Context, cell topology.CellID, peer Peer, events []string, was map[string]int64, o *Outcome) error {
	docs, err := peer.Documents(ctx, events)
	if err != nil {
		return fmt.Errorf("ask for documents: %w", err)
	}
	var good []search.Document
	for i := range docs {
		d := &docs[i]
		if err := m.acceptable(cell, events, d); err != nil {
			if m.Report != nil {
				m.Report(cell, d.ID(), err)
			}
			continue
		}
		good = append(good, *d)
	}
	n, err := m.Copy.Mend(ctx, cell, good, was, nil)
	if err != nil {
		return fmt.Errorf("put %d documents: %w", len(good), err)
	}
	o.Put += n
	m.wake(n)
	return nil
}

// acceptable says why a document is not taken from the cell.
func (m *Mender) acceptable(cell topology.CellID, asked []string, d *search.Document) error {
	if err := d.Validate(); err != nil {
		return err
	}
	if !slices.Contains(asked, d.ID()) || !d.Published || d.Event.Home.Cell != cell.String() {
		return search.ErrDocument.With("%s was not asked for, is not published, or names %.20q as its home", d.ID(), d.Event.Home.Cell)
	}
	return nil
}

func (m *Mender) wake(changed int) {
	if changed > 0 && m.Wake != nil {
		m.Wake()
	}
}

func (m *Mender) pause(ctx context.Context, d time.Duration) {
	if m.Pause != nil {
		m.Pause(ctx, d)
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
