package converge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"guichet/cell/search"
	"guichet/internal/httpd"
	"guichet/internal/kind"
	"guichet/internal/mtls"
)

// Path is where cells ask cells for their catalogue; every call is a GET below it. The
// contract (openapi.json) does not have it: it is for machines of the town alone.
const Path = "/v1/catalogue/"

const (
	answerLimit  = 10 * time.Second // of one call, waiting included
	maxAnswer    = DocumentsLimit*search.MaxDocumentBytes + 1<<20
	maxRefusal   = 4 << 10
	digestPath   = Path + "digest"
	entriesPath  = Path + "entries"
	documentPath = Path + "documents"
)

var (
	errNoPath   = kind.NotFound.New("no_such_path")
	errNoAnswer = kind.Unavailable.New("no_answer")
)

// wire forms of the answers.
type (
	digestAnswer struct {
		Buckets Digest `json:"buckets"`
	}
	entriesAnswer struct {
		Entries []Entry `json:"entries"`
		Next    string  `json:"next"`
	}
	documentsAnswer struct {
		Documents []search.Document `json:"documents"`
	}
)

// Handler answers other cells. Where the town has certificates nobody else is
// answered, a router neither: what it says is public, and dear to gather.
func (h *Home) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer, known := mtls.PeerOf(r.TLS); r.TLS != nil && (!known || peer.Kind != mtls.Cell) || r.Method != http.MethodGet {
			httpd.Problem(w, r, errNoPath.With("there is nothing at %.100q", r.URL.Path))
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), answerLimit)
		defer cancel()
		answer, err := h.answer(ctx, r.URL.Path, r.URL.Query())
		if err != nil {
			httpd.Problem(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(answer) // whoever asked has gone, or will ask again
	})
}

func (h *Home) answer(ctx context.Context, path string, q url.Values) (any, error) {
	switch path {
	case digestPath:
		d, err := h.Digest(ctx)
		return digestAnswer{d}, err
	case entriesPath:
		entries, next, err := h.Entries(ctx, q.Get("bucket"), q.Get("after"))
		return entriesAnswer{entries, next}, err
	case documentPath:
		docs, err := h.Documents(ctx, q["event"])
		return documentsAnswer{docs}, err
	}
	return nil, errNoPath.With("there is nothing at %.100q", path)
}

// Remote is another cell, asked at its addresses in turn.
type Remote struct {
	URLs []string
	HTTP *http.Client // believes the certificate of that cell alone
}

// Digest implements Peer.
func (r Remote) Digest(ctx context.Context) (Digest, error) {
	var a digestAnswer
	err := r.ask(ctx, digestPath, nil, &a, func() { a = digestAnswer{} })
	return a.Buckets, err
}

// Entries implements Peer.
func (r Remote) Entries(ctx context.Context, bucket, after string) ([]Entry, string, error) {
	var a entriesAnswer
	err := r.ask(ctx, entriesPath, url.Values{"bucket": {bucket}, "after": {after}}, &a, func() { a = entriesAnswer{} })
	return a.Entries, a.Next, err
}

// Documents implements Peer.
func (r Remote) Documents(ctx context.Context, events []string) ([]search.Document, error) {
	var a documentsAnswer
	err := r.ask(ctx, documentPath, url.Values{"event": events}, &a, func() { a = documentsAnswer{} })
	return a.Documents, err
}

// ask gets an answer from the first address that gives one.
func (r Remote) ask(ctx context.Context, path string, q url.Values, into any, anew func()) error {
	err := error(errNoAnswer.With("the map has no address"))
	for _, base := range r.URLs {
		anew()
		if err = r.get(ctx, strings.TrimSuffix(base, "/")+path+"?"+q.Encode(), into); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func (r Remote) get(ctx context.Context, address string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit+time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	resp, err := r.HTTP.Do(req)
	if err != nil {
		return errors.Join(errNoAnswer, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		return errNoAnswer.With("status %d: %.200q", resp.StatusCode, said)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(into); err != nil {
		return errNoAnswer.With("an answer that is not understood: %v", err)
	}
	return nil
}
