package render

import (
	"image"
	"image/color"
	picture "image/draw"

	shapes "github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/font/opentype"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/image/vector"
)

// Words writes a text into a picture in bold letters, from at down in at most maxLines
// lines of a width in pixels, and gives the y below. size is the height of the letters in
// pixels; country is where the text is from, as for Page. What no font here has is a box.
func Words(into picture.Image, at image.Point, width int, s string, size float64, maxLines int, country string, ink color.Color) int {
	text := []rune(clean(s))
	if len(text) == 0 || maxLines < 1 {
		return at.Y
	}
	if len(text) > maxRunes {
		text = append(text[:maxRunes], '…')
	}
	tools, ok := idle.Get().(*tools)
	if !ok {
		return at.Y
	}
	defer idle.Put(tools)
	t := &setter{tools: tools, country: country, whole: true}
	runs, direction := t.shape(text, size, bold)
	config := shaping.WrapConfig{Direction: direction, TruncateAfterLines: maxLines, Truncator: t.ellipsis(size, bold), DisableTrailingWhitespaceTrim: true}
	lines, _ := tools.wrapper.WrapParagraphF(config, points(float64(width)), text, shaping.NewSliceIterator(runs))
	y := float64(at.Y)
	for _, line := range lines {
		x := float64(at.X)
		for _, run := range t.ordered(line, text) {
			t.paint(into, run, x, y+size, size, ink)
			x += float64(run.Advance) / 64
		}
		y += size * 1.3
	}
	return int(y + 0.5)
}

// paint draws a run with its baseline at y.
func (t *setter) paint(into picture.Image, run shaping.Output, x, y, size float64, ink color.Color) {
	bounds := into.Bounds()
	r := vector.NewRasterizer(bounds.Dx(), bounds.Dy())
	if run.Face == t.tools.pixels {
		var letters []rune
		for _, g := range run.Glyphs {
			letters = append(letters, rune(g.GlyphID)) //nolint:gosec // inPixels made it of a rune
		}
		pixel := size / pixelEm
		for row, cells := range draw(faceFor(string(letters), t.country), letters) {
			for col, set := range cells {
				if set {
					square(r, float32(x+float64(col)*pixel), float32(y+float64(row-pixelAscent)*pixel), float32(pixel))
				}
			}
		}
	} else {
		scale := size / float64(run.Face.Upem())
		for _, g := range run.Glyphs {
			if outline, ok := run.Face.GlyphData(g.GlyphID).(shapes.GlyphOutline); ok {
				trace(r, outline, x+float64(g.XOffset)/64, y-float64(g.YOffset)/64, scale)
			}
			x += float64(g.Advance) / 64
		}
	}
	r.Draw(into, bounds, image.NewUniform(ink), image.Point{})
}

func square(r *vector.Rasterizer, x, y, side float32) {
	r.MoveTo(x, y)
	r.LineTo(x+side, y)
	r.LineTo(x+side, y+side)
	r.LineTo(x, y+side)
	r.ClosePath()
}

// trace follows a glyph's outline, whose y grows upwards.
func trace(r *vector.Rasterizer, outline shapes.GlyphOutline, x, y, scale float64) {
	at := func(p opentype.SegmentPoint) (px, py float32) {
		return float32(x + float64(p.X)*scale), float32(y - float64(p.Y)*scale)
	}
	for i, s := range outline.Segments {
		ax, ay := at(s.Args[0])
		bx, by := at(s.Args[1])
		cx, cy := at(s.Args[2])
		switch s.Op {
		case opentype.SegmentOpMoveTo:
			if i > 0 {
				r.ClosePath()
			}
			r.MoveTo(ax, ay)
		case opentype.SegmentOpLineTo:
			r.LineTo(ax, ay)
		case opentype.SegmentOpQuadTo:
			r.QuadTo(ax, ay, bx, by)
		case opentype.SegmentOpCubeTo:
			r.CubeTo(ax, ay, bx, by, cx, cy)
		}
	}
	r.ClosePath()
}
