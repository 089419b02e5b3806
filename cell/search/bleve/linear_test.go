package bleve

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"guichet/cell/client"
	"guichet/cell/search"
	"guichet/geo"
)

// linear is search.Index's promise written down as a loop over all documents:
// what the tests compare with, order included, and the benchmark's baseline.
type linear struct{ docs []scanned }

type scanned struct {
	doc                     *search.Document
	words                   map[string]map[string]bool // by field
	begin                   map[string][]string
	name, country, category string
	cities                  []string // keys of all names of its city
	order                   string
	ends                    int64
	point                   geo.Point
	placed                  bool
}

func newLinear(docs []search.Document) *linear {
	l := &linear{}
	for i := range docs {
		if docs[i].Published {
			l.docs = append(l.docs, scan(&docs[i]))
		}
	}
	return l
}

func scan(d *search.Document) scanned {
	t := d.Texts()
	s := scanned{
		doc: d, words: map[string]map[string]bool{}, begin: map[string][]string{}, name: keyOf(t.Name), cities: append(cityKeys(t.Cities), keyOf(t.City)),
		country: keyOf(d.Event.Venue.Country), category: keyOf(t.Category), order: orderKey(d.Event.StartsAt, d.ID()), ends: d.EndsAt().Unix(),
	}
	for field, text := range map[string]string{
		fieldName: t.Name, fieldVenue: t.Venue, fieldCity: t.City, fieldCountry: t.Country, fieldCategory: t.Category, fieldSummary: t.Summary,
	} {
		s.words[field] = map[string]bool{}
		for _, term := range search.Terms(text) {
			s.words[field][term] = true
		}
		if field == fieldCity {
			for _, other := range t.Cities {
				for _, term := range search.Terms(other) {
					if len(search.Words(other)) == 1 {
						s.words[field][term] = true
					}
				}
			}
		}
		for _, w := range append(search.Words(text), search.Joined(text)...) {
			if !w.Dense {
				s.begin[field] = append(s.begin[field], w.Text)
			}
		}
	}
	s.point, s.placed = d.Point()
	return s
}

func (s *scanned) passes(q search.Query) bool {
	starts := s.doc.Event.StartsAt
	last := starts
	if e := s.doc.Event.EndsAt; e != nil && e.After(starts) {
		last = e.Add(-time.Second)
	}
	day := func(t time.Time) string { return s.doc.OnTheWall(t).Format(time.DateOnly) }
	cheapest := s.doc.PriceFrom(q.BuyableAt)
	return (q.From.IsZero() || !last.Truncate(time.Second).Before(q.From)) && (q.To.IsZero() || !starts.Truncate(time.Second).After(q.To)) &&
		(q.FromDay.IsZero() || day(last) >= q.FromDay.Format(time.DateOnly)) && (q.ToDay.IsZero() || day(starts) <= q.ToDay.Format(time.DateOnly)) &&
		(q.NotEndedAt.IsZero() || s.ends >= q.NotEndedAt.Unix()) &&
		(q.Category == "" || s.category == keyOf(q.Category)) && (q.City == "" || slices.Contains(s.cities, keyOf(q.City))) &&
		(q.Country == "" || s.country == keyOf(q.Country)) &&
		(q.Currency == "" || s.doc.Currency() == q.Currency) &&
		(q.PriceMax == nil || cheapest != nil && cheapest.Amount <= *q.PriceMax) &&
		(q.RadiusKM == 0 || s.placed && geo.DistanceKM(*q.Near, s.point) <= q.RadiusKM)
}

// score is 0 when the words do not match at the stage.
func (s *scanned) score(q search.Query, words []search.Word, stage int) float64 {
	total, matched := 0.0, 0
	for i, w := range words {
		tolerance := stage
		if i >= maxFuzzyWords {
			tolerance = stageExact
		}
		if best := s.wordScore(w, i == len(words)-1, tolerance); best > 0 {
			matched++
			total += best
		}
	}
	need := len(words)
	if stage == stageSome {
		need = max(1, (need+1)/2)
	}
	if matched < need || matched == 0 {
		total = 0
	}
	if key := keyOf(q.Text); len(words) > 1 && strings.Contains(key, " ") && slices.Contains(s.cities[:len(s.cities)-1], key) {
		total += wholeCity
	}
	if total == 0 {
		return 0
	}
	if s.name == keyOf(q.Text) {
		total += wholeName
	}
	return total
}

