package account

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"time"

	"guichet/cell/access"
	"guichet/cell/id"
	"guichet/internal/kind"
	"guichet/internal/signed"
	"guichet/internal/txn"
)

// ErrKeyRevoked refuses an API key that does not stand any more.
var ErrKeyRevoked = kind.Unauthorized.New("api_key_revoked")

// maxRevocation is the longest that a session may stay on the list: nobody is signed in longer.
const maxRevocation = access.PersonLife + time.Hour

// Service is the accounts of one cell.
type Service struct {
	Store Store
	Key   *signed.Key // the cell's access key
	Post  Postman
	// Listed says whether the newest map lists something as revoked; nil knows of nothing.
	Listed func(subject string) bool
}

// OpenFirst gives a new organizer its first key, in the transaction that made it.
func (s *Service) OpenFirst(ctx context.Context, tx txn.Tx, org id.Organizer, by string) (Key, error) {
	var made Key
	err := s.Store.ChangeAccount(ctx, tx, org, func(a *Account, now time.Time) error {
		k, err := a.FirstKey(by, FirstKeyID(org), now)
		if err == nil {
			made = s.seal(a, k)
		}
		return err
	})
	return made, err
}

// FirstKeyID is the id of an organizer's first key.
func FirstKeyID(org id.Organizer) id.APIKey {
	sum := sha256.Sum256([]byte("guichet first api key v1\x00" + org.String()))
	return id.APIKeyFrom(org, sum[:])
}

// seal keeps a new key's hash, and the key to be written.
func (s *Service) seal(a *Account, k *Key) Key {
	k.Hash = HashText(k.Text(s.Key))
	a.Changes.Keys = append(a.Changes.Keys, *k)
	return *k
}

// TextOf is a key's text, once more; empty when the cell's access key was changed since,
// and with it what it would say.
func (s *Service) TextOf(k Key) string {
	text := k.Text(s.Key)
	if subtle.ConstantTimeCompare([]byte(HashText(text)), []byte(k.Hash)) != 1 {
		return ""
	}
	return text
}

// Check says whether a key that was verified still stands here, at its organizer's home.
func (s *Service) Check(ctx context.Context, c Claims, text string) (Key, error) {
	k, now, err := s.Store.APIKey(ctx, c.ID)
	if kind.Of(err) == kind.NotFound {
		return Key{}, ErrKeyRevoked.With("the API key is not valid any more")
	}
	if err != nil {
		return Key{}, err
	}
	same := subtle.ConstantTimeCompare([]byte(HashText(text)), []byte(k.Hash)) == 1
	if state := k.State(now); !same || state != KeyLive && state != KeyReplaced {
		return Key{}, ErrKeyRevoked.With("the API key is not valid any more")
	}
	return k, nil
}

// Invite makes an invitation and queues its mail.
func (s *Service) Invite(ctx context.Context, tx txn.Tx, org id.Organizer, by By, want Asked) (made Invitation, err error) {
	err = s.Store.ChangeAccount(ctx, tx, org, func(a *Account, now time.Time) error {
		inv, err := a.Invite(by, want, now)
		if err != nil {
			return err
		}
		inv.TokenHash = HashText(inv.Token(s.Key))
		made = *inv
		a.Changes.Invitations = append(a.Changes.Invitations, made)
		return s.Post.PostInvitation(ctx, tx, made)
	})
	return made, wrap("invite to", org, err)
}

// Accept makes who signed in a member, by the token of an invitation of this cell's.
func (s *Service) Accept(ctx context.Context, tx txn.Tx, who Identity, of id.Invitation, token string) (m Member, fresh bool, err error) {
	org := id.OrganizerOf(of)
	err = s.Store.ChangeAccount(ctx, tx, org, func(a *Account, now time.Time) (err error) {
		m, fresh, err = a.Accept(who, of, HashText(token), now)
		return err
	})
	return m, fresh, wrap("accept an invitation of", org, err)
}

// Look says what Accept would make of who signed in, or why it would not, and changes
// nothing.
func (s *Service) Look(ctx context.Context, who Identity, of id.Invitation, token string) (m Member, fresh bool, err error) {
	org := id.OrganizerOf(of)
	err = s.Store.ChangeAccount(ctx, txn.None, org, func(a *Account, now time.Time) (err error) {
		m, fresh, err = a.Accept(who, of, HashText(token), now)
		a.Changes = Changes{}
		return err
	})
	return m, fresh, wrap("look at an invitation of", org, err)
}

// Withdraw ends an invitation.
func (s *Service) Withdraw(ctx context.Context, tx txn.Tx, org id.Organizer, by By, of id.Invitation) (inv Invitation, changed bool, err error) {
	err = s.Store.ChangeAccount(ctx, tx, org, func(a *Account, now time.Time) (err error) {
		inv, err = a.Withdraw(by, of, now)
		changed = len(a.Changes.Invitations) > 0
		return err
	})
	return inv, changed, wrap("withdraw an invitation of", org, err)
}

