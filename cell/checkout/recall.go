package checkout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"guichet/cell/payment"
	"guichet/internal/txn"
)

// Bounds of looking for what a lost webhook did not tell.
const (
	recallLease = time.Minute     // of the process that looks, and the pause between two looks
	recallLag   = time.Minute     // younger events may still come by themselves
	recallTwice = 5 * time.Minute // that much is looked at again: the provider's clock is not ours
	recallPages = 10              // of one look; the next one goes on behind them
	// RecallReach is how far back the first look goes: the provider keeps its events so long.
	RecallReach = 30 * 24 * time.Hour
)

// Recall is how far a provider's events were looked through: those of From until Until, the
// newest first, down to After.
type Recall struct {
	Provider    string
	From, Until time.Time // Until is zero between two windows
	After       string    // the provider's id of the last event that was seen in the window
	Now         time.Time // of the database, when it was claimed
}

// RecallStore remembers how far that has come.
type RecallStore interface {
	// ClaimRecall leases the look through a provider's events when its time has come, by the
	// database's clock; false when another process has it. The first begins reach ago.
	ClaimRecall(ctx context.Context, provider string, lease, reach time.Duration) (Recall, bool, error)
	SetRecall(ctx context.Context, r Recall) error
	// KnownNotices says which of the provider's events are stored.
	KnownNotices(ctx context.Context, ids []string) (map[string]bool, error)
}

// Recollect asks the provider what it told of refunds and disputes since the last time,
// and takes in what no webhook brought. It answers how many events that were. Each look
// takes a bounded number of pages and goes on where the one before ended.
func (s *Service) Recollect(ctx context.Context) (found int, err error) {
	h, ok := s.Processor.(payment.Historian)
	reader, reads := s.Processor.(payment.Reader)
	if !ok || !reads {
		return 0, nil
	}
	if err := s.ready(); err != nil {
		return 0, nil //nolint:nilerr // he is away: it is asked in the next period
	}
	r, due, err := s.Store.ClaimRecall(ctx, s.Processor.Name(), recallLease, RecallReach)
	if err != nil || !due {
		return 0, err
	}
	if r.Until.IsZero() {
		r.Until, r.After = r.Now.Add(-recallLag), ""
	}
	for range recallPages {
		if !r.Until.After(r.From) {
			return found, nil
		}
		page, more, err := s.told(ctx, h, r)
		if errors.Is(err, payment.ErrUnknownIntent) { // it has forgotten that event: the window is looked through anew
			r.After = ""
			return found, s.Store.SetRecall(ctx, r)
		}
		if err != nil {
			return found, fmt.Errorf("ask what the provider told: %w", err)
		}
		n, err := s.recollect(ctx, reader, page)
		if found += n; err != nil {
			return found, err
		}
		if len(page) > 0 {
			r.After = page[len(page)-1].ID
		}
		if !more || len(page) == 0 {
			r.From, r.Until, r.After = r.Until, time.Time{}, ""
		}
		if err := s.Store.SetRecall(ctx, r); err != nil || r.Until.IsZero() {
			return found, err
		}
	}
	return found, nil
}

func (s *Service) told(ctx context.Context, h payment.Historian, r Recall) ([]payment.Telling, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return h.Told(ctx, r.From.Add(-recallTwice), r.Until, r.After)
}

// recollect takes in the events of a page that are not known. One that cannot be read or
// has no effect for a fault of ours is kept, and looked at again like any that waits.
func (s *Service) recollect(ctx context.Context, reader payment.Reader, page []payment.Telling) (found int, err error) {
	ids := make([]string, len(page))
	for i, t := range page {
		ids[i] = t.ID
	}
	known, err := s.Store.KnownNotices(ctx, ids)
	if err != nil {
		return 0, fmt.Errorf("look for known notices: %w", err)
	}
	for _, t := range page {
		if known[t.ID] {
			continue
		}
		n, err := reader.ReadNotice(t.Body)
		if err != nil {
			continue // as a webhook of it was refused
		}
		if err := s.take(ctx, n, t.Body); err != nil {
			if err := s.keepWaiting(ctx, n, t.Body); err != nil {
				return found, err
			}
		}
		found++
	}
	return found, nil
}

// keepWaiting stores a notice that could not have its effect, to be looked at again.
func (s *Service) keepWaiting(ctx context.Context, n payment.Notice, body []byte) error {
	return s.Store.InTx(ctx, func(ctx context.Context, tx txn.Tx) error {
		first, err := s.Store.InsertNotice(ctx, tx, n, paidBy(n), body)
		if err != nil || !first {
			return err
		}
		return s.Store.SetNotice(ctx, tx, n.ID, payment.Waiting, "", firstWait)
	})
}
