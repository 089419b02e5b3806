package account

import (
	"slices"
	"time"
	"unicode/utf8"

	"guichet/cell/access"
	"guichet/cell/id"
	"guichet/control-plane/topology"
)

// Scope is what a key or member may do: all that a role allows, or single permissions.
type Scope struct {
	Role        access.Role
	Permissions []access.Permission
}

// ofOwners stands for what owners alone may, which is a rule about members and no call's.
const ofOwners access.Permission = "owner"

// all are the permissions of the scope.
func (s Scope) all() []access.Permission {
	if s.Role == "" {
		return s.Permissions
	}
	if s.Role == access.Owner {
		return append(s.Role.Of(), ofOwners)
	}
	return s.Role.Of()
}

// May says whether the scope has a permission.
func (s Scope) May(p access.Permission) bool {
	if s.Role != "" {
		return s.Role.May(p)
	}
	return slices.Contains(s.Permissions, p)
}

// Within says that the scope allows nothing that outer does not. One that allows nothing
// is within none: it is a mistake.
func (s Scope) Within(outer Scope) bool {
	all, has := s.all(), outer.all()
	return len(all) > 0 && !slices.ContainsFunc(all, func(p access.Permission) bool { return !slices.Contains(has, p) })
}

// Key is an API key, without the text that its owner has.
type Key struct {
	ID         id.APIKey
	Name       string
	Scope      Scope
	Hash       string // of its text
	CreatedAt  time.Time
	CreatedBy  string // id of a member, a key or an operator's token
	ExpiresAt  time.Time
	EndsAt     time.Time // ExpiresAt, or sooner when it was rotated or revoked
	ReplacedBy id.APIKey
	RevokedBy  string
}

// KeyState is where a key stands.
type KeyState string

// The states of a key. One that was replaced works until its grace is over.
const (
	KeyLive     KeyState = "live"
	KeyReplaced KeyState = "replaced"
	KeyRevoked  KeyState = "revoked"
	KeyExpired  KeyState = "expired"
)

// State says where the key stands now.
func (k *Key) State(now time.Time) KeyState {
	switch {
	case k.RevokedBy != "":
		return KeyRevoked
	case !now.Before(k.EndsAt):
		return KeyExpired
	case !k.ReplacedBy.IsZero():
		return KeyReplaced
	}
	return KeyLive
}

// AskedKey is what somebody wants of an API key.
type AskedKey struct {
	Name    string
	Scope   Scope
	Expires time.Time // zero: as late as possible
}

// FirstKey opens an account: its key may all, and is named "first".
func (a *Account) FirstKey(by string, kid id.APIKey, now time.Time) (*Key, error) {
	if k := a.key(kid); k != nil {
		return k, nil
	}
	return a.addKey(Key{ID: kid, Name: "first", Scope: Scope{Role: access.Owner}, CreatedBy: by, CreatedAt: now, ExpiresAt: latest(now)}), nil
}

// latest is when a key that is made now expires at the latest, in whole seconds as keys say it.
func latest(now time.Time) time.Time { return now.Add(MaxKeyLife).Truncate(time.Second) }

// MakeKey makes an API key. Nobody makes one that may more than he.
func (a *Account) MakeKey(by By, want AskedKey, now time.Time) (*Key, error) {
	who, err := a.authority(by, access.WriteKeys, now)
	if err != nil {
		return nil, err
	}
	if n := utf8.RuneCountInString(want.Name); n < 1 || n > MaxName || !printable(want.Name) || Clean(want.Name) != want.Name {
		return nil, ErrInvalidKey.At("/name", "must be 1 to %d characters on one line, without spaces around", MaxName)
	}
	if err := want.Scope.check(); err != nil {
		return nil, err
	}
	if !want.Scope.Within(who.scope) {
		return nil, ErrForbidden.With("a key cannot be made to allow more than you may")
	}
	expires := want.Expires.UTC().Truncate(time.Second)
	switch {
	case want.Expires.IsZero():
		expires = latest(now)
	case !expires.After(now):
		return nil, ErrInvalidKey.At("/expires_at", "must be in the future")
	case expires.After(latest(now)):
		return nil, ErrInvalidKey.At("/expires_at", "must be within %d days", int(MaxKeyLife/(24*time.Hour)))
	}
	if err := a.roomForKey(); err != nil {
		return nil, err
	}
	return a.addKey(Key{ID: id.NewAPIKey(a.Organizer), Name: want.Name, Scope: want.Scope, CreatedBy: who.id, CreatedAt: now, ExpiresAt: expires}), nil
}

