// Package country knows the countries of ISO 3166-1: their codes of two letters,
// of three, and their names in some languages. It says nothing about where they
// lie (package geo does) nor about who governs them.
package country

import (
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
	"golang.org/x/text/unicode/norm"
)

// codes are the officially assigned codes of ISO 3166-1 alpha-2.
const codes = `
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG
CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL
GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA
LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP
NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV
SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW`

var assigned = func() map[string]bool {
	m := map[string]bool{}
	for code := range strings.FieldsSeq(codes) {
		m[code] = true
	}
	return m
}()

// Known says whether a code is one of ISO 3166-1 alpha-2, in capitals.
func Known(code string) bool { return assigned[code] }

// Parse reads a code of two or three letters in any case, or a name in one of
// the languages below, and gives the code of two letters.
func Parse(text string) (code string, ok bool) {
	if upper := strings.ToUpper(strings.TrimSpace(text)); Known(upper) {
		return upper, true
	}
	code, ok = names()[fold(text)]
	return code, ok
}

// languages are those in which a country's name is understood; besides, each
// country's name in its own most likely language.
var languages = []language.Tag{
	language.English, language.German, language.French, language.Spanish, language.Italian, language.Portuguese,
	language.Dutch, language.Polish, language.Swedish, language.Danish, language.Norwegian, language.Finnish, language.Czech, language.Hungarian,
	language.Turkish, language.Greek, language.Russian, language.Ukrainian, language.Japanese, language.Chinese, language.Korean, language.Arabic,
}

// also are names that are used and are not those of the standard.
var also = map[string]string{
	"uk": "GB", "u.k.": "GB", "great britain": "GB", "england": "GB", "scotland": "GB", "wales": "GB", "northern ireland": "GB",
	"usa": "US", "u.s.": "US", "u.s.a.": "US", "united states of america": "US", "america": "US",
	"the netherlands": "NL", "holland": "NL", "czech republic": "CZ", "tschechische republik": "CZ", "korea": "KR", "republic of korea": "KR",
	"russian federation": "RU", "hong kong": "HK", "macau": "MO", "macao": "MO", "brasil": "BR", "viet nam": "VN", "uae": "AE", "u.a.e.": "AE",
	"republic of ireland": "IE", "turkey": "TR", "ivory coast": "CI", "cape verde": "CV", "swaziland": "SZ", "the gambia": "GM", "the bahamas": "BS",
}

var names = sync.OnceValue(func() map[string]string {
	m := map[string]string{}
	put := func(name, code string) {
		if key := fold(name); key != "" && !Known(strings.ToUpper(key)) {
			if before, taken := m[key]; taken && before != code {
				code = "" // two countries have it: it names none
			}
			m[key] = code
		}
	}
	namers := make([]display.Namer, 0, len(languages))
	for _, tag := range languages {
		namers = append(namers, display.Regions(tag))
	}
	for code := range assigned {
		region := language.MustParseRegion(code)
		put(region.ISO3(), code)
		for _, n := range namers {
			put(n.Name(region), code)
		}
		if own, _ := language.Compose(language.Und, region); own != language.Und {
			base, _ := own.Base()
			if n := display.Regions(language.Make(base.String())); n != nil {
				put(n.Name(region), code)
			}
		}
	}
	for name, code := range also {
		m[fold(name)] = code
	}
	for name, code := range m {
		if code == "" {
			delete(m, name)
		}
	}
	return m
})

// fold makes names comparable: lower case, no accents, single spaces.
func fold(s string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(strings.ToLower(s)) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(r)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
