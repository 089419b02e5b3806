package bleve

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"guichet/cell/search"
	"guichet/geo"
)

func at(lat, lon float64) *geo.Point { return &geo.Point{Lat: lat, Lon: lon} }

func mustSearch(t testing.TB, x *Index, q search.Query) search.Result {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = search.DefaultLimit
	}
	if q.Sort == "" {
		q.Sort = search.ByRelevance
	}
	res, err := x.Search(t.Context(), q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	return res
}

func TestSearch_findsWhatPeopleMean(t *testing.T) {
	t.Parallel()
	x := openTest(t, smallDocs())
	cases := []struct {
		text  string
		first string // begins the first hit's name
		total int    // -1: at least one
	}{
		{"Tokyo", "東京都交響楽団", 4},
		{"tokio", "東京都交響楽団", 4},
		{"beetoven", "Beethoven", 3},
		{"beethoven", "Beethoven", 3},
		{"BEETHOVEN tokyo", "Beethoven: Symphony", 1},
		{"beeth", "Beethoven: Symphony", 2},
		{"musee", "Nocturnes au Musée", 1},
		{"MUSÉE d'orsay", "Nocturnes au Musée", 1},
		{"opera bastille", "Carmen", 1},
		{"ryogoku", "Sumo", 1},
		{"東京", "東京都交響楽団", 4},
		{"交響楽団", "東京都交響楽団", 1},
		{"能", "能楽", 1},
		{"ﾏｰﾗｰ", "東京都交響楽団", 1},
		{"교향악단", "서울시립교향악단", 1},
		{"sao paulo", "São João", 2},
		{"japan symphony", "Beethoven: Symphony", 1},
		{"carmen nonexistentword", "Carmen", 1},
		{"sambodromo", "Samba", 1},
		{"東京都交響団楽", "東京都交響楽団", 1},
		{"qqqqqqqq", "", 0},
		{"!!!", "", 0},
	}
	for _, c := range cases {
		res := mustSearch(t, x, search.Query{Text: c.text})
		if res.Total != c.total || c.first != "" && (len(res.Hits) == 0 || !strings.HasPrefix(res.Hits[0].Doc.Event.Name, c.first)) {
			t.Errorf("%q: %d hits, want %d with %q first: %s", c.text, res.Total, c.total, c.first, names(res))
		}
	}
}

func TestSearch_wholeNameComesFirstAndNameBeatsSummary(t *testing.T) {
	t.Parallel()
	res := mustSearch(t, openTest(t, smallDocs()), search.Query{Text: "beethoven"})
	want := "Beethoven | Beethoven: Symphony No. 9 | Piano recital | "
	if got := names(res); got != want {
		t.Errorf("order is %s, want %s", got, want)
	}
}

func TestSearch_nearTellsDistanceAndKeepsTheRadius(t *testing.T) {
	t.Parallel()
	x := openTest(t, smallDocs())
	louvre := at(48.8606, 2.3376)
	res := mustSearch(t, x, search.Query{Near: louvre, RadiusKM: 2.6, Sort: search.ByDistance})
	if got := names(res); got != "Nocturnes au Musée | Fête de la Musique | Carmen | " {
		t.Fatalf("near the Louvre: %s", got)
	}
	for _, h := range res.Hits {
		if h.DistanceKM == nil || *h.DistanceKM > 2.6 {
			t.Errorf("%s is at %v km", h.Doc.Event.Name, h.DistanceKM)
		}
	}
	// Around the date line and the poles: the grid wraps.
	all := mustSearch(t, x, search.Query{Near: at(-17.7, 179.9), Sort: search.ByDistance, Limit: 100})
	if all.Total != len(small) || all.Hits[len(all.Hits)-1].DistanceKM != nil {
		t.Errorf("without radius: %d hits, the last (without a place) at %v", all.Total, all.Hits[len(all.Hits)-1].DistanceKM)
	}
}

