package pdf

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

func goFont(t testing.TB) *Font {
	t.Helper()
	f, err := ParseFont("GoRegular", goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// glyphs are those of a text, letter by letter.
func glyphs(t testing.TB, text string) []Glyph {
	t.Helper()
	parsed, err := sfnt.Parse(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	var out []Glyph
	var buffer sfnt.Buffer
	for i, r := range text {
		g, err := parsed.GlyphIndex(&buffer, r)
		if err != nil || g == 0 {
			t.Fatalf("no glyph for %q: %v", r, err)
		}
		out = append(out, Glyph{ID: uint16(g), X: float64(10 * i), Text: []rune{r}})
	}
	return out
}

// Among the letters are Ä and é, which are made of others.
func TestSubset_hasTheSameOutlinesAsItsFont(t *testing.T) {
	t.Parallel()
	whole, err := sfnt.Parse(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	ids := []uint16{0}
	for _, g := range glyphs(t, "Guichet ÄéßЖλ") {
		ids = append(ids, g.ID)
	}
	file := goFont(t).subset(ids)
	if len(file) > len(goregular.TTF)/10 {
		t.Errorf("%d bytes for %d glyphs", len(file), len(ids))
	}
	again, err := ParseFont("again", file)
	if err != nil {
		t.Fatal(err)
	}
	// A reader of fonts wants tables that documents leave out.
	file = fontFile([]table{
		{"OS/2", tableOf(t, "OS/2")},
		{"cmap", tableOf(t, "cmap")},
		{"glyf", again.glyf},
		{"head", again.head},
		{"hhea", again.hhea},
		{"hmtx", again.hmtx},
		{"loca", tableIn(t, file, "loca")},
		{"maxp", again.maxp},
		{"name", tableOf(t, "name")},
		{"post", tableOf(t, "post")},
	})
	part, err := sfnt.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	var a, b sfnt.Buffer
	for n, g := range ids {
		want, err := whole.LoadGlyph(&a, sfnt.GlyphIndex(g), fixed.I(1000), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := part.LoadGlyph(&b, sfnt.GlyphIndex(n), fixed.I(1000), nil)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("glyph %d looks different: %v", g, err)
		}
		if got, want := again.units(uint16(n)), goFont(t).units(g); got != want {
			t.Errorf("glyph %d is %d wide, not %d", g, got, want)
		}
	}
}

func tableOf(t *testing.T, tag string) []byte { t.Helper(); return tableIn(t, goregular.TTF, tag) }

func tableIn(t *testing.T, file []byte, tag string) []byte {
	t.Helper()
	tables, err := directory(file)
	if err != nil || tables[tag] == nil {
		t.Fatalf("%s: %v", tag, err)
	}
	return tables[tag]
}

func TestDocument_tableSaysWhereItsObjectsAre(t *testing.T) {
	t.Parallel()
	d := &Document{Title: "Zoë (1)", At: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)}
	for range 3 {
		p := d.Page()
		p.Begin("Guichet")
		p.Text(goFont(t), 12, 48, 48, true, glyphs(t, "Guichet"))
		p.End()
		p.Rectangle(1, 2, 3, 4)
		p.Fill()
		p.Line(1, 2, 3, 4, 5)
	}
	out, err := d.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := bytes.Cut(out, []byte("xref\n"))
	if !ok {
		t.Fatal("no table")
	}
	entries := regexp.MustCompile(`(\d{10}) 00000 n \n`).FindAllSubmatch(table, -1)
	for i, e := range entries {
		at, _ := strconv.Atoi(string(e[1]))
		if want := fmt.Sprintf("%d 0 obj\n", i+1); !bytes.HasPrefix(out[at:], []byte(want)) {
			t.Errorf("object %d is not at %d", i+1, at)
		}
	}
	if n := bytes.Count(out, []byte(" 0 obj\n")); n != len(entries) {
		t.Errorf("the table has %d of %d objects", len(entries), n)
	}
	if again, err := d.Bytes(); err != nil || !bytes.Equal(out, again) {
		t.Errorf("the same document is another file: %v", err)
	}
	if _, err := (&Document{}).Bytes(); !errors.Is(err, ErrEmpty) {
		t.Errorf("a document without a page: %v", err)
	}
}

func TestText_ofAGlyphThatTheFontLacksIsABox(t *testing.T) {
	t.Parallel()
	d := &Document{Plain: true}
	d.Page().Text(goFont(t), 12, 0, 0, false, []Glyph{{ID: 0xffff}})
	out, err := d.Bytes()
	if err != nil || !bytes.Contains(out, []byte("<0000>] TJ")) {
		t.Errorf("%v", err)
	}
}

func FuzzParseFont_takesDamagedFiles(f *testing.F) {
	f.Add(goregular.TTF[:400])
	f.Fuzz(func(t *testing.T, file []byte) {
		if font, err := ParseFont("x", file); err == nil {
			font.subset([]uint16{0})
		}
	})
}
