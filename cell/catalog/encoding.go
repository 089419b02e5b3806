package catalog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// openText opens a file of text and decodes it: what the person says it is, else
// UTF-16 by its byte order mark or its zero bytes, else UTF-8, and where that is
// impossible Windows-1252 (of which ISO 8859-1 is a part). Bytes are decoded or
// refused, never dropped.
func (in *input) openText(f File) (io.ReadCloser, *bufio.Reader, error) {
	in.guess = nil
	rc, r, err := open(f)
	if err != nil {
		return nil, nil, err
	}
	head, _ := r.Peek(4)
	var decoder transform.Transformer
	switch wide := func(e unicode.Endianness) transform.Transformer {
		return unicode.UTF16(e, unicode.UseBOM).NewDecoder()
	}; {
	case in.opts.Encoding != "":
		said, err := htmlindex.Get(in.opts.Encoding)
		if err != nil {
			_ = rc.Close() // the error that matters is the name's
			return nil, nil, ErrFile.With("%.40q is no encoding that we know", in.opts.Encoding)
		}
		if decoder = said.NewDecoder(); said == unicode.UTF8 {
			decoder = &guess{mode: isUTF8} // the library's own puts U+FFFD for what is wrong
		}
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), len(head) == 4 && head[0] != 0 && head[1] == 0:
		decoder = wide(unicode.LittleEndian)
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}), len(head) == 4 && head[0] == 0 && head[1] != 0:
		decoder = wide(unicode.BigEndian)
	default:
		in.guess = &guess{}
		decoder = in.guess
	}
	return rc, bufio.NewReader(transform.NewReader(r, decoder)), nil
}

// openCalendar opens a calendar, whose lines are decoded one by one unless they are
// UTF-16 or the person says what they are.
func (in *input) openCalendar(f File) (io.ReadCloser, *bufio.Reader, error) {
	rc, r, err := open(f)
	if err != nil {
		return nil, nil, err
	}
	if head, _ := r.Peek(4); in.opts.Encoding == "" && bytes.IndexByte(head, 0) < 0 && !bytes.HasPrefix(head, []byte{0xff, 0xfe}) && !bytes.HasPrefix(head, []byte{0xfe, 0xff}) {
		return rc, r, nil
	}
	_ = rc.Close() // it is opened again
	return in.openText(f)
}

// guessMode is what a text was found to be.
type guessMode int

const (
	isASCII guessMode = iota // so far
	isUTF8
	isWindows1252
)

// guess decides at the first byte that is not ASCII: texts of Windows-1252 are
// hardly ever valid UTF-8 there. What then does not fit is an error.
type guess struct{ mode guessMode }

var (
	errNotUTF8        = errors.New("bytes that are not UTF-8 (--encoding says what they are)")
	errNotWindows1252 = errors.New("bytes that are neither UTF-8 nor Windows-1252 (--encoding says what they are)")
)

// Reset is part of transform.Transformer; what was found stays.
func (g *guess) Reset() {}

// Transform is part of transform.Transformer.
func (g *guess) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		r, size := rune(src[nSrc]), 1
		if r >= utf8.RuneSelf {
			if !atEOF && !utf8.FullRune(src[nSrc:]) {
				return nDst, nSrc, transform.ErrShortSrc
			}
			decoded, n := utf8.DecodeRune(src[nSrc:])
			valid := decoded != utf8.RuneError || n > 1
			if g.mode == isASCII {
				if g.mode = isWindows1252; valid {
					g.mode = isUTF8
				}
			}
			switch {
			case g.mode == isUTF8 && !valid:
				return nDst, nSrc, errNotUTF8
			case g.mode == isUTF8:
				r, size = decoded, n
			case bytes.IndexByte([]byte{0x81, 0x8d, 0x8f, 0x90, 0x9d}, src[nSrc]) >= 0:
				return nDst, nSrc, errNotWindows1252
			default:
				r = charmap.Windows1252.DecodeByte(src[nSrc])
			}
		}
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += size
	}
	return nDst, nSrc, nil
}

// lineEnds makes CR and CR LF into LF.
type lineEnds struct{ transform.NopResetter }

// Transform is part of transform.Transformer.
func (lineEnds) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		if nDst == len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		b, size := src[nSrc], 1
		if b == '\r' {
			if nSrc+1 == len(src) && !atEOF {
				return nDst, nSrc, transform.ErrShortSrc
			}
			b = '\n'
			if nSrc+1 < len(src) && src[nSrc+1] == '\n' {
				size = 2
			}
		}
		dst[nDst] = b
		nDst++
		nSrc += size
	}
	return nDst, nSrc, nil
}

// errRest is in the error of a row that stands for the rest of its file.
var errRest = errors.New("the rest of the file is not read")

func restOf(err error) error { return fmt.Errorf("%w: %w", errRest, err) }
