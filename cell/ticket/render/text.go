package render

import (
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/go-pdf/fpdf"
	"github.com/hajimehoshi/bitmapfont/v3"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

// maxRunes is the longest text that is set at all; the rest becomes an ellipsis.
const maxRunes = 300

// box stands for what no font here has.
const box = '□'

const (
	family  = "Go"
	regular = ""
	bold    = "B"
)

func registerFonts(pdf *fpdf.Fpdf) {
	pdf.AddUTF8FontFromBytes(family, regular, goregular.TTF)
	pdf.AddUTF8FontFromBytes(family, bold, gobold.TTF)
}

// outlines says which letters the Go fonts have; both weights have the same.
var outlines = sync.OnceValue(func() func(rune) bool {
	parsed, err := sfnt.Parse(goregular.TTF)
	if err != nil {
		panic("render: the Go font does not parse: " + err.Error()) // it is compiled in
	}
	has := make(map[rune]bool)
	var buffer sfnt.Buffer
	for r := rune(' '); r < 0x10000; r++ {
		if i, err := parsed.GlyphIndex(&buffer, r); err == nil && i != 0 {
			has[r] = true
		}
	}
	return func(r rune) bool { return has[r] }
})

// clean makes one line of what strangers typed: composed letters, single spaces,
// no control or direction-override characters, which have no ink of their own.
func clean(s string) string {
	s = norm.NFC.String(strings.ToValidUTF8(s, string(box)))
	return strings.Join(strings.FieldsFunc(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Variation_Selector, r):
			return -1
		}
		return r
	}, s), unicode.IsSpace), " ")
}

// setter puts text on a page and remembers whether all of it could be printed.
type setter struct {
	pdf     *fpdf.Fpdf
	country string
	whole   bool
}

// put sets s from (x, y) down in at most maxLines lines and gives the y below.
func (t *setter) put(x, y, width float64, s string, size float64, weight string, maxLines int) float64 {
	s = clean(s)
	if s == "" {
		return y
	}
	if runes := []rune(s); len(runes) > maxRunes {
		s, t.whole = string(runes[:maxRunes])+"…", false
	}
	lead := size * 1.35
	face := faceFor(s, t.country)
	s = t.boxed(s, func(r rune) bool { return outlines()(r) || drawable(face, r) })
	// A box in a Latin name still leaves a name to be set in letters.
	if strings.IndexFunc(s, func(r rune) bool { return !outlines()(r) }) < 0 {
		t.pdf.SetFont(family, weight, size)
		for _, line := range t.atMost(maxLines, t.pdf.SplitText(s, width)) {
			t.pdf.Text(x, y+size, line)
			y += lead
		}
		return y
	}
	pixel := size / 12
	for _, line := range t.atMost(maxLines, wrap(face, s, int(width/pixel))) {
		// Asked again after shaping: a joined form can be missing where the letter is not.
		line = t.boxed(shape(line), func(r rune) bool { return drawable(face, r) })
		fill(t.pdf, draw(face, line), x, y, pixel)
		y += max(lead, 16*pixel)
	}
	return y
}

// boxed puts a box for every letter that cannot be printed, and remembers it.
func (t *setter) boxed(s string, printable func(rune) bool) string {
	return strings.Map(func(r rune) rune {
		if r == box || !printable(r) {
			t.whole = false
			return box
		}
		return r
	}, s)
}

// atMost cuts lines and marks the cut.
func (t *setter) atMost(n int, lines []string) []string {
	if len(lines) <= n {
		return lines
	}
	t.whole = false
	lines = slices.Clone(lines[:n])
	last := []rune(strings.TrimSpace(lines[n-1]))
	lines[n-1] = string(last[:max(0, len(last)-2)]) + "…"
	return lines
}

// faceFor picks the shapes of Chinese characters, which differ by country. Kana
// settles it; else the venue's country does.
func faceFor(s, country string) font.Face {
	if strings.IndexFunc(s, func(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Katakana) }) >= 0 {
		return bitmapfont.Face
	}
	switch country {
	case "CN", "SG", "MY":
		return bitmapfont.FaceSC
	case "TW", "HK", "MO":
		return bitmapfont.FaceTC
	}
	return bitmapfont.Face
}

// drawable reports whether the face has ink for r. The face answers every rune
// below 0x10000, with an empty picture where it has none.
func drawable(face font.Face, r rune) bool {
	if r == ' ' || unicode.Is(unicode.Zs, r) {
		return true
	}
	bounds, mask, at, _, ok := face.Glyph(fixed.Point26_6{}, r)
	if !ok {
		return false
	}
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			if _, _, _, a := mask.At(at.X+x, at.Y+y).RGBA(); a != 0 {
				return true
			}
		}
	}
	return false
}

// shape joins Arabic letters and puts right-to-left text in the order of ink.
func shape(line string) string {
	direction := bitmapfont.DirectionLeftToRight
	for _, r := range line {
		p, _ := bidi.LookupRune(r)
		if c := p.Class(); c == bidi.R || c == bidi.AL {
			direction = bitmapfont.DirectionRightToLeft
		} else if c != bidi.L {
			continue
		}
		break
	}
	return bitmapfont.PresentationForms(line, direction, language.Und)
}

// wrap breaks a text into lines of at most width pixels: at spaces where it
// can, between any two letters where it must, as Chinese and Japanese do.
func wrap(face font.Face, s string, width int) []string {
	fits := func(line []rune) bool { return font.MeasureString(face, shape(string(line))).Ceil() <= width }
	var lines []string
	rest := []rune(s)
	for len(rest) > 0 {
		n := 1
		for n < len(rest) && (fits(rest[:n+1]) || unicode.Is(unicode.M, rest[n])) {
			n++
		}
		if n < len(rest) && rest[n] != ' ' {
			for i := n - 1; i > n/2; i-- {
				if rest[i] == ' ' {
					n = i
					break
				}
			}
		}
		lines = append(lines, strings.TrimSpace(string(rest[:n])))
		rest = []rune(strings.TrimSpace(string(rest[n:])))
	}
	return lines
}

// draw gives the ink of a shaped line as rows of pixels.
func draw(face font.Face, line string) [][]bool {
	const height = 16
	// Marks above a letter draw into its cell, so a line is never wider than its letters.
	cells := make([][]bool, height)
	for y := range cells {
		cells[y] = make([]bool, 12*len([]rune(line)))
	}
	dot := fixed.P(0, face.Metrics().Ascent.Ceil())
	previous := rune(-1)
	for _, r := range line {
		if previous >= 0 {
			dot.X += face.Kern(previous, r)
		}
		bounds, mask, at, advance, _ := face.Glyph(dot, r)
		for y := range bounds.Dy() {
			for x := range bounds.Dx() {
				if _, _, _, a := mask.At(at.X+x, at.Y+y).RGBA(); a != 0 {
					set(cells, bounds.Min.X+x, bounds.Min.Y+y)
				}
			}
		}
		dot.X += advance
		previous = r
	}
	return cells
}

func set(cells [][]bool, x, y int) {
	if y >= 0 && y < len(cells) && x >= 0 && x < len(cells[y]) {
		cells[y][x] = true
	}
}
