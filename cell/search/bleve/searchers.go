package bleve

import (
	"context"

	blevesearch "github.com/blevesearch/bleve/v2/search"
	bleveindex "github.com/blevesearch/bleve_index_api"

	"guichet/geo"
)

// merged is a union of searchers with scores of our own making: points for each
// member that matches, the highest or the sum of them. Bleve's own scores depend
// on how often a term occurs in the whole index, so a hit's place would move
// while the index grows and a page could skip or repeat it.
type merged struct {
	members []member
	sum     bool // add the members' points instead of taking the highest
	atLeast int  // members that must match
	started bool
}

// member is a searcher with its points, or with its own score.
type member struct {
	blevesearch.Searcher
	points float64
	own    bool
	at     *blevesearch.DocumentMatch
}

func (m *member) next(ctx *blevesearch.SearchContext) (err error) {
	m.at, err = m.Next(ctx)
	return err
}

func (s *merged) Next(ctx *blevesearch.SearchContext) (*blevesearch.DocumentMatch, error) {
	if !s.started {
		s.started = true
		for i := range s.members {
			if err := s.members[i].next(ctx); err != nil {
				return nil, err
			}
		}
	}
	for {
		hit, matched, err := s.lowest(ctx)
		if err != nil || hit == nil || matched >= s.atLeast {
			return hit, err
		}
		ctx.DocumentMatchPool.Put(hit)
	}
}

// lowest takes the lowest current document off all members that are at it.
func (s *merged) lowest(ctx *blevesearch.SearchContext) (*blevesearch.DocumentMatch, int, error) {
	var low *blevesearch.DocumentMatch
	for i := range s.members {
		if at := s.members[i].at; at != nil && (low == nil || at.IndexInternalID.Compare(low.IndexInternalID) < 0) {
			low = at
		}
	}
	if low == nil {
		return nil, 0, nil
	}
	matched, score := 0, 0.0
	for i := range s.members {
		m := &s.members[i]
		if m.at == nil || m.at != low && !m.at.IndexInternalID.Equals(low.IndexInternalID) {
			continue
		}
		points := m.points
		if m.own {
			points = m.at.Score
		}
		if s.sum {
			score += points
		} else {
			score = max(score, points)
		}
		matched++
		if m.at != low {
			ctx.DocumentMatchPool.Put(m.at)
		}
		if err := m.next(ctx); err != nil {
			return nil, 0, err
		}
	}
	low.Score = score
	return low, matched, nil
}

func (s *merged) Advance(ctx *blevesearch.SearchContext, to bleveindex.IndexInternalID) (*blevesearch.DocumentMatch, error) {
	for i := range s.members {
		m := &s.members[i]
		if s.started && (m.at == nil || m.at.IndexInternalID.Compare(to) >= 0) {
			continue
		}
		if m.at != nil {
			ctx.DocumentMatchPool.Put(m.at)
		}
		var err error
		if m.at, err = m.Searcher.Advance(ctx, to); err != nil {
			return nil, err
		}
	}
	s.started = true
	return s.Next(ctx)
}

func (s *merged) Close() error {
	var first error
	for i := range s.members {
		if err := s.members[i].Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (s *merged) Weight() float64      { return 0 }
func (s *merged) SetQueryNorm(float64) {}
func (s *merged) Min() int             { return s.atLeast }
func (s *merged) Size() int            { return 64 * len(s.members) }

func (s *merged) Count() uint64 {
	var n uint64
	for i := range s.members {
		n += s.members[i].Count()
	}
	return n
}

func (s *merged) DocumentMatchPoolSize() int {
	n := len(s.members)
	for i := range s.members {
		n += s.members[i].Searcher.DocumentMatchPoolSize()
	}
	return n
}

// within keeps the hits whose place is at most radiusKM from center.
type within struct {
	blevesearch.Searcher
	center   geo.Point
	radiusKM float64
	places   bleveindex.DocValueReader
}

func newWithin(of blevesearch.Searcher, r bleveindex.IndexReader, center geo.Point, radiusKM float64) (*within, error) {
	places, err := r.DocValueReader([]string{fieldPlace})
	if err != nil {
		return nil, err
	}
	return &within{Searcher: of, center: center, radiusKM: radiusKM, places: places}, nil
}

func (w *within) Next(ctx *blevesearch.SearchContext) (*blevesearch.DocumentMatch, error) {
	hit, err := w.Searcher.Next(ctx)
	return w.nearFrom(ctx, hit, err)
}

func (w *within) Advance(ctx *blevesearch.SearchContext, to bleveindex.IndexInternalID) (*blevesearch.DocumentMatch, error) {
	hit, err := w.Searcher.Advance(ctx, to)
	return w.nearFrom(ctx, hit, err)
}

func (w *within) nearFrom(ctx *blevesearch.SearchContext, hit *blevesearch.DocumentMatch, err error) (*blevesearch.DocumentMatch, error) {
	for err == nil && hit != nil {
		near := false
		err = w.places.VisitDocValues(hit.IndexInternalID, func(_ string, term []byte) {
			if p, ok := parsePlace(term); ok {
				near = geo.DistanceKM(w.center, p) <= w.radiusKM
			}
		})
		if err == nil && near {
			return hit, nil
		}
		ctx.DocumentMatchPool.Put(hit)
		if err == nil {
			hit, err = w.Searcher.Next(ctx)
		}
	}
	return nil, err
}

// planned is a bleve query whose searcher we build ourselves.
type planned struct {
	build func(ctx context.Context, r bleveindex.IndexReader) (blevesearch.Searcher, error)
}
