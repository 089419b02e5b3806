package shop

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"guichet/cell/money"
)

// looseKeys begin keys that are made at run time: of an error's kind, a category, a bank's
// answer. What follows is a value that may be new, or is listed in the code.
var looseKeys = []string{"error_", "refused_", "category_", "moment_", "state_", "ticket_", "declined_", "text_", "when_", "sort_", "filter_", "facet_", "policy_give_", "done_", "card_", "seat_kind_", "seat_status_"}

var (
	keyPattern   = regexp.MustCompile(`\b(T|N)\("([a-z0-9_]+)"[,)]`)
	blankPattern = regexp.MustCompile(`\{[0-9]\}`)
)

// usedKeys are the literal keys in the package's sources: those of T, and of N.
func usedKeys(t *testing.T) (plain, counted map[string]bool) {
	t.Helper()
	plain, counted = map[string]bool{}, map[string]bool{}
	for _, pattern := range []string{"*.go", "*.templ"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_templ.go") || strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range keyPattern.FindAllStringSubmatch(string(text), -1) {
				if m[1] == "N" {
					counted[m[2]] = true
				} else {
					plain[m[2]] = true
				}
			}
			for _, m := range regexp.MustCompile(`"(need_[a-z_]+|bad_email|find_title|give_title|card_[a-z0-9]+)"`).FindAllStringSubmatch(string(text), -1) {
				plain[m[1]] = true // handed on to T
			}
		}
	}
	return plain, counted
}

// No page shows a key instead of a text, and no file carries texts that nobody sees.
func TestWords_areAllThereAndAllUsed(t *testing.T) {
	t.Parallel()
	plain, counted := usedKeys(t)
	if len(plain) < 100 {
		t.Fatalf("saw only %d keys", len(plain))
	}
	english := tongues["en"].Words
	for key := range plain {
		if _, ok := english[key]; !ok && !strings.HasSuffix(key, "_") {
			t.Errorf("no text under %s", key)
		}
	}
	for key := range counted {
		if _, ok := english[key+"_other"]; !ok {
			t.Errorf("no text under %s_other", key)
		}
	}
	for key := range english {
		stem := strings.TrimSuffix(strings.TrimSuffix(key, "_one"), "_other")
		if !plain[key] && !counted[stem] && !slices.ContainsFunc(looseKeys, func(p string) bool { return strings.HasPrefix(key, p) }) {
			t.Errorf("%s is used nowhere", key)
		}
	}
}

// Every language has the same texts with the same blanks; a form for one only where the
// language has one.
func TestWords_areCompleteInEveryLanguage(t *testing.T) {
	t.Parallel()
	if len(ordered) < 5 {
		t.Errorf("%d languages", len(ordered))
	}
	english := tongues["en"].Words
	for _, l := range ordered {
		for key, text := range english {
			own, ok := l.Words[key]
			if !ok {
				if !strings.HasSuffix(key, "_one") {
					t.Errorf("%s has no %s", l.Code, key)
				}
				continue
			}
			blanks := func(s string) []string {
				found := blankPattern.FindAllString(s, -1)
				slices.Sort(found)
				return slices.Compact(found)
			}
			if strings.TrimSpace(own) == "" || !strings.HasSuffix(key, "_one") && !slices.Equal(blanks(own), blanks(text)) {
				t.Errorf("%s %s: %q for %q", l.Code, key, own, text)
			}
			if l.Code != "en" && own == text && len(text) > 24 {
				t.Errorf("%s %s is not translated: %q", l.Code, key, text)
			}
		}
		for key := range maps.Keys(l.Words) {
			if _, ok := english[key]; !ok {
				t.Errorf("%s has %s, which English has not", l.Code, key)
			}
		}
	}
}

func TestFormats_areThoseOfTheLanguage(t *testing.T) {
	t.Parallel()
	at := time.Date(2027, 5, 16, 5, 0, 0, 0, time.UTC)
	for code, want := range map[string][4]string{
		"en": {"Sunday, 16 May 2027, 14:00", "€1,234.50", "¥24,000", "$5.00"},
		"fr": {"dimanche 16 mai 2027 à 14:00", "1 234,50 €", "24 000 JPY", "5,00 $US"},
		"de": {"Sonntag, 16. Mai 2027, 14:00", "1.234,50 €", "24.000 ¥", "5,00 $"},
		"es": {"domingo, 16 de mayo de 2027, 14:00", "1.234,50 €", "24.000 JPY", "5,00 US$"},
		"ja": {"2027年5月16日(日曜日) 14:00", "€1,234.50", "￥24,000", "$5.00"},
	} {
		l := tongues[code]
		if l == nil {
			t.Errorf("no %s", code)
			continue
		}
		space := strings.NewReplacer("\u00a0", " ", "\u202f", " ")
		for i, got := range []string{
			l.dateTime(at, "Asia/Tokyo"), l.money(money.Money{Amount: 123450, Currency: "EUR"}), l.money(money.Money{Amount: 24000, Currency: "JPY"}), l.money(money.Money{Amount: 500, Currency: "USD"}),
		} {
			if space.Replace(got) != want[i] {
				t.Errorf("%s: %q, want %q", code, got, want[i])
			}
		}
	}
	if got := tongues["en"].money(money.Money{Amount: -5, Currency: "EUR"}); got != "−€0.05" {
		t.Errorf("%q", got)
	}
	if got := tongues["fr"].N("found", 0); got != "0 événement" {
		t.Errorf("%q", got)
	}
}
