package mtls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"
)

// Reason says in one word why a peer was refused; it is a label of the metric.
type Reason string

// The reasons.
const (
	NoCertificate    Reason = "no_certificate"
	Expired          Reason = "expired"
	NotYetValid      Reason = "not_yet_valid"
	ForeignAuthority Reason = "foreign_authority"
	NoIdentity       Reason = "no_identity"
	WrongIdentity    Reason = "wrong_identity"
	WrongUse         Reason = "wrong_use"
	OldProtocol      Reason = "old_protocol"
)

var reasons = []Reason{NoCertificate, Expired, NotYetValid, ForeignAuthority, NoIdentity, WrongIdentity, WrongUse, OldProtocol}

// RefusedError is the error of a peer that was not believed.
type RefusedError struct {
	Reason  Reason
	Peer    string    // what its certificate says, "cell/euw3"; empty without one
	Issuer  string    // who signed it, as it says
	From    time.Time // the certificate's validity
	Until   time.Time
	Address string // where the peer is, as far as it is known
}

func (r *RefusedError) Error() string {
	who := "the peer"
	if r.Address != "" {
		who += " at " + r.Address
	}
	certificate := fmt.Sprintf("the certificate of %.80q", r.Peer)
	switch r.Reason {
	case NoCertificate:
		return who + " showed no certificate"
	case Expired:
		return fmt.Sprintf("%s expired: it was valid until %s", certificate, r.Until.UTC().Format(time.RFC3339))
	case NotYetValid:
		return fmt.Sprintf("%s is not valid before %s", certificate, r.From.UTC().Format(time.RFC3339))
	case ForeignAuthority:
		return fmt.Sprintf("%s (valid until %s) was not signed by this town's authority, but by %.80q", certificate, r.Until.UTC().Format(time.RFC3339), r.Issuer)
	case NoIdentity:
		return fmt.Sprintf("the certificate that %s showed (valid until %s) names no machine of the town, or several", who, r.Until.UTC().Format(time.RFC3339))
	case WrongIdentity:
		return fmt.Sprintf("%s at the other end is genuine (valid until %s), but another peer's or one that may not speak here", certificate, r.Until.UTC().Format(time.RFC3339))
	case WrongUse:
		return certificate + " is not one to serve or to call with, as it was used here"
	case OldProtocol:
		return who + " does not speak TLS 1.3"
	}
	return who + " was refused: " + string(r.Reason)
}

// verify decides on the certificate that a peer showed.
func verify(s tls.ConnectionState, roots *x509.CertPool, usage x509.ExtKeyUsage, now time.Time, allow func(Peer) bool) *RefusedError {
	if len(s.PeerCertificates) == 0 {
		return &RefusedError{Reason: NoCertificate}
	}
	leaf := s.PeerCertificates[0]
	r := &RefusedError{Peer: said(leaf), Issuer: leaf.Issuer.CommonName, From: leaf.NotBefore, Until: leaf.NotAfter}
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	// The authority is asked first, at a time when the certificate was valid: a foreign
	// one is foreign, whatever its dates say.
	at := now
	if at.After(leaf.NotAfter) {
		at = leaf.NotAfter
	}
	if at.Before(leaf.NotBefore) {
		at = leaf.NotBefore
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}})
	peer, ok := named(leaf)
	switch {
	case isInvalid(err, x509.Expired): // the authority's, or one's between
		r.Reason = Expired
	case isInvalid(err, x509.IncompatibleUsage):
		r.Reason = WrongUse
	case err != nil:
		r.Reason = ForeignAuthority
	case now.After(leaf.NotAfter):
		r.Reason = Expired
	case now.Before(leaf.NotBefore):
		r.Reason = NotYetValid
	case !ok:
		r.Reason = NoIdentity
	case !allow(peer):
		r.Reason = WrongIdentity
	default:
		return nil
	}
	return r
}

func isInvalid(err error, why x509.InvalidReason) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && invalid.Reason == why
}

// said is the name a certificate claims, whether or not it is to be believed.
func said(c *x509.Certificate) string {
	if p, ok := named(c); ok {
		return p.String()
	}
	return c.Subject.CommonName
}

// Explain makes clear what an error of a connection that this identity opened
// means. The other side says at most in one word that it refused the certificate,
// and that word may be lost; this side knows which certificate it showed, and
// whether anybody could still believe it.
func (i *Identity) Explain(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); err == nil || ok && op.Op == "dial" || errors.Is(err, context.Canceled) {
		return err // certificates have no part in it
	}
	p := i.current.Load()
	own := verify(tls.ConnectionState{PeerCertificates: p.chain}, p.roots, x509.ExtKeyUsageClientAuth, i.now(), func(Peer) bool { return true })
	switch {
	case own != nil:
		return fmt.Errorf("this process's own certificate cannot be believed: %w: %w", own, err)
	case strings.Contains(err.Error(), "remote error: tls:"):
		return fmt.Errorf("the other side refused this process's certificate (%s, valid until %s); its log says why: %w", i.Self(), p.leaf.NotAfter.UTC().Format(time.RFC3339), err)
	}
	return err
}

// Limits of what refusals may write to the log: whoever can connect can cause them.
const (
	sayAgain  = 10 * time.Second // the same reason for the same peer
	mostNoted = 256              // pairs of reason and peer that are remembered
)

// sayer logs a refusal when it is new, and again at most every sayAgain.
type sayer struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (s *sayer) say(log *slog.Logger, r *RefusedError, now time.Time) {
	key := string(r.Reason) + " " + r.Peer
	s.mu.Lock()
	if at, ok := s.last[key]; ok && now.Sub(at) < sayAgain {
		s.mu.Unlock()
		return
	}
	if len(s.last) >= mostNoted || s.last == nil {
		for k, at := range s.last {
			if now.Sub(at) >= sayAgain {
				delete(s.last, k)
			}
		}
		if s.last == nil {
			s.last = map[string]time.Time{}
		}
		if len(s.last) >= mostNoted { // a flood of names: the metric counts it
			s.mu.Unlock()
			return
		}
	}
	s.last[key] = now
	s.mu.Unlock()
	log.Warn("a peer was refused", slog.String("reason", string(r.Reason)), slog.String("peer", r.Peer),
		slog.String("address", r.Address), slog.Time("valid_until", r.Until), slog.String("error", r.Error()))
}