func TestGrid_coverHoldsEveryPointOfTheCircle(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		center := geo.Point{Lat: r.Float64()*180 - 90, Lon: r.Float64()*360 - 180}
		if r.IntN(5) == 0 {
			center.Lon = 180 * float64(r.IntN(2)*2-1)
		}
		radius := []float64{0.5, 10, 50, 300, 2000, 12000, 20000}[r.IntN(7)]
		cells := map[string]bool{}
		terms := cover(center, radius)
		for _, c := range terms {
			cells[c] = true
		}
		if len(terms) > 1100 {
			t.Fatalf("%d cells for %g km at %v", len(terms), radius, center)
		}
		for range 20 {
			p := geo.Point{Lat: center.Lat + (r.Float64()-.5)*radius/50, Lon: center.Lon + (r.Float64()-.5)*radius/20}
			if r.IntN(3) == 0 {
				p = geo.Point{Lat: r.Float64()*180 - 90, Lon: r.Float64()*360 - 180}
			}
			if p.Lon > 180 {
				p.Lon -= 360
			}
			if !p.Valid() || geo.DistanceKM(center, p) > radius {
				continue
			}
			if !slices.ContainsFunc(gridCells(p), func(c string) bool { return cells[c] }) {
				t.Fatalf("%v is %g km from %v, but no cell of the cover of %g km holds it", p, geo.DistanceKM(center, p), center, radius)
			}
		}
	}
}

// TestSearch_answersLikeALoopOverAllDocuments compares hits, order, totals and
// facets with a linear scan, for random queries on real rows.
func TestSearch_answersLikeALoopOverAllDocuments(t *testing.T) {
	t.Parallel()
	docs := realCatalogue(t, 1500)
	for i := range docs {
		if i%5 == 0 {
			docs[i].Event.SeriesID = "ser_euw3_" + strconv.Itoa(i%35)
		}
		if i%4 == 1 {
			docs[i].Event.Currency = "USD"
		}
	}
	x, scan := openTest(t, docs), newLinear(docs)
	r := rand.New(rand.NewPCG(7, 7))
	stages := map[int]int{}
	for range 160 {
		q := randomQuery(r, docs)
		want, stage := scan.search(q)
		stages[stage]++
		q.Limit = search.MaxLimit
		got := mustSearch(t, x, q)
		if got.Total != len(want) {
			t.Fatalf("%s\nfound %d, the loop finds %d", describe(q), got.Total, len(want))
		}
		for i, h := range got.Hits {
			if h.Doc.ID() != want[i].doc.ID() {
				t.Fatalf("%s\nhit %d is %s, the loop's is %s (score %g)", describe(q), i, h.Doc.Event.Name, want[i].doc.Event.Name, want[i].score)
			}
		}
		for _, f := range q.Facets {
			if w := linearFacet(want, f); !slices.Equal(got.Facets[f], w) {
				t.Fatalf("%s\nfacet %s: %v, the loop counts %v", describe(q), f, got.Facets[f], w)
			}
		}
	}
	if stages[stageExact] == 0 || stages[stageFuzzy] == 0 || stages[stageSome] == 0 {
		t.Errorf("the queries did not reach all stages: %v", stages)
	}
}

func describe(q search.Query) string {
	b, _ := json.Marshal(q)
	return string(b)
}

