package booking

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"sync"
	"time"

	"guichet/cell/id"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

// ErrKeyReused refuses an idempotency key that stood for something else before.
var ErrKeyReused = kind.Unprocessable.New("idempotency_key_reused")

// Key is an operation's idempotency key. The effect and its first answer are
// stored together, in the transaction of the batch (P5).
type Key struct {
	Scope, Key  string
	Fingerprint string // of what was asked
}

// orOwn is the key, or one of its own for what has none and must not be done twice.
func (k *Key) orOwn(scope string) *Key {
	if k != nil {
		return k
	}
	return &Key{Scope: scope, Key: rand.Text()}
}

// hold is the id of the hold that is made under the key: always the same, and
// nobody's to guess who does not know the event's secret.
func (k *Key) hold(of id.Event, by *keyDigests) id.Hold {
	d, _ := by.pool.Get().(*keyDigest)
	defer by.pool.Put(d)
	d.mac.Reset()
	d.about = append(append(append(d.about[:0], k.Scope...), '\n'), k.Key...)
	_, _ = d.mac.Write(d.about)
	return id.HoldFrom(of, d.mac.Sum(d.about[:0]))
}

// keyDigests are digests with an event's secret in them, to be used again: working
// it in costs as much as the rest.
type keyDigests struct{ pool sync.Pool }

type keyDigest struct {
	mac   hash.Hash
	about []byte
}

func digestsWith(secret []byte) *keyDigests {
	return &keyDigests{sync.Pool{New: func() any { return &keyDigest{mac: hmac.New(sha256.New, secret)} }}}
}

// Mark is a digest of a request, as it is stored.
type Mark [16]byte

// asked stands for what was asked under the key.
func (k *Key) asked() Mark {
	sum := sha256.Sum256([]byte(k.Fingerprint))
	return Mark(sum[:len(Mark{})])
}

// Op is one request about an event's stock.
type Op struct {
	// Key is nil for what may simply be done again: the desk does so when the answer of a
	// commit was lost.
	Key *Key
	// Holds are loaded, with their items, before Decide is called.
	Holds []id.Hold
	// New says that Decide makes the hold that Holds names, unless it is there. Mostly it
	// is not, so a batch need not look for it until Decide refuses or the row is found to
	// be taken; a refusal stands only after a look.
	New bool
	// Asked is loaded before Decide is called.
	Asked Asked
	// Lines and Seats say which seats are loaded, where the event has any: those that
	// are named, and enough of the best for lines that name none.
	Lines []Line
	Seats []SeatID
	// Decide changes the stock in memory, or refuses and leaves it as it was. It is
	// called again with a fresh stock when a transaction did not commit.
	Decide func(s *Stock) error
	// Render says what Decide agreed to; it is stored under Key.
	Render func() (status int, body []byte, err error)

	// Turn, in place of Decide, runs in the batch's transaction, which it hands to the
	// store's calls: for what writes more than stock. It runs beside the batch's other turns; of
	// the same Subject, one after the other. Its error is Err.
	// Decided alone, it is given txn.None and begins one of its own.
	Turn    func(ctx context.Context, tx txn.Tx) error
	Subject string
	// Apart is set by the Batcher: Turn refused after it had changed something, so the
	// batch was decided without it. The desk decides it alone.
	Apart bool

	// Err, or the answer; Replayed says that it was given before.
	Err      error
	Status   int
	Body     []byte
	Replayed bool

	lost    error                                      // a commit of it that was not answered
	ownTurn func(ctx context.Context, tx txn.Tx) error // a transaction of its own: see Desks.Turn
	ctx     context.Context                            //nolint:containedctx // an op is a request's place in the queue
	at      time.Time
	done    chan struct{}
}

// LooksAgain says that what was said of a new hold shows that such holds may be there.
func (o *Op) LooksAgain() bool { return o.New && (o.Err != nil || o.Replayed) }

// isTurn says that the op may lock more than its event's rows: it stands in no batch
// of several events.
func (o *Op) isTurn() bool { return o.ownTurn != nil || o.Turn != nil }

// Context is the request's own.
func (o *Op) Context() context.Context { return o.ctx }

// Answered is a first answer that is stored, or about to be.
type Answered struct {
	Fingerprint string
	Status      int
	Body        []byte
}

// Settle decides an op on the stock at hand. before is its key's first answer,
// from the store or from earlier in the batch, nil when there is none. It says
// whether there is a new first answer to store.
func (o *Op) Settle(s *Stock, before *Answered) (fresh bool) {
	o.Err, o.Replayed = nil, false
	if before != nil {
		if before.Fingerprint != o.Key.Fingerprint {
			o.Err = ErrKeyReused.With("this Idempotency-Key was used with another body")
			return false
		}
		o.Status, o.Body, o.Replayed = before.Status, before.Body, true
		return false
	}
	if o.Err = o.Decide(s); o.Err != nil || o.Render == nil {
		return false
	}
	if o.Status, o.Body, o.Err = o.Render(); o.Err != nil {
		return false
	}
	return o.Key != nil
}
