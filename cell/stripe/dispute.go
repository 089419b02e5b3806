package stripe

import (
	"encoding/json"
	"time"

	api "github.com/stripe/stripe-go/v76"

	"guichet/cell/payment"
)

// disputeStates are Stripe's states of a dispute in our words.
var disputeStates = map[api.DisputeStatus]payment.DisputeState{
	api.DisputeStatusWarningNeedsResponse: payment.DisputeWarning,
	api.DisputeStatusWarningUnderReview:   payment.DisputeWarning,
	api.DisputeStatusWarningClosed:        payment.DisputeClosed,
	api.DisputeStatusNeedsResponse:        payment.DisputeOpen,
	api.DisputeStatusUnderReview:          payment.DisputeOpen,
	api.DisputeStatusWon:                  payment.DisputeWon,
	api.DisputeStatusLost:                 payment.DisputeLost,
}

// maxMovements bounds what a notice may say of a dispute; Stripe's have one or two.
const maxMovements = 20

// maxStripe is more than any amount of Stripe's, and far from overflowing a sum.
const maxStripe = 1 << 50

// disputeOf reads a dispute out of an event; nil when its state is one that was
// invented after us, which is kept and left for an operator.
func disputeOf(raw []byte) (*payment.Dispute, error) {
	var d api.Dispute
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, err
	}
	if !isID(d.ID, "dp_") && !isID(d.ID, "du_") || d.Amount < 0 || d.Amount > maxStripe || d.Status == "" || !isCurrency(d.Currency) {
		return nil, ErrAnswer.With("the dispute %.40q of %d is %.40q", d.ID, d.Amount, string(d.Status))
	}
	state, ok := disputeStates[d.Status]
	if !ok {
		return nil, nil //nolint:nilnil // nothing to say about it is no error
	}
	out := &payment.Dispute{ID: d.ID, Amount: fromStripe(d.Amount, d.Currency), State: state, Reason: clean(string(d.Reason), maxCode)}
	if d.PaymentIntent != nil {
		out.IntentID = d.PaymentIntent.ID
	}
	if !isID(out.IntentID, "pi_") {
		return nil, ErrAnswer.With("the dispute %s is about no intent", d.ID)
	}
	if d.EvidenceDetails != nil && d.EvidenceDetails.DueBy > 0 {
		out.Due = time.Unix(d.EvidenceDetails.DueBy, 0).UTC()
	}
	if len(d.BalanceTransactions) > maxMovements {
		return nil, ErrAnswer.With("the dispute %s has %d movements", d.ID, len(d.BalanceTransactions))
	}
	for _, b := range d.BalanceTransactions {
		if b == nil || !isID(b.ID, "txn_") || !isCurrency(b.Currency) || max(b.Amount, b.Fee) > maxStripe || min(b.Amount, b.Fee) < -maxStripe {
			return nil, ErrAnswer.With("the dispute %s has a movement without an id, or an impossible one", d.ID)
		}
		out.Movements = append(out.Movements, payment.Movement{
			ID: b.ID, Amount: fromStripe(b.Amount, b.Currency), Fee: fromStripe(b.Fee, b.Currency).Amount,
		})
	}
	return out, nil
}
