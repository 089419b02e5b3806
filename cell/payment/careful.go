package payment

import (
	"context"
	"errors"
	"sync"
	"time"

	"guichet/cell/money"
)

var (
	_ Processor = (*Careful)(nil)
	_ Gate      = (*Careful)(nil)
)

// Provider is all that a payment provider can do for us.
type Provider interface {
	Processor
	Payees
	Reader
	FeeTeller
	Historian
}

// Bounds of care.
const (
	slow        = 2 * time.Second // a call in vain that took as long held somebody up
	mostInVain  = 3               // such calls in a row, then the provider is only tried
	mostFailed  = 20              // the same for calls in vain that were quick
	triedAgain  = time.Second     // between one trial and the next
	backInWhile = 2 * time.Second // what those are told who are not let through
)

// Careful is a provider who is hardly asked while he does not answer: one call at a
// time tries whether he is back, all others are told at once that he is away. So he
// holds up neither buyers nor those who have to decide orders meanwhile (P4).
type Careful struct {
	Provider
	Now func() time.Time

	mu     sync.Mutex // guards the fields below
	inVain int        // slow calls without an answer, in a row
	failed int        // calls without an answer, in a row
	trying bool
	again  time.Time // when he is tried next
}

// asked makes a call if the provider is to be asked.
func asked[T any](ctx context.Context, c *Careful, call func() (T, error)) (out T, err error) {
	trial, ok := c.enter()
	if !ok {
		return out, ErrProviderAway.With("the provider does not answer").After(backInWhile)
	}
	began := c.Now()
	defer func() { c.leave(trial, err, ctx.Err(), c.Now().Sub(began)) }()
	return call()
}

func (c *Careful) enter() (trial, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.doubtful() {
		return false, true
	}
	if c.closed() {
		return false, false
	}
	c.trying = true
	return true, true
}

func (c *Careful) doubtful() bool { return c.inVain >= mostInVain || c.failed >= mostFailed }

func (c *Careful) closed() bool {
	return c.doubtful() && (c.trying || c.Now().Before(c.again))
}

// Ready answers ErrProviderAway when a call at this moment would not be let through.
func (c *Careful) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed() {
		return ErrProviderAway.With("the provider does not answer").After(backInWhile)
	}
	return nil
}

func (c *Careful) leave(trial bool, err, gone error, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if trial {
		c.trying, c.again = false, c.Now().Add(triedAgain)
	}
	switch {
	case !errors.Is(err, ErrProviderAway):
		c.inVain, c.failed = 0, 0
	case errors.Is(err, ErrUndecided), errors.Is(gone, context.Canceled): // he answered; or the caller has left, and nobody knows
	default:
		c.failed = min(c.failed+1, mostFailed)
		if took >= slow {
			c.inVain = min(c.inVain+1, mostInVain)
		}
	}
}

// CreateIntent is the provider's.
func (c *Careful) CreateIntent(ctx context.Context, n NewIntent) (Intent, error) {
	return asked(ctx, c, func() (Intent, error) { return c.Provider.CreateIntent(ctx, n) })
}

// GetIntent is the provider's.
func (c *Careful) GetIntent(ctx context.Context, intentID string) (Intent, error) {
	return asked(ctx, c, func() (Intent, error) { return c.Provider.GetIntent(ctx, intentID) })
}

// CaptureIntent is the provider's.
func (c *Careful) CaptureIntent(ctx context.Context, intentID, key string) (Intent, error) {
	return asked(ctx, c, func() (Intent, error) { return c.Provider.CaptureIntent(ctx, intentID, key) })
}

// CancelIntent is the provider's.
func (c *Careful) CancelIntent(ctx context.Context, intentID, key string) (Intent, error) {
	return asked(ctx, c, func() (Intent, error) { return c.Provider.CancelIntent(ctx, intentID, key) })
}

// Refund is the provider's.
func (c *Careful) Refund(ctx context.Context, intentID string, amount int64, key string) (Refund, error) {
	return asked(ctx, c, func() (Refund, error) { return c.Provider.Refund(ctx, intentID, amount, key) })
}

// ChargeFee is the provider's.
func (c *Careful) ChargeFee(ctx context.Context, intentID string) (money.Money, error) {
	return asked(ctx, c, func() (money.Money, error) { return c.Provider.ChargeFee(ctx, intentID) })
}

// RefundsOf is the provider's.
func (c *Careful) RefundsOf(ctx context.Context, intentID string) ([]Refund, error) {
	return asked(ctx, c, func() ([]Refund, error) { return c.Provider.RefundsOf(ctx, intentID) })
}

// Told is the provider's.
func (c *Careful) Told(ctx context.Context, from, until time.Time, after string) (page []Telling, more bool, err error) {
	page, err = asked(ctx, c, func() ([]Telling, error) {
		page, more, err = c.Provider.Told(ctx, from, until, after)
		return page, err
	})
	return page, more, err
}
