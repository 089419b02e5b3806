package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"strings"
	"time"

	"guichet/cell/access"
	"guichet/cell/api"
	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/cell/smtp"
	"guichet/cell/ticket"
	"guichet/control-plane/topology"
	"guichet/geo"
	"guichet/internal/config"
	"guichet/internal/httpd"
	"guichet/internal/mtls"
	"guichet/internal/natsd"
	"guichet/internal/signed"
	"guichet/internal/sqldb"
)

// settings is what the environment says of this process.
type settings struct {
	Cell         topology.CellID     // GUICHET_CELL
	Region       string              // GUICHET_REGION, the provider's name
	Residency    string              // GUICHET_RESIDENCY, for organizers to read
	AtHome       bool                // GUICHET_REQUIRE_LOCALITY: join the town only when the database proves that all rows are in the region
	Listen       string              // GUICHET_LISTEN
	Private      string              // GUICHET_PRIVATE_LISTEN: metrics and readiness
	Notice       time.Duration       // GUICHET_DRAIN_NOTICE: how long requests are still taken after readiness is gone
	TLS          mtls.Files          // GUICHET_TLS_CERT, GUICHET_TLS_KEY, GUICHET_TLS_CA
	PublicURL    string              // GUICHET_PUBLIC_URL, where routers reach this process
	Database     string              // GUICHET_DATABASE_URL
	MaxConns     int                 // GUICHET_DATABASE_CONNECTIONS
	StateDir     string              // GUICHET_STATE_DIR: index, JetStream, topology
	Leaf         bool                // GUICHET_LEAF: whether this process runs the cell's leaf
	Hub          string              // GUICHET_HUB_URL
	NKeySeed     string              // GUICHET_NKEY_SEED, with which the leaf proves itself at the hub
	NKey         string              // its public half
	ControlPlane string              // GUICHET_CONTROL_PLANE
	JoinToken    string              // GUICHET_JOIN_TOKEN: of the invitation with which this cell joins; may be empty when it has joined
	ControlKeys  []ed25519.PublicKey // GUICHET_CONTROL_KEY: the control plane's public key; two while it changes
	Access       *access.Signer      // GUICHET_ACCESS_SEED, _KEY_NUMBER, _PREVIOUS, _PREVIOUS_SEED
	People       peopleSettings      // GUICHET_OIDC_…
	Shop         shopSettings        // GUICHET_IMPRINT_…
	OldKey       *signed.Key         // the access key before, while it is changed
	StripeURL    string              // GUICHET_STRIPE_URL; empty is Stripe itself
	StripeKey    string              // GUICHET_STRIPE_SECRET_KEY
	StripePublic string              // GUICHET_STRIPE_PUBLISHABLE_KEY
	StripeHook   string              // GUICHET_STRIPE_WEBHOOK_SECRET
	Seed         []byte              // GUICHET_SIGNING_SEED, 64 hex digits
	KeyNumber    int                 // GUICHET_SIGNING_KEY_NUMBER, which of the cell's keys the seed is
	Previous     []topology.Key      // GUICHET_SIGNING_PREVIOUS, public halves of retired keys
	SMTP         string              // GUICHET_SMTP_URL; empty keeps mails unsent
	MailFrom     string              // GUICHET_MAIL_FROM
	Site         string              // GUICHET_SITE_URL, where buyers reach the town
	Wallets      walletSettings      // GUICHET_WALLET_NAME, GUICHET_APPLE_…, GUICHET_GOOGLE_…
	HoldTTL      time.Duration       // GUICHET_HOLD_TTL
	Window       time.Duration       // GUICHET_PAYMENT_WINDOW
	Manual       bool                // GUICHET_CAPTURE_LATER: cards are authorized, and charged once the stock is confirmed
	Methods      []string            // GUICHET_STRIPE_METHODS: card, bancontact, ideal, sepa_debit
	BasisPoints  int64               // GUICHET_PLATFORM_FEE_BASIS_POINTS of the organizer's share
	OnDispute    payment.Policy      // GUICHET_ON_DISPUTE: block or keep
	Mails        notify.Caps         // GUICHET_LIMIT_MAILS_PER_HOUR, GUICHET_LIMIT_MAILS_PER_DAY; zero with GUICHET_LIMITS=off
	Limits       api.Limits          // GUICHET_LIMITS, GUICHET_LIMIT_…, GUICHET_TRUSTED_ROUTERS
	Origins      []string            // GUICHET_CORS_ORIGINS: of other sites' pages that may make attendees' calls
}

// configureBarcodes reads with what barcodes are signed.
func (s *settings) configureBarcodes(r *config.Reader) {
	seed, err := hex.DecodeString(strings.TrimSpace(r.Required("GUICHET_SIGNING_SEED", "64 hex digits of this cell's Ed25519 key")))
	if err != nil || len(seed) != 0 && len(seed) != ticket.SeedSize {
		r.Fault("GUICHET_SIGNING_SEED", "is not 64 hex digits")
	}
	s.Seed = seed
	if s.Previous, err = ticket.ParsePrevious(r.Text("GUICHET_SIGNING_PREVIOUS", "")); err != nil {
		r.Fault("GUICHET_SIGNING_PREVIOUS", "is not a list of retired public keys: %s", err.Error())
	}
}

