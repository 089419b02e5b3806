package render

import (
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/go-text/typesetting/bidi"
	"github.com/go-text/typesetting/di"
	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/language"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/image/math/fixed"
	unibidi "golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"

	"guichet/cell/legible"
	"guichet/cell/ticket/render/pdf"
)

// maxRunes is the longest text that is set at all; the rest becomes an ellipsis.
const maxRunes = 300

// box stands for what no font here has.
const box = '□'

const (
	regular = false
	bold    = true
)

// clean makes one line of what strangers typed: composed letters, single spaces,
// no control or direction-override characters, which have no ink of their own. The
// joiners that a script needs stay.
func clean(s string) string {
	s = norm.NFC.String(strings.ToValidUTF8(s, string(box)))
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Variation_Selector, r):
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.FieldsFunc(legible.Clean(s), unicode.IsSpace), " ")
}

// setter puts text on a page and remembers whether all of it could be printed.
type setter struct {
	page    *pdf.Page
	tools   *tools
	country string
	whole   bool
}

// tools are what setting a text takes and is costly to make. They belong to one
// document at a time.
type tools struct {
	shaper   shaping.HarfbuzzShaper
	segments shaping.Segmenter
	wrapper  shaping.LineWrapper
	bidi     bidi.Paragraph
	faces    map[*typeface]*font.Face
	fonts    map[*font.Face]*typeface
	pixels   *font.Face // stands for the bitmap font
}

var idle = sync.Pool{New: func() any {
	t := &tools{faces: map[*typeface]*font.Face{}, fonts: map[*font.Face]*typeface{}, pixels: font.NewFace(goRegular().shapes)}
	t.shaper.SetFontCacheSize(len(byScript) + 3)
	return t
}}

func (t *tools) face(f *typeface) *font.Face {
	face, ok := t.faces[f]
	if !ok {
		face = font.NewFace(f.shapes)
		t.faces[f], t.fonts[face] = face, f
	}
	return face
}

// choice picks the font of each letter of one text. It is a shaping.Fontmap.
type choice struct {
	tools *tools
	base  *typeface // of Latin, Greek and Cyrillic
	han   func(rune) bool
	last  *typeface
}

// choose prepares for a text. One that has a letter of those scripts which the Go
// font lacks is set in the other one as a whole, not letter by letter.
func (t *setter) choose(text []rune, weight bool) *choice {
	c := &choice{tools: t.tools, base: goRegular(), han: pixelsOf(string(text), t.country)}
	if weight {
		c.base = goBold()
	}
	for _, r := range text {
		switch language.LookupScript(r) {
		case language.Latin, language.Greek, language.Cyrillic, language.Inherited:
			if !c.base.has(r) && wide().has(r) {
				c.base = wide()
			}
		default: // has fonts of its own, or none
		}
	}
	return c
}

// find gives the font that has r; nil with true means the bitmap font, nil with
// false that nothing has it.
func (c *choice) find(r rune) (*typeface, bool) {
	if c.base.has(r) {
		return c.base, true
	}
	script := language.LookupScript(r)
	if of := byScript[script]; of != nil && script != language.Han {
		if f := of(); f.has(r) {
			return f, true
		}
	}
	switch {
	case c.last != nil && c.last.has(r): // a mark or a digit goes with the letters before it
		return c.last, true
	case c.han(r):
		return nil, true
	case script == language.Han && byScript[script]().has(r):
		return byScript[script](), true
	case wide().has(r):
		return wide(), true
	case script != language.Common && script != language.Inherited:
		return nil, false
	}
	for _, s := range scripts() { // signs that several scripts share, such as the danda
		if f := byScript[s](); f.has(r) {
			return f, true
		}
	}
	return nil, false
}

// scripts are those of byScript in an order that does not change.
var scripts = sync.OnceValue(func() []language.Script {
	all := make([]language.Script, 0, len(byScript))
	for s := range byScript {
		all = append(all, s)
	}
	slices.Sort(all)
	return all
})

// ResolveFace is asked by the segmenter for letters that printable has seen.
func (c *choice) ResolveFace(r rune) *font.Face {
	f, _ := c.find(r)
	if f == nil {
		return c.tools.pixels
	}
	c.last = f
	return c.tools.face(f)
}

// printable puts a box for every letter that cannot be printed, and remembers it.
func (t *setter) printable(text []rune, c *choice) {
	for i, r := range text {
		if unicode.Is(unicode.Cf, r) {
			continue // joiners have no ink
		}
		f, ok := c.find(r)
		if !ok || r == box {
			text[i], t.whole = box, false
		}
		if f != nil {
			c.last = f
		}
	}
	c.last = nil
}

// put sets s from (x, y) down in at most maxLines lines and gives the y below.
func (t *setter) put(x, y, width float64, s string, size float64, weight bool, maxLines int) float64 {
	text := []rune(clean(s))
	if len(text) == 0 {
		return y
	}
	if len(text) > maxRunes {
		text, t.whole = append(text[:maxRunes], '…'), false
	}
	runs, direction := t.shape(text, size, weight)
	config := shaping.WrapConfig{
		Direction: direction, TruncateAfterLines: maxLines, Truncator: t.ellipsis(size, weight),
		DisableTrailingWhitespaceTrim: true, // it would ask for the glyphs' extents, which are not worked out here
	}
	lines, cut := t.tools.wrapper.WrapParagraphF(config, points(width), text, shaping.NewSliceIterator(runs))
	from := 0
	for i, line := range lines {
		to := len(text)
		if i+1 < len(lines) {
			to = begins(lines[i+1])
		}
		says := string(text[from:to])
		if i+1 == len(lines) && cut > 0 {
			says, t.whole = string(text[from:len(text)-cut])+"…", false
		}
		t.draw(line, text, x, y+size, size, weight, strings.TrimSpace(says))
		y += size * 1.35
		from = to
	}
	return y
}

