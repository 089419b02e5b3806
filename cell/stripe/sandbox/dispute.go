package sandbox

import (
	"net/http"
	"slices"
	"time"
)

// dispute has Stripe's shape.
type dispute struct {
	ID         string            `json:"id"`
	Object     string            `json:"object"`
	Amount     int64             `json:"amount"`
	Movements  []movement        `json:"balance_transactions"`
	Charge     string            `json:"charge"`
	Created    int64             `json:"created"`
	Currency   string            `json:"currency"`
	Eligible   []string          `json:"enhanced_eligibility_types"`
	Evidence   evidence          `json:"evidence"`
	Details    evidenceDetails   `json:"evidence_details"`
	Refundable bool              `json:"is_charge_refundable"`
	Livemode   bool              `json:"livemode"`
	Metadata   map[string]string `json:"metadata"`
	Intent     string            `json:"payment_intent"`
	Reason     string            `json:"reason"`
	Status     string            `json:"status"`
}

type evidence struct {
	Enhanced struct{} `json:"enhanced_evidence"`
	Text     *string  `json:"uncategorized_text"`
}

type evidenceDetails struct {
	DueBy       *int64   `json:"due_by"`
	Enhanced    struct{} `json:"enhanced_eligibility"`
	HasEvidence bool     `json:"has_evidence"`
	PastDue     bool     `json:"past_due"`
	Submissions int64    `json:"submission_count"`
}

// movement is a balance transaction in Stripe's shape.
type movement struct {
	ID          string      `json:"id"`
	Object      string      `json:"object"`
	Amount      int64       `json:"amount"`
	AvailableOn int64       `json:"available_on"`
	BalanceType string      `json:"balance_type"`
	Created     int64       `json:"created"`
	Currency    string      `json:"currency"`
	Description *string     `json:"description"`
	Rate        null        `json:"exchange_rate"`
	Fee         int64       `json:"fee"`
	FeeDetails  []feeDetail `json:"fee_details"`
	Net         int64       `json:"net"`
	Reporting   string      `json:"reporting_category"`
	Source      string      `json:"source"`
	Status      string      `json:"status"`
	Type        string      `json:"type"`
}

type feeDetail struct {
	Amount      int64  `json:"amount"`
	Application null   `json:"application"`
	Currency    string `json:"currency"`
	Description string `json:"description"`
	Type        string `json:"type"`
}

// The states of a dispute, as Stripe names them.
const (
	needsResponse = "needs_response"
	underReview   = "under_review"
	inquired      = "warning_needs_response"
	inquiryClosed = "warning_closed"
	won           = "won"
	lost          = "lost"
)

func (d *dispute) open() bool {
	return d.Status == needsResponse || d.Status == underReview || d.Status == inquired
}

// move books money and fee of the dispute at the provider.
func (d *dispute) move(amount, fee int64, category string, c call) {
	m := movement{
		ID: newID("txn"), Object: "balance_transaction", Amount: amount, AvailableOn: c.now, BalanceType: "payments", Created: c.now, Currency: d.Currency,
		Fee: fee, FeeDetails: []feeDetail{}, Net: amount - fee, Reporting: category, Source: d.ID, Status: "available", Type: "adjustment",
		Description: new("Chargeback of " + d.Charge),
	}
	if fee != 0 {
		m.FeeDetails = append(m.FeeDetails, feeDetail{Amount: fee, Currency: d.Currency, Description: "Dispute fee", Type: "stripe_fee"})
	}
	d.Movements = append(slices.Clip(d.Movements), m)
}

// raise lets the buyer's bank question what the change has taken, all of it.
func raise(out *change, in intent, reason string, inquiry bool, c call) {
	ch := *out.Charge
	ch.Disputed = true
	d := dispute{
		ID: newID("dp"), Object: "dispute", Amount: ch.AmountCaptured, Movements: []movement{}, Charge: ch.ID, Created: c.now, Currency: ch.Currency,
		Eligible: []string{}, Metadata: map[string]string{}, Intent: in.ID, Reason: reason, Status: inquired, Refundable: true,
	}
	d.Details.DueBy = new(c.now + int64(disputeDue/time.Second))
	out.Charge, out.Dispute = &ch, &d
	if inquiry {
		out.Events = append(out.Events, eventOf("charge.dispute.created", d, nil, c))
		return
	}
	d.Status, d.Refundable = needsResponse, false
	created := eventOf("charge.dispute.created", d, nil, c) // before the money moves, as it may come
	d.move(-d.Amount, disputeFee, "dispute", c)
	out.Events = append(out.Events, created, eventOf("charge.dispute.funds_withdrawn", d, nil, c))
}

