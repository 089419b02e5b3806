// Package account is who may do what at an organizer: its members with their roles,
// invitations, API keys, and whether it demands a second factor. An account lives at the
// cell where its organizer was born. Its decisions are pure: they take the whole account
// as it stands behind its lock, and leave what changed in Changes; only this room decides
// about it, and only the store writes it.
//
// It knows no HTTP, no issuer and no mail: who signed in is said by cell/access, and what a
// role allows by cell/access too.
package account

import (
	"slices"
	"strings"
	"time"

	"guichet/cell/access"
	"guichet/cell/id"
	"guichet/internal/kind"
)

// Limits of an account.
const (
	// MaxMembers is how many members an organizer has.
	MaxMembers = 500
	// MaxOpenInvitations is how many invitations of an organizer may wait for an answer.
	MaxOpenInvitations = 100
	// MaxInvitations is how many an organizer makes within InvitationWindow: each is a
	// mail to an address of its choice.
	MaxInvitations   = 200
	InvitationWindow = 24 * time.Hour
	// InvitationLife is how long an invitation can be accepted.
	InvitationLife = 7 * 24 * time.Hour
	// MaxKeys is how many API keys of an organizer have not expired, those that are
	// revoked included: they bound what it can add to the list of revocations.
	MaxKeys = 100
	// MaxKeyLife is how long an API key lasts at most, and when nothing is said: so a
	// revocation can be forgotten one day.
	MaxKeyLife = 400 * 24 * time.Hour
	// MaxGrace is how long a key that was rotated goes on beside the new one.
	MaxGrace = 7 * 24 * time.Hour
	// Kept is how long removed members, ended invitations and expired keys are still
	// listed for the account; the audit log knows them longer.
	Kept = 30 * 24 * time.Hour
	// MaxName is the length of a name in characters, MaxEmail that of an address in bytes.
	MaxName  = 200
	MaxEmail = 254
	// MaxACR is the length of an authentication context class in bytes.
	MaxACR = 200
	// maxIdentity bounds an issuer and a subject, in bytes: OpenID Connect gives a subject 255.
	maxIdentity = 512
)

// Refusals of this room.
var (
	ErrNotMember           = kind.Forbidden.New("not_a_member")
	ErrForbidden           = kind.Forbidden.New("forbidden")
	ErrSecondFactor        = kind.Forbidden.New("second_factor_required")
	ErrOtherAddress        = kind.Forbidden.New("other_address")
	ErrMemberNotFound      = kind.NotFound.New("member_not_found")
	ErrInvitationNotFound  = kind.NotFound.New("invitation_not_found")
	ErrKeyNotFound         = kind.NotFound.New("api_key_not_found")
	ErrLastOwner           = kind.Conflict.New("last_owner")
	ErrAlreadyMember       = kind.Conflict.New("already_a_member")
	ErrAlreadyInvited      = kind.Conflict.New("already_invited")
	ErrKeyEnded            = kind.Conflict.New("api_key_ended")
	ErrInvalidMember       = kind.Invalid.New("invalid_member")
	ErrInvalidInvitation   = kind.Invalid.New("invalid_invitation")
	ErrInvalidKey          = kind.Invalid.New("invalid_api_key")
	ErrInvalidSecurity     = kind.Invalid.New("invalid_security")
	ErrTooManyMembers      = kind.Unprocessable.New("too_many_members")
	ErrTooManyKeys         = kind.Unprocessable.New("too_many_api_keys")
	ErrTooManyInvitations  = kind.Unprocessable.New("too_many_invitations")
	ErrInvitationsTooOften = kind.Busy.New("invitation_limit")
)

// Identity is who signed in, as their issuer knows them.
type Identity struct {
	Issuer, Subject string
	Email           string // verified by the issuer; empty when it is not
	Name            string
}

func (i Identity) is(m *Member) bool {
	return m.Identity.Issuer == i.Issuer && m.Identity.Subject == i.Subject
}

