package bleve

import (
	"fmt"
	"strconv"

	blevesearch "github.com/blevesearch/bleve/v2/search"

	"guichet/cell/search"
	"guichet/geo"
)

// byDistance orders by distance in whole metres, the same on every machine;
// documents without a place come last. It is bleve's SortGeoDistance over our
// own exact place, with keys that can travel in a cursor as they are.
type byDistance struct {
	from  geo.Point
	place []byte
}

const nowhere = "99999999" // beyond any distance on Earth

func (s *byDistance) UpdateVisitor(field string, term []byte) {
	if field == fieldPlace {
		s.place = append(s.place[:0], term...)
	}
}

func (s *byDistance) Value(*blevesearch.DocumentMatch) string {
	p, ok := parsePlace(s.place)
	s.place = s.place[:0]
	if !ok {
		return nowhere
	}
	return fmt.Sprintf("%08d", int64(geo.DistanceKM(s.from, p)*1000+0.5))
}

func (s *byDistance) DecodeValue(v string) string  { return v }
func (s *byDistance) Descending() bool             { return false }
func (s *byDistance) RequiresDocID() bool          { return false }
func (s *byDistance) RequiresScoring() bool        { return false }
func (s *byDistance) RequiresFields() []string     { return []string{fieldPlace} }
func (s *byDistance) Reverse()                     {} // asked for by "search before" only
func (s *byDistance) Copy() blevesearch.SearchSort { return &byDistance{from: s.from} }
func (s *byDistance) MarshalJSON() ([]byte, error) { return strconv.AppendQuote(nil, "distance"), nil }

// orderOf is the query's order; start and id settle what is equal.
func orderOf(q search.Query) blevesearch.SortOrder {
	byStart := &blevesearch.SortField{Field: fieldOrder, Type: blevesearch.SortFieldAsString}
	switch {
	case q.Sort == search.ByDistance && q.Near != nil:
		return blevesearch.SortOrder{&byDistance{from: *q.Near}, byStart}
	case q.Sort == search.ByRelevance && q.Text != "":
		return blevesearch.SortOrder{&blevesearch.SortScore{Desc: true}, byStart}
	}
	return blevesearch.SortOrder{byStart}
}

// keysOf is where the next page goes on.
func keysOf(order blevesearch.SortOrder, hit *blevesearch.DocumentMatch) []string {
	keys := make([]string, len(order))
	for i, o := range order {
		if o.RequiresScoring() {
			keys[i] = strconv.FormatFloat(hit.Score, 'f', -1, 64)
		} else {
			keys[i] = hit.Sort[i]
		}
	}
	return keys
}

// checkPosition refuses keys that this order cannot have made.
func checkPosition(order blevesearch.SortOrder, pos *search.Position) error {
	if pos.Stage < stageExact || pos.Stage >= stageBeyond || len(pos.Keys) != len(order) {
		return search.ErrCursor.With("it is not one of ours")
	}
	for i, o := range order {
		if o.RequiresScoring() {
			if n, err := strconv.ParseUint(pos.Keys[i], 10, 32); err != nil || strconv.FormatUint(n, 10) != pos.Keys[i] {
				return search.ErrCursor.With("it is not one of ours")
			}
		}
	}
	return nil
}
