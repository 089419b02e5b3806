// Package limit keeps strangers from asking too often: a token bucket for each key,
// and no more keys than memory was set aside for. It counts in this process only:
// a limit against abuse, not a promise to count exactly.
package limit

import (
	"container/list"
	"hash/maphash"
	"math"
	"sync"
	"time"
)

// Rate is how often a key may ask: Burst at once, and PerMinute in the long run.
// The zero Rate does not limit.
type Rate struct {
	PerMinute int
	Burst     int
}

// Buckets are the token buckets of one limit. It is safe for concurrent use; a nil
// one lets everybody through.
type Buckets struct {
	perSecond float64
	burst     float64
	keys      int
	seed      maphash.Seed

	mu    sync.Mutex // guards the fields below
	byKey map[uint64]*list.Element
	used  *list.List // of *bucket, the most lately used first
}

// bucket is what a key has left. Keys are kept as hashes: what a stranger sends
// takes eight bytes, and two that collide share a bucket.
type bucket struct {
	key    uint64
	tokens float64
	at     time.Time
}

// New makes buckets for at most so many keys; beyond that the one that was not
// used for the longest time is forgotten, and begins anew when it comes back. nil
// for a rate that does not limit.
func New(rate Rate, keys int) *Buckets {
	if rate.PerMinute <= 0 || keys <= 0 {
		return nil
	}
	return &Buckets{
		perSecond: float64(rate.PerMinute) / time.Minute.Seconds(), burst: float64(max(rate.Burst, 1)), keys: keys,
		seed: maphash.MakeSeed(), byKey: map[uint64]*list.Element{}, used: list.New(),
	}
}

// Take takes one token of the key's, or says how long to wait for the next.
func (b *Buckets) Take(key string, now time.Time) (wait time.Duration, ok bool) {
	if b == nil {
		return 0, true
	}
	hash := maphash.String(b.seed, key)
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.of(hash, now)
	b.refill(k, now)
	if k.tokens < 1 {
		return b.until(k), false
	}
	k.tokens--
	return 0, true
}

// Left says whether the key has a token, without taking it, and whether it has them
// all; else how long to wait. A key that is not remembered has them all.
func (b *Buckets) Left(key string, now time.Time) (wait time.Duration, ok, all bool) {
	if b == nil {
		return 0, true, true
	}
	hash := maphash.String(b.seed, key)
	b.mu.Lock()
	defer b.mu.Unlock()
	e, known := b.byKey[hash]
	if !known {
		return 0, true, true
	}
	k := e.Value.(*bucket) //nolint:errcheck,forcetypeassert // nothing else is put in
	b.refill(k, now)
	if k.tokens < 1 {
		return b.until(k), false, false
	}
	return 0, true, k.tokens >= b.burst
}

// Charge takes a token that was spent before it could be asked for, of a key that has
// none too: what many spend at once is owed, at most an hour's worth.
func (b *Buckets) Charge(key string, now time.Time) {
	if b == nil {
		return
	}
	hash := maphash.String(b.seed, key)
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.of(hash, now)
	b.refill(k, now)
	k.tokens = max(k.tokens-1, -b.perSecond*time.Hour.Seconds())
}

func (b *Buckets) refill(k *bucket, now time.Time) {
	if spent := now.Sub(k.at).Seconds(); spent > 0 { // a clock that was set back gives nothing
		k.tokens = math.Min(b.burst, k.tokens+spent*b.perSecond)
		k.at = now
	}
}

func (b *Buckets) until(k *bucket) time.Duration {
	return time.Duration((1 - k.tokens) / b.perSecond * float64(time.Second))
}

// of finds the key's bucket, or makes a full one; the caller holds the lock.
func (b *Buckets) of(hash uint64, now time.Time) *bucket {
	if e, ok := b.byKey[hash]; ok {
		b.used.MoveToFront(e)
		return e.Value.(*bucket) //nolint:errcheck,forcetypeassert // nothing else is put in
	}
	if b.used.Len() >= b.keys {
		oldest := b.used.Back()
		delete(b.byKey, oldest.Value.(*bucket).key) //nolint:errcheck,forcetypeassert // as above
		b.used.Remove(oldest)
	}
	k := &bucket{key: hash, tokens: b.burst, at: now}
	b.byKey[hash] = b.used.PushFront(k)
	return k
}

// Len is the number of keys that are remembered.
func (b *Buckets) Len() int {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used.Len()
}
