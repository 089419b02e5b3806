package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"guichet/cell/access"
	"guichet/internal/kind"
)

// MailIssuer stands for the issuer of who signed in by a mailed link: this platform saw
// that the person reads the address's mail, and nothing else. It is no URL, so no issuer
// can be called so.
const MailIssuer = "guichet:mail"

// ErrAddress is returned for a text that is no e-mail address.
var ErrAddress = kind.Invalid.New("invalid_email")

// Mailbox mails links, and knows which were used.
type Mailbox interface {
	// PostSignIn queues a mail with a link that signs the reader in. It is limited per
	// address, and does not say when the limit holds.
	PostSignIn(ctx context.Context, address, locale string) error
	// UseLink says whether a link is used for the first time; it is remembered until a time.
	UseLink(ctx context.Context, mark string, until time.Time) (first bool, err error)
}

// MailsLinks says whether people can sign in by mail here.
func (s *Service) MailsLinks() bool { return s.mailbox != nil }

// BeginMail mails a link and binds it to a browser by a cookie: whoever sees the link
// elsewhere, in a log or over a shoulder, cannot use it, and nobody can sign somebody
// else in with a link of his own.
func (s *Service) BeginMail(ctx context.Context, address, locale, next string) (cookie string, err error) {
	if s.mailbox == nil {
		return "", ErrNotConfigured.With("nobody can sign in by mail here")
	}
	address = strings.TrimSpace(address)
	if a, err := mail.ParseAddress(address); err != nil || a.Address != address || len(address) > maxEmail {
		return "", ErrAddress.With("this is no e-mail address")
	}
	if err := s.mailbox.PostSignIn(ctx, address, locale); err != nil {
		return "", fmt.Errorf("mail a link to sign in: %w", err)
	}
	a := newAttempt(s.cell, next, s.now())
	a.State, a.Nonce, a.Verifier, a.Until = mailState(address), "", "", s.now().Add(access.MailedLife).UTC().Truncate(time.Second)
	return s.sealAttempt(purposeMail, a), nil
}

// mailState binds an attempt to the address that the link goes to.
func mailState(address string) string { return strings.ToLower(address) }

// CompleteMail signs in who has both the mailed link and the browser that asked for it.
func (s *Service) CompleteMail(ctx context.Context, cookie, token string) (session, next string, err error) {
	if s.mailbox == nil {
		return "", "", ErrNotConfigured.With("nobody can sign in by mail here")
	}
	m, err := access.VerifyMailed(token, s.signer.Keys(nil), s.now()) // our own keys: the browser's cookie is ours too
	if err != nil {
		return "", "", err
	}
	a, ok := s.openAttempt(purposeMail, cookie)
	if !ok || subtle.ConstantTimeCompare([]byte(a.State), []byte(mailState(m.Email))) != 1 {
		return "", "", ErrAttempt.With("open the link in the browser in which you asked for it, within %s", access.MailedLife)
	}
	first, err := s.mailbox.UseLink(ctx, m.Mark, m.Expires.Add(revokeSlack))
	if err != nil {
		return "", "", fmt.Errorf("use a mailed link: %w", err)
	}
	if !first {
		return "", "", ErrAttempt.With("this link was used already; ask for a new one")
	}
	c := Claims{Issuer: MailIssuer, Subject: strings.ToLower(m.Email), Email: m.Email, EmailVerified: true}
	p, err := c.person(rand.Text(), s.now())
	if err != nil {
		return "", "", err
	}
	statement, _, err := s.statement(p)
	if err != nil {
		return "", "", err
	}
	return s.sealSession(statement, ""), a.Next, nil
}
