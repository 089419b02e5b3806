package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	api "github.com/stripe/stripe-go/v76"

	"guichet/cell/payment"
)

// polled are the events that are asked for: what nobody but Stripe knows. Of payments
// each order's own saga asks.
var polled = []string{
	"refund.created", "refund.failed", "refund.updated",
	"charge.dispute.closed", "charge.dispute.created", "charge.dispute.funds_reinstated", "charge.dispute.funds_withdrawn", "charge.dispute.updated",
}

// maxPage is the largest page of a list, Stripe's limit.
const maxPage = 100

// refundIn reads the refund of an event. One that is about no intent, or whose state was
// invented after us, is kept and left for an operator.
func refundIn(object []byte, n *payment.Notice) error {
	var re api.Refund
	if err := json.Unmarshal(object, &re); err != nil {
		return err
	}
	if !isID(re.ID, "re_") && !isID(re.ID, "pyr_") || re.Amount < 0 || re.Amount > maxStripe || re.Status == "" {
		return ErrAnswer.With("the refund %.40q of %d is %.40q", re.ID, re.Amount, string(re.Status))
	}
	if re.PaymentIntent == nil || !isID(re.PaymentIntent.ID, "pi_") {
		return nil
	}
	r, err := refundOf(&re)
	if err != nil {
		return nil //nolint:nilerr // nothing to say about it is no error
	}
	n.Refund = &r
	return nil
}

// returnedIn reads of a charge's event how much of it went back.
func returnedIn(object []byte, n *payment.Notice) error {
	var ch struct {
		Intent   *api.PaymentIntent `json:"payment_intent"`
		Refunded int64              `json:"amount_refunded"`
		Currency api.Currency       `json:"currency"`
	}
	if err := json.Unmarshal(object, &ch); err != nil {
		return err
	}
	if ch.Intent == nil || !isID(ch.Intent.ID, "pi_") || !isCurrency(ch.Currency) || ch.Refunded < 0 || ch.Refunded > maxStripe {
		return nil
	}
	n.Returned = &payment.Returned{IntentID: ch.Intent.ID, Amount: fromStripe(ch.Refunded, ch.Currency)}
	return nil
}

// RefundsOf lists the refunds of an intent, whoever made them, the newest first.
func (p *Processor) RefundsOf(ctx context.Context, intentID string) ([]payment.Refund, error) {
	if !isID(intentID, "pi_") {
		return nil, payment.ErrUnknownIntent
	}
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	params := &api.RefundListParams{PaymentIntent: new(intentID)}
	params.Context, params.Single, params.Limit = ctx, true, new(int64(maxPage))
	var out []payment.Refund
	all := p.refunds.List(params)
	for all.Next() {
		r, err := refundOf(all.Refund())
		if err != nil {
			continue // a state that was invented after us
		}
		r.IntentID = intentID
		out = append(out, r)
	}
	if err := all.Err(); err != nil {
		return nil, fmt.Errorf("stripe: list the refunds of %.40s: %w", intentID, failure(err))
	}
	return out, nil
}

// Told lists what Stripe told of refunds and disputes, the newest first. Stripe keeps its
// events for 30 days.
func (p *Processor) Told(ctx context.Context, from, until time.Time, after string) (page []payment.Telling, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	params := &api.EventListParams{
		CreatedRange: &api.RangeQueryParams{GreaterThanOrEqual: from.Unix(), LesserThan: until.Unix()}, Types: api.StringSlice(polled),
	}
	params.Context, params.Single, params.Limit = ctx, true, new(int64(maxPage))
	if after != "" {
		params.StartingAfter = new(after)
	}
	all := p.events.List(params)
	for all.Next() {
		e := all.Event()
		if e.Data == nil || !isID(e.ID, "evt_") {
			continue
		}
		var told envelope
		told.ID, told.Type, told.Created, told.Data.Object = e.ID, string(e.Type), e.Created, e.Data.Raw
		body, err := json.Marshal(told)
		if err != nil {
			return nil, false, fmt.Errorf("stripe: describe the event %s: %w", e.ID, err)
		}
		page = append(page, payment.Telling{ID: e.ID, Body: body})
	}
	if err := all.Err(); err != nil {
		if e, ok := errors.AsType[*api.Error](err); ok && after != "" && strings.HasPrefix(e.Param, "starting_after") {
			return nil, false, fmt.Errorf("stripe: %s is not known any more: %w", after, payment.ErrUnknownIntent)
		}
		return nil, false, fmt.Errorf("stripe: list events: %w", failure(err))
	}
	return page, all.Meta().HasMore, nil
}
