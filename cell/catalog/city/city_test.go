package city_test

import (
	"testing"
	"time"

	"guichet/cell/catalog/city"
	"guichet/geo"
)

func TestAll_isAPlaceOnEarthWithAZoneThatLoads(t *testing.T) {
	all := city.All()
	if len(all) < 150 {
		t.Fatalf("%d cities", len(all))
	}
	for i, c := range all {
		if _, err := time.LoadLocation(c.TimeZone); err != nil || !c.Location.Valid() || len(c.Country) != 2 || c.Name == "" {
			t.Errorf("%+v: %v", c, err)
		}
		if i > 0 && c.Population > all[i-1].Population {
			t.Errorf("%s stands behind a smaller city", c.Name)
		}
	}
}

func TestFind_forgivesCaseAccentsAndHalfNames(t *testing.T) {
	for name, want := range map[string]string{
		"paris": "Paris FR", "SÃO PAULO": "São Paulo BR", "sao paulo": "São Paulo BR", "Tokyo": "Tokyo JP", " Washington ": "Washington D.C. US", "Bogota": "Bogotá CO", "Valencia,es": "Valencia ES",
	} {
		c, ok := city.Find(name)
		if got := c.Name + " " + c.Country; !ok || got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"", "Atlantis", "Paris,XX", "Par"} {
		if c, ok := city.Find(name); ok {
			t.Errorf("%q is %v", name, c)
		}
	}
}

func TestNearest_staysInTheCountryAndHonoursTheCondition(t *testing.T) {
	strasbourgSide := geo.Point{Lat: 48.57, Lon: 7.82} // on the Rhine
	if c, ok := city.Nearest(strasbourgSide, "DE", nil); !ok || c.Country != "DE" {
		t.Errorf("in Germany: %+v", c)
	}
	if c, ok := city.Nearest(strasbourgSide, "XX", nil); !ok || c.Country == "" {
		t.Errorf("an unknown country found %+v", c)
	}
	if c, ok := city.Nearest(strasbourgSide, "", func(c city.City) bool { return c.TimeZone == "Asia/Tokyo" }); !ok || c.TimeZone != "Asia/Tokyo" {
		t.Errorf("in Japan's zone: %+v", c)
	}
	if _, ok := city.Nearest(strasbourgSide, "", func(city.City) bool { return false }); ok {
		t.Error("nothing allowed, yet something found")
	}
}
