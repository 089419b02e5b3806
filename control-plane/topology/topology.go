// Package topology is what everyone may know about the town: which cells there
// are, where an event is at home, and in which epoch. It holds types and their
// wire form only; the control plane writes them, cells and routers read them.
// An identity's route (kind, birth cell, key) is part of that shared knowledge.
package topology

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"guichet/internal/kind"
)

// ErrBadCell is returned for text that names no cell.
var ErrBadCell = kind.Invalid.New("invalid_cell")

// CellID names a cell: its region's short code and, from the second cell of a
// region on, a letter ("euw3", "euw3b").
type CellID string

// ParseCell accepts exactly the text that String gives.
func ParseCell(s string) (CellID, error) {
	if !isCell(s) {
		return "", ErrBadCell.With("%.20q is not a cell name like euw3 or euw3b", s)
	}
	return CellID(s), nil
}

// isCell: two to four letters, a digit and at most one more letter. Every id that is
// read passes here, so it is written out.
func isCell(s string) bool {
	n := 0
	for n < len(s) && letter(s[n]) {
		n++
	}
	if n < 2 || n > 4 || n == len(s) || s[n] < '0' || s[n] > '9' {
		return false
	}
	return len(s) == n+1 || len(s) == n+2 && letter(s[n+1])
}

func letter(c byte) bool { return 'a' <= c && c <= 'z' }

func (c CellID) String() string { return string(c) }

// Epoch grows by one with every change of an event's home (P1).
type Epoch int64

// EventKey is the part of an id that says where it belongs: the cell where the
// event was born and the event's own 60 random bits.
type EventKey struct {
	Birth CellID
	Rand  string // 12 characters of lower-case Crockford base32
}

func (k EventKey) String() string { return string(k.Birth) + "_" + k.Rand }

// Lengths of the random parts, in base32 characters of 5 bits.
const (
	EventRandLen  = 12 // 60 bits
	MemberRandLen = 16 // 80 bits
)

// Alphabet is Crockford's base32 in lower case.
const Alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// Ref is any id taken apart: its kind ("evt", "hld", …), its event's key and,
// unless the id is the event's (or an organizer's) own, 80 bits of its own.
type Ref struct {
	Kind string
	Key  EventKey
	Own  string
}

// ParseRef takes an id apart without knowing its kind. It is strict: ids have
// one spelling only.
func ParseRef(s string) (Ref, bool) {
	if len(s) > 48 {
		return Ref{}, false
	}
	sort, rest, _ := strings.Cut(s, "_")
	cell, rest, _ := strings.Cut(rest, "_")
	key, own, member := strings.Cut(rest, "_")
	if !isKind(sort) || !isCell(cell) || !isRand(key, EventRandLen) || member && !isRand(own, MemberRandLen) {
		return Ref{}, false
	}
	return Ref{Kind: sort, Key: EventKey{Birth: CellID(cell), Rand: key}, Own: own}, true
}

// isKind: three lower-case letters, as in "evt".
func isKind(s string) bool {
	return len(s) == 3 && letter(s[0]) && letter(s[1]) && letter(s[2])
}

func isRand(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if strings.IndexByte(Alphabet, s[i]) < 0 {
			return false
		}
	}
	return true
}

// CellState is where a cell stands in its life.
type CellState string

// The states of a cell.
const (
	CellServing  CellState = "serving"
	CellDraining CellState = "draining"
	CellLeft     CellState = "left"
)

// Cell is one booking house as the town knows it.
type Cell struct {
	ID        CellID    `json:"id"`
	Region    string    `json:"region"`             // provider's name, "eu-west-3"
	URLs      []string  `json:"urls"`               // one per process of the cell, where its HTTP API listens
	Weight    int       `json:"weight"`             // percent of nearest-reads it takes, 0–100
	State     CellState `json:"state"`              //
	Residency string    `json:"residency"`          // where its rows live, for organizers to read
	Keys      []Key     `json:"keys"`               // public halves of its signing keys, newest first
	NKey      string    `json:"nkey,omitempty"`     // public half of the key with which its leaf proves itself at the hub
	LastBeat  time.Time `json:"last_beat,omitzero"` // control plane's clock
	// Revoked are API keys and sessions of this cell that are worth nothing any more,
	// "key:<id>" and "sid:<hash>", at most MaxRevoked, newest first; they go when what
	// they name would have ended anyway.
	Revoked []string `json:"revoked,omitempty"`
}