func configure(getenv func(string) string) (settings, error) {
	r := config.New(getenv)
	s := settings{
		Region:       r.Required("GUICHET_REGION", "the provider's region, like eu-west-3"),
		Listen:       r.Text("GUICHET_LISTEN", "127.0.0.1:8101"),
		Private:      r.Text("GUICHET_PRIVATE_LISTEN", "127.0.0.1:9101"),
		Notice:       r.Duration("GUICHET_DRAIN_NOTICE", httpd.DefaultNotice),
		TLS:          mtls.Settings(r),
		Database:     r.Required("GUICHET_DATABASE_URL", "the URL of this cell's own PostgreSQL or CockroachDB database"),
		AtHome:       r.Bool("GUICHET_REQUIRE_LOCALITY", false),
		MaxConns:     r.Int("GUICHET_DATABASE_CONNECTIONS", sqldb.DefaultMaxConns, 4, 1000),
		StateDir:     r.Required("GUICHET_STATE_DIR", "a directory for the search index and the leaf"),
		Leaf:         r.Bool("GUICHET_LEAF", true),
		Hub:          r.URL("GUICHET_HUB_URL", ""),
		NKeySeed:     strings.TrimSpace(r.Text("GUICHET_NKEY_SEED", "")),
		ControlPlane: r.URL("GUICHET_CONTROL_PLANE", ""),
		JoinToken:    r.Text("GUICHET_JOIN_TOKEN", ""),
		StripeURL:    r.URL("GUICHET_STRIPE_URL", ""),
		StripeKey:    r.Required("GUICHET_STRIPE_SECRET_KEY", "the secret key of this cell's Stripe account"),
		StripePublic: r.Required("GUICHET_STRIPE_PUBLISHABLE_KEY", "its publishable key"),
		StripeHook:   r.Required("GUICHET_STRIPE_WEBHOOK_SECRET", "the signing secret of its webhook endpoint"),
		KeyNumber:    r.Int("GUICHET_SIGNING_KEY_NUMBER", 1, 1, 99999),
		SMTP:         r.Text("GUICHET_SMTP_URL", ""),
		MailFrom:     r.Text("GUICHET_MAIL_FROM", "Guichet <tickets@localhost>"),
		Wallets:      configureWallets(r),
		People:       configurePeople(r),
		Shop:         configureShop(r),
		HoldTTL:      r.Duration("GUICHET_HOLD_TTL", booking.DefaultHoldTTL),
		Window:       r.Duration("GUICHET_PAYMENT_WINDOW", checkout.DefaultWindow),
		Manual:       r.Bool("GUICHET_CAPTURE_LATER", true),
	}
	s.configureMoney(r)
	s.Origins = httpd.Origins(r)
	cell, err := topology.ParseCell(r.Required("GUICHET_CELL", "the name of this cell, like euw3"))
	if err != nil {
		r.Fault("GUICHET_CELL", "is not a cell name like euw3")
	}
	s.Cell = cell
	s.configureAccess(r)
	if s.ControlPlane+s.Hub != "" && len(s.ControlKeys) == 0 {
		r.Fault("GUICHET_CONTROL_KEY", "is not set: the control plane's public key, with which it signs the topology")
	}
	scheme := "http://"
	if s.TLS.On() {
		scheme = "https://"
	}
	s.PublicURL = r.URL("GUICHET_PUBLIC_URL", scheme+s.Listen)
	if region, ok := geo.RegionByCode(s.Region); ok {
		s.Residency = r.Text("GUICHET_RESIDENCY", "Orders and personal data are stored in "+region.City+", "+region.Country+" ("+region.Code+") only.")
	} else if s.Region != "" {
		r.Fault("GUICHET_REGION", "is not a known region; geo/regions.go lists them")
	}
	s.configureBarcodes(r)
	if s.SMTP != "" {
		if _, err := smtp.New(s.SMTP, s.MailFrom); err != nil {
			r.Fault("GUICHET_SMTP_URL", "or GUICHET_MAIL_FROM cannot be used: %s", err.Error())
		}
	}
	s.Site = strings.TrimRight(r.URL("GUICHET_SITE_URL", s.PublicURL), "/")
	if s.NKeySeed != "" {
		if s.NKey, err = natsd.PublicNKey(s.NKeySeed); err != nil {
			r.Fault("GUICHET_NKEY_SEED", "cannot be used: %s", err.Error())
		}
	} else if s.Leaf && s.Hub != "" {
		r.Fault("GUICHET_NKEY_SEED", "is missing: the hub lets no leaf in without an nkey")
	}
	if booking.MaxHoldLife <= s.HoldTTL {
		r.Fault("GUICHET_HOLD_TTL", "must be shorter than the longest life of a hold, %s", booking.MaxHoldLife)
	}
	return s, r.Err()
}
