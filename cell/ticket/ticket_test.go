package ticket

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"guichet/cell/id"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

func signer(t testing.TB, kid string) *Signer {
	t.Helper()
	s, err := NewSigner(kid, bytes.Repeat([]byte(kid)[:1], SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func claims(t testing.TB) Claims {
	t.Helper()
	tkt, err := id.ParseTicket("tkt_apn1_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v")
	if err != nil {
		t.Fatal(err)
	}
	typ, err := id.ParseTicketType("typ_apn1_k3v9x2m4q7rt_0000000000000001")
	if err != nil {
		t.Fatal(err)
	}
	return Claims{Ticket: tkt, Type: typ, IssuedAt: time.Date(2026, 11, 1, 19, 30, 0, 0, time.UTC), KeyID: "apn1-1"}
}

func TestBarcode_saysWhatWasClaimed(t *testing.T) {
	t.Parallel()
	s := signer(t, "apn1-1")
	want := claims(t)
	code := s.Barcode(want)
	got, err := Verify(code, KeysOf([]topology.Key{s.Public()}))
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got.Event() != want.Ticket.Event() {
		t.Errorf("event %s, want %s", got.Event(), want.Ticket.Event())
	}
	if peeked, err := Peek(code); err != nil || peeked != want {
		t.Errorf("Peek gave %+v, %v", peeked, err)
	}
	if len(code) > 152 {
		t.Errorf("%d characters do not fit a version 8 QR code at level M", len(code))
	}
}

func TestBarcode_carriesEveryIdThereCanBe(t *testing.T) {
	t.Parallel()
	for _, kid := range []string{"us1-1", "euw3b-99999", "abcd9z-12"} {
		s := signer(t, kid)
		keys := KeysOf([]topology.Key{s.Public()})
		for range 200 {
			event := id.NewEvent(cellOf(kid))
			want := Claims{Ticket: id.NewTicket(event), Type: id.NewTicketType(event), IssuedAt: time.Unix(1<<40-1, 0).UTC(), KeyID: kid}
			code := s.Barcode(want)
			got, err := Verify(code, keys)
			if err != nil || got != want {
				t.Fatalf("%s: got %+v, %v", code, got, err)
			}
			if len(code) > MaxBarcode {
				t.Fatalf("%d characters are more than MaxBarcode", len(code))
			}
		}
	}
}

func TestBarcode_anyMutationIsRefused(t *testing.T) {
	t.Parallel()
	s := signer(t, "apn1-1")
	keys := KeysOf([]topology.Key{s.Public()})
	code := s.Barcode(claims(t))
	const others = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \n\r\x00"
	tried := 0
	refused := func(bad string) {
		tried++
		if _, err := Verify(bad, keys); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
	for i := range len(code) + 1 {
		for _, c := range others {
			refused(code[:i] + string(c) + code[i:])
			if i < len(code) && rune(code[i]) != c {
				refused(code[:i] + string(c) + code[i+1:])
			}
		}
		if i < len(code) {
			refused(code[:i] + code[i+1:])
			refused(code[:i])
		}
	}
	if tried < 10_000 {
		t.Errorf("only %d mutations tried", tried)
	}
}

func TestVerify_tellsTheReasonsApart(t *testing.T) {
	t.Parallel()
	s, stranger := signer(t, "apn1-1"), signer(t, "use1-1")
	code := s.Barcode(claims(t))
	forged := topology.Key{ID: "apn1-1", X: stranger.Public().X}
	for name, c := range map[string]struct {
		code string
		keys Keys
		want error
		kind kind.Kind
	}{
		"no barcode":          {"", KeysOf(nil), ErrMalformed, kind.Invalid},
		"only the prefix":     {Prefix, KeysOf(nil), ErrMalformed, kind.Invalid},
		"another version":     {"GT2." + code[4:], KeysOf([]topology.Key{s.Public()}), ErrMalformed, kind.Invalid},
		"lower case prefix":   {"gt1." + code[4:], KeysOf([]topology.Key{s.Public()}), ErrMalformed, kind.Invalid},
		"endless":             {Prefix + strings.Repeat("A", 1<<20), KeysOf(nil), ErrMalformed, kind.Invalid},
		"no keys":             {code, KeysOf(nil), ErrUnknownKey, kind.Unprocessable},
		"no snapshot":         {code, KeysIn(nil), ErrUnknownKey, kind.Unprocessable},
		"other cells' keys":   {code, KeysOf([]topology.Key{stranger.Public()}), ErrUnknownKey, kind.Unprocessable},
		"a key of bad length": {code, func(string) (ed25519.PublicKey, bool) { return []byte{1}, true }, ErrUnknownKey, kind.Unprocessable},
		"another's key":       {code, KeysOf([]topology.Key{forged}), ErrBadSignature, kind.Unprocessable},
	} {
		if _, err := Verify(c.code, c.keys); !errors.Is(err, c.want) || kind.Of(err) != c.kind {
			t.Errorf("%s: %v of kind %d, want %v", name, err, kind.Of(err), c.want)
		}
	}
}

func TestBarcode_refusesClaimsThatCannotBe(t *testing.T) {
	t.Parallel()
	s, good := signer(t, "apn1-1"), claims(t)
	for name, c := range map[string]Claims{
		"nothing":               {},
		"no type":               {Ticket: good.Ticket, IssuedAt: good.IssuedAt},
		"type of another event": {Ticket: good.Ticket, Type: id.NewTicketType(id.NewEvent("apn1")), IssuedAt: good.IssuedAt},
		"no time":               {Ticket: good.Ticket, Type: good.Type},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: signed", name)
				}
			}()
			s.Barcode(c)
		}()
	}
}

func TestNewSigner_refusesWhatCannotSign(t *testing.T) {
	t.Parallel()
	seed := make([]byte, SeedSize)
	for _, kid := range []string{"", "euw3", "euw3-0", "euw3-", "EUW3-1", "euw3-1 ", "euw3_1", "euw3-123456"} {
		if _, err := NewSigner(kid, seed); !errors.Is(err, ErrKey) {
			t.Errorf("kid %q: %v", kid, err)
		}
	}
	for _, n := range []int{0, 31, 33, 64} {
		if _, err := NewSigner("euw3-1", make([]byte, n)); !errors.Is(err, ErrKey) {
			t.Errorf("seed of %d bytes: %v", n, err)
		}
	}
}

// A barcode of version 1 must read alike forever: it is printed on paper.
func TestBarcode_formatStaysAsItIs(t *testing.T) {
	t.Parallel()
	const want = "GT1.BmFwbjEtMQRhcG4xCY9p6KhLnxpERTaC4eF_9LDbAAAAAAAAAAAAAQBq55M4" +
		"yXZXYHuODOyNYsMLkiaHFJTo6p1TcakrYzpujVdQqLoWPH_-BD9VjHZWwalv7HXj9EFN39vSuDbFEw4udQfOBw"
	if code := signer(t, "apn1-1").Barcode(claims(t)); code != want {
		t.Errorf("the format changed:\n got %s\nwant %s", code, want)
	}
}

func FuzzVerify(f *testing.F) {
	s := signer(f, "apn1-1")
	keys := KeysOf([]topology.Key{s.Public()})
	code := s.Barcode(claims(f))
	f.Add(code)
	f.Add(code + "\n")
	f.Add(strings.ToLower(code))
	f.Add(Prefix)
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Verify(text, keys)
		if (err == nil) != (text == code) {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && s.Barcode(got) != text {
			t.Errorf("%q has a second spelling", text)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	s := signer(b, "apn1-1")
	keys := KeysOf([]topology.Key{s.Public()})
	code := s.Barcode(claims(b))
	for b.Loop() {
		if _, err := Verify(code, keys); err != nil {
			b.Fatal(err)
		}
	}
}
