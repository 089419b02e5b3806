package mailaddr_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"guichet/cell/mailaddr"
)

func parse(t *testing.T, text string) mailaddr.Address {
	t.Helper()
	a, err := mailaddr.Parse(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return a
}

func TestParse_givesEverySpellingOfOnePersonOneKey(t *testing.T) {
	t.Parallel()
	for key, spellings := range map[string][]string{
		"ana@example.org":                   {"ana@example.org", "Ana@Example.ORG", "ANA@EXAMPLE.ORG", "ana@ｅｘａｍｐｌｅ.org", "ana@example。org"},
		"ana+tickets@example.org":           {"Ana+Tickets@example.org"},
		"a.na@example.org":                  {"A.Na@example.org"},
		"info@xn--mller-kva.example":        {"info@müller.example", "info@MÜLLER.example", "info@mu\u0308ller.example", "info@xn--mller-kva.example", "info@XN--MLLER-KVA.example"},
		"info@xn--strae-oqa.example":        {"info@straße.example", "info@xn--strae-oqa.example"},
		"jürgen@example.org":                {"Jürgen@example.org", "JU\u0308RGEN@example.org"},
		"почта@xn--e1afmkfd.xn--p1ai":       {"ПОЧТА@Пример.РФ"},
		"hi@xn--r8jz45g.xn--zckzah.example": {"hi@例え.テスト.example"},
		"o'brien!#$%&*/=?^_`{|}~-@a-b.ie":   {"O'Brien!#$%&*/=?^_`{|}~-@A-B.ie"},
	} {
		for _, s := range spellings {
			a := parse(t, s)
			if a.Key() != key || mailaddr.Key(s) != key {
				t.Errorf("%q is %q, want %q", s, a.Key(), key)
			}
			if again := parse(t, a.Readable()); again != a || parse(t, a.String()) != a {
				t.Errorf("%q reads %q and back %q", s, a.Readable(), again)
			}
		}
	}
}

// What could be two people is never one: or one's tickets are found by the other.
func TestKey_tellsApartWhatCouldBeTwoPeople(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, s := range []string{
		"ana@example.org", "ana+x@example.org", "a.na@example.org", "aná@example.org", "ana@example.com", "ana@straße.example", "ana@strasse.example", "straße@example.org",
		"strasse@example.org", "igor@example.org", "İgor@example.org", "ıgor@example.org", "аna@example.org", "ana@ехаmple.org", "ſam@example.org", "sam@example.org",
	} {
		k := parse(t, s).Key()
		if was, twice := seen[k]; twice {
			t.Errorf("%q and %q are one", was, s)
		}
		seen[k] = s
	}
}

func TestLimit_foldsTagsAndNoDots(t *testing.T) {
	t.Parallel()
	if a, b := parse(t, "Ana+1@Example.org").Limit(), parse(t, "ana+2+3@example.ORG").Limit(); a != b || a != "ana@example.org" {
		t.Errorf("%q and %q", a, b)
	}
	if parse(t, "a.na@example.org").Limit() == parse(t, "ana@example.org").Limit() || parse(t, "+x@example.org").Limit() != "+x@example.org" {
		t.Error("dots were folded, or a tag without a name")
	}
	if mailaddr.Limit(" No Address ") != "no address" || mailaddr.Key("\x00") != "\x00" || (mailaddr.Address{}).Limit() != "" || (mailaddr.Address{}).String() != "" {
		t.Error("what is no address has no form of its own")
	}
}

func TestParse_refusesWhatNobodyCanBeWrittenTo(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 65)
	for _, s := range []string{
		"", "@", "ana", "ana@", "@example.org", "ana@@example.org", " ana@example.org", "ana@example.org ", "ana @example.org", "Ana <ana@example.org>", "ana@example.org, bob@example.org",
		`"ana"@example.org`, `"a b"@example.org`, `a"b@example.org`, "ana(x)@example.org", "ana@[127.0.0.1]", "ana@127.0.0.1", "ana@localhost", "ana@example.org.", "ana@.example.org", "ana@example..org",
		".ana@example.org", "ana.@example.org", "a..na@example.org", "ana\n@example.org", "ana\x00@example.org", "ana@exam\nple.org", "ana@example.org\r\nBcc: x@y.org", "ana;@example.org",
		long + "@example.org", "ana@" + strings.Repeat("a", 64) + ".org", "ana@" + strings.Repeat("abcdefg.", 31) + "org", strings.Repeat("é", 33) + "@example.org",
		"a\u200bna@example.org", "ana@exam\u200bple.org", "ana@exam\u00adple.org", "a\u202ena@example.org", "ana@\u202eexample.org", "a\ufeffna@example.org", "a\u200dna@example.org", "ana@exa\u200dmple.org",
		"a\u3164na@example.org", "a\u034fna@example.org", "ana@exam\u2060ple.org", "a\ufe0fna@example.org", "\u00a0@example.org", "ana\u2028@example.org", "ana\U000e0041@example.org", "\ue000@example.org",
		"ana@-example.org", "ana@example-.org", "ana@exa_mple.org", "ana@xn--example-.org", "ana@xn--mller-kva\u0308.org", "ana@℀.example", "ana@a/b.org", "ana@a:25.org", "ana@١٢٣.١",
		"\xff@example.org", "ana@\xff.org", "ana\\@example.org", "ana@ex%61mple.org",
	} {
		if a, err := mailaddr.Parse(s); !errors.Is(err, mailaddr.ErrInvalid) {
			t.Errorf("%q is %q (%v)", s, a, err)
		}
	}
	if got := parse(t, strings.Repeat("a", 64)+"@"+strings.Repeat("b", 63)+"."+strings.Repeat("c", 63)+"."+strings.Repeat("d", 58)+".e"); len(got.String()) > mailaddr.MaxAddress {
		t.Errorf("%d bytes", len(got.String()))
	}
}

// Whatever is accepted stays itself when it is written and read again, in each of its
// forms, fits where addresses go, and hides nothing.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"ana@example.org", "Ana+x@MÜLLER.example", "ПОЧТА@Пример.РФ", "a@xn--mller-kva.de", `"a"@b.c`, "a\u200b@b.c", "İ@ß.de", "a@b。c", "@", "Å@Å.de", "a@\u0644\u0627.\u0645\u0635\u0631"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := mailaddr.Parse(s)
		if err != nil {
			if !errors.Is(err, mailaddr.ErrInvalid) || !a.IsZero() {
				t.Fatalf("%q: %v, %q", s, err, a)
			}
			return
		}
		for _, form := range []string{a.String(), a.Readable()} {
			if len(form) > mailaddr.MaxAddress && form == a.String() {
				t.Fatalf("%q has %d bytes", s, len(form))
			}
			if len(form) > mailaddr.MaxAddress {
				continue
			}
			if b, err := mailaddr.Parse(form); err != nil || b != a {
				t.Fatalf("%q → %q → %q (%v)", s, form, b, err)
			}
		}
		for _, form := range []string{a.Key(), a.Limit()} {
			if b, err := mailaddr.Parse(form); err == nil && (b.Limit() != a.Limit() || form == a.Key() && b.Key() != a.Key()) {
				t.Fatalf("%q: %q is another's", s, form)
			}
		}
		if out := a.String(); !utf8.ValidString(out) || strings.ContainsFunc(out, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) || strings.Count(out, "@") != 1 {
			t.Fatalf("%q became %q", s, out)
		}
	})
}
