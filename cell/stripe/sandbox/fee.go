package sandbox

import "strings"

// chargeAndFee asks for an intent with its charge and what Stripe kept of it.
const chargeAndFee = "latest_charge.balance_transaction"

// What the sandbox keeps of each charge, like a European card's price at Stripe.
const (
	feeBasisPoints = 150
	feeFixed       = 25 // minor units
)

// keepFee says on a charge that money came under a balance transaction.
func keepFee(ch *charge) {
	if ch != nil && ch.Captured && ch.BalanceTransfer == nil {
		ch.BalanceTransfer = new("txn_" + strings.TrimPrefix(ch.ID, "ch_"))
	}
}

// movementOf is the balance transaction of a captured charge.
func movementOf(ch charge) movement {
	fee := min(ch.AmountCaptured*feeBasisPoints/10_000+feeFixed, ch.AmountCaptured)
	return movement{
		ID: *ch.BalanceTransfer, Object: "balance_transaction", Amount: ch.AmountCaptured, AvailableOn: ch.Created, BalanceType: "payments", Created: ch.Created,
		Currency: ch.Currency, Fee: fee, Net: ch.AmountCaptured - fee, Reporting: "charge", Source: ch.ID, Status: "available", Type: "charge",
		FeeDetails: []feeDetail{{Amount: fee, Currency: ch.Currency, Description: "Stripe processing fees", Type: "stripe_fee"}},
	}
}
