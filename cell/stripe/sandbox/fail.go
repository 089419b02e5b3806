package sandbox

import (
	"fmt"
	"net/http"
)

// failure is a request that Stripe refuses.
type failure struct {
	status int
	body   errorBody
	// kept means that the request was carried out and its idempotency key
	// remembers the answer; Stripe forgets requests that fail validation.
	kept bool
	// again is Stripe-Should-Retry.
	again bool
}

const docs = "https://stripe.com/docs/error-codes/"

func refuse(status int, code, param, format string, args ...any) *failure {
	b := errorBody{Type: "invalid_request_error", Code: code, Param: param, Message: fmt.Sprintf(format, args...)}
	if code != "" {
		b.DocURL = docs + dashed(code)
	}
	return &failure{status: status, body: b}
}

func dashed(code string) string {
	b := []byte(code)
	for i := range b {
		if b[i] == '_' {
			b[i] = '-'
		}
	}
	return string(b)
}

func missing(what, id string) *failure {
	param := "id"
	if what == "payment_intent" {
		param = "intent"
	}
	return refuse(http.StatusNotFound, "resource_missing", param, "No such %s: '%.60s'", what, id)
}

func required(param string) *failure {
	return refuse(http.StatusBadRequest, "parameter_missing", param, "Missing required param: %s.", param)
}

func invalid(param, format string, args ...any) *failure {
	return refuse(http.StatusBadRequest, "", param, format, args...)
}

// unexpected is a request that the intent's state does not allow.
func unexpected(in intent, format string, args ...any) *failure {
	f := refuse(http.StatusBadRequest, "payment_intent_unexpected_state", "", format, args...)
	f.body.PaymentIntent, f.kept = in.paymentIntent, true
	return f
}

func apiError(status int, format string, args ...any) *failure {
	return &failure{status: status, again: true, body: errorBody{Type: "api_error", Message: fmt.Sprintf(format, args...)}}
}

// cardRefused is a 402 with the intent as it is afterwards.
func cardRefused(in intent) *failure {
	b := *in.LastPaymentError
	b.PaymentIntent = in.paymentIntent
	return &failure{status: http.StatusPaymentRequired, body: b, kept: true}
}
