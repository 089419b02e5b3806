package ticket_test

import (
	"bytes"
	"testing"

	"guichet/cell/id"
	"guichet/cell/ticket"
)

func TestSecret_isTheSameAgainAndAnotherForAnotherOrganizerOrCell(t *testing.T) {
	t.Parallel()
	made := func(seed byte) *ticket.Signer {
		s, err := ticket.NewSigner("euw3-1", bytes.Repeat([]byte{seed}, ticket.SeedSize))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	org, other := id.NewOrganizer("euw3"), id.NewOrganizer("euw3")
	secret := made(1).Secret(org)
	if len(secret) != ticket.SecretLen || made(1).Secret(org) != secret {
		t.Errorf("%q is not the same again", secret)
	}
	if made(1).Secret(other) == secret || made(2).Secret(org) == secret {
		t.Error("two organizers, or two cells, share a secret")
	}
	cred, err := ticket.ParseCredential(made(1).Credential(org, secret)) // panics on a secret that is none
	if err != nil || cred.Hash() != ticket.HashSecret(secret) {
		t.Errorf("%v, %v", cred, err)
	}
}
