package natsd

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// Caller is a leaf that wants in. It has proved that it has the private half of
// NKey, if NKey is set; Name is only what it says of itself.
type Caller struct {
	ID      uint64 // of the connection
	Name    string // the server's name, as it says
	NKey    string // the public half, "" when nothing was proved
	Fault   string // why nothing was proved
	Address string
	TLS     *tls.ConnectionState // nil in the clear
}

// Grant is what a leaf may do: the subjects that it may send to us and those that
// it is sent. Nothing else passes.
type Grant struct {
	User      string
	Publish   []string
	Subscribe []string
}

// doorkeeper judges every connection. Clients come from this process only.
type doorkeeper struct {
	admit func(Caller) (Grant, error)
}

// Check implements server.Authentication.
func (d *doorkeeper) Check(c server.ClientAuthentication) bool {
	switch c.Kind() {
	case server.CLIENT:
		return true // in-process: there is no port
	case server.LEAF:
	default:
		return false
	}
	opts := c.GetOpts()
	caller := Caller{ID: c.GetID(), Name: opts.Name, TLS: c.GetTLSConnectionState()}
	if at := c.RemoteAddress(); at != nil {
		caller.Address = at.String()
	}
	if err := proved(opts.Nkey, opts.Sig, c.GetNonce()); err != nil {
		caller.Fault = err.Error()
	} else {
		caller.NKey = opts.Nkey
	}
	grant, err := d.admit(caller)
	if err != nil || len(grant.Publish) == 0 || len(grant.Subscribe) == 0 { // an empty list would allow everything
		return false
	}
	c.RegisterUser(&server.User{Username: grant.User, Permissions: &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: grant.Publish},
		Subscribe: &server.SubjectPermission{Allow: grant.Subscribe},
	}})
	return true
}

func proved(public, signature string, nonce []byte) error {
	if public == "" || signature == "" || len(nonce) == 0 {
		return errors.New("it shows no nkey")
	}
	key, err := nkeys.FromPublicKey(public)
	if err != nil {
		return fmt.Errorf("its nkey is none: %w", err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		return errors.New("its signature is unreadable")
	}
	if err := key.Verify(nonce, raw); err != nil {
		return errors.New("its signature is wrong")
	}
	return nil
}

// NewNKey makes the two halves of a leaf's key: the seed is the leaf's secret.
func NewNKey() (seed, public string, err error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", "", fmt.Errorf("make an nkey: %w", err)
	}
	raw, err := pair.Seed()
	if err != nil {
		return "", "", fmt.Errorf("make an nkey: %w", err)
	}
	public, err = pair.PublicKey()
	return string(raw), public, err
}

// PublicNKey is the public half of a leaf's seed.
func PublicNKey(seed string) (string, error) {
	pair, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return "", errors.New("the nkey's seed is none: it begins with SU") // the seed is a secret
	}
	public, err := pair.PublicKey()
	if err != nil || !nkeys.IsValidPublicUserKey(public) {
		return "", errors.New("the nkey's seed is not a user's: it begins with SU")
	}
	return public, nil
}

// IsPublicNKey says whether s is the public half of a leaf's key.
func IsPublicNKey(s string) bool { return nkeys.IsValidPublicUserKey(s) }
