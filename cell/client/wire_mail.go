package client

import "time"

// FindTickets asks for a mail with a link to an address's tickets.
type FindTickets struct {
	Email  string `json:"email"`
	Locale string `json:"locale,omitempty"` // BCP 47, of the mail
}

// Accepted says that a mail will be sent if there is reason to.
type Accepted struct {
	Accepted bool `json:"accepted"`
}

// Found are the orders of an address at one cell, and the tickets of others' orders
// that it was given, youngest first.
type Found struct {
	Cell      string    `json:"cell"` // orders of events at home elsewhere are found there
	ExpiresAt time.Time `json:"expires_at"`
	Items     []Order   `json:"items"`
	Tickets   []Ticket  `json:"tickets"`
}

// WalletLink is where a visitor saves a ticket in his wallet.
type WalletLink struct {
	URL string `json:"url"`
}