// SetRole gives a member another role; before is what it was.
func (s *Service) SetRole(ctx context.Context, tx txn.Tx, org id.Organizer, by By, member id.Membership, role access.Role) (before, after Member, err error) {
	err = s.Store.ChangeAccount(ctx, tx, org, func(a *Account, now time.Time) (err error) {
		before = Member{}
		for _, m := range a.Members {
			if m.ID == member {
				before = m
			}
		}
		after, err = a.SetRole(by, member, role, now)
		return err
	})
	return before, after, wrap("change a member of", org, err)
}

// Remove takes a member out.
func (s *Service) Remove(ctx context.Context, tx txn.Tx, org id.Organizer, by By, member id.Membership) (m Member, err error) {
	err = s.Store.ChangeAccount(ctx, tx, org, func(a *Account, now time.Time) (err error) {
		m, err = a.Remove(by, member, now)
		return err
	})
	return m, wrap("remove a member of", org, err)
}

// MakeKey makes an API key; its text is TextOf's to say.
func (s *Service) MakeKey(ctx context.Context, tx txn.Tx, org id.Organizer, by By, want AskedKey) (made Key, err error) {
	err = s.Store.ChangeAccount(ctx, tx, org, func(a *Account, now time.Time) error {
		k, err := a.MakeKey(by, want, now)
		if err == nil {
			made = s.seal(a, k)
		}
		return err
	})
	return made, wrap("make an API key of", org, err)
}

// RotateKey makes a key that takes another's place.
func (s *Service) RotateKey(ctx context.Context, tx txn.Tx, org id.Organizer, by By, old id.APIKey, grace time.Duration) (made, replaced Key, err error) {
	err = s.Store.ChangeAccount(ctx, tx, org, func(a *Account, now time.Time) error {
		k, was, err := a.RotateKey(by, old, grace, now)
		if err == nil {
			made, replaced = s.seal(a, k), was
		}
		return err
	})
	return made, replaced, wrap("rotate an API key of", org, err)
}

// RevokeKey ends a key at once.
func (s *Service) RevokeKey(ctx context.Context, tx txn.Tx, org id.Organizer, by By, of id.APIKey) (k Key, changed bool, err error) {
	err = s.Store.ChangeAccount(ctx, tx, org, func(a *Account, now time.Time) (err error) {
		k, err = a.RevokeKey(by, of, now)
		changed = len(a.Changes.Keys) > 0
		return err
	})
	return k, changed, wrap("revoke an API key of", org, err)
}

// Demand sets what members' sign-in must assert; own is what that of who asks does.
func (s *Service) Demand(ctx context.Context, tx txn.Tx, org id.Organizer, by By, acr, own string) (before string, err error) {
	err = s.Store.ChangeAccount(ctx, tx, org, func(a *Account, now time.Time) error {
		before = a.RequiredACR
		return a.Demand(by, acr, own, now)
	})
	return before, wrap("change how members sign in of", org, err)
}

// Admit says what a person who signed in is at an organizer.
func (s *Service) Admit(ctx context.Context, org id.Organizer, who Identity, acr string) (Member, error) {
	a, err := s.Store.Membership(ctx, org, who.Issuer, who.Subject)
	if err != nil {
		return Member{}, err
	}
	return a.Admit(who, acr)
}

// RevokeSession ends a session everywhere; sid is the hash that names it.
func (s *Service) RevokeSession(ctx context.Context, sid string, until time.Time) error {
	if sid == "" || len("sid:"+sid) > MaxSubject || !printable(sid) {
		return kind.Internal.New("invalid_session").With("a session is named by a hash")
	}
	return s.Store.RevokeSession(ctx, "sid:"+sid, until, maxRevocation)
}

// IsRevoked says whether something is revoked: the map lists it, or this cell's own table,
// which knows first.
func (s *Service) IsRevoked(ctx context.Context, subject string) (bool, error) {
	if s.Listed != nil && s.Listed(subject) {
		return true, nil
	}
	return s.Store.IsRevoked(ctx, subject)
}

// Revoked is the list for join.Member.Revoked. all is false when it was too long: that must be said loudly.
func (s *Service) Revoked(ctx context.Context) (subjects []string, all bool, err error) {
	return s.Store.Revoked(ctx, MaxRevoked)
}

// forgetBatch bounds one deletion of what is past its time.
const forgetBatch = 1000

// Forget deletes what is past its time.
func (s *Service) Forget(ctx context.Context) (int64, error) {
	return s.Store.ForgetAccounts(ctx, Kept, forgetBatch)
}

func wrap(what string, org id.Organizer, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, org, err)
}
