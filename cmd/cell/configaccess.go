package main

import (
	"encoding/hex"
	"strings"

	"guichet/cell/access"
	"guichet/control-plane/topology/seal"
	"guichet/internal/config"
	"guichet/internal/signed"
)

// configureAccess reads with what this cell signs tokens, and whose word it takes about
// operators.
func (s *settings) configureAccess(r *config.Reader) {
	seed := hexSeed(r, "GUICHET_ACCESS_SEED", r.Required("GUICHET_ACCESS_SEED", "64 hex digits of the key that signs this cell's access tokens; not the signing seed"))
	old := hexSeed(r, "GUICHET_ACCESS_PREVIOUS_SEED", r.Text("GUICHET_ACCESS_PREVIOUS_SEED", ""))
	number := r.Int("GUICHET_ACCESS_KEY_NUMBER", 1, 1, 99999)
	previous, err := access.ParsePrevious(r.Text("GUICHET_ACCESS_PREVIOUS", ""))
	if err != nil {
		r.Fault("GUICHET_ACCESS_PREVIOUS", "is not a list of retired public keys: %s", err.Error())
	}
	if len(seed) > 0 && s.Cell != "" {
		if s.Access, err = access.NewSigner(s.Cell, number, seed); err == nil {
			s.Access, err = s.Access.WithPrevious(old, previous...)
		}
		if err != nil {
			r.Fault("GUICHET_ACCESS_SEED", "or one of GUICHET_ACCESS_… cannot be used: %s", err.Error())
		}
	}
	for _, k := range previous { // the one whose seed is still at hand vouches for the new key
		if key, err := signed.NewKey(k.ID, old); err == nil && signed.PublicText(key.Public()) == k.X {
			s.OldKey = key
		}
	}
	s.ControlKeys = r.PublicKeys("GUICHET_CONTROL_KEY", seal.MaxPinned)
}

// hexSeed reads a seed; empty is none.
func hexSeed(r *config.Reader, name, text string) []byte {
	seed, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(seed) != 0 && len(seed) != signed.SeedSize {
		r.Fault(name, "is not 64 hex digits")
		return nil
	}
	return seed
}
