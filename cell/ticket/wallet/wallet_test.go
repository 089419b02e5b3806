package wallet_test

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"guichet/cell/ticket/wallet"
)

func pass() wallet.Pass {
	end := time.Date(2026, 11, 7, 13, 0, 0, 0, time.UTC)
	return wallet.Pass{
		Barcode: "GT1.abc", Serial: "s-1", EventID: "evt_apn1_1", Event: "第九 \"Ode\"", Venue: "Suntory Hall", Address: "Suntory Hall, Tokyo",
		StartsAt: time.Date(2026, 11, 7, 10, 30, 0, 0, time.UTC), EndsAt: &end, TimeZone: "Asia/Tokyo", Type: "Balcony", Attendee: "Zoë", OrderCode: "K3V9X", Lat: 35.66, Lon: 139.74, Located: true,
	}
}

// certified is a root and a certificate it signed, as Apple's chain is built.
func certified(t *testing.T) (root *x509.Certificate, certificateAndKey, rootPEM []byte) {
	t.Helper()
	issue := func(name string, parent *x509.Certificate, signer crypto.Signer) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(len(name))), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		}
		if parent == nil {
			parent, signer = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		made, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return made, key
	}
	root, rootKey := issue("stand-in for WWDR", nil, nil)
	leaf, leafKey := issue("pass.org.example", root, rootKey)
	der, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	certificateAndKey = append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	return root, certificateAndKey, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})
}

func unpack(t *testing.T, file []byte) map[string][]byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if files[f.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestApple_signsAManifestOfEveryFile(t *testing.T) {
	t.Parallel()
	root, certificateAndKey, rootPEM := certified(t)
	a, err := wallet.NewApple("pass.org.example", "TEAM1", "Guichet", certificateAndKey, rootPEM)
	if err != nil {
		t.Fatal(err)
	}
	file, err := a.File(pass())
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, file)
	var sums map[string]string
	if err := json.Unmarshal(files["manifest.json"], &sums); err != nil || len(sums) != len(files)-2 {
		t.Fatalf("%v, %v", sums, err)
	}
	for name, want := range sums {
		if got := sha1.Sum(files[name]); hex.EncodeToString(got[:]) != want {
			t.Errorf("%s is not what the manifest says", name)
		}
	}
	signed, err := pkcs7.Parse(files["signature"])
	if err != nil {
		t.Fatal(err)
	}
	if len(signed.Content) != 0 {
		t.Error("the signature is not detached")
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(root)
	signed.Content = files["manifest.json"]
	if err := signed.VerifyWithChain(trusted); err != nil {
		t.Errorf("the signature: %v", err)
	}
	signed.Content = append([]byte(" "), files["manifest.json"]...)
	if signed.VerifyWithChain(trusted) == nil {
		t.Error("another manifest has the same signature")
	}
	var got struct {
		PassType string `json:"passTypeIdentifier"`
		Team     string `json:"teamIdentifier"`
		Serial   string `json:"serialNumber"`
		Relevant string `json:"relevantDate"`
		Expires  string `json:"expirationDate"`
		Barcodes []struct{ Message, Format string }
		Ticket   struct {
			Primary []struct{ Value string } `json:"primaryFields"`
		} `json:"eventTicket"`
	}
	if err := json.Unmarshal(files["pass.json"], &got); err != nil {
		t.Fatal(err)
	}
	if got.PassType != "pass.org.example" || got.Team != "TEAM1" || got.Serial != "s-1" || got.Relevant != "2026-11-07T19:30:00+09:00" || got.Expires != "2026-11-07T22:00:00+09:00" ||
		got.Barcodes[0].Message != "GT1.abc" || got.Ticket.Primary[0].Value != "第九 \"Ode\"" {
		t.Errorf("%+v", got)
	}
	if !bytes.HasPrefix(files["icon@2x.png"], []byte("\x89PNG")) {
		t.Error("no icon")
	}
}

func TestGoogle_linkIsAJWTOfTheServiceAccount(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{"client_email": "w@example.iam", "private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
	if err != nil {
		t.Fatal(err)
	}
	g, err := wallet.NewGoogle("338800", "Guichet", account)
	if err != nil {
		t.Fatal(err)
	}
	link, err := g.Link(pass(), time.Unix(1_800_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	token, ok := strings.CutPrefix(link, "https://pay.google.com/gp/v/save/")
	parts := strings.Split(token, ".")
	if !ok || len(parts) != 3 {
		t.Fatalf("%s", link)
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], signature) != nil {
		t.Errorf("the signature: %v", err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Iss, Aud, Typ string
		Iat           int64
		Payload       struct {
			Classes []struct{ ID string } `json:"eventTicketClasses"`
			Objects []struct {
				ID, ClassID string
				Barcode     struct{ Value string }
			} `json:"eventTicketObjects"`
		}
	}
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	p := claims.Payload
	if claims.Iss != "w@example.iam" || claims.Aud != "google" || claims.Typ != "savetowallet" || claims.Iat != 1_800_000_000 || p.Classes[0].ID != "338800.evt_apn1_1" ||
		p.Objects[0].ClassID != p.Classes[0].ID || p.Objects[0].ID != "338800.s-1" || p.Objects[0].Barcode.Value != "GT1.abc" {
		t.Errorf("%+v", claims)
	}
}

func TestKeys_thatCannotSignAreRefused(t *testing.T) {
	t.Parallel()
	_, certificateAndKey, rootPEM := certified(t)
	for name, err := range map[string]error{
		"no type":    func() error { _, err := wallet.NewApple("", "T", "G", certificateAndKey, rootPEM); return err }(),
		"no key":     func() error { _, err := wallet.NewApple("p", "T", "G", rootPEM, rootPEM); return err }(),
		"no between": func() error { _, err := wallet.NewApple("p", "T", "G", certificateAndKey, []byte("x")); return err }(),
		"no account": func() error { _, err := wallet.NewGoogle("1", "G", []byte("{}")); return err }(),
		"no PEM": func() error {
			_, err := wallet.NewGoogle("1", "G", []byte(`{"client_email":"a","private_key":"x"}`))
			return err
		}(),
		"no RSA key": func() error { _, err := wallet.NewGoogle("1", "G", mustJSON(t, certificateAndKey)); return err }(),
	} {
		if !errors.Is(err, wallet.ErrKeys) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func mustJSON(t *testing.T, key []byte) []byte {
	t.Helper()
	_, rest := pem.Decode(key)
	out, err := json.Marshal(map[string]string{"client_email": "a", "private_key": string(rest)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
