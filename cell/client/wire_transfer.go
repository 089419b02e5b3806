package client

import "time"

// NewTransfer gives a ticket to another person.
type NewTransfer struct {
	To Recipient `json:"to"`
}

// Recipient is who a ticket is given to. The ticket is mailed there, and only there.
type Recipient struct {
	Name   string `json:"name"`
	Email  string `json:"email"`
	Locale string `json:"locale,omitempty"` // BCP 47, of the mail; default: the giver's
}

// Transfer is a ticket that was given away. The id is the one that it had: whoever has
// it now has another.
type Transfer struct {
	TicketID string    `json:"ticket_id"`
	EventID  string    `json:"event_id"`
	State    string    `json:"state"` // transferred
	To       Given     `json:"to"`
	At       time.Time `json:"at"`
}

// Given is whom a ticket was given to.
type Given struct {
	Name  string `json:"name"`
	Email string `json:"email"` // masked: z…@example.org
}

// Transferred is what is told of a ticket to who gave it away.
type Transferred struct {
	To string    `json:"to"` // a name
	At time.Time `json:"at"`

	RefundConsent bool `json:"refund_consent,omitempty"` // who has it agreed that its money goes back
}

// TransferPolicy says whether tickets of an event may be given on: allowed or forbidden.
type TransferPolicy struct {
	Transfers string `json:"transfers"`
}
