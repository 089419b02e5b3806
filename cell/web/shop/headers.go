package shop

import (
	"net/http"
	"net/url"
)

// headers are those that every page has.
type headers struct {
	policy string // Content-Security-Policy
	pays   string // of pages that take a card
}

// stripeHosts are what Stripe's Payment Element needs
// (docs.stripe.com/security/guide#content-security-policy).
const (
	stripeScript  = "https://js.stripe.com"
	stripeConnect = "https://api.stripe.com"
	stripeFrames  = "https://js.stripe.com https://hooks.stripe.com"
)

func newHeaders(paymentURL string) headers {
	const common = "default-src 'none'; style-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; img-src 'self'"
	own := common + "; script-src 'self'; connect-src 'self'; frame-ancestors 'none'"
	h := headers{policy: own}
	if u, err := url.Parse(paymentURL); err == nil && u.Host != "" {
		h.pays = common + "; script-src 'self'; connect-src 'self' " + u.Scheme + "://" + u.Host + "; frame-ancestors 'none'"
		return h
	}
	h.pays = common + "; script-src 'self' " + stripeScript + "; connect-src 'self' " + stripeConnect + "; frame-src " + stripeFrames + "; frame-ancestors 'none'"
	return h
}

// common sets what every answer has.
func (c headers) common(h http.Header) {
	h.Set("Content-Security-Policy", c.policy)
	h.Set("Referrer-Policy", "same-origin") // with no-referrer a form would name no origin
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "geolocation=(self), camera=(), microphone=(), payment=(self)")
}

// private sets what an answer has that is nobody else's.
func (c headers) private(h http.Header, pays bool) {
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Cookie, Accept-Language")
	h.Set("X-Robots-Tag", "noindex")
	if pays {
		h.Set("Content-Security-Policy", c.pays)
	}
}
