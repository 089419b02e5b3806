package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// ErrFiles is returned for files that hold no usable certificate, key and authority.
var ErrFiles = errors.New("certificate files")

// lookEvery is how often the files are looked at, at most, while connections are made.
const lookEvery = time.Second

// Files are where a machine's identity lies, all in PEM.
type Files struct {
	Cert string `json:"certificate"` // its certificate, then those between it and the authority
	Key  string `json:"key"`         // its private key
	CA   string `json:"ca"`          // the authorities whose certificates it believes

	Now func() time.Time `json:"-"` // the clock; nil is the machine's
	Log *slog.Logger     `json:"-"` // nil is the process's
}

// Identity is who this process is, and whom it believes.
type Identity struct {
	files   Files
	log     *slog.Logger
	current atomic.Pointer[pair]
	watch   counts
	sayer   sayer

	mu     sync.Mutex
	looked time.Time // when the files were last looked at
	failed string    // why they could not be read, as it was last logged
}

// pair is what was read from the files at one time.
type pair struct {
	cert  tls.Certificate
	leaf  *x509.Certificate
	chain []*x509.Certificate // the leaf first
	roots *x509.CertPool
	ends  time.Time // when the first of the authorities expires
	stamp stamp
}

// stamp tells one version of the files from another without reading them.
type stamp [3]struct {
	changed time.Time
	size    int64
}

// Open reads the files.
func Open(f Files) (*Identity, error) {
	if f.Now == nil {
		f.Now = time.Now //nolint:forbidigo // a certificate's dates have no other clock
	}
	i := &Identity{files: f, log: f.Log, watch: newCounts()}
	if i.log == nil {
		i.log = slog.Default()
	}
	at, err := f.stamp()
	if err != nil {
		return nil, err
	}
	p, err := f.read(at)
	if err != nil {
		return nil, err
	}
	i.current.Store(p)
	return i, nil
}

func (i *Identity) now() time.Time { return i.files.Now() }

// Self is whom the certificate names.
func (i *Identity) Self() Peer {
	p, _ := named(i.current.Load().leaf)
	return p
}

func (f Files) stamp() (s stamp, err error) {
	for n, name := range []string{f.Cert, f.Key, f.CA} {
		info, err := os.Stat(name)
		if err != nil {
			return s, fmt.Errorf("%w: %w", ErrFiles, err)
		}
		s[n].changed, s[n].size = info.ModTime(), info.Size()
	}
	return s, nil
}

// read takes the three files in, or none of them.
func (f Files) read(at stamp) (*pair, error) {
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: %s and %s: %w", ErrFiles, f.Cert, f.Key, err)
	}
	p := &pair{cert: cert, roots: x509.NewCertPool(), stamp: at}
	for _, der := range cert.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrFiles, f.Cert, err)
		}
		p.chain = append(p.chain, c)
	}
	p.leaf = p.chain[0]
	p.cert.Leaf = p.leaf
	if _, ok := named(p.leaf); !ok {
		return nil, fmt.Errorf("%w: %s must have exactly one URI name like spiffe://guichet/cell/euw3, and has %v", ErrFiles, f.Cert, p.leaf.URIs)
	}
	text, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFiles, err)
	}
	authorities, err := parseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrFiles, f.CA, err)
	}
	for _, c := range authorities {
		p.roots.AddCert(c)
		if p.ends.IsZero() || c.NotAfter.Before(p.ends) {
			p.ends = c.NotAfter
		}
	}
	return p, nil
}

// fresh is the newest pair: files that changed are read again. What cannot be
// read, or does not fit together because only half of it was replaced yet, is
// said and counted, and the old pair stays in use.
func (i *Identity) fresh() *pair {
	now := i.now()
	have := i.current.Load()
	if !i.mu.TryLock() { // somebody else is looking
		return have
	}
	defer i.mu.Unlock()
	if past := now.Sub(i.looked); past >= 0 && past < lookEvery {
		return have
	}
	i.looked = now
	at, err := i.files.stamp()
	if err == nil && at == have.stamp {
		i.failed = ""
		return have
	}
	next := have
	if err == nil {
		next, err = i.files.read(at)
	}
	if err != nil {
		i.watch.unread.Inc()
		if text := err.Error(); text != i.failed {
			i.failed = text
			i.log.Error("the certificate files changed and cannot be used; the old ones stay in use", slog.Any("error", err),
				slog.Time("valid_until", have.leaf.NotAfter))
		}
		return have
	}
	i.failed = ""
	i.current.Store(next)
	i.log.Info("the certificate was read again", slog.String("identity", i.Self().String()), slog.Time("valid_until", next.leaf.NotAfter))
	return next
}

// Server is for those who listen: it shows this certificate and asks for the
// peer's, whom allow must admit.
func (i *Identity) Server(allow func(peer Peer) bool) *tls.Config {
	cfg := i.config()
	cfg.NextProtos = []string{"h2", "http/1.1"}
	cfg.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &i.fresh().cert, nil }
	cfg.ClientAuth = tls.RequestClientCert // judged below, where a refusal is named and counted
	cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		address := ""
		if hello.Conn != nil {
			address = hello.Conn.RemoteAddr().String()
		}
		newest := uint16(0)
		for _, v := range hello.SupportedVersions {
			newest = max(newest, v)
		}
		if newest < tls.VersionTLS13 {
			i.refused(&RefusedError{Reason: OldProtocol, Address: address})
			return nil, nil // the handshake ends with the right alert
		}
		mine := cfg.Clone()
		mine.GetConfigForClient = nil
		mine.VerifyConnection = i.verifier(x509.ExtKeyUsageClientAuth, address, allow)
		return mine, nil
	}
	cfg.VerifyConnection = i.verifier(x509.ExtKeyUsageClientAuth, "", allow)
	return cfg
}

// Client is for those who dial: it shows this certificate and believes the other
// side only when want admits it. The name that is dialed decides nothing.
func (i *Identity) Client(want func(peer Peer) bool) *tls.Config {
	cfg := i.config()
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &i.fresh().cert, nil }
	cfg.InsecureSkipVerify = true // VerifyConnection checks the chain, and the identity instead of a host's name
	cfg.VerifyConnection = i.verifier(x509.ExtKeyUsageServerAuth, "", want)
	return cfg
}

func (i *Identity) config() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true, // each connection is judged by today's certificates
		Time:                   i.now,
	}
}

func (i *Identity) verifier(usage x509.ExtKeyUsage, address string, allow func(Peer) bool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		r := verify(s, i.fresh().roots, usage, i.now(), allow)
		if r == nil {
			return nil
		}
		r.Address = address
		i.refused(r)
		return r
	}
}

func (i *Identity) refused(r *RefusedError) {
	i.watch.refused.WithLabelValues(string(r.Reason)).Inc()
	i.sayer.say(i.log, r, i.now())
}

// Judge says again whether the peer of a connection may be believed: a connection
// outlives the certificate that opened it.
func (i *Identity) Judge(s *tls.ConnectionState) error {
	if s == nil {
		return &RefusedError{Reason: NoCertificate}
	}
	if len(s.PeerCertificates) > 0 && !i.now().After(s.PeerCertificates[0].NotAfter) {
		return nil
	}
	if r := verify(*s, i.current.Load().roots, x509.ExtKeyUsageAny, i.now(), func(Peer) bool { return true }); r != nil {
		i.refused(r)
		return r
	}
	return nil
}
