package client

import "time"

// SignInPlace says where people sign in, for programs.
type SignInPlace struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"` // of the device flow
}

// NewSession is an ID token that a program got by the device flow.
type NewSession struct {
	IDToken string `json:"id_token"`
}

// Session is somebody who signed in with a program.
type Session struct {
	AccessToken string    `json:"access_token"` // the Person token
	ExpiresAt   time.Time `json:"expires_at"`
	Person      Person    `json:"person"`
}

// Person is who signed in.
type Person struct {
	Issuer    string    `json:"issuer"`
	Subject   string    `json:"subject"`
	Email     string    `json:"email"`
	Name      string    `json:"name,omitempty"`
	ACR       string    `json:"acr,omitempty"`
	Roles     []string  `json:"roles"`
	ExpiresAt time.Time `json:"expires_at"`
}

// MyTickets are the orders and tickets of a person's verified address.
type MyTickets struct {
	Items       []Order  `json:"items"`       // youngest first
	Tickets     []Ticket `json:"tickets"`     // of others' orders, given to the address
	Cells       []string `json:"cells"`       // that were asked
	Unreachable []string `json:"unreachable"` // cells that could not be asked: what they have is not known
}
