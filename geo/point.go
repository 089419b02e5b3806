// Package geo knows where things are and which of several places is nearest.
// Near means soon: a measured round trip if it is fresh, else the table of
// median round trips between regions, else the great circle. It holds facts and
// pure functions; it measures nothing and keeps no state. geo/mmdb finds the
// place of an address in a GeoIP file.
//
// The round trips are CloudPing.co's (Matt Adorjan, MIT), snapshot by
// O. Austegard; countries' points come from GeoNames (CC BY 4.0).
package geo

import (
	"math"
	"strconv"
	"strings"

	"guichet/internal/kind"
)

// ErrBadPoint is returned for text that is not a point on Earth.
var ErrBadPoint = kind.Invalid.New("invalid_location")

// Point is a place in degrees, latitude −90…90, longitude −180…180.
type Point struct{ Lat, Lon float64 }

// Valid reports whether the point is on Earth (and not NaN).
func (p Point) Valid() bool {
	return p.Lat >= -90 && p.Lat <= 90 && p.Lon >= -180 && p.Lon <= 180
}

// String gives "lat,lon", as ParsePoint reads it.
func (p Point) String() string {
	return strconv.FormatFloat(p.Lat, 'f', -1, 64) + "," + strconv.FormatFloat(p.Lon, 'f', -1, 64)
}

// pointTextLimit is longer than any honest "lat,lon".
const pointTextLimit = 64

// ParsePoint reads "lat,lon" in decimal degrees; spaces around either are allowed.
func ParsePoint(s string) (Point, error) {
	lat, lon, ok := strings.Cut(s, ",")
	if !ok || len(s) > pointTextLimit {
		return Point{}, ErrBadPoint.With("%.64q is not lat,lon in degrees like 48.8566,2.3522", s)
	}
	p := Point{Lat: degrees(lat), Lon: degrees(lon)}
	if !p.Valid() {
		return Point{}, ErrBadPoint.With("%.64q is not lat,lon in degrees like 48.8566,2.3522", s)
	}
	return p, nil
}

// degrees is NaN, which no valid point has, for anything but a plain decimal
// number: ParseFloat alone would take "0x1p3", "1_0" and "inf" too.
func degrees(s string) float64 {
	s = strings.TrimSpace(s)
	if strings.Trim(s, "+-.0123456789") != "" {
		return math.NaN()
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

// earthRadiusKM is the mean radius of the Earth (IUGG).
const earthRadiusKM = 6371.0088

// DistanceKM is the great-circle distance by the haversine formula, which stays
// exact for points that are close together.
func DistanceKM(a, b Point) float64 {
	const rad = math.Pi / 180
	sinLat := math.Sin((b.Lat - a.Lat) * rad / 2)
	sinLon := math.Sin((b.Lon - a.Lon) * rad / 2)
	h := sinLat*sinLat + math.Cos(a.Lat*rad)*math.Cos(b.Lat*rad)*sinLon*sinLon
	return 2 * earthRadiusKM * math.Asin(math.Sqrt(min(1, h)))
}