func randomQuery(r *rand.Rand, docs []search.Document) search.Query {
	pick := func() *search.Document { return &docs[r.IntN(len(docs))] }
	q := search.Query{Sort: search.ByDate}
	if r.IntN(2) == 0 {
		q.Text = randomText(r, pick())
		q.Sort = search.ByRelevance
	}
	if p, ok := pick().Point(); ok && r.IntN(3) == 0 {
		q.Near = &p
		q.RadiusKM = []float64{0, 0.3, 5, 50, 700}[r.IntN(5)]
		if r.IntN(2) == 0 {
			q.Sort = search.ByDistance
		}
	}
	start := pick().Event.StartsAt
	switch r.IntN(5) {
	case 0:
		q.From, q.To = start, start.Add(time.Duration(r.IntN(60*24))*time.Hour)
	case 1:
		q.NotEndedAt = start
	case 2:
		q.FromDay = start.UTC().Truncate(24 * time.Hour)
		q.ToDay = q.FromDay.AddDate(0, 0, r.IntN(20))
	}
	switch r.IntN(6) {
	case 0:
		q.Category = strings.ToUpper(pick().Event.Category)
	case 1:
		q.City = pick().Event.Venue.City
	case 2:
		q.Country = pick().Event.Venue.Country
	case 3:
		price := int64(r.IntN(20000))
		q.Currency = []string{"EUR", "EUR", "EUR", "USD"}[r.IntN(4)]
		q.PriceMax, q.BuyableAt = &price, start.AddDate(0, 0, -r.IntN(60))
	}
	if r.IntN(2) == 0 {
		q.Facets = search.FacetNames
	}
	q.Occurrences = r.IntN(3) == 0
	return q
}

func randomText(r *rand.Rand, d *search.Document) string {
	var words []string
	for _, text := range []string{d.Event.Name, d.Event.Venue.Name, d.Event.Venue.City, d.Event.Summary} {
		words = append(words, strings.Fields(text)...)
	}
	var out []string
	for range 1 + r.IntN(3) {
		w := []rune(words[r.IntN(len(words))])
		switch {
		case r.IntN(3) == 0 && len(w) > 4: // a typing error
			i := 1 + r.IntN(len(w)-1)
			w = slices.Delete(w, i, i+1)
		case r.IntN(5) == 0: // still typing
			w = w[:1+r.IntN(len(w))]
		case r.IntN(8) == 0:
			w = append(w, []rune("zzzzq")...)
		}
		out = append(out, string(w))
	}
	return strings.Join(out, " ")
}

func TestSearch_pagesAreCompleteWhileDocumentsAreAdded(t *testing.T) {
	t.Parallel()
	docs := realCatalogue(t, 1100)
	first, later := docs[:900], docs[900:]
	x := openTest(t, first)
	scan := newLinear(first)
	place := at(37.56, 126.98)
	queries := []search.Query{
		{Text: "서울", Sort: search.ByRelevance, Limit: 37},
		{Text: "symphony", Sort: search.ByRelevance, Limit: 7},
		{Sort: search.ByDate, Limit: 41},
		{Sort: search.ByDistance, Near: place, Limit: 29},
	}
	for _, q := range queries {
		want, _ := scan.search(q)
		seen := map[string]int{}
		added := 0
		for {
			res := mustSearch(t, x, q)
			for _, id := range ids(res) {
				seen[id]++
			}
			if n := min(len(later), 11); n > 0 { // the index grows between the pages
				put(t, x, later[:n], int64(900+added))
				later, added = later[n:], added+n
			}
			if res.Next == nil {
				break
			}
			q.After = res.Next
		}
		if len(want) < 2*q.Limit {
			t.Fatalf("%s: only %d hits", describe(q), len(want))
		}
		for id, n := range seen {
			if n > 1 {
				t.Errorf("%s: %s was listed %d times", q.Text, id, n)
			}
		}
		for _, w := range want {
			if seen[w.doc.ID()] == 0 {
				t.Errorf("%s: %s was skipped", q.Text, w.doc.ID())
			}
		}
	}
}

