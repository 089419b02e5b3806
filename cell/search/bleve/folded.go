package bleve

import (
	"errors"

	blevesearch "github.com/blevesearch/bleve/v2/search"
	bleveindex "github.com/blevesearch/bleve_index_api"
)

// folded is what build finds, with one occurrence standing for each series: the soonest
// that is found. build is called twice, as a searcher can be walked once; more are parts
// without scores that narrow it.
func (p *plan) folded(occurrences bool, build func(more ...blevesearch.Searcher) blevesearch.Searcher) blevesearch.Searcher {
	if occurrences {
		return build()
	}
	some, err := p.any(fieldFolds)
	if err != nil || !some {
		return p.keep(build(), err)
	}
	others, err := p.others(build(p.term(fieldFolds, foldsTerm)))
	if err != nil || len(others) == 0 {
		return p.keep(build(), err)
	}
	return &without{Searcher: build(), others: others}
}

// any says whether a document has a word in a field.
func (p *plan) any(field string) (bool, error) {
	words, err := p.r.FieldDict(field)
	if err != nil {
		return false, err
	}
	word, err := words.Next()
	return word != nil, errors.Join(err, words.Close())
}

// others are the occurrences among the hits that do not stand for their series.
func (p *plan) others(hits blevesearch.Searcher) (map[string]bool, error) {
	if p.err != nil {
		return nil, p.err
	}
	values, err := p.r.DocValueReader([]string{fieldSeries, fieldOrder})
	if err != nil {
		return nil, err
	}
	type first struct{ id, order string }
	soonest, others := map[string]first{}, map[string]bool{}
	ctx := &blevesearch.SearchContext{DocumentMatchPool: blevesearch.NewDocumentMatchPool(hits.DocumentMatchPoolSize()+1, 0), IndexReader: p.r}
	for {
		hit, err := hits.Next(ctx)
		if err != nil || hit == nil {
			return others, err
		}
		if err := p.ctx.Err(); err != nil {
			return nil, err
		}
		var series, order string
		err = values.VisitDocValues(hit.IndexInternalID, func(field string, term []byte) {
			if field == fieldSeries {
				series = string(term)
			} else {
				order = string(term)
			}
		})
		if err != nil {
			return nil, err
		}
		now, id := first{string(hit.IndexInternalID), order}, string(hit.IndexInternalID)
		switch best, there := soonest[series]; {
		case !there:
			soonest[series] = now
		case order < best.order:
			soonest[series], others[best.id] = now, true
		default:
			others[id] = true
		}
		ctx.DocumentMatchPool.Put(hit)
	}
}

// without leaves some hits out.
type without struct {
	blevesearch.Searcher
	others map[string]bool
}

// Next implements search.Searcher.
func (w *without) Next(ctx *blevesearch.SearchContext) (*blevesearch.DocumentMatch, error) {
	hit, err := w.Searcher.Next(ctx)
	return w.from(ctx, hit, err)
}

// Advance implements search.Searcher.
func (w *without) Advance(ctx *blevesearch.SearchContext, to bleveindex.IndexInternalID) (*blevesearch.DocumentMatch, error) {
	hit, err := w.Searcher.Advance(ctx, to)
	return w.from(ctx, hit, err)
}

func (w *without) from(ctx *blevesearch.SearchContext, hit *blevesearch.DocumentMatch, err error) (*blevesearch.DocumentMatch, error) {
	for err == nil && hit != nil && w.others[string(hit.IndexInternalID)] {
		ctx.DocumentMatchPool.Put(hit)
		hit, err = w.Searcher.Next(ctx)
	}
	return hit, err
}
