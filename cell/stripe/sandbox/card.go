package sandbox

import "strings"

// card is one of Stripe's test cards and how it behaves, or another method of payment.
type card struct {
	kind                            string // "" is a card, else Stripe's type of the method
	brand, number, country, funding string

	code, decline, message string // how a charge is refused, "" if it is not
	authenticate           bool   // the buyer must approve first
	delayed                bool   // the bank takes its time, and then says code
	disputed               string // the reason of the dispute that follows the payment, "" for none
	inquiry                bool   // the dispute is an inquiry only
}

const year = 2040 // the test cards' expiry, but for the card that tests expiry at the bank

var (
	visa       = card{brand: "visa", number: "4242424242424242"}
	mastercard = card{brand: "mastercard", number: "5555555555554444"}
)

// cards are Stripe's test payment methods (docs.stripe.com/testing), by token.
var cards = map[string]card{
	"pm_card_visa":             visa,
	"pm_card_visa_debit":       {brand: "visa", number: "4000056655665556", funding: "debit"},
	"pm_card_mastercard":       mastercard,
	"pm_card_mastercard_debit": {brand: "mastercard", number: "5200828282828210", funding: "debit"},
	"pm_card_amex":             {brand: "amex", number: "378282246310005"},
	"pm_card_discover":         {brand: "discover", number: "6011111111111117"},
	"pm_card_diners":           {brand: "diners", number: "3056930009020004"},
	"pm_card_jcb":              {brand: "jcb", number: "3566002020360505"},
	"pm_card_unionpay":         {brand: "unionpay", number: "6200000000000005"},

	"pm_card_visa_chargeDeclined":                  declined(visa, "4000000000000002", "card_declined", "generic_decline"),
	"pm_card_visa_chargeDeclinedInsufficientFunds": declined(visa, "4000000000009995", "card_declined", "insufficient_funds"),
	"pm_card_visa_chargeDeclinedLostCard":          declined(visa, "4000000000009987", "card_declined", "lost_card"),
	"pm_card_visa_chargeDeclinedStolenCard":        declined(visa, "4000000000009979", "card_declined", "stolen_card"),
	"pm_card_visa_chargeDeclinedFraudulent":        declined(visa, "4100000000000019", "card_declined", "fraudulent"),
	"pm_card_chargeDeclinedExpiredCard":            declined(visa, "4000000000000069", "expired_card", "expired_card"),
	"pm_card_chargeDeclinedIncorrectCvc":           declined(visa, "4000000000000127", "incorrect_cvc", "incorrect_cvc"),
	"pm_card_chargeDeclinedProcessingError":        declined(visa, "4000000000000119", "processing_error", "processing_error"),
	"pm_card_chargeDeclinedVelocityLimitExceeded":  declined(visa, "4000000000006975", "card_declined", "card_velocity_exceeded"),
	"pm_card_createDispute":                        disputed(visa, "4000000000000259", "fraudulent", false),
	"pm_card_createDisputeProductNotReceived":      disputed(visa, "4000000000002685", "product_not_received", false),
	"pm_card_createDisputeInquiry":                 disputed(visa, "4000000000001976", "fraudulent", true),
	"pm_card_authenticationRequired":               authenticated(visa, "4000002760003184"),
	"pm_card_threeDSecure2Required":                authenticated(visa, "4000000000003220"),
	"pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": authenticated(
		declined(visa, "", "card_declined", "insufficient_funds"), "4000008260003178",
	),

	// Stripe knows these by payment_method_data only; the names are the sandbox's own.
	"pm_sandbox_ideal":            {kind: "ideal", authenticate: true},
	"pm_sandbox_bancontact":       {kind: "bancontact", authenticate: true},
	"pm_sandbox_sepa_debit":       {kind: "sepa_debit", delayed: true, number: "AT321904300235473204", country: "AT"},
	"pm_sandbox_sepa_debit_fails": {kind: "sepa_debit", delayed: true, number: "AT861904300235473202", country: "AT", code: "payment_intent_payment_attempt_failed", message: "The payment failed."},
}

// aliases are further names that Stripe gives the same cards.
var aliases = map[string]string{
	"pm_card_us":             "pm_card_visa",
	"pm_card_chargeDeclined": "pm_card_visa_chargeDeclined",

	"pm_card_chargeDeclinedInsufficientFunds":    "pm_card_visa_chargeDeclinedInsufficientFunds",
	"pm_card_chargeDeclinedLostCard":             "pm_card_visa_chargeDeclinedLostCard",
	"pm_card_chargeDeclinedStolenCard":           "pm_card_visa_chargeDeclinedStolenCard",
	"pm_card_chargeDeclinedFraudulent":           "pm_card_visa_chargeDeclinedFraudulent",
	"pm_card_radarBlock":                         "pm_card_visa_chargeDeclinedFraudulent",
	"pm_card_visa_chargeDeclinedExpiredCard":     "pm_card_chargeDeclinedExpiredCard",
	"pm_card_visa_chargeDeclinedIncorrectCvc":    "pm_card_chargeDeclinedIncorrectCvc",
	"pm_card_visa_chargeDeclinedProcessingError": "pm_card_chargeDeclinedProcessingError",
	"pm_card_authenticationRequiredOnSetup":      "pm_card_authenticationRequired",
	"pm_card_threeDSecureRequired":               "pm_card_threeDSecure2Required",
}

func declined(c card, number, code, decline string) card {
	c.number, c.code, c.decline = number, code, decline
	c.message = messages[decline]
	if c.message == "" {
		c.message = "Your card was declined."
	}
	return c
}

func disputed(c card, number, reason string, inquiry bool) card {
	c.number, c.disputed, c.inquiry = number, reason, inquiry
	return c
}

func authenticated(c card, number string) card {
	c.number, c.authenticate = number, true
	return c
}

// messages are what Stripe tells a buyer.
var messages = map[string]string{
	"insufficient_funds":     "Your card has insufficient funds.",
	"expired_card":           "Your card has expired.",
	"incorrect_cvc":          "Your card's security code is incorrect.",
	"processing_error":       "An error occurred while processing your card. Try again in a little bit.",
	"card_velocity_exceeded": "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
}

// cardByToken finds a card by pm_card_…, tok_… or its number.
func cardByToken(token string) (string, card, bool) {
	if rest, ok := strings.CutPrefix(token, "tok_"); ok {
		token = "pm_card_" + rest
	}
	if name, ok := aliases[token]; ok {
		token = name
	}
	if c, ok := cards[token]; ok {
		return token, c, true
	}
	number := strings.NewReplacer(" ", "", "-", "").Replace(token)
	for name, c := range cards {
		if c.number == number && number != "" {
			return name, c, true
		}
	}
	return "", card{}, false
}

func (c card) details() *cardDetails {
	d := &cardDetails{Brand: c.brand, Country: c.country, Funding: c.funding, Last4: c.number[len(c.number)-4:], ExpMonth: 12, ExpYear: year}
	if d.Country == "" {
		d.Country = "US"
	}
	if d.Funding == "" {
		d.Funding = "credit"
	}
	return d
}

// method is the card as a payment method of an intent.
func (c card) method(in intent) *paymentMethod {
	if in.PaymentMethod == nil {
		return nil
	}
	return &paymentMethod{
		ID: *in.PaymentMethod, Object: "payment_method", Type: c.typeName(), Created: in.Created,
		Billing: billing{Email: in.ReceiptEmail}, byType: c.byType(), Metadata: map[string]string{},
	}
}