func TestSearch_changedAndWithdrawnDocumentsAreFoundAsTheyAre(t *testing.T) {
	t.Parallel()
	docs := smallDocs()
	x := openTest(t, docs)
	docs[5].Event.Name = "Tosca"
	docs[5].Version++
	docs[4].Published = false
	put(t, x, docs[4:6], 100)
	if res := mustSearch(t, x, search.Query{Text: "carmen"}); res.Total != 0 {
		t.Errorf("the old name is still found: %s", names(res))
	}
	if res := mustSearch(t, x, search.Query{Text: "tosca"}); res.Total != 1 {
		t.Errorf("the new name is not found: %s", names(res))
	}
	if res := mustSearch(t, x, search.Query{Text: "musee"}); res.Total != 0 {
		t.Errorf("a withdrawn event is found: %s", names(res))
	}
}

func TestSearch_hostileStringsNeverFail(t *testing.T) {
	t.Parallel()
	var hostile []string
	if err := json.NewDecoder(sharedFile(t, "names/blns.json")).Decode(&hostile); err != nil {
		t.Fatal(err)
	}
	docs := smallDocs()
	for i, s := range hostile { // as queries and as names
		r := small[i%len(small)]
		r.name, r.city, r.venue, r.category = s, s, s, s
		docs = append(docs, r.document(1000+i))
	}
	x := openTest(t, docs)
	for i, s := range append(hostile, "\xff\xfe", "a\x00b", strings.Repeat("東", 200), strings.Repeat("a ", 100), "\u202e") {
		q := search.Query{Text: s, Sort: []search.Sort{search.ByRelevance, search.ByDate}[i%2], Limit: 5, Facets: search.FacetNames}
		if _, err := x.Search(t.Context(), q); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if _, err := x.Search(t.Context(), search.Query{City: s, Category: s, Limit: 5}); err != nil {
			t.Fatalf("filter %q: %v", s, err)
		}
		if _, err := x.Suggest(t.Context(), s, time.Unix(0, 0)); err != nil {
			t.Fatalf("suggest %q: %v", s, err)
		}
	}
	if len(hostile) < 400 {
		t.Errorf("only %d hostile strings", len(hostile))
	}
}

func TestSearch_forgedPositionsAreInvalidCursors(t *testing.T) {
	t.Parallel()
	x := openTest(t, smallDocs())
	for _, pos := range []search.Position{
		{Stage: 7, Keys: []string{"1", "a"}},
		{Stage: -1, Keys: []string{"1", "a"}},
		{Keys: []string{"1"}},
		{Keys: []string{"NaN", "a"}},
		{Keys: []string{"-1", "a"}},
		{Keys: []string{"1e3", "a"}},
		{Keys: []string{"", ""}},
	} {
		_, err := x.Search(t.Context(), search.Query{Text: "tokyo", Sort: search.ByRelevance, Limit: 5, After: &pos})
		if e := search.ErrCursor; err == nil || !strings.Contains(err.Error(), e.Code) {
			t.Errorf("%+v: %v", pos, err)
		}
	}
}

func TestSuggest_completesPlacesCategoriesAndNames(t *testing.T) {
	t.Parallel()
	x := openTest(t, smallDocs())
	cases := []struct{ typed, want string }{
		{"tok", "city:Tokyo"},
		{"sao", "city:Sao Paulo"},
		{"fest", "category:festival"},
		{"carn", "venue:Carnegie Hall"},
		{"beet", "event:Beethoven: Symphony No. 9"},
		{"musee d", "venue:Musée d'Orsay"},
		{"東京", "city:東京"},
		{"交響", "event:東京都交響楽団 定期演奏会"},
		{"beetoven", "event:Beethoven"},
	}
	for _, c := range cases {
		got, err := x.Suggest(t.Context(), c.typed, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, s := range got {
			texts = append(texts, s.Kind+":"+s.Text)
		}
		if !slices.Contains(texts, c.want) || len(got) > search.MaxSuggest {
			t.Errorf("%q gives %v, not %s", c.typed, texts, c.want)
		}
	}
	if got, err := x.Suggest(t.Context(), "carmen", time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil || len(got) != 0 {
		t.Errorf("an event that is over is suggested: %v %v", got, err)
	}
}
