package client

import (
	"encoding/json"
	"time"
)

// Member is a person's place at an organizer.
type Member struct {
	ID      string    `json:"id"`
	Email   string    `json:"email"`
	Name    string    `json:"name"`
	Role    string    `json:"role"` // owner, admin, events, orders, finance, door or reader
	AddedAt time.Time `json:"added_at"`
	AddedBy string    `json:"added_by"` // id of a member or an API key
}

// PutMember gives a member another role.
type PutMember struct {
	Role string `json:"role"`
}

// NewInvitation asks the owner of an address to become a member.
type NewInvitation struct {
	Email  string `json:"email"`
	Role   string `json:"role"`
	Locale string `json:"locale,omitempty"` // of the mail, BCP 47
}

// Invitation is an invitation without its token, which goes by mail alone.
type Invitation struct {
	ID        string    `json:"id"`
	Email     string    `json:"email"`
	Role      string    `json:"role"`
	State     string    `json:"state"` // open, accepted, withdrawn or expired
	InvitedAt time.Time `json:"invited_at"`
	InvitedBy string    `json:"invited_by"` // id of a member or an API key
	ExpiresAt time.Time `json:"expires_at"`
	MemberID  string    `json:"member_id,omitempty"` // who accepted it
}

// AcceptInvitation carries the token of the mail.
type AcceptInvitation struct {
	Token string `json:"token"`
}

// Joined is where an invitation led.
type Joined struct {
	OrganizerID string `json:"organizer_id"`
	Member      Member `json:"member"`
}

// MembershipToken shows at every cell what a person is at an organizer.
type MembershipToken struct {
	OrganizerID string    `json:"organizer_id"`
	MemberID    string    `json:"member_id"`
	Role        string    `json:"role"`
	Token       string    `json:"token"`
	ExpiresAt   time.Time `json:"expires_at"`
}

// Security is how members of an organizer must sign in; empty demands nothing.
type Security struct {
	RequiredACR *string `json:"required_acr" in:"notnull"`
}

// NewAPIKey asks for an API key with either a role or permissions.
type NewAPIKey struct {
	Name        string     `json:"name"`
	Role        string     `json:"role,omitempty"`
	Permissions []string   `json:"permissions,omitempty"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"` // default and latest: 400 days from now
}

// RotateAPIKey says how long the old key goes on beside the new one.
type RotateAPIKey struct {
	GraceS *int64 `json:"grace_s" in:"notnull"` // seconds, at most 7 days; 0 ends it at once
}

// APIKey is an API key of an organizer.
type APIKey struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Role        string    `json:"role,omitempty"`
	Permissions []string  `json:"permissions,omitempty"`
	State       string    `json:"state"` // live, replaced, revoked or expired
	CreatedAt   time.Time `json:"created_at"`
	CreatedBy   string    `json:"created_by"` // id of a member, an API key or an operator's token
	ExpiresAt   time.Time `json:"expires_at"`
	EndsAt      time.Time `json:"ends_at"` // sooner than expires_at when it was rotated or revoked
	ReplacedBy  string    `json:"replaced_by,omitempty"`
	APIKey      string    `json:"api_key,omitempty"` // its text, only in the answer that made it
}

// AuditEntry is one change by a person, a key or an operator.
type AuditEntry struct {
	ID          string          `json:"id"`
	At          time.Time       `json:"at"`
	Actor       AuditActor      `json:"actor"`
	Action      string          `json:"action"` // the call's operationId in openapi.json
	Object      AuditObject     `json:"object"`
	OrganizerID string          `json:"organizer_id,omitempty"`
	EventID     string          `json:"event_id,omitempty"`
	Before      json.RawMessage `json:"before,omitempty"` // the members that changed
	After       json.RawMessage `json:"after,omitempty"`
	RequestID   string          `json:"request_id"`
	Address     string          `json:"address,omitempty"` // its network only
}

// AuditActor is who did something.
type AuditActor struct {
	Kind string `json:"kind"` // person, key, operator, system or buyer
	ID   string `json:"id"`
	Name string `json:"name"`
}

// AuditObject is what something was done to.
type AuditObject struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}
