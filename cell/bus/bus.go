// Package bus is what the rooms of a cell say to the bus and hear from it:
// subjects, envelopes, limits and the ports behind which the outbox and the
// parking lot live. It carries no connection (cell/leaf does) and no SQL
// (cell/store does). Facts travel here, decisions do not.
package bus

import (
	"context"
	"hash/fnv"
	"time"

	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// Limits of everything that goes on the bus.
const (
	Buckets    = 16        // counter rows of the outbox; rows of one key share a bucket, so they keep their order
	MaxPayload = 512 << 10 // bytes of one message
	MaxSubject = 200       // bytes of one subject
	MaxKey     = 200       // bytes of the key that picks the bucket
	MaxAtOnce  = 4096      // messages of one Publish
)

// ErrUnfit is returned for a message that the bus could never carry.
var ErrUnfit = kind.Internal.New("message_unfit")

// Outgoing is a fact on its way into the outbox. Messages with the same Key
// reach every consumer's stream in the order of their transactions.
type Outgoing struct {
	Key     string // usually the event's id
	Subject string // from Catalog: it names the publishing cell
	Payload []byte
}

// Check reports why cell cannot publish m. It runs before the outbox row is
// written, so that the relay never meets a row it cannot send.
func (m Outgoing) Check(cell topology.CellID) error {
	switch {
	case m.Key == "" || len(m.Key) > MaxKey:
		return ErrUnfit.With("key %.40q is empty or longer than %d bytes", m.Key, MaxKey)
	case len(m.Payload) > MaxPayload:
		return ErrUnfit.With("payload of %s has %d bytes, the limit is %d", m.Subject, len(m.Payload), MaxPayload)
	case len(m.Subject) > MaxSubject || !literal(m.Subject):
		return ErrUnfit.With("subject %.60q is not a literal subject of at most %d bytes", m.Subject, MaxSubject)
	case !Owns(cell, m.Subject):
		return ErrUnfit.With("subject %.60q is not %s's to publish on", m.Subject, cell)
	}
	return nil
}

// BucketOf is the bucket of a key.
func BucketOf(key string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % Buckets)
}

// Record is an outbox row.
type Record struct {
	Bucket    int
	Seq       int64
	MessageID string // "<cell>-<bucket>-<seq>": unique in the whole town
	Subject   string
	Payload   []byte
}

// Span is a bucket with rows that were not relayed yet: After < seq <= Last.
type Span struct {
	Bucket      int
	After, Last int64
}

// Outbox is the relay's view of the outbox in SQL.
type Outbox interface {
	// Moved answers the buckets whose counter is ahead of the relay's cursor.
	Moved(ctx context.Context) ([]Span, error)
	// Read answers at most limit rows of a bucket behind after, in seq order.
	Read(ctx context.Context, bucket int, after int64, limit int) ([]Record, error)
	// Advance moves a bucket's cursor from one seq to another; it does nothing
	// when the cursor is not at from any more (a peer, or a rewind, moved it).
	Advance(ctx context.Context, bucket int, from, to int64) error
}

// Message is a fact as a consumer gets it, at least once.
type Message struct {
	ID       string          // what Inbox remembers
	Subject  string          //
	Cell     topology.CellID // who published it, from the subject; "" if it names none
	Payload  []byte          //
	At       time.Time       // when the stream at hand stored it
	Delivery int             // 1 at the first attempt
}

// Parked is a message that its consumer failed on too often.
type Parked struct {
	Consumer string
	Message  Message
	Reason   string
}

// Parking keeps poison messages for people to look at. Park is idempotent.
type Parking interface {
	Park(ctx context.Context, p Parked) error
}
