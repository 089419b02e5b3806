package checkout

import (
	"context"
	"errors"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/cell/saga"
	"guichet/internal/txn"
)

// look is what a purchase knows of its order's time, by the database's clock.
type look struct {
	Wanted   bool `json:"wanted"`   // it may still be paid
	Made     bool `json:"made"`     // the provider's payment is known
	Pending  bool `json:"pending"`  // nothing is decided
	Asked    bool `json:"asked"`    // when the time is over: he may have made one
	Time     bool `json:"time"`     // a decision may still wait for the provider
	Pause    int  `json:"pause"`    // seconds until the next look
	Patience int  `json:"patience"` // seconds that a call to the provider may take
	Tries    int  `json:"tries"`
}

// decidedBy is when an order is decided at the latest, whether the provider can be
// asked or not: one that nobody could pay when its window closes. A payment that is
// there may have been made in time, and its stock is not sold to somebody else for
// the rest of its hold ("Paid but expired", rules 1 and 2).
func (o *Order) decidedBy() time.Time {
	if o.intentKnown() {
		return o.ExpiresAt.Add(grace)
	}
	return o.ExpiresAt
}

func (o *Order) intentKnown() bool { return o.Payment != nil && o.Payment.IntentID != "" }

// lookAt decides by the database's clock whether the payment is still wanted.
func (s *Service) lookAt(ctx context.Context, tx txn.Tx, c saga.Call) (any, error) {
	l, o, err := s.seen(ctx, tx, c)
	if err != nil {
		return nil, err
	}
	l.Pause = min(firstPause<<min(l.Tries, 4), longestPause)
	if l.Wanted {
		l.Pause = min(l.Pause, secondsTo(o.ExpiresAt, c.Now))
	}
	l.Tries++
	return l, nil
}

// lookAtClock decides by the database's clock whether the provider, who did not
// answer, may be asked again before the order is decided without him.
func (s *Service) lookAtClock(ctx context.Context, tx txn.Tx, c saga.Call) (any, error) {
	l, o, err := s.seen(ctx, tx, c)
	if err != nil {
		return nil, err
	}
	l.Pause = min(1<<min(l.Tries, 5), longestPause, secondsTo(o.decidedBy(), c.Now))
	return l, nil
}

func (s *Service) seen(ctx context.Context, tx txn.Tx, c saga.Call) (look, Order, error) {
	in, order, err := read(c)
	if err != nil {
		return look{}, Order{}, err
	}
	o, err := s.Store.Brief(ctx, tx, order)
	if err != nil {
		return look{}, Order{}, err
	}
	pending := o.State == Pending
	l := look{
		Wanted: pending && c.Now.Before(o.ExpiresAt), Made: o.intentKnown(), Pending: pending, Time: pending && c.Now.Before(o.decidedBy()),
		Patience: min(longestCall, secondsTo(o.decidedBy(), c.Now)), Tries: in.Look.Tries,
	}
	if l.Asked = l.Made; !l.Made && !l.Time {
		l.Asked, err = s.askedFor(ctx, tx, order)
	}
	return l, o, err
}

// askedFor says whether the provider was ever asked for an order's payment, whatever
// came of it: that he is about to be asked is written down first.
func (s *Service) askedFor(ctx context.Context, tx txn.Tx, order id.Order) (bool, error) {
	_, steps, err := s.Runs.Run(ctx, tx, purchaseOf(order))
	if errors.Is(err, saga.ErrRunNotFound) { // nobody remembers
		return true, nil
	}
	return len(steps) > 0, err
}

// ready answers ErrProviderAway when the provider would not be asked at this moment.
func (s *Service) ready() error {
	if gate, ok := s.Processor.(payment.Gate); ok {
		return gate.Ready()
	}
	return nil
}

// secondsTo is the whole second, one at least, in which the time has come.
func secondsTo(at, now time.Time) int { return max(1, 1+int(at.Sub(now).Seconds())) }

// makeIntent asks for an order's payment under one key for all that the flow asks, so
// that the answer is the first one's, however long ago that was and whoever heard it.
func (s *Service) makeIntent(ctx context.Context, c saga.Call) (any, error) {
	o, err := s.orderAt(ctx, c)
	if err != nil {
		return nil, err
	}
	return s.intentOf(ctx, o, purchaseOf(o.ID)+":intent")
}

// withdrawIntent cancels a payment that its buyer has not made, and reads one back that
// he has, although the money may only be authorized: he was in time, or the rules for
// late money hold ("Paid but expired", rules 2 and 3).
func (s *Service) withdrawIntent(ctx context.Context, c saga.Call) (any, error) {
	o, err := s.orderAt(ctx, c)
	if err != nil {
		return nil, err
	}
	i, err := s.Processor.GetIntent(ctx, o.Payment.IntentID)
	if err == nil && i.State != payment.Authorized && i.State != payment.Captured {
		i, err = s.Processor.CancelIntent(ctx, o.Payment.IntentID, c.Key)
	}
	if errors.Is(err, payment.ErrUnknownIntent) {
		return said{State: payment.Canceled}, nil
	}
	return saidOf(i), err
}

// letGo ends a pending order whose time is over while the provider cannot be asked:
// it is decided at the desk and nobody waits for him (P4). What else has become of
// the order stays.
func (s *Service) letGo(ctx context.Context, tx txn.Tx, c saga.Call) (any, error) {
	order, err := orderOf(c)
	if err != nil {
		return nil, err
	}
	var out settled
	err = s.onOrder(ctx, tx, order, func(ctx context.Context, tx txn.Tx, stock *booking.Stock, h *booking.Hold, o *Order) error {
		if out.Outcome = outcomeOver; o.State != Pending || h.State == booking.HoldConverted {
			return nil
		}
		var err error
		out.Outcome, err = s.unpaid(ctx, tx, stock, h, o)
		return err
	})
	return out, err
}
