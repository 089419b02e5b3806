package converge

import (
	"context"
	"fmt"
	"sync"
	"time"

	"guichet/cell/search"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// Bounds of what one call answers.
const (
	EntriesLimit   = 1000 // of one page
	DocumentsLimit = 50   // of one call
	maxBuckets     = 1 << 16
	walkPage       = 2000
	// digestTrust is how long a digest is answered again: it costs a walk over all events.
	digestTrust = 20 * time.Second
)

// Errors of a home.
var (
	ErrBucket = kind.Invalid.New("invalid_bucket")
	ErrBusy   = kind.Busy.New("busy")
)

// Own is the record of the events at home in this cell.
type Own interface {
	// Entries lists published events by id, behind after; of one bucket, or with "" of
	// all. It reads at most limit events, whatever they are, and answers with what id to
	// go on; "" at the end. Events that were over long ago are left out (store.CatalogueRetention).
	Entries(ctx context.Context, bucket, after string, limit int) (entries []Entry, next string, err error)
	// PublishedDocuments makes the documents of these events; those that are not
	// published are left out.
	PublishedDocuments(ctx context.Context, events []string) ([]search.Document, error)
}

// Home says what is at home in this cell. It never does more than one thing at a time
// that costs much, so that it takes at most one core from the sale, whoever asks.
type Home struct {
	Cell topology.CellID
	Own  Own
	Now  func() time.Time

	mu   sync.Mutex
	turn chan struct{}
	last Digest // replaced, never changed
	at   time.Time
}

// take waits for this caller's turn.
func (h *Home) take(ctx context.Context) (done func(), err error) {
	h.mu.Lock()
	if h.turn == nil {
		h.turn = make(chan struct{}, 1)
	}
	turn := h.turn
	h.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ErrBusy.With("others are being answered").After(5 * time.Second)
	}
}

// Digest implements Peer; it may be digestTrust old.
func (h *Home) Digest(ctx context.Context) (Digest, error) {
	done, err := h.take(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if now := h.Now(); h.last != nil && now.Sub(h.at) < digestTrust {
		return h.last, nil
	}
	began, d := h.Now(), Digest{}
	for after, more := "", true; more; more = after != "" {
		var entries []Entry
		if entries, after, err = h.Own.Entries(ctx, "", after, walkPage); err != nil {
			return nil, fmt.Errorf("walk over the events at home: %w", err)
		}
		for _, e := range entries {
			d.Add(e)
		}
	}
	h.last, h.at = d, began
	return d, nil
}

// Entries implements Peer.
func (h *Home) Entries(ctx context.Context, bucket, after string) ([]Entry, string, error) {
	if _, _, ok := Bounds(bucket); !ok {
		return nil, "", ErrBucket.With("%.40q is not a bucket", bucket)
	}
	return h.Own.Entries(ctx, bucket, after, EntriesLimit)
}

// Documents implements Peer.
func (h *Home) Documents(ctx context.Context, events []string) ([]search.Document, error) {
	if len(events) == 0 || len(events) > DocumentsLimit {
		return nil, ErrBucket.With("ask for 1 to %d events, not %d", DocumentsLimit, len(events))
	}
	for _, event := range events {
		if BucketOf(event) == "" {
			return nil, ErrBucket.With("%.60q is not an event's id", event)
		}
	}
	done, err := h.take(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return h.Own.PublishedDocuments(ctx, events)
}
