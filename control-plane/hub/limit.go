package hub

import (
	"context"
	"time"
)

const maxLines = 64 // cells

// Limits are what one cell may tell the town. The hub fetches no faster than this;
// what it does not fetch waits at the cell, in the cell's own stream.
type Limits struct {
	Messages      float64 // a second
	MessagesBurst float64 // at once
	Bytes         float64
	BytesBurst    float64
}

// DefaultLimits let a whole catalogue through that is imported at once.
func DefaultLimits() Limits {
	return Limits{Messages: 1000, MessagesBurst: 20_000, Bytes: 2 << 20, BytesBurst: 64 << 20}
}

// tokens is a token bucket. Its clock is monotonic.
type tokens struct {
	perSecond, burst float64
	left             float64
	at               time.Time
}

func newTokens(perSecond, burst float64) *tokens {
	return &tokens{perSecond: perSecond, burst: burst, left: burst}
}

// take takes n and answers how long to wait for them.
func (t *tokens) take(n float64, now time.Time) time.Duration {
	if !t.at.IsZero() {
		t.left = min(t.burst, t.left+t.perSecond*now.Sub(t.at).Seconds())
	}
	t.at = now
	if t.left -= n; t.left >= 0 {
		return 0
	}
	return time.Duration(-t.left / t.perSecond * float64(time.Second))
}

// sleep waits; a channel that closes ends it early.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-wake:
	}
}
