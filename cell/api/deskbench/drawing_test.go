package deskbench

import (
	"fmt"
	"html"
	"strings"
)

// bar is one value of the picture.
type bar struct {
	group, name string
	value       float64
}

// drawing is the bars as an SVG, one block for each group.
func drawing(bars []bar) string {
	const width, label, high, gap = 760, 230, 18, 6
	var most float64
	for _, x := range bars {
		most = max(most, x.value)
	}
	var out strings.Builder
	y, group := 30, ""
	for _, x := range bars {
		if x.group != group {
			group, y = x.group, y+16
			fmt.Fprintf(&out, `<text x="10" y="%d" font-weight="bold">%s</text>`+"\n", y, html.EscapeString(group))
			y += gap
		}
		long := x.value / most * (width - label - 90)
		colour := "#9aa5b1"
		if strings.HasPrefix(x.name, "4") {
			colour = "#0b6e4f"
		}
		fmt.Fprintf(&out, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d">%.0f</text>`+"\n",
			label-8, y+high-4, html.EscapeString(x.name), label, y, max(long, 1), high, colour, float64(label)+long+6, y+high-4, x.value)
		y += high + gap
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="13"><rect width="100%%" height="100%%" fill="white"/>`+
		`<text x="10" y="22" font-size="16">Holds a second at one event, PostgreSQL with fsync, two cores</text>`+"\n%s</svg>\n", width, y+10, out.String())
}
