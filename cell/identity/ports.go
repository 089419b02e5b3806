package identity

import (
	"context"
	"time"
)

// Issuer is an OpenID issuer that this cell trusts. What it returns was verified:
// signature, issuer, audience, times.
type Issuer interface {
	// SignInURL is where a browser goes to sign in. acr asks for a way of proving, empty
	// for any.
	SignInURL(ctx context.Context, a Attempt, acr string) (string, error)
	// Redeem turns the code that came back into claims; the attempt's nonce and verifier
	// are checked.
	Redeem(ctx context.Context, code string, a Attempt) (Claims, error)
	// Device verifies an ID token that a program got by the device flow.
	Device(ctx context.Context, idToken string) (Claims, error)
	// Logout verifies a back-channel logout token.
	Logout(ctx context.Context, token string) (Logout, error)
	// SignOutURL is where a browser goes to end its session at the issuer; empty when the
	// issuer has no such place or was never reached.
	SignOutURL(idToken string) string
	// Accepts says whether an answer that names its issuer (RFC 9207) names this one.
	Accepts(issuer string) bool
}

// Revocations are the list of what ended before its time, everywhere.
type Revocations interface {
	// RevokeSession lists a session (a Person's) until a time. It returns once that is durable.
	RevokeSession(ctx context.Context, session string, until time.Time) error
	// IsRevoked says whether a Person's RevocationID is on the newest list that is known here.
	IsRevoked(ctx context.Context, id string) (bool, error)
}
