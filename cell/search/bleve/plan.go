package bleve

import (
	"context"
	"math"
	"time"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2/mapping"
	blevesearch "github.com/blevesearch/bleve/v2/search"
	"github.com/blevesearch/bleve/v2/search/searcher"
	bleveindex "github.com/blevesearch/bleve_index_api"

	"guichet/cell/search"
)

// The stages of tolerance. The first page of a search climbs until it finds
// enough; the others stay at its stage.
const (
	stageExact  = iota // every word as typed, the last one as a beginning too
	stageFuzzy         // every word, with typing errors
	stageSome          // at least half of the words, with typing errors
	stageBeyond        // no stage
)

// Points. A word counts where it is worth most; words add up. Only the order of
// sums is of interest, and they stay whole numbers, which floats add exactly.
var fieldPoints = []struct {
	field  string
	prefix string
	points float64
}{
	{fieldName, fieldNamePrefix, 100},
	{fieldVenue, fieldVenuePrefix, 60},
	{fieldCity, fieldCityPrefix, 60},
	{fieldCountry, "", 40},
	{fieldCategory, fieldCategoryPrefix, 40},
	{fieldSummary, "", 16},
}

const (
	asPrefix    = 2 // divides the points of a beginning
	asOneError  = 3
	asTwoErrors = 4
	wholeName   = 200 // on top, when the text is the event's whole name
	wholeCity   = 60  // on top, when it is a longer name of the city in another language
)

// bare is for parts whose score we give ourselves: without frequencies and norms
// bleve answers them with bitmap operations.
var bare = blevesearch.SearcherOptions{Score: "none"}

// Searcher makes planned a bleve query.
func (p planned) Searcher(ctx context.Context, r bleveindex.IndexReader, _ mapping.IndexMapping, _ blevesearch.SearcherOptions) (blevesearch.Searcher, error) {
	return p.build(ctx, r)
}

// plan builds the searchers of one query on one snapshot of the index. It keeps
// the first error. Then what was built is not closed: closing only hands readers
// back to a pool, and some were handed over to another searcher already.
type plan struct {
	ctx context.Context //nolint:containedctx // lives for one call of build
	r   bleveindex.IndexReader
	may guesses
	err error
}

func newPlanned(may guesses, build func(p *plan) blevesearch.Searcher) planned {
	return planned{build: func(ctx context.Context, r bleveindex.IndexReader) (blevesearch.Searcher, error) {
		p := &plan{ctx: ctx, r: r, may: may}
		s := build(p)
		return s, p.err
	}}
}

// planSearch is the query at a stage.
func planSearch(q search.Query, words []search.Word, stage int, may guesses) planned {
	return newPlanned(may, func(p *plan) blevesearch.Searcher {
		return p.folded(q.Occurrences, func(more ...blevesearch.Searcher) blevesearch.Searcher {
			filter := p.allBare(append(more, p.filter(q)))
			if q.Text == "" {
				return filter
			}
			return p.all([]blevesearch.Searcher{p.text(q.Text, words, stage), scoreless(filter)})
		})
	})
}

// keep notes what was built; a nil searcher matches nothing.
func (p *plan) keep(s blevesearch.Searcher, err error) blevesearch.Searcher {
	if err != nil && p.err == nil {
		p.err = err
	}
	if p.err != nil || s == nil {
		s = &merged{atLeast: 1}
	}
	return s
}

func (p *plan) term(field, term string) blevesearch.Searcher {
	return p.keep(searcher.NewTermSearcher(p.ctx, p.r, term, field, 1, bare))
}

func (p *plan) anyTerm(field string, terms []string) blevesearch.Searcher {
	if len(terms) == 1 {
		return p.term(field, terms[0])
	}
	return p.keep(searcher.NewMultiTermSearcher(p.ctx, p.r, terms, field, 1, bare, false))
}

// allBare is the intersection of parts without scores.
func (p *plan) allBare(parts []blevesearch.Searcher) blevesearch.Searcher {
	if len(parts) == 1 {
		return parts[0]
	}
	return p.keep(searcher.NewConjunctionSearcher(p.ctx, p.r, parts, bare))
}

// all is the intersection that adds the parts' scores.
func (p *plan) all(parts []blevesearch.Searcher) blevesearch.Searcher {
	if len(parts) == 1 {
		return parts[0]
	}
	return p.keep(searcher.NewConjunctionSearcher(p.ctx, p.r, parts, blevesearch.SearcherOptions{}))
}

func scoreless(s blevesearch.Searcher) blevesearch.Searcher {
	return &merged{members: []member{{Searcher: s}}, atLeast: 1}
}

