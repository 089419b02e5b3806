package payment_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"guichet/cell/payment"
)

// blackHole is a provider who answers nothing while he is away, quickly or never.
type blackHole struct {
	payment.Provider
	away, quick atomic.Bool
	calls       atomic.Int64
}

func (b *blackHole) GetIntent(ctx context.Context, id string) (payment.Intent, error) {
	b.calls.Add(1)
	if !b.away.Load() {
		return payment.Intent{ID: id, State: payment.Captured}, nil
	}
	if !b.quick.Load() {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		<-ctx.Done()
	}
	return payment.Intent{}, payment.ErrProviderAway
}

// crowd asks so many times at once and says how long the slowest waited.
func crowd(t *testing.T, c *payment.Careful, n int, want error) time.Duration {
	t.Helper()
	began := time.Now()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if _, err := c.GetIntent(t.Context(), "pi_1"); !errors.Is(err, want) {
				t.Errorf("answered %v, want %v", err, want)
			}
		})
	}
	all.Wait()
	return time.Since(began)
}

// A provider who does not answer holds up eight callers once, then one at a time; when
// he is back everybody gets through within two seconds.
func TestCareful_oneCallAtATimeTriesWhetherTheProviderIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &blackHole{}
		c := &payment.Careful{Provider: p, Now: time.Now}
		crowd(t, c, 20, nil)
		p.away.Store(true)
		if d := crowd(t, c, 8, payment.ErrProviderAway); d != 5*time.Second {
			t.Errorf("those who find out wait %s", d)
		}
		p.calls.Store(0)
		began, waited := time.Now(), time.Duration(0)
		for time.Since(began) < time.Minute {
			waited += crowd(t, c, 8, payment.ErrProviderAway)
			time.Sleep(100 * time.Millisecond)
		}
		if n := p.calls.Load(); n < 9 || n > 11 {
			t.Errorf("he was tried %d times in a minute", n)
		}
		if waited > time.Minute {
			t.Errorf("%s were waited in all", waited)
		}
		p.away.Store(false)
		time.Sleep(time.Second)
		crowd(t, c, 1, nil)
		if d := crowd(t, c, 20, nil); d != 0 {
			t.Errorf("then they wait %s", d)
		}
	})
}

// Some quick failures are no reason not to ask, nor is a caller who leaves; many are,
// until one call gets through.
func TestCareful_manyQuickFailuresAreNeeded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &blackHole{}
		c := &payment.Careful{Provider: p, Now: time.Now}
		p.away.Store(true)
		for range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(3*time.Second, cancel)
			if _, err := c.GetIntent(ctx, "pi_1"); !errors.Is(err, payment.ErrProviderAway) {
				t.Error(err)
			}
		}
		p.quick.Store(true)
		for range 30 {
			crowd(t, c, 1, payment.ErrProviderAway)
		}
		if n := p.calls.Load(); n != 10+20+1 {
			t.Errorf("%d calls were let through, want 10 whose callers left, 20 and a trial", n)
		}
		wantReady := func(want error) {
			t.Helper()
			if err := c.Ready(); !errors.Is(err, want) {
				t.Errorf("ready: %v", err)
			}
		}
		wantReady(payment.ErrProviderAway)
		time.Sleep(time.Second)
		wantReady(nil)
		p.away.Store(false)
		crowd(t, c, 1, nil)
		crowd(t, c, 20, nil)
		wantReady(nil)
	})
}
