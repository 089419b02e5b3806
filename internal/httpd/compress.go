package httpd

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/gin-gonic/gin"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// minCompressed is the size in bytes below which an answer is sent as it is: it would fit
// into one packet either way.
const minCompressed = 1 << 10

// The levels are those at which a page of search results takes well under a millisecond.
const (
	gzipLevel   = 5
	brotliLevel = 4
	zstdWindow  = 128 << 10 // bytes; what a reader has to keep too
)

// encoder compresses what it is written.
type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(to io.Writer)
}

// codings are the content codings that answers are sent in, the best first: of two that a
// client likes equally the first is taken.
var codings = []struct {
	name string
	pool *sync.Pool
}{
	{"zstd", &sync.Pool{New: func() any {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			panic(err) // our own settings
		}
		return e
	}}},
	{"br", &sync.Pool{New: func() any { return brotli.NewWriterLevel(nil, brotliLevel) }}},
	{"gzip", &sync.Pool{New: func() any {
		e, err := gzip.NewWriterLevel(nil, gzipLevel)
		if err != nil {
			panic(err) // our own settings
		}
		return e
	}}},
}

// Compressed runs answer with its body compressed in a coding that the client takes, when
// it is a text of a KiB or more. What is written piece by piece leaves piece by piece. It
// is for answers that hold no secret: in one that holds both a secret and what a stranger
// chose, the size tells of the secret (BREACH).
func Compressed(c *gin.Context, answer func()) {
	c.Writer.Header().Add("Vary", "Accept-Encoding")
	at := coding(strings.Join(c.Request.Header.Values("Accept-Encoding"), ","))
	if at < 0 {
		answer()
		return
	}
	inner := c.Writer
	w := &compressor{ResponseWriter: inner, coding: at}
	c.Writer = w
	defer func() { c.Writer = inner }() // of an answer that was broken off, nothing more is sent
	answer()
	if err := w.finish(); err != nil {
		_ = c.Error(err)
	}
}

// coding chooses by an Accept-Encoding (RFC 9110, 12.5.3): the place in codings, -1 for none.
func coding(accept string) int {
	best, bestQ := -1, 0.0
	for i := range codings {
		if q := weight(accept, codings[i].name); q > bestQ {
			best, bestQ = i, q
		}
	}
	return best
}

// weight is how much a client likes a coding, 0 for not at all.
func weight(accept, name string) float64 {
	q := 0.0
	for item := range strings.SplitSeq(accept, ",") {
		said, params, _ := strings.Cut(item, ";")
		said = strings.ToLower(strings.TrimSpace(said))
		if said != name && said != "*" {
			continue
		}
		v := 1.0
		if text, ok := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(params, " ", "")), "q="); ok {
			var err error
			if v, err = strconv.ParseFloat(text, 64); err != nil || !(v >= 0 && v <= 1) {
				v = 0
			}
		}
		if said == name {
			return v
		}
		q = v
	}
	return q
}

// compressor holds an answer back until it is known to be worth compressing.
type compressor struct {
	gin.ResponseWriter
	coding int
	held   bytes.Buffer
	plain  bool    // decided: as it is
	enc    encoder // decided: compressed
}

// Unwrap is for http.ResponseController, which sets deadlines.
func (w *compressor) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Written says whether an answer has begun.
func (w *compressor) Written() bool { return w.held.Len() > 0 || w.ResponseWriter.Written() }

// WriteHeaderNow sends a header without a body.
func (w *compressor) WriteHeaderNow() {
	if w.held.Len() == 0 && w.enc == nil {
		w.plain = true
		w.ResponseWriter.WriteHeaderNow()
	}
}

// WriteString is Write.
func (w *compressor) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

func (w *compressor) Write(p []byte) (int, error) {
	switch {
	case w.enc != nil:
		return w.enc.Write(p)
	case w.plain:
		return w.ResponseWriter.Write(p)
	}
	w.held.Write(p)
	if w.held.Len() < minCompressed {
		return len(p), nil
	}
	return len(p), w.decide()
}

// Flush sends what is there, for whoever waits for it.
func (w *compressor) Flush() {
	if w.enc == nil && !w.plain && w.held.Len() > 0 {
		_ = w.decide() // the next write says it again
	}
	if w.enc != nil {
		_ = w.enc.Flush()
	}
	w.ResponseWriter.Flush()
}

// decide begins the answer, compressed if it is of a kind that gains by it.
func (w *compressor) decide() error {
	h := w.Header()
	if w.Status() != http.StatusOK || h.Get("Content-Encoding") != "" || !compressible(h.Get("Content-Type")) {
		return w.release()
	}
	h.Del("Content-Length")
	h.Set("Content-Encoding", codings[w.coding].name)
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) { // a strong one names these very bytes
		h.Set("ETag", strings.TrimSuffix(tag, `"`)+codingMark+codings[w.coding].name+`"`)
	}
	enc, _ := codings[w.coding].pool.Get().(encoder)
	enc.Reset(w.ResponseWriter)
	w.enc = enc
	_, err := w.enc.Write(w.held.Bytes())
	return err
}

// release sends what was held back as it is.
func (w *compressor) release() error {
	w.plain = true
	_, err := w.ResponseWriter.Write(w.held.Bytes())
	return err
}

func (w *compressor) finish() error {
	switch {
	case w.enc != nil:
		err := w.enc.Close()
		w.enc.Reset(nil)
		codings[w.coding].pool.Put(w.enc)
		return err
	case !w.plain && w.held.Len() > 0:
		return w.release()
	}
	return nil
}

// compressible says whether a media type is text. Problem documents are short, and one
// may name a stranger's input.
func compressible(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch media {
	case "application/json", "application/x-ndjson", "application/jsonl", "image/svg+xml", "text/javascript":
		return true
	}
	return strings.HasPrefix(media, "text/")
}
