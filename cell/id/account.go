package id

import "guichet/control-plane/topology"

// ofOrganizer are the kinds of id that belong to an organizer's account: they carry its
// key, and so lead to the cell where it lives.
type ofOrganizer interface {
	Prefix
	ofOrganizer()
}

type (
	membership struct{}
	invitation struct{}
	apiKey     struct{}
)

func (membership) prefix() string { return "mbr" }
func (invitation) prefix() string { return "inv" }
func (apiKey) prefix() string     { return "key" }
func (membership) ofOrganizer()   {}
func (invitation) ofOrganizer()   {}
func (apiKey) ofOrganizer()       {}

// The kinds of id of an account.
type (
	Membership = Member[membership]
	Invitation = Member[invitation]
	APIKey     = Member[apiKey]
)

// NewMembership makes the id of a person's place among an organizer's members.
func NewMembership(of Organizer) Membership { return newOf[membership](of) }

// NewInvitation makes the id of an invitation to an organizer's members.
func NewInvitation(of Organizer) Invitation { return newOf[invitation](of) }

// NewAPIKey makes the id of an API key of an organizer.
func NewAPIKey(of Organizer) APIKey { return newOf[apiKey](of) }

// APIKeyFrom makes the id of an API key from at least 16 bytes of a digest, the same from the same.
func APIKeyFrom(of Organizer, digest []byte) APIKey {
	return APIKey{key: of.key, own: spell(digest[:topology.MemberRandLen])}
}

func newOf[P ofOrganizer](of Organizer) Member[P] {
	return Member[P]{key: of.key, own: random(topology.MemberRandLen)}
}

// OrganizerOf is the organizer whose account the thing belongs to.
func OrganizerOf[P ofOrganizer](m Member[P]) Organizer { return Organizer{key: m.key} }

// ParseMembership parses a membership's id.
func ParseMembership(s string) (Membership, error) { return parseMember[membership](s) }

// ParseInvitation parses an invitation's id.
func ParseInvitation(s string) (Invitation, error) { return parseMember[invitation](s) }

// ParseAPIKey parses the id of an API key.
func ParseAPIKey(s string) (APIKey, error) { return parseMember[apiKey](s) }
