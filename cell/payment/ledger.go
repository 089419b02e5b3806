package payment

import (
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/internal/kind"
)

// ErrUnbalanced is our own bug: postings that do not sum to zero.
var ErrUnbalanced = kind.Internal.New("ledger_unbalanced")

// Account of the ledger. What we have is positive, what we owe is negative.
type Account string

// The accounts besides the organizers'.
const (
	AtProvider  Account = "provider"      // money the payment provider holds for us
	Fees        Account = "platform_fees" // what we earned
	OwedToBuyer Account = "owed_to_buyer" // refunds that are decided but not sent
)

// OwedTo is the account of what an organizer is owed.
func OwedTo(org id.Organizer) Account { return Account("organizer:" + org.String()) }

// Posting is one line of an entry, in minor units.
type Posting struct {
	Account Account
	Amount  int64
}

// Entry is postings that belong together and sum to zero (P4). Its ID makes it once-only.
type Entry struct {
	ID       string
	Order    id.Order
	Currency string
	Postings []Posting
}

// Check refuses an entry that does not balance.
func (e Entry) Check() error {
	var sum int64
	for _, p := range e.Postings {
		sum += p.Amount
	}
	if sum != 0 {
		return ErrUnbalanced.With("entry %s sums to %d", e.ID, sum)
	}
	return nil
}

// Sale books captured money for an order that is valid: total with its fees.
func Sale(order id.Order, org id.Organizer, total money.Money, fees int64) Entry {
	return Entry{ID: order.String() + ":sale", Order: order, Currency: total.Currency, Postings: []Posting{
		{AtProvider, total.Amount}, {OwedTo(org), -(total.Amount - fees)}, {Fees, -fees},
	}}
}

// Late books captured money for an order that can no longer be valid: it is owed back.
func Late(order id.Order, total money.Money) Entry {
	return Entry{ID: order.String() + ":late", Order: order, Currency: total.Currency, Postings: []Posting{
		{AtProvider, total.Amount}, {OwedToBuyer, -total.Amount},
	}}
}

// Promise books a refund of a sale that was decided: the organizer's and our
// share become the buyer's. fees is our share of amount.
func Promise(refund id.Refund, order id.Order, org id.Organizer, amount money.Money, fees int64) Entry {
	return Entry{ID: refund.String() + ":promise", Order: order, Currency: amount.Currency, Postings: []Posting{
		{OwedTo(org), amount.Amount - fees}, {Fees, fees}, {OwedToBuyer, -amount.Amount},
	}}
}

// Payback books a refund that the provider took.
func Payback(refund id.Refund, order id.Order, amount money.Money) Entry {
	return Entry{ID: refund.String() + ":payback", Order: order, Currency: amount.Currency, Postings: []Posting{
		{OwedToBuyer, amount.Amount}, {AtProvider, -amount.Amount},
	}}
}