func (p *plan) filter(q search.Query) blevesearch.Searcher {
	var parts []blevesearch.Searcher
	for field, value := range map[string]string{fieldCategoryKey: q.Category, fieldCityKey: q.City, fieldCountryKey: q.Country} {
		if value != "" {
			parts = append(parts, p.term(field, keyOf(value)))
		}
	}
	if !q.From.IsZero() {
		lo := float64(q.From.Unix())
		if q.From.Nanosecond() > 0 {
			lo++ // times are whole seconds here
		}
		parts = append(parts, p.between(fieldLast, lo, math.Inf(1)))
	}
	if !q.To.IsZero() {
		parts = append(parts, p.between(fieldStarts, math.Inf(-1), float64(q.To.Unix())))
	}
	if !q.FromDay.IsZero() {
		parts = append(parts, p.between(fieldLastL, float64(q.FromDay.Unix()), math.Inf(1)))
	}
	if !q.ToDay.IsZero() {
		parts = append(parts, p.between(fieldFirstL, math.Inf(-1), float64(q.ToDay.AddDate(0, 0, 1).Unix()-1)))
	}
	if !q.NotEndedAt.IsZero() {
		parts = append(parts, p.between(fieldEnds, float64(q.NotEndedAt.Unix()), math.Inf(1)))
	}
	if q.Currency != "" {
		parts = append(parts, p.term(fieldMoney, q.Currency))
	}
	if q.PriceMax != nil {
		parts = append(parts, p.affordable(float64(*q.PriceMax), q.BuyableAt))
	}
	if q.Near != nil && q.RadiusKM > 0 {
		parts = append(parts, p.anyTerm(fieldGrid, cover(*q.Near, q.RadiusKM)))
	}
	if len(parts) == 0 {
		return p.keep(searcher.NewMatchAllSearcher(p.ctx, p.r, 1, bare))
	}
	s := p.allBare(parts)
	if q.Near != nil && q.RadiusKM > 0 {
		s = p.keep(newWithin(s, p.r, *q.Near, q.RadiusKM))
	}
	return s
}

// affordable is what can be bought at a time for at most so much.
func (p *plan) affordable(most float64, at time.Time) blevesearch.Searcher {
	steps := &merged{atLeast: 1}
	for i := range search.MaxPriceSteps {
		cheap, open := p.between(priceStep(fieldPrice, i), 0, most), p.between(priceStep(fieldUntil, i), float64(at.Unix()+1), math.Inf(1))
		steps.members = append(steps.members, member{Searcher: p.allBare([]blevesearch.Searcher{cheap, open})})
	}
	return steps
}

func (p *plan) between(field string, lo, hi float64) blevesearch.Searcher {
	inclusive := true
	return p.keep(searcher.NewNumericRangeSearcher(p.ctx, p.r, &lo, &hi, &inclusive, &inclusive, field, 1, bare))
}

// text scores the words. Without a word (punctuation only) it matches nothing.
func (p *plan) text(text string, words []search.Word, stage int) blevesearch.Searcher {
	parts := make([]blevesearch.Searcher, 0, len(words))
	for i, w := range words {
		tolerance := stage
		if i >= maxFuzzyWords {
			tolerance = stageExact
		}
		parts = append(parts, p.word(w, i == len(words)-1, tolerance))
	}
	var body blevesearch.Searcher
	key := keyOf(text)
	switch {
	case len(parts) == 0:
		return &merged{atLeast: 1}
	case stage == stageSome:
		m := &merged{sum: true, atLeast: max(1, (len(parts)+1)/2)}
		for _, s := range parts {
			m.members = append(m.members, member{Searcher: s, own: true})
		}
		body = m
	default:
		body = p.all(parts)
	}
	if len(key) >= maxKeyBytes {
		return body
	}
	// Who has the whole name has its words, so this adds points and no hits.
	whole := member{Searcher: p.term(fieldNameKey, key), points: wholeName}
	all := &merged{members: []member{{Searcher: body, own: true}, whole}, sum: true, atLeast: 1}
	if len(parts) > 1 { // a name of the city that is more than one word
		all.members = append(all.members, member{Searcher: p.term(fieldAlias, key), points: wholeCity})
	}
	return all
}

// word matches one word in any field and scores where it is worth most.
func (p *plan) word(w search.Word, last bool, stage int) blevesearch.Searcher {
	best := &merged{atLeast: 1}
	add := func(s blevesearch.Searcher, points float64) {
		best.members = append(best.members, member{Searcher: s, points: max(1, math.Floor(points))})
	}
	letters := utf8.RuneCountInString(w.Text)
	for _, f := range fieldPoints {
		if w.Dense {
			add(p.dense(f.field, w, 1), f.points)
			if stage == stageSome {
				add(p.dense(f.field, w, 0.5), f.points/asTwoErrors)
			}
			continue
		}
		add(p.term(f.field, w.Text), f.points)
		if last && f.prefix != "" && letters >= 2 && letters <= maxPrefixRunes {
			add(p.term(f.prefix, w.Text), f.points/asPrefix)
		}
		if stage == stageExact || letters < fuzzyFrom {
			continue
		}
		may, err := p.may.of(p.r, f.field, w.Text)
		if err != nil && p.err == nil {
			p.err = err
		}
		if len(may.one) > 0 {
			add(p.anyTerm(f.field, may.one), f.points/asOneError)
		}
		if len(may.two) > 0 {
			add(p.anyTerm(f.field, may.two), f.points/asTwoErrors)
		}
	}
	return best
}

// maxPairs bounds the pairs of a dense word that are looked for.
const maxPairs = 16

// dense matches a run without spaces by its pairs of letters in one field, all
// of them or a share.
func (p *plan) dense(field string, w search.Word, share float64) blevesearch.Searcher {
	pairs := w.Pairs()
	if len(pairs) > maxPairs {
		pairs = pairs[:maxPairs]
	}
	parts := make([]blevesearch.Searcher, len(pairs))
	for i, pair := range pairs {
		parts[i] = p.term(field, pair)
	}
	if share == 1 {
		return p.allBare(parts)
	}
	some := &merged{atLeast: max(1, int(math.Ceil(share*float64(len(parts)))))}
	for _, s := range parts {
		some.members = append(some.members, member{Searcher: s})
	}
	return some
}
