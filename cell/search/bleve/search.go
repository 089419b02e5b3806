package bleve

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/blevesearch/bleve/v2"
	blevesearch "github.com/blevesearch/bleve/v2/search"

	"guichet/cell/client"
	"guichet/cell/search"
	"guichet/geo"
	"guichet/internal/kind"
)

// Errors of a search.
var (
	ErrTooSlow = kind.Unavailable.New("search_timeout")
	errBroken  = errors.New("the index could not be read")
)

const (
	// enough hits make the search by relevance do without typing errors; the
	// other orders show no guesses as soon as there is one true hit.
	enoughByRelevance = search.DefaultLimit
	enoughOtherwise   = 1
	// Distinct values that a facet may have in the index, and that are shown.
	facetValues = 10000
	facetShown  = 50
)

var facetFields = map[string]string{"category": facetCategory, "city": facetCity, "country": facetCountry}

// Search implements search.Index.
func (x *Index) Search(ctx context.Context, q search.Query) (search.Result, error) {
	words := search.Words(q.Text)
	if len(words) > search.MaxWords {
		words = words[:search.MaxWords]
	}
	order, may := orderOf(q), guesses{}
	if q.After != nil {
		if err := checkPosition(order, q.After); err != nil {
			return search.Result{}, err
		}
		return x.page(ctx, q, words, order, q.After.Stage, may)
	}
	if q.Text == "" {
		return x.page(ctx, q, words, order, stageExact, may)
	}
	enough := enoughOtherwise
	if q.Sort == search.ByRelevance {
		enough = enoughByRelevance
	}
	res, err := x.page(ctx, q, words, order, stageExact, may)
	if err == nil && res.Total < enough && len(words) > 0 {
		res, err = x.page(ctx, q, words, order, stageFuzzy, may)
	}
	if err == nil && res.Total == 0 && len(words) > 0 {
		res, err = x.page(ctx, q, words, order, stageSome, may)
	}
	return res, err
}

// page is the query at one stage.
func (x *Index) page(ctx context.Context, q search.Query, words []search.Word, order blevesearch.SortOrder, stage int, may guesses) (search.Result, error) {
	limit := q.Limit
	if limit <= 0 || limit > search.MaxLimit {
		limit = search.DefaultLimit
	}
	req := bleve.NewSearchRequestOptions(planSearch(q, words, stage, may), limit+1, 0, false)
	req.Sort = order.Copy()
	req.Fields = []string{fieldBody}
	if q.After != nil {
		req.SearchAfter = q.After.Keys
	}
	for _, name := range q.Facets {
		req.AddFacet(name, bleve.NewFacetRequest(facetFields[name], facetValues))
	}
	found, err := x.run(ctx, req)
	if err != nil {
		return search.Result{}, err
	}
	res := search.Result{Total: int(found.Total)} //nolint:gosec // a count of documents
	hits := found.Hits
	if len(hits) > limit {
		hits = hits[:limit]
		res.Next = &search.Position{Stage: stage, Keys: keysOf(order, hits[limit-1])}
	}
	for _, h := range hits {
		hit, err := read(h, q.Near)
		if err != nil {
			return search.Result{}, err
		}
		res.Hits = append(res.Hits, hit)
	}
	if len(q.Facets) > 0 {
		res.Facets = make(map[string][]client.Facet, len(q.Facets))
		for _, name := range q.Facets {
			res.Facets[name] = facetOf(found.Facets[name], facetShown)
		}
	}
	return res, nil
}

// run searches the generation in use. A damaged file may show as a panic or as a
// fault in mapped memory: that is an error here, not the end of the process.
func (x *Index) run(ctx context.Context, req *bleve.SearchRequest) (found *bleve.SearchResult, err error) {
	select {
	case x.searching <- struct{}{}:
	case <-ctx.Done():
		return nil, ErrTooSlow.With("no search could start in time").After(retryAfter)
	}
	defer func() { <-x.searching }()
	g, release, err := x.hold()
	if err != nil {
		return nil, err
	}
	defer release()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			found, err = nil, fmt.Errorf("%w: %v\n%s", errBroken, p, debug.Stack())
		}
	}()
	found, err = g.SearchInContext(ctx, req)
	switch {
	case err == nil:
		return found, nil
	case ctx.Err() != nil:
		return nil, ErrTooSlow.With("the search took too long").After(retryAfter)
	default:
		return nil, fmt.Errorf("%w: %w", errBroken, err)
	}
}

func read(h *blevesearch.DocumentMatch, near *geo.Point) (search.Hit, error) {
	var hit search.Hit
	body, _ := h.Fields[fieldBody].(string)
	if err := json.Unmarshal([]byte(body), &hit.Doc); err != nil {
		return hit, fmt.Errorf("%w: document %s: %w", errBroken, h.ID, err)
	}
	if at, ok := hit.Doc.Point(); ok && near != nil {
		km := geo.DistanceKM(*near, at)
		hit.DistanceKM = &km
	}
	return hit, nil
}

// facetOf joins the spellings of a value under the most frequent one, most
// frequent values first.
func facetOf(f *blevesearch.FacetResult, limit int) []client.Facet {
	out := []client.Facet{}
	if f == nil || f.Terms == nil {
		return out
	}
	type value struct {
		spelling  string
		most, sum int
	}
	byKey := map[string]*value{}
	for _, t := range f.Terms.Terms() {
		key, spelling, _ := strings.Cut(t.Term, facetSeparator)
		v := byKey[key]
		if v == nil {
			v = &value{}
			byKey[key] = v
		}
		v.sum += t.Count
		if t.Count > v.most || t.Count == v.most && spelling < v.spelling {
			v.most, v.spelling = t.Count, spelling
		}
	}
	for _, v := range byKey {
		out = append(out, client.Facet{Value: v.spelling, Count: v.sum})
	}
	slices.SortFunc(out, func(a, b client.Facet) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	return out[:min(limit, len(out))]
}