// Member is a person's place at an organizer.
type Member struct {
	ID        id.Membership
	Identity  Identity
	Role      access.Role
	AddedAt   time.Time
	AddedBy   string // id of a member or key
	RemovedAt time.Time
	RemovedBy string
}

// Invitation asks the owner of an address to become a member.
type Invitation struct {
	ID          id.Invitation
	Email       string
	Role        access.Role
	Locale      string
	TokenHash   string
	InvitedAt   time.Time
	InvitedBy   string // id of a member or key
	Inviter     string // how the mail names who invites, may be empty
	ExpiresAt   time.Time
	EndedAt     time.Time // zero while it is open
	WithdrawnBy string
	Member      id.Membership // who accepted it
}

// InvitationState is where an invitation stands.
type InvitationState string

// The states of an invitation.
const (
	Open      InvitationState = "open"
	Accepted  InvitationState = "accepted"
	Withdrawn InvitationState = "withdrawn"
	Expired   InvitationState = "expired"
)

// State says where the invitation stands now.
func (i *Invitation) State(now time.Time) InvitationState {
	switch {
	case !i.Member.IsZero():
		return Accepted
	case i.WithdrawnBy != "":
		return Withdrawn
	case !now.Before(i.ExpiresAt):
		return Expired
	}
	return Open
}

// Account is all of an organizer's account, read behind its lock.
type Account struct {
	Organizer   id.Organizer
	RequiredACR string       // what members' sign-in must assert, "" for nothing
	Members     []Member     // who were not removed
	Invitations []Invitation // within InvitationLife and Kept
	Keys        []Key        // that have not expired

	Changes Changes
}

// Changes are what a decision leaves to be written.
type Changes struct {
	Members     []Member
	Invitations []Invitation
	Keys        []Key
	Revocations []Revocation
	Security    bool // RequiredACR
}

// By is who asks for a change: a person who signed in, or a key.
type By struct {
	Person Identity
	Key    id.APIKey
}

// authority is what who asks may do now. It is read from the account, never from a token:
// one that was removed a minute ago has a membership token that is good for some minutes.
type authority struct {
	id, name string
	scope    Scope
}

func (a *Account) authority(by By, need access.Permission, now time.Time) (authority, error) {
	var found authority
	if !by.Key.IsZero() {
		k := a.key(by.Key)
		if k == nil || k.State(now) != KeyLive && k.State(now) != KeyReplaced {
			return found, ErrForbidden.With("this API key does not stand any more")
		}
		found = authority{id: k.ID.String(), name: k.Name, scope: k.Scope}
	} else {
		m := a.memberOf(by.Person)
		if m == nil {
			return found, ErrNotMember.With("you are no member of this organizer")
		}
		found = authority{id: m.ID.String(), name: m.Identity.Name, scope: Scope{Role: m.Role}}
	}
	if !found.scope.May(need) {
		return found, ErrForbidden.With("this needs the permission %s", need)
	}
	return found, nil
}

// over says that who asks may give or take a role: nobody gives what he has not, and
// nobody takes from who has more.
func (by authority) over(roles ...access.Role) error {
	for _, r := range roles {
		if !(Scope{Role: r}).Within(by.scope) {
			return ErrForbidden.With("a role that allows more than you may can only be given and taken by who has it")
		}
	}
	return nil
}

func (a *Account) memberOf(who Identity) *Member {
	if who.Issuer == "" || who.Subject == "" {
		return nil
	}
	i := slices.IndexFunc(a.Members, func(m Member) bool { return who.is(&m) })
	if i < 0 {
		return nil
	}
	return &a.Members[i]
}

func (a *Account) owners() (n int) {
	for i := range a.Members {
		if a.Members[i].Role == access.Owner {
			n++
		}
	}
	return n
}

