// Package pdf writes documents of A4 pages: glyphs of TrueType fonts, rectangles and
// lines. It knows no text: which glyphs stand for a text, and where, its caller has
// found out by shaping. Documents embed only the glyphs they use. Fonts are parsed
// once in a process, and nothing is made per document that does not go into it; that
// is why a ticket costs a tenth of what it did with a library that parses the font
// for every document.
//
// The format is ISO 32000-1; sections are cited where they matter.
package pdf

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf16"
)

// Width and Height of a page in points.
const (
	Width  = 595.28
	Height = 841.89
)

// ErrEmpty is returned for a document without a page.
var ErrEmpty = errors.New("a document has at least one page")

// Document is a document in the making. It belongs to one goroutine.
type Document struct {
	Title string
	At    time.Time // when it was made, for those who ask its properties
	Plain bool      // leaves the contents readable, for tests

	pages []*Page
	fonts []*embedded // in the order of their first use
}

// Page takes ink. Its coordinates are points from the top left corner.
type Page struct {
	doc  *Document
	body []byte
	gray float64
}

// Glyph is one glyph at its place, points right of and above the text's origin.
type Glyph struct {
	ID   uint16
	X, Y float64
	Text []rune // that it stands for, for who copies from the page; may be empty
}

// embedded is what a document uses of a font.
type embedded struct {
	font   *Font
	glyphs []uint16 // by the number they have in the document; the first one is the font's box for what it lacks
	text   [][]rune
	number map[uint16]uint16
}

// Page adds a page.
func (d *Document) Page() *Page {
	p := &Page{doc: d}
	d.pages = append(d.pages, p)
	return p
}

// embed finds the font among those of the document, or adds it.
func (d *Document) embed(f *Font) (int, *embedded) {
	for i, e := range d.fonts {
		if e.font == f {
			return i, e
		}
	}
	e := &embedded{font: f, glyphs: []uint16{0}, text: [][]rune{nil}, number: map[uint16]uint16{0: 0}}
	d.fonts = append(d.fonts, e)
	return len(d.fonts) - 1, e
}

// use numbers a glyph among those of the document; 0 is the box of one that there is not.
func (e *embedded) use(g Glyph) uint16 {
	if int(g.ID)+1 >= len(e.font.loca) {
		return 0
	}
	n, known := e.number[g.ID]
	if !known {
		n = uint16(len(e.glyphs)) //nolint:gosec // fewer than a font has
		e.number[g.ID] = n
		e.glyphs, e.text = append(e.glyphs, g.ID), append(e.text, slices.Clone(g.Text))
	}
	return n
}

// Begin opens a piece of text that reads as actual, whatever its ink is: glyphs in
// the order of the eye, or rectangles (14.9.4). End closes it.
func (p *Page) Begin(actual string) {
	p.body = append(p.body, "/Span <</ActualText ("...)
	p.body = appendUTF16(p.body, actual)
	p.body = append(p.body, ")>> BDC\n"...)
}

// End closes what Begin opened.
func (p *Page) End() { p.body = append(p.body, "EMC\n"...) }

// Gray sets the color of what follows: 0 is black, 1 white.
func (p *Page) Gray(level float64) {
	if level != p.gray {
		p.gray = level
		p.numbers(level)
		p.body = append(p.body, "g\n"...)
	}
}

// Text draws glyphs of a font with the origin of their text at (x, y). A heavy one
// gets an outline, which is how a font without a bold face is set in bold.
func (p *Page) Text(f *Font, size, x, y float64, heavy bool, glyphs []Glyph) {
	if len(glyphs) == 0 {
		return
	}
	index, e := p.doc.embed(f)
	p.body = append(p.body, "BT\n/F"...)
	p.body = strconv.AppendInt(p.body, int64(index), 10)
	p.body = append(p.body, ' ')
	p.numbers(size)
	p.body = append(p.body, "Tf\n"...)
	if heavy {
		p.numbers(size / 36)
		p.body = append(p.body, "w 2 Tr\n"...)
	}
	const nowhere = -1e9
	at, level, open := nowhere, 0.0, false
	for _, g := range glyphs {
		switch gap := g.X - at; {
		case !open || g.Y != level || gap > 4*size || gap < -4*size:
			if open {
				p.body = append(p.body, ">] TJ\n"...)
			}
			p.body = append(p.body, "1 0 0 1 "...)
			p.numbers(x+g.X, Height-y+g.Y)
			p.body = append(p.body, "Tm [<"...)
			open, level = true, g.Y
			at = g.X
		case gap > 0.01*size || gap < -0.01*size: // a hundredth of an em is not seen
			p.body = append(p.body, '>')
			p.body = strconv.AppendFloat(p.body, -gap*1000/size, 'f', 0, 64)
			p.body = append(p.body, '<')
			at = g.X
		}
		p.body = appendHex(p.body, e.use(g))
		at += float64(f.units(g.ID)) * size / float64(f.em)
	}
	p.body = append(p.body, ">] TJ\n"...)
	if heavy {
		p.body = append(p.body, "0 Tr\n"...)
	}
	p.body = append(p.body, "ET\n"...)
}

