package search

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"guichet/internal/kind"
)

// Bounds of the indexer.
const (
	indexPeriod    = 500 * time.Millisecond // without a wake-up
	indexStepLimit = time.Minute            // one batch: read, analyze, fsync
	maxIndexFaults = 5                      // in a row, before the index is built anew
)

// ErrNotCaughtUp is why searches must wait: the index lacks documents.
var ErrNotCaughtUp = kind.Unavailable.New("index_not_caught_up")

// Indexer keeps one process's index in step with the cell's catalogue. Any
// number of processes may do so on the same database: each keeps its own mark.
type Indexer struct {
	catalog Catalog
	index   Index
	report  func(error)
	wake    chan struct{}
	caught  chan struct{} // closed when first caught up

	ready   atomic.Bool
	head    atomic.Int64
	done    atomic.Int64
	applied atomic.Int64
	rebuilt atomic.Int64
	faults  atomic.Int64
}

// IndexerStats are counters for metrics.
type IndexerStats struct {
	Ready    bool  // was caught up at least once
	Lag      int64 // changes of the catalogue that the index lacks
	Applied  int64 // documents applied since the start
	Rebuilds int64 // times the index was built anew while running
	Faults   int64 // steps that failed
}

// NewIndexer makes an indexer; report is told of each step that failed (it will
// be tried again) and may be nil.
func NewIndexer(catalog Catalog, index Index, report func(error)) *Indexer {
	if report == nil {
		report = func(error) {}
	}
	return &Indexer{catalog: catalog, index: index, report: report, wake: make(chan struct{}, 1), caught: make(chan struct{})}
}

// Wake says that the catalogue may have changed. It never blocks.
func (x *Indexer) Wake() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// Ready is nil once the index has caught up with the catalogue, for good: a
// little lag later on is normal and shows in Stats.
func (x *Indexer) Ready(context.Context) error {
	if x.ready.Load() {
		return nil
	}
	return ErrNotCaughtUp.With("%d of %d changes are indexed", x.done.Load(), x.head.Load())
}

// CaughtUp is closed when the index has caught up for the first time.
func (x *Indexer) CaughtUp() <-chan struct{} { return x.caught }

// Stats answers the counters.
func (x *Indexer) Stats() IndexerStats {
	return IndexerStats{
		Ready: x.ready.Load(), Lag: max(0, x.head.Load()-x.done.Load()), Applied: x.applied.Load(),
		Rebuilds: x.rebuilt.Load(), Faults: x.faults.Load(),
	}
}

// Run follows the catalogue until ctx ends. Faults are reported and tried again.
func (x *Indexer) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	row := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-x.wake:
		case <-timer.C:
		}
		err := x.CatchUp(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var broken *indexError
		switch {
		case err == nil:
			row = 0
		case errors.As(err, &broken):
			row++
			x.fault(err)
			if row >= maxIndexFaults {
				x.fault(x.Rebuild(ctx))
				row = 0
			}
		default:
			x.fault(err)
		}
		timer.Reset(indexPeriod)
	}
}

func (x *Indexer) fault(err error) {
	if err != nil {
		x.faults.Add(1)
		x.report(err)
	}
}

// indexError tells the index's own faults from the database's.
type indexError struct{ err error }

func (f *indexError) Error() string { return f.err.Error() }
func (f *indexError) Unwrap() error { return f.err }

// CatchUp applies what the catalogue has and the index lacks.
func (x *Indexer) CatchUp(ctx context.Context) error {
	head, err := x.catalog.CatalogHead(ctx)
	if err != nil {
		return fmt.Errorf("read catalogue's head: %w", err)
	}
	mark, err := x.index.Mark()
	if err != nil {
		return &indexError{fmt.Errorf("read index's mark: %w", err)}
	}
	x.head.Store(head.Seq)
	if mark != (Mark{}) && (mark.Source != head.Source || mark.Seq > head.Seq) {
		return x.Rebuild(ctx) // another catalogue, or one restored from a backup
	}
	// Seqs that were raised in vain leave gaps, so what was read counts, not the mark.
	if mark.Seq < head.Seq && x.done.Load() < head.Seq {
		if err := x.follow(ctx, mark.Seq, head, x.index.Apply); err != nil {
			return err
		}
	}
	x.settle(head.Seq)
	return nil
}

// Rebuild fills a new index from the catalogue while the old one still answers.
func (x *Indexer) Rebuild(ctx context.Context) error {
	var head Mark
	err := x.index.Rebuild(ctx, func(apply func(context.Context, []Document, Mark) error) error {
		var err error
		if head, err = x.catalog.CatalogHead(ctx); err != nil {
			return fmt.Errorf("read catalogue's head: %w", err)
		}
		return x.follow(ctx, 0, head, apply)
	})
	if err != nil {
		return fmt.Errorf("rebuild index: %w", err)
	}
	x.rebuilt.Add(1)
	x.head.Store(head.Seq)
	x.settle(head.Seq)
	return nil
}

// follow applies the documents after seq, batch by batch, up to head at least.
func (x *Indexer) follow(ctx context.Context, seq int64, head Mark, apply func(context.Context, []Document, Mark) error) error {
	for {
		ctx, cancel := context.WithTimeout(ctx, indexStepLimit)
		docs, last, err := x.catalog.DocumentsAfter(ctx, seq, MaxBatch)
		if err == nil && len(docs) > 0 {
			if aerr := apply(ctx, docs, Mark{Source: head.Source, Seq: last}); aerr != nil {
				err = &indexError{fmt.Errorf("apply %d documents: %w", len(docs), aerr)}
			}
		}
		cancel()
		if err != nil {
			return err
		}
		x.applied.Add(int64(len(docs)))
		if len(docs) < MaxBatch {
			return nil
		}
		seq = last
		x.done.Store(seq)
	}
}

func (x *Indexer) settle(seq int64) {
	x.done.Store(seq)
	if x.ready.CompareAndSwap(false, true) {
		close(x.caught)
	}
}
