package bleve

import (
	"strconv"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/money"
	"guichet/cell/search"
)

func namesOf(t *testing.T, x *Index, q search.Query) (all string) {
	t.Helper()
	for _, h := range mustSearch(t, x, q).Hits {
		all += h.Doc.Event.Name + ";"
	}
	return all
}

func TestSearch_knowsCitiesInOtherLanguages(t *testing.T) {
	t.Parallel()
	at := func(name, city, country string) row {
		return row{name: name, venue: "Hall", category: "music", city: city, country: country, starts: "2030-11-15T18:00:00Z", price: -1}
	}
	var docs []search.Document
	for i, r := range []row{
		at("Rosenkavalier", "München", "DE"), at("Bayern", "Munich", "DE"), at("Noh", "東京", "JP"), at("Walzer", "Wien", "AT"), at("Uffizi", "Firenze", "IT"),
		at("Formula", "Monaco", "MC"), at("Blues", "Vienne", "FR"),
	} {
		docs = append(docs, r.document(i+1))
	}
	x := openTest(t, docs)
	for _, c := range []struct{ typed, want string }{
		{"München", "Bayern;Rosenkavalier;"},
		{"Munich", "Bayern;Rosenkavalier;"},
		{"Monaco di Baviera", "Bayern;Rosenkavalier;"},
		{"慕尼黑", "Bayern;Rosenkavalier;"},
		{"Tokyo", "Noh;"},
		{"東京", "Noh;"},
		{"Tokio", "Noh;"},
		{"Vienna", "Walzer;"},
		{"Florence", "Uffizi;"},
		{"Florenz", "Uffizi;"},
		{"Monaco", "Formula;"}, // and nothing of Monaco di Baviera
	} {
		if got := namesOf(t, x, search.Query{Text: c.typed, Sort: search.ByDate}); got != c.want {
			t.Errorf("q=%s finds %s, want %s", c.typed, got, c.want)
		}
		if got := namesOf(t, x, search.Query{City: c.typed, Sort: search.ByDate}); got != c.want {
			t.Errorf("city=%s finds %s, want %s", c.typed, got, c.want)
		}
	}
	if got := namesOf(t, x, search.Query{City: "Vienne", Sort: search.ByDate}); got != "Walzer;Blues;" { // it is both
		t.Errorf("city=Vienne finds %s", got)
	}
	if got := namesOf(t, x, search.Query{City: "Vienne", Country: "FR", Sort: search.ByDate}); got != "Blues;" {
		t.Errorf("city=Vienne in France finds %s", got)
	}
	for _, f := range mustSearch(t, x, search.Query{Facets: []string{"city"}}).Facets["city"] {
		if f.Count == 2 != (f.Value == "Munich" || f.Value == "München") {
			t.Errorf("the facet %+v", f)
		}
	}
}

func TestSearch_priceMaxNeverMatchesANumberOfAnotherCurrency(t *testing.T) {
	t.Parallel()
	var docs []search.Document
	for i, currency := range []string{"EUR", "JPY", "USD"} {
		d := row{name: currency, city: "Paris", country: "FR", starts: "2030-11-15T18:00:00Z", price: -1}.document(i + 1)
		d.Event.Currency = currency
		d.Event.TicketTypes = []client.TicketType{{Name: "Standard", PriceAllIn: money.Money{Amount: 2000, Currency: currency}, Availability: client.Available}}
		docs = append(docs, d)
	}
	x := openTest(t, docs)
	most := int64(2000)
	for _, currency := range []string{"EUR", "JPY", "USD"} {
		if got := namesOf(t, x, search.Query{PriceMax: &most, Currency: currency}); got != currency+";" {
			t.Errorf("2000 in %s finds %s", currency, got)
		}
		if got := namesOf(t, x, search.Query{Currency: currency}); got != currency+";" {
			t.Errorf("%s alone finds %s", currency, got)
		}
	}
}

func TestSearch_foldsOccurrencesIntoTheirSeries(t *testing.T) {
	t.Parallel()
	var docs []search.Document
	noon := time.Date(2030, 10, 15, 12, 0, 0, 0, time.UTC)
	for i := range 40 {
		d := row{name: "Visit", venue: "Louvre", city: "Paris", country: "FR", category: "museum", starts: noon.AddDate(0, 0, 40-i).Format(time.RFC3339), price: -1}.document(i + 1)
		d.Event.SeriesID = "ser_euw3_" + strconv.Itoa(i%2)
		docs = append(docs, d)
	}
	docs = append(docs, row{name: "Visit alone", venue: "Louvre", city: "Paris", country: "FR", category: "museum", starts: noon.AddDate(0, 0, 3).Format(time.RFC3339), price: -1}.document(100))
	x := openTest(t, docs)
	for name, q := range map[string]search.Query{
		"by date":      {Sort: search.ByDate},
		"by relevance": {Text: "visit louvre", Sort: search.ByRelevance},
		"from a time":  {From: noon.AddDate(0, 0, 10), Sort: search.ByDate},
	} {
		q.Facets = []string{"city"}
		want := 3
		if name == "from a time" {
			want = 2
		}
		res := mustSearch(t, x, q)
		if res.Total != want || len(res.Hits) != want || res.Facets["city"][0].Count != want || res.Next != nil {
			t.Errorf("%s: %d found, %v", name, res.Total, res.Facets)
		}
		for _, h := range res.Hits { // the soonest stands for its series
			if first := noon.AddDate(0, 0, 2); name != "from a time" && h.Doc.Event.SeriesID != "" && h.Doc.Event.StartsAt.After(first) ||
				name == "from a time" && h.Doc.Event.StartsAt.After(noon.AddDate(0, 0, 11)) {
				t.Errorf("%s: %s at %s", name, h.Doc.Event.SeriesID, h.Doc.Event.StartsAt)
			}
		}
		q.Occurrences, q.Limit = true, 100
		if all := mustSearch(t, x, q); all.Total < 30 || len(all.Hits) != all.Total {
			t.Errorf("%s: %d occurrences", name, all.Total)
		}
	}
	// Page by page nothing comes twice.
	q, seen := search.Query{Sort: search.ByDate, Limit: 1}, map[string]bool{}
	for range 3 {
		res := mustSearch(t, x, q)
		seen[res.Hits[0].Doc.ID()] = true
		q.After = res.Next
	}
	if len(seen) != 3 || q.After != nil {
		t.Errorf("%v, and then %+v", seen, q.After)
	}
}
