package identity

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"time"

	"guichet/cell/access"
	"guichet/control-plane/topology"
	"guichet/internal/signed"
)

const (
	purposeSession = "session"
	// MaxCookie is the longest value of a cookie in bytes; with its name and attributes a
	// browser keeps 4,096 at most.
	MaxCookie = 3900
	// revokeSlack is how much longer than the session its revocation is kept: clocks of
	// cells differ.
	revokeSlack = 5 * time.Minute
)

// Config is what a Service needs.
type Config struct {
	Cell        topology.CellID
	Issuer      Issuer // nil: nobody can sign in
	Signer      *access.Signer
	Keys        func() signed.Keys // of all cells
	Revocations Revocations
	Mailbox     Mailbox // nil: nobody can sign in by mail
	Now         func() time.Time
}

// Service lets people sign in and out.
type Service struct {
	cell        topology.CellID
	issuer      Issuer
	signer      *access.Signer
	keys        func() signed.Keys
	revocations Revocations
	mailbox     Mailbox
	now         func() time.Time
	box         box
	attempts    once
	logouts     once
}

// New makes a service. It fails on keys that cannot encrypt.
func New(cfg Config) (*Service, error) {
	b, err := newBox(cfg.Signer.SessionKeys())
	if err != nil {
		return nil, err
	}
	return &Service{cell: cfg.Cell, issuer: cfg.Issuer, signer: cfg.Signer, keys: cfg.Keys, revocations: cfg.Revocations, mailbox: cfg.Mailbox, now: cfg.Now, box: b}, nil
}

// Configured says whether this cell has an issuer.
func (s *Service) Configured() bool { return s.issuer != nil }

// Begin begins a sign-in: it says where the browser goes, and what its cookie holds
// meanwhile.
func (s *Service) Begin(ctx context.Context, next, acr string) (location, cookie string, err error) {
	if s.issuer == nil {
		return "", "", ErrNotConfigured.With("this cell has no issuer at which people sign in")
	}
	if len(acr) > maxACR {
		acr = ""
	}
	a := newAttempt(s.cell, next, s.now())
	if location, err = s.issuer.SignInURL(ctx, a, acr); err != nil {
		return "", "", fmt.Errorf("begin a sign-in: %w", err)
	}
	return location, s.sealAttempt(purposeAttempt, a), nil
}

// Answer is what the issuer sends back by way of the browser.
type Answer struct {
	State, Code, Error, Issuer string
}

// Complete ends a sign-in: it checks that the answer belongs to this browser and was
// not used yet, and answers the cookie of the session and where the person wanted to go.
func (s *Service) Complete(ctx context.Context, cookie string, in Answer) (session, next string, err error) {
	a, ok := s.openAttempt(purposeAttempt, cookie)
	if !ok || subtle.ConstantTimeCompare([]byte(a.State), []byte(in.State)) != 1 {
		return "", "", ErrAttempt.With("this sign-in was not begun in this browser, or more than %s ago; begin again", AttemptLife)
	}
	switch first, room := s.attempts.take(a.State, a.Until, s.now()); {
	case !room:
		return "", "", ErrBusy.With("too many people sign in at once; try again shortly").After(10 * time.Second)
	case !first:
		return "", "", ErrAttempt.With("this sign-in was completed already; begin again")
	}
	if s.issuer == nil || in.Issuer != "" && !s.issuer.Accepts(in.Issuer) {
		return "", "", ErrAttempt.With("this answer comes from another issuer")
	}
	if in.Error != "" || in.Code == "" {
		return "", "", ErrRefused.With("the issuer did not sign you in")
	}
	claims, err := s.issuer.Redeem(ctx, in.Code, a)
	if err != nil {
		return "", "", fmt.Errorf("complete a sign-in: %w", err)
	}
	p, err := s.person(ctx, claims)
	if err != nil {
		return "", "", err
	}
	token, _, err := s.statement(p)
	if err != nil {
		return "", "", err
	}
	return s.sealSession(token, claims.IDToken), a.Next, nil
}

// person is who the claims describe, in a session that is not revoked.
func (s *Service) person(ctx context.Context, c Claims) (access.Person, error) {
	for n := range variants {
		p, err := c.person(sessionID(c.Issuer, c.Subject, c.Session, n), s.now())
		if err != nil {
			return access.Person{}, err
		}
		ended, err := s.revocations.IsRevoked(ctx, p.RevocationID())
		if err != nil {
			return access.Person{}, fmt.Errorf("read the list of revocations: %w", err)
		}
		if !ended {
			return p, nil
		}
	}
	return access.Person{}, ErrRefused.With("this session of the issuer was ended too often; sign out there and sign in again")
}

