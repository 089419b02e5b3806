package payment

import (
	"slices"

	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/internal/kind"
)

// ErrUnbalanced is our own bug: postings that do not sum to zero.
var ErrUnbalanced = kind.Internal.New("ledger_unbalanced")

// Account of the ledger. What we have, or are owed, is positive; what we owe, or
// have earned, is negative.
type Account string

// The accounts besides the organizers'.
const (
	AtProvider   Account = "provider"         // clearing: money the payment provider holds for us
	Receivable   Account = "buyer_receivable" // what a buyer has got twice and owes us
	Fees         Account = "platform_fees"    // what we earned
	ProviderFees Account = "provider_fees"    // what the provider charged us
	OwedToBuyer  Account = "owed_to_buyer"    // refunds that are decided but not sent
	Disputes     Account = "disputes"         // money that a bank took back and that is not decided
)

// OwedTo is the account of what an organizer is owed.
func OwedTo(org id.Organizer) Account { return Account("organizer:" + org.String()) }

// TaxOf is the account of the tax in an organizer's sales. It is paid out to him
// with his share, and is his to hand on.
func TaxOf(org id.Organizer) Account { return Account("tax:" + org.String()) }

// Kind says what an entry is about.
type Kind string

// The kinds of entries.
const (
	KindSale        Kind = "sale"         // captured money bought tickets
	KindLate        Kind = "late"         // captured money came when there was nothing to sell
	KindPromise     Kind = "promise"      // a refund was decided
	KindPayback     Kind = "payback"      // a refund was sent
	KindDisputed    Kind = "disputed"     // a bank took money back, or gave it back to us
	KindLost        Kind = "dispute_lost" // a dispute was lost, and who bears it
	KindOnward      Kind = "onward"       // handed on to the organizer's own account
	KindProviderFee Kind = "provider_fee" // what the provider keeps of a payment
)

// Posting is one line of an entry, in minor units.
type Posting struct {
	Account Account
	Amount  int64
}

// Entry is postings that belong together and sum to zero (P4). Its ID makes it once-only.
type Entry struct {
	ID       string
	Kind     Kind
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

// and adds a pair of lines: amount to one account and from another. Nothing adds nothing.
func (e Entry) and(to, from Account, amount int64) Entry {
	if amount != 0 {
		e.Postings = append(slices.Clip(e.Postings), Posting{to, amount}, Posting{from, -amount})
	}
	return e
}

// Sale books captured money for an order that is valid: total with our fees in it.
func Sale(order id.Order, org id.Organizer, total money.Money, fees int64) Entry {
	return Entry{ID: order.String() + ":sale", Kind: KindSale, Order: order, Currency: total.Currency, Postings: []Posting{
		{AtProvider, total.Amount}, {OwedTo(org), -(total.Amount - fees)}, {Fees, -fees},
	}}
}

// Late books captured money for an order that can no longer be valid: it is owed back.
func Late(order id.Order, total money.Money) Entry {
	return Entry{ID: order.String() + ":late", Kind: KindLate, Order: order, Currency: total.Currency, Postings: []Posting{
		{AtProvider, total.Amount}, {OwedToBuyer, -total.Amount},
	}}
}

// Promise books a refund of a sale that was decided: the organizer's and our
// share become the buyer's. fees is our share of amount.
func Promise(refund id.Refund, order id.Order, org id.Organizer, amount money.Money, fees int64) Entry {
	return Entry{ID: refund.String() + ":promise", Kind: KindPromise, Order: order, Currency: amount.Currency, Postings: []Posting{
		{OwedTo(org), amount.Amount - fees}, {Fees, fees}, {OwedToBuyer, -amount.Amount},
	}}
}

// Payback books a refund that the provider took.
func Payback(refund id.Refund, order id.Order, amount money.Money) Entry {
	return Entry{ID: refund.String() + ":payback", Kind: KindPayback, Order: order, Currency: amount.Currency, Postings: []Posting{
		{OwedToBuyer, amount.Amount}, {AtProvider, -amount.Amount},
	}}
}

// Taxed moves the tax of a sale out of the organizer's share; in a promise tax is
// negative: it comes back.
func (e Entry) Taxed(org id.Organizer, tax int64) Entry { return e.and(OwedTo(org), TaxOf(org), tax) }

// Onward books what the provider hands on to the organizer's own account at once,
// with the destination charge that an entry books; negative, what it takes back
// from there with a refund. Of nothing it is an entry without postings.
func (e Entry) Onward(org id.Organizer, amount int64) Entry {
	return Entry{ID: e.ID + ":onward", Kind: KindOnward, Order: e.Order, Currency: e.Currency}.and(OwedTo(org), AtProvider, amount)
}

// ChargeFee books what the provider keeps of a payment for its work.
func ChargeFee(order id.Order, fee money.Money) Entry {
	return Entry{ID: order.String() + ":provider_fee", Kind: KindProviderFee, Order: order, Currency: fee.Currency}.and(ProviderFees, AtProvider, fee.Amount)
}

// Arrived books a refund that somebody made at the provider as one that was owed: provider
// is its id there, which makes it once-only. What it gave beyond what was owed the buyer
// owes us.
func Arrived(provider string, order id.Order, amount money.Money, owed int64) Entry {
	owed = min(owed, amount.Amount)
	return Entry{ID: provider + ":payback", Kind: KindPayback, Order: order, Currency: amount.Currency}.
		and(OwedToBuyer, AtProvider, owed).and(Receivable, AtProvider, amount.Amount-owed)
}

// CameBack books a refund that was sent and did not reach its buyer: the provider has the
// money again, and it is still owed.
func CameBack(refund id.Refund, order id.Order, amount money.Money) Entry {
	return Entry{ID: refund.String() + ":came_back", Kind: KindPayback, Order: order, Currency: amount.Currency}.
		and(AtProvider, OwedToBuyer, amount.Amount)
}
