// Package identity says who somebody is: it lets people sign in at an OpenID issuer and
// turns what the issuer asserts into an access.Person, which every cell verifies by
// itself. It keeps no session anywhere: a session is an encrypted cookie that its cell
// can open, or a Person token in the hands of a program. A session ends by itself, or by
// an entry in the list of what was revoked. Package oidc beneath is the adapter that
// speaks to an issuer; this one opens no connection.
package identity

import (
	"crypto/sha256"
	"encoding/base64"
	"net/mail"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"guichet/cell/access"
	"guichet/internal/kind"
	"guichet/internal/operator"
)

// Answers of this package.
var (
	// ErrNotConfigured: this cell knows no issuer.
	ErrNotConfigured = kind.Unavailable.New("sign_in_not_configured")
	// ErrIssuerAway: the issuer cannot be asked now. Who is signed in stays signed in.
	ErrIssuerAway = kind.Unavailable.New("issuer_unavailable")
	// ErrRefused: the issuer did not let the person in, or what it says does not hold.
	ErrRefused = kind.Unauthorized.New("sign_in_refused")
	// ErrUnverified: the issuer does not vouch for the person's e-mail address.
	ErrUnverified = kind.Forbidden.New("email_not_verified")
	// ErrAttempt: the sign-in was not begun in this browser, is over, or was used already.
	ErrAttempt = kind.Invalid.New("sign_in_attempt_invalid")
	// ErrNoSession: nobody is signed in.
	ErrNoSession = kind.Unauthorized.New("not_signed_in")
	// ErrLogout: a back-channel logout token does not hold.
	ErrLogout = kind.Invalid.New("logout_token_invalid")
	// ErrBusy: too many sign-ins at once.
	ErrBusy = kind.Busy.New("too_many_sign_ins")
)

// Claims are what an issuer says of a person, after its signature was verified.
type Claims struct {
	Issuer        string
	Subject       string
	Email         string
	EmailVerified bool
	Name          string
	ACR           string
	Session       string   // the issuer's sid; empty when it has none
	Roles         []string // as the issuer calls them
	IDToken       string   // as it came; to sign out with
}

// Logout is what a back-channel logout token says.
type Logout struct {
	Issuer  string
	Subject string
	Session string // empty ends the sessions of the subject that the issuer gave no sid
	ID      string // jti
	Until   time.Time
}

// The roles that make somebody an operator, as issuers call them.
var roleNames = map[string]string{"guichet-operator": operator.Operate, "guichet-drill": operator.Drill}

const (
	maxName    = 120 // runes; longer ones are cut
	maxSubject = 255 // bytes, as OpenID Connect allows
	maxEmail   = 254
	maxACR     = 100
	variants   = 16 // how often one session of the issuer may be ended here and begun again within 12 hours
)

// person is who the claims describe, or why that is nobody.
func (c Claims) person(session string, now time.Time) (access.Person, error) {
	if c.Subject == "" || len(c.Subject) > maxSubject || len(c.ACR) > maxACR {
		return access.Person{}, ErrRefused.With("the issuer's answer names nobody")
	}
	if !c.EmailVerified {
		return access.Person{}, ErrUnverified.With("the issuer does not say that this e-mail address was verified; verify it there and sign in again")
	}
	address, err := mail.ParseAddress(c.Email)
	if err != nil || address.Address != c.Email || len(c.Email) > maxEmail {
		return access.Person{}, ErrUnverified.With("the issuer gives no usable e-mail address")
	}
	p := access.Person{
		Issuer: c.Issuer, Subject: c.Subject, Email: c.Email, Name: cut(c.Name), ACR: c.ACR, Session: session,
		Expires: now.Add(access.PersonLife).UTC().Truncate(time.Second),
	}
	for _, r := range c.Roles {
		if role, ours := roleNames[r]; ours {
			p.Roles = append(p.Roles, role)
		}
	}
	return p, nil
}

// cut shortens a name and takes out what would break a line.
func cut(name string) string {
	name = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(name, ""), func(r rune) bool { return r < ' ' || r == 0x7f || r == ' ' }), " ")
	for n := range name {
		if utf8.RuneCountInString(name[:n]) == maxName {
			return name[:n]
		}
	}
	return name
}

// sessionID names a session of an issuer without telling the issuer's own name of it:
// it stands in the list of revocations, which everybody may read. A session that was
// ended here alone, and goes on at the issuer, comes back under the next number.
func sessionID(issuer, subject, sid string, n int) string {
	what := "sid\x00" + sid
	if sid == "" {
		what = "sub\x00" + subject
	}
	sum := sha256.Sum256([]byte("guichet session v1\x00" + issuer + "\x00" + what + "\x00" + strconv.Itoa(n)))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