// Line draws a line as wide as weight says.
func (p *Page) Line(weight, x1, y1, x2, y2 float64) {
	p.numbers(weight)
	p.body = append(p.body, "w\n"...)
	p.numbers(x1, Height-y1)
	p.body = append(p.body, "m "...)
	p.numbers(x2, Height-y2)
	p.body = append(p.body, "l S\n"...)
}

// Rectangle adds one to the path that Fill fills. Those that touch leave no hairline.
func (p *Page) Rectangle(x, y, width, height float64) {
	for _, v := range [...]float64{x, Height - y - height, width, height} {
		p.body = append(appendThousandths(p.body, v), ' ')
	}
	p.body = append(p.body, "re\n"...)
}

// Fill fills the rectangles since the last time.
func (p *Page) Fill() { p.body = append(p.body, "f\n"...) }

// numbers writes numbers with as many digits as are seen, each with a space behind.
func (p *Page) numbers(all ...float64) {
	for _, v := range all {
		p.body = append(strconv.AppendFloat(p.body, v, 'f', 2, 64), ' ')
	}
}

// appendThousandths writes v with three digits. A code has two thousand rectangles, and
// strconv takes five times as long.
func appendThousandths(to []byte, v float64) []byte {
	n := int64(math.Round(v * 1000))
	if n < 0 {
		to, n = append(to, '-'), -n
	}
	to = strconv.AppendInt(to, n/1000, 10)
	return append(to, '.', byte('0'+n/100%10), byte('0'+n/10%10), byte('0'+n%10))
}

const hexDigits = "0123456789ABCDEF"

func appendHex(to []byte, n uint16) []byte {
	return append(to, hexDigits[n>>12], hexDigits[n>>8&15], hexDigits[n>>4&15], hexDigits[n&15])
}

// appendUTF16 writes a text string with its mark of byte order (7.9.2.2).
func appendUTF16(to []byte, s string) []byte {
	to = append(to, 0xfe, 0xff)
	for _, u := range utf16.Encode([]rune(s)) {
		for _, b := range [...]byte{byte(u >> 8), byte(u)} { //nolint:gosec // halves
			switch b {
			case '\\', '(', ')':
				to = append(to, '\\', b)
			case '\r':
				to = append(to, '\\', 'r') // a bare one is read as a line feed
			default:
				to = append(to, b)
			}
		}
	}
	return to
}

// packer compresses; a new one would cost more than what it does.
type packer struct {
	out    bytes.Buffer
	writer *zlib.Writer
}

var packers = sync.Pool{New: func() any {
	p := &packer{}
	p.writer, _ = zlib.NewWriterLevel(&p.out, zlib.BestSpeed) // the level exists
	return p
}}

// file is a document's bytes with where its objects begin.
type file struct {
	out    []byte
	starts []int // of object 1 and so on
	plain  bool
}

func (f *file) object(body string) {
	f.starts = append(f.starts, len(f.out))
	f.out = fmt.Appendf(f.out, "%d 0 obj\n%s\nendobj\n", len(f.starts), body)
}

func (f *file) stream(dictionary string, body []byte) {
	if !f.plain {
		p, _ := packers.Get().(*packer)
		defer packers.Put(p)
		p.out.Reset()
		p.writer.Reset(&p.out)
		_, _ = p.writer.Write(body) // into memory
		_ = p.writer.Close()
		body, dictionary = p.out.Bytes(), dictionary+" /Filter /FlateDecode"
	}
	f.starts = append(f.starts, len(f.out))
	f.out = fmt.Appendf(f.out, "%d 0 obj\n<<%s /Length %d>>\nstream\n", len(f.starts), dictionary, len(body))
	f.out = append(f.out, body...)
	f.out = append(f.out, "\nendstream\nendobj\n"...)
}

// Objects of each page and of each font; a document begins with its pages.
const (
	perPage = 2 // content, page
	perFont = 5 // file, descriptor, the glyphs' font, their text, the font as pages name it
)

