package identity_test

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"guichet/cell/access"
	"guichet/cell/identity"
	"guichet/internal/signed"
)

var noon = time.Date(2027, 5, 1, 12, 0, 0, 0, time.UTC)

// calm is an issuer that vouches for whatever a test says.
type calm struct {
	claims  identity.Claims
	logouts int
}

func (i *calm) SignInURL(context.Context, identity.Attempt, string) (string, error) {
	return "https://id.example.org", nil
}

func (i *calm) Redeem(context.Context, string, identity.Attempt) (identity.Claims, error) {
	return i.claims, nil
}
func (i *calm) Device(context.Context, string) (identity.Claims, error) { return i.claims, nil }
func (i *calm) Logout(context.Context, string) (identity.Logout, error) {
	i.logouts++
	return identity.Logout{Issuer: i.claims.Issuer, Subject: i.claims.Subject, Session: i.claims.Session, ID: strconv.Itoa(i.logouts), Until: noon.Add(time.Hour)}, nil
}
func (i *calm) SignOutURL(string) string { return "" }
func (i *calm) Accepts(string) bool      { return true }

type revoked map[string]time.Time

func (r revoked) RevokeSession(_ context.Context, session string, until time.Time) error {
	r["sid:"+session] = until
	return nil
}

func (r revoked) IsRevoked(_ context.Context, id string) (bool, error) {
	_, is := r[id]
	return is, nil
}

func open(t *testing.T, i *calm) (*identity.Service, revoked) {
	t.Helper()
	signer, err := access.NewSigner("euw3", 1, bytes.Repeat([]byte{1}, signed.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	r := revoked{}
	s, err := identity.New(identity.Config{
		Cell: "euw3", Issuer: i, Signer: signer, Keys: func() signed.Keys { return signer.Keys(nil) }, Revocations: r, Now: func() time.Time { return noon },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

func ada() identity.Claims {
	return identity.Claims{Issuer: "https://id.example.org", Subject: "1", Email: "ada@example.org", EmailVerified: true, Name: "Ada", Session: "the issuer's"}
}

// Whoever signs out here while the issuer is away is still signed in there, and comes
// back with the same session of the issuer.
func TestSignOut_leavesRoomForTheSameSessionOfTheIssuerToComeBack(t *testing.T) {
	for name, sid := range map[string]string{"with a sid": "the issuer's", "without": ""} {
		i := &calm{claims: ada()}
		i.claims.Session = sid
		s, r := open(t, i)
		_, first, err := s.Exchange(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.End(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		_, second, err := s.Exchange(t.Context(), "")
		if err != nil || second.Session == first.Session {
			t.Fatalf("%s: %+v, %v", name, second, err)
		}
		if _, ended := r[second.RevocationID()]; ended {
			t.Errorf("%s: who came back is signed out already", name)
		}
		if err := s.BackChannel(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if until, ended := r[second.RevocationID()]; !ended || until.Before(second.Expires) {
			t.Errorf("%s: the issuer's word does not end who came back, or only until %s", name, until)
		}
	}
}

func TestBackChannel_endsOneSessionAndNoOther(t *testing.T) {
	i := &calm{claims: ada()}
	s, r := open(t, i)
	var others []access.Person
	for _, c := range []identity.Claims{
		{Issuer: "https://id.example.org", Subject: "1", Session: "another of hers"},
		{Issuer: "https://id.example.org", Subject: "1"},
		{Issuer: "https://other.example.org", Subject: "1", Session: "the issuer's"},
	} {
		i.claims = c
		i.claims.Email, i.claims.EmailVerified = "ada@example.org", true
		_, p, err := s.Exchange(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, p)
	}
	i.claims = ada()
	if err := s.BackChannel(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	for _, p := range others {
		if _, ended := r[p.RevocationID()]; ended {
			t.Errorf("a session of %s was ended too", p.Issuer)
		}
	}
	for id := range r {
		if strings.Contains(id, "issuer's") {
			t.Errorf("the list tells the issuer's own name of the session: %s", id)
		}
	}
}

func TestSession_thatIsEndedTooOftenIsRefused(t *testing.T) {
	s, _ := open(t, &calm{claims: ada()})
	for n := range 20 {
		_, p, err := s.Exchange(t.Context(), "")
		if errors.Is(err, identity.ErrRefused) && n >= 10 {
			return
		}
		if err != nil {
			t.Fatal(n, err)
		}
		if err := s.End(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	t.Error("the list of revocations grows without end")
}

func TestPerson_takesNoMoreThanFitsAndNoRoleOfAStranger(t *testing.T) {
	i := &calm{claims: ada()}
	i.claims.Name = " Ada\r\n\tLove\x00lace " + strings.Repeat("é", 500)
	i.claims.Roles = []string{"operator", "drill", "admin", "guichet-drill"}
	s, _ := open(t, i)
	token, p, err := s.Exchange(t.Context(), "")
	if err != nil || strings.ContainsAny(p.Name, "\r\n\t\x00") || len([]rune(p.Name)) != 120 || !strings.HasPrefix(p.Name, "Ada Love lace é") {
		t.Errorf("%q, %v", p.Name, err)
	}
	if len(p.Roles) != 1 || p.Roles[0] != "drill" {
		t.Errorf("the roles are %q", p.Roles)
	}
	if len(token) > signed.MaxLength {
		t.Errorf("the statement has %d bytes", len(token))
	}
	i.claims.Subject, i.claims.Name = strings.Repeat("<", 150), strings.Repeat("<", 120) // JSON spells each with six characters
	if token, p, err = s.Exchange(t.Context(), ""); err != nil || len(token) > signed.MaxLength || p.Name != "" {
		t.Errorf("%d bytes, %+v, %v", len(token), p, err)
	}
	for name, change := range map[string]func(*identity.Claims){
		"a long subject":           func(c *identity.Claims) { c.Subject = strings.Repeat("s", 256) },
		"a long acr":               func(c *identity.Claims) { c.ACR = strings.Repeat("a", 101) },
		"what takes too much room": func(c *identity.Claims) { c.Subject = strings.Repeat("<", 255) },
		"a long address":           func(c *identity.Claims) { c.Email = strings.Repeat("a", 250) + "@example.org" },
	} {
		i.claims = ada()
		change(&i.claims)
		if _, _, err := s.Exchange(t.Context(), ""); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestService_withoutAnIssuerSaysSo(t *testing.T) {
	signer, err := access.NewSigner("euw3", 1, bytes.Repeat([]byte{1}, signed.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	s, err := identity.New(identity.Config{Cell: "euw3", Signer: signer, Keys: func() signed.Keys { return signer.Keys(nil) }, Revocations: revoked{}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Begin(t.Context(), "", ""); !errors.Is(err, identity.ErrNotConfigured) || s.Configured() {
		t.Errorf("begin: %v", err)
	}
	if _, _, err := s.Exchange(t.Context(), "x"); !errors.Is(err, identity.ErrNotConfigured) {
		t.Errorf("exchange: %v", err)
	}
	if err := s.BackChannel(t.Context(), "x"); !errors.Is(err, identity.ErrNotConfigured) {
		t.Errorf("logout: %v", err)
	}
}
