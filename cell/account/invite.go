package account

import (
	"crypto/subtle"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"guichet/cell/access"
	"guichet/cell/id"
)

// Asked is what somebody wants of an invitation.
type Asked struct {
	Email  string
	Role   access.Role
	Locale string // of the mail, may be empty
}

// maxLocale is as long as BCP 47 asks implementations to allow for.
const maxLocale = 35

// Invite makes an invitation. Its token is the caller's to make; see Service.Invite.
func (a *Account) Invite(by By, want Asked, now time.Time) (*Invitation, error) {
	who, err := a.authority(by, access.WriteMembers, now)
	if err != nil {
		return nil, err
	}
	if err := who.over(want.Role); err != nil {
		return nil, err
	}
	email, ok := Address(want.Email)
	if !ok {
		return nil, ErrInvalidInvitation.At("/email", "must be an e-mail address of at most %d bytes", MaxEmail)
	}
	if len(want.Locale) > maxLocale || !printable(want.Locale) {
		return nil, ErrInvalidInvitation.At("/locale", "must be a language tag of at most %d characters", maxLocale)
	}
	if slices.ContainsFunc(a.Members, func(m Member) bool { return SameAddress(m.Identity.Email, email) }) {
		return nil, ErrAlreadyMember.At("/email", "is a member's")
	}
	if err := a.mayInvite(email, now); err != nil {
		return nil, err
	}
	a.Invitations = append(a.Invitations, Invitation{
		ID: id.NewInvitation(a.Organizer), Email: email, Role: want.Role, Locale: want.Locale,
		InvitedAt: now, InvitedBy: who.id, Inviter: who.name, ExpiresAt: now.Add(InvitationLife).Truncate(time.Second),
	})
	return &a.Invitations[len(a.Invitations)-1], nil
}

// mayInvite holds invitations to their limits.
func (a *Account) mayInvite(email string, now time.Time) error {
	open, recent, oldest := 0, 0, now
	for i := range a.Invitations {
		inv := &a.Invitations[i]
		if inv.State(now) == Open {
			open++
			if SameAddress(inv.Email, email) {
				return ErrAlreadyInvited.At("/email", "is invited already; withdraw that invitation to make another one").Field("invitation_id", inv.ID)
			}
		}
		if now.Sub(inv.InvitedAt) < InvitationWindow {
			recent++
			if inv.InvitedAt.Before(oldest) {
				oldest = inv.InvitedAt
			}
		}
	}
	switch {
	case open >= MaxOpenInvitations:
		return ErrTooManyInvitations.With("at most %d invitations may wait for an answer", MaxOpenInvitations).Field("limit", MaxOpenInvitations)
	case recent >= MaxInvitations:
		return ErrInvitationsTooOften.With("at most %d invitations are made in %s", MaxInvitations, InvitationWindow).
			Field("limit", MaxInvitations).After(oldest.Add(InvitationWindow).Sub(now))
	case len(a.Members) >= MaxMembers:
		return ErrTooManyMembers.With("an organizer has at most %d members", MaxMembers).Field("limit", MaxMembers)
	}
	return nil
}

// Withdraw ends an invitation that nobody has accepted. Doing it again changes nothing.
func (a *Account) Withdraw(by By, of id.Invitation, now time.Time) (Invitation, error) {
	who, err := a.authority(by, access.WriteMembers, now)
	if err != nil {
		return Invitation{}, err
	}
	inv := a.invitation(of)
	if inv == nil || inv.State(now) == Accepted {
		return Invitation{}, ErrInvitationNotFound.With("there is no such invitation that waits for an answer")
	}
	if err := who.over(inv.Role); err != nil {
		return Invitation{}, err
	}
	if inv.WithdrawnBy == "" {
		inv.EndedAt, inv.WithdrawnBy = now, who.id
		a.Changes.Invitations = append(a.Changes.Invitations, *inv)
	}
	return *inv, nil
}