// Bytes is the finished document. The same document gives the same bytes.
func (d *Document) Bytes() ([]byte, error) {
	if len(d.pages) == 0 {
		return nil, ErrEmpty
	}
	f := &file{plain: d.Plain}
	f.out = append(f.out, "%PDF-1.5\n%\xe2\xe3\xcf\xd3\n"...)
	firstFont := 1 + perPage*len(d.pages)
	tree := firstFont + perFont*len(d.fonts)
	resources := []byte("<</Font <<")
	for i := range d.fonts {
		resources = fmt.Appendf(resources, "/F%d %d 0 R ", i, firstFont+perFont*(i+1)-1)
	}
	resources = append(resources, ">>>>"...)
	var kids []byte
	for i, p := range d.pages {
		f.stream("", p.body)
		f.object(fmt.Sprintf("<</Type /Page\n/Parent %d 0 R /Contents %d 0 R /Resources %s>>", tree, 1+perPage*i, resources))
		kids = fmt.Appendf(kids, "%d 0 R ", perPage*(i+1))
	}
	for i, e := range d.fonts {
		e.write(f, firstFont+perFont*i)
	}
	f.object(fmt.Sprintf("<</Type /Pages /Count %d /MediaBox [0 0 %.2f %.2f] /Kids [%s]>>", len(d.pages), Width, Height, kids))
	f.object(fmt.Sprintf("<</Type /Catalog /Pages %d 0 R /ViewerPreferences <</DisplayDocTitle true>>>>", tree))
	made := d.At.UTC().Format("20060102150405Z")
	f.object(fmt.Sprintf("<</Title (%s) /CreationDate (D:%s) /ModDate (D:%s)>>", appendUTF16(nil, d.Title), made, made))
	table := len(f.out)
	f.out = fmt.Appendf(f.out, "xref\n0 %d\n0000000000 65535 f \n", len(f.starts)+1)
	for _, at := range f.starts {
		f.out = fmt.Appendf(f.out, "%010d 00000 n \n", at)
	}
	f.out = fmt.Appendf(f.out, "trailer\n<</Size %d /Root %d 0 R /Info %d 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(f.starts)+1, tree+1, tree+2, table)
	return f.out, nil
}

// write adds a font's five objects, the first of which has the number first (9.7.4, 9.7.6).
func (e *embedded) write(f *file, first int) {
	font := e.font
	program := font.subset(e.glyphs)
	f.stream(fmt.Sprintf("/Length1 %d", len(program)), program)
	name := e.tag() + "+" + font.name
	f.object(fmt.Sprintf("<</Type /FontDescriptor /FontName /%s /Flags 4 /ItalicAngle 0 /StemV 80 /Ascent %d /Descent %d /CapHeight %d /FontBBox [%d %d %d %d] /FontFile2 %d 0 R>>",
		name, font.ascent, font.descent, font.ascent, font.left, font.low, font.wide, font.up, first))
	widths := make([]byte, 0, 5*len(e.glyphs))
	for _, g := range e.glyphs {
		widths = append(strconv.AppendFloat(widths, float64(font.units(g))*1000/float64(font.em), 'f', 1, 64), ' ')
	}
	f.object(fmt.Sprintf("<</Type /Font /Subtype /CIDFontType2 /BaseFont /%s /CIDSystemInfo <</Registry (Adobe) /Ordering (Identity) /Supplement 0>> /CIDToGIDMap /Identity /FontDescriptor %d 0 R /W [0 [%s]]>>",
		name, first+1, widths))
	f.stream("", e.toText())
	f.object(fmt.Sprintf("<</Type /Font /Subtype /Type0 /BaseFont /%s /Encoding /Identity-H /DescendantFonts [%d 0 R] /ToUnicode %d 0 R>>", name, first+2, first+3))
}

// tag tells subsets of one font apart (9.6.4).
func (e *embedded) tag() string {
	h := fnv.New64a()
	for _, g := range e.glyphs {
		_, _ = h.Write([]byte{byte(g >> 8), byte(g)}) //nolint:gosec // halves
	}
	sum, letters := h.Sum64(), make([]byte, 6)
	for i := range letters {
		letters[i] = 'A' + byte(sum%26)
		sum /= 26
	}
	return string(letters)
}

// toText says which text each glyph stands for (9.10.3).
func (e *embedded) toText() []byte {
	const most = 100 // entries of a block
	out := []byte("/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /T def /CMapType 2 def\n1 begincodespacerange <0000> <FFFF> endcodespacerange\n")
	var known []uint16
	for n, text := range e.text {
		if len(text) > 0 {
			known = append(known, uint16(n)) // fewer than a font has
		}
	}
	for block := range slices.Chunk(known, most) {
		out = fmt.Appendf(out, "%d beginbfchar\n", len(block))
		for _, n := range block {
			out = append(out, '<')
			out = appendHex(out, n)
			out = append(out, "> <"...)
			for _, u := range utf16.Encode(e.text[n]) {
				out = appendHex(out, u)
			}
			out = append(out, ">\n"...)
		}
		out = append(out, "endbfchar\n"...)
	}
	return append(out, "endcmap CMapName currentdict /CMap defineresource pop end end\n"...)
}
