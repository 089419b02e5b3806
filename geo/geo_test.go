package geo_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"guichet/geo"
)

var (
	paris     = geo.Point{Lat: 48.8566, Lon: 2.3522}
	tokyo     = geo.Point{Lat: 35.6762, Lon: 139.6503}
	newYork   = geo.Point{Lat: 40.7128, Lon: -74.006}
	town      = []string{"eu-west-3", "us-east-1", "ap-northeast-1"}
	townCells = []geo.Candidate{{Name: "euw3", Region: "eu-west-3"}, {Name: "use1", Region: "us-east-1"}, {Name: "apn1", Region: "ap-northeast-1"}}
)

func TestDistance_isTheGreatCircle(t *testing.T) {
	for _, c := range []struct {
		name   string
		a, b   geo.Point
		wantKM float64
	}{
		{"nothing", paris, paris, 0},
		{"a degree on the equator", geo.Point{}, geo.Point{Lon: 1}, 111.195},
		{"Paris to New York", paris, newYork, 5837},
		{"across the date line", geo.Point{Lon: 179.5}, geo.Point{Lon: -179.5}, 111.195},
		{"pole to pole", geo.Point{Lat: 90}, geo.Point{Lat: -90}, math.Pi * 6371.0088},
	} {
		if got := geo.DistanceKM(c.a, c.b); math.Abs(got-c.wantKM) > c.wantKM/1000+1e-9 {
			t.Errorf("%s: %.3f km, want %.3f", c.name, got, c.wantKM)
		}
	}
}

func TestParsePoint_takesDegreesAndNothingElse(t *testing.T) {
	for text, want := range map[string]geo.Point{"48.8566,2.3522": paris, " -33.9 , +18.4 ": {Lat: -33.9, Lon: 18.4}, "-90,180": {Lat: -90, Lon: 180}} {
		if got, err := geo.ParsePoint(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ",", "1", "1,2,3", "91,0", "0,181", "NaN,NaN", "inf,0", "0x1p3,0", "1_0,0", "1e1,0", "a,b", "48.8566;2.3522"} {
		if got, err := geo.ParsePoint(text); !errors.Is(err, geo.ErrBadPoint) {
			t.Errorf("%q was taken as %v, %v", text, got, err)
		}
	}
}

func FuzzParsePoint_whatIsTakenIsOnEarthAndReadsBack(f *testing.F) {
	for _, s := range []string{"48.8566,2.3522", "-0,-0", "90,-180", "1e308,0", "0.00000001,5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := geo.ParsePoint(s)
		if err != nil {
			return
		}
		if !p.Valid() {
			t.Fatalf("%q gave %v, which is not on Earth", s, p)
		}
		if back, err := geo.ParsePoint(p.String()); err != nil || back != p {
			t.Fatalf("%q gave %v, which reads back as %v, %v", s, p, back, err)
		}
	})
}

func TestNearestRegion_goesByRoundTripNotByDistance(t *testing.T) {
	for _, c := range []struct {
		name  string
		at    geo.Point
		among []string
		want  string
	}{
		{"Paris", paris, town, "eu-west-3"},
		{"Tokyo", tokyo, town, "ap-northeast-1"},
		{"New York", newYork, town, "us-east-1"},
		{"Hong Kong", geo.Point{Lat: 22.3, Lon: 114.2}, town, "ap-northeast-1"},
		{"São Paulo", geo.Point{Lat: -23.5, Lon: -46.6}, town, "us-east-1"},
		{"Nairobi", geo.Point{Lat: -1.29, Lon: 36.82}, town, "eu-west-3"},
		// The great circle from Cape Town to São Paulo is 6,400 km, to Paris 9,300:
		// packets go by way of Europe (337 ms against 145 ms).
		{"Cape Town reaches Paris before São Paulo", geo.Point{Lat: -33.9, Lon: 18.4}, []string{"sa-east-1", "eu-west-3"}, "eu-west-3"},
		{"unknown regions are skipped", paris, []string{"mars-north-1", "us-east-1"}, "us-east-1"},
	} {
		if got, ok := geo.NearestRegion(c.at, c.among); !ok || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got, ok, c.want)
		}
	}
	if got, ok := geo.NearestRegion(paris, []string{"mars-north-1"}); ok {
		t.Errorf("among unknown regions it chose %q", got)
	}
	if got, ok := geo.NearestRegion(geo.Point{Lat: math.NaN()}, town); ok {
		t.Errorf("from nowhere it chose %q", got)
	}
}

