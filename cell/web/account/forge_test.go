package account_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"guichet/internal/issuer"
)

// claimsOf reads a token without checking it.
func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	var c map[string]any
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func unsigned(t *testing.T, header, claims map[string]any) string {
	t.Helper()
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c) + "."
}

// hmacWithPublicKey signs with what everybody knows: the attack on verifiers that let
// a token choose its algorithm.
func hmacWithPublicKey(t *testing.T, i *issuer.Issuer, claims map[string]any) string {
	t.Helper()
	public, kid := i.Public()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: secret, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// strangerTo is an issuer of the same name with another key.
func strangerTo(t *testing.T, o own) *issuer.Issuer {
	t.Helper()
	i, err := issuer.New(issuer.Config{URL: o.base, SiteURL: "http://x", ClientSecret: "x", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// forgeries are ID tokens that must not sign anybody in, made of a good one.
func forgeries(t *testing.T, o own, stranger *issuer.Issuer, good map[string]any) map[string]string {
	t.Helper()
	but := func(changes map[string]any) map[string]any {
		c := maps.Clone(good)
		maps.Copy(c, changes)
		return c
	}
	sign := func(typ string, changes map[string]any) string {
		token, err := o.Sign(typ, but(changes))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	foreign, err := stranger.Sign("JWT", good)
	if err != nil {
		t.Fatal(err)
	}
	signed := sign("JWT", nil)
	past := time.Now().Add(-time.Hour).Unix()
	return map[string]string{
		"none":                         unsigned(t, map[string]any{"alg": "none", "typ": "JWT"}, good),
		"None":                         unsigned(t, map[string]any{"alg": "None"}, good),
		"HS256 with the public key":    hmacWithPublicKey(t, o.Issuer, good),
		"a stranger's key":             foreign,
		"another's signature":          signed[:strings.LastIndex(signed, ".")] + foreign[strings.LastIndex(foreign, "."):],
		"expired":                      sign("JWT", map[string]any{"exp": past}),
		"from the future":              sign("JWT", map[string]any{"iat": time.Now().Add(time.Hour).Unix()}),
		"another audience":             sign("JWT", map[string]any{"aud": "shop", "azp": "shop"}),
		"several audiences, another's": sign("JWT", map[string]any{"aud": []string{"guichet-cell", "guichet-cli", "shop"}, "azp": "shop"}),
		"several audiences, nobody's":  sign("JWT", map[string]any{"aud": []string{"guichet-cell", "guichet-cli"}, "azp": nil}),
		"another issuer":               sign("JWT", map[string]any{"iss": "https://evil.example"}),
		"an access token":              sign("at+jwt", nil),
		"a Keycloak access token":      sign("JWT", map[string]any{"typ": "Bearer"}),
		"a logout token":               sign("JWT", map[string]any{"events": map[string]any{}}),
		"nobody":                       sign("JWT", map[string]any{"sub": ""}),
		"no address":                   sign("JWT", map[string]any{"email": ""}),
		"two addresses":                sign("JWT", map[string]any{"email": "a@example.org, b@example.org"}),
		"unverified":                   sign("JWT", map[string]any{"email_verified": false}),
		"unverified, said oddly":       sign("JWT", map[string]any{"email_verified": "yes"}),
		"not said to be verified":      sign("JWT", map[string]any{"email_verified": nil}),
		"no token":                     "",
		"junk":                         "a.b.c",
		"too long":                     strings.Repeat("a", 20_000),
	}
}
