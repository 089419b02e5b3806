package stripe

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	api "github.com/stripe/stripe-go/v76"

	"guichet/cell/payment"
	"guichet/internal/kind"
)

// failure turns what stripe-go returns into the port's errors. Its own text stays
// in the chain without the objects that Stripe attaches, since those carry
// client secrets.
func failure(err error) error {
	if kind.As(err) != nil {
		return err // ours already
	}
	var e *api.Error
	if !errors.As(err, &e) {
		// No answer, half an answer, or none that is Stripe's: the outcome is unknown.
		if text, _, sample := strings.Cut(err.Error(), ", body sample"); sample {
			return fmt.Errorf("%w: %s)", payment.ErrProviderAway, text)
		}
		return fmt.Errorf("%w: %w", payment.ErrProviderAway, err)
	}
	said := fmt.Sprintf("%d %s %s %s %s: %s", e.HTTPStatusCode, e.Type, e.Code, e.DeclineCode, e.RequestID, e.Msg)
	return fmt.Errorf("%w (%s)", sentinel(e), clean(said, maxSaid))
}

func sentinel(e *api.Error) error {
	switch status := e.HTTPStatusCode; {
	case status == http.StatusTooManyRequests:
		return payment.ErrProviderAway.After(2 * time.Second)
	case status == http.StatusConflict: // the same key is under way
		return payment.ErrProviderAway.After(time.Second)
	case status >= 500 || e.Type == api.ErrorTypeAPI:
		return payment.ErrProviderAway
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		// Our keys are wrong or revoked: nothing about this payment, and the same
		// call works once an operator has put them right.
		return payment.ErrProviderAway.With("the provider does not accept this cell's key")
	case e.Type == api.ErrorTypeIdempotency:
		return ErrKey.With("the key was used for another call")
	case status == http.StatusNotFound || e.Code == api.ErrorCodeResourceMissing:
		return payment.ErrUnknownIntent
	case e.Type == api.ErrorTypeCard:
		return payment.ErrRefusedByProvider.With("%s", clean(e.Msg, 200)).Field("decline_code", declineOf(e))
	case e.Code == "amount_too_small" || e.Code == "amount_too_large": // as where it has to be converted first
		return payment.ErrRefusedByProvider.With("%s", clean(e.Msg, 200))
	default:
		return payment.ErrRefusedByProvider
	}
}

func isUnexpectedState(err error) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Code == api.ErrorCodePaymentIntentUnexpectedState
}
