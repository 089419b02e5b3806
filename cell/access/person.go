package access

import (
	"encoding/json"
	"slices"
	"time"

	"guichet/cell/id"
	"guichet/internal/operator"
	"guichet/internal/signed"
)

const (
	purposePerson     = "per1"
	purposeMembership = "mem1"
)

// Longest lives of what people carry.
const (
	PersonLife     = 12 * time.Hour
	MembershipLife = 15 * time.Minute
)

// Person is somebody who signed in, as the issuer told a cell.
type Person struct {
	Issuer  string    `json:"iss"`
	Subject string    `json:"sub"`             // of the issuer
	Email   string    `json:"email,omitempty"` // verified by the issuer, or empty
	Name    string    `json:"name,omitempty"`
	ACR     string    `json:"acr,omitempty"` // how the person proved who it is
	Session string    `json:"sid"`           // revoked when the session ends
	Roles   []string  `json:"roles,omitempty"`
	Expires time.Time `json:"exp"`
}

// Operates reports whether the issuer says that the person has an operator's role.
func (p Person) Operates(role string) bool {
	return slices.Contains(p.Roles, role) || slices.Contains(p.Roles, operator.Operate)
}

// RevocationID is how the session is named on a list of revocations.
func (p Person) RevocationID() string { return "sid:" + p.Session }

// Membership is what a person is at an organizer, as the organizer's home cell said.
type Membership struct {
	Person    Person       `json:"person"`
	Member    string       `json:"member"` // the member's id
	Organizer id.Organizer `json:"-"`
	Role      Role         `json:"role"`
	Expires   time.Time    `json:"exp"`
}

// wireMembership carries the organizer as text.
type wireMembership struct {
	Membership
	OrganizerID string `json:"org"`
}

// Person signs who somebody is; the life is cut to PersonLife.
func (s *Signer) Person(p Person, now time.Time) string {
	if latest := now.Add(PersonLife); p.Expires.IsZero() || p.Expires.After(latest) {
		p.Expires = latest
	}
	p.Expires = p.Expires.UTC().Truncate(time.Second)
	payload, _ := json.Marshal(p) // has no value that cannot be written
	return s.key.Sign(purposePerson, payload)
}

// VerifyPerson says who somebody is, if one of the keys signed it and it has not ended.
func VerifyPerson(token string, keys signed.Keys, now time.Time) (Person, error) {
	payload, _, err := signed.Open(purposePerson, token, keys)
	if err != nil {
		return Person{}, err
	}
	var p Person
	if json.Unmarshal(payload, &p) != nil || p.Subject == "" || p.Session == "" {
		return Person{}, signed.ErrMalformed.With("the token is damaged")
	}
	if !now.Before(p.Expires) {
		return Person{}, ErrExpired.With("the sign-in ended at %s; sign in again", p.Expires.UTC().Format(time.RFC3339))
	}
	return p, nil
}

// Membership signs what a person is at an organizer that was born at this cell; it ends
// after MembershipLife and never after the person's own sign-in.
func (s *Signer) Membership(m Membership, now time.Time) string {
	if m.Organizer.IsZero() || m.Organizer.Birth() != cellOf(s.key.ID()) {
		panic("access: " + s.key.ID() + " cannot vouch for members of " + m.Organizer.String())
	}
	m.Expires = now.Add(MembershipLife)
	if m.Person.Expires.Before(m.Expires) {
		m.Expires = m.Person.Expires
	}
	m.Expires = m.Expires.UTC().Truncate(time.Second)
	payload, _ := json.Marshal(wireMembership{m, m.Organizer.String()})
	return s.key.Sign(purposeMembership, payload)
}

// VerifyMembership says what somebody is at an organizer. Only the cell where the
// organizer was born vouches for its members (P7).
func VerifyMembership(token string, keys signed.Keys, now time.Time) (Membership, error) {
	payload, kid, err := signed.Open(purposeMembership, token, keys)
	if err != nil {
		return Membership{}, err
	}
	var w wireMembership
	if json.Unmarshal(payload, &w) != nil {
		return Membership{}, signed.ErrMalformed.With("the token is damaged")
	}
	m := w.Membership
	if m.Organizer, err = id.ParseOrganizer(w.OrganizerID); err != nil || !m.Role.Valid() || m.Person.Session == "" {
		return Membership{}, signed.ErrMalformed.With("the token is damaged")
	}
	if m.Organizer.Birth() != cellOf(kid) {
		return Membership{}, signed.ErrBadSignature.With("the token was not signed by the organizer's cell")
	}
	if !now.Before(m.Expires) {
		return Membership{}, ErrExpired.With("the membership token ended at %s; fetch a new one", m.Expires.UTC().Format(time.RFC3339))
	}
	return m, nil
}

// IsPerson and IsMembership say what a bearer claims to be, by its first characters.
func IsPerson(token string) bool { return signed.For(purposePerson, token) }

// IsMembership is IsPerson for memberships.
func IsMembership(token string) bool { return signed.For(purposeMembership, token) }
