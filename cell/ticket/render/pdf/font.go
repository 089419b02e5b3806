package pdf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// ErrFont is returned for a file that is not a TrueType font as this package reads them.
var ErrFont = errors.New("not a TrueType font with outlines")

// Font is a TrueType font of which documents embed what they use. It is parsed once
// and does not change: any number of documents may share it.
type Font struct {
	name                string
	head, hhea, maxp    []byte
	glyf, hmtx          []byte
	loca                []uint32 // where each glyph begins in glyf, and where the last one ends
	metrics             int      // glyphs with an advance of their own
	em                  int      // units per em
	ascent, descent     int      // thousandths of an em
	left, low, wide, up int      // box around all glyphs, thousandths of an em
}

// ParseFont reads a font. name is what documents call it, without spaces.
func ParseFont(name string, file []byte) (*Font, error) {
	tables, err := directory(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f := &Font{name: name, head: tables["head"], hhea: tables["hhea"], maxp: tables["maxp"], glyf: tables["glyf"], hmtx: tables["hmtx"]}
	if len(f.head) < 54 || len(f.hhea) < 36 || len(f.maxp) < 6 {
		return nil, fmt.Errorf("%s: %w", name, ErrFont)
	}
	count := int(binary.BigEndian.Uint16(f.maxp[4:]))
	f.metrics = int(binary.BigEndian.Uint16(f.hhea[34:]))
	f.em = int(binary.BigEndian.Uint16(f.head[18:]))
	long := binary.BigEndian.Uint16(f.head[50:]) == 1
	loca := tables["loca"]
	width := 2
	if long {
		width = 4
	}
	if f.em == 0 || f.metrics == 0 || f.metrics > count || len(loca) < (count+1)*width || len(f.hmtx) < 4*f.metrics+2*(count-f.metrics) {
		return nil, fmt.Errorf("%s: %w", name, ErrFont)
	}
	f.loca = make([]uint32, count+1)
	for i := range f.loca {
		if long {
			f.loca[i] = binary.BigEndian.Uint32(loca[4*i:])
		} else {
			f.loca[i] = 2 * uint32(binary.BigEndian.Uint16(loca[2*i:]))
		}
	}
	if !slices.IsSorted(f.loca) || int(f.loca[count]) > len(f.glyf) {
		return nil, fmt.Errorf("%s: %w", name, ErrFont)
	}
	f.ascent, f.descent = f.thousandths(f.hhea[4:]), f.thousandths(f.hhea[6:])
	f.left, f.low, f.wide, f.up = f.thousandths(f.head[36:]), f.thousandths(f.head[38:]), f.thousandths(f.head[40:]), f.thousandths(f.head[42:])
	return f, nil
}

// directory finds the tables of a font file.
func directory(file []byte) (map[string][]byte, error) {
	if len(file) < 12 || binary.BigEndian.Uint32(file) != 0x00010000 {
		return nil, ErrFont
	}
	n := int(binary.BigEndian.Uint16(file[4:]))
	if len(file) < 12+16*n {
		return nil, ErrFont
	}
	tables := make(map[string][]byte, n)
	for i := range n {
		entry := file[12+16*i:]
		at, size := int(binary.BigEndian.Uint32(entry[8:])), int(binary.BigEndian.Uint32(entry[12:]))
		if at+size > len(file) {
			return nil, ErrFont
		}
		tables[string(entry[:4])] = file[at : at+size]
	}
	return tables, nil
}

func (f *Font) thousandths(b []byte) int {
	return int(int16(binary.BigEndian.Uint16(b))) * 1000 / f.em //nolint:gosec // the format means a sign
}

// units is a glyph's advance in the font's own units.
func (f *Font) units(glyph uint16) int {
	return int(binary.BigEndian.Uint16(f.hmtx[4*min(int(glyph), f.metrics-1):]))
}

// bearing is where a glyph's ink begins, two bytes as the font has them.
func (f *Font) bearing(glyph uint16) []byte {
	at := 4*int(glyph) + 2
	if int(glyph) >= f.metrics {
		at = 4*f.metrics + 2*(int(glyph)-f.metrics)
	}
	return f.hmtx[at : at+2]
}

func (f *Font) outline(glyph uint16) []byte {
	if int(glyph)+1 >= len(f.loca) {
		return nil
	}
	return f.glyf[f.loca[glyph]:f.loca[glyph+1]]
}

// Flags of the parts of a composite glyph (OpenType specification, table glyf).
const (
	wordArguments = 0x0001
	oneScale      = 0x0008
	more          = 0x0020
	twoScales     = 0x0040
	matrix        = 0x0080
	instructed    = 0x0100
)

// parts walks the parts of a composite glyph: at is where a part's flags stand.
// It says where the last part ends, or false for an outline that is damaged.
func parts(outline []byte, part func(at int)) (int, bool) {
	at := 10
	for {
		if at+4 > len(outline) {
			return 0, false
		}
		flags := binary.BigEndian.Uint16(outline[at:])
		part(at)
		at += 4 + 2
		if flags&wordArguments != 0 {
			at += 2
		}
		switch {
		case flags&oneScale != 0:
			at += 2
		case flags&twoScales != 0:
			at += 4
		case flags&matrix != 0:
			at += 8
		}
		if at > len(outline) {
			return 0, false
		}
		if flags&more == 0 {
			return at, true
		}
	}
}

func composite(outline []byte) bool {
	return len(outline) >= 10 && outline[0]&0x80 != 0 // a negative number of contours
}

// subset is a font file of the glyphs, which get the numbers of their order; those
// that they are made of come behind them. Instructions for coarse screens are left out.
func (f *Font) subset(glyphs []uint16) []byte {
	glyphs = slices.Clone(glyphs)
	number := make(map[uint16]uint16, len(glyphs))
	for i, g := range glyphs {
		number[g] = uint16(i) // fewer than the font has
	}
	var glyf, loca, hmtx []byte
	for i := 0; i < len(glyphs); i++ { // grows while it is walked
		g := glyphs[i]
		loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))  //nolint:gosec // smaller than the font
		hmtx = binary.BigEndian.AppendUint16(hmtx, uint16(f.units(g))) //nolint:gosec // it was read from 16 bits
		hmtx = append(hmtx, f.bearing(g)...)
		glyf = f.appendOutline(glyf, f.outline(g), func(part uint16) uint16 {
			n, known := number[part]
			if !known {
				n = uint16(len(glyphs)) //nolint:gosec // fewer than the font has
				number[part], glyphs = n, append(glyphs, part)
			}
			return n
		})
	}
	loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf))) //nolint:gosec // smaller than the font
	head, hhea, maxp := slices.Clone(f.head), slices.Clone(f.hhea), slices.Clone(f.maxp)
	binary.BigEndian.PutUint32(head[8:], 0)  // the sum of the whole file; readers of documents do not look at it
	binary.BigEndian.PutUint16(head[50:], 1) // loca has 32 bits
	count := uint16(len(glyphs))             //nolint:gosec // fewer than the font has
	binary.BigEndian.PutUint16(hhea[34:], count)
	binary.BigEndian.PutUint16(maxp[4:], count)
	return fontFile([]table{{"glyf", glyf}, {"head", head}, {"hhea", hhea}, {"hmtx", hmtx}, {"loca", loca}, {"maxp", maxp}})
}

