package payment

import (
	"math/big"

	"guichet/cell/money"
)

// MaxCharge is the largest amount that one payment takes in most currencies, in minor
// units; see money.ChargeOf for those that have another.
const MaxCharge = 99_999_999

// PlatformShare is our part of an order's total. The rule: the fees that the event
// puts on top of the face value, plus basisPoints of the rest, which the organizer
// bears. The latter is rounded half up to a minor unit, once per order and not per
// ticket; in three-decimal currencies the sum is then rounded down to a step that
// cards know, in the organizer's favour. It is never more than the total.
func PlatformShare(total money.Money, fees, basisPoints int64) int64 {
	fees = min(fees, total.Amount)
	rest := money.Money{Amount: total.Amount - fees, Currency: total.Currency}
	share := min(fees+rest.Portion(basisPoints).Amount, total.Amount)
	return share - share%money.CardStep(total.Currency)
}

// InStep is the part of share that goes back when what was given back of total
// grows from given to given+amount: share·(given+amount)/total − share·given/total,
// each rounded down, so that any sequence of refunds gives the share back exactly.
func InStep(share, given, amount, total int64) int64 {
	if total == 0 {
		return 0
	}
	return portion(share, given+amount, total) - portion(share, given, total)
}

// portion is amount·part/whole, rounded down; the product may need 80 bits.
func portion(amount, part, whole int64) int64 {
	product := new(big.Int).Mul(big.NewInt(amount), big.NewInt(part))
	return product.Quo(product, big.NewInt(whole)).Int64()
}
