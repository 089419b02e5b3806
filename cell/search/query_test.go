package search

import (
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"guichet/geo"
	"guichet/internal/kind"
)

func TestParseQuery_readsEveryParameter(t *testing.T) {
	t.Parallel()
	v, err := url.ParseQuery("q=+Caf%C3%A9+&near=48.85,2.35&radius_km=12.5&from=2026-05-01&to=2026-05-02&category=music" +
		"&country=fr&city=Paris&price_max=2500&currency=eur&sort=distance&facets=city,category,city&limit=7&cursor=")
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseQuery(v)
	if err != nil {
		t.Fatal(err)
	}
	price := int64(2500)
	want := Query{
		Text: "Café", Near: &geo.Point{Lat: 48.85, Lon: 2.35}, RadiusKM: 12.5, FromDay: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC),
		ToDay: time.Date(2026, 5, 2, 0, 0, 0, 0, time.UTC), Category: "music", Country: "FR", City: "Paris", PriceMax: &price, Currency: "EUR",
		Sort: ByDistance, Facets: []string{"city", "category"}, Limit: 7,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseQuery_picksTheOrderThatFits(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]Sort{
		"": ByDate, "q=jazz": ByRelevance, "near=1,2": ByDistance, "q=jazz&near=1,2": ByRelevance, "q=jazz&sort=date": ByDate,
	} {
		v, _ := url.ParseQuery(query)
		if q, err := ParseQuery(v); err != nil || q.Sort != want || q.Limit != DefaultLimit {
			t.Errorf("%q: %v, limit %d, %v", query, q.Sort, q.Limit, err)
		}
	}
}

func TestParseQuery_namesWhatIsWrong(t *testing.T) {
	t.Parallel()
	cases := []struct{ query, code, parameter string }{
		{"qq=1", "unknown_parameter", "qq"},
		{"q=a&q=b", "invalid_parameter", "q"},
		{"q=" + strings.Repeat("x", 201), "invalid_parameter", "q"},
		{"near=north", "invalid_parameter", "near"},
		{"near=91,0", "invalid_parameter", "near"},
		{"near=NaN,0", "invalid_parameter", "near"},
		{"radius_km=5", "invalid_parameter", "radius_km"},
		{"near=1,2&radius_km=0", "invalid_parameter", "radius_km"},
		{"near=1,2&radius_km=20001", "invalid_parameter", "radius_km"},
		{"near=1,2&radius_km=NaN", "invalid_parameter", "radius_km"},
		{"near=1,2&radius_km=1e3", "invalid_parameter", "radius_km"},
		{"from=yesterday", "invalid_parameter", "from"},
		{"to=2026-02-30", "invalid_parameter", "to"},
		{"from=2026-05-02&to=2026-05-01", "invalid_parameter", "to"},
		{"country=FRA", "invalid_parameter", "country"},
		{"country=1x", "invalid_parameter", "country"},
		{"price_max=1", "invalid_parameter", "price_max"}, // a number alone says no price
		{"currency=EUR&price_max=-1", "invalid_parameter", "price_max"},
		{"currency=EUR&price_max=1.5", "invalid_parameter", "price_max"},
		{"currency=EUR&price_max=99999999999999999999", "invalid_parameter", "price_max"},
		{"currency=XXY&price_max=1", "invalid_parameter", "currency"},
		{"occurrences=perhaps", "invalid_parameter", "occurrences"},
		{"sort=best", "invalid_parameter", "sort"},
		{"sort=distance", "invalid_parameter", "sort"},
		{"facets=city,price", "invalid_parameter", "facets"},
		{"limit=0", "invalid_parameter", "limit"},
		{"limit=101", "invalid_parameter", "limit"},
		{"limit=ten", "invalid_parameter", "limit"},
		{"cursor=abc", "invalid_cursor", ""},
		{"cursor=" + strings.Repeat("A", 2000), "invalid_cursor", ""},
	}
	for _, c := range cases {
		v, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ParseQuery(v)
		e := kind.As(err)
		if e == nil || e.Code != c.code || e.Kind != kind.Invalid || c.parameter != "" && e.Fields["parameter"] != c.parameter {
			t.Errorf("%.60q: %v, want %s for %s", c.query, err, c.code, c.parameter)
		}
	}
}

