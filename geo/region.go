package geo

import (
	"math"
	"slices"
	"strings"
	"time"
)

// Region is a place on the map where cells can stand.
type Region struct {
	Code    string // the provider's name, "eu-west-3"
	City    string
	Country string // its English name, "France"
	Point
}

// Regions lists all known regions by code.
func Regions() []Region { return slices.Clone(regions[:]) }

// RegionByCode finds a region by its provider's name.
func RegionByCode(code string) (Region, bool) {
	i, ok := indexOf(code)
	if !ok {
		return Region{}, false
	}
	return regions[i], true
}

// RTT is the median round trip from region a to region b; within one region it
// is about 3 ms. It is false unless both are known. The two directions differ
// a little because they were measured apart.
func RTT(a, b string) (time.Duration, bool) {
	i, okA := indexOf(a)
	j, okB := indexOf(b)
	if !okA || !okB {
		return 0, false
	}
	return rtt(i, j), true
}

// RegionAt is the region with the smallest great-circle distance to p.
func RegionAt(p Point) Region { return regions[nearestIndex(p)] }

// NearestRegion is the region among the given codes with the shortest round trip
// from the region nearest to p. Unknown codes are skipped; a tie goes to the one
// named first. It is false when none is known.
func NearestRegion(p Point, among []string) (code string, ok bool) {
	if !p.Valid() {
		return "", false
	}
	from := nearestIndex(p)
	best := time.Duration(math.MaxInt64)
	for _, c := range among {
		if to, known := indexOf(c); known && rtt(from, to) < best {
			best, code, ok = rtt(from, to), c, true
		}
	}
	return code, ok
}

func indexOf(code string) (int, bool) {
	return slices.BinarySearchFunc(regions[:], code, func(r Region, c string) int { return strings.Compare(r.Code, c) })
}

func rtt(from, to int) time.Duration {
	return time.Duration(rtts[from][to]) * (time.Millisecond / 10)
}

// nearestIndex compares chords, which grow with the great circle and need no
// trigonometry beyond p's own.
func nearestIndex(p Point) int {
	v, best, at := vectorOf(p), math.Inf(-1), 0
	for i := range vectors {
		if dot := v[0]*vectors[i][0] + v[1]*vectors[i][1] + v[2]*vectors[i][2]; dot > best {
			best, at = dot, i
		}
	}
	return at
}

// vectors are the regions on the unit sphere.
var vectors = func() (vs [len(regions)][3]float64) {
	for i, r := range regions {
		vs[i] = vectorOf(r.Point)
	}
	return vs
}()

func vectorOf(p Point) [3]float64 {
	sinLat, cosLat := math.Sincos(p.Lat * math.Pi / 180)
	sinLon, cosLon := math.Sincos(p.Lon * math.Pi / 180)
	return [3]float64{cosLat * cosLon, cosLat * sinLon, sinLat}
}
