package notify

import (
	"context"
	"sync"
	"time"
)

// Bounds of yielding.
const (
	// busyWait is how long requests wait for their turn while a cell is busy selling.
	busyWait = 15 * time.Millisecond
	// PaceAge is how old a mail may get by yielding; older ones leave whatever is sold.
	// It is half of what is promised, a minute: the other half is for those before it.
	PaceAge = 20 * time.Second
	// stale is after how long without a request nothing is being sold.
	stale = 250 * time.Millisecond
	// longestYield bounds one mail's yielding, so that a wait that was measured last
	// week, or wrongly, cannot stop the mails.
	longestYield = 250 * time.Millisecond
)

// Pace lets mails yield to the sale. Whoever sells says how long requests waited for
// their turn; while they wait long, the sender makes one mail in about as much time,
// and leaves the processor to the sale in between. A mail older than PaceAge does
// not yield. It is safe for several goroutines.
type Pace struct {
	Now func() time.Time

	mu   sync.Mutex
	wait time.Duration // smoothed over some twenty requests
	at   time.Time     // when it was told last
}

// Waited is told how long a request waited for its turn at the desk.
func (p *Pace) Waited(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.Now()
	if now.Sub(p.at) > stale {
		p.wait = 0
	}
	p.wait += (d - p.wait) / 20
	p.at = now
}

// pause is how long a mail of that age is to yield now.
func (p *Pace) pause(age time.Duration) time.Duration {
	if p == nil || age >= PaceAge {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wait < busyWait || p.Now().Sub(p.at) > stale {
		return 0
	}
	return min(p.wait, longestYield)
}

// yield waits that long, or until ctx ends.
func (p *Pace) yield(ctx context.Context, age time.Duration) {
	if d := p.pause(age); d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
}
