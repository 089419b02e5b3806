package shop

import (
	"hash/fnv"
	"strconv"
	"strings"
)

// A poster is drawn from an event's id: the same event has the same picture everywhere,
// nobody has to supply one, and nothing is fetched.

// inks are the poster's colours: a ground and three inks.
var inks = [...][4]string{
	{"#1f2a44", "#f2b35d", "#e4572e", "#f6efe0"},
	{"#e9dfc8", "#1d3b36", "#d1495b", "#edae49"},
	{"#d8452f", "#f6e7cb", "#22223b", "#f4a259"},
	{"#23395b", "#8fb8de", "#f9f4ec", "#d7816a"},
	{"#f0c24b", "#1c1c1c", "#c8412b", "#fbf6e9"},
	{"#2f5d50", "#e9d8a6", "#ee9b00", "#f7f3e8"},
	{"#3d2645", "#f0a6a0", "#f6e8d5", "#7fb7be"},
	{"#e6e1d6", "#33415c", "#b5443a", "#7d9d9c"},
}

// die gives numbers from a seed, the same for the same seed.
type die uint64

func newDie(seed string) *die {
	h := fnv.New64a()
	_, _ = h.Write([]byte(seed)) // a hash takes all
	d := die(h.Sum64() | 1)
	return &d
}

func (d *die) roll(n int) int {
	x := uint64(*d)
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	*d = die(x)
	return int(x >> 33 % uint64(n)) //nolint:gosec // G115: less than n
}

// cell is one square of a poster.
type posterCell struct {
	col, row  int
	shape     int
	turn      int
	ink, back string
}

// posterOf are the squares of an event's poster.
func posterOf(seed string, cols, rows int) (ground string, cells []posterCell) {
	d := newDie(seed)
	colours := inks[d.roll(len(inks))]
	for row := range rows {
		for col := range cols {
			c := posterCell{col: col, row: row, shape: d.roll(7), turn: d.roll(4), ink: colours[1+d.roll(3)]}
			if d.roll(4) == 0 {
				c.back = colours[1+d.roll(3)]
			}
			cells = append(cells, c)
		}
	}
	return colours[0], cells
}

// side is the length of a poster's square in its own units.
const side = 40

// poster is the drawing as SVG. It is decoration: the text beside it says everything.
func poster(seed string, cols, rows int) string {
	ground, cells := posterOf(seed, cols, rows)
	var b strings.Builder
	b.WriteString(`<svg class="poster" aria-hidden="true" focusable="false" viewBox="0 0 ` + strconv.Itoa(cols*side) + ` ` + strconv.Itoa(rows*side) + `" preserveAspectRatio="xMidYMid slice"><path fill="` + ground + `" d="M0 0h` + strconv.Itoa(cols*side) + `v` + strconv.Itoa(rows*side) + `H0z"/>`)
	for _, c := range cells {
		x, y := c.col*side, c.row*side
		if c.back != "" && c.back != c.ink {
			b.WriteString(`<path fill="` + c.back + `" d="M` + strconv.Itoa(x) + ` ` + strconv.Itoa(y) + `h40v40h-40z"/>`)
		}
		b.WriteString(c.drawn(x, y))
	}
	b.WriteString(`</svg>`)
	return b.String()
}

// drawn is one square's shape.
func (c posterCell) drawn(x, y int) string {
	at := func(dx, dy int) string { return strconv.Itoa(x+dx) + " " + strconv.Itoa(y+dy) }
	path := func(d string) string { return `<path fill="` + c.ink + `" d="` + d + `"/>` }
	switch c.shape {
	case 0: // a circle
		return `<circle fill="` + c.ink + `" cx="` + strconv.Itoa(x+20) + `" cy="` + strconv.Itoa(y+20) + `" r="20"/>`
	case 1, 2: // a quarter
		return path([4]string{
			"M" + at(0, 0) + "h40a40 40 0 0 1-40 40z", "M" + at(40, 0) + "v40a40 40 0 0 1-40-40z",
			"M" + at(40, 40) + "h-40a40 40 0 0 1 40-40z", "M" + at(0, 40) + "v-40a40 40 0 0 1 40 40z",
		}[c.turn])
	case 3: // a half
		return path([4]string{
			"M" + at(0, 20) + "a20 20 0 0 1 40 0z", "M" + at(0, 20) + "a20 20 0 0 0 40 0z",
			"M" + at(20, 0) + "a20 20 0 0 1 0 40z", "M" + at(20, 0) + "a20 20 0 0 0 0 40z",
		}[c.turn])
	case 4: // a triangle
		return path([4]string{
			"M" + at(0, 0) + "h40l-40 40z", "M" + at(40, 0) + "v40l-40-40z", "M" + at(40, 40) + "h-40l40-40z", "M" + at(0, 40) + "v-40l40 40z",
		}[c.turn])
	case 5: // stripes
		if c.turn%2 == 0 {
			return path("M" + at(0, 4) + "h40v6h-40zm0 13h40v6h-40zm0 13h40v6h-40z")
		}
		return path("M" + at(4, 0) + "h6v40h-6zm13 0h6v40h-6zm13 0h6v40h-6z")
	}
	return ""
}