// right sets one line that ends at x.
func (t *setter) right(x, y float64, s string, size float64, weight bool) {
	text := []rune(clean(s))
	if len(text) == 0 {
		return
	}
	line, _ := t.shape(text, size, weight)
	wide := fixed.Int26_6(0)
	for _, run := range line {
		wide += run.Advance
	}
	t.draw(line, text, x-float64(wide)/64, y, size, weight, string(text))
}

// shape finds the glyphs of a text, in runs of one font and one direction.
func (t *setter) shape(text []rune, size float64, weight bool) ([]shaping.Output, di.Direction) {
	c := t.choose(text, weight)
	t.printable(text, c)
	in := shaping.Input{Text: text, RunEnd: len(text), Direction: directionOf(text), Size: points(size), Language: "und"}
	parts := t.tools.segments.Split(in, c)
	runs := make([]shaping.Output, 0, len(parts))
	for _, part := range parts {
		if part.Face == t.tools.pixels {
			runs = append(runs, t.inPixels(part))
			continue
		}
		runs = append(runs, t.tools.shaper.ShapeNoExtents(part))
	}
	return runs, in.Direction
}

func (t *setter) ellipsis(size float64, weight bool) shaping.Output {
	c := t.choose(nil, weight)
	return t.tools.shaper.ShapeNoExtents(shaping.Input{Text: []rune("…"), RunEnd: 1, Face: t.tools.face(c.base), Size: points(size), Script: language.Common, Language: "und"})
}

func points(v float64) fixed.Int26_6 { return fixed.Int26_6(v * 64) }

// begins is the first letter of a line, as it is read.
func begins(line shaping.Line) int {
	first := line[0].Runes.Offset
	for _, run := range line[1:] {
		first = min(first, run.Runes.Offset)
	}
	return first
}

// draw puts a line's runs from (x, y) on, in the order of the eye.
func (t *setter) draw(line shaping.Line, text []rune, x, y, size float64, weight bool, says string) {
	runs := t.ordered(line, text)
	t.page.Begin(says)
	defer t.page.End()
	for _, run := range runs {
		if run.Face == t.tools.pixels {
			t.drawPixels(run, x, y, size)
		} else {
			f := t.tools.fonts[run.Face]
			t.page.Text(f.ink, size, x, y, weight && f != goBold(), placed(run, text))
		}
		x += float64(run.Advance) / 64
	}
}

// ordered puts a line's runs in the order of the eye (UAX #9, L2): whatever has a
// level or a higher one is turned around, from the highest level down. The wrapper
// knows directions alone, and would put a year on the wrong side of an Arabic name.
func (t *setter) ordered(line shaping.Line, text []rune) []shaping.Output {
	runs := slices.Clone(line)
	if directed := slices.ContainsFunc(runs, func(r shaping.Output) bool { return r.Direction == di.DirectionRTL }); !directed {
		return runs
	}
	levels := make([]bidi.Level, len(text))
	inText := t.tools.bidi.Segment(text, bidi.LeftToRight)
	for i := range inText.NumRuns() {
		for at, run := inText.Run(i).Start, inText.Run(i); at < run.End; at++ {
			levels[at] = run.Level
		}
	}
	level := func(r shaping.Output) bidi.Level { return levels[min(r.Runes.Offset, len(levels)-1)] }
	for turn := slices.Max(levels); turn > 0; turn-- {
		for from := 0; from < len(runs); from++ {
			to := from
			for to < len(runs) && level(runs[to]) >= turn {
				to++
			}
			slices.Reverse(runs[from:to])
			from = max(from, to)
		}
	}
	return runs
}

// placed are a run's glyphs where they stand.
func placed(run shaping.Output, text []rune) []pdf.Glyph {
	glyphs := make([]pdf.Glyph, 0, len(run.Glyphs))
	pen, cluster := fixed.Int26_6(0), -1
	for _, g := range run.Glyphs {
		to := pdf.Glyph{ID: uint16(g.GlyphID), X: float64(pen+g.XOffset) / 64, Y: float64(g.YOffset) / 64} //nolint:gosec // TrueType has no more
		if at := g.TextIndex(); at != cluster && at >= 0 && at+g.RunesCount() <= len(text) {
			to.Text, cluster = text[at:at+g.RunesCount()], at
		}
		glyphs = append(glyphs, to)
		pen += g.Advance
	}
	return glyphs
}

// directionOf is that of the first letter that has one.
func directionOf(text []rune) di.Direction {
	for _, r := range text {
		p, _ := unibidi.LookupRune(r)
		switch p.Class() {
		case unibidi.R, unibidi.AL:
			return di.DirectionRTL
		case unibidi.L:
			return di.DirectionLTR
		default: // has none
		}
	}
	return di.DirectionLTR
}
