package catalog

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
)

var bom = []byte("\xef\xbb\xbf")

// open opens a file and unpacks it if it starts like gzip, whatever it is called.
func open(f File) (io.ReadCloser, *bufio.Reader, error) {
	rc, err := f.Open()
	if err != nil {
		return nil, nil, ErrFile.With("%s: %v", f.Name, err)
	}
	r := bufio.NewReader(rc)
	if head, _ := r.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(r)
		if err != nil {
			_ = rc.Close() // the error that matters is gzip's
			return nil, nil, ErrFile.With("%s: %v", f.Name, err)
		}
		r = bufio.NewReader(&capped{r: z, left: MaxFile})
	} else {
		r = bufio.NewReader(&capped{r: r, left: MaxFile})
	}
	if head, _ := r.Peek(len(bom)); bytes.Equal(head, bom) {
		_, _ = r.Discard(len(bom)) // it was just peeked
	}
	return rc, r, nil
}

// capped refuses to read on beyond a size, so that a zip bomb ends as an error.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, ErrFile.With("larger than %d bytes", int64(MaxFile))
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.r.Read(p)
	c.left -= int64(n)
	return n, err
}

// tape counts lines for a decoder that tells byte offsets, and stops one that
// reads far ahead without finishing an element.
type tape struct {
	r        io.Reader
	read     int64   // bytes handed out
	mark     int64   // end of the last element
	newlines []int64 // offsets of line ends not yet passed; as many as the decoder is ahead
	line     int
}

func newTape(r io.Reader) *tape { return &tape{r: r, line: 1} }

func (t *tape) Read(p []byte) (int, error) {
	if t.read-t.mark > 2*MaxElement {
		return 0, fmt.Errorf("an element is larger than %d bytes", MaxElement)
	}
	n, err := t.r.Read(p)
	for i, b := range p[:n] {
		if b == '\n' {
			t.newlines = append(t.newlines, t.read+int64(i))
		}
	}
	t.read += int64(n)
	return n, err
}

// at moves on to an offset and gives its line. Offsets must not fall.
func (t *tape) at(offset int64) int {
	n := 0
	for n < len(t.newlines) && t.newlines[n] < offset {
		n++
	}
	t.newlines = t.newlines[n:]
	t.line += n
	t.mark = offset
	return t.line
}
