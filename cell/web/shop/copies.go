package shop

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/andybalholm/brotli"
	"golang.org/x/sync/singleflight"
)

const (
	maxCopies  = 4096     // pages that are kept
	copyBudget = 64 << 20 // bytes of them, compressed forms included
	// maxKept is how long this process shows a page as it is. It is short: a CDN keeps
	// pages longer, by their s-maxage.
	maxKept = 5 * time.Second
)

// copies are public pages as they were rendered a moment ago. Under a rush each page is
// made once in a while, not once a reader.
type copies struct {
	flight singleflight.Group

	mu    sync.Mutex
	kept  map[string]*pageCopy
	bytes int
}

func newCopies() *copies { return &copies{kept: map[string]*pageCopy{}} }

// get gives the page under a key, made by now at the latest.
func (c *copies) get(ctx context.Context, key string, now time.Time, fill func() (*pageCopy, error)) (*pageCopy, error) {
	c.mu.Lock()
	got := c.kept[key]
	c.mu.Unlock()
	if got != nil && now.Before(got.until) {
		return got, nil
	}
	v, err, shared := c.flight.Do(key, func() (any, error) {
		made, err := fill()
		if err == nil && made.fresh > 0 {
			c.put(key, made)
		}
		return made, err
	})
	if err != nil && shared && ctx.Err() == nil { // whoever made it may have hung up
		v, err = fill()
	}
	if err != nil {
		return nil, err
	}
	made, ok := v.(*pageCopy)
	if !ok {
		return nil, fmt.Errorf("a page's copy is a %T", v)
	}
	return made, nil
}

// put keeps a page; when there is no room it forgets all, which costs one rendering each.
func (c *copies) put(key string, made *pageCopy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.kept[key]; old != nil {
		c.bytes -= old.size()
	}
	if len(c.kept) >= maxCopies || c.bytes+made.size() > copyBudget {
		c.kept, c.bytes = map[string]*pageCopy{}, 0
	}
	c.kept[key] = made
	c.bytes += made.size()
}

// pageCopy is a rendered page in all its encodings.
type pageCopy struct {
	status    int
	media, to string
	name      string
	plain     []byte
	br, gz    []byte
	etag      string
	until     time.Time
	fresh     time.Duration
	frames    []string // origins on whose pages it may be shown
}

func (c *pageCopy) size() int { return len(c.plain) + len(c.br) + len(c.gz) + 512 }

func (c *pageCopy) fill(body []byte) {
	c.plain = body
	c.etag = etagOf(body)
	if len(body) > 1<<10 && !strings.HasPrefix(c.media, "image/") {
		c.br, c.gz = squeeze(body, "br", quick), squeeze(body, "gzip", quick)
	}
}

// serve answers from the copy.
func (c *pageCopy) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	control := "no-store"
	if c.fresh > 0 {
		seconds := strconv.Itoa(int(c.fresh / time.Second))
		control = "public, max-age=0, s-maxage=" + seconds + ", stale-while-revalidate=" + seconds + ", stale-if-error=3600"
	}
	h.Set("Cache-Control", control)
	if c.to != "" {
		h.Set("Location", c.to)
		w.WriteHeader(http.StatusFound)
		return
	}
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Type", c.media)
	if c.name != "" {
		h.Set("Content-Disposition", `inline; filename="`+c.name+`"`)
	}
	body, etag := c.plain, c.etag
	switch enc := encodingOf(r); {
	case enc == "br" && c.br != nil:
		body, etag = c.br, strings.TrimSuffix(etag, `"`)+`-b"`
		h.Set("Content-Encoding", enc)
	case enc != "" && c.gz != nil:
		body, etag = c.gz, strings.TrimSuffix(etag, `"`)+`-g"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", etag)
	if c.status == http.StatusOK && matches(r.Header.Get("If-None-Match"), etag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(c.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the reader may be gone
	}
}

// matches compares weakly (RFC 9110, 13.1.2): a proxy may have weakened the tag.
func matches(header, etag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one == etag || one == "*" {
			return true
		}
	}
	return false
}

// encodingOf is the best encoding that a browser takes: br, gzip or none.
func encodingOf(r *http.Request) string {
	best := ""
	for one := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, rest, _ := strings.Cut(strings.TrimSpace(one), ";")
		if q := strings.ReplaceAll(rest, " ", ""); strings.HasPrefix(q, "q=0") && strings.Trim(q[3:], ".0") == "" {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "br":
			return "br"
		case "gzip":
			best = "gzip"
		}
	}
	return best
}

// effort is how hard a body is compressed.
type effort int

const (
	quick effort = iota // while somebody waits
	best                // once, when the program starts
)

// squeeze compresses a body.
func squeeze(body []byte, encoding string, e effort) []byte {
	var b bytes.Buffer
	if encoding == "br" {
		w := brotli.NewWriterLevel(&b, map[effort]int{quick: 4, best: brotli.BestCompression}[e])
		_, _ = w.Write(body) // a buffer takes all
		_ = w.Close()
		return b.Bytes()
	}
	w, _ := gzip.NewWriterLevel(&b, map[effort]int{quick: 5, best: gzip.BestCompression}[e]) // the levels exist
	_, _ = w.Write(body)
	_ = w.Close()
	return b.Bytes()
}
