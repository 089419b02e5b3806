package wallet

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"time"
)

// saveURL is where a browser takes a signed pass to the visitor's wallet.
const saveURL = "https://pay.google.com/gp/v/save/"

// Google signs save links (Google Wallet API: "JWT", event tickets).
type Google struct {
	issuer, email, organization string
	key                         *rsa.PrivateKey
}

// NewGoogle makes the signer of an issuer id from a service account's JSON key.
func NewGoogle(issuer, organization string, account []byte) (*Google, error) {
	var a struct {
		Email string `json:"client_email"`
		Key   string `json:"private_key"`
	}
	if err := json.Unmarshal(account, &a); err != nil || a.Email == "" || issuer == "" {
		return nil, ErrKeys.With("an issuer and a service account's key file are needed")
	}
	block, _ := pem.Decode([]byte(a.Key))
	if block == nil {
		return nil, ErrKeys.With("the service account's key is no PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, ErrKeys.With("the service account's key is no RSA key")
	}
	return &Google{issuer: issuer, email: a.Email, organization: organization, key: key}, nil
}

type localized struct {
	DefaultValue struct {
		Language string `json:"language"`
		Value    string `json:"value"`
	} `json:"defaultValue"`
}

func text(s string) localized {
	var l localized
	l.DefaultValue.Language, l.DefaultValue.Value = "en", s
	return l
}

// Link is where the visitor saves his ticket.
func (g *Google) Link(p Pass, now time.Time) (string, error) {
	class := g.issuer + "." + identifier(p.EventID)
	dates := map[string]string{"start": p.at(p.StartsAt)}
	if p.EndsAt != nil {
		dates["end"] = p.at(*p.EndsAt)
	}
	object := map[string]any{
		"id": g.issuer + "." + identifier(p.Serial), "classId": class, "state": "ACTIVE", "ticketHolderName": p.Attendee, "ticketNumber": p.OrderCode,
		"ticketType": text(p.Type), "barcode": map[string]string{"type": "QR_CODE", "value": p.Barcode},
	}
	claims, err := json.Marshal(map[string]any{
		"iss": g.email, "aud": "google", "typ": "savetowallet", "iat": now.Unix(), "origins": []string{},
		"payload": map[string]any{
			"eventTicketClasses": []any{map[string]any{
				"id": class, "issuerName": g.organization, "reviewStatus": "UNDER_REVIEW", "eventName": text(p.Event),
				"venue": map[string]any{"name": text(p.Venue), "address": text(p.Address)}, "dateTime": dates,
			}},
			"eventTicketObjects": []any{object},
		},
	})
	if err != nil {
		return "", fmt.Errorf("describe pass: %w", err)
	}
	signed := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, g.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign pass: %w", err)
	}
	return saveURL + signed + "." + encode(signature), nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// identifier keeps what Google allows in an id: letters, digits, ".", "_" and "-".
func identifier(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, s)
}
