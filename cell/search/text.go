package search

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
	"golang.org/x/text/unicode/norm"

	"guichet/cell/search/cityname"
)

// maxWordRunes cuts words that no attendee types.
const maxWordRunes = 40

// letters that have no decomposition but that people type without their stroke.
var plain = strings.NewReplacer("ß", "ss", "æ", "ae", "œ", "oe", "ø", "o", "đ", "d", "ð", "d", "ł", "l", "ı", "i", "þ", "th", "ħ", "h")

// Fold makes texts comparable that people take for the same: compatibility forms
// and widths (NFKC), case, accents and vowel points of Latin, Greek, Cyrillic,
// Hebrew and Arabic ("É" → "e"). Dakuten stay: が is not か.
func Fold(s string) string {
	if isPlainASCII(s) {
		return strings.ToLower(s)
	}
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range norm.NFKD.String(strings.ToValidUTF8(s, " ")) {
		if !isAccent(r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return norm.NFC.String(plain.Replace(b.String()))
}

func isPlainASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func isAccent(r rune) bool {
	return r >= 0x0300 && r <= 0x036F || r >= 0x0591 && r <= 0x05C7 || r >= 0x064B && r <= 0x065F || r == 0x0670
}

// Word is one word of a text, folded. A dense word is a run of a script that is
// written without spaces between words (or, like Korean, joins particles to
// them): it is matched by its pairs of letters, not as a whole.
type Word struct {
	Text  string
	Dense bool
}

// Words splits a text into folded words.
func Words(s string) []Word {
	var words []Word
	var run []rune
	dense := false
	flush := func() {
		if len(run) > 0 {
			if !dense && len(run) > maxWordRunes {
				run = run[:maxWordRunes]
			}
			words = append(words, Word{Text: string(run), Dense: dense})
			run = run[:0]
		}
	}
	for _, r := range Fold(s) {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) {
			flush()
			continue
		}
		if d := isDense(r); d != dense {
			flush()
			dense = d
		}
		run = append(run, r)
	}
	flush()
	return words
}

func isDense(r rune) bool {
	if r < 0x0E00 {
		return false
	}
	return r <= 0x0EFF || // Thai, Lao
		r >= 0x1000 && r <= 0x109F || r >= 0x1780 && r <= 0x17FF || // Myanmar, Khmer
		r >= 0x3005 && r <= 0x3007 || r >= 0x3041 && r <= 0x30FF || // 々, kana
		r >= 0x3400 && r <= 0x9FFF || r >= 0xF900 && r <= 0xFAFF || r >= 0x20000 && r <= 0x3FFFF || // Han
		r >= 0xAC00 && r <= 0xD7AF // Hangul
}

// Pairs are the overlapping pairs of letters of a dense word; of a single
// letter, itself.
func (w Word) Pairs() []string {
	rs := []rune(w.Text)
	if len(rs) < 2 {
		return []string{w.Text}
	}
	pairs := make([]string, 0, len(rs)-1)
	for i := range len(rs) - 1 {
		pairs = append(pairs, string(rs[i:i+2]))
	}
	return pairs
}

// Joined are the words of a text that punctuation cuts, as people type them without
// it: "acdc" of AC/DC, "obrien" of O'Brien, "rb" of R&B.
func Joined(s string) []Word {
	var out []Word
	for part := range strings.FieldsSeq(s) {
		words := Words(part)
		if len(words) < 2 || slices.ContainsFunc(words, func(w Word) bool { return w.Dense }) {
			continue
		}
		var b strings.Builder
		for _, w := range words {
			b.WriteString(w.Text)
		}
		if utf8.RuneCountInString(b.String()) <= maxWordRunes {
			out = append(out, Word{Text: b.String()})
		}
	}
	return out
}

// Terms is what an index keeps of a text: words as they are and without the
// punctuation inside of them, dense words by their letters and pairs. Each term once.
func Terms(s string) []string {
	seen := map[string]bool{}
	var out []string
	add := func(t string) {
		if !seen[t] {
			seen[t] = true
			out = append(out, t)
		}
	}
	for _, w := range append(Words(s), Joined(s)...) {
		if !w.Dense {
			add(w.Text)
			continue
		}
		for _, r := range w.Text {
			add(string(r))
		}
		for _, p := range w.Pairs() {
			add(p)
		}
	}
	return out
}

// Texts is what of a document can be found by words.
type Texts struct {
	Name, Venue, City, Country, Category, Summary string
	Cities                                        []string // the city's other names, as in other languages
}

// Texts of the document. The country is its English name, "Japan" for JP.
func (d *Document) Texts() Texts {
	v := &d.Event.Venue
	return Texts{
		Name: d.Event.Name, Venue: v.Name, City: v.City, Country: countryName(v.Country),
		Category: d.Event.Category, Summary: d.Event.Summary + " " + v.Address,
		Cities: cities().Others(v.Country, v.City),
	}
}

// cities are known by names that fold alike.
var cities = sync.OnceValue(func() *cityname.Table { return cityname.New(Fold) })

// MainCity is the main name of the document's city, under which all its spellings count
// as one; its own where the city is not known.
func (d *Document) MainCity() string {
	if names := cities().Names(d.Event.Venue.Country, d.Event.Venue.City); len(names) > 0 {
		return names[0]
	}
	return d.Event.Venue.City
}

// Currency is what the event is sold in.
func (d *Document) Currency() string {
	if d.Event.Currency != "" || len(d.Event.TicketTypes) == 0 {
		return d.Event.Currency
	}
	return d.Event.TicketTypes[0].PriceAllIn.Currency
}

var regionNames = display.English.Regions()

func countryName(code string) string {
	r, err := language.ParseRegion(code)
	if err != nil || !r.IsCountry() {
		return code
	}
	return regionNames.Name(r)
}
