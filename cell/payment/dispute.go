package payment

import (
	"time"

	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/internal/kind"
)

// ErrDisputed means that a bank has the money of this payment in question: until it
// has decided nobody else gives any of it back.
var ErrDisputed = kind.Conflict.New("payment_disputed")

// DisputeState of a dispute. Won, lost and closed are final.
type DisputeState string

// The states of a dispute.
const (
	DisputeWarning DisputeState = "warning" // an inquiry: no money has moved
	DisputeOpen    DisputeState = "open"
	DisputeWon     DisputeState = "won"
	DisputeLost    DisputeState = "lost"
	DisputeClosed  DisputeState = "closed" // an inquiry that came to nothing
)

// Final reports that the bank has decided.
func (s DisputeState) Final() bool {
	return s == DisputeWon || s == DisputeLost || s == DisputeClosed
}

// Movement is money that a dispute moved at the provider: Amount is negative when
// the bank took it, Fee is what the provider keeps in addition, or gives back.
type Movement struct {
	ID     string // the provider's, "txn_…"
	Amount money.Money
	Fee    int64
}

// Dispute is a buyer's complaint to his bank about a payment.
type Dispute struct {
	ID        string // the provider's, "dp_…" or "du_…"
	IntentID  string
	Order     id.Order
	Organizer id.Organizer
	Amount    money.Money
	State     DisputeState
	Reason    string // the bank's word for it
	Due       time.Time
	Movements []Movement
	Blocked   []id.Ticket // tickets that do not open the door meanwhile
}

// Policy says what becomes of the tickets of a disputed payment until the bank decides.
type Policy string

// The policies.
const (
	Block Policy = "block" // they do not open the door
	Keep  Policy = "keep"  // they stay valid
)

// ParsePolicy reads a policy.
func ParsePolicy(s string) (Policy, bool) {
	return Policy(s), s == string(Block) || s == string(Keep)
}

// See takes in what the provider says now. News may come late and out of order: a
// bank's decision stays, and an inquiry becomes a dispute but not the other way.
// It reports whether the state is another than before.
func (d *Dispute) See(now Dispute) bool {
	d.Movements = now.Movements
	if now.Due.After(d.Due) {
		d.Due = now.Due
	}
	if d.State.Final() || d.State == now.State || d.State == DisputeOpen && now.State == DisputeWarning {
		return false
	}
	d.State = now.State
	return true
}

// Moved books one movement of a dispute, once by its id: the provider took amount
// and fee, and what is disputed waits for the bank. Given back, the signs turn.
func (d *Dispute) Moved(m Movement) Entry {
	return Entry{ID: d.ID + ":" + m.ID, Kind: KindDisputed, Order: d.Order, Currency: m.Amount.Currency}.
		and(AtProvider, Disputes, m.Amount.Amount).and(ProviderFees, AtProvider, m.Fee)
}

// Lose books who bears a lost dispute: like a refund, organizer and platform in
// step with their shares of the sale. given is what was refunded of total before,
// fees our share of total; what the buyer got beyond the total he owes us.
// The provider's fee for the dispute stays with us. It answers the part of the
// loss that was the order's own.
func (d *Dispute) Lose(total, given, fees int64) (Entry, int64) {
	own := min(d.Amount.Amount, total-given)
	ours := InStep(fees, given, own, total)
	return Entry{ID: d.ID + ":lost", Kind: KindLost, Order: d.Order, Currency: d.Amount.Currency}.
		and(OwedTo(d.Organizer), Disputes, own-ours).and(Fees, Disputes, ours).and(Receivable, Disputes, d.Amount.Amount-own), own
}
