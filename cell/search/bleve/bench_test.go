package bleve

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"guichet/cell/search"
)

// BenchmarkSearch measures one search at a time, over real rows (2,500) and real
// rows repeated elsewhere and later (100,000). "linear" is the baseline of the
// same run: a loop over prepared documents in memory.
//
//	go test -run '^$' -bench Search -benchtime 200x ./cell/search/bleve
func BenchmarkSearch(b *testing.B) {
	for _, n := range []int{2500, 100000} {
		docs := realCatalogue(b, n)
		x := openTest(b, nil)
		start := time.Now()
		put(b, x, docs, 0)
		rate := float64(n) / time.Since(start).Seconds()
		b.Run(fmt.Sprintf("index/%d/bleve", n), func(b *testing.B) { // measured above, each batch on disk
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(rate, "docs/s")
		})
		scan := newLinear(docs)
		for _, c := range benchCases(docs) {
			b.Run(fmt.Sprintf("%s/%d/bleve", c.name, n), func(b *testing.B) {
				measure(b, func(i int) error { return c.bleve(b, x, i) })
			})
			b.Run(fmt.Sprintf("%s/%d/linear", c.name, n), func(b *testing.B) {
				measure(b, func(i int) error { c.linear(scan, i); return nil })
			})
		}
	}
}

type benchCase struct {
	name    string
	query   func(i int) search.Query
	suggest bool
}

func (c benchCase) bleve(b *testing.B, x *Index, i int) error {
	b.Helper()
	q := c.query(i)
	if c.suggest {
		_, err := x.Suggest(b.Context(), q.Text, q.NotEndedAt)
		return err
	}
	_, err := x.Search(b.Context(), q)
	return err
}

// linear searches, for completions too: the loop knows no cheaper way.
func (c benchCase) linear(scan *linear, i int) {
	q := c.query(i)
	hits, _ := scan.search(q)
	for _, name := range q.Facets {
		linearFacet(hits, name)
	}
}

func benchCases(docs []search.Document) []benchCase {
	r := rand.New(rand.NewPCG(3, 4))
	var words, typos, begun []string
	var places []search.Query
	for len(words) < 200 {
		d := &docs[r.IntN(len(docs))]
		p, placed := d.Point()
		for _, w := range search.Words(d.Event.Name) {
			if rs := []rune(w.Text); !w.Dense && len(rs) >= 6 && placed {
				words = append(words, w.Text)
				typos = append(typos, string(slices.Delete(slices.Clone(rs), 2, 3)))
				begun = append(begun, string(rs[:3]))
				places = append(places, search.Query{Near: &p, RadiusKM: 50})
				break
			}
		}
	}
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	base := func(text string) search.Query {
		return search.Query{Text: text, NotEndedAt: now, Sort: search.ByRelevance, Limit: search.DefaultLimit}
	}
	return []benchCase{
		{name: "exact", query: func(i int) search.Query { return base(words[i%len(words)]) }},
		{name: "fuzzy", query: func(i int) search.Query { return base(typos[i%len(typos)]) }},
		{name: "suggest", suggest: true, query: func(i int) search.Query { return base(begun[i%len(begun)]) }},
		{name: "near50km", query: func(i int) search.Query {
			q := base("")
			q.Near, q.RadiusKM, q.Sort = places[i%len(places)].Near, 50, search.ByDistance
			return q
		}},
		{name: "facets", query: func(int) search.Query {
			q := base("")
			q.Sort, q.Facets = search.ByDate, search.FacetNames
			return q
		}},
		{name: "week", query: func(i int) search.Query {
			q := base("")
			q.From = now.AddDate(0, 0, i%300)
			q.To, q.Sort = q.From.AddDate(0, 0, 7), search.ByDate
			return q
		}},
	}
}

func measure(b *testing.B, do func(i int) error) {
	b.Helper()
	took := make([]time.Duration, 0, b.N)
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		if err := do(i); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	at := func(p float64) float64 {
		return float64(took[int(p*float64(len(took)-1))].Microseconds()) / 1000
	}
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
}
