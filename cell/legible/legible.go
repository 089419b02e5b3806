// Package legible says which characters a name may have. A name is shown beside
// other text, on a page, a ticket and a list at a door, so it must not turn the
// order of what stands beside it, nor hide a part of itself. What a script needs
// to be written is allowed.
package legible

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Check says what a name has that no reader sees; nil when there is nothing.
// With lines, line breaks and tabs are allowed.
func Check(s string, lines bool) error {
	if lines {
		s = strings.NewReplacer("\r", " ", "\n", " ", "\t", " ").Replace(s)
	}
	rs := []rune(s)
	for i, r := range rs {
		switch {
		case unicode.IsControl(r):
			return errors.New("must not contain control characters")
		case unicode.Is(unicode.Bidi_Control, r):
			return fmt.Errorf("must not contain U+%04X, which turns the direction of text", r)
		case hidden(r) && !needed(rs, i):
			return fmt.Errorf("must not contain U+%04X, which nobody sees", r)
		}
	}
	if s != "" && strings.IndexFunc(s, seen) < 0 {
		return errors.New("must have a character that is seen")
	}
	return nil
}

// Clean takes out what Check would refuse.
func Clean(s string) string {
	rs := []rune(s)
	var b strings.Builder
	for i, r := range rs {
		switch {
		case unicode.Is(unicode.Bidi_Control, r), hidden(r) && !needed(rs, i):
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

const (
	firstStrong = "\u2068"
	popIsolate  = "\u2069"
)

// Isolate puts a name between marks that keep its direction to itself (UAX #9,
// FSI and PDI), for texts in which something stands beside it. A name all of
// whose characters run from left to right needs none.
func Isolate(s string) string {
	if strings.IndexFunc(s, rightToLeft) < 0 {
		return s
	}
	return firstStrong + s + popIsolate
}

func rightToLeft(r rune) bool {
	return r >= 0x0590 && r <= 0x08FF || r >= 0xFB1D && r <= 0xFDFF || r >= 0xFE70 && r <= 0xFEFC || r >= 0x10800 && r <= 0x10FFF || r >= 0x1E800 && r <= 0x1EFFF
}

// hidden are characters without a width of their own: format characters, fillers
// that Unicode counts as letters, and separators of lines.
func hidden(r rune) bool {
	switch r {
	case 0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2028, 0x2029, 0x2800, 0x3164, 0xFFA0:
		return true
	}
	return unicode.Is(unicode.Cf, r) && (r < 0x0600 || r > 0x0605) && r != 0x06DD && r != 0x070F && r != 0x08E2 // Arabic signs that are seen
}

func seen(r rune) bool {
	return !hidden(r) && !unicode.IsSpace(r) && !unicode.IsControl(r) && !unicode.Is(unicode.Variation_Selector, r)
}

const (
	nonJoiner = 0x200C
	joiner    = 0x200D
	blackFlag = 0x1F3F4
)

// joining are the scripts that are written with joiners between letters.
var joining = []*unicode.RangeTable{
	unicode.Arabic, unicode.Syriac, unicode.Mandaic, unicode.Mongolian, unicode.Nko, unicode.Phags_Pa, unicode.Devanagari, unicode.Bengali,
	unicode.Gurmukhi, unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu, unicode.Kannada, unicode.Malayalam, unicode.Sinhala,
	unicode.Myanmar, unicode.Khmer, unicode.Tibetan, unicode.Thai, unicode.Lao, unicode.Balinese, unicode.Javanese,
}

// needed says whether a hidden character does something where it stands: a joiner
// between letters of a script that has them, or between the parts of a picture.
func needed(rs []rune, i int) bool {
	r := rs[i]
	if r >= 0xE0020 && r <= 0xE007F { // the tags of a flag
		for i > 0 && rs[i] >= 0xE0020 && rs[i] <= 0xE007F {
			i--
		}
		return rs[i] == blackFlag
	}
	if r != nonJoiner && r != joiner || i == 0 || i == len(rs)-1 {
		return false
	}
	before, after := rs[i-1], rs[i+1]
	if unicode.In(before, joining...) && unicode.In(after, joining...) {
		return true
	}
	picture := func(r rune) bool {
		return unicode.In(r, unicode.So, unicode.Sk) || r == 0xFE0F || r == 0x2640 || r == 0x2642
	}
	return r == joiner && picture(before) && picture(after)
}
