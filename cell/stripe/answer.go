package stripe

import (
	"slices"
	"strings"
	"unicode"

	api "github.com/stripe/stripe-go/v76"

	"guichet/cell/money"
	"guichet/cell/payment"
	"guichet/internal/kind"
)

// ErrAnswer means that Stripe answered something that makes no sense here.
var ErrAnswer = kind.Unavailable.New("payment_answer_not_understood")

// states are Stripe's states of an intent in our words. A declined card leaves
// an intent open for another one, so it is Created with a Decline, not Failed.
var states = map[api.PaymentIntentStatus]payment.State{
	api.PaymentIntentStatusRequiresPaymentMethod: payment.Created,
	api.PaymentIntentStatusRequiresConfirmation:  payment.Created,
	api.PaymentIntentStatusRequiresAction:        payment.Pending,
	api.PaymentIntentStatusProcessing:            payment.Pending,
	api.PaymentIntentStatusRequiresCapture:       payment.Authorized,
	api.PaymentIntentStatusSucceeded:             payment.Captured,
	api.PaymentIntentStatusCanceled:              payment.Canceled,
}

func cancelable(s api.PaymentIntentStatus) bool {
	return slices.Contains([]api.PaymentIntentStatus{
		api.PaymentIntentStatusRequiresPaymentMethod, api.PaymentIntentStatusRequiresConfirmation, api.PaymentIntentStatusRequiresAction,
		api.PaymentIntentStatusRequiresCapture,
	}, s)
}

// checked turns Stripe's intent into ours.
func checked(pi *api.PaymentIntent) (payment.Intent, error) {
	state, ok := states[pi.Status]
	if !ok || !isID(pi.ID, "pi_") || !isCurrency(pi.Currency) {
		return payment.Intent{}, ErrAnswer.With("the intent %.40q is %.40q", pi.ID, string(pi.Status))
	}
	in := payment.Intent{
		ID: pi.ID, ClientSecret: clean(pi.ClientSecret, maxSecret), State: state, OrderID: pi.Metadata["order_id"],
		Amount: fromStripe(pi.Amount, pi.Currency), Received: fromStripe(pi.AmountReceived, pi.Currency).Amount,
	}
	if e := pi.LastPaymentError; e != nil && state == payment.Created {
		in.Decline = declineOf(e)
	}
	return in, nil
}

// declineOf is the bank's reason, or Stripe's where the bank was not asked.
func declineOf(e *api.Error) string {
	for _, code := range []string{string(e.DeclineCode), string(e.Code), string(e.Type)} {
		if code = clean(code, maxCode); code != "" {
			return code
		}
	}
	return "unknown"
}

// Bounds of what is read of Stripe's texts, in characters.
const (
	maxSecret = 300
	maxCode   = 100
	maxSaid   = 1000
)

// clean takes what no text column takes (NUL), and what breaks a line, out of a text of
// Stripe's, and shortens it.
func clean(s string, runes int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return shortened(s, runes)
}

// isCurrency says whether it is written like one.
func isCurrency(c api.Currency) bool {
	return len(c) == 3 && strings.Trim(strings.ToLower(string(c)), "abcdefghijklmnopqrstuvwxyz") == ""
}

func refundOf(re *api.Refund) (payment.Refund, error) {
	r := payment.Refund{ID: re.ID, Amount: fromStripe(re.Amount, re.Currency), Reversed: re.TransferReversal != nil}
	if re.PaymentIntent != nil {
		r.IntentID = re.PaymentIntent.ID
	}
	if !isCurrency(re.Currency) {
		return r, ErrAnswer.With("the refund %.40q is in %.12q", re.ID, string(re.Currency))
	}
	switch re.Status {
	case api.RefundStatusPending, api.RefundStatusRequiresAction:
		r.State = "in_transit"
	case api.RefundStatusSucceeded:
		r.State = "done"
	case api.RefundStatusFailed, api.RefundStatusCanceled:
		r.State = "failed"
	default:
		return r, ErrAnswer.With("the refund %.40q is %.40q", re.ID, string(re.Status))
	}
	return r, nil
}

// Stripe's minor units are ISO 4217's but for these (docs.stripe.com/currencies,
// special cases): two digits that must be zero where ISO has none, and three
// digits of which the last must be zero.
var (
	twoZeros    = []string{"ISK", "UGX"}
	lastIsZero  = []string{"BHD", "JOD", "KWD", "OMR", "TND"}
	mostOfMoney = int64(money.Max)
)

func toStripe(m money.Money) (int64, error) {
	if _, err := money.New(m.Amount, m.Currency); err != nil {
		return 0, err
	}
	if slices.Contains(lastIsZero, m.Currency) && m.Amount%10 != 0 {
		return 0, payment.ErrRefusedByProvider.With("cards are charged in %s in steps of 10 minor units only", m.Currency)
	}
	if slices.Contains(twoZeros, m.Currency) {
		if m.Amount > mostOfMoney/100 {
			return 0, money.ErrAmount.With("the amount is too large")
		}
		return m.Amount * 100, nil
	}
	return m.Amount, nil
}

func fromStripe(amount int64, currency api.Currency) money.Money {
	m := moneyOf(amount, currency)
	if slices.Contains(twoZeros, m.Currency) {
		m.Amount /= 100
	}
	return m
}

func moneyOf(amount int64, currency api.Currency) money.Money {
	return money.Money{Amount: amount, Currency: strings.ToUpper(string(currency))}
}
