package search

import (
	"context"
	"time"

	"guichet/cell/client"
	"guichet/control-plane/topology"
)

// MaxBatch bounds the documents of one Apply and one read from the catalogue.
const MaxBatch = 256

// Index finds documents. It can be lost at any time: the Indexer fills it again
// from the catalogue.
type Index interface {
	// Apply stores published documents, removes the others, and remembers the
	// mark, all or nothing: after a crash the mark and the documents agree. At
	// most MaxBatch documents, each event once.
	Apply(ctx context.Context, docs []Document, mark Mark) error
	// Mark is the last mark applied; zero for an empty index.
	Mark() (Mark, error)
	// Rebuild calls fill with an Apply for a new, empty index, and puts that in
	// the place of this one when fill succeeds. Searches go on in the old one.
	Rebuild(ctx context.Context, fill func(apply func(ctx context.Context, docs []Document, mark Mark) error) error) error
	Search(ctx context.Context, q Query) (Result, error)
	// Suggest completes what was typed with events that are not over at now.
	Suggest(ctx context.Context, text string, now time.Time) ([]client.Suggestion, error)
	Close() error
}

// Catalog is the cell's record of all published documents.
type Catalog interface {
	// PutDocuments stores the documents of one message, once. A version that is
	// not newer than the one at hand changes nothing.
	PutDocuments(ctx context.Context, consumer, messageID string, docs []Document) error
	// DocumentsAfter answers up to limit documents that changed after seq, in the
	// order of their last change, and the seq of the last one.
	DocumentsAfter(ctx context.Context, seq int64, limit int) ([]Document, int64, error)
	// CatalogHead is the mark of the newest change.
	CatalogHead(ctx context.Context) (Mark, error)
}

// Hint is what is known of an event's stock without asking its home.
type Hint struct {
	Cell  topology.CellID // who said so
	Class client.Availability
}

// Hints keeps what the cells' beats said.
type Hints interface {
	// PutBeat records a beat that was received at the given time, as Line.Hear says.
	PutBeat(ctx context.Context, b Beat, received time.Time) error
	// AvailabilityOf answers the hints of these events and, by cell, the time at
	// which each cell's hints were true; cells of whose beats one is missing are left out.
	AvailabilityOf(ctx context.Context, events []string) (map[string]Hint, map[topology.CellID]time.Time, error)
}
