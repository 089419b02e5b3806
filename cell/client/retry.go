package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

// Patience bounds Retry.
type Patience struct {
	Attempts int           // in all, the first included; default 5
	MaxWait  time.Duration // between two attempts, whatever the server asks; default 5 s
	Base     time.Duration // first wait when the server says nothing, doubled each time; default 100 ms
}

func (p Patience) orDefault() Patience {
	if p.Attempts <= 0 {
		p.Attempts = 5
	}
	if p.MaxWait <= 0 {
		p.MaxWait = 5 * time.Second
	}
	if p.Base <= 0 {
		p.Base = 100 * time.Millisecond
	}
	return p
}

// Retry calls do until it succeeds, fails for good, or patience or the context
// ends; the last error is returned. It waits as Retry-After asks. do must be
// safe to repeat: give every attempt the same idempotency key (P5).
func Retry(ctx context.Context, p Patience, do func(context.Context) error) error {
	p = p.orDefault()
	wait := p.Base
	for attempt := 1; ; attempt++ {
		err := do(ctx)
		if err == nil || attempt == p.Attempts || ctx.Err() != nil || !Retryable(err) {
			return err
		}
		pause := wait/2 + rand.N(wait/2+1) //nolint:gosec // jitter, so that many clients do not return at once, is no secret
		if asked := askedWait(err); asked > 0 {
			pause = asked
		}
		wait *= 2
		timer := time.NewTimer(min(pause, p.MaxWait))
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}

// Retryable reports whether the same request may succeed later: the server was
// busy or away, the same key is in flight, or no answer came at all.
func Retryable(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, ErrAnswerTooLarge) {
		return false
	}
	var p *ProblemError
	if !errors.As(err, &p) {
		return isTransport(err)
	}
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	case http.StatusConflict:
		return p.Code == "in_flight"
	}
	return false
}

func askedWait(err error) time.Duration {
	if p, ok := errors.AsType[*ProblemError](err); ok {
		return p.RetryAfter
	}
	return 0
}

// isTransport reports whether err came from the network rather than from an
// answer or from this client's own checks.
func isTransport(err error) bool {
	var u *url.Error
	return errors.As(err, &u) || errors.Is(err, context.DeadlineExceeded)
}