// appendOutline copies an outline without instructions; renumber gives the new
// numbers of a composite's parts. A damaged one becomes a glyph without ink.
func (f *Font) appendOutline(to, outline []byte, renumber func(uint16) uint16) []byte {
	from := len(to)
	switch {
	case len(outline) < 10:
		return to
	case composite(outline):
		end, ok := parts(outline, func(int) {})
		if !ok {
			return to
		}
		to = append(to, outline[:end]...)
		own := to[from:]
		parts(own, func(at int) {
			flags := binary.BigEndian.Uint16(own[at:])
			binary.BigEndian.PutUint16(own[at:], flags&^instructed)
			binary.BigEndian.PutUint16(own[at+2:], renumber(binary.BigEndian.Uint16(own[at+2:])))
		})
	default:
		contours := int(binary.BigEndian.Uint16(outline))
		at := 10 + 2*contours
		if at+2 > len(outline) {
			return to
		}
		code := int(binary.BigEndian.Uint16(outline[at:]))
		if at+2+code > len(outline) {
			return to
		}
		to = append(to, outline[:at]...)
		to = append(to, 0, 0)
		to = append(to, outline[at+2+code:]...)
	}
	for len(to)%4 != 0 {
		to = append(to, 0)
	}
	return to
}

type table struct {
	tag  string
	data []byte
}

// fontFile joins tables, which come in the order of their tags.
func fontFile(tables []table) []byte {
	size := 12 + 16*len(tables)
	for _, t := range tables {
		size += (len(t.data) + 3) &^ 3
	}
	out := make([]byte, 0, size)
	out = binary.BigEndian.AppendUint32(out, 0x00010000)
	out = binary.BigEndian.AppendUint16(out, uint16(len(tables))) //nolint:gosec // six
	out = append(out, 0, 64, 0, 2, 0, 32)                         // for a binary search over six
	at := 12 + 16*len(tables)
	for _, t := range tables {
		out = append(out, t.tag...)
		out = binary.BigEndian.AppendUint32(out, checksum(t.data))
		out = binary.BigEndian.AppendUint32(out, uint32(at))          //nolint:gosec // smaller than the font
		out = binary.BigEndian.AppendUint32(out, uint32(len(t.data))) //nolint:gosec // smaller than the font
		at += (len(t.data) + 3) &^ 3
	}
	for _, t := range tables {
		out = append(out, t.data...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	return out
}

func checksum(data []byte) (sum uint32) {
	for len(data) >= 4 {
		sum += binary.BigEndian.Uint32(data)
		data = data[4:]
	}
	var rest [4]byte
	copy(rest[:], data)
	return sum + binary.BigEndian.Uint32(rest[:])
}