func (a *Account) invitation(of id.Invitation) *Invitation {
	i := slices.IndexFunc(a.Invitations, func(inv Invitation) bool { return inv.ID == of })
	if i < 0 {
		return nil
	}
	return &a.Invitations[i]
}

// Accept makes who signed in a member by an invitation. It needs the token, which came by
// mail, and an issuer's word that the address is his: either alone gives nothing. fresh
// is false for who accepted it before.
func (a *Account) Accept(who Identity, of id.Invitation, tokenHash string, now time.Time) (m Member, fresh bool, err error) {
	inv := a.invitation(of)
	if inv == nil || subtle.ConstantTimeCompare([]byte(inv.TokenHash), []byte(tokenHash)) != 1 {
		return m, false, ErrInvitationNotFound.With("this invitation cannot be accepted")
	}
	there := a.memberOf(who)
	if inv.State(now) == Accepted && there != nil && there.ID == inv.Member {
		return *there, false, nil
	}
	switch inv.State(now) { // whoever holds the token may know why it opens nothing
	case Accepted:
		return m, false, ErrInvitationNotFound.With("this invitation was accepted already")
	case Withdrawn:
		return m, false, ErrInvitationNotFound.With("this invitation was withdrawn")
	case Expired:
		return m, false, ErrInvitationNotFound.With("this invitation expired at %s", inv.ExpiresAt.UTC().Format(time.RFC3339))
	case Open:
	}
	if who.Issuer == "" || who.Subject == "" || len(who.Issuer) > maxIdentity || len(who.Subject) > maxIdentity || !printable(who.Issuer) || !printable(who.Subject) {
		return m, false, ErrInvalidMember.With("this sign-in names nobody")
	}
	if !SameAddress(who.Email, inv.Email) {
		return m, false, ErrOtherAddress.With("the invitation went to another address than the one you signed in with")
	}
	if there == nil {
		if len(a.Members) >= MaxMembers {
			return m, false, ErrTooManyMembers.With("an organizer has at most %d members", MaxMembers).Field("limit", MaxMembers)
		}
		who.Email, who.Name = inv.Email, Clean(who.Name)
		a.Members = append(a.Members, Member{ID: id.NewMembership(a.Organizer), Identity: who, Role: inv.Role, AddedAt: now, AddedBy: inv.InvitedBy})
		there = &a.Members[len(a.Members)-1]
		a.Changes.Members = append(a.Changes.Members, *there)
	}
	inv.EndedAt, inv.Member = now, there.ID
	a.Changes.Invitations = append(a.Changes.Invitations, *inv)
	return *there, true, nil
}

// Address is an e-mail address as it is kept, false for what is none.
func Address(text string) (string, bool) {
	if len(text) > MaxEmail || !printable(text) || strings.ContainsAny(text, " <>\"(),;:\\[]") {
		return "", false
	}
	parsed, err := mail.ParseAddress(text)
	if err != nil || parsed.Address != text {
		return "", false
	}
	_, domain, _ := strings.Cut(text, "@")
	return text, strings.Contains(domain, ".") || domain == "localhost"
}

// SameAddress says that two addresses are one mailbox. Case is ignored, as every mail
// provider that people use does; an address that is not known is nobody's.
func SameAddress(a, b string) bool {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	return a != "" && asciiLower(a) == asciiLower(b)
}

// asciiLower leaves other letters alone: folding them would let one person's address
// pass for another's.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// printable says that a text has no control, format or line characters and is UTF-8.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r == utf8.RuneError
	})
}

// Clean makes a stranger's name one that can be kept and shown: no control or format
// characters, one line, bounded.
func Clean(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.In(r, unicode.Zl, unicode.Zp):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == utf8.RuneError:
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	name = strings.Join(strings.Fields(name), " ")
	if runes := []rune(name); len(runes) > MaxName {
		name = string(runes[:MaxName])
	}
	return name
}