// Exchange turns the ID token that a program got by the device flow into a Person token.
func (s *Service) Exchange(ctx context.Context, idToken string) (token string, p access.Person, err error) {
	if s.issuer == nil {
		return "", p, ErrNotConfigured.With("this cell has no issuer at which people sign in")
	}
	claims, err := s.issuer.Device(ctx, idToken)
	if err != nil {
		return "", p, fmt.Errorf("exchange an ID token: %w", err)
	}
	if p, err = s.person(ctx, claims); err != nil {
		return "", p, err
	}
	token, p, err = s.statement(p)
	return token, p, err
}

// statement signs who a person is. A name that would make it too long is left out.
func (s *Service) statement(p access.Person) (string, access.Person, error) {
	token := s.signer.Person(p, s.now())
	if len(token) > signed.MaxLength {
		p.Name = ""
		token = s.signer.Person(p, s.now())
	}
	if len(token) > signed.MaxLength {
		return "", access.Person{}, ErrRefused.With("the issuer's answer is too long")
	}
	return token, p, nil
}

// End ends a session before its time, everywhere.
func (s *Service) End(ctx context.Context, p access.Person) error {
	if err := s.revocations.RevokeSession(ctx, p.Session, p.Expires.Add(revokeSlack)); err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}

// BackChannel ends the sessions that a logout token names.
func (s *Service) BackChannel(ctx context.Context, token string) error {
	if s.issuer == nil {
		return ErrNotConfigured.With("this cell has no issuer at which people sign in")
	}
	l, err := s.issuer.Logout(ctx, token)
	if err != nil {
		return err
	}
	switch first, room := s.logouts.take(l.Issuer+"\x00"+l.ID, l.Until, s.now()); {
	case !room:
		return ErrBusy.With("too many logouts at once").After(10 * time.Second)
	case !first:
		return ErrLogout.With("this logout token was used already")
	}
	err = s.endAll(ctx, l)
	if err != nil {
		s.logouts.forget(l.Issuer + "\x00" + l.ID) // the issuer tries again
	}
	return err
}

// endAll ends every session that can have come of one at the issuer.
func (s *Service) endAll(ctx context.Context, l Logout) error {
	// Only these can have been given out: a number is used once all before it are revoked.
	// One more, because another cell may know of a revocation that we have not heard of.
	for n, more := 0, 1; n < variants && more >= 0; n++ {
		p := access.Person{Session: sessionID(l.Issuer, l.Subject, l.Session, n)}
		ended, err := s.revocations.IsRevoked(ctx, p.RevocationID())
		if err != nil {
			return fmt.Errorf("read the list of revocations: %w", err)
		}
		if ended {
			continue
		}
		more--
		if err := s.revocations.RevokeSession(ctx, p.Session, s.now().Add(access.PersonLife+revokeSlack)); err != nil {
			return fmt.Errorf("end the sessions of a logout: %w", err)
		}
	}
	return nil
}

func (o *once) forget(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.used, what)
}

// Session is somebody who is signed in with a browser.
type Session struct {
	Person  access.Person
	Token   string // the Person token, for calls to this or another cell
	IDToken string // the issuer's, to sign out with there; empty when it was too long to keep
}

type sessionCookie struct {
	Token string `json:"t"`
	Hint  string `json:"h,omitempty"`
}

func (s *Service) sealSession(token, hint string) string {
	text, _ := json.Marshal(sessionCookie{Token: token, Hint: hint}) // has no value that cannot be written
	sealed := s.box.seal(s.cell.String(), purposeSession, text)
	if len(sealed) > MaxCookie && hint != "" { // signing out at the issuer then asks once more
		return s.sealSession(token, "")
	}
	return sealed
}

// Session opens the cookie of a session. ErrNoSession covers every reason why it is none.
func (s *Service) Session(ctx context.Context, cookie string) (Session, error) {
	var c sessionCookie
	none := ErrNoSession.With("nobody is signed in")
	if len(cookie) > MaxCookie {
		return Session{}, none
	}
	text, ok := s.box.open(s.cell.String(), purposeSession, cookie)
	if !ok || json.Unmarshal(text, &c) != nil {
		return Session{}, none
	}
	p, err := access.VerifyPerson(c.Token, s.keys(), s.now())
	if err != nil {
		return Session{}, none
	}
	ended, err := s.revocations.IsRevoked(ctx, p.RevocationID())
	if err != nil {
		return Session{}, fmt.Errorf("read the list of revocations: %w", err)
	}
	if ended {
		return Session{}, none
	}
	return Session{Person: p, Token: c.Token, IDToken: c.Hint}, nil
}

// SignOut ends a session here and says where the browser goes to end it at the issuer;
// nowhere when that cannot be.
func (s *Service) SignOut(ctx context.Context, session Session) (location string, err error) {
	if err := s.End(ctx, session.Person); err != nil {
		return "", err
	}
	if s.issuer == nil || session.Person.Issuer == MailIssuer {
		return "", nil
	}
	return s.issuer.SignOutURL(session.IDToken), nil
}
