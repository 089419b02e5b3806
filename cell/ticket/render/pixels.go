package render

import (
	"slices"
	"strings"
	"unicode"

	"github.com/go-text/typesetting/di"
	shapes "github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/shaping"
	"github.com/hajimehoshi/bitmapfont/v3"
	"golang.org/x/image/font"
	"golang.org/x/image/math/fixed"

	"guichet/cell/ticket/render/pdf"
)

// pixelEm is the em of the bitmap font in its pixels, pixelAscent how far above the
// baseline it begins.
const (
	pixelEm     = 12
	pixelAscent = 12
)

// pixelsOf says which letters the bitmap font has ink for, in the shapes of a text.
func pixelsOf(s, country string) func(rune) bool {
	face := faceFor(s, country)
	return func(r rune) bool { return drawable(face, r) }
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

// inPixels is a run of the bitmap font, whose glyphs have the numbers of their letters.
func (t *setter) inPixels(in shaping.Input) shaping.Output {
	face := faceFor(string(in.Text), t.country)
	out := shaping.Output{
		Size: in.Size, Direction: in.Direction, Face: in.Face, Runes: shaping.Range{Offset: in.RunStart, Count: in.RunEnd - in.RunStart},
	}
	for i := in.RunStart; i < in.RunEnd; i++ {
		advance, _ := face.GlyphAdvance(in.Text[i])
		wide := advance * in.Size / fixed.I(pixelEm)
		out.Glyphs = append(out.Glyphs, shaping.Glyph{
			ClusterIndex: i, RuneCount: 1, GlyphCount: 1, GlyphID: shapes.GID(in.Text[i]), Advance: wide, XAdvance: wide, //nolint:gosec,staticcheck // a rune is not negative; what reads these has no other way to be told
		})
		out.Advance += wide
	}
	if in.Direction == di.DirectionRTL {
		slices.Reverse(out.Glyphs)
	}
	return out
}

// drawPixels draws a run of the bitmap font with its baseline at y.
func (t *setter) drawPixels(run shaping.Output, x, y, size float64) {
	var letters []rune
	for _, g := range run.Glyphs {
		letters = append(letters, rune(g.GlyphID)) //nolint:gosec // inPixels made it of a rune
	}
	pixel := size / pixelEm
	fill(t.page, draw(faceFor(string(letters), t.country), letters), x, y-pixelAscent*pixel, pixel)
}

// draw gives the ink of letters as rows of pixels.
func draw(face font.Face, letters []rune) [][]bool {
	const height = 16
	// Marks above a letter draw into its cell, so a line is never wider than its letters.
	cells := make([][]bool, height)
	for y := range cells {
		cells[y] = make([]bool, pixelEm*len(letters))
	}
	dot := fixed.P(0, face.Metrics().Ascent.Ceil())
	for _, r := range letters {
		bounds, mask, at, advance, _ := face.Glyph(dot, r)
		for y := range bounds.Dy() {
			for x := range bounds.Dx() {
				if _, _, _, a := mask.At(at.X+x, at.Y+y).RGBA(); a != 0 {
					set(cells, bounds.Min.X+x, bounds.Min.Y+y)
				}
			}
		}
		dot.X += advance
	}
	return cells
}

func set(cells [][]bool, x, y int) {
	if y >= 0 && y < len(cells) && x >= 0 && x < len(cells[y]) {
		cells[y][x] = true
	}
}

// fill draws the true cells of a picture as rectangles of one path.
func fill(page *pdf.Page, cells [][]bool, x, y, side float64) {
	drawn := false
	for row, line := range cells {
		for from := 0; from < len(line); from++ {
			if !line[from] {
				continue
			}
			to := from
			for to < len(line) && line[to] {
				to++
			}
			page.Rectangle(x+float64(from)*side, y+float64(row)*side, float64(to-from)*side, side)
			drawn, from = true, to
		}
	}
	if drawn {
		page.Fill()
	}
}