func TestRegions_areSortedAndComplete(t *testing.T) {
	all := geo.Regions()
	if len(all) != 32 {
		t.Fatalf("%d regions, want 32", len(all))
	}
	for i, r := range all {
		if i > 0 && all[i-1].Code >= r.Code {
			t.Errorf("%s stands before %s; look-ups rely on the order", all[i-1].Code, r.Code)
		}
		if got, ok := geo.RegionByCode(r.Code); !ok || got != r {
			t.Errorf("%s is not found by its code", r.Code)
		}
		if self := geo.RegionAt(r.Point); self.Code != r.Code {
			t.Errorf("the region at %s is %s", r.Code, self.Code)
		}
		if r.City == "" || r.Country == "" || !r.Valid() {
			t.Errorf("%+v is incomplete", r)
		}
	}
	if _, ok := geo.RegionByCode("mars-north-1"); ok {
		t.Error("mars-north-1 was found")
	}
	if _, ok := geo.RTT("eu-west-3", "mars-north-1"); ok {
		t.Error("a round trip to mars-north-1 was found")
	}
}

func TestCountryPoint_isOnEarthForEveryCountry(t *testing.T) {
	for code, near := range map[string]geo.Point{"FR": paris, "jp": tokyo, "US": newYork, "SG": {Lat: 1.3, Lon: 103.8}} {
		if p, ok := geo.CountryPoint(code); !ok || geo.DistanceKM(p, near) > 100 {
			t.Errorf("%s stands at %v, %v", code, p, ok)
		}
	}
	if _, ok := geo.CountryPoint("ZZ"); ok {
		t.Error("ZZ is a country")
	}
}

func TestNearest_prefersWhatIsMeasured(t *testing.T) {
	now := time.Date(2027, 5, 1, 12, 0, 0, 0, time.UTC)
	ms := func(n int, age time.Duration) geo.Measured {
		return geo.Measured{RTT: time.Duration(n) * time.Millisecond, At: now.Add(-age)}
	}
	moon := geo.Candidate{Name: "moon", Region: "moon-1", At: geo.Point{Lat: 48, Lon: 2}}
	for _, c := range []struct {
		name   string
		facts  geo.Facts
		among  []geo.Candidate
		want   string
		source geo.Source
	}{
		{"the table, without measurements", geo.Facts{At: paris, Located: true, Now: now}, townCells, "euw3", geo.FromTable},
		{
			"a fresh measurement beats the table",
			geo.Facts{At: paris, Located: true, Now: now, RTT: map[string]geo.Measured{"euw3": ms(300, time.Minute), "use1": ms(20, time.Minute)}},
			townCells, "use1", geo.FromMeasurement,
		},
		{
			"a stale measurement does not count",
			geo.Facts{At: paris, Located: true, Now: now, RTT: map[string]geo.Measured{"use1": ms(1, geo.Fresh+time.Second)}},
			townCells, "euw3", geo.FromTable,
		},
		{
			"measurements alone are enough",
			geo.Facts{Now: now, RTT: map[string]geo.Measured{"apn1": ms(30, 0), "use1": ms(40, 0)}},
			townCells, "apn1", geo.FromMeasurement,
		},
		{"the great circle, outside the table", geo.Facts{At: paris, Located: true, Now: now}, []geo.Candidate{townCells[1], moon}, "moon", geo.FromDistance},
		{
			"a choice stays when another is nearer by less than 20 %",
			geo.Facts{Now: now, Last: "use1", RTT: map[string]geo.Measured{"apn1": ms(81, 0), "use1": ms(100, 0)}},
			townCells, "use1", geo.FromMeasurement,
		},
		{
			"and changes when it is nearer by more",
			geo.Facts{Now: now, Last: "use1", RTT: map[string]geo.Measured{"apn1": ms(79, 0), "use1": ms(100, 0)}},
			townCells, "apn1", geo.FromMeasurement,
		},
		{
			"a last choice that is no candidate any more does not hold",
			geo.Facts{At: tokyo, Located: true, Now: now, Last: "euw3"},
			townCells[1:], "apn1", geo.FromTable,
		},
	} {
		got, ok := geo.Nearest(c.facts, c.among)
		if !ok || got.Candidate.Name != c.want || got.Source != c.source {
			t.Errorf("%s: %s by %s, %v; want %s by %s", c.name, got.Candidate.Name, got.Source, ok, c.want, c.source)
		}
	}
	if got, ok := geo.Nearest(geo.Facts{Now: now}, townCells); ok {
		t.Errorf("knowing nothing it chose %v", got)
	}
}
