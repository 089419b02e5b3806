package id_test

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"guichet/cell/id"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// parsers is every kind of id by its prefix; each gives the text of what it parsed.
var parsers = map[string]func(string) (string, error){
	"evt": text(id.ParseEvent), "org": text(id.ParseOrganizer), "hld": text(id.ParseHold), "ord": text(id.ParseOrder), "tkt": text(id.ParseTicket),
	"pay": text(id.ParsePayment), "ref": text(id.ParseRefund), "typ": text(id.ParseTicketType), "quo": text(id.ParseQuota),
}

func text[T fmt.Stringer](parse func(string) (T, error)) func(string) (string, error) {
	return func(s string) (string, error) {
		v, err := parse(s)
		return v.String(), err
	}
}

// samples is one new id of each kind.
func samples(cell topology.CellID) map[string]fmt.Stringer {
	e := id.NewEvent(cell)
	return map[string]fmt.Stringer{
		"evt": e, "org": id.NewOrganizer(cell), "hld": id.NewHold(e), "ord": id.NewOrder(e), "tkt": id.NewTicket(e),
		"pay": id.NewPayment(e), "ref": id.NewRefund(e), "typ": id.NewTicketType(e), "quo": id.NewQuota(e),
	}
}

func TestParse_takesItsOwnKindOnly(t *testing.T) {
	for _, cell := range []topology.CellID{"euw3", "use1b", "abcd9z"} {
		for made, v := range samples(cell) {
			if !strings.HasPrefix(v.String(), made+"_"+cell.String()+"_") {
				t.Errorf("%s does not begin with its kind and cell", v)
			}
			for prefix, parse := range parsers {
				got, err := parse(v.String())
				if own := prefix == made; (err == nil) != own || own && got != v.String() || !own && got != "" {
					t.Errorf("%s as %s gives %q, %v", v, prefix, got, err)
				}
				if err != nil && (!errors.Is(err, id.ErrMalformed) || kind.Of(err) != kind.Invalid) {
					t.Errorf("%s as %s: %v is not the documented refusal", v, prefix, err)
				}
			}
		}
	}
}

func TestMember_carriesTheRouteOfItsEvent(t *testing.T) {
	e := id.NewEvent("apn1")
	if e.Birth() != "apn1" || e.Key().Birth != "apn1" || len(e.Key().Rand) != topology.EventRandLen {
		t.Errorf("%s says %s, %+v", e, e.Birth(), e.Key())
	}
	h, err := id.ParseHold(id.NewHold(e).String())
	if err != nil || h.Event() != e || h.Key() != e.Key() {
		t.Errorf("%s belongs to %s (%v), want %s", h, h.Event(), err, e)
	}
	ref, ok := topology.ParseRef(h.String())
	if !ok || ref.Kind != "hld" || ref.Key != e.Key() || len(ref.Own) != topology.MemberRandLen {
		t.Errorf("a router reads %+v, %t in %s", ref, ok, h)
	}
}

func TestNew_neverGivesTheSameTwice(t *testing.T) {
	seen, e := map[string]bool{}, id.NewEvent("euw3")
	letters := map[rune]bool{}
	for range 2000 {
		for _, s := range []string{id.NewEvent("euw3").String(), id.NewHold(e).String()} {
			if seen[s] {
				t.Fatalf("%s came twice", s)
			}
			seen[s] = true
			for _, r := range s[strings.LastIndexByte(s, '_')+1:] {
				letters[r] = true
			}
		}
	}
	if len(letters) != len(topology.Alphabet) {
		t.Errorf("%d of %d letters are used", len(letters), len(topology.Alphabet))
	}
}

func TestZero_isNoID(t *testing.T) {
	var e id.Event
	var h id.Hold
	if !e.IsZero() || !h.IsZero() || !h.Event().IsZero() || e.String() != "" || h.String() != "" || id.NewEvent("euw3").IsZero() || id.NewHold(e).IsZero() {
		t.Error("zero and not zero are mixed up")
	}
	if _, err := id.ParseEvent(""); !errors.Is(err, id.ErrMalformed) {
		t.Errorf("the empty text parses: %v", err)
	}
}

func TestText_roundTripsThroughJSON(t *testing.T) {
	type doc struct {
		Event id.Event  `json:"event"`
		Hold  id.Hold   `json:"hold"`
		None  id.Ticket `json:"none"`
		By    map[id.Event]int
	}
	e := id.NewEvent("euw3")
	want := doc{Event: e, Hold: id.NewHold(e), By: map[id.Event]int{e: 1}}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got := doc{None: id.NewTicket(e)} // what is empty on the wire must be empty here
	if err := json.Unmarshal(b, &got); err != nil || got.Event != e || got.Hold != want.Hold || !got.None.IsZero() || got.By[e] != 1 {
		t.Errorf("%s becomes %+v, %v", b, got, err)
	}
	if err := json.Unmarshal([]byte(`{"event":"`+want.Hold.String()+`"}`), &got); !errors.Is(err, id.ErrMalformed) || !got.Event.IsZero() {
		t.Errorf("a hold as event: %v, and %s is kept", err, got.Event)
	}
	for _, v := range []encoding.TextUnmarshaler{new(id.Event), new(id.Hold)} {
		if err := v.UnmarshalText([]byte("evt_euw3_K3V9X2M4Q7RT")); !errors.Is(err, id.ErrMalformed) {
			t.Errorf("%T takes capitals: %v", v, err)
		}
	}
}

func TestParse_doesNotRepeatANovel(t *testing.T) {
	_, err := id.ParseEvent(strings.Repeat("x", 1<<20))
	if e := kind.As(err); e == nil || len(e.Detail) > 200 {
		t.Errorf("the refusal has %d bytes", len(err.Error()))
	}
}

// Whatever the bytes: at most one kind takes them, and gives them back unchanged.
func FuzzParse(f *testing.F) {
	for _, v := range samples("euw3b") {
		f.Add(v.String())
		f.Add(strings.ToUpper(v.String()))
		f.Add(v.String() + "_")
		f.Add(v.String()[1:])
	}
	for _, s := range []string{"", "___", "evt_euw3_k3v9x2m4q7ro", "evt_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v", "hld_euw3_k3v9x2m4q7rt", "org_euw3_k3v9x2m4q7r\x00", "\xff\xfe"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var takers []string
		for prefix, parse := range parsers {
			got, err := parse(s)
			switch {
			case err == nil && got != s:
				t.Fatalf("%q becomes %q", s, got)
			case err == nil:
				takers = append(takers, prefix)
			case got != "" || !errors.Is(err, id.ErrMalformed):
				t.Fatalf("%q as %s gives %q, %v", s, prefix, got, err)
			}
		}
		if len(takers) > 1 || len(takers) == 1 && takers[0] != s[:3] {
			t.Fatalf("%q is taken by %v", s, takers)
		}
		if _, ok := topology.ParseRef(s); len(takers) == 1 && !ok {
			t.Fatalf("a router cannot read %q", s)
		}
	})
}
