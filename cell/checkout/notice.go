package checkout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/cell/saga"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

// Bounds of notices that wait for something that comes first.
const (
	firstWait   = 2 * time.Second // doubles with each look
	longestWait = 15 * time.Minute
	noticeLease = 10 * time.Second // of a process that looks
	mostLooks   = 20               // some four hours; then the notice is ignored, and an operator may replay it
	// MaxReplay is how many notices one replay takes.
	MaxReplay = 200
)

// ErrNoticeNotFound means that no notice of this id was ever stored.
var ErrNoticeNotFound = kind.NotFound.New("notice_not_found")

// Notices keeps the provider's webhooks.
type Notices interface {
	// InsertNotice stores a webhook once; false means it was there.
	InsertNotice(ctx context.Context, tx txn.Tx, n payment.Notice, order string, body []byte) (first bool, err error)
	// SetNotice stores what became of it; one that waits is looked at again after a while.
	SetNotice(ctx context.Context, tx txn.Tx, notice string, became payment.Outcome, order string, again time.Duration) error
	ClaimNotices(ctx context.Context, limit int, lease time.Duration) ([]payment.Stored, error)
	Notice(ctx context.Context, notice string) (payment.Stored, bool, error)
	// CountDecline counts a declined attempt to pay an order.
	CountDecline(ctx context.Context, tx txn.Tx, order id.Order) (int64, error)
	NoticesSince(ctx context.Context, since time.Time, after string, limit int) ([]payment.Stored, error)
}

// Hear takes in a provider's webhook: stored once by the provider's event id, in
// the transaction of its effect, in any order and as often as it comes (P5). What
// cannot have its effect yet is kept and looked at again by Relook; the provider is
// answered at once.
func (s *Service) Hear(ctx context.Context, body []byte, signature string, now time.Time) error {
	n, err := s.Processor.ParseNotice(body, signature, now)
	if err != nil {
		return fmt.Errorf("read webhook: %w", err)
	}
	return s.take(ctx, n, body)
}

// take lets a notice that is the provider's have its effect, once by its id.
func (s *Service) take(ctx context.Context, n payment.Notice, body []byte) error {
	if became, ok := inert(n); ok {
		return s.keepNotice(ctx, n, body, became)
	}
	doubt, err := s.doubt(ctx, &n)
	if err != nil {
		return fmt.Errorf("hear %s: %w", n.ID, err)
	}
	became := payment.Repeated
	hear := func(ctx context.Context, tx txn.Tx) error {
		return txn.In(ctx, s.Store, tx, func(ctx context.Context, tx txn.Tx) error {
			became = payment.Repeated
			first, err := s.Store.InsertNotice(ctx, tx, n, paidBy(n), body)
			if err != nil || !first {
				return err
			}
			if doubt != "" {
				became = doubt
				return s.Store.SetNotice(ctx, tx, n.ID, doubt, paidBy(n), waitOf(doubt, firstWait))
			}
			if became, err = s.effect(ctx, tx, n, firstWait); err != nil {
				return err
			}
			return s.declined(ctx, tx, n)
		})
	}
	if err := s.atItsDesk(ctx, n, hear); err != nil {
		return fmt.Errorf("hear %s: %w", n.ID, err)
	}
	s.count(n.Type, became)
	return nil
}

// inert says of a notice that can have no effect here what becomes of it.
func inert(n payment.Notice) (payment.Outcome, bool) {
	switch {
	case n.Silent(): // kept: somebody may want to know some day
		return payment.Ignored, true
	case n.Intent == nil:
		return "", false
	}
	return payment.Done, paidBy(n) != "" && !news(*n.Intent)
}

// keepNotice stores a notice that has no effect.
func (s *Service) keepNotice(ctx context.Context, n payment.Notice, body []byte, became payment.Outcome) error {
	first, err := s.Store.InsertNotice(ctx, txn.None, n, paidBy(n), body)
	if err != nil {
		return fmt.Errorf("hear %s: %w", n.ID, err)
	}
	if !first {
		became = payment.Repeated
	}
	s.count(n.Type, became)
	return nil
}

// atItsDesk runs do at the desk of the event that a notice is about, if it may touch
// the stock of one.
func (s *Service) atItsDesk(ctx context.Context, n payment.Notice, do func(ctx context.Context, tx txn.Tx) error) error {
	switch {
	case n.Intent != nil && news(*n.Intent):
		if order, err := id.ParseOrder(n.Intent.OrderID); err == nil {
			return s.shared(ctx, order, do)
		}
	case n.About() != "":
		order, ours, err := s.Store.OrderOfIntent(ctx, txn.None, n.About())
		if err != nil {
			return fmt.Errorf("find the payment of %s: %w", n.ID, err)
		}
		if ours {
			return s.atDesk(ctx, order.Event(), do)
		}
	}
	return do(ctx, txn.None)
}

func (s *Service) count(noticeType string, became payment.Outcome) {
	if s.OnNotice != nil {
		s.OnNotice(noticeType, became)
	}
}

// paidBy is the order that an intent names, "" when it is none of ours.
func paidBy(n payment.Notice) string {
	if n.Intent == nil {
		return ""
	}
	order, err := id.ParseOrder(n.Intent.OrderID)
	if err != nil {
		return ""
	}
	return order.String()
}

