package catalog

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"guichet/geo"
)

// angle is one half of a pair: 22°54'44"S, 5.826936°S or 42°5.5'N.
var angle = regexp.MustCompile(`^(\d{1,3}(?:\.\d+)?)°(?:\s*(\d{1,2}(?:\.\d+)?)['′’](?:\s*(\d{1,2}(?:\.\d+)?)(?:["″”]|''))?)?\s*([NSEW])$`)

// parseCoords reads "latitude longitude", each in degrees, minutes and seconds or
// in decimal degrees with a letter, or two signed decimals with a comma.
func parseCoords(s string) (geo.Point, error) {
	if p, err := geo.ParsePoint(s); err == nil {
		return p, nil
	}
	var p geo.Point
	var seen [2]bool
	for half := range strings.FieldsSeq(strings.ReplaceAll(s, ",", " ")) {
		m := angle.FindStringSubmatch(half)
		if m == nil {
			return geo.Point{}, fmt.Errorf("coordinates %.60q are not readable", s)
		}
		v := degree(m[1]) + degree(m[2])/60 + degree(m[3])/3600
		if m[4] == "S" || m[4] == "W" {
			v = -v
		}
		i := 0
		if m[4] == "E" || m[4] == "W" {
			i, p.Lon = 1, v
		} else {
			p.Lat = v
		}
		if seen[i] {
			return geo.Point{}, fmt.Errorf("coordinates %.60q name one axis twice", s)
		}
		seen[i] = true
	}
	if seen != [2]bool{true, true} || !p.Valid() {
		return geo.Point{}, fmt.Errorf("coordinates %.60q are no place", s)
	}
	return p, nil
}

func degree(s string) float64 {
	f, _ := strconv.ParseFloat(s, 64) // digits by the pattern, or nothing
	return f
}
