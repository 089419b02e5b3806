package client

import (
	"time"

	"guichet/cell/money"
)

// RefundItem is one ticket to be given back.
type RefundItem struct {
	TicketID string `json:"ticket_id"`
}

// Refund is money of an order that goes back, or has gone.
type Refund struct {
	ID     string      `json:"id"`
	Amount money.Money `json:"amount"`
	// State is created (decided, not sent), in_transit, done or failed (the provider
	// refused it, or it did not arrive: it is still owed to the buyer).
	State string `json:"state"`
	// Source is who decided: buyer, organizer, event_cancellation, late_payment, or
	// external for one that a bank or somebody at the provider made.
	Source    string       `json:"source"`
	Reason    string       `json:"reason"`
	Items     []RefundItem `json:"items"` // tickets that were named and went back with it; none of an amount
	CreatedAt time.Time    `json:"created_at"`
}

// Payouts is what an organizer is owed at one cell, by currency.
type Payouts struct {
	OrganizerID string          `json:"organizer_id"`
	Cell        string          `json:"cell"` // an organizer with events at several homes has a statement at each
	Account     *PaymentAccount `json:"payment_account"`
	Balances    []Balance       `json:"balances"`
}

// Balance is one currency of an organizer's statement: owed is sold less refunded,
// lost and paid out, and negative when he owes the platform.
type Balance struct {
	Currency string `json:"currency"`
	// SettledIn is the currency in which the organizer's own account at the provider
	// settles, where it is another: the provider converts at its own rate, for a fee.
	SettledIn string      `json:"settled_in,omitempty"`
	Sold      money.Money `json:"sold"`     // his share of sales, tax included
	Refunded  money.Money `json:"refunded"` // of it, given back
	Lost      money.Money `json:"lost"`     // of it, lost in disputes
	PaidOut   money.Money `json:"paid_out"` // handed on to his own account at the provider, less what was taken back from there
	Owed      money.Money `json:"owed"`
	Tax       money.Money `json:"tax"` // the tax in sold less refunded
}

// PaymentAccount is an organizer's own account at the payment provider.
type PaymentAccount struct {
	StripeAccount string `json:"stripe_account"`
	Country       string `json:"country"`
	Currency      string `json:"currency"`
}

// NewPaymentAccount says where an organizer's share goes; null takes the account away.
type NewPaymentAccount struct {
	StripeAccount *string `json:"stripe_account"`
}

// PaymentPolicy says what becomes of tickets while a bank has their payment in
// question: block, keep, or null for the cell's own policy.
type PaymentPolicy struct {
	OnDispute *string `json:"on_dispute"`
}

// NewReplay says which stored notices of the payment provider are to have their
// effect again: one by its id, or those received since.
type NewReplay struct {
	ID     string     `json:"id,omitempty"`
	Since  *time.Time `json:"since,omitempty"`
	Cursor string     `json:"cursor,omitempty"` // where the answer before ended
}

// Replayed is what a replay did with one notice.
type Replayed struct {
	ID     string `json:"id"`
	Type   string `json:"type"`
	Was    string `json:"was"`             // done, ignored or waiting
	Became string `json:"became"`          // the same; empty when it failed
	Error  string `json:"error,omitempty"` // a problem's code; the notice stays as it was
}