// effect lets a notice have its effect in the transaction at hand. Doing it again
// changes nothing. again is when to look at it if it must wait.
func (s *Service) effect(ctx context.Context, tx txn.Tx, n payment.Notice, again time.Duration) (payment.Outcome, error) {
	var became payment.Outcome
	var order string
	var err error
	switch {
	case n.Intent != nil:
		order = paidBy(n)
		became, err = s.paymentNotice(ctx, tx, order, *n.Intent, n.ID)
	case n.Dispute != nil:
		order, became, err = s.disputeNotice(ctx, tx, *n.Dispute)
	case n.Refund != nil:
		order, became, err = s.refundNotice(ctx, tx, *n.Refund)
	case n.Returned != nil:
		order, became, err = s.returnedNotice(ctx, tx, *n.Returned)
	default: // kept: somebody may want to know some day
		return payment.Ignored, nil
	}
	if err != nil || became == payment.Done && n.Intent != nil {
		return became, err
	}
	if became != payment.Waiting {
		again = 0
	}
	return became, s.Store.SetNotice(ctx, tx, n.ID, became, order, again)
}

func (s *Service) paymentNotice(ctx context.Context, tx txn.Tx, text string, intent payment.Intent, notice string) (payment.Outcome, error) {
	order, err := id.ParseOrder(text)
	if err != nil {
		return payment.Ignored, nil //nolint:nilerr // another system shares the account
	}
	if !news(intent) {
		return payment.Done, nil
	}
	err = s.heard(ctx, tx, order, intent, notice)
	switch {
	case errors.Is(err, ErrOrderNotFound): // the same
		return payment.Ignored, nil
	case errors.Is(err, saga.ErrRunExists): // replayed, while the run that it began is still at it
		return payment.Done, nil
	}
	return payment.Done, err
}

// Relook lets notices that had to wait have their effect, if it can be had now. It
// answers how many there were.
func (s *Service) Relook(ctx context.Context) (int, error) {
	due, err := s.Store.ClaimNotices(ctx, perPass, noticeLease)
	if err != nil {
		return 0, fmt.Errorf("claim notices: %w", err)
	}
	return len(due), each(due, func(n payment.Stored) error {
		_, err := s.again(ctx, n)
		return err
	})
}

// again lets a stored notice have its effect.
func (s *Service) again(ctx context.Context, stored payment.Stored) (became payment.Outcome, err error) {
	reader, ok := s.Processor.(payment.Reader)
	if !ok {
		return "", fmt.Errorf("%s reads no stored notices", s.Processor.Name())
	}
	n, err := reader.ReadNotice(stored.Body)
	if err != nil {
		return "", fmt.Errorf("read notice %s: %w", stored.ID, err)
	}
	if n.Returned != nil && stored.Attempts > 1 { // nobody has told of the refund itself
		if err := s.askRefunds(ctx, n.Returned.IntentID); err != nil {
			return "", fmt.Errorf("look at notice %s again: %w", stored.ID, err)
		}
	}
	doubt, err := s.doubt(ctx, &n)
	if err != nil {
		return "", fmt.Errorf("look at notice %s again: %w", stored.ID, err)
	}
	err = s.atItsDesk(ctx, n, func(ctx context.Context, tx txn.Tx) error {
		return txn.In(ctx, s.Store, tx, func(ctx context.Context, tx txn.Tx) error {
			pause := min(firstWait<<min(stored.Attempts, 16), longestWait)
			if became = doubt; doubt == "" {
				became, err = s.effect(ctx, tx, n, pause)
			} else {
				err = s.Store.SetNotice(ctx, tx, stored.ID, doubt, paidBy(n), waitOf(doubt, pause))
			}
			switch {
			case err != nil:
				return err
			case became == payment.Waiting && stored.Attempts >= mostLooks:
				became = payment.Ignored
			case became != payment.Done || stored.Outcome == payment.Done:
				return nil
			}
			return s.Store.SetNotice(ctx, tx, stored.ID, became, "", 0)
		})
	})
	if err != nil {
		return "", fmt.Errorf("look at notice %s again: %w", stored.ID, err)
	}
	if became != stored.Outcome {
		s.count(stored.Type, became)
	}
	return became, nil
}

// Replayed is what a replay did with one notice.
type Replayed struct {
	Notice payment.Stored
	Became payment.Outcome
	Err    error // it stays as it was
}

// Replay lets one stored notice, or those that came since and behind after, have
// their effect again, at most MaxReplay. What they did already they do not do twice.
func (s *Service) Replay(ctx context.Context, notice string, since time.Time, after string) ([]Replayed, error) {
	var all []payment.Stored
	if notice != "" {
		n, ok, err := s.Store.Notice(ctx, notice)
		if err != nil {
			return nil, fmt.Errorf("read notice: %w", err)
		}
		if !ok {
			return nil, ErrNoticeNotFound.With("no notice %.60q was stored here", notice)
		}
		all = []payment.Stored{n}
	} else {
		var err error
		if all, err = s.Store.NoticesSince(ctx, since, after, MaxReplay); err != nil {
			return nil, fmt.Errorf("list notices: %w", err)
		}
	}
	out := make([]Replayed, 0, len(all))
	for _, n := range all {
		became, err := s.again(ctx, n)
		out = append(out, Replayed{Notice: n, Became: became, Err: err})
		if ctx.Err() != nil {
			return out, fmt.Errorf("replay: %w", ctx.Err())
		}
	}
	return out, nil
}