func TestParseQuery_mendsThePlusOfATimeZone(t *testing.T) {
	t.Parallel()
	v, _ := url.ParseQuery("from=2026-05-01T10:00:00+02:00")
	q, err := ParseQuery(v)
	if want := time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC); err != nil || !q.From.Equal(want) {
		t.Errorf("from is %v, %v", q.From, err)
	}
}

func TestCursor_belongsToItsQueryAlone(t *testing.T) {
	t.Parallel()
	v := url.Values{"q": {"jazz"}, "city": {"Paris"}}
	q, err := ParseQuery(v)
	if err != nil {
		t.Fatal(err)
	}
	pos := Position{Stage: 1, Keys: []string{"160", "000063913\x01evt_é"}, NotEndedAt: time.Unix(1_800_000_000, 0).UTC()}
	v.Set("cursor", encodeCursor(&pos, q))
	v.Set("limit", "50") // may change on the way, facets too
	v.Set("facets", "city")
	again, err := ParseQuery(v)
	if err != nil || !reflect.DeepEqual(*again.After, pos) {
		t.Fatalf("read back %+v, %v", again.After, err)
	}
	for name, value := range map[string]string{"q": "blues", "city": "Lyon", "near": "1,2", "from": "2026-01-01", "currency": "EUR", "occurrences": "true", "sort": "date", "country": "FR"} {
		other := url.Values{}
		for k := range v {
			other[k] = v[k]
		}
		other.Set(name, value)
		if _, err := ParseQuery(other); !errors.Is(err, ErrCursor) {
			t.Errorf("with %s=%s the cursor is taken: %v", name, value, err)
		}
	}
}

func TestParseSuggest_isStrict(t *testing.T) {
	t.Parallel()
	if text, err := ParseSuggest(url.Values{"q": {" to "}}); text != "to" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := ParseSuggest(url.Values{"limit": {"3"}}); !errors.Is(err, ErrUnknownParameter) {
		t.Errorf("an unknown parameter: %v", err)
	}
	if _, err := ParseSuggest(url.Values{"q": {strings.Repeat("é", 201)}}); !errors.Is(err, ErrParameter) {
		t.Errorf("a long text: %v", err)
	}
}

// FuzzParseQuery: whatever a stranger sends, the answer is a query within the
// limits or an error of kind Invalid.
func FuzzParseQuery(f *testing.F) {
	f.Add("q=jazz&near=48.85,2.35&radius_km=5&sort=distance&limit=3")
	f.Add("from=2026-01-01&to=2026-02-01T00:00:00%2b01:00&facets=city&price_max=0")
	f.Add("cursor=eyJ2IjoxLCJxIjoiIiwiayI6WyIxIl19")
	f.Add("q=%ff%fe&city=%00")
	q := Query{Text: "a", Sort: ByRelevance, Limit: 1}
	f.Add("q=a&cursor=" + encodeCursor(&Position{Keys: []string{"1", "2"}}, q))
	f.Fuzz(func(t *testing.T, raw string) {
		v, err := url.ParseQuery(raw)
		if err != nil {
			t.Skip()
		}
		q, err := ParseQuery(v)
		if err != nil {
			if kind.Of(err) != kind.Invalid {
				t.Fatalf("%q: %v is not Invalid", raw, err)
			}
			return
		}
		if q.Limit < 1 || q.Limit > MaxLimit || q.RadiusKM < 0 || q.RadiusKM > MaxRadiusKM || q.RadiusKM > 0 && q.Near == nil ||
			q.Near != nil && !q.Near.Valid() || len([]rune(q.Text)) > MaxText || q.Sort == "" {
			t.Fatalf("%q: out of bounds: %+v", raw, q)
		}
		if q.After != nil {
			back, err := decodeCursor(encodeCursor(q.After, q), q)
			if err != nil || !reflect.DeepEqual(back, q.After) {
				t.Fatalf("%q: cursor %+v comes back as %+v, %v", raw, q.After, back, err)
			}
		}
	})
}
