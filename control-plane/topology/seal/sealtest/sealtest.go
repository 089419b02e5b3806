// Package sealtest signs maps in tests, with a key that no town has.
package sealtest

import (
	"crypto/ed25519"
	"crypto/sha256"

	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
	"guichet/internal/signed"
)

// Key is a control plane's key, another one for each name.
func Key(name string) *signed.Key {
	seed := sha256.Sum256([]byte(name))
	k, err := signed.NewKey("control", seed[:])
	if err != nil {
		panic(err)
	}
	return k
}

// Pinned is what those pin who believe Sign.
var Pinned = []ed25519.PublicKey{Key("").Public()}

// Sign signs a map so that whoever pins Pinned believes it.
func Sign(s *topology.Snapshot) *seal.Map {
	m, err := seal.Sign(Key(""), s)
	if err != nil {
		panic(err)
	}
	return m
}