// Bounds of lists of revocations.
const (
	MaxRevoked   = 2000 // of one cell, and of operators
	MaxRevokedID = 80   // bytes of one
)

// Key is the public half of a cell's Ed25519 signing key, in JWK terms.
type Key struct {
	ID  string `json:"kid"`           // "euw3-1"
	X   string `json:"x"`             // base64url without padding, 32 bytes
	Use string `json:"use,omitempty"` // empty: barcodes and API keys; UseAccess: tokens
}

// UseAccess marks keys that sign capability, person and membership tokens.
const UseAccess = "access"

// PlacementState is where an event's home stands.
type PlacementState string

// The states of a placement.
const (
	Serving PlacementState = "serving"
	Sealed  PlacementState = "sealed"
	Moving  PlacementState = "moving"
)

// Placement says that an event's home differs from its id's hint.
type Placement struct {
	EventID string         `json:"event_id"`
	Home    CellID         `json:"home_cell"`
	Epoch   Epoch          `json:"epoch"`
	State   PlacementState `json:"state"`
}

// Snapshot is the whole map. Versions only grow; a reader keeps the newest.
type Snapshot struct {
	Version    int64       `json:"version"`
	IssuedAt   time.Time   `json:"issued_at"`
	Cells      []Cell      `json:"cells"`             // by id
	Placements []Placement `json:"placements"`        // only those that differ from the hint
	Revoked    []string    `json:"revoked,omitempty"` // operators' tokens, "op:<id>", at most MaxRevoked
}

// Revokes reports whether the town knows that something is worth nothing any more: an
// operator's token by the control plane's word, all else by its cell's. Nobody can
// revoke an operator but the control plane.
func (s *Snapshot) Revokes(id string) bool {
	switch {
	case s == nil:
		return false
	case strings.HasPrefix(id, "op:"):
		return slices.Contains(s.Revoked, id)
	}
	if text, ok := strings.CutPrefix(id, "key:"); ok {
		if ref, ok := ParseRef(text); ok { // a cell revokes its own organizers' keys alone (P7)
			c, known := s.Cell(ref.Key.Birth)
			return known && slices.Contains(c.Revoked, id)
		}
	}
	return slices.ContainsFunc(s.Cells, func(c Cell) bool { return slices.Contains(c.Revoked, id) })
}

// ErrRefused is returned for a snapshot that must not replace the one at hand.
var ErrRefused = kind.Conflict.New("snapshot_refused")

// Replace says whether next may take s's place: newer, and not one that would
// empty the table or lower an epoch (P1, P8).
func (s *Snapshot) Replace(next *Snapshot) error {
	if next == nil || len(next.Cells) == 0 {
		return ErrRefused.With("it would empty the table")
	}
	if s == nil {
		return nil
	}
	if next.Version < s.Version {
		return ErrRefused.With("version %d is older than %d", next.Version, s.Version)
	}
	epochs := make(map[string]Epoch, len(s.Placements))
	for _, p := range s.Placements {
		epochs[p.EventID] = p.Epoch
	}
	for _, p := range next.Placements {
		if p.Epoch < epochs[p.EventID] {
			return ErrRefused.With("it lowers the epoch of %s", p.EventID)
		}
	}
	return nil
}

// Cell finds a cell by its id.
func (s *Snapshot) Cell(id CellID) (Cell, bool) {
	if s == nil {
		return Cell{}, false
	}
	i := slices.IndexFunc(s.Cells, func(c Cell) bool { return c.ID == id })
	if i < 0 {
		return Cell{}, false
	}
	return s.Cells[i], true
}

// Key finds the public key with this id among all cells.
func (s *Snapshot) Key(kid string) (Key, error) {
	if s != nil {
		for _, c := range s.Cells {
			for _, k := range c.Keys {
				if k.ID == kid {
					return k, nil
				}
			}
		}
	}
	return Key{}, fmt.Errorf("key %.40q is not in the snapshot", kid)
}
