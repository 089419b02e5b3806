// Package sandbox is a stateful stand-in for Stripe that speaks Stripe's HTTP
// API: payment intents, refunds, charges, disputes, connected accounts with
// destination charges, events and signed webhooks, in the shapes of the API version
// that stripe-go v76 asks for. It declines, asks for authentication, sends buyers to
// a bank's page, takes its time with bank debits, disputes, delivers webhooks more
// than once and, when told to, late, out of order or not at all, so that the code
// which talks to Stripe meets here what it will meet there. Its page has a button
// for whatever a buyer or a bank may do.
//
// It is not Stripe: no customers, no stored payment methods, no separate transfers
// or payouts; what it does not know it refuses as Stripe refuses an unknown
// parameter or path. It imports neither stripe-mock nor stripe-go; the tests
// hold its answers to both.
//
// Every effect is a line in a journal that is synced before it is answered; the
// journal alone makes the state again after a restart. Only decide-functions
// (intent.go, refund.go) say what happens, and only account.apply changes state.
package sandbox
