package country_test

import (
	"testing"

	"guichet/cell/country"
)

func TestKnown_isISO3166AndNothingElse(t *testing.T) {
	for _, code := range []string{"DE", "GB", "US", "XK", "UK", "EU", "AA", "ZZ", "de", "DEU", ""} {
		want := code == "DE" || code == "GB" || code == "US"
		if country.Known(code) != want {
			t.Errorf("%q: %v", code, !want)
		}
	}
}

func TestParse_readsLettersAndNames(t *testing.T) {
	for text, want := range map[string]string{
		"fr": "FR", " JP ": "JP", "DEU": "DE", "usa": "US", "GBR": "GB", "Germany": "DE", "Deutschland": "DE", "Allemagne": "DE",
		"España": "ES", "espana": "ES", "日本": "JP", "U.S.A.": "US", "UK": "GB", "United Kingdom": "GB", "the Netherlands": "NL", "Österreich": "AT",
		"Côte d’Ivoire": "CI", "Brasil": "BR", "Magyarország": "HU", "Türkiye": "TR",
	} {
		if got, ok := country.Parse(text); !ok || got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"", "Atlantis", "XX", "EU", "Europe", "D", "ABC"} {
		if got, ok := country.Parse(text); ok {
			t.Errorf("%q is %q", text, got)
		}
	}
}
