package booking

import (
	"context"
	"time"

	"guichet/cell/id"
	"guichet/internal/txn"
)

// Store keeps what booking decides. A call that is given a
// transaction is a part of it. Rows are locked before the functions given are called;
// those may run again and must not be seen from outside.
type Store interface {
	SeriesStore

	InsertOrganizer(ctx context.Context, tx txn.Tx, o Organizer) error
	Organizer(ctx context.Context, org id.Organizer) (Organizer, error)

	// InsertEvent stores a new event and, when it is published, announces it.
	InsertEvent(ctx context.Context, tx txn.Tx, e Event) error
	// Event reads an event with its types, quotas and counters.
	Event(ctx context.Context, tx txn.Tx, event id.Event) (Event, error)
	// ChangeEvent locks the event, lets change decide, stores the description and
	// announces it; the version grows by one.
	ChangeEvent(ctx context.Context, tx txn.Tx, event id.Event, change func(e *Event, now time.Time) error) (Event, error)

	// WithStock locks the event's stock, lets decide change it and writes what
	// changed, in one transaction. The named holds and holds that are due are loaded.
	WithStock(ctx context.Context, tx txn.Tx, event id.Event, ttl time.Duration, holds []id.Hold, decide func(s *Stock) error) error
	// WithAside is WithStock for staff: the named allocations are loaded too. What
	// decide answers is for whom it made a hold, nil for nobody.
	WithAside(ctx context.Context, tx txn.Tx, event id.Event, ttl time.Duration, allocations []id.Allocation, decide func(s *Stock) (*Named, error)) error
	// Allocations lists an event's allocations behind after, in the order of their ids.
	Allocations(ctx context.Context, event id.Event, after string, limit int) ([]Allocation, error)
	Allocation(ctx context.Context, tx txn.Tx, event id.Event, allocation id.Allocation) (Allocation, error)
	// NamedHolds lists the holds made from an allocation, newest first.
	NamedHolds(ctx context.Context, allocation id.Allocation, limit int) ([]NamedHold, error)
	Hold(ctx context.Context, hold id.Hold) (Hold, error)
	// HoldSecret is the secret of an event's that its keyed holds' ids are made with.
	HoldSecret(ctx context.Context, event id.Event) ([]byte, error)

	// PutCode locks the event, lets decide say what a code shall be and stores it;
	// before is nil for a new one.
	PutCode(ctx context.Context, tx txn.Tx, event id.Event, code string, decide func(e *Event, before *Code) (Code, error)) (Code, error)
	// Code reads a code, ErrAccessCode when there is none.
	Code(ctx context.Context, tx txn.Tx, event id.Event, code string) (Code, error)
	// Codes lists an event's codes behind one, in the order of the alphabet.
	Codes(ctx context.Context, event id.Event, after string, limit int) ([]Code, error)
	// EventsWithDueHolds lists events that have holds past their expiry.
	EventsWithDueHolds(ctx context.Context, limit int) ([]id.Event, error)
}

// SeriesStore keeps series. Every batch is one transaction behind the lock of the
// series' row, so that any process of the cell can go on where another stopped.
type SeriesStore interface {
	// OpenSeries stores a new series under its organizer's key. When the key was
	// used before it answers the series that was made then, and fresh is false.
	OpenSeries(ctx context.Context, s Series, key Key) (stored Series, fresh bool, err error)
	// MakeOccurrences lets plan give the next events of the series, stores and
	// announces them. It answers the series as it is then.
	MakeOccurrences(ctx context.Context, series id.Series, plan func(s *Series) ([]Event, error)) (Series, error)
	// StartPublishing lets publishing begin at the first occurrence.
	StartPublishing(ctx context.Context, series id.Series, may func(s *Series) error) (Series, error)
	// PublishOccurrences lets publish decide on the next drafts of the series, stores and announces them.
	PublishOccurrences(ctx context.Context, series id.Series, publish func(e *Event, now time.Time)) (Series, error)
	Series(ctx context.Context, series id.Series) (Series, error)
	// UnfinishedSeries lists series that are making or publishing, oldest first.
	UnfinishedSeries(ctx context.Context, limit int) ([]id.Series, error)
	// Occurrences lists a series' events behind a place and before a time, in order of start and id.
	Occurrences(ctx context.Context, series id.Series, after Place, before time.Time, drafts bool, limit int) ([]Event, error)
}

// Organizer is an account that sells.
type Organizer struct {
	ID         id.Organizer
	Name       string
	HomeRegion string
}
