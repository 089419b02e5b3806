// Package city is a small table of big cities: where they are and which time
// zone they keep. It answers two questions only: where is "Paris", and which
// city of the table is nearest. Facts: GeoNames (geonames.org), CC BY 4.0; a
// selection of the largest cities, the capitals and at least one city for each
// pair of country and time zone, plus Singapore and Macau, which the extract lacks.
package city

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"guichet/geo"
)

// City is one row of the table.
type City struct {
	Name       string
	Country    string // ISO 3166-1 alpha-2
	Location   geo.Point
	TimeZone   string // IANA
	Population int64
}

//go:embed cities.csv
var table string

// all is the table by falling population, parsed once; a broken table is our
// own bug and panics, which the package's test would show first.
var all = sync.OnceValue(func() []City {
	rows, err := csv.NewReader(strings.NewReader(table)).ReadAll()
	if err != nil {
		panic(fmt.Sprintf("city table: %v", err))
	}
	cities := make([]City, 0, len(rows))
	for _, r := range rows[1:] {
		lat, errLat := strconv.ParseFloat(r[2], 64)
		lon, errLon := strconv.ParseFloat(r[3], 64)
		people, errN := strconv.ParseInt(r[5], 10, 64)
		if errLat != nil || errLon != nil || errN != nil {
			panic("city table: row of " + r[0])
		}
		cities = append(cities, City{Name: r[0], Country: r[1], Location: geo.Point{Lat: lat, Lon: lon}, TimeZone: r[4], Population: people})
	}
	return cities
})

// All is the table by falling population.
func All() []City { return append([]City(nil), all()...) }

// Find looks a city up by name, without regard to case or accents; a country
// after a comma tells namesakes apart ("Valencia, VE"). An exact name beats the
// start of one ("New York" finds New York City); the more populous city wins.
func Find(name string) (City, bool) {
	name, country, _ := strings.Cut(name, ",")
	name, country = Fold(name), strings.ToUpper(strings.TrimSpace(country))
	if name == "" {
		return City{}, false
	}
	var start *City
	for i, c := range all() {
		if country != "" && c.Country != country {
			continue
		}
		folded := Fold(c.Name)
		if folded == name {
			return c, true
		}
		if start == nil && strings.HasPrefix(folded, name+" ") {
			start = &all()[i]
		}
	}
	if start == nil {
		return City{}, false
	}
	return *start, true
}

// Nearest is the table's city nearest to a point, within the country if one is
// given and known; keep, when not nil, says which cities may be chosen.
func Nearest(at geo.Point, country string, keep func(City) bool) (City, bool) {
	best, found := math.Inf(1), -1
	for _, strict := range []bool{country != "", false} {
		for i, c := range all() {
			if strict && c.Country != country || keep != nil && !keep(c) {
				continue
			}
			if d := geo.DistanceKM(at, c.Location); d < best {
				best, found = d, i
			}
		}
		if found >= 0 {
			return all()[found], true
		}
	}
	return City{}, false
}

// Fold makes names comparable: lower case, no accents, single spaces.
func Fold(s string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(strings.ToLower(s)) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(r)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
