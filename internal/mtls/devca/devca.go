// Package devca is a certificate authority for one machine: `guichet town` and
// tests make the town's certificates with it. It is no authority for production,
// where cert-manager or a provider's service is one.
package devca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"guichet/internal/mtls"
)

// How long certificates live, and when they are made anew.
const (
	authorityLife = 365 * 24 * time.Hour
	authoritySoon = 60 * 24 * time.Hour // what is left when another is made
	// LeafLife is how long a machine's certificate is valid; it is made anew when
	// half of it is over.
	LeafLife = 24 * time.Hour
	backdate = 5 * time.Minute // for clocks that go slow
)

const (
	authorityCert = "ca.pem"
	authorityKey  = "ca-key.pem"
)

// Authority signs certificates and keeps them in a directory.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Open makes the authority in dir, or goes on with the one that is there.
func Open(dir string, now time.Time) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("development authority: %w", err)
	}
	a := &Authority{dir: dir}
	cert, key, err := load(filepath.Join(dir, authorityCert), filepath.Join(dir, authorityKey))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("development authority: %w", err)
	}
	if err == nil && now.Add(authoritySoon).Before(cert.NotAfter) {
		a.cert, a.key = cert, key
		return a, nil
	}
	if err := a.make(now); err != nil {
		return nil, fmt.Errorf("development authority: %w", err)
	}
	return a, nil
}

func (a *Authority) make(now time.Time) (err error) {
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	serial, err := serialNumber()
	if err != nil {
		return err
	}
	form := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Guichet development authority " + serial.Text(36)[:6]},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(authorityLife), IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, a.key.Public(), a.key)
	if err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	return save(filepath.Join(a.dir, authorityCert), filepath.Join(a.dir, authorityKey), der, a.key)
}

// Files are where a peer's certificate is or will be.
func (a *Authority) Files(peer mtls.Peer) mtls.Files {
	name := strings.ReplaceAll(peer.String(), "/", "-")
	return mtls.Files{Cert: filepath.Join(a.dir, name+".pem"), Key: filepath.Join(a.dir, name+"-key.pem"), CA: filepath.Join(a.dir, authorityCert)}
}

// Issue sees to it that the peer has a certificate that is valid for at least half
// of LeafLife; one that is there and good enough stays.
func (a *Authority) Issue(peer mtls.Peer, now time.Time) (mtls.Files, error) {
	f := a.Files(peer)
	have, _, err := load(f.Cert, f.Key)
	if err == nil && have.CheckSignatureFrom(a.cert) == nil && now.Add(LeafLife/2).Before(have.NotAfter) &&
		len(have.URIs) == 1 && have.URIs[0].String() == peer.URI().String() {
		return f, nil
	}
	return f, a.Sign(f, peer, now.Add(-backdate), now.Add(LeafLife))
}

// Sign makes a certificate with any validity and writes it to the files. Tests
// make certificates with it that are not valid any more, or not yet.
func (a *Authority) Sign(f mtls.Files, peer mtls.Peer, from, until time.Time) error {
	if !peer.Valid() {
		return fmt.Errorf("development authority: %q is no peer's name", peer)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("development authority: %w", err)
	}
	serial, err := serialNumber()
	if err != nil {
		return fmt.Errorf("development authority: %w", err)
	}
	form := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: peer.String()}, NotBefore: from, NotAfter: until,
		URIs: []*url.URL{peer.URI()}, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if peer.Kind != mtls.Operator { // a person serves nobody
		form.ExtKeyUsage = append(form.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		form.DNSNames = []string{"localhost"}
		form.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	der, err := x509.CreateCertificate(rand.Reader, form, a.cert, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("development authority: %w", err)
	}
	if err := save(f.Cert, f.Key, der, key); err != nil {
		return fmt.Errorf("development authority: %w", err)
	}
	return nil
}

func serialNumber() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

func load(certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(certFile)
	if err != nil {
		return nil, nil, err
	}
	secret, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, nil, err
	}
	c, _ := pem.Decode(text)
	k, _ := pem.Decode(secret)
	if c == nil || k == nil {
		return nil, nil, fmt.Errorf("%s or %s is no PEM file", certFile, keyFile)
	}
	cert, err := x509.ParseCertificate(c.Bytes)
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.ParseECPrivateKey(k.Bytes)
	if err != nil {
		return nil, nil, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, fmt.Errorf("%s does not fit %s: %w", certFile, keyFile, fs.ErrNotExist) // an interrupted write is made anew
	}
	return cert, key, nil
}

// save writes the key first: between the two renames a reader sees a pair that
// does not fit, and keeps what it has.
func save(certFile, keyFile string, der []byte, key *ecdsa.PrivateKey) error {
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := write(keyFile, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})); err != nil {
		return err
	}
	return write(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// write replaces a file as a whole.
func write(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".new-") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
