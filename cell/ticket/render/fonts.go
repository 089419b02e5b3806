package render

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io"
	"sync"

	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/language"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"

	"guichet/cell/ticket/render/pdf"
)

// The fonts are subsets without hints for screens, made as docs/mail-and-papers.md
// says; their licences are in THIRD_PARTY.md.
//
//go:embed fonts/*.ttf.gz
var files embed.FS

// typeface is a font, parsed for shaping and for being embedded. Both are read only.
type typeface struct {
	shapes *font.Font
	ink    *pdf.Font
}

func (f *typeface) has(r rune) bool {
	_, ok := f.shapes.NominalGlyph(r)
	return ok
}

func parse(name string, ttf []byte) *typeface {
	face, err := font.ParseTTF(bytes.NewReader(ttf))
	if err != nil {
		panic("render: " + name + " does not parse: " + err.Error()) // it is compiled in
	}
	ink, err := pdf.ParseFont(name, ttf)
	if err != nil {
		panic("render: " + err.Error()) // it is compiled in
	}
	return &typeface{shapes: face.Font, ink: ink}
}

// packed is a font that is unpacked when it is needed first.
func packed(name string) func() *typeface {
	return sync.OnceValue(func() *typeface {
		file, err := files.Open("fonts/" + name + ".ttf.gz")
		if err != nil {
			panic("render: " + err.Error()) // it is compiled in
		}
		unzip, err := gzip.NewReader(file)
		if err != nil {
			panic("render: " + name + ": " + err.Error())
		}
		ttf, err := io.ReadAll(unzip)
		if err != nil {
			panic("render: " + name + ": " + err.Error())
		}
		return parse(name, ttf)
	})
}

// The Go fonts are what a page is set in. Letters of their scripts that they lack,
// such as those of Vietnamese, are in wide.
var (
	goRegular = sync.OnceValue(func() *typeface { return parse("GoRegular", goregular.TTF) })
	goBold    = sync.OnceValue(func() *typeface { return parse("GoBold", gobold.TTF) })
	wide      = packed("latin")
)

// byScript are the fonts of the other scripts. Chinese characters that the bitmap
// font lacks, those of people's names above all, are in han.
var byScript = map[language.Script]func() *typeface{
	language.Arabic: packed("arabic"), language.Armenian: packed("armenian"), language.Bengali: packed("bengali"), language.Cherokee: packed("cherokee"),
	language.Devanagari: packed("devanagari"), language.Ethiopic: packed("ethiopic"), language.Georgian: packed("georgian"), language.Gujarati: packed("gujarati"),
	language.Gurmukhi: packed("gurmukhi"), language.Han: packed("han"), language.Hebrew: packed("hebrew"), language.Kannada: packed("kannada"),
	language.Khmer: packed("khmer"), language.Lao: packed("lao"), language.Malayalam: packed("malayalam"), language.Myanmar: packed("myanmar"),
	language.Oriya: packed("oriya"), language.Sinhala: packed("sinhala"), language.Tamil: packed("tamil"), language.Telugu: packed("telugu"),
	language.Thaana: packed("thaana"), language.Thai: packed("thai"),
}