func (s *scanned) wordScore(w search.Word, last bool, stage int) float64 {
	best := 0.0
	take := func(points float64) { best = max(best, math.Floor(points)) }
	letters := utf8.RuneCountInString(w.Text)
	for _, f := range fieldPoints {
		terms := s.words[f.field]
		if w.Dense {
			pairs := w.Pairs()
			pairs = pairs[:min(len(pairs), maxPairs)]
			have := 0
			for _, p := range pairs {
				if terms[p] {
					have++
				}
			}
			if have == len(pairs) {
				take(f.points)
			}
			if stage == stageSome && have*2 >= len(pairs) && have > 0 {
				take(f.points / asTwoErrors)
			}
			continue
		}
		if terms[w.Text] {
			take(f.points)
			continue
		}
		if last && f.prefix != "" && letters >= 2 && letters <= maxPrefixRunes &&
			slices.ContainsFunc(s.begin[f.field], func(have string) bool { return strings.HasPrefix(have, w.Text) }) {
			take(f.points / asPrefix)
		}
		if stage == stageExact || letters < fuzzyFrom {
			continue
		}
		for have := range terms {
			if !sameFirst(have, w.Text) {
				continue
			}
			switch n := utf8.RuneCountInString(have); {
			case n < letters-2 || n > letters+2:
			case distance(have, w.Text) <= 1:
				take(f.points / asOneError)
			case letters >= fuzzy2From && distance(have, w.Text) <= 2:
				take(f.points / asTwoErrors)
			}
		}
	}
	return best
}

func sameFirst(a, b string) bool {
	r, _ := utf8.DecodeRuneInString(a)
	q, _ := utf8.DecodeRuneInString(b)
	return r == q
}

// distance is Levenshtein's.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	prev := make([]int, len(y)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range x {
		diagonal := prev[0]
		prev[0] = i + 1
		for j := range y {
			cost := diagonal
			if x[i] != y[j] {
				cost++
			}
			diagonal = prev[j+1]
			prev[j+1] = min(cost, prev[j+1]+1, prev[j]+1)
		}
	}
	return prev[len(y)]
}

type linearHit struct {
	*scanned
	score  float64
	metres int64
}

// search answers all hits in order, and the stage they were found at.
func (l *linear) search(q search.Query) ([]linearHit, int) {
	words := search.Words(q.Text)
	words = words[:min(len(words), search.MaxWords)]
	enough := enoughOtherwise
	if q.Sort == search.ByRelevance {
		enough = enoughByRelevance
	}
	hits := l.stage(q, words, stageExact)
	if q.Text == "" || len(words) == 0 {
		return hits, stageExact
	}
	stage := stageExact
	if len(hits) < enough {
		hits, stage = l.stage(q, words, stageFuzzy), stageFuzzy
	}
	if len(hits) == 0 {
		hits, stage = l.stage(q, words, stageSome), stageSome
	}
	return hits, stage
}

func (l *linear) stage(q search.Query, words []search.Word, stage int) []linearHit {
	var hits []linearHit
	for i := range l.docs {
		h := linearHit{scanned: &l.docs[i], metres: math.MaxInt64}
		if !h.passes(q) {
			continue
		}
		if q.Text != "" {
			if h.score = h.scanned.score(q, words, stage); h.score == 0 {
				continue
			}
		}
		if q.Near != nil && h.placed {
			h.metres = int64(geo.DistanceKM(*q.Near, h.point)*1000 + 0.5)
		}
		hits = append(hits, h)
	}
	if !q.Occurrences {
		soonest := map[string]string{}
		for _, h := range hits {
			if s := h.doc.Event.SeriesID; s != "" && (soonest[s] == "" || h.order < soonest[s]) {
				soonest[s] = h.order
			}
		}
		hits = slices.DeleteFunc(hits, func(h linearHit) bool { s := h.doc.Event.SeriesID; return s != "" && soonest[s] != h.order })
	}
	slices.SortFunc(hits, func(a, b linearHit) int {
		first := 0
		switch {
		case q.Sort == search.ByDistance:
			first = cmp.Compare(a.metres, b.metres)
		case q.Sort == search.ByRelevance && q.Text != "":
			first = cmp.Compare(b.score, a.score)
		}
		return cmp.Or(first, strings.Compare(a.order, b.order))
	})
	return hits
}

// facet counts as Search does.
func linearFacet(hits []linearHit, name string) []client.Facet {
	count := map[string]int{}
	spellings := map[string]map[string]int{}
	for _, h := range hits {
		text := map[string]string{"category": h.doc.Event.Category, "city": h.doc.Event.Venue.City, "country": h.doc.Event.Venue.Country}[name]
		key := keyOf(text)
		if key == "" {
			continue
		}
		if name == "city" {
			key = keyOf(h.doc.MainCity())
		}
		count[key]++
		if spellings[key] == nil {
			spellings[key] = map[string]int{}
		}
		spellings[key][clip(text)]++
	}
	out := []client.Facet{}
	for key, n := range count {
		best := ""
		for s, m := range spellings[key] {
			if best == "" || m > spellings[key][best] || m == spellings[key][best] && s < best {
				best = s
			}
		}
		out = append(out, client.Facet{Value: best, Count: n})
	}
	slices.SortFunc(out, func(a, b client.Facet) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	return out[:min(facetShown, len(out))]
}
