// Package wallet makes tickets that a telephone keeps: Apple's signed pass files
// and Google's signed save links. Both need keys that only the operator can have;
// without them there are none. It asks nobody: a pass is a signature over facts.
package wallet

import (
	"time"

	"guichet/internal/kind"
)

// Errors of this room.
var (
	// ErrNotConfigured means that the operator has set up no such wallet.
	ErrNotConfigured = kind.NotFound.New("wallet_not_configured")
	// ErrKeys is returned for keys that cannot sign.
	ErrKeys = kind.Internal.New("wallet_keys_unusable")
)

// Pass is a ticket as a wallet shows it.
type Pass struct {
	Barcode   string
	Serial    string // stable for the ticket, and opens nothing
	EventID   string
	Event     string
	Venue     string
	Address   string
	StartsAt  time.Time
	EndsAt    *time.Time
	TimeZone  string // IANA
	Type      string // of the ticket
	Attendee  string // may be empty
	OrderCode string
	Lat, Lon  float64
	Located   bool
}

// at is a time on the venue's clock, as both wallets want it.
func (p *Pass) at(t time.Time) string {
	loc, err := time.LoadLocation(p.TimeZone)
	if err != nil || p.TimeZone == "" || p.TimeZone == "Local" {
		loc = time.UTC
	}
	return t.In(loc).Format(time.RFC3339)
}
