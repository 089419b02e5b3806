package notify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Bounds of sending.
const (
	perPass     = 16
	atOnce      = 4                // a mail server is not to be flooded
	lease       = 2 * time.Minute  // then the mail is anybody's again
	sendTimeout = 25 * time.Second // for one mail
	noteTimeout = 20 * time.Second // for writing down what became of it
	// lastBegin is how long after its claim a mail may be begun: by the end of its lease
	// it is sent and that is written down, so that nobody else sends it a second time.
	lastBegin  = lease - sendTimeout - noteTimeout - 5*time.Second
	firstPause = 10 * time.Second
	maxPause   = time.Hour
	// MaxAttempts of them are more than two days, as mail servers try.
	MaxAttempts = 60
	// MaxAge is how long an unsent mail is still worth sending.
	MaxAge = 72 * time.Hour
	// Retention is how long a sent message knows whom it went to; then it is only
	// known that it went. SearchRetention is when a search for tickets is gone.
	Retention       = 30 * 24 * time.Hour
	SearchRetention = 24 * time.Hour
	maxReason       = 500
	shelveBatch     = 1000
	forgetBatch     = 1000
)

// Sender takes messages from the queue to the courier. Any number of them may
// work on one queue.
type Sender struct {
	Queue    Queue
	Composer Composer
	Courier  Courier // nil: no mail server, messages become unsent
	Watch    Watch
	Pace     *Pace // nil: the sender yields to nobody

	unshelved bool // unsent messages were taken up, at the first pass
}

// Pass sends what is due, bounded, and says how much there was to do. An error
// concerns the queue, or single mails that will be tried again. One pass of a
// Sender runs at a time. When ctx ends it begins no further mail; those under way
// are finished and written down, since who is cut off in between sends twice.
func (s *Sender) Pass(ctx context.Context) (int, error) {
	if s.Courier == nil {
		n, err := s.Queue.Shelve(ctx, NoServer, shelveBatch)
		if err != nil {
			return 0, fmt.Errorf("shelve mails: %w", err)
		}
		return int(n), nil
	}
	if !s.unshelved {
		if _, err := s.Queue.Unshelve(ctx, MaxAge); err != nil {
			return 0, fmt.Errorf("take unsent mails up: %w", err)
		}
		s.unshelved = true
	}
	inTime, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastBegin)
	defer cancel()
	due, err := s.Queue.Claim(ctx, perPass, lease)
	if err != nil {
		return 0, fmt.Errorf("claim mails: %w", err)
	}
	errs := make([]error, len(due))
	slots := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	for i, c := range due {
		slots <- struct{}{}
		s.Pace.yield(ctx, c.Waited+sinceClaim(inTime))
		if ctx.Err() != nil || inTime.Err() != nil {
			<-slots
			errs[i] = s.giveBack(ctx, c)
			continue
		}
		running.Go(func() {
			defer func() { <-slots }()
			errs[i] = s.send(context.WithoutCancel(ctx), c)
		})
	}
	running.Wait()
	return len(due), errors.Join(errs...)
}

// sinceClaim is how much of the time to begin mails is used up.
func sinceClaim(inTime context.Context) time.Duration {
	end, _ := inTime.Deadline() // its own: Pass gave it one
	return lastBegin - time.Until(end)
}

// giveBack lets a mail that was not begun be claimed again at once.
func (s *Sender) giveBack(ctx context.Context, c Claimed) error {
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	if err := s.Queue.Later(noting, c, 0, ""); err != nil {
		return fmt.Errorf("give mail %s back: %w", c.MessageID, err)
	}
	return nil
}

// send takes one message to its next state. What became of it is written down
// with a time of its own, whatever the sending left over.
func (s *Sender) send(ctx context.Context, c Claimed) error {
	sending, cancel := context.WithTimeout(ctx, sendTimeout)
	err := s.deliver(sending, c)
	cancel()
	ctx, cancel = context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	switch {
	case err == nil:
		return s.end(ctx, c, Sent, "")
	case errors.Is(err, ErrObsolete), errors.Is(err, ErrRefused):
		return s.end(ctx, c, Parked, reason(c, err))
	case c.Attempt >= MaxAttempts:
		return s.end(ctx, c, Parked, fmt.Sprintf("given up after %d attempts: %s", c.Attempt, reason(c, err)))
	}
	if s.Watch != nil {
		s.Watch.Delayed(c.Kind)
	}
	if later := s.Queue.Later(ctx, c, Pause(c.Attempt), reason(c, err)); later != nil {
		return fmt.Errorf("let mail %s wait: %w", c.MessageID, later)
	}
	return fmt.Errorf("mail %s: %s", c.MessageID, reason(c, err))
}

func (s *Sender) deliver(ctx context.Context, c Claimed) error {
	facts, files, err := s.Composer.Compose(ctx, c.Message)
	if err != nil {
		return fmt.Errorf("compose: %w", err)
	}
	m, err := Write(c.Kind, c.Locale, facts)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	m.ID, m.To, m.Name, m.Date, m.Attachments = c.MessageID, c.To, c.Name, c.QueuedAt, files
	return s.Courier.Send(ctx, m)
}

func (s *Sender) end(ctx context.Context, c Claimed, to State, why string) error {
	if err := s.Queue.End(ctx, c, to, why); err != nil {
		return fmt.Errorf("end mail %s as %s: %w", c.MessageID, to, err)
	}
	if s.Watch != nil {
		s.Watch.Ended(c.Kind, to)
	}
	return nil
}

// Pause is how long a mail waits after its nth attempt: doubling from firstPause
// up to maxPause.
func Pause(attempt int) time.Duration {
	if attempt > 9 {
		return maxPause
	}
	return min(firstPause<<max(attempt-1, 0), maxPause)
}

// Forget removes personal data that is not needed any more.
func (s *Sender) Forget(ctx context.Context) (int64, error) {
	caused, err := s.Queue.ForgetCaused(ctx, CausedRetention, forgetBatch)
	if err != nil {
		return 0, err
	}
	n, err := s.Queue.Forget(ctx, Retention, SearchRetention, forgetBatch)
	return caused + n, err
}

// reason is an error's text, short enough to be kept and without the address,
// which mail servers like to repeat: reasons are logged and outlive it.
func reason(c Claimed, err error) string {
	text := strings.ReplaceAll(err.Error(), c.To, "the address")
	if len(text) > maxReason {
		text = text[:maxReason]
	}
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "\uFFFD")
}
