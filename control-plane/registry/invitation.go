package registry

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"guichet/control-plane/topology"
)

// Limits of invitations.
const (
	DefaultInvitation = time.Hour
	MaxInvitation     = 7 * 24 * time.Hour
	KeepInvitation    = 30 * 24 * time.Hour // after its end, to tell who shows it again
	tokenPrefix       = "join_"
	maxToken          = 64
)

// Invitation lets one cell join once. Its token is known by its hash only.
type Invitation struct {
	Hash      string // hex SHA-256 of the token
	Cell      topology.CellID
	Region    string
	By        string // the operator's name
	MadeAt    time.Time
	ExpiresAt time.Time
	UsedAt    time.Time // zero while it may be used
}

// Invite makes an invitation of a cell, which may be known already and gets a new key
// then, and its token.
func Invite(all []Member, cell topology.CellID, region, by string, now time.Time, life time.Duration) (Invitation, string, error) {
	m, known := find(all, cell)
	switch {
	case region == "" || len(region) > MaxText:
		return Invitation{}, "", ErrInvalid.At("/region", "must be 1 to %d bytes", MaxText)
	case known && m.Region != region:
		return Invitation{}, "", ErrOtherRegion.With("%s is in %s; a cell never changes its region", cell, m.Region)
	case !known && len(all) >= MaxCells:
		return Invitation{}, "", ErrFull.With("the register has room for %d cells", MaxCells).Field("limit", MaxCells)
	case life <= 0 || life > MaxInvitation:
		return Invitation{}, "", ErrInvalid.At("/ttl_seconds", "must be 1 to %d", int(MaxInvitation.Seconds()))
	}
	token := tokenPrefix + strings.ToLower(rand.Text())
	return Invitation{Hash: HashToken(token), Cell: cell, Region: region, By: by, MadeAt: now, ExpiresAt: now.Add(life)}, token, nil
}

// HashToken is how a token is stored. It has 130 random bits, so that one round is
// enough.
func HashToken(token string) string {
	if len(token) > maxToken {
		token = token[:maxToken]
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Admit lets a cell in by its invitation, with the key that signed what it announced.
// The zero Invitation is a token that nobody made. The same cell may show its token
// again with the same key: its first answer was lost.
func Admit(all []Member, inv Invitation, announced topology.Cell, kid string, at, now time.Time) (Member, error) {
	if err := check(announced); err != nil {
		return Member{}, err
	}
	m, known := find(all, announced.ID)
	switch {
	case inv.Hash == "":
		return Member{}, ErrTokenUnknown.With("nobody made this join token")
	case inv.Cell != announced.ID:
		return Member{}, ErrTokenOther.With("this join token is %s's, and %s shows it", inv.Cell, announced.ID)
	case !inv.UsedAt.IsZero():
		same := func(k topology.Key) bool { return k.ID == kid && slices.Contains(announced.Keys, k) }
		if known && m.Expelled.IsZero() && slices.ContainsFunc(m.Keys, same) {
			return Announce(all, announced, at, now)
		}
		return Member{}, ErrTokenUsed.With("this join token of %s was used at %s", inv.Cell, inv.UsedAt.UTC().Format(time.RFC3339))
	case !now.Before(inv.ExpiresAt):
		return Member{}, ErrTokenExpired.With("this join token of %s ended at %s", inv.Cell, inv.ExpiresAt.UTC().Format(time.RFC3339))
	case inv.Region != announced.Region:
		return Member{}, ErrOtherRegion.With("%s is invited to %s", inv.Cell, inv.Region)
	case !known && len(all) >= MaxCells:
		return Member{}, ErrFull.With("the register has room for %d cells", MaxCells).Field("limit", MaxCells)
	case !known:
		m = Member{ID: announced.ID, Region: announced.Region, JoinedAt: now, Weight: FullWeight, Target: FullWeight, SteppedAt: now}
	}
	if !m.Expelled.IsZero() {
		m.Expelled, m.Left = time.Time{}, true // enter brings it back as one that had left
	}
	m.SignedAt = time.Time{} // what the key before signed does not count any more
	return enter(m, announced, at, now)
}

// Expel takes a cell off the map, with its keys; nothing that it signs is heard.
func Expel(all []Member, cell topology.CellID, now time.Time) (Member, error) {
	m, known := find(all, cell)
	if !known {
		return Member{}, ErrUnknownCell.With("there is no cell %s", cell)
	}
	if !m.Expelled.IsZero() {
		return m, nil
	}
	if !slices.ContainsFunc(all, func(other Member) bool { return other.ID != cell && other.Expelled.IsZero() }) {
		return Member{}, ErrLastCell.With("%s is the town's only cell: a map without cells is believed by nobody", cell)
	}
	m.Expelled, m.Left, m.Keys, m.Processes, m.Revoked = now, true, nil, nil, nil
	return m, nil
}

// CellKeys are the keys with which a cell signs what it says to the control plane.
func CellKeys(keys []topology.Key) []topology.Key {
	return slices.DeleteFunc(slices.Clone(keys), func(k topology.Key) bool { return k.Use != topology.UseAccess })
}

// CheckRevoked says whether a list of revocations may be published.
func CheckRevoked(list []string) error {
	if len(list) > topology.MaxRevoked {
		return ErrInvalid.At("/revoked", "at most %d", topology.MaxRevoked)
	}
	for _, id := range list {
		if sort, rest, _ := strings.Cut(id, ":"); sort != "key" && sort != "sid" || rest == "" || len(id) > topology.MaxRevokedID {
			return ErrInvalid.At("/revoked", "%.40q is neither key:<id> nor sid:<hash> of at most %d bytes", id, topology.MaxRevokedID)
		}
	}
	return nil
}
