package ticket_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/ticket"
	"guichet/control-plane/topology"
)

func keyOf(t *testing.T, kid string, seed byte) *ticket.Signer {
	t.Helper()
	s, err := ticket.NewSigner(kid, bytes.Repeat([]byte{seed}, ticket.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func someClaims() ticket.Claims {
	e := id.NewEvent("euw3")
	return ticket.Claims{Ticket: id.NewTicket(e), Type: id.NewTicketType(e), IssuedAt: time.Unix(1_800_000_000, 0)}
}

func TestRotation_whatOldKeysSignedStaysValid(t *testing.T) {
	t.Parallel()
	first := keyOf(t, "euw3-1", 1)
	second, err := keyOf(t, "euw3-2", 2).WithPrevious(first.Public())
	if err != nil {
		t.Fatal(err)
	}
	old, young := first.Barcode(someClaims()), second.Barcode(someClaims())
	set := ticket.JWKSet(second.Published())
	if len(set.Keys) != 2 || set.Keys[0].KeyID != "euw3-2" {
		t.Errorf("published %+v", set)
	}
	list, err := ticket.ParseJWKSet(set)
	if err != nil {
		t.Fatal(err)
	}
	for barcode, kid := range map[string]string{old: "euw3-1", young: "euw3-2"} {
		if c, err := ticket.Verify(barcode, ticket.KeysOf(list)); err != nil || c.KeyID != kid {
			t.Errorf("%s: %v", kid, err)
		}
	}
	if _, err := ticket.Verify(old, ticket.KeysOf(list[:1])); !errors.Is(err, ticket.ErrUnknownKey) {
		t.Errorf("a key that was withdrawn: %v", err)
	}
}

func TestParsePrevious_refusesWhatIsNoKeyOfThisCell(t *testing.T) {
	t.Parallel()
	one, two := keyOf(t, "euw3-1", 1).Public(), keyOf(t, "euw3-2", 2).Public()
	keys, err := ticket.ParsePrevious(" euw3-1=" + one.X + ", euw3-2=" + two.X + ",")
	if err != nil || len(keys) != 2 || keys[0] != one || keys[1] != two {
		t.Errorf("%v, %v", keys, err)
	}
	for _, bad := range []string{"euw3-1", "euw3-1=" + one.X[1:], "=" + one.X, "euw3-1:" + one.X} {
		if _, err := ticket.ParsePrevious(bad); !errors.Is(err, ticket.ErrKey) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	now := keyOf(t, "euw3-3", 3)
	many := make([]topology.Key, ticket.MaxPrevious+1)
	for name, keys := range map[string][]topology.Key{
		"another cell's": {keyOf(t, "use1-1", 4).Public()}, "twice": {one, one}, "its own": {now.Public()}, "damaged": {{ID: "euw3-1", X: "x"}}, "too many": many,
	} {
		if _, err := now.WithPrevious(keys...); !errors.Is(err, ticket.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// list is a signed list of revocations in pages of two.
func list(s *ticket.Signer, event string, barcodes []string) []client.Revocations {
	const size = 2
	var pages []client.Revocations
	for after := 0; after == 0 || after < len(barcodes); after += size {
		p := client.Revocations{EventID: event, After: int64(after), Head: int64(len(barcodes)), IssuedAt: time.Unix(1_800_000_000, 0).UTC(), Items: []client.Revocation{}}
		for i := after; i < min(after+size, len(barcodes)); i++ {
			p.Items = append(p.Items, client.Revocation{Seq: int64(i) + 1, Mark: ticket.Mark(barcodes[i]), At: time.Unix(1_700_000_000, 0).UTC()})
		}
		s.SignRevocations(&p)
		pages = append(pages, p)
	}
	return pages
}

func TestRevoked_refusesWhatIsOnTheListAndOnlyThat(t *testing.T) {
	t.Parallel()
	s := keyOf(t, "euw3-1", 1)
	dead := []string{s.Barcode(someClaims()), s.Barcode(someClaims()), s.Barcode(someClaims())}
	alive := s.Barcode(someClaims())
	var r ticket.Revoked
	for _, p := range list(s, "evt_1", dead) {
		if r.Complete() {
			t.Error("complete before its last page")
		}
		text, err := json.Marshal(p) // as it travels
		if err != nil {
			t.Fatal(err)
		}
		var travelled client.Revocations
		if err := json.Unmarshal(text, &travelled); err != nil {
			t.Fatal(err)
		}
		if err := r.Add(&travelled, s.Keys()); err != nil {
			t.Fatal(err)
		}
	}
	if !r.Complete() || r.Len() != 3 || r.Check(alive) != nil {
		t.Errorf("complete %v, %d, %v", r.Complete(), r.Len(), r.Check(alive))
	}
	for _, b := range dead {
		if err := r.Check(b); !errors.Is(err, ticket.ErrRevoked) {
			t.Errorf("%v", err)
		}
	}
	var empty ticket.Revoked
	if err := empty.Add(&list(s, "evt_1", nil)[0], s.Keys()); err != nil || !empty.Complete() {
		t.Errorf("an empty list: %v", err)
	}
}

func TestRevoked_takesNoPageThatWasTamperedWith(t *testing.T) {
	t.Parallel()
	s := keyOf(t, "euw3-1", 1)
	barcodes := []string{"a", "b", "c", "d"}
	for name, spoil := range map[string]func(pages []client.Revocations) []client.Revocations{
		"a mark was changed":  func(p []client.Revocations) []client.Revocations { p[0].Items[0].Mark = ticket.Mark("x"); return p },
		"one was left out":    func(p []client.Revocations) []client.Revocations { p[0].Items = p[0].Items[1:]; return p },
		"a page was left out": func(p []client.Revocations) []client.Revocations { return p[1:] },
		"a shorter head":      func(p []client.Revocations) []client.Revocations { p[0].Head = 2; return p },
		"made to look fresh": func(p []client.Revocations) []client.Revocations {
			p[0].IssuedAt = p[0].IssuedAt.Add(time.Hour)
			return p
		},
		"another event's": func(p []client.Revocations) []client.Revocations {
			return append(p[:1], list(s, "evt_2", barcodes)[1])
		},
		"another key's": func([]client.Revocations) []client.Revocations {
			return list(keyOf(t, "euw3-1", 9), "evt_1", barcodes)
		},
		"an unknown key's": func([]client.Revocations) []client.Revocations {
			return list(keyOf(t, "euw3-9", 9), "evt_1", barcodes)
		},
		"the same page twice": func(p []client.Revocations) []client.Revocations { return append(p, p[1]) },
		"signed with a gap": func(p []client.Revocations) []client.Revocations {
			p[0].Items[1].Seq = 3
			s.SignRevocations(&p[0])
			return p
		},
	} {
		var r ticket.Revoked
		var err error
		for _, p := range spoil(list(s, "evt_1", barcodes)) {
			if err = r.Add(&p, s.Keys()); err != nil {
				break
			}
		}
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
