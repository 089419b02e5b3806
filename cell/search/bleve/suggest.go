package bleve

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2"
	blevesearch "github.com/blevesearch/bleve/v2/search"

	"guichet/cell/client"
	"guichet/cell/search"
)

const retryAfter = time.Second

// Completions of places and categories; events fill the rest.
var suggestKinds = []struct {
	kind, prefix, field, facet string
	most                       int
}{
	{"city", fieldCityPrefix, fieldCity, facetCity, 2},
	{"category", fieldCategoryPrefix, fieldCategory, facetCategory, 1},
	{"venue", fieldVenuePrefix, fieldVenue, facetVenue, 2},
}

// Suggest implements search.Index: cities, categories and venues with the most
// events first, then the soonest events; every word typed is the beginning of a
// word there. When nothing begins so, events are found with typing errors.
func (x *Index) Suggest(ctx context.Context, text string, now time.Time) ([]client.Suggestion, error) {
	words := search.Words(text)
	if len(words) == 0 {
		return nil, nil
	}
	words = words[:min(len(words), search.MaxWords)]
	q := search.Query{Text: text, NotEndedAt: now, Sort: search.ByRelevance, Limit: search.MaxSuggest}
	var out []client.Suggestion
	for _, k := range suggestKinds {
		values, err := x.complete(ctx, q, words, k.prefix, k.field, k.facet, k.most)
		if err != nil {
			return nil, err
		}
		for _, v := range values {
			out = append(out, client.Suggestion{Text: v.Value, Kind: k.kind})
		}
	}
	events, err := x.events(ctx, planCompletion(q, words, fieldNamePrefix, fieldName), search.MaxSuggest-len(out))
	if err == nil && len(events) == 0 && len(out) == 0 {
		events, err = x.events(ctx, planSearch(q, words, stageFuzzy, guesses{}), search.MaxSuggest)
	}
	return append(out, events...), err
}

// planCompletion matches documents of which all words begin words of one field.
func planCompletion(q search.Query, words []search.Word, prefix, whole string) planned {
	return newPlanned(nil, func(p *plan) blevesearch.Searcher {
		return p.folded(false, func(more ...blevesearch.Searcher) blevesearch.Searcher {
			return p.completion(q, words, prefix, whole, more)
		})
	})
}

func (p *plan) completion(q search.Query, words []search.Word, prefix, whole string, more []blevesearch.Searcher) blevesearch.Searcher {
	parts := append(more, p.filter(search.Query{NotEndedAt: q.NotEndedAt}))
	for _, w := range words {
		switch {
		case w.Dense:
			parts = append(parts, p.dense(prefix, w, 1))
		case utf8.RuneCountInString(w.Text) > maxPrefixRunes: // beginnings end there
			parts = append(parts, p.term(whole, w.Text))
		default:
			parts = append(parts, p.term(prefix, w.Text))
		}
	}
	return scoreless(p.allBare(parts)) // the soonest first
}

func (x *Index) complete(ctx context.Context, q search.Query, words []search.Word, prefix, whole, facet string, most int) ([]client.Facet, error) {
	req := bleve.NewSearchRequestOptions(planCompletion(q, words, prefix, whole), 0, 0, false)
	req.AddFacet(facet, bleve.NewFacetRequest(facet, facetValues))
	found, err := x.run(ctx, req)
	if err != nil {
		return nil, err
	}
	return facetOf(found.Facets[facet], most), nil
}

// events are the first events, those of one name once.
func (x *Index) events(ctx context.Context, plan planned, most int) ([]client.Suggestion, error) {
	const repeats = 4 // of a name that runs for many nights
	req := bleve.NewSearchRequestOptions(plan, most*repeats, 0, false)
	req.Sort = orderOf(search.Query{Text: "x", Sort: search.ByRelevance})
	req.Fields = []string{fieldBody}
	found, err := x.run(ctx, req)
	if err != nil {
		return nil, err
	}
	var out []client.Suggestion
	seen := map[string]bool{}
	for _, h := range found.Hits {
		hit, err := read(h, nil)
		if err != nil {
			return nil, err
		}
		name := hit.Doc.Event.Name
		if key := keyOf(name); !seen[key] && len(out) < most {
			seen[key] = true
			out = append(out, client.Suggestion{Text: name, Kind: "event", ID: hit.Doc.ID()})
		}
	}
	return out, nil
}