func (s Scope) check() error {
	switch {
	case (s.Role == "") == (len(s.Permissions) == 0):
		return ErrInvalidKey.At("", "must have either a role or permissions")
	case s.Role != "" && !s.Role.Valid():
		return ErrInvalidKey.At("/role", "is not a role")
	}
	for i, p := range s.Permissions {
		if !slices.Contains(access.Permissions, p) || slices.Contains(s.Permissions[:i], p) {
			return ErrInvalidKey.At("/permissions", "%.40q is not a permission, or stands there twice", string(p))
		}
	}
	return nil
}

func (a *Account) roomForKey() error {
	if len(a.Keys) >= MaxKeys {
		return ErrTooManyKeys.With("an organizer has at most %d API keys that have not expired, revoked ones included", MaxKeys).Field("limit", MaxKeys)
	}
	return nil
}

func (a *Account) addKey(k Key) *Key {
	k.EndsAt = k.ExpiresAt
	a.Keys = append(a.Keys, k)
	return &a.Keys[len(a.Keys)-1]
}

// RotateKey makes a key of the same name and scope that takes another's place. The old
// one goes on for the grace.
func (a *Account) RotateKey(by By, old id.APIKey, grace time.Duration, now time.Time) (fresh *Key, replaced Key, err error) {
	who, err := a.authority(by, access.WriteKeys, now)
	if err != nil {
		return nil, replaced, err
	}
	k := a.key(old)
	switch {
	case grace < 0 || grace > MaxGrace:
		return nil, replaced, ErrInvalidKey.At("/grace_s", "must be 0 to %d seconds", int(MaxGrace/time.Second))
	case k == nil:
		return nil, replaced, ErrKeyNotFound.With("there is no such API key")
	case k.State(now) != KeyLive:
		return nil, replaced, ErrKeyEnded.With("the key is %s", k.State(now))
	case !k.Scope.Within(who.scope):
		return nil, replaced, ErrForbidden.With("a key that allows more than you may is rotated by who has it")
	}
	if err := a.roomForKey(); err != nil {
		return nil, replaced, err
	}
	life := k.ExpiresAt.Sub(k.CreatedAt)
	made := Key{ID: id.NewAPIKey(a.Organizer), Name: k.Name, Scope: k.Scope, CreatedBy: who.id, CreatedAt: now, ExpiresAt: now.Add(min(life, MaxKeyLife)).Truncate(time.Second)}
	k.ReplacedBy = made.ID
	a.endKey(k, now.Add(grace), now)
	return a.addKey(made), *a.key(old), nil
}

// endKey lets a key end, and everybody know from then on.
func (a *Account) endKey(k *Key, at, now time.Time) {
	if at.Before(k.EndsAt) {
		k.EndsAt = at
	}
	a.Changes.Keys = append(a.Changes.Keys, *k)
	if k.ExpiresAt.After(now) {
		a.Changes.Revocations = append(a.Changes.Revocations, Revocation{Subject: KeySubject(k.ID), Kind: RevokedKey, From: k.EndsAt, Until: k.ExpiresAt})
	}
}

// RevokeKey ends a key at once. Doing it again changes nothing. Invitations that were made
// with it and nobody has accepted go with it.
func (a *Account) RevokeKey(by By, of id.APIKey, now time.Time) (Key, error) {
	who, err := a.authority(by, access.WriteKeys, now)
	if err != nil {
		return Key{}, err
	}
	k := a.key(of)
	if k == nil {
		return Key{}, ErrKeyNotFound.With("there is no such API key")
	}
	if !k.Scope.Within(who.scope) {
		return Key{}, ErrForbidden.With("a key that allows more than you may is revoked by who has it")
	}
	if k.RevokedBy == "" {
		k.RevokedBy = who.id
		a.endKey(k, now, now)
		a.withdrawOf(k.ID.String(), who.id, now)
	}
	return *k, nil
}

func (a *Account) key(of id.APIKey) *Key {
	i := slices.IndexFunc(a.Keys, func(k Key) bool { return k.ID == of })
	if i < 0 {
		return nil
	}
	return &a.Keys[i]
}

// What can be revoked, and how it is named on the list.
const (
	RevokedKey     = "key"
	RevokedSession = "session"
	// MaxSubject is the length of a name on the list, in bytes.
	MaxSubject = topology.MaxRevokedID
	// MaxRevoked bounds a cell's list in the topology. Keys come first, and of them the
	// ones that were revoked last; with MaxKeys it takes twenty organizers that revoke all
	// they can to reach it. What is left out is refused at its home all the same.
	MaxRevoked = topology.MaxRevoked
)

// Revocation is an entry of the list that everybody has.
type Revocation struct {
	Subject     string
	Kind        string
	From, Until time.Time
}

// KeySubject is how a key is named on the list.
func KeySubject(k id.APIKey) string { return "key:" + k.String() }
