package audit_test

import (
	"encoding/json"
	"strings"
	"testing"

	"guichet/cell/audit"
)

func TestTruncate_keepsTheNetworkOnly(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"203.0.113.77": "203.0.113.0/24", "::ffff:203.0.113.77": "203.0.113.0/24", "2001:db8:1:2:3:4:5:6": "2001:db8:1::/48", "fe80::1%eth0": "fe80::/48",
		"": "", "x": "", "203.0.113.77:80": "", "203.0.113.77\n": "",
	} {
		if got := audit.Truncate(address); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}

func TestDiff_tellsWhatDiffersAndNoSecrets(t *testing.T) {
	t.Parallel()
	type o = map[string]any
	for _, c := range []struct {
		before, after any
		b, a          string
	}{
		{nil, nil, "", ""},
		{o{"a": 1}, o{"a": 1}, "", ""},
		{o{"a": 1, "b": 2}, o{"a": 1, "b": 3}, `{"b":2}`, `{"b":3}`},
		{nil, o{"a": o{"z": 1, "y": 2}}, "", `{"a":{"y":2,"z":1}}`},
		{o{"a": 1}, nil, `{"a":1}`, ""},
		{o{"a": nil}, o{}, `{"a":null}`, ""},
		{nil, o{"api_key": "k", "token": "t", "access_token": "x", "buyer": o{"email": "a@b.c"}, "kept": 9007199254740993}, "", `{"kept":9007199254740993}`},
		{nil, o{"list": []o{{"barcode": "b", "n": 1}}, "deep": o{"deep": o{"client_secret": "c"}}}, "", `{"deep":{"deep":{}},"list":[{"n":1}]}`},
		{nil, "text", "", `{"value":"text"}`},
		{nil, o{"a": "x\x00y"}, "", "{\"a\":\"x\\ufffdy\"}"},
	} {
		b, a := audit.Diff(c.before, c.after)
		if string(b) != c.b || string(a) != c.a {
			t.Errorf("%v to %v: %s and %s, want %s and %s", c.before, c.after, b, a, c.b, c.a)
		}
	}
}

func TestDiff_isBounded(t *testing.T) {
	t.Parallel()
	long := map[string]any{"summary": strings.Repeat("é", audit.MaxSide), "name": "x"}
	_, a := audit.Diff(nil, long)
	if len(a) > audit.MaxSide || !strings.Contains(string(a), `"too_long":`) || !strings.Contains(string(a), `"summary"`) {
		t.Errorf("%.200s", a)
	}
	many := map[string]any{}
	for i := range 2000 {
		many[strings.Repeat("n", 200)+string(rune('a'+i%26))+strings.Repeat("m", i%100)] = i
	}
	if _, a := audit.Diff(nil, many); len(a) > audit.MaxSide || !json.Valid(a) {
		t.Errorf("%d bytes: %.100s", len(a), a)
	}
}

func TestNote_isBoundedAndNothingWithoutACall(t *testing.T) {
	t.Parallel()
	audit.Of(t.Context()).On("a", "b").For("c").At("d").Changed(1, 2).As(audit.Actor{}) // a call without a note
	n := audit.NewNote(audit.Entry{Actor: audit.Actor{Name: strings.Repeat("é", 500)}, RequestID: "a\x00\xffb"})
	e, ok := n.Entry()
	if _, none := n.Nothing().Entry(); none {
		t.Error("what changed nothing is written")
	}
	again, changed := n.Changed(nil, nil).Entry()
	if len(e.Actor.Name) > 256 || strings.TrimRight(e.Actor.Name, "é") != "" || e.RequestID != "a\uFFFD\uFFFDb" || e.ID == "" || e.ID != again.ID || !ok || !changed {
		t.Errorf("%+v", e)
	}
	if got := audit.Of(audit.With(t.Context(), n)); got != n {
		t.Error("the note was lost")
	}
}

func FuzzDiff_givesJSONThatADatabaseKeeps(f *testing.F) {
	f.Add("a", "b", "c")
	f.Add("token", "\x00", "\xff")
	f.Fuzz(func(t *testing.T, name, was, is string) {
		b, a := audit.Diff(map[string]any{name: was}, map[string]any{name: is, "deep": map[string]string{name: is}})
		for _, side := range []json.RawMessage{b, a} {
			if side != nil && (!json.Valid(side) || len(side) > audit.MaxSide || strings.Contains(string(side), `\u0000`) && !strings.Contains(string(side), `\\u0000`)) {
				t.Errorf("%q %q %q: %s", name, was, is, side)
			}
		}
	})
}
