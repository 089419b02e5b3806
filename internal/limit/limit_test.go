package limit_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/internal/limit"
)

var start = time.Unix(1_790_000_000, 0)

func TestTake_letsABurstThroughAndThenTheRate(t *testing.T) {
	t.Parallel()
	b := limit.New(limit.Rate{PerMinute: 60, Burst: 5}, 10)
	for i := range 5 {
		if wait, ok := b.Take("a", start); !ok {
			t.Fatalf("the burst ended at %d, wait %s", i, wait)
		}
	}
	if wait, ok := b.Take("a", start); ok || wait != time.Second {
		t.Errorf("after the burst: %t, wait %s", ok, wait)
	}
	if _, ok := b.Take("b", start); !ok {
		t.Error("one key's burst stopped another")
	}
	if _, ok := b.Take("a", start.Add(999*time.Millisecond)); ok {
		t.Error("a token came too early")
	}
	if _, ok := b.Take("a", start.Add(time.Second)); !ok {
		t.Error("no token after the time that was said")
	}
	if _, ok := b.Take("a", start.Add(-time.Hour)); ok {
		t.Error("a clock set back gave a token")
	}
	through := 0
	for range 20 { // after a long rest the burst, no more
		if _, ok := b.Take("a", start.Add(time.Hour)); ok {
			through++
		}
	}
	if through != 5 {
		t.Errorf("%d after a rest, want the burst of 5", through)
	}
}

func TestTake_forgetsTheLeastLatelyUsedBeyondItsKeys(t *testing.T) {
	t.Parallel()
	const keys = 100
	b := limit.New(limit.Rate{PerMinute: 1, Burst: 1}, keys)
	for i := range 10 * keys { // strangers, while one key stays in use
		_, ok := b.Take("regular", start)
		if ok != (i == 0) {
			t.Fatalf("the regular's bucket was forgotten at stranger %d", i)
		}
		b.Take(strconv.Itoa(i), start)
	}
	if n := b.Len(); n != keys {
		t.Errorf("%d keys are remembered, at most %d may be", n, keys)
	}
	if _, ok := b.Take("0", start); !ok {
		t.Error("a key that was forgotten does not begin anew")
	}
}

func TestTake_ofManyAtOnceLetsExactlyTheBurstThrough(t *testing.T) {
	t.Parallel()
	b := limit.New(limit.Rate{PerMinute: 1, Burst: 50}, 10)
	var through atomic.Int64
	var all sync.WaitGroup
	for range 400 {
		all.Go(func() {
			if _, ok := b.Take("a", start); ok {
				through.Add(1)
			}
		})
	}
	all.Wait()
	if through.Load() != 50 {
		t.Errorf("%d went through", through.Load())
	}
}

func TestNew_ofNoRateDoesNotLimit(t *testing.T) {
	t.Parallel()
	for _, b := range []*limit.Buckets{nil, limit.New(limit.Rate{}, 10), limit.New(limit.Rate{PerMinute: 5}, 0)} {
		for range 100 {
			if _, ok := b.Take("a", start); !ok {
				t.Fatal("it limits")
			}
		}
		if b.Len() != 0 {
			t.Error("it remembers")
		}
	}
}

func TestCharge_isOwedByWhoSpentAtOnce(t *testing.T) {
	t.Parallel()
	b := limit.New(limit.Rate{PerMinute: 60, Burst: 5}, 10)
	if _, ok, all := b.Left("a", start); !ok || !all || b.Len() != 0 {
		t.Error("who only looks is remembered")
	}
	for range 20 { // all had looked before any of them was charged
		b.Charge("a", start)
	}
	wait, ok, _ := b.Left("a", start)
	if ok || wait != 16*time.Second {
		t.Errorf("20 of 5: %t, wait %s", ok, wait)
	}
	if _, ok, all := b.Left("a", start.Add(16*time.Second)); !ok || all {
		t.Errorf("after the time that was said: %t, all %t", ok, all)
	}
	if _, ok, all := b.Left("a", start.Add(time.Minute)); !ok || !all {
		t.Errorf("after a rest: %t, all %t", ok, all)
	}
	for range 10_000 {
		b.Charge("a", start.Add(time.Hour))
	}
	if wait, _, _ := b.Left("a", start.Add(time.Hour)); wait > time.Hour+time.Second {
		t.Errorf("what is owed takes %s", wait)
	}
	var none *limit.Buckets
	none.Charge("a", start)
	if _, ok, all := none.Left("a", start); !ok || !all {
		t.Error("no rate limits")
	}
}
