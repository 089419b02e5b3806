package main

import (
	"net/netip"
	"slices"
	"strings"

	"guichet/cell/api"
	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/internal/config"
	"guichet/internal/limit"
)

// What one address or buyer may do by default, per minute and at once. A carrier's
// gateway hides thousands of buyers behind one address, so addresses get more; a
// buyer who orders ten times in a minute tries cards.
const (
	holdsPerMinute  = 300
	ordersPerMinute = 120
	buyerPerMinute  = 10
	codesPerMinute  = 10
	eventCodes      = 300
	mostPerMinute   = 1_000_000
	mostMails       = 10_000 // as many rows are read to know whether one more may be caused
)

// configureMoney reads what concerns payments, and the limits against abuse.
func (s *settings) configureMoney(r *config.Reader) {
	for method := range strings.SplitSeq(r.Text("GUICHET_STRIPE_METHODS", "card"), ",") {
		method = strings.TrimSpace(method)
		if !slices.Contains([]string{"card", "bancontact", "ideal", "sepa_debit"}, method) {
			r.Fault("GUICHET_STRIPE_METHODS", "has %q, which is none of card, bancontact, ideal and sepa_debit", method)
		}
		s.Methods = append(s.Methods, method)
	}
	s.BasisPoints = int64(r.Int("GUICHET_PLATFORM_FEE_BASIS_POINTS", 0, 0, 10_000))
	var ok bool
	if s.OnDispute, ok = payment.ParsePolicy(r.Text("GUICHET_ON_DISPUTE", string(payment.Block))); !ok {
		r.Fault("GUICHET_ON_DISPUTE", "is neither block nor keep")
	}
	rate := func(name string, def int) limit.Rate {
		n := r.Int(name, def, 1, mostPerMinute)
		return limit.Rate{PerMinute: n, Burst: n}
	}
	limits := api.Limits{
		Holds:  rate("GUICHET_LIMIT_HOLDS_PER_MINUTE", holdsPerMinute),   // per address
		Orders: rate("GUICHET_LIMIT_ORDERS_PER_MINUTE", ordersPerMinute), // per address
		Buyer:  rate("GUICHET_LIMIT_BUYER_PER_MINUTE", buyerPerMinute),   // orders per e-mail address

		Codes:      rate("GUICHET_LIMIT_CODES_PER_MINUTE", codesPerMinute),   // wrong ones per address
		EventCodes: rate("GUICHET_LIMIT_EVENT_CODES_PER_MINUTE", eventCodes), // wrong ones per event
	}
	mails := notify.Caps{
		PerHour: r.Int("GUICHET_LIMIT_MAILS_PER_HOUR", notify.DefaultCaps.PerHour, 1, mostMails),
		PerDay:  r.Int("GUICHET_LIMIT_MAILS_PER_DAY", notify.DefaultCaps.PerDay, 1, mostMails),
	}
	if r.Bool("GUICHET_LIMITS", true) {
		s.Limits, s.Mails = limits, mails
	}
	for text := range strings.SplitSeq(r.Text("GUICHET_TRUSTED_ROUTERS", "127.0.0.0/8,::1/128"), ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil {
			r.Fault("GUICHET_TRUSTED_ROUTERS", "has %q, which is no network like 10.0.0.0/8", strings.TrimSpace(text))
			continue
		}
		s.Limits.Trusted = append(s.Limits.Trusted, p)
	}
}
