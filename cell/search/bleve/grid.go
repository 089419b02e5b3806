package bleve

import (
	"fmt"
	"math"

	"guichet/geo"
)

// A place is kept by the cells of three grids of latitude and longitude that
// hold it, in degrees. A circle is covered with the cells of the finest grid
// that needs few enough, and its members are then measured exactly. Three terms
// a document instead of the sixteen of a geo point halve the cost of indexing.
var grids = [...]float64{0.125, 1, 8}

// maxCover bounds the cells of a cover; the coarsest grid has 1,035 in all.
const maxCover = 256

func gridCells(p geo.Point) []string {
	out := make([]string, len(grids))
	for level, side := range grids {
		out[level] = gridTerm(level, gridRow(p.Lat, side), gridColumn(p.Lon, side))
	}
	return out
}

func gridTerm(level, row, column int) string { return fmt.Sprintf("%d:%d:%d", level, row, column) }

func gridRow(lat, side float64) int { return int(math.Floor((lat + 90) / side)) }

// gridColumn wraps: longitude 180 is −180.
func gridColumn(lon, side float64) int {
	n := int(360 / side)
	return ((int(math.Floor((lon+180)/side)) % n) + n) % n
}

const (
	kmPerDegree = 111.195 // of latitude, on a sphere of geo's radius
	slack       = 1e-6    // degrees, for rounding
)

// cover answers grid cells that together hold the circle.
func cover(center geo.Point, radiusKM float64) []string {
	dLat := radiusKM/kmPerDegree*1.0001 + slack
	south, north := max(-90, center.Lat-dLat), min(90, center.Lat+dLat)
	dLon := 180.0
	if south > -90 && north < 90 {
		// The circle's meridians touch it at asin(sin r / cos lat), away from the poles.
		if s := math.Sin(dLat*math.Pi/180) / math.Cos(center.Lat*math.Pi/180); s < 1 && dLat < 90 {
			dLon = math.Asin(s)*180/math.Pi + slack
		}
	}
	for level, side := range grids {
		rows := gridRow(north, side) - gridRow(south, side) + 1
		columns := int(360 / side)
		first := 0
		if 2*dLon+side < 360 {
			lo, hi := math.Floor((center.Lon-dLon+180)/side), math.Floor((center.Lon+dLon+180)/side)
			first, columns = int(lo), int(hi-lo)+1
		}
		if rows*columns > maxCover && level < len(grids)-1 {
			continue
		}
		total := int(360 / side)
		out := make([]string, 0, rows*columns)
		for r := gridRow(south, side); r <= gridRow(north, side); r++ {
			for c := range columns {
				out = append(out, gridTerm(level, r, ((first+c)%total+total)%total))
			}
		}
		return out
	}
	return nil
}
