package access_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"guichet/cell/access"
	"guichet/cell/id"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
	"guichet/internal/signed"
)

var noon = time.Date(2027, 5, 1, 12, 0, 0, 0, time.UTC)

func signer(t testing.TB, cell topology.CellID, n int, seed byte) *access.Signer {
	t.Helper()
	s, err := access.NewSigner(cell, n, bytes.Repeat([]byte{seed}, signed.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func order() access.Capability {
	return access.Capability{Scope: access.Order, Object: id.NewOrder(id.NewEvent("euw3")).String(), Generation: 3, Expires: noon.Add(time.Hour)}
}

func TestCapability_isVerifiedByAnyCellFromTheMap(t *testing.T) {
	t.Parallel()
	home := signer(t, "euw3", 1, 1)
	want := order()
	token := home.Issue(want)
	snap := &topology.Snapshot{Cells: []topology.Cell{{ID: "use1"}, {ID: "euw3", Keys: home.Published()}}}
	got, err := access.Verify(token, access.KeysIn(snap), noon)
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if token != home.Issue(want) {
		t.Error("the same capability has two tokens, so a replay would answer another one")
	}
	if _, err := access.Verify(token, access.KeysIn(snap), want.Expires); !errors.Is(err, access.ErrExpired) {
		t.Errorf("at its end: %v", err)
	}
	if _, err := access.Verify(token, access.KeysIn(nil), noon); !errors.Is(err, signed.ErrUnknownKey) {
		t.Errorf("without a map: %v", err)
	}
}

func TestCapability_aCellCannotPublishAnothersKey(t *testing.T) {
	t.Parallel()
	thief := signer(t, "use1", 1, 2)
	forged, err := access.NewSigner("euw3", 9, bytes.Repeat([]byte{2}, signed.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	token := forged.Issue(order())
	// use1 announces a key that is called like one of euw3's.
	snap := &topology.Snapshot{Cells: []topology.Cell{
		{ID: "euw3", Keys: signer(t, "euw3", 1, 1).Published()},
		{ID: "use1", Keys: append(thief.Published(), forged.Published()...)},
	}}
	if _, err := access.Verify(token, access.KeysIn(snap), noon); !errors.Is(err, signed.ErrUnknownKey) {
		t.Errorf("use1 spoke for euw3: %v", err)
	}
}

func TestCapability_aTicketKeyDoesNotSignTokens(t *testing.T) {
	t.Parallel()
	s := signer(t, "euw3", 1, 1)
	keys := s.Published()
	keys[0].Use = "" // as if the key signed barcodes
	snap := &topology.Snapshot{Cells: []topology.Cell{{ID: "euw3", Keys: keys}}}
	if _, err := access.Verify(s.Issue(order()), access.KeysIn(snap), noon); !errors.Is(err, signed.ErrUnknownKey) {
		t.Errorf("got %v", err)
	}
}

func TestRotation_twoKeysAreValidAtOnce(t *testing.T) {
	t.Parallel()
	first := signer(t, "euw3", 1, 1)
	second, err := signer(t, "euw3", 2, 2).WithPrevious(bytes.Repeat([]byte{1}, signed.SeedSize), first.Published()...)
	if err != nil {
		t.Fatal(err)
	}
	hold := id.NewHold(id.NewEvent("euw3"))
	for name, s := range map[string]*access.Signer{"before": first, "after": second} {
		if _, err := access.Verify(s.Issue(order()), second.Keys(nil), noon); err != nil {
			t.Errorf("an order's token from %s the change: %v", name, err)
		}
		if !second.VerifyHold(hold, s.HoldToken(hold)) {
			t.Errorf("a hold's token from %s the change is refused", name)
		}
	}
	third := signer(t, "euw3", 3, 3)
	if _, err := access.Verify(first.Issue(order()), third.Keys(nil), noon); !errors.Is(err, signed.ErrUnknownKey) {
		t.Errorf("a key that was withdrawn: %v", err)
	}
	if third.VerifyHold(hold, first.HoldToken(hold)) {
		t.Error("a hold's token of a seed that is gone passes")
	}
	if keys, err := access.ParsePrevious("euw3-a1=" + first.Published()[0].X); err != nil || len(keys) != 1 || keys[0] != first.Published()[0] {
		t.Errorf("%+v, %v", keys, err)
	}
	for name, err := range map[string]error{
		"another cell's key": second2(third.WithPrevious(nil, signer(t, "use1", 1, 4).Published()...)),
		"its own key":        second2(third.WithPrevious(nil, third.Published()...)),
		"a short seed":       second2(third.WithPrevious([]byte("x"))),
		"a ticket key":       second2(access.ParsePrevious("euw3-1=" + first.Published()[0].X)),
	} {
		if !errors.Is(err, access.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second2[T any](_ T, err error) error { return err }

func TestHoldToken_admitsToItsHoldAlone(t *testing.T) {
	t.Parallel()
	s := signer(t, "euw3", 1, 1)
	e := id.NewEvent("euw3")
	hold, other := id.NewHold(e), id.NewHold(e)
	token := s.HoldToken(hold)
	if !s.VerifyHold(hold, token) || s.VerifyHold(other, token) || signer(t, "euw3", 1, 2).VerifyHold(hold, token) {
		t.Error("a hold's token does not admit to it alone")
	}
	for i := range token {
		for _, c := range "0AZaz_-. \n" {
			if bad := token[:i] + string(c) + token[i+1:]; bad != token && s.VerifyHold(hold, bad) {
				t.Errorf("%q passes", bad)
			}
		}
	}
	for _, bad := range []string{"", "hold1.", token + "A", strings.TrimPrefix(token, "hold1."), token[:len(token)-1]} {
		if s.VerifyHold(hold, bad) {
			t.Errorf("%q passes", bad)
		}
	}
	if raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "hold1.")); err != nil || len(raw)*8 < 128 {
		t.Errorf("the code has %d bytes: %v", len(raw), err)
	}
}

func TestPerson_isWhoSignedInUntilTheEnd(t *testing.T) {
	t.Parallel()
	s := signer(t, "euw3", 1, 1)
	p := access.Person{Issuer: "https://id", Subject: "42", Email: "a@example.org", Session: "s1", Roles: []string{"drill"}, Expires: noon.Add(100 * time.Hour)}
	got, err := access.VerifyPerson(s.Person(p, noon), s.Keys(nil), noon)
	if err != nil || got.Subject != "42" || !got.Expires.Equal(noon.Add(access.PersonLife)) || got.Operates("operator") || !got.Operates("drill") {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := access.VerifyPerson(s.Person(p, noon), s.Keys(nil), noon.Add(access.PersonLife)); !errors.Is(err, access.ErrExpired) {
		t.Errorf("after 12 hours: %v", err)
	}
	if _, err := access.VerifyPerson(s.Issue(order()), s.Keys(nil), noon); kind.Of(err) != kind.Unauthorized {
		t.Errorf("an order's token passes for a person: %v", err)
	}
	p.Session = ""
	if _, err := access.VerifyPerson(s.Person(p, noon), s.Keys(nil), noon); kind.Of(err) != kind.Unauthorized {
		t.Errorf("a person without a session could never be signed out: %v", err)
	}
}

func TestMembership_onlyTheBirthCellVouches(t *testing.T) {
	t.Parallel()
	home, other := signer(t, "euw3", 1, 1), signer(t, "use1", 1, 2)
	p := access.Person{Issuer: "i", Subject: "42", Session: "s1", Expires: noon.Add(time.Hour)}
	m := access.Membership{Person: p, Member: "mbr_1", Organizer: id.NewOrganizer("euw3"), Role: access.Events}
	token := home.Membership(m, noon)
	keys := func(kid string) (ed25519.PublicKey, bool) {
		if k, ok := home.Keys(nil)(kid); ok {
			return k, true
		}
		return other.Keys(nil)(kid)
	}
	got, err := access.VerifyMembership(token, keys, noon)
	if err != nil || got.Organizer != m.Organizer || got.Role != access.Events || !got.Expires.Equal(noon.Add(access.MembershipLife)) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := access.VerifyMembership(token, keys, noon.Add(access.MembershipLife)); !errors.Is(err, access.ErrExpired) {
		t.Errorf("after 15 minutes: %v", err)
	}
	payload := `{"person":{"iss":"i","sub":"42","sid":"s1","exp":"2027-05-02T00:00:00Z"},"member":"m","org":"` + m.Organizer.String() + `","role":"owner","exp":"2027-05-02T00:00:00Z"}`
	if _, err := access.VerifyMembership(other.Key().Sign("mem1", []byte(payload)), keys, noon); !errors.Is(err, signed.ErrBadSignature) {
		t.Errorf("use1 vouched for a member of an organizer of euw3: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("use1 signed for an organizer of euw3")
		}
	}()
	other.Membership(m, noon)
}

func TestRole_mayWhatTheTableSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		permission access.Permission
		roles      string
	}{
		{access.ReadEvents, "owner admin events orders finance reader"},
		{access.WriteEvents, "owner admin events"},
		{access.ReadStats, "owner admin events orders finance reader"},
		{access.ReadOrders, "owner admin orders finance"},
		{access.WriteOrders, "owner admin orders"},
		{access.ReadFinance, "owner admin finance"},
		{access.WriteFinance, "owner admin finance"},
		{access.ReadLedger, "owner admin events finance"},
		{access.Scan, "owner admin door"},
		{access.ReadMembers, "owner admin"},
		{access.WriteMembers, "owner admin"},
		{access.WriteKeys, "owner admin"},
		{access.ReadAudit, "owner admin"},
	} {
		var may []string
		for _, r := range access.Roles {
			if r.May(c.permission) {
				may = append(may, string(r))
			}
		}
		if got := strings.Join(may, " "); got != c.roles {
			t.Errorf("%s: %s, want %s", c.permission, got, c.roles)
		}
	}
	if access.Role("root").May(access.ReadStats) || access.Role("").Valid() {
		t.Error("a role that there is not may something")
	}
}

func TestFindToken_opensOneAddressForAWhile(t *testing.T) {
	t.Parallel()
	s := signer(t, "euw3", 1, 1)
	hash := strings.Repeat("ab", 32)
	token := s.FindToken(hash, noon.Add(time.Hour))
	if got, until, err := access.VerifyFind(token, s.Keys(nil), noon); err != nil || got != hash || !until.Equal(noon.Add(time.Hour)) {
		t.Errorf("%s %s %v", got, until, err)
	}
	if _, _, err := access.VerifyFind(token, s.Keys(nil), noon.Add(time.Hour)); !errors.Is(err, access.ErrLinkExpired) {
		t.Errorf("at its end: %v", err)
	}
	if _, _, err := access.VerifyFind(token, signer(t, "euw3", 1, 2).Keys(nil), noon); !errors.Is(err, access.ErrLink) {
		t.Errorf("another key: %v", err)
	}
	if _, _, err := access.VerifyFind(s.Issue(order()), s.Keys(nil), noon); !errors.Is(err, access.ErrLink) {
		t.Errorf("an order's token: %v", err)
	}
}

func TestOpens_saysWhereALinkLeads(t *testing.T) {
	t.Parallel()
	s := signer(t, "euw3", 1, 1)
	c := order()
	if scope, object, finds := access.Opens(s.Issue(c)); scope != access.Order || object != c.Object || finds {
		t.Errorf("%s %s %t", scope, object, finds)
	}
	if _, cell, finds := access.Opens(s.FindToken(strings.Repeat("ab", 32), noon)); cell != "euw3" || !finds {
		t.Errorf("%s %t", cell, finds)
	}
	for _, bad := range []string{"", "cap1", "cap1.x.y.z", "find1", "find1.x.evil&next=//example.org.y", "find1.x..y", "find1.x.use1&a=b-a1.y", s.HoldToken(id.NewHold(id.NewEvent("euw3"))), strings.Repeat("cap1.", 1000)} {
		if scope, object, finds := access.Opens(bad); scope != "" || object != "" || finds {
			t.Errorf("%.20q: %s %s %t", bad, scope, object, finds)
		}
	}
}

func FuzzVerify(f *testing.F) {
	s := signer(f, "euw3", 1, 1)
	token := s.Issue(access.Capability{Scope: access.Ticket, Object: "tkt_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v", Expires: noon})
	f.Add(token)
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := access.Verify(text, s.Keys(nil), noon.Add(-time.Hour)); (err == nil) != (text == token) || err != nil && c != (access.Capability{}) {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	})
}

func BenchmarkHoldToken(b *testing.B) {
	s := signer(b, "euw3", 1, 1)
	hold := id.NewHold(id.NewEvent("euw3"))
	b.Run("code", func(b *testing.B) {
		for b.Loop() {
			s.HoldToken(hold)
		}
	})
	b.Run("signature", func(b *testing.B) {
		for b.Loop() {
			s.Issue(access.Capability{Scope: access.Hold, Object: hold.String(), Expires: noon})
		}
	})
}