// end is the bank's decision.
func (d dispute) end(win bool, c call) outcome {
	var events []event
	switch {
	case d.Status == inquired:
		d.Status = inquiryClosed
	case win:
		d.Status = won
	default:
		d.Status = lost
	}
	events = append(events, eventOf("charge.dispute.closed", d, nil, c))
	if d.Status == won {
		d.move(d.Amount, 0, "dispute_reversal", c)
		events = append(events, eventOf("charge.dispute.funds_reinstated", d, nil, c))
	}
	return outcome{body: d, change: change{Dispute: &d, Events: events}}
}

// disputeOpen says whether a bank has the charge in question; an inquiry does not count.
func (a *account) disputeOpen(charge string) bool {
	open := false
	a.disputes.youngest(func(d dispute) bool {
		open = d.Charge == charge && d.open() && d.Status != inquired
		return !open
	})
	return open
}

// getDispute is GET /v1/disputes/{id}.
func getDispute(a *account, c call, p params) outcome {
	if f := p.known(); f != nil {
		return refused(f)
	}
	d, ok := a.disputes.get(c.id)
	if !ok {
		return refused(missing("dispute", c.id))
	}
	return outcome{body: d}
}

// listDisputes is GET /v1/disputes, youngest first.
func listDisputes(a *account, c call, p params) outcome {
	if f := p.known("charge", "payment_intent", "created", "limit", "starting_after", "ending_before"); f != nil {
		return refused(f)
	}
	return page(&a.disputes, c, p, func(d dispute) (string, int64, bool) {
		return d.ID, d.Created, (!p.has("charge") || d.Charge == p.text("charge")) &&
			(!p.has("payment_intent") || d.Intent == p.text("payment_intent"))
	}, func(d dispute) any { return d })
}

// answerDispute is POST /v1/disputes/{id}: with Stripe's own test words as evidence
// it is won or lost at once, with any other it is under review.
func answerDispute(a *account, c call, p params) outcome {
	if f := p.known("evidence", "metadata", "submit"); f != nil {
		return refused(f)
	}
	d, f := a.openDispute(c)
	if f != nil {
		return refused(f)
	}
	text, f := p.short("evidence[uncategorized_text]", 20_000)
	if f != nil {
		return refused(f)
	}
	d.Evidence.Text, d.Details.HasEvidence = textOrNull(text), text != ""
	if p.text("submit") == "false" {
		return outcome{body: d, change: change{Dispute: &d, Events: []event{eventOf("charge.dispute.updated", d, nil, c)}}}
	}
	d.Details.Submissions++
	switch text {
	case "winning_evidence":
		return d.end(true, c)
	case "losing_evidence":
		return d.end(false, c)
	}
	if d.Status == needsResponse {
		d.Status = underReview
	}
	return outcome{body: d, change: change{Dispute: &d, Events: []event{eventOf("charge.dispute.updated", d, nil, c)}}}
}

// closeDispute is POST /v1/disputes/{id}/close: giving in is losing.
func closeDispute(a *account, c call, p params) outcome {
	if f := p.known(); f != nil {
		return refused(f)
	}
	d, f := a.openDispute(c)
	if f != nil {
		return refused(f)
	}
	return d.end(false, c)
}

func (a *account) openDispute(c call) (dispute, *failure) {
	d, ok := a.disputes.get(c.id)
	if !ok {
		return d, missing("dispute", c.id)
	}
	if !d.open() {
		return d, refuse(http.StatusBadRequest, "", "", "This dispute is already closed")
	}
	return d, nil
}