// SetRole gives a member another role.
func (a *Account) SetRole(by By, member id.Membership, role access.Role, now time.Time) (Member, error) {
	who, err := a.authority(by, access.WriteMembers, now)
	if err != nil {
		return Member{}, err
	}
	i := slices.IndexFunc(a.Members, func(m Member) bool { return m.ID == member })
	if i < 0 {
		return Member{}, ErrMemberNotFound.With("there is no such member")
	}
	m := &a.Members[i]
	if err := who.over(m.Role, role); err != nil {
		return Member{}, err
	}
	if m.Role == role {
		return *m, nil
	}
	if m.Role == access.Owner && a.owners() == 1 {
		return Member{}, ErrLastOwner.With("an organizer keeps one owner at least: make another one first")
	}
	lowered := !(Scope{Role: m.Role}).Within(Scope{Role: role})
	m.Role = role
	a.Changes.Members = append(a.Changes.Members, *m)
	if lowered {
		a.withdrawOf(m.ID.String(), who.id, now)
	}
	return *m, nil
}

// Remove takes a member out. Invitations that it made and nobody has accepted go with it.
func (a *Account) Remove(by By, member id.Membership, now time.Time) (Member, error) {
	who, err := a.authority(by, access.WriteMembers, now)
	if err != nil {
		return Member{}, err
	}
	i := slices.IndexFunc(a.Members, func(m Member) bool { return m.ID == member })
	if i < 0 {
		return Member{}, ErrMemberNotFound.With("there is no such member")
	}
	m := a.Members[i]
	if err := who.over(m.Role); err != nil {
		return Member{}, err
	}
	if m.Role == access.Owner && a.owners() == 1 {
		return Member{}, ErrLastOwner.With("an organizer keeps one owner at least: make another one first")
	}
	a.Members = slices.Delete(a.Members, i, i+1)
	m.RemovedAt, m.RemovedBy = now, who.id
	a.Changes.Members = append(a.Changes.Members, m)
	a.withdrawOf(m.ID.String(), who.id, now)
	return m, nil
}

// withdrawOf ends the open invitations of who may not invite any more.
func (a *Account) withdrawOf(inviter, by string, now time.Time) {
	for i := range a.Invitations {
		if inv := &a.Invitations[i]; inv.InvitedBy == inviter && inv.State(now) == Open {
			inv.EndedAt, inv.WithdrawnBy = now, by
			a.Changes.Invitations = append(a.Changes.Invitations, *inv)
		}
	}
}

// Demand sets what members' sign-in must assert from now on. Only a signed-in owner may,
// and only what his own sign-in asserts: an organizer cannot lock itself out.
func (a *Account) Demand(by By, acr, own string, now time.Time) error {
	who, err := a.authority(by, access.WriteMembers, now)
	if err != nil {
		return err
	}
	if !by.Key.IsZero() || who.scope.Role != access.Owner {
		return ErrForbidden.With("only an owner who is signed in may say how members sign in")
	}
	if len(acr) > MaxACR || strings.ContainsFunc(acr, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ErrInvalidSecurity.At("/required_acr", "must be at most %d visible ASCII characters", MaxACR)
	}
	if acr != "" && own != acr {
		return ErrSecondFactor.With("sign in with %.40s yourself before you demand it", acr).Field("required_acr", acr)
	}
	if a.RequiredACR != acr {
		a.RequiredACR, a.Changes.Security = acr, true
	}
	return nil
}

// Admit says what a person who signed in is here, when the organizer lets him work.
func (a *Account) Admit(who Identity, acr string) (Member, error) {
	m := a.memberOf(who)
	if m == nil {
		return Member{}, ErrNotMember.With("you are no member of this organizer")
	}
	if a.RequiredACR != "" && acr != a.RequiredACR {
		return Member{}, ErrSecondFactor.With("this organizer demands another way of signing in").Field("required_acr", a.RequiredACR)
	}
	return *m, nil
}
